"""A transaction in which SQLAlchemy clauses run, whichever library carries it.

Two carry it: SQLAlchemy itself (small reads and writes) and ADBC (a load, see ``bulk``), so that what a
load shares with the rest (counters, the audit trail) is written once.
"""

from __future__ import annotations

from typing import Any, Protocol

import sqlalchemy as sa

from include.repository.ledger import COUNTER


class Session(Protocol):
    """One open transaction."""

    def rows(self, clause: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query, as Python values; meant for few."""
        ...

    def run(self, clause: sa.Insert | sa.Update) -> int:
        """Run one statement and return how many rows it touched."""
        ...

    def rollback(self) -> None:
        """Undo everything since the beginning; nothing may follow."""
        ...


class CoreSession:
    """A session on a SQLAlchemy connection."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def rows(self, clause: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return [tuple(row) for row in self.connection.execute(clause)]

    def run(self, clause: sa.Insert | sa.Update) -> int:
        """Run one statement and return how many rows it touched."""
        return self.connection.execute(clause).rowcount

    def rollback(self) -> None:
        """Undo everything since the beginning; nothing may follow."""
        self.connection.rollback()


def take(session: Session, counter: str, count: int = 1) -> int:
    """Take ``count`` numbers from a counter and return the first.

    The counter stays locked until the transaction ends: this is how writers wait for each other.
    """
    session.run(sa.update(COUNTER).where(COUNTER.c.name == counter).values(value=COUNTER.c.value + count))
    [(value,)] = session.rows(sa.select(COUNTER.c.value).where(COUNTER.c.name == counter))
    return int(value) - count + 1
