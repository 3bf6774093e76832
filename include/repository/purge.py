"""Remove or thin the past (engine.md 2.11). What is current never goes.

Thinning and removing duplicates keep the time line: the version before takes over the span of the versions
that go. The first version after a gap stays, so that a resource was there exactly when it was; only its
values within a span become coarser. Links hold no values, so there is nothing to thin in them.

Each table is one transaction that holds back loads; what was removed, by whom and up to when is on the audit
trail of the table. Running again removes nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from include.model.configuration import Association, Configuration, EntityType
from include.repository import audit
from include.repository.database import Database
from include.repository.disposable import disposable
from include.repository.errors import RepositoryError
from include.repository.instants import VersionInstant, naive, now
from include.repository.ledger import AUDIT
from include.repository.ranges import parse_ranges
from include.repository.session import CoreSession, take
from include.repository.tables import Schema, is_closed, is_current

PURGE, THIN, DUPLICATES = "purge history", "thin history", "remove duplicate versions"

_TEMPORARY = sa.MetaData()
WINDOW = sa.Table(
    "rollcall_window", _TEMPORARY, sa.Column("begins", VersionInstant, primary_key=True), prefixes=["TEMPORARY"]
)
REMOVED = sa.Table(
    "rollcall_removed",
    _TEMPORARY,
    sa.Column("resource_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("valid_from", VersionInstant, primary_key=True),
    sa.Column("valid_to", VersionInstant, nullable=False),
    sa.Column("closed_by_load_id", sa.BigInteger),
    sa.Column("heir", VersionInstant, nullable=False),
    prefixes=["TEMPORARY"],
)
"""The versions that go; ``heir`` is the start of the version of the same resource that takes over their span."""


@dataclass(frozen=True, slots=True)
class History:
    """Whose history it is about: the database, its tables, and the connectors on legal hold."""

    database: Database
    schema: Schema
    configuration: Configuration
    held: Collection[str]

    def disposable(self) -> list[tuple[EntityType | Association, sa.ColumnElement[bool]]]:
        """What may be touched (``disposable.disposable``)."""
        return list(disposable(self.schema, self.configuration, self.held))


def _windows(ranges: str, at: datetime) -> list[datetime]:
    """Where each window begins, the newest first; each ends where the one before begins, the first at ``at``."""
    begins, found = at, list[datetime]()
    try:
        for span in parse_ranges(ranges):
            for _ in range(span.count):
                begins -= timedelta(minutes=span.minutes)
                found.append(begins)
    except OverflowError:
        raise RepositoryError(f"ranges '{ranges}': they reach further back than the year 1") from None
    return found


def purge_before(history: History, instant: datetime, *, by: str) -> dict[str, int]:
    """Remove every version of resources, links, assignments and orders that ended at an instant (UTC) or before.

    Returns:
        The rows removed from each table that may be touched.

    Raises:
        RepositoryError: the instant lies in the future.
    """
    cut_off = naive(instant)
    if cut_off > naive(now()):
        raise RepositoryError(f"purge before {instant.isoformat()}: that is in the future, all history would go")
    removed = dict[str, int]()
    for item, condition in history.disposable():
        table = history.schema.table(item)
        gone = sa.delete(table).where(is_closed(table), table.c.valid_to <= cut_off, condition)
        with _changing(history, item, PURGE, by, {"cut_off": cut_off.isoformat()}) as change:
            removed[item.identifier] = change.record(change.session.connection.execute(gone).rowcount)
    return removed


def thin(history: History, ranges: str, at: datetime | None = None, *, by: str) -> dict[str, int]:
    """Keep one version of each resource, assignment and order per window (``parse_ranges``), its first.

    Keeping the first of a window is stable: run every day or every hour, the same versions stay. The oldest
    and the newest version of a resource stay always, older than all windows only the oldest.

    Args:
        history: whose.
        ranges: ``minutes:count`` pairs, going back from ``at``.
        at: where they begin (UTC); now when left out.
        by: who asked for it.

    Returns:
        The rows removed from each table that may be touched.

    Raises:
        RepositoryError: the ranges cannot be read.
    """
    start = naive(at or now())
    windows = _windows(ranges, start)
    removed = dict[str, int]()
    for item, condition in history.disposable():
        if isinstance(item, Association):
            continue
        facts = {"ranges": ranges, "at": start.isoformat(), "cut_off": windows[0].isoformat()}
        with _changing(history, item, THIN, by, facts) as change:
            connection = change.session.connection
            WINDOW.create(connection)
            connection.execute(sa.insert(WINDOW), [{"begins": begins} for begins in sorted(set(windows))])
            table = history.schema.table(item)
            marked = _outside_windows(table, condition, start)
            removed[item.identifier] = change.record(_hand_over(connection, table, marked))
            WINDOW.drop(connection)
    return removed


def remove_duplicates(history: History, entity: EntityType, excluded: Collection[str], *, by: str) -> int:
    """Remove versions that differ from the one before them in excluded properties only; how many.

    Raises:
        RepositoryError: the entity type has no such property, or its history is on legal hold.
    """
    unknown = sorted(set(excluded) - {item.identifier for item in entity.properties})
    if unknown:
        raise RepositoryError(f"{entity.identifier}: no property {', '.join(unknown)}")
    conditions = [condition for item, condition in history.disposable() if item.identifier == entity.identifier]
    if not conditions:
        raise RepositoryError(f"{entity.identifier}: its history is on legal hold; nothing was removed")
    table = history.schema.table(entity)
    compared = [item.identifier for item in entity.properties if item.identifier not in excluded]
    with _changing(history, entity, DUPLICATES, by, {"excluded": sorted(excluded)}) as change:
        marked = _unlike_the_one_before(table, conditions[0], compared)
        return change.record(_hand_over(change.session.connection, table, marked))


def purged_before(session: CoreSession, identifier: str) -> datetime | None:
    """The newest cut-off of a purge that removed history of a table: what was before it is known in part only."""
    query = sa.select(AUDIT.c.detail).where(AUDIT.c.subject == identifier, AUDIT.c.action == PURGE)
    cut_offs = [json.loads(detail)["cut_off"] for (detail,) in session.rows(query)]
    return max(map(datetime.fromisoformat, cut_offs)).replace(tzinfo=UTC) if cut_offs else None


class _Change:
    """One table's transaction under way; ``record`` writes what was removed to the audit trail."""

    def __init__(self, session: CoreSession, subject: str, action: str, by: str, facts: Mapping[str, Any]) -> None:
        self.session = session
        self._entry = {"actor": by, "action": action, "subject": subject}
        self._facts = facts

    def record(self, rows: int) -> int:
        """Record the rows removed, where there are any, and return their number."""
        if rows:
            audit.append(self.session, **self._entry, detail={**self._facts, "rows": rows})
        return rows


