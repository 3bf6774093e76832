"""Runs: what was asked for, how far it came, and which one is open; every step is on the audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from include.repository import audit
from include.repository.errors import RepositoryError, RunEnded, RunOverlap
from include.repository.instants import now
from include.repository.ledger import RUN
from include.repository.session import Session, take

Purpose = Literal["synchronize", "provision"]
RunState = Literal["running", "blocked", "loaded", "rejected", "failed", "skipped", "superseded", "done"]
OPEN_STATES: tuple[RunState, ...] = ("running", "blocked")
ENDED_STATES: tuple[RunState, ...] = ("loaded", "done")
PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one connector.

    ``mode`` is what was decided, ``requested_mode`` what was asked for, ``reason`` why they differ.
    """

    run_id: str
    connector: str
    purpose: Purpose
    mode: str
    requested_mode: str
    state: RunState = "running"
    message: str = ""
    reason: str | None = None
    counters: Mapping[str, Any] = field(default_factory=dict)
    opened_at: datetime = field(default_factory=now)
    closed_at: datetime | None = None


def hold_open(session: Session, run_id: str) -> None:
    """Hold the row of a run until the transaction ends, so that nobody ends the run meanwhile.

    Raises:
        RunEnded: it is a synchronization that is no longer open.
    """
    _hold(session, run_id)
    record = find_run(session, run_id)
    if record is not None and record.purpose == "synchronize" and record.state not in OPEN_STATES:
        why = f" ({record.message})" if record.message else ""
        raise RunEnded(f"{record.connector}: run {run_id} is {record.state}{why}; nothing was written: start a new run")


def open_run(session: Session, record: RunRecord, actor: str) -> RunRecord:
    """Record a run and return it as stored; one that is open, superseded, or came to its end, stays as it is.

    A run that failed, was rejected or skipped (and its tasks cleared) opens again under its first ``opened_at``.

    Raises:
        RunOverlap: another run of the same connector and purpose is open.
    """
    take(session, "run")
    stored = find_run(session, record.run_id)
    if stored and stored.state in {*OPEN_STATES, *ENDED_STATES, "superseded", record.state}:
        return stored
    if record.state in OPEN_STATES:
        _refuse_overlap(session, record)
    opened = replace(
        record,
        opened_at=stored.opened_at if stored else record.opened_at,
        closed_at=None if record.state in OPEN_STATES else now(),
    )
    if stored:
        session.run(sa.update(RUN).where(RUN.c.run_id == record.run_id).values(_values(opened)))
    else:
        session.run(sa.insert(RUN).values(_values(opened)))
    names = ("connector", "purpose", "mode", "requested_mode", "state", "message", "reason")
    detail = {name: getattr(opened, name) for name in names}
    audit.append(session, actor=actor, action="open run", subject=record.run_id, detail=detail)
    return opened


def _refuse_overlap(session: Session, record: RunRecord) -> None:
    other = running(session, record.connector, record.purpose, besides=record.run_id)
    if other:
        since = other.opened_at.isoformat(timespec="seconds")
        raise RunOverlap(
            f"{record.connector}: run {other.run_id} is {other.state} since {since}; wait for it, or close it"
        )


def set_state(
    session: Session,
    run_id: str,
    state: RunState,
    *,
    message: str,
    counters: Mapping[str, Any] | None,
    actor: str,
) -> None:
    """Set a run's state; setting the same again changes nothing.

    ``running`` and ``blocked`` keep it open. ``counters`` of None keeps those that it has.

    Raises:
        RepositoryError: there is no such run.
        RunEnded: another run has taken its place.
    """
    take(session, "run")
    _hold(session, run_id)
    stored = find_run(session, run_id)
    if stored is None:
        raise RepositoryError(f"run {run_id}: not known to the repository; open it first")
    kept = dict(stored.counters if counters is None else counters)
    if (stored.state, stored.message, stored.counters) == (state, message, kept):
        return
    if stored.state == "superseded":
        raise RunEnded(f"{stored.connector}: run {run_id} was {stored.message}; nothing of it is recorded any more")
    closed_at = None if state in OPEN_STATES else now()
    changed = replace(stored, state=state, message=message, counters=kept, closed_at=closed_at)
    session.run(sa.update(RUN).where(RUN.c.run_id == run_id).values(_values(changed)))
    recorded = {"connector": stored.connector, "state": state, "message": message, "counters": kept}
    audit.append(session, actor=actor, action=_ACTIONS[state], subject=run_id, detail=recorded)


