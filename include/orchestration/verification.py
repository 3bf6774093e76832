"""Whether everything that was published is still what was published: snapshots, their chain, the audit trail."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from include.model.environment import storage_url
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import StepFailed, published_snapshot
from include.repository.repository import RemovedSnapshot, Repository, SnapshotRecord
from include.snapshot.manifest import published
from include.snapshot.proof import Progress, prove_files
from include.storage.folder import Folder, run_folder_name

Watch = Callable[[str, int], Progress]
"""Called with a run and the bytes that its proof reads; gives what counts them."""


@dataclass(frozen=True, slots=True)
class SnapshotProof:
    """What was found of one snapshot; ``files`` and ``bytes`` count what was read, 0 of one that was not."""

    run_id: str
    published_at: datetime
    files: int = 0
    bytes: int = 0
    faults: tuple[str, ...] = ()
    removed: RemovedSnapshot | None = None


@dataclass(frozen=True, slots=True)
class ConnectorProof:
    """What was found of one connector's snapshots.

    ``proved`` are those whose files were checked, ``removed`` those that retention took away, ``left_out`` counts
    those that a sample did not take. ``faults`` are those of the chain and of folders that no snapshot explains.
    """

    connector: str
    proved: tuple[SnapshotProof, ...]
    removed: tuple[SnapshotProof, ...]
    left_out: int
    faults: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """One line per fault."""
        found = [f"{self.connector}: {fault}" for fault in self.faults]
        return found + [f"{self.connector}: {item.run_id}: {fault}" for item in self.proved for fault in item.faults]


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found of everything; ``trail`` are the faults of the audit trail."""

    connectors: tuple[ConnectorProof, ...]
    trail: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """One line per fault; none when all holds."""
        return [*self.trail, *(line for item in self.connectors for line in item.lines)]


def _unwatched(_run_id: str, _size: int) -> Progress:
    return lambda _count: None


def verify(
    connector: str | None = None, run_id: str | None = None, *, sample: int | None = None, watch: Watch = _unwatched
) -> Verification:
    """Prove published snapshots and the audit trail; nothing is changed.

    The chain of manifests is proved whole in any case, of every connector that ever published a snapshot.

    Args:
        connector: only this one's snapshots; every connector's when left out.
        run_id: only the files of this run's snapshot.
        sample: read the files of so many snapshots of each connector, the newest and others at random; of all
            when left out.
        watch: told of each snapshot before its files are read.

    Raises:
        UnknownConnector: it has no snapshot, and the configuration does not have it either.
        StepFailed: the run has published no snapshot (of this connector).
    """
    configuration = load_project()
    repository = open_repository(configuration)
    chains = repository.verify_snapshots()
    if run_id is not None:
        connector = _connector_of(repository, run_id, connector)
    if connector is not None and connector not in chains:
        find_connector(configuration, connector)
    wanted = sorted(chains) if connector is None else [connector]
    proofs = [
        _prove_connector(repository, item, chains.get(item, []), run_id=run_id, sample=sample, watch=watch)
        for item in wanted
    ]
    return Verification(tuple(proofs), tuple(repository.verify_audit()))


def _connector_of(repository: Repository, run_id: str, connector: str | None) -> str:
    record = repository.snapshot(run_id)
    if record is None:
        raise StepFailed(f"run {run_id} has published no snapshot")
    if connector not in {None, record.connector}:
        raise StepFailed(f"run {run_id} is one of {record.connector}, not of {connector}")
    return record.connector


def _prove_connector(
    repository: Repository, connector: str, chain: list[str], *, run_id: str | None, sample: int | None, watch: Watch
) -> ConnectorProof:
    runs = list(repository.snapshot_runs(connector))
    strangers = [] if run_id else list(_strangers(connector, runs))
    there = set(repository.removed_snapshots(connector))
    chosen = [run_id] if run_id else [*_sampled([item for item in runs if item not in there], sample), *there]
    proofs = [
        _prove_snapshot(repository, record, watch)
        for item in runs
        if item in chosen and (record := repository.snapshot(item)) is not None
    ]
    return ConnectorProof(
        connector,
        proved=tuple(item for item in proofs if item.removed is None),
        removed=tuple(item for item in proofs if item.removed is not None),
        left_out=len(runs) - len(proofs),
        faults=(*chain, *strangers),
    )


def _sampled(runs: list[str], sample: int | None) -> list[str]:
    if sample is None or sample >= len(runs):
        return runs
    # The newest one is what the next incremental run starts from.
    others = random.sample(runs[:-1], max(sample - 1, 0))
    return [*others, *runs[-1:]]


def _prove_snapshot(repository: Repository, record: SnapshotRecord, watch: Watch) -> SnapshotProof:
    """Read the files of one snapshot, unless retention removed it; it may do so meanwhile."""
    removed = repository.removed_snapshot(record.run_id)
    if removed is None:
        snapshot = published_snapshot(record)
        try:
            found = prove_files(snapshot, watch(record.run_id, snapshot.bytes))
        except (ValueError, KeyError, TypeError):
            return SnapshotProof(record.run_id, record.published_at, faults=("its manifest cannot be read",))
        removed = repository.removed_snapshot(record.run_id) if found.faults else None
        if removed is None:
            return SnapshotProof(record.run_id, record.published_at, found.files, found.bytes, found.faults)
    return SnapshotProof(record.run_id, record.published_at, removed=removed)


def _strangers(connector: str, runs: list[str]) -> Iterator[str]:
    """Folders that say they are published, while the repository knows no such snapshot."""
    storage, known = Folder(storage_url()).child(connector), {run_folder_name(item) for item in runs}
    for name in storage.folders():
        if name not in known and published(storage.child(name)):
            yield f"folder {name}: it holds a manifest, and the repository knows no such snapshot"
