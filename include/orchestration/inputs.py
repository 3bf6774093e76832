"""What an expression reads of one resource: each value with its own origin, over the links that lead to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.expressions.errors import ExpressionMistake
from include.expressions.inputs import Input, inputs_of
from include.expressions.paths import EntityGraph, Link, Scope
from include.model.configuration import Association, AssociationEnd, Configuration, Property
from include.orchestration.origins import Origin, Origins, value_since, versions_until
from include.repository.repository import Repository

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One link on the way to a value: where it leads, since when and from where."""

    navigation: str
    entity_type: str
    key: str
    since: datetime
    origin: Origin


@dataclass(frozen=True, slots=True)
class InputValue:
    """One thing that an expression reads: the path in its words, the value that it leads to, and where that came from.

    ``note`` says why a path leads nowhere; there is no value and no origin then.
    """

    path: str
    entity_type: str
    key: str | None
    value: Any
    since: datetime | None
    origin: Origin | None
    via: tuple[Step, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class InputReader:
    """Reads the inputs of expressions as they were at an instant."""

    repository: Repository
    configuration: Configuration
    graph: EntityGraph
    origins: Origins
    at: datetime

    def values(self, expression: str, entity_type: str, resource_id: int) -> tuple[InputValue, ...]:
        """The inputs of an expression over one resource, in order of the text; none of one that cannot be read."""
        try:
            inputs = inputs_of(expression, Scope(self.graph, entity_type))
        except ExpressionMistake:
            return ()
        return tuple(self._value(item, entity_type, resource_id) for item in inputs)

    def _value(self, item: Input, entity_type: str, resource_id: int) -> InputValue:
        steps: list[Step] = []
        for navigation, link in zip(item.path, item.links, strict=True):
            rows = self.repository.links_of(
                link.association, end=link.from_column, resource_id=resource_id, instant=self.at, limit=2
            )
            if len(rows) != 1:
                told = "leads nowhere" if not rows else "leads to several: none is followed"
                path = ".".join([*(step.navigation for step in steps), navigation])
                return InputValue(str(item), item.entity_type, None, None, None, None, tuple(steps), f"{path} {told}")
            row = rows[0]
            origin = self.link_origin(link, resource_id, row)
            steps.append(Step(navigation, link.entity_type, str(row["key"]), row["valid_from"], origin))
            entity_type, resource_id = link.entity_type, int(row["resource_id"])
        entity = self.graph.entity_types[entity_type]
        there = self.repository.resource_at(entity, resource_id, self.at)
        if there is None:
            return InputValue(
                str(item), entity_type, None, None, None, None, tuple(steps), f"resource {resource_id} is gone"
            )
        key = str(there[entity.primary_key.identifier])
        versions = versions_until(self.repository.history(entity, key), self.at)
        found = value_since(versions, item.property)
        origin = self.origins.of_resource(found.load_id, entity, key)
        return InputValue(str(item), entity_type, key, found.value, found.since, origin, tuple(steps))

    def link_origin(self, link: Link, resource_id: int, row: Row) -> Origin:
        """The origin of one link of a resource, as ``Repository.links_of`` gives it."""
        association = next(item for item in self.configuration.associations() if item.identifier == link.association)
        ids = (resource_id, int(row["resource_id"]))
        if link.from_column == "resource2_id":
            ids = ids[::-1]
        ends = tuple(self._ends(association, ids, row["valid_from"]))
        if len(ends) != len(ids):
            return self.origins.of_load(row["load_id"])
        return self.origins.of_link(row["load_id"], association, (ends[0], ends[1]))

    def _ends(
        self, association: Association, ids: tuple[int, int], instant: datetime
    ) -> Iterator[tuple[Property, str]]:
        """The key that the column of each end holds, and its value when the link began; an end may be gone."""
        for end, resource_id in zip((association.end1, association.end2), ids, strict=True):
            row = self.repository.resource_at(end.entity_type, resource_id, instant)
            item = self._key(end)
            if row is not None and row[item.identifier] is not None:
                yield item, str(row[item.identifier])

    def _key(self, end: AssociationEnd) -> Property:
        entity = self.graph.entity_types[end.entity_type]
        return (entity.find(end.key) if end.key else None) or entity.primary_key