def reject(session: Session, run_id: str, *, message: str, evidence: Mapping[str, Any], actor: str) -> None:
    """End a run as rejected, with what was decided and seen on the trail; a second time changes nothing.

    Raises:
        RepositoryError: there is no such run.
    """
    take(session, "run")
    stored = find_run(session, run_id)
    if stored is None or stored.state not in {"rejected", "superseded"}:
        audit.append(session, actor=actor, action="reject", subject=run_id, detail=evidence)
    set_state(session, run_id, "rejected", message=message, counters=None, actor=actor)


def supersede(session: Session, run_id: str, by: str) -> bool:
    """End an open run in favour of another one; false, and nothing changed, when it was not open any more.

    A run that is being loaded is waited for, and is loaded then.
    """
    take(session, "run")
    message = f"superseded by run {by}"
    ended = session.run(
        sa.update(RUN)
        .where(RUN.c.run_id == run_id, RUN.c.state.in_(OPEN_STATES))
        .values(state="superseded", message=message, closed_at=now())
    )
    stored = find_run(session, run_id) if ended else None
    if stored is None:
        return False
    recorded = {"connector": stored.connector, "state": "superseded", "message": message, "by": by}
    audit.append(session, actor=PIPELINE, action="supersede run", subject=run_id, detail=recorded)
    return True


def change_mode(session: Session, run_id: str, mode: str, reason: str) -> None:
    """Record that an open run turned out to be of another mode than decided, and why; again changes nothing."""
    take(session, "run")
    _hold(session, run_id)
    stored = find_run(session, run_id)
    if stored is None or stored.state not in OPEN_STATES or (stored.mode, stored.reason) == (mode, reason):
        return
    changed = replace(stored, mode=mode, reason=reason)
    session.run(sa.update(RUN).where(RUN.c.run_id == run_id).values(_values(changed)))
    detail = {"connector": stored.connector, "mode": mode, "reason": reason}
    audit.append(session, actor=PIPELINE, action="change mode", subject=run_id, detail=detail)


_ACTIONS: dict[RunState, str] = {
    "running": "resume run",
    "blocked": "block run",
    "loaded": "close run",
    "rejected": "reject run",
    "failed": "close run",
    "skipped": "close run",
    "superseded": "supersede run",
    "done": "close run",
}


def find_run(session: Session, run_id: str) -> RunRecord | None:
    """The run of that id."""
    found = _records(session, sa.select(RUN).where(RUN.c.run_id == run_id))
    return found[0] if found else None


def list_runs(session: Session, connector: str | None, limit: int | None) -> list[RunRecord]:
    """The newest runs first, of one connector or of all."""
    query = sa.select(RUN).order_by(RUN.c.opened_at.desc(), RUN.c.run_id.desc()).limit(limit)
    return _records(session, query if connector is None else query.where(RUN.c.connector == connector))


def running(
    session: Session, connector: str, purpose: Purpose | None = None, *, besides: str | None = None
) -> RunRecord | None:
    """The oldest open run of a connector, other than ``besides``; of one purpose or of any."""
    query = sa.select(RUN).where(RUN.c.connector == connector, RUN.c.state.in_(OPEN_STATES))
    if besides is not None:
        query = query.where(RUN.c.run_id != besides)
    if purpose is not None:
        query = query.where(RUN.c.purpose == purpose)
    found = _records(session, query.order_by(RUN.c.opened_at, RUN.c.run_id).limit(1))
    return found[0] if found else None


def _hold(session: Session, run_id: str) -> None:
    """Wait for a load of the run that is under way, and keep the run's row until the transaction ends.

    What a load makes of its run is known only when the load has ended. It is an update that changes nothing,
    because SQLite knows no other way to hold a row.
    """
    session.run(sa.update(RUN).where(RUN.c.run_id == run_id).values(run_id=run_id))


def _values(record: RunRecord) -> dict[str, Any]:
    values = {column.name: getattr(record, column.name) for column in RUN.columns}
    return values | {"counters": json.dumps(dict(record.counters), sort_keys=True)}


def _records(session: Session, query: sa.Select[Any]) -> list[RunRecord]:
    names = RUN.columns.keys()
    found = [dict(zip(names, row, strict=True)) for row in session.rows(query)]
    return [RunRecord(**{**row, "counters": json.loads(row["counters"])}) for row in found]
