"""Snapshots whose files retention removes; their manifests stay, so that the chain can still be proved.

A removal is recorded before the first file goes. Whoever finds files of a recorded removal finishes it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa

from include.repository import audit
from include.repository.errors import RepositoryError
from include.repository.holds import active_holds
from include.repository.instants import now
from include.repository.ledger import REMOVED_SNAPSHOT
from include.repository.session import Session, take
from include.repository.snapshots import find_snapshot, last_snapshot

REMOVE_SNAPSHOT, REMOVE_FILES = "remove snapshot", "remove files of run"


@dataclass(frozen=True, slots=True)
class RemovedSnapshot:
    """A snapshot whose files went: when (UTC), by whom and why; ``sha256`` is that of its manifest."""

    run_id: str
    connector: str
    sha256: str
    removed_at: datetime
    actor: str
    reason: str


def removed_snapshots(session: Session, connector: str) -> dict[str, RemovedSnapshot]:
    """The removed snapshots of a connector, by run."""
    found = session.rows(sa.select(REMOVED_SNAPSHOT).where(REMOVED_SNAPSHOT.c.connector == connector))
    return {row[0]: RemovedSnapshot(*row) for row in found}


def find_removed(session: Session, run_id: str) -> RemovedSnapshot | None:
    """The record of the removal of a run's snapshot."""
    found = session.rows(sa.select(REMOVED_SNAPSHOT).where(REMOVED_SNAPSHOT.c.run_id == run_id))
    return RemovedSnapshot(*found[0]) if found else None


def remove_snapshot(session: Session, run_id: str, *, reason: str, actor: str) -> RemovedSnapshot:
    """Put on record that the files of a snapshot go; a second time gives the first record.

    Raises:
        RepositoryError: there is no such snapshot, it is the newest of its connector, or it is on legal hold.
    """
    # Whoever places a hold takes the same counter: the hold stands before the removal, or finds it recorded.
    take(session, "hold", 0)
    done = find_removed(session, run_id)
    if done is not None:
        return done
    record = find_snapshot(session, run_id)
    if record is None:
        raise RepositoryError(f"run {run_id} has published no snapshot")
    newest = last_snapshot(session, record.connector)
    if newest is None or newest.run_id == run_id:
        raise RepositoryError(f"{record.connector}: the snapshot of run {run_id} is the newest: it stays")
    holds = [hold for hold in active_holds(session, record.connector) if hold.run_id in {None, run_id}]
    if holds:
        raise RepositoryError(f"{record.connector}: run {run_id} is on legal hold {holds[0].hold_id}: it stays")
    removed = RemovedSnapshot(run_id, record.connector, record.sha256, now(), actor, reason)
    session.run(sa.insert(REMOVED_SNAPSHOT).values(**asdict(removed)))
    detail = {"connector": record.connector, "sha256": record.sha256, "reason": reason}
    audit.append(session, actor=actor, action=REMOVE_SNAPSHOT, subject=run_id, detail=detail)
    return removed


def record_files_removed(session: Session, connector: str, subject: str, *, reason: str, actor: str) -> None:
    """Put on record that the files of a run that published nothing go; done again after a crash, it is recorded once.

    Raises:
        RepositoryError: the connector is on legal hold.
    """
    take(session, "hold", 0)
    if any(hold.run_id is None for hold in active_holds(session, connector)):
        raise RepositoryError(f"{connector}: on legal hold: {subject} stays")
    if not audit.is_last(session, subject, REMOVE_FILES):
        detail = {"connector": connector, "reason": reason}
        audit.append(session, actor=actor, action=REMOVE_FILES, subject=subject, detail=detail)
