"""Where what is stored came from: the loads behind versions, links and assignments, and what persons decided.

Everything is about one resource: few rows, each found by one query.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from include.expressions.paths import IdColumn
from include.model.configuration import Association, EntityType
from include.repository import audit
from include.repository.audit import AuditEntry
from include.repository.ledger import AUDIT, LOAD, RUN
from include.repository.runs import PIPELINE
from include.repository.session import CoreSession
from include.repository.system import ASSIGNED_RESOURCE_TYPE, PROVISIONING_ORDER
from include.repository.tables import Schema, is_valid_at

Row = dict[str, Any]
End = IdColumn
Role = Literal["owner_id", "target_id"]


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One load and the run that it belongs to; ``mode`` is None for a run that was never opened."""

    load_id: int
    load_key: str
    run_id: str
    connector: str
    loaded_at: datetime
    actor: str
    mode: str | None

    @property
    def approver(self) -> str | None:
        """Who let it through; None when nobody had to."""
        return None if self.actor == PIPELINE else self.actor


def find_loads(session: CoreSession, load_ids: Collection[int]) -> dict[int, LoadRecord]:
    """The loads of these numbers."""
    names = ("load_id", "load_key", "run_id", "connector", "loaded_at", "actor")
    query = sa.select(*(LOAD.c[name] for name in names), RUN.c.mode)
    query = query.outerjoin_from(LOAD, RUN, RUN.c.run_id == LOAD.c.run_id).where(LOAD.c.load_id.in_(load_ids))
    return {int(row[0]): LoadRecord(*row) for row in session.rows(query)}


def resource_at(
    session: CoreSession, schema: Schema, entity: EntityType, resource_id: int, instant: datetime
) -> Row | None:
    """The properties of a resource at an instant; None where it was not there."""
    table = schema.table(entity)
    columns = [table.c[item.identifier] for item in entity.properties]
    query = sa.select(*columns).where(table.c.resource_id == resource_id, is_valid_at(table, instant))
    found = session.rows(query)
    return dict(zip((column.name for column in columns), found[0], strict=True)) if found else None


def links_of(
    session: CoreSession,
    schema: Schema,
    association: Association,
    *,
    end: End,
    resource_id: int,
    instant: datetime,
    limit: int,
    other_id: int | None = None,
    ended: bool = False,
) -> list[Row]:
    """The links of a resource at one end, in order of the other one's key; of those that ended the newest first.

    Each is ``resource_id`` and ``key`` of the other end, ``valid_from``, ``valid_to``, ``load_id`` and
    ``closed_by_load_id``.

    Args:
        session: a session.
        schema: the tables.
        association: which links.
        end: the column of the resource.
        resource_id: the resource.
        instant: those that were there then, or with ``ended`` those that had ended by then.
        limit: links to return.
        other_id: only a link to this resource.
        ended: see ``instant``.
    """
    table = schema.table(association)
    first, second = schema.ends(association)
    other, entity = ("resource2_id", second) if end == "resource1_id" else ("resource1_id", first)
    resources = sa.alias(schema.table(entity), "other")
    # A resource has many versions and one key.
    key = (
        sa.select(resources.c[entity.primary_key.identifier])
        .where(resources.c.resource_id == table.c[other])
        .limit(1)
        .scalar_subquery()
        .label("key")
    )
    columns = (table.c.valid_from, table.c.valid_to, table.c.load_id, table.c.closed_by_load_id)
    when = table.c.valid_to <= instant if ended else is_valid_at(table, instant)
    query = sa.select(table.c[other].label("resource_id"), key, *columns).where(table.c[end] == resource_id, when)
    if other_id is not None:
        query = query.where(table.c[other] == other_id)
    order = (table.c.valid_to.desc(), "key") if ended else ("key",)
    return [dict(row) for row in session.connection.execute(query.order_by(*order).limit(limit)).mappings()]


def assignments_of(session: CoreSession, schema: Schema, resource_id: int, role: Role, instant: datetime) -> list[Row]:
    """The assignments in which a resource was the owner or the target at an instant, with ``valid_from`` and load."""
    table = schema.table(ASSIGNED_RESOURCE_TYPE)
    return _rows(session, table, table.c[role] == resource_id, is_valid_at(table, instant), order=table.c.assignment)


def parts_of(
    session: CoreSession, schema: Schema, entity: EntityType, assignments: Collection[str], instant: datetime
) -> list[Row]:
    """The assigned scalars or navigations of assignments at an instant, with ``valid_from`` and load."""
    table = schema.table(entity)
    order = table.c[entity.primary_key.identifier]
    return _rows(session, table, table.c.assignment.in_(assignments), is_valid_at(table, instant), order=order)


def orders_of(session: CoreSession, schema: Schema, assignments: Collection[str], instant: datetime) -> list[Row]:
    """The orders of assignments as they stood at an instant, the newest decision first."""
    table = schema.table(PROVISIONING_ORDER)
    given = table.c.assignment.in_(assignments)
    return _rows(session, table, given, is_valid_at(table, instant), order=table.c.decided_at.desc())


def decisions_on(session: CoreSession, subjects: Collection[str], instant: datetime) -> list[AuditEntry]:
    """What persons, and not the pipeline, did to these subjects until an instant, the oldest first."""
    done = (AUDIT.c.subject.in_(subjects), AUDIT.c.actor != PIPELINE, AUDIT.c.at <= instant)
    return audit.read(session, sa.select(AUDIT).where(*done).order_by(AUDIT.c.sequence))


def _rows(session: CoreSession, table: sa.Table, *conditions: sa.ColumnElement[bool], order: Any) -> list[Row]:
    query = sa.select(table).where(*conditions).order_by(order)
    return [dict(row) for row in session.connection.execute(query).mappings()]
