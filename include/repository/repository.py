"""The identity repository as the rest of Rollcall sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from include.model.configuration import Association, Configuration, EntityType
from include.model.remembered import MISSING_RESOURCE, WAITING_LINK
from include.repository import (
    audit,
    export,
    history,
    holds,
    load,
    migration,
    origins,
    purge,
    removals,
    runs,
    snapshots,
    versions,
)
from include.repository.audit import AuditEntry
from include.repository.database import LOCK_TIMEOUT, Database
from include.repository.holds import Hold
from include.repository.load import LoadRequest, LoadResult
from include.repository.origins import LoadRecord, Row
from include.repository.removals import RemovedSnapshot
from include.repository.runs import PIPELINE, Purpose, RunRecord, RunState
from include.repository.snapshots import SnapshotRecord
from include.repository.tables import Schema, build_schema
from include.storage.folder import Folder

__all__ = [
    "AuditEntry",
    "Hold",
    "LoadRecord",
    "LoadRequest",
    "LoadResult",
    "RemovedSnapshot",
    "Repository",
    "RunRecord",
    "SnapshotRecord",
]


class Repository:
    """One repository: a SQLite file (``sqlite:////folder/file.db``) or ``postgresql://user@host/database``.

    ``configuration`` says which entity types and associations there are; ``migrate`` brings the tables to
    it. ``lock_timeout`` (seconds) is how long a writer waits for another before ``RepositoryLocked``.
    No connection stays open between calls. Errors are those of ``include.repository.errors``.
    """

    def __init__(
        self, url: str, configuration: Configuration | None = None, *, lock_timeout: float = LOCK_TIMEOUT
    ) -> None:
        self._database = Database(url, lock_timeout)
        self._configuration = configuration or Configuration()
        self._built: Schema | None = None

    def __repr__(self) -> str:
        return f"Repository({self._database.url.render_as_string(hide_password=True)!r})"

    @property
    def _schema(self) -> Schema:
        if self._built is None:
            self._built = build_schema(self._configuration)
        return self._built

    def migrate(self, configuration: Configuration | None = None) -> list[str]:
        """Create what is missing and return one line per operation (``migration.migrate``)."""
        if configuration is not None:
            self._configuration, self._built = configuration, None
        return migration.migrate(self._database, self._schema)

    @property
    def is_there(self) -> bool:
        """Whether the database was ever migrated; asking creates nothing."""
        return migration.is_there(self._database)

    # Rows in and out

    def export_base(
        self,
        folder: Folder,
        connector: str,
        entity_types: Sequence[EntityType],
        associations: Sequence[Association],
        *,
        resource_ids: bool = False,
        as_stored: bool = False,
    ) -> int:
        """Write the current rows and ``base.json``; return the connector's last load (``export``)."""
        items: list[EntityType | Association] = [*entity_types, *associations]
        return export.export_base(
            self._database,
            self._schema,
            folder,
            connector,
            items,
            resource_ids=resource_ids,
            as_stored=as_stored,
        )

    def lacking(self, items: Sequence[EntityType | Association]) -> dict[str, list[str] | None]:
        """What an export as stored reads as empty: the missing properties by item, None for the whole of it."""
        return export.lacking(self._database, items)

    def export_versions(
        self, folder: Folder, connector: str, items: Sequence[EntityType | Association], since: int
    ) -> Mapping[str, int]:
        """Write what loads after ``since`` wrote or closed (``versions.export_versions``)."""
        return versions.export_versions(self._database, self._schema, folder, connector, items, since=since)

    def rows_written(self, since: int) -> Mapping[str, int]:
        """How many rows of each entity type and association the loads after ``since`` changed."""
        with self._database.read() as session:
            return versions.rows_written(session, since)

    def position(self, connector: str, connection: str) -> tuple[str, int] | None:
        """The newest cookie of a connection, and the number of the load that brought it."""
        with self._database.read() as session:
            return versions.position(session, connector, connection)

    def has_lost_history(self, since: datetime) -> bool:
        """Whether versions of the past were removed after an instant (UTC)."""
        with self._database.read() as session:
            return versions.has_lost_history(session, since)

    def export_current(self, item: EntityType | Association, folder: Folder, file: str) -> int:
        """Write the current rows of one entity type or association; return how many."""
        return export.export_one(self._database, self._schema, item, folder, file)

    def export_as_of(self, item: EntityType | Association, instant: datetime, folder: Folder, file: str) -> int:
        """Write the rows that were true at an instant; return how many."""
        return export.export_one(self._database, self._schema, item, folder, file, instant=instant)

    def load(self, request: LoadRequest) -> LoadResult:
        """Apply changes in one transaction, exactly once per load key (``load.load``)."""
        return load.load(self._database, self._schema, request)

    def last_load(self, connector: str) -> int:
        """The number of the connector's last load; 0 when there was none."""
        with self._database.read() as session:
            return load.last_load(session, connector)

    def last_loaded_at(self, connector: str) -> datetime | None:
        """The instant (UTC) of the connector's last load; None when there was none."""
        with self._database.read() as session:
            return load.last_loaded_at(session, connector)

    def loaded(self, load_key: str) -> LoadResult | None:
        """The recorded result of a load, None when there was none under that key."""
        with self._database.read() as session:
            return load.find_load(session, load_key)

    def loads_of(self, run_id: str) -> list[str]:
        """The keys of a run's loads, in order."""
        with self._database.read() as session:
            return load.loads_of(session, run_id)

    def cookies(self, connector: str) -> dict[str, str]:
        """The newest cookie of each connection."""
        with self._database.read() as session:
            return load.cookies(session, connector)

    # Runs and snapshots

    def open_run(self, record: RunRecord, *, actor: str = PIPELINE) -> RunRecord:
        """Record a run and return it as stored (``runs.open_run``)."""
        with self._database.write() as session:
            return runs.open_run(session, record, actor)

    def close_run(
        self,
        run_id: str,
        state: RunState,
        message: str = "",
        counters: Mapping[str, Any] | None = None,
        *,
        actor: str = PIPELINE,
    ) -> None:
        """Set a run's state (``runs.set_state``)."""
        with self._database.write() as session:
            runs.set_state(session, run_id, state, message=message, counters=counters, actor=actor)

    def reject(self, run_id: str, message: str, evidence: Mapping[str, Any], *, actor: str) -> None:
        """End a run as rejected, with the evidence on the audit trail (``runs.reject``)."""
        with self._database.write() as session:
            runs.reject(session, run_id, message=message, evidence=evidence, actor=actor)

    def supersede(self, run_id: str, by: str) -> bool:
        """End an open run in favour of another one (``runs.supersede``)."""
        with self._database.write() as session:
            return runs.supersede(session, run_id, by)

    def change_mode(self, run_id: str, mode: str, reason: str) -> None:
        """Record another mode of an open run, and why (``runs.change_mode``)."""
        with self._database.write() as session:
            runs.change_mode(session, run_id, mode, reason)

    def run(self, run_id: str) -> RunRecord | None:
        """The run of that id."""
        with self._database.read() as session:
            return runs.find_run(session, run_id)

    def runs(self, connector: str | None = None, limit: int | None = 50) -> list[RunRecord]:
        """The newest runs first; all of them without a limit."""
        with self._database.read() as session:
            return runs.list_runs(session, connector, limit)

    def running(self, connector: str, *, besides: str | None = None, purpose: Purpose | None = None) -> str | None:
        """The id of the oldest open run of the connector other than ``besides``; of one purpose or of any."""
        with self._database.read() as session:
            found = runs.running(session, connector, purpose, besides=besides)
            return found.run_id if found else None

    def snapshot(self, run_id: str) -> SnapshotRecord | None:
        """The snapshot that a run published."""
        with self._database.read() as session:
            return snapshots.find_snapshot(session, run_id)

    def last_snapshot(self, connector: str) -> SnapshotRecord | None:
        """The connector's newest snapshot."""
        with self._database.read() as session:
            return snapshots.last_snapshot(session, connector)

    def last_snapshot_at(self, connector: str, instant: datetime) -> SnapshotRecord | None:
        """The connector's newest snapshot that was published at an instant (UTC) or before."""
        with self._database.read() as session:
            return snapshots.last_snapshot_at(session, connector, instant)

    def snapshot_runs(self, connector: str) -> dict[str, datetime]:
        """The runs that published the connector's snapshots, in order, and when (UTC) they did."""
        with self._database.read() as session:
            return snapshots.snapshot_runs(session, connector)

    def removed_snapshots(self, connector: str) -> dict[str, RemovedSnapshot]:
        """The connector's snapshots whose files retention has removed, by run."""
        with self._database.read() as session:
            return removals.removed_snapshots(session, connector)

    def removed_snapshot(self, run_id: str) -> RemovedSnapshot | None:
        """The record of the removal of a run's snapshot."""
        with self._database.read() as session:
            return removals.find_removed(session, run_id)

    def remove_snapshot(self, run_id: str, *, reason: str, by: str) -> RemovedSnapshot:
        """Put on record that the files of a snapshot go (``removals.remove_snapshot``)."""
        with self._database.write() as session:
            return removals.remove_snapshot(session, run_id, reason=reason, actor=by)

    def record_files_removed(self, connector: str, subject: str, *, reason: str, by: str) -> None:
        """Put on record that the files of a run that published nothing go (``removals.record_files_removed``)."""
        with self._database.write() as session:
            removals.record_files_removed(session, connector, subject, reason=reason, actor=by)

    def place_hold(
        self, connector: str, run_id: str | None = None, *, reason: str, until: datetime | None = None, by: str
    ) -> Hold:
        """Place a legal hold on a connector, or on the snapshot of one run (``holds.place``)."""
        with self._database.write() as session:
            return holds.place(session, connector, run_id, reason=reason, until=until, actor=by)

    def release_hold(self, hold_id: int, *, reason: str, by: str) -> Hold:
        """Release a legal hold (``holds.release``)."""
        with self._database.write() as session:
            return holds.release(session, hold_id, reason=reason, actor=by)

    def holds(self, connector: str | None = None, *, active: bool = False) -> list[Hold]:
        """The legal holds of a connector or of all: every one that was ever placed, or those that hold now."""
        with self._database.read() as session:
            return holds.active_holds(session, connector) if active else holds.list_holds(session, connector)

    def verify_snapshots(self) -> dict[str, list[str]]:
        """By connector, one line for every place where the chain of its manifests does not hold."""
        with self._database.read() as session:
            return snapshots.broken_chains(session)

    # The past

    def history(self, entity_type: EntityType | str, key: str) -> list[dict[str, Any]]:
        """Every version of one resource, oldest first (``history.history``)."""
        with self._database.read() as session:
            return history.history(session, self._schema, self._entity_type(entity_type), key)

    def as_of(self, entity_type: EntityType | str, instant: datetime, limit: int | None = 1000) -> list[dict[str, Any]]:
        """The resources at an instant, in order of key; ``export_as_of`` where there are many."""
        with self._database.read() as session:
            return history.as_of(session, self._schema, self._entity_type(entity_type), instant, limit)

    def links_as_of(
        self, association: Association, instant: datetime, limit: int | None = 1000
    ) -> list[tuple[int, int]]:
        """The pairs of resource ids linked at an instant."""
        with self._database.read() as session:
            return history.links_as_of(session, self._schema, association, instant, limit)

    def link_keys_as_of(
        self, association: Association | str, instant: datetime, limit: int | None = 1000
    ) -> list[dict[str, Any]]:
        """The links at an instant with the keys of both ends; ``export_as_of`` where there are many."""
        with self._database.read() as session:
            return history.link_keys_as_of(session, self._schema, self._association(association), instant, limit)

    def orders(self, connector: str, run_id: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The provisioning orders of a connector (of one run), newest first, as they stand now."""
        with self._database.read() as session:
            return history.orders(session, self._schema, connector, run_id, limit)

    # Where it came from

    def loads(self, load_ids: Collection[int]) -> dict[int, LoadRecord]:
        """The loads of these numbers, each with its run (``origins.find_loads``)."""
        with self._database.read() as session:
            return origins.find_loads(session, load_ids)

    def resource_at(self, entity_type: EntityType | str, resource_id: int, instant: datetime) -> Row | None:
        """The properties of a resource at an instant; None where it was not there."""
        with self._database.read() as session:
            return origins.resource_at(session, self._schema, self._entity_type(entity_type), resource_id, instant)

    def links_of(
        self,
        association: Association | str,
        *,
        end: origins.End,
        resource_id: int,
        instant: datetime,
        limit: int = 100,
        other_id: int | None = None,
        ended: bool = False,
    ) -> list[Row]:
        """The links of one resource (``origins.links_of``)."""
        found = self._association(association)
        with self._database.read() as session:
            return origins.links_of(
                session,
                self._schema,
                found,
                end=end,
                resource_id=resource_id,
                instant=instant,
                limit=limit,
                other_id=other_id,
                ended=ended,
            )

    def assignments_of(self, resource_id: int, role: origins.Role, instant: datetime) -> list[Row]:
        """The assignments in which a resource was the owner or the target at an instant."""
        with self._database.read() as session:
            return origins.assignments_of(session, self._schema, resource_id, role, instant)

    def parts_of(self, entity_type: EntityType, assignments: Collection[str], instant: datetime) -> list[Row]:
        """The assigned scalars or navigations of assignments at an instant."""
        with self._database.read() as session:
            return origins.parts_of(session, self._schema, entity_type, assignments, instant)

    def orders_of(self, assignments: Collection[str], instant: datetime) -> list[Row]:
        """The orders of assignments as they stood at an instant, the newest decision first."""
        with self._database.read() as session:
            return origins.orders_of(session, self._schema, assignments, instant)

    def decisions_on(self, subjects: Collection[str], instant: datetime) -> list[AuditEntry]:
        """What persons did to these subjects until an instant, the oldest first."""
        with self._database.read() as session:
            return origins.decisions_on(session, subjects, instant)

    # Removing the past

    def purge_before(self, instant: datetime, *, by: str, held: Collection[str] = ()) -> dict[str, int]:
        """Remove what ended before an instant; rows removed by table (``purge.purge_before``)."""
        return purge.purge_before(self._past(held), instant, by=by)

    def thin(self, ranges: str, now: datetime | None = None, *, by: str, held: Collection[str] = ()) -> dict[str, int]:
        """Keep one version per window of ``ranges``; rows removed by table (``purge.thin``)."""
        return purge.thin(self._past(held), ranges, now, by=by)

    def remove_duplicates(
        self, entity_type: EntityType | str, excluded: Collection[str], *, by: str, held: Collection[str] = ()
    ) -> int:
        """Remove versions that differ from the one before in excluded properties only (``purge.remove_duplicates``)."""
        return purge.remove_duplicates(self._past(held), self._entity_type(entity_type), excluded, by=by)

    def purged_before(self, identifier: str) -> datetime | None:
        """The newest cut-off before which history of that entity type or association was removed."""
        with self._database.read() as session:
            return purge.purged_before(session, identifier)

    def _past(self, held: Collection[str]) -> purge.History:
        return purge.History(self._database, self._schema, self._configuration, held)

    def waiting_links(self, connector: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The links that wait for an end, of one connector or of all, the oldest first."""
        with self._database.read() as session:
            return history.remembered(session, self._schema, WAITING_LINK, connector, limit)

    def missing_resources(self, connector: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """The resources that extracts lack and that are kept for now, of one connector or of all, the oldest first."""
        with self._database.read() as session:
            return history.remembered(session, self._schema, MISSING_RESOURCE, connector, limit)

    # The audit trail

    def record(self, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> int:
        """Append one entry to the audit trail and return its sequence."""
        with self._database.write() as session:
            return audit.append(session, actor=actor, action=action, subject=subject, detail=detail)

    def audit(self, limit: int = 100, subject: str | None = None) -> list[AuditEntry]:
        """The newest entries first, of one subject (a run id, an order id...) or of all."""
        with self._database.read() as session:
            return audit.entries(session, limit=limit, subject=subject)

    def verify_audit(self) -> list[str]:
        """One line for every place where the audit trail's chain does not hold."""
        with self._database.read() as session:
            return list(audit.broken_links(session))

    def _entity_type(self, item: EntityType | str) -> EntityType:
        return item if isinstance(item, EntityType) else self._schema.entity_type(item)

    def _association(self, item: Association | str) -> Association:
        return item if isinstance(item, Association) else self._schema.association(item)
