"""Published snapshots: each connector's manifests, in order, chained by SHA-256."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from include.repository.ledger import AUDIT, SNAPSHOT
from include.repository.session import CoreSession, Session
from include.storage.folder import text_sha256


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One published snapshot. ``sequence`` counts from 1 within its connector."""

    run_id: str
    connector: str
    sequence: int
    manifest: str
    sha256: str
    previous_sha256: str | None
    published_at: datetime


def publish(session: Session, *, run_id: str, connector: str, manifest: str, at: datetime) -> None:
    """Record a manifest after the connector's last one; the caller holds the lock on loads."""
    last = last_snapshot(session, connector)
    session.run(
        sa.insert(SNAPSHOT).values(
            run_id=run_id,
            connector=connector,
            sequence=last.sequence + 1 if last else 1,
            manifest=manifest,
            sha256=text_sha256(manifest),
            previous_sha256=last.sha256 if last else None,
            published_at=at,
        )
    )


def find_snapshot(session: Session, run_id: str) -> SnapshotRecord | None:
    """The snapshot that a run published."""
    found = session.rows(sa.select(SNAPSHOT).where(SNAPSHOT.c.run_id == run_id))
    return SnapshotRecord(*found[0]) if found else None


def last_snapshot(session: Session, connector: str) -> SnapshotRecord | None:
    """The newest snapshot of a connector."""
    query = sa.select(SNAPSHOT).where(SNAPSHOT.c.connector == connector)
    found = session.rows(query.order_by(SNAPSHOT.c.sequence.desc()).limit(1))
    return SnapshotRecord(*found[0]) if found else None


def last_snapshot_at(session: Session, connector: str, instant: datetime) -> SnapshotRecord | None:
    """The newest snapshot of a connector that was published at an instant (UTC) or before."""
    query = sa.select(SNAPSHOT).where(SNAPSHOT.c.connector == connector, SNAPSHOT.c.published_at <= instant)
    found = session.rows(query.order_by(SNAPSHOT.c.sequence.desc()).limit(1))
    return SnapshotRecord(*found[0]) if found else None


def snapshot_runs(session: Session, connector: str) -> dict[str, datetime]:
    """The runs that published a connector's snapshots, in order, and when (UTC) they did."""
    query = sa.select(SNAPSHOT.c.run_id, SNAPSHOT.c.published_at).where(SNAPSHOT.c.connector == connector)
    return {str(run_id): published_at for run_id, published_at in session.rows(query.order_by(SNAPSHOT.c.sequence))}


def broken_chains(session: CoreSession) -> dict[str, list[str]]:
    """By connector, one line for every place where the chain of its manifests does not hold.

    Every connector stands in it that has snapshots, or should have: the audit trail names each manifest that
    was ever published, so that neither the last snapshots nor all of them can go unseen.
    """
    published: dict[str, dict[str, str]] = {}
    for run_id, connector, manifest_sha256 in _published_on_trail(session):
        published.setdefault(connector, {})[run_id] = manifest_sha256
    stored = [str(row[0]) for row in session.rows(sa.select(SNAPSHOT.c.connector).distinct())]
    return {
        connector: list(_broken_links(session, connector, published.get(connector, {})))
        for connector in sorted({*stored, *published})
    }


def _published_on_trail(session: CoreSession) -> Iterator[tuple[str, str, str]]:
    """Run, connector and hash of each manifest that a load put on the audit trail."""
    query = sa.select(AUDIT.c.subject, AUDIT.c.detail).where(AUDIT.c.action == "load")
    for run_id, text in session.connection.execute(query.order_by(AUDIT.c.sequence)):
        detail = json.loads(text)
        # Loads of the first versions did not name their manifest.
        if "manifest_sha256" in detail:
            yield run_id, detail["connector"], detail["manifest_sha256"]


def _broken_links(session: CoreSession, connector: str, published: Mapping[str, str]) -> Iterator[str]:
    expected, previous, missing = 1, None, dict(published)
    query = sa.select(SNAPSHOT).where(SNAPSHOT.c.connector == connector).order_by(SNAPSHOT.c.sequence)
    # Manifests are long: a few at a time.
    for row in session.connection.execute(query.execution_options(yield_per=100)):
        record = SnapshotRecord(*row)
        where = f"snapshot {record.sequence} (run {record.run_id})"
        if record.sequence != expected:
            yield f"{where}: {record.sequence - expected} snapshots before it are missing"
        elif record.previous_sha256 != previous:
            yield f"{where}: it does not follow the snapshot before it"
        if text_sha256(record.manifest) != record.sha256:
            yield f"{where}: its manifest in the repository is not what was recorded"
        elif not _names(record):
            yield f"{where}: its manifest in the repository is that of another snapshot"
        if missing.pop(record.run_id, record.sha256) != record.sha256:
            yield f"{where}: the audit trail names another manifest"
        expected, previous = record.sequence + 1, record.sha256
    for run_id in missing:
        yield f"run {run_id}: its load is on the audit trail, its snapshot is missing in the repository"


def _names(record: SnapshotRecord) -> bool:
    """Whether a manifest says of itself what is recorded beside it."""
    try:
        content = json.loads(record.manifest)
        said = (content["connector"], content["facts"]["run_id"], content["previous_sha256"])
    except (ValueError, KeyError, TypeError):
        return False
    return bool(said == (record.connector, record.run_id, record.previous_sha256))