@contextmanager
def _changing(
    history: History, item: EntityType | Association, action: str, by: str, facts: Mapping[str, Any]
) -> Iterator[_Change]:
    with history.database.write() as session:
        # The counter of loads is their lock; no number is taken.
        take(session, "load", 0)
        yield _Change(session, item.identifier, action, by, {**facts, "held": sorted(history.held)})


def _over(table: sa.FromClause) -> dict[str, Any]:
    """The window of a resource's versions, in order of time."""
    return {"partition_by": table.c.resource_id, "order_by": table.c.valid_from}


def _begins_span(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a version does not follow directly upon another of its resource."""
    before = sa.func.lag(table.c.valid_to, type_=table.c.valid_to.type).over(**_over(table))
    return before.is_distinct_from(table.c.valid_from)


def _marked(table: sa.Table, condition: sa.ColumnElement[bool], *columns: sa.ColumnElement[Any]) -> sa.CTE:
    """The versions of the resources that have a past, with more columns."""
    has_past = table.c.resource_id.in_(sa.select(table.c.resource_id).where(is_closed(table)))
    own = (table.c.resource_id, table.c.valid_from, table.c.valid_to, table.c.closed_by_load_id)
    return sa.select(*own, *columns).where(has_past, condition).cte()


def _outside_windows(table: sa.Table, condition: sa.ColumnElement[bool], at: datetime) -> sa.Select[Any]:
    """Versions with ``stays``: whether they are the oldest, the newest, the first of a span or of a window."""
    following = sa.func.lead(table.c.valid_from).over(**_over(table))
    window = sa.select(sa.func.max(WINDOW.c.begins)).where(WINDOW.c.begins <= table.c.valid_from).scalar_subquery()
    placed = _marked(
        table,
        condition,
        window.label("begins"),
        sa.or_(following.is_(None), _begins_span(table), is_current(table), table.c.valid_from > at).label("kept"),
    )
    before = sa.func.lag(placed.c.begins).over(**_over(placed))
    is_first = sa.and_(placed.c.begins.is_not(None), placed.c.begins.is_distinct_from(before))
    return sa.select(placed, sa.or_(placed.c.kept, is_first).label("stays"))


def _unlike_the_one_before(
    table: sa.Table, condition: sa.ColumnElement[bool], compared: Sequence[str]
) -> sa.Select[Any]:
    """Versions with ``stays``: whether they are current, the first of a span, or differ in a compared property."""
    different = [
        value.is_distinct_from(sa.func.lag(value, type_=value.type).over(**_over(table)))
        for value in (_exact(table.c[column]) for column in compared)
    ]
    stays = sa.or_(is_current(table), _begins_span(table), *different)
    return sa.select(_marked(table, condition, stays.label("stays")))


def _exact(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A value to compare: a double by its text, since PostgreSQL takes -0.0 for 0.0."""
    return sa.cast(column, sa.Text) if isinstance(column.type, sa.types.TypeDecorator) else column


def _hand_over(connection: sa.Connection, table: sa.Table, marked: sa.Select[Any]) -> int:
    """Remove the versions that do not stay, and give their spans to the ones before; how many went."""
    version = marked.cte()
    heir = sa.func.max(sa.case((version.c.stays, version.c.valid_from))).over(**_over(version)).label("heir")
    shared = [column.name for column in REMOVED.c if column.name != "heir"]
    inherited = sa.select(*(version.c[name] for name in shared), version.c.stays, heir).cte()
    gone = sa.select(*(inherited.c[name] for name in (*shared, "heir"))).where(sa.not_(inherited.c.stays))
    REMOVED.create(connection)
    connection.execute(sa.insert(REMOVED).from_select([*shared, "heir"], gone))
    keys = sa.select(REMOVED.c.resource_id, REMOVED.c.valid_from)
    removed = connection.execute(sa.delete(table).where(sa.tuple_(table.c.resource_id, table.c.valid_from).in_(keys)))
    taken = (
        sa.select(
            REMOVED.c.resource_id,
            REMOVED.c.heir,
            sa.func.max(REMOVED.c.valid_to).label("valid_to"),
            sa.func.max(REMOVED.c.closed_by_load_id).label("closed_by_load_id"),
        )
        .group_by(REMOVED.c.resource_id, REMOVED.c.heir)
        .subquery()
    )
    connection.execute(
        sa.update(table)
        .where(table.c.resource_id == taken.c.resource_id, table.c.valid_from == taken.c.heir)
        .values(valid_to=taken.c.valid_to, closed_by_load_id=taken.c.closed_by_load_id)
    )
    REMOVED.drop(connection)
    return removed.rowcount
