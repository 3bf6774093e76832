"""The difference between any two snapshots of a connector, each named by its run or by an instant."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.difference.compare import Counts
from include.model.configuration import Association, Connector, EntityType
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import StepFailed, published_snapshot
from include.repository.repository import Repository, SnapshotRecord
from include.snapshot.between import ExportedState, Item, SnapshotState, State, compare_states, write_values
from include.snapshot.show import ShownChange, shown_changes
from include.storage.engine import engine
from include.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two snapshots, and where its state was read."""

    run_id: str
    published_at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class SnapshotDifference:
    """What turns one snapshot into another; ``counts`` by table. Its files last as long as the ``difference`` block."""

    connector: str
    before: Side
    after: Side
    counts: dict[str, Counts]
    items: tuple[Item, ...]
    folder: Folder

    def first(self, limit: int) -> list[ShownChange]:
        """The first changed rows of each table, deletions first, up to ``limit`` in all."""
        names: dict[str, str | None] = {
            item.identifier: item.display_name_property.identifier
            for item in self.items
            if isinstance(item, EntityType)
        }
        associations = [item.identifier for item in self.items if isinstance(item, Association)]
        with engine(self.folder) as connection:
            return shown_changes(connection, self.folder, names, associations, limit)

    def write_csv(self, target: Path) -> int:
        """Every changed value as a line of a CSV file (``between.write_values``); the number of lines."""
        with engine(self.folder) as connection:
            return write_values(connection, self.folder, self.items, target.absolute())


@contextmanager
def difference(
    connector_identifier: str, start: str, end: str | None = None, identifier: str | None = None
) -> Iterator[SnapshotDifference]:
    """Compare two snapshots; the files of the result go when the block ends.

    Args:
        connector_identifier: whose snapshots.
        start: a run id, or an instant (ISO 8601, UTC without an offset): the newest snapshot published by then.
        end: the same; the connector's newest snapshot when left out.
        identifier: one entity type or association of the connector; all of them when left out.

    Raises:
        UnknownConnector: there is no such connector.
        StepFailed: a moment names no snapshot, or its state cannot be rebuilt any more; one line.
        SnapshotError: a file of a snapshot is not the one that was published.
    """
    configuration = load_project()
    connector = find_connector(configuration, connector_identifier)
    repository = open_repository(configuration)
    items = _items(connector, identifier)
    first, second = (_snapshot(repository, connector.identifier, moment) for moment in (start, end))
    with tempfile.TemporaryDirectory(prefix="rollcall-diff-") as temporary:
        place = Folder(Path(temporary).as_uri())
        (before, old), (after, new) = (
            _state(repository, record, items, place.child(label))
            for label, record in (("before", first), ("after", second))
        )
        changes = place.child("changes")
        with engine(old.folder, new.folder, changes) as connection:
            counts = compare_states(connection, old, new, items, changes)
        compared = tuple(item for item in items if item.identifier in counts)
        yield SnapshotDifference(connector.identifier, before, after, counts, compared, changes)


def _items(connector: Connector, identifier: str | None) -> list[Item]:
    items: list[Item] = [*connector.entity_types, *connector.associations]
    if identifier is None:
        return items
    found = [item for item in items if item.identifier == identifier]
    if not found:
        known = ", ".join(item.identifier for item in items)
        raise StepFailed(f"{connector.identifier} has no entity type or association '{identifier}'; it has: {known}")
    return found


def _snapshot(repository: Repository, connector: str, moment: str | None) -> SnapshotRecord:
    if moment is None:
        record = repository.last_snapshot(connector)
        if record is None:
            raise StepFailed(f"{connector}: no snapshot was published yet")
        return record
    record = repository.snapshot(moment)
    if record is not None:
        if record.connector != connector:
            raise StepFailed(f"run {moment} is one of {record.connector}, not of {connector}")
        return record
    try:
        instant = datetime.fromisoformat(moment)
    except ValueError:
        raise StepFailed(
            f"'{moment}' is neither a run of {connector} that published a snapshot nor an ISO 8601 instant "
            "such as 2026-11-23T08:00:00+01:00"
        ) from None
    instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    record = repository.last_snapshot_at(connector, instant)
    if record is None:
        raise StepFailed(f"{connector}: no snapshot was published by {instant.isoformat()}")
    return record


def _state(repository: Repository, record: SnapshotRecord, items: Sequence[Item], place: Folder) -> tuple[Side, State]:
    """The state from the snapshot's files; from the repository's history where they are gone."""
    snapshot = published_snapshot(record)
    removed = repository.removed_snapshot(record.run_id)
    if snapshot.is_there and removed is None:
        return Side(record.run_id, record.published_at, "its files"), SnapshotState(snapshot)
    for item in items:
        purged = repository.purged_before(item.identifier)
        if purged is not None and purged > record.published_at:
            raise StepFailed(
                f"{item.identifier}: the files of snapshot {record.run_id} are gone, and history that ended before "
                f"{purged.isoformat()} was purged: what it held then cannot be rebuilt"
            )
        repository.export_as_of(item, record.published_at, place, f"{item.identifier}.parquet")
    why = f"retention removed its files on {removed.removed_at:%Y-%m-%d}" if removed else "its files are GONE"
    return Side(record.run_id, record.published_at, f"the repository's history ({why})"), ExportedState(place)
