"""Published snapshots: each connector's manifests, in order, chained by SHA-256."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from include.repository.ledger import SNAPSHOT
from include.repository.session import Session


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
            sha256=hashlib.sha256(manifest.encode()).hexdigest(),
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
