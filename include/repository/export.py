"""Stored rows as Parquet: streamed from the database through DuckDB, so that memory stays bounded."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.model.base import DUCKDB_TYPES
from include.model.configuration import Association, EntityType
from include.repository.bulk import SENTINEL, Bulk
from include.repository.columns import restored, restored_columns
from include.repository.database import Database
from include.repository.load import last_load, newest_load
from include.repository.tables import Schema, holds, select_links
from include.storage.engine import engine, literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

Item = EntityType | Association
ID_COLUMNS = ("resource_id", "resource1_id", "resource2_id")


def export_base(
    database: Database,
    schema: Schema,
    folder: Folder,
    connector: str,
    items: Sequence[Item],
    *,
    resource_ids: bool = False,
    as_stored: bool = False,
) -> int:
    """Write ``<identifier>.parquet`` of every item and, last, ``base.json``; return the connector's last load.

    The files hold every property of an entity type and ``key1``, ``key2`` (text) of an association, in order
    of key. With ``resource_ids`` they hold ``resource_id``, and ``resource1_id`` and ``resource2_id``, too.
    All of it shows one state of the repository: a load that ends meanwhile is not seen, and ``base.json`` names
    the newest one that is. ``as_stored`` takes a
    table or column that the repository does not have yet for one that holds nothing.
    """
    stored = _stored_columns(database) if as_stored else None
    with engine(folder) as duck, database.bulk(writes=False) as bulk:
        load_id, newest = last_load(bulk, connector), newest_load(bulk)
        for item in items:
            source = _Source(bulk, duck, schema, resource_ids=resource_ids, stored=stored)
            _export(source, item, folder, f"{item.identifier}.parquet", None)
    folder.write_json("base.json", {"connector": connector, "load_id": load_id, "newest_load": newest})
    return load_id


def lacking(database: Database, items: Sequence[Item]) -> dict[str, list[str] | None]:
    """What the repository does not have yet of the items: the missing properties by item, None for the whole of it."""
    there = _stored_columns(database)
    found: dict[str, list[str] | None] = {}
    for item in items:
        if item.identifier not in there:
            found[item.identifier] = None
        elif isinstance(item, EntityType):
            stored = there[item.identifier]
            if missing := [entry.identifier for entry in item.properties if entry.identifier not in stored]:
                found[item.identifier] = missing
    return found


def export_one(
    database: Database, schema: Schema, item: Item, folder: Folder, file: str, *, instant: datetime | None = None
) -> int:
    """Write what is current, or what was at an instant (UTC), and return the number of rows."""
    with engine(folder) as duck, database.bulk(writes=False) as bulk:
        return _export(_Source(bulk, duck, schema), item, folder, file, instant)


@dataclass(frozen=True, slots=True)
class _Source:
    bulk: Bulk
    duck: duckdb.DuckDBPyConnection
    schema: Schema
    resource_ids: bool = True
    stored: Mapping[str, Collection[str]] | None = None
    """Columns of each table that is there; None where all are."""

    def lacks(self, item: Item) -> bool:
        """Whether a table is missing of what the item is read from."""
        ends = [] if isinstance(item, EntityType) else self.schema.ends(item)
        return self.stored is not None and not {one.identifier for one in (item, *ends)} <= self.stored.keys()


def _stored_columns(database: Database) -> dict[str, list[str]]:
    with database.read() as session:
        inspector = sa.inspect(session.connection)
        return {
            table: [str(column["name"]) for column in inspector.get_columns(table)]
            for table in inspector.get_table_names()
        }


def _nothing(item: Item, *, resource_ids: bool) -> str:
    """A query of no rows, with the columns of an export."""
    ids: tuple[str, ...]
    if isinstance(item, EntityType):
        ids, columns = ID_COLUMNS[:1], {entry.identifier: DUCKDB_TYPES[entry.type] for entry in item.properties}
    else:
        ids, columns = ID_COLUMNS[1:], {"key1": "VARCHAR", "key2": "VARCHAR"}
    if resource_ids:
        columns = dict.fromkeys(ids, "BIGINT") | columns
    fields = ", ".join(f"CAST(NULL AS {kind}) AS {name(column)}" for column, kind in columns.items())
    return f"SELECT {fields} WHERE false"


def _export(source: _Source, item: Item, folder: Folder, file: str, instant: datetime | None) -> int:
    folder.make()
    if source.lacks(item):
        nothing = _nothing(item, resource_ids=source.resource_ids)
        source.duck.execute(f"COPY ({nothing}) TO {literal(folder.file(file))} (FORMAT parquet)")
        return 0
    if isinstance(item, EntityType):
        there = None if source.stored is None else source.stored[item.identifier]
        query, columns, order = _resources(source.schema, item, instant, there)
    else:
        query, columns, order = _links(source.schema, item, instant)
    part = f"{file}.{uuid.uuid4().hex}.part"
    with ExitStack() as stack:
        source.duck.register("stored", stack.enter_context(source.bulk.stream(query)))
        stack.callback(source.duck.unregister, "stored")
        shown = [column for column in columns if source.resource_ids or column not in ID_COLUMNS]
        [(count,)] = source.duck.execute(f"""
            COPY (
                SELECT {", ".join(shown)} FROM stored
                WHERE {name(query.selected_columns.keys()[0])} <> {SENTINEL} ORDER BY {order}
            ) TO {literal(folder.file(part))} ({_options(item)})
        """).fetchall()
    folder.filesystem.mv(f"{folder.path}/{part}", f"{folder.path}/{file}")
    return int(count)


def _options(item: Item) -> str:
    if isinstance(item, EntityType) and any(entry.type == "double" for entry in item.properties):
        # DuckDB's dictionary takes -0.0 for 0.0 (1.5.5).
        return "FORMAT parquet, DICTIONARY_SIZE_LIMIT 0"
    return "FORMAT parquet"


def _resources(
    schema: Schema, entity: EntityType, instant: datetime | None, there: Collection[str] | None = None
) -> tuple[sa.Select[Any], list[str], str]:
    """Query, DuckDB columns and order of an entity type; a column that is not ``there`` is NULL."""
    table = schema.table(entity)
    stored = [table.c[item.identifier] for item in entity.properties]
    values = [
        column if there is None or column.name in there else sa.cast(sa.null(), column.type).label(column.name)
        for column in stored
    ]
    query = sa.select(table.c.resource_id, *values).where(holds(table, instant))
    return query, ["resource_id", *restored_columns(entity.properties)], name(entity.primary_key.identifier)


def _links(schema: Schema, association: Association, instant: datetime | None) -> tuple[sa.Select[Any], list[str], str]:
    """Query, DuckDB columns and order of an association: the keys of its ends as text, and their ids."""
    first, second = schema.ends(association)
    columns = [
        f"CAST({restored('key1', first.primary_key.type)} AS VARCHAR) AS key1",
        f"CAST({restored('key2', second.primary_key.type)} AS VARCHAR) AS key2",
        "resource1_id",
        "resource2_id",
    ]
    return select_links(schema, association, instant), columns, "key1, key2"
