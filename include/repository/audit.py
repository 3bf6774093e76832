"""The audit trail: append-only (by triggers) and hash-chained.

``hash`` = SHA-256 over the previous row's hash and the row as canonical JSON (sorted keys, no spaces,
ASCII). Changing, removing or inserting a row anywhere breaks the chain there; removing the last rows shows
against the counter of rows. Someone who can rewrite the whole table and the counter can also rewrite the
hashes: keep the newest hash elsewhere (``Repository.audit(limit=1)``) where that is a concern.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from include.repository.instants import now
from include.repository.ledger import AUDIT, COUNTER
from include.repository.session import CoreSession, Session, take

ORIGIN = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry: who did what to what, when (UTC), and the links of the chain."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    previous_hash: str
    hash: str


def append(session: Session, *, actor: str, action: str, subject: str, detail: Mapping[str, Any]) -> int:
    """Append one entry in the session's transaction and return its sequence.

    ``detail`` must be JSON; values of other types are kept as their text.
    """
    sequence = take(session, "audit")
    last = session.rows(sa.select(AUDIT.c.hash).order_by(AUDIT.c.sequence.desc()).limit(1))
    previous = str(last[0][0]) if last else ORIGIN
    row = {
        "sequence": sequence,
        "at": now(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": json.dumps(dict(detail), sort_keys=True, default=str),
    }
    session.run(sa.insert(AUDIT).values(**row, previous_hash=previous, hash=_hash(previous, row)))
    return sequence


def is_last(session: Session, subject: str, action: str) -> bool:
    """Whether the newest entry of a subject is of that action."""
    query = sa.select(AUDIT.c.action).where(AUDIT.c.subject == subject)
    return session.rows(query.order_by(AUDIT.c.sequence.desc()).limit(1)) == [(action,)]


def entries(session: CoreSession, *, limit: int, subject: str | None = None) -> list[AuditEntry]:
    """The newest entries first, of one subject or of all."""
    query = sa.select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(limit)
    if subject is not None:
        query = query.where(AUDIT.c.subject == subject)
    return read(session, query)


def read(session: CoreSession, query: sa.Select[Any]) -> list[AuditEntry]:
    """The entries that a query over the whole rows of the trail finds."""
    return [
        AuditEntry(**{**row, "detail": json.loads(row["detail"])})
        for row in session.connection.execute(query).mappings()
    ]


def broken_links(session: CoreSession) -> Iterator[str]:
    """One line for every place where the chain does not hold."""
    expected, previous = 1, ORIGIN
    for row in session.connection.execute(sa.select(AUDIT).order_by(AUDIT.c.sequence)).mappings():
        sequence = row["sequence"]
        if sequence != expected:
            yield f"audit {sequence}: {sequence - expected} entries before it are missing"
        elif row["previous_hash"] != previous:
            yield f"audit {sequence}: it does not follow the entry before it"
        if _hash(row["previous_hash"], dict(row)) != row["hash"]:
            yield f"audit {sequence}: its content is not what was recorded"
        expected, previous = sequence + 1, row["hash"]
    [(appended,)] = session.rows(sa.select(COUNTER.c.value).where(COUNTER.c.name == "audit"))
    if appended >= expected:
        yield f"audit {expected}: {appended - expected + 1} entries at the end are missing"


def _hash(previous: str, row: Mapping[str, Any]) -> str:
    content = {name: row[name] for name in ("sequence", "actor", "action", "subject", "detail")}
    content["at"] = row["at"].isoformat(timespec="microseconds")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}{canonical}".encode()).hexdigest()
