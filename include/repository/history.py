"""What was true when, and which load, run and person made it so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from include.model.base import DUCKDB_TYPES
from include.model.configuration import Association, EntityType
from include.repository.errors import RepositoryError
from include.repository.ledger import LOAD, RUN
from include.repository.runs import PIPELINE
from include.repository.session import CoreSession
from include.repository.system import PROVISIONING_ORDER
from include.repository.tables import Schema, is_closed, is_current, is_valid_at, select_links

Version = dict[str, Any]


def history(session: CoreSession, schema: Schema, entity: EntityType, key: str) -> list[Version]:
    """Every version of the resource of that key (the primary key as text), oldest first.

    Each is ``resource_id, valid_from, valid_to, values, load_id, run_id, connector, mode, approver,
    closed_by_load_id``; ``mode`` is None for a run that was never opened, ``approver`` when nobody had to
    let the load through.
    """
    table = schema.table(entity)
    value = typed_key(entity, key)
    of_key = table.c[entity.primary_key.identifier] == value
    # In the words of the two partial indexes: one holds the present, the other the past.
    found = sa.union(
        sa.select(table.c.resource_id).where(of_key, is_current(table)),
        sa.select(table.c.resource_id).where(of_key, is_closed(table)),
    ).subquery()
    query = (
        sa.select(table, LOAD.c.run_id, LOAD.c.connector, LOAD.c.actor, RUN.c.mode)
        .select_from(table)
        .outerjoin(LOAD, LOAD.c.load_id == table.c.load_id)
        .outerjoin(RUN, RUN.c.run_id == LOAD.c.run_id)
        .where(table.c.resource_id.in_(sa.select(found.c.resource_id)))
        .order_by(table.c.valid_from)
    )
    return [_version(entity, tuple(row)) for row in session.connection.execute(query)]


def _version(entity: EntityType, row: tuple[Any, ...]) -> Version:
    count = len(entity.properties)
    resource_id, values, rest = row[0], row[1 : 1 + count], row[1 + count :]
    valid_from, valid_to, load_id, closed_by_load_id, run_id, connector, actor, mode = rest
    return {
        "resource_id": resource_id,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "values": {item.identifier: value for item, value in zip(entity.properties, values, strict=True)},
        "load_id": load_id,
        "run_id": run_id,
        "connector": connector,
        "mode": mode,
        "approver": None if actor == PIPELINE else actor,
        "closed_by_load_id": closed_by_load_id,
    }


def typed_key(entity: EntityType, key: str) -> Any:
    """A key's text as a value of the primary key's type, as DuckDB reads it back.

    Raises:
        RepositoryError: the text is no value of that type.
    """
    kind = entity.primary_key.type
    if DUCKDB_TYPES[kind] == "VARCHAR":
        return key
    import duckdb

    with duckdb.connect() as connection:
        try:
            [(value,)] = connection.execute(f"SELECT CAST(? AS {DUCKDB_TYPES[kind]})", [key]).fetchall()
        except duckdb.Error:
            raise RepositoryError(f"{entity.identifier}: {key!r} is no key of type {kind}") from None
    return value


def as_of(
    session: CoreSession, schema: Schema, entity: EntityType, instant: datetime, limit: int | None
) -> list[dict[str, Any]]:
    """The resources that were there at an instant, in order of key: resource id and every property."""
    table = schema.table(entity)
    columns = [table.c.resource_id, *(table.c[item.identifier] for item in entity.properties)]
    query = sa.select(*columns).where(is_valid_at(table, instant))
    query = query.order_by(table.c[entity.primary_key.identifier]).limit(limit)
    return [dict(row) for row in session.connection.execute(query).mappings()]


def links_as_of(
    session: CoreSession, schema: Schema, association: Association, instant: datetime, limit: int | None
) -> list[tuple[int, int]]:
    """The pairs of resource ids that were linked at an instant, sorted."""
    table = schema.table(association)
    query = sa.select(table.c.resource1_id, table.c.resource2_id).where(is_valid_at(table, instant))
    query = query.order_by(table.c.resource1_id, table.c.resource2_id).limit(limit)
    return [(int(first), int(second)) for first, second in session.rows(query)]


def link_keys_as_of(
    session: CoreSession, schema: Schema, association: Association, instant: datetime, limit: int | None
) -> list[dict[str, Any]]:
    """The links at an instant, in order of their ends' keys: ``key1, key2, resource1_id, resource2_id``."""
    query = select_links(schema, association, instant).order_by("key1", "key2").limit(limit)
    names = ("key1", "key2", "resource1_id", "resource2_id")
    return [{name: row[name] for name in names} for row in session.connection.execute(query).mappings()]


def remembered(
    session: CoreSession, schema: Schema, entity_type: EntityType, connector: str | None, limit: int
) -> list[dict[str, Any]]:
    """The present rows of what synchronizations remember (of one connector, or of all), the oldest first."""
    table = schema.table(entity_type)
    columns = [table.c[item.identifier] for item in entity_type.properties]
    query = sa.select(*columns).where(is_current(table))
    if connector is not None:
        query = query.where(table.c.connector == connector)
    query = query.order_by(table.c.since, table.c[entity_type.primary_key.identifier]).limit(limit)
    names = [column.name for column in columns]
    return [dict(zip(names, row, strict=True)) for row in session.rows(query)]


def orders(
    session: CoreSession, schema: Schema, connector: str, run_id: str | None, limit: int
) -> list[dict[str, Any]]:
    """The present rows of a connector's provisioning orders, or of one run's, newest decision first."""
    table = schema.table(PROVISIONING_ORDER)
    columns = [table.c[item.identifier] for item in PROVISIONING_ORDER.properties]
    query = sa.select(*columns).where(table.c.connector == connector, is_current(table))
    if run_id is not None:
        query = query.where(table.c.run_id == run_id)
    query = query.order_by(table.c.decided_at.desc(), table.c.batch, table.c.order_id).limit(limit)
    names = [column.name for column in columns]
    return [dict(zip(names, row, strict=True)) for row in session.rows(query)]
