"""The origin of a stored value: the load and run that wrote it, who let it through, and the line it was read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include.model.configuration import Association, Configuration, EntityType, Property
from include.orchestration.run import published_snapshot
from include.repository.repository import LoadRecord, Repository
from include.snapshot.lines import SourceLine, link_line, resource_line

Version = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Which load made it so: its run, when, who let it through, and where in the run's files it stands.

    ``file`` and ``line`` are those of the run's snapshot, None where the load came of no snapshot; ``note`` says
    what cannot be told, such as of files that retention removed.
    """

    load_id: int
    run_id: str | None = None
    connector: str | None = None
    mode: str | None = None
    loaded_at: datetime | None = None
    approver: str | None = None
    file: str | None = None
    line: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ValueSince:
    """A value, since when it holds as far as history reaches, the load that wrote it, and what was there before."""

    value: Any
    since: datetime
    load_id: int
    previous: Any
    had_previous: bool


def versions_until(versions: Sequence[Version], instant: datetime) -> list[Version]:
    """The versions that had begun by an instant, oldest first."""
    return [version for version in versions if version["valid_from"] <= instant]


def value_since(versions: Sequence[Version], identifier: str) -> ValueSince:
    """The value of a property in the last of these versions, followed back through the versions that hold it too."""
    position = len(versions) - 1
    value = versions[position]["values"][identifier]
    while position and _follows(versions, position) and versions[position - 1]["values"][identifier] == value:
        position -= 1
    first = versions[position]
    had_previous = bool(position) and _follows(versions, position)
    previous = versions[position - 1]["values"][identifier] if had_previous else None
    return ValueSince(value, first["valid_from"], first["load_id"], previous, had_previous)


def _follows(versions: Sequence[Version], position: int) -> bool:
    """Whether a version takes over from the one before it without a gap."""
    return bool(versions[position - 1]["valid_to"] == versions[position]["valid_from"])


@dataclass(slots=True)
class Origins:
    """Finds origins; every load and every line is looked for once."""

    repository: Repository
    configuration: Configuration
    loads: dict[int, LoadRecord | None] = field(default_factory=dict)
    lines: dict[tuple[str, str, str], SourceLine] = field(default_factory=dict)

    def load(self, load_id: int) -> LoadRecord | None:
        """The record of a load."""
        if load_id not in self.loads:
            self.loads[load_id] = self.repository.loads([load_id]).get(load_id)
        return self.loads[load_id]

    def of_resource(self, load_id: int, entity: EntityType, key: str) -> Origin:
        """The origin of what a load wrote of a resource."""
        return self._origin(
            load_id,
            (entity.identifier, key),
            lambda snapshot, connector: resource_line(snapshot, connector, entity, key),
        )

    def of_link(
        self, load_id: int, association: Association, ends: tuple[tuple[Property, str], tuple[Property, str]]
    ) -> Origin:
        """The origin of a link that a load wrote; ``ends`` as ``lines.link_line`` takes them."""
        pair = f"{ends[0][1]}\n{ends[1][1]}"
        return self._origin(
            load_id,
            (association.identifier, pair),
            lambda snapshot, connector: link_line(snapshot, connector, association, ends),
        )

    def of_load(self, load_id: int) -> Origin:
        """The origin of what no file holds, such as an assignment or the end of a resource."""
        load = self.load(load_id)
        if load is None:
            return Origin(load_id, note="the repository has no record of this load")
        return Origin(load_id, load.run_id, load.connector, load.mode, load.loaded_at, load.approver)

    def _origin(self, load_id: int, subject: tuple[str, str], find: Any) -> Origin:
        origin = self.of_load(load_id)
        record = self.repository.snapshot(origin.run_id) if origin.run_id else None
        if origin.run_id is None or record is None:
            return origin
        removed = self.repository.removed_snapshot(origin.run_id)
        snapshot = published_snapshot(record)
        if removed is not None:
            gone = f"its files are gone: removed on {removed.removed_at:%Y-%m-%d} by {removed.actor} ({removed.reason})"
            return _with_line(origin, SourceLine("", None, gone))
        if not snapshot.is_there:
            return _with_line(
                origin, SourceLine("", None, "its files are gone from the storage: run 'rollcall verify'")
            )
        connector = self.configuration.connector(record.connector)
        if connector is None:
            return _with_line(origin, SourceLine("", None, f"connector {record.connector} is not configured any more"))
        place = (origin.run_id, *subject)
        if place not in self.lines:
            self.lines[place] = find(snapshot, connector)
        return _with_line(origin, self.lines[place])


def _with_line(origin: Origin, found: SourceLine) -> Origin:
    return Origin(
        origin.load_id,
        origin.run_id,
        origin.connector,
        origin.mode,
        origin.loaded_at,
        origin.approver,
        found.file or None,
        found.line,
        found.note,
    )
