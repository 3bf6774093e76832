"""Why a resource has, or should have, each value.

What is stored and where it came from, what the policy says and by which rule, what was ordered, and what persons
decided. Nothing is written.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from include.expressions.errors import near_miss
from include.expressions.paths import EntityGraph
from include.model.configuration import EntityType
from include.orchestration.inputs import InputReader, InputValue
from include.orchestration.justification import Assignment, Expectation, Justifier
from include.orchestration.origins import Origin, Origins, Version, value_since, versions_until
from include.orchestration.project import load_project, open_repository
from include.orchestration.run import StepFailed

TICK = timedelta(microseconds=1)
SHOWN_LINKS = 20


@dataclass(frozen=True, slots=True)
class StoredValue:
    """One property: its value, since when and from where, the value before, and what the policy says of it.

    A computed property has its ``expression`` and what that reads.
    """

    property: str
    value: Any
    since: datetime
    origin: Origin
    previous: Any
    expression: str | None = None
    inputs: tuple[InputValue, ...] = ()
    expectations: tuple[Expectation, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredLink:
    """One link: where it leads, since when and from where; until when and by what, where it has ended."""

    navigation: str
    entity_type: str
    key: str
    since: datetime
    origin: Origin
    until: datetime | None = None
    ended_by: Origin | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer for one resource at one instant; ``state`` is ``there`` or ``gone``.

    ``since`` is when it came (or came back), ``gone_at`` and ``gone_by`` when and by which load it went. Values, links
    and assignments of one that is gone are the last it had. ``notes`` say what cannot be told.
    """

    entity_type: str
    key: str
    subject: str | None
    """The property or navigation that was asked for; None for all of them."""
    at: datetime
    state: str
    since: datetime
    gone_at: datetime | None = None
    gone_by: Origin | None = None
    values: tuple[StoredValue, ...] = ()
    links: tuple[StoredLink, ...] = ()
    expected_links: tuple[Expectation, ...] = ()
    owned_by: tuple[Assignment, ...] = ()
    owns: tuple[Assignment, ...] = ()
    notes: tuple[str, ...] = ()


def explain(entity_type: str, key: str, subject: str | None = None, at: datetime | None = None) -> Explanation:
    """Explain a resource, or one property or navigation of it.

    Args:
        entity_type: its entity type.
        key: its primary key as text.
        subject: a property or a navigation; all of them when left out.
        at: as things were at this instant (UTC where it has no zone); now when left out.

    Raises:
        StepFailed: there is no such entity type, property or resource; one line.
    """
    configuration = load_project()
    entity = configuration.entity_type(entity_type)
    if entity is None:
        known = [item.identifier for connector in configuration.connectors for item in connector.entity_types]
        raise StepFailed(f"no connector declares entity type '{entity_type}'{near_miss(entity_type, known)}")
    graph = EntityGraph.of(configuration)
    if subject is not None and subject not in graph.names(entity_type):
        hint = near_miss(subject, graph.names(entity_type))
        raise StepFailed(f"{entity_type} has no property or navigation '{subject}'{hint}")
    repository = open_repository(configuration, migrate=False)
    instant = at or datetime.now(UTC)
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    versions = versions_until(repository.history(entity, key), instant)
    if not versions:
        raise StepFailed(f"{entity_type} '{key}' was never stored by {instant.isoformat(timespec='seconds')}")
    moment = min(instant, versions[-1]["valid_to"] - TICK)
    origins = Origins(repository, configuration)
    reader = InputReader(repository, configuration, graph, origins, moment)
    return _Teller(entity, key, instant, moment, versions, reader).tell(subject)


@dataclass(frozen=True, slots=True)
class _Teller:
    """Everything about one resource, read as it is asked for.

    ``at`` is the instant asked for, ``moment`` the last one until then at which the resource was there.
    """

    entity: EntityType
    key: str
    at: datetime
    moment: datetime
    versions: Sequence[Version]
    reader: InputReader

    def tell(self, subject: str | None) -> Explanation:
        """The explanation."""
        last, is_gone = self.versions[-1], self.moment < self.at
        justifier = Justifier(self.reader.repository, self.reader.configuration, self.reader, self.at)
        resource_id = int(last["resource_id"])
        owned_by = justifier.assignments(resource_id, "target_id")
        links = list(self._links(subject, resource_id))
        expected = justifier.links(owned_by, subject)
        return Explanation(
            entity_type=self.entity.identifier,
            key=self.key,
            subject=subject,
            at=self.at,
            state="gone" if is_gone else "there",
            since=self._came(),
            gone_at=last["valid_to"] if is_gone else None,
            gone_by=self._origins.of_load(last["closed_by_load_id"]) if is_gone else None,
            values=tuple(self._values(subject, resource_id, justifier.values(owned_by, subject))),
            links=tuple(links),
            expected_links=tuple(expected),
            owned_by=tuple(owned_by),
            owns=tuple(justifier.assignments(resource_id, "owner_id")) if subject is None else (),
            notes=tuple(self._notes()),
        )

    @property
    def _origins(self) -> Origins:
        return self.reader.origins

    def _came(self) -> datetime:
        """When the resource came, or came back the last time."""
        position = len(self.versions) - 1
        while position and self.versions[position - 1]["valid_to"] == self.versions[position]["valid_from"]:
            position -= 1
        came: datetime = self.versions[position]["valid_from"]
        return came

    def _values(
        self, subject: str | None, resource_id: int, expectations: Sequence[Expectation]
    ) -> Iterator[StoredValue]:
        for item in self.entity.properties:
            if subject not in (None, item.identifier):
                continue
            found = value_since(self.versions, item.identifier)
            inputs = self.reader.values(item.expression, self.entity.identifier, resource_id) if item.expression else ()
            yield StoredValue(
                property=item.identifier,
                value=found.value,
                since=found.since,
                origin=self._origins.of_resource(found.load_id, self.entity, self.key),
                previous=found.previous,
                expression=item.expression,
                inputs=inputs,
                expectations=tuple(one for one in expectations if one.subject == item.identifier),
            )

    def _links(self, subject: str | None, resource_id: int) -> Iterator[StoredLink]:
        """The links that are there; where one navigation was asked for, those that have ended, too."""
        for navigation, link in self.reader.graph.links.get(self.entity.identifier, {}).items():
            if subject not in (None, navigation):
                continue
            for ended in (False, True) if subject else (False,):
                for row in self.reader.repository.links_of(
                    link.association,
                    end=link.from_column,
                    resource_id=resource_id,
                    instant=self.moment,
                    limit=SHOWN_LINKS,
                    ended=ended,
                ):
                    yield StoredLink(
                        navigation=navigation,
                        entity_type=link.entity_type,
                        key=str(row["key"]),
                        since=row["valid_from"],
                        origin=self.reader.link_origin(link, resource_id, row),
                        until=row["valid_to"] if ended else None,
                        ended_by=self._origins.of_load(row["closed_by_load_id"]) if ended else None,
                    )

    def _notes(self) -> Iterator[str]:
        purged = self.reader.repository.purged_before(self.entity.identifier)
        if purged is not None:
            yield f"history that ended before {purged.isoformat(timespec='seconds')} was purged: a value may be older"
        if self.moment < self.at:
            yield "it is gone: values, links and assignments are the last that it had"


def to_json(explanation: Explanation) -> str:
    """The explanation as JSON; instants in ISO 8601."""
    return json.dumps(asdict(explanation), indent=2, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
