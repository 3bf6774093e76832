"""Legal holds: what nobody may remove until the hold is released or its time is over.

A hold is on a connector, or on one of its snapshots. Released holds stay on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from include.repository import audit
from include.repository.errors import RepositoryError
from include.repository.instants import now
from include.repository.ledger import HOLD, REMOVED_SNAPSHOT, SNAPSHOT
from include.repository.session import Session, take


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold: on a whole connector, or on the snapshot of ``run_id``; instants are UTC."""

    hold_id: int
    connector: str
    run_id: str | None
    placed_at: datetime
    placed_by: str
    reason: str
    until: datetime | None = None
    released_at: datetime | None = None
    released_by: str | None = None
    release_reason: str | None = None

    def is_active(self, at: datetime) -> bool:
        """Whether it holds at an instant."""
        return self.released_at is None and (self.until is None or at < self.until)

    @property
    def subject(self) -> str:
        """What it is on, in a word: the run, or the connector."""
        return self.run_id or self.connector


def place(
    session: Session, connector: str, run_id: str | None, *, reason: str, until: datetime | None, actor: str
) -> Hold:
    """Place a hold and return it.

    Raises:
        RepositoryError: no reason is given, ``until`` is over, or the run has no snapshot whose files are there.
    """
    if not reason.strip():
        raise RepositoryError("a legal hold needs a reason")
    if until is not None and until <= now():
        raise RepositoryError(f"a hold until {until.isoformat()} would be over already")
    hold_id = take(session, "hold")
    if run_id is not None:
        _refuse_unknown(session, connector, run_id)
    hold = Hold(hold_id, connector, run_id, now(), actor, reason, until)
    values = {column.name: getattr(hold, column.name) for column in HOLD.columns}
    session.run(sa.insert(HOLD).values(**values))
    detail = {"hold": hold_id, "connector": connector, "run": run_id, "reason": reason, "until": until}
    audit.append(session, actor=actor, action="place hold", subject=hold.subject, detail=detail)
    return hold


def _refuse_unknown(session: Session, connector: str, run_id: str) -> None:
    found = session.rows(sa.select(SNAPSHOT.c.connector).where(SNAPSHOT.c.run_id == run_id))
    if found != [(connector,)]:
        raise RepositoryError(f"run {run_id} has published no snapshot of {connector}")
    gone = session.rows(sa.select(REMOVED_SNAPSHOT.c.removed_at).where(REMOVED_SNAPSHOT.c.run_id == run_id))
    if gone:
        raise RepositoryError(f"the files of run {run_id} were removed on {gone[0][0]:%Y-%m-%d}")


def release(session: Session, hold_id: int, *, reason: str, actor: str) -> Hold:
    """Release a hold and return it as it was.

    Raises:
        RepositoryError: there is no such hold, it was released before, or no reason is given.
    """
    if not reason.strip():
        raise RepositoryError("the release of a legal hold needs a reason")
    take(session, "hold", 0)
    found = session.rows(sa.select(HOLD).where(HOLD.c.hold_id == hold_id))
    if not found:
        raise RepositoryError(f"there is no hold {hold_id}; see 'rollcall show holds'")
    hold = Hold(*found[0])
    if hold.released_at is not None:
        raise RepositoryError(f"hold {hold_id} was released by {hold.released_by} on {hold.released_at:%Y-%m-%d}")
    change = {"released_at": now(), "released_by": actor, "release_reason": reason}
    session.run(sa.update(HOLD).where(HOLD.c.hold_id == hold_id).values(**change))
    detail = {"hold": hold_id, "connector": hold.connector, "run": hold.run_id, "reason": reason}
    audit.append(session, actor=actor, action="release hold", subject=hold.subject, detail=detail)
    return hold


def list_holds(session: Session, connector: str | None = None) -> list[Hold]:
    """Every hold that was ever placed, of one connector or of all, in order."""
    query = sa.select(HOLD).order_by(HOLD.c.hold_id)
    if connector is not None:
        query = query.where(HOLD.c.connector == connector)
    return [Hold(*row) for row in session.rows(query)]


def active_holds(session: Session, connector: str | None = None) -> list[Hold]:
    """The holds that hold now."""
    at = now()
    return [hold for hold in list_holds(session, connector) if hold.is_active(at)]
