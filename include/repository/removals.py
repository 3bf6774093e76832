"""Snapshots whose files retention has removed; their manifests stay, so that the chain can still be proved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from include.repository.ledger import REMOVED_SNAPSHOT
from include.repository.session import Session


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
