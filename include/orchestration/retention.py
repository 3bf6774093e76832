"""Which files of runs have had their time, and their removal: on record first, then from the storage.

Never removed are a connector's newest snapshot, every snapshot from the base of an open run on, what is on
legal hold, and the files of provisioning runs. Run again after a crash, a removal is finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from include.model.configuration import Connector, Retention
from include.model.environment import storage_url
from include.repository.holds import Hold
from include.repository.repository import Repository, RunRecord
from include.repository.runs import OPEN_STATES
from include.snapshot.manifest import published
from include.storage.folder import Folder, run_folder_name

UNPUBLISHED_STATES = {"failed", "rejected", "superseded", "skipped"}


@dataclass(frozen=True, slots=True)
class Removal:
    """The files of one run that go, or would; ``subject`` is the run, or the name of a folder that no run explains."""

    connector: str
    subject: str
    is_snapshot: bool
    reason: str
    files: int
    bytes: int


@dataclass(frozen=True)
class _Keeper:
    """One connector's files at one moment."""

    repository: Repository
    connector: Connector
    at: datetime
    holds: list[Hold] = field(default_factory=list)

    @property
    def settings(self) -> Retention:
        return self.connector.retention

    @property
    def storage(self) -> Folder:
        return Folder(storage_url()).child(self.connector.identifier)

    def is_over(self, end: datetime, days: int) -> bool:
        """Whether so many days have gone by since an instant; 0 days never do."""
        return days > 0 and end <= self.at - timedelta(days=days)


def remove_expired(
    repository: Repository, connector: Connector, *, at: datetime, by: str, dry_run: bool = False
) -> list[Removal]:
    """Remove the files of a connector's runs that have had their time; what went, or would go in a dry run.

    Raises:
        RepositoryError: a hold was placed meanwhile; what was removed before stays removed, and on record.
    """
    keeper = _Keeper(repository, connector, at, repository.holds(connector.identifier, active=True))
    removals = []
    for folder, removal in (*_unfinished(keeper), *_old_snapshots(keeper), *_unpublished(keeper)):
        if not dry_run:
            _remove(repository, folder, removal, by)
        removals.append(removal)
    return removals


def _remove(repository: Repository, folder: Folder, removal: Removal, by: str) -> None:
    if removal.is_snapshot:
        repository.remove_snapshot(removal.subject, reason=removal.reason, by=by)
    else:
        repository.record_files_removed(removal.connector, removal.subject, reason=removal.reason, by=by)
    folder.remove_all()


def _removal(keeper: _Keeper, subject: str, reason: str, *, is_snapshot: bool) -> tuple[Folder, Removal]:
    folder = keeper.storage.child(run_folder_name(subject))
    sizes = folder.sizes()
    identifier = keeper.connector.identifier
    return folder, Removal(identifier, subject, is_snapshot, reason, len(sizes), sum(sizes.values()))


def _unfinished(keeper: _Keeper) -> Iterator[tuple[Folder, Removal]]:
    """Snapshots whose removal is on record, and whose files are still there."""
    removed = keeper.repository.removed_snapshots(keeper.connector.identifier)
    there = set(keeper.storage.folders()) if removed else set()
    for run_id in removed:
        if run_folder_name(run_id) in there:
            yield _removal(keeper, run_id, "its removal is finished", is_snapshot=True)


def _old_snapshots(keeper: _Keeper) -> Iterator[tuple[Folder, Removal]]:
    identifier, settings = keeper.connector.identifier, keeper.settings
    held = {hold.run_id for hold in keeper.holds}
    if None in held:
        return
    snapshots = keeper.repository.snapshot_runs(identifier)
    removed = keeper.repository.removed_snapshots(identifier)
    needed_from = _base_of_open_runs(keeper)
    for run_id, published_at in list(snapshots.items())[: -settings.snapshots_count]:
        is_needed = needed_from is not None and published_at >= needed_from
        if run_id in removed or run_id in held or is_needed:
            continue
        if keeper.is_over(published_at, settings.snapshots_days):
            reason = f"published more than {settings.snapshots_days} days ago (snapshots_days)"
            yield _removal(keeper, run_id, reason, is_snapshot=True)


def _base_of_open_runs(keeper: _Keeper) -> datetime | None:
    """When the oldest snapshot was published that an open run may have begun from."""
    opened = [record.opened_at for record in _runs(keeper) if record.state in OPEN_STATES]
    bases = (keeper.repository.last_snapshot_at(keeper.connector.identifier, instant) for instant in opened)
    return min((base.published_at for base in bases if base is not None), default=None)


def _runs(keeper: _Keeper) -> list[RunRecord]:
    return keeper.repository.runs(keeper.connector.identifier, limit=None)


def _unpublished(keeper: _Keeper) -> Iterator[tuple[Folder, Removal]]:
    """Folders of synchronizations that were never loaded, and of dry runs, which have no row."""
    days = keeper.settings.unpublished_days
    if any(hold.run_id is None for hold in keeper.holds):
        return
    runs = {run_folder_name(record.run_id): record for record in _runs(keeper)}
    snapshots = {run_folder_name(run_id) for run_id in keeper.repository.snapshot_runs(keeper.connector.identifier)}
    for name in keeper.storage.folders():
        folder, record = keeper.storage.child(name), runs.get(name)
        if name in snapshots or published(folder):
            continue
        if record is None:
            written = folder.modified()
            if written is not None and keeper.is_over(written, days):
                reason = f"no run of this name; last written more than {days} days ago (unpublished_days)"
                yield _removal(keeper, name, reason, is_snapshot=False)
        elif _never_loaded(record) and keeper.is_over(record.closed_at or record.opened_at, days):
            reason = f"{record.state} more than {days} days ago (unpublished_days)"
            yield _removal(keeper, record.run_id, reason, is_snapshot=False)


def _never_loaded(record: RunRecord) -> bool:
    return record.purpose == "synchronize" and record.state in UNPUBLISHED_STATES
