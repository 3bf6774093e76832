"""Fill an empty table first, and index it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from include.repository.bulk import Bulk

SORT_MEMORY = "256MB"


def is_empty(bulk: Bulk, table: sa.Table) -> bool:
    """Whether nothing was ever stored in a table: nothing is current and nothing has a past."""
    return not bulk.rows(sa.select(next(iter(table.primary_key.columns))).limit(1))


@contextmanager
def indexed_afterwards(bulk: Bulk, table: sa.Table, *indexes: sa.Index) -> Iterator[None]:
    """Drop these indexes of an empty table, and its primary key where the database can; make them again at the end.

    Row by row, an index would be written all over. All of it is one transaction: a crash leaves them as they
    were. On PostgreSQL who reads the empty table meanwhile waits for the load.
    """
    for index in indexes:
        bulk.command(str(sa.schema.DropIndex(index).compile(dialect=bulk.dialect)))
    key = None if bulk.is_sqlite else _primary_key(bulk, table)
    quoted = bulk.dialect.identifier_preparer.quote_identifier
    if key:
        bulk.command(f"ALTER TABLE {quoted(table.name)} DROP CONSTRAINT {quoted(key)}")
        bulk.command(f"SET LOCAL maintenance_work_mem = '{SORT_MEMORY}'")
    yield
    if key:
        columns = ", ".join(quoted(column.name) for column in table.primary_key.columns)
        bulk.command(f"ALTER TABLE {quoted(table.name)} ADD CONSTRAINT {quoted(key)} PRIMARY KEY ({columns})")
    for index in indexes:
        bulk.command(str(sa.schema.CreateIndex(index).compile(dialect=bulk.dialect)))
    bulk.analyze(table.name)


def _primary_key(bulk: Bulk, table: sa.Table) -> str:
    """The name that PostgreSQL gave to a table's primary key."""
    constraint = sa.table("pg_constraint", sa.column("conname", sa.Text), sa.column("contype"), sa.column("conrelid"))
    of_table = constraint.c.conrelid == sa.cast(
        sa.func.to_regclass(bulk.dialect.identifier_preparer.quote_identifier(table.name)), sa.Integer
    )
    query = sa.select(sa.cast(constraint.c.conname, sa.Text).label("conname"))
    [(name,)] = bulk.rows(query.where(sa.literal_column("contype") == "p", of_table))
    return str(name)
