"""Runs: what was asked for, how far it came, and which one is open; every step is on the audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from include.repository import audit
from include.repository.errors import RepositoryError, RunOverlap
from include.repository.ledger import RUN, now
from include.repository.session import Session, take

Purpose = Literal["synchronize", "provision"]
RunState = Literal["running", "blocked", "loaded", "rejected", "failed", "skipped", "done"]
OPEN_STATES: tuple[RunState, ...] = ("running", "blocked")
PIPELINE = "pipeline"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of one connector. ``mode`` is what was decided, ``requested_mode`` what was asked for."""

    run_id: str
    connector: str
    purpose: Purpose
    mode: str
    requested_mode: str
    state: RunState = "running"
    message: str = ""
    counters: Mapping[str, Any] = field(default_factory=dict)
    opened_at: datetime | None = None
    closed_at: datetime | None = None


def open_run(session: Session, record: RunRecord, actor: str) -> RunRecord:
    """Record a run and return it as stored; a run that is open already stays as it is.

    A closed run of the same id (its tasks were cleared) opens again under its first ``opened_at``.

    Raises:
        RunOverlap: another run of the same connector and purpose is open.
    """
    take(session, "run")
    stored = find_run(session, record.run_id)
    if stored and stored.state == record.state:
        return stored
    if record.state in OPEN_STATES:
        other = running(session, record.connector, besides=record.run_id, purpose=record.purpose)
        if other:
            raise RunOverlap(
                f"{record.connector}: run {other.run_id} is {other.state} since {other.opened_at} UTC; "
                "wait for it, or close it"
            )
    at = now()
    opened = replace(
        record,
        opened_at=(stored.opened_at if stored else record.opened_at) or at,
        closed_at=None if record.state in OPEN_STATES else at,
    )
    if stored:
        session.run(sa.update(RUN).where(RUN.c.run_id == record.run_id).values(_values(opened)))
    else:
        session.run(sa.insert(RUN).values(_values(opened)))
    detail = {"connector": record.connector, "purpose": record.purpose, "mode": record.mode}
    detail |= {"requested_mode": record.requested_mode, "state": record.state, "message": record.message}
    audit.append(session, actor=actor, action="open run", subject=record.run_id, detail=detail)
    return opened


def close_run(
    session: Session, run_id: str, state: RunState, message: str, counters: Mapping[str, Any] | None, *, actor: str
) -> None:
    """Set a run's state; closing it again the same way changes nothing.

    ``blocked`` and ``running`` keep it open. ``counters`` of None keeps those that it has.

    Raises:
        RepositoryError: there is no such run.
    """
    take(session, "run")
    stored = find_run(session, run_id)
    if stored is None:
        raise RepositoryError(f"run {run_id}: not known to the repository; open it first")
    kept = stored.counters if counters is None else counters
    if (stored.state, stored.message, stored.counters) == (state, message, kept):
        return
    closed = replace(
        stored, state=state, message=message, counters=kept, closed_at=None if state in OPEN_STATES else now()
    )
    session.run(sa.update(RUN).where(RUN.c.run_id == run_id).values(_values(closed)))
    detail = {"connector": stored.connector, "state": state, "message": message, "counters": dict(kept)}
    action = "keep run" if state in OPEN_STATES else "close run"
    audit.append(session, actor=actor, action=action, subject=run_id, detail=detail)


def find_run(session: Session, run_id: str) -> RunRecord | None:
    """The run of that id."""
    found = _records(session, sa.select(RUN).where(RUN.c.run_id == run_id))
    return found[0] if found else None


def list_runs(session: Session, connector: str | None, limit: int) -> list[RunRecord]:
    """The newest runs first, of one connector or of all."""
    query = sa.select(RUN).order_by(RUN.c.opened_at.desc(), RUN.c.run_id.desc()).limit(limit)
    return _records(session, query if connector is None else query.where(RUN.c.connector == connector))


def running(session: Session, connector: str, *, besides: str | None, purpose: str | None) -> RunRecord | None:
    """The oldest open run of a connector, other than ``besides``; of one purpose or of any."""
    query = sa.select(RUN).where(RUN.c.connector == connector, RUN.c.state.in_(OPEN_STATES))
    if besides is not None:
        query = query.where(RUN.c.run_id != besides)
    if purpose is not None:
        query = query.where(RUN.c.purpose == purpose)
    found = _records(session, query.order_by(RUN.c.opened_at, RUN.c.run_id).limit(1))
    return found[0] if found else None


def _values(record: RunRecord) -> dict[str, Any]:
    values = {column.name: getattr(record, column.name) for column in RUN.columns}
    return values | {"counters": json.dumps(dict(record.counters), sort_keys=True)}


def _records(session: Session, query: sa.Select[Any]) -> list[RunRecord]:
    names = RUN.columns.keys()
    found = [dict(zip(names, row, strict=True)) for row in session.rows(query)]
    return [RunRecord(**{**row, "counters": json.loads(row["counters"])}) for row in found]
