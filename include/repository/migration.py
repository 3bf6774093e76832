"""Bring the database to the tables that the configuration needs; nothing is ever dropped or narrowed.

Alembic compares and writes the statements. A property that left the configuration keeps its column (new
versions hold NULL there), an entity type that left keeps its table. Since nothing is taken away, a schema
that was once reached stays reached: its hash in ``rollcall_migration`` says that there is nothing to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.repository.database import Database
from include.repository.errors import SchemaMismatch
from include.repository.instants import now
from include.repository.ledger import COUNTER, COUNTERS, MIGRATION, append_only_triggers
from include.repository.session import CoreSession
from include.repository.tables import VERSION_COLUMNS, Schema, index_name

if TYPE_CHECKING:
    from alembic.operations import Operations
    from alembic.operations.ops import MigrateOperation

# Any number, the same for all: the PostgreSQL advisory lock of migrations.
ADVISORY_LOCK = 7_246_255_019
NOTHING = "nothing to change"


def migrate(database: Database, schema: Schema) -> list[str]:
    """Create what is missing and return one line per operation; a second call returns none.

    Two processes may call it at once: the second waits and finds nothing to do.

    Raises:
        SchemaMismatch: a stored property has another type or another primary key than the configuration
            says, or a name differs from a stored one only in case. Nothing is changed then.
    """
    wanted = _schema_sha256(database, schema)
    database.prepare()
    with database.read() as session:
        if _is_reached(session, wanted):
            return []
    with database.write() as session:
        if not database.is_sqlite:
            session.connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        if _is_reached(session, wanted):
            return []
        return _apply(database, session, schema, wanted)


def is_there(database: Database) -> bool:
    """Whether the database was ever migrated; a SQLite file that is missing stays so."""
    if database.is_sqlite and not Path(database.path).exists():
        return False
    with database.read() as session:
        return sa.inspect(session.connection).has_table(MIGRATION.name)


def _schema_sha256(database: Database, schema: Schema) -> str:
    digest = hashlib.sha256()
    for table in schema.metadata.sorted_tables:
        digest.update(str(sa.schema.CreateTable(table).compile(dialect=database.dialect)).encode())
        for index in sorted(table.indexes, key=lambda item: str(item.name)):
            digest.update(str(sa.schema.CreateIndex(index).compile(dialect=database.dialect)).encode())
    for trigger in append_only_triggers(database.dialect.name):
        digest.update(trigger.encode())
    return digest.hexdigest()


def _is_reached(session: CoreSession, wanted: str) -> bool:
    if not sa.inspect(session.connection).has_table(MIGRATION.name):
        return False
    query = sa.select(MIGRATION.c.sequence).where(MIGRATION.c.schema_sha256 == wanted).limit(1)
    return bool(session.rows(query))


def _apply(database: Database, session: CoreSession, schema: Schema, wanted: str) -> list[str]:
    from alembic.autogenerate import produce_migrations
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    _refuse_other_cases(session, schema)
    context = MigrationContext.configure(
        session.connection,
        opts={
            "compare_type": True,
            "include_name": lambda name, kind, _parents: kind != "table" or name in schema.metadata.tables,
        },
    )
    needed = list(_leaves(produce_migrations(context, schema.metadata).upgrade_ops))
    mistakes = [mistake for operation in needed if (mistake := _mistake(schema, operation))]
    if mistakes:
        raise SchemaMismatch("; ".join(mistakes))
    operations = Operations(context)
    lines = [line for operation in needed if (line := _carry_out(operations, operation))]
    for statement in append_only_triggers(database.dialect.name):
        session.connection.exec_driver_sql(statement)
    _add_counters(session)
    _record(session, lines or [NOTHING], wanted)
    return lines


def _leaves(operation: Any) -> Iterator[MigrateOperation]:
    for item in operation.ops:
        if hasattr(item, "ops"):
            yield from _leaves(item)
        else:
            yield item


def _mistake(schema: Schema, operation: MigrateOperation) -> str | None:
    """Why an operation cannot be carried out without losing data, in one line."""
    from alembic.operations import ops

    table = str(getattr(operation, "table_name", ""))
    if isinstance(operation, ops.AlterColumnOp) and operation.modify_type is not None:
        if operation.column_name in VERSION_COLUMNS:
            return f"{table}: written by an older Rollcall that stored instants as text; begin another repository"
        return (
            f"{table}.{operation.column_name}: stored as {operation.existing_type}, the configuration now needs "
            f"{operation.modify_type}: the type of a stored property cannot change; "
            "restore its type, or give the property a new identifier"
        )
    if isinstance(operation, ops.DropIndexOp) and operation.index_name == index_name(table, "current"):
        key = schema.entity_types[table].primary_key.identifier
        return (
            f"{table}: the primary key of a stored entity type cannot change to {key}; "
            "restore it, or give the entity type a new identifier"
        )
    return None


def _carry_out(operations: Operations, operation: MigrateOperation) -> str | None:
    """Carry out what adds; leave what would take away. Gives the line to record."""
    from alembic.operations import ops

    if isinstance(operation, ops.CreateTableOp):
        line = f"create table {operation.table_name}"
    elif isinstance(operation, ops.AddColumnOp):
        # Rows that are there already have no value for it.
        operation.column.nullable = True
        line = f"add column {operation.table_name}.{operation.column.name} ({operation.column.type})"
    elif isinstance(operation, ops.CreateIndexOp):
        line = f"create index {operation.index_name} on {operation.table_name}"
    else:
        return None
    operations.invoke(operation)
    return line


def _refuse_other_cases(session: CoreSession, schema: Schema) -> None:
    """Alembic would take ``hr_person`` for new beside ``HR_Person``; SQLite would not."""
    inspector = sa.inspect(session.connection)
    stored_tables = inspector.get_table_names()
    _refuse_case("", stored_tables, schema.metadata.tables)
    for table in schema.metadata.tables.values():
        if table.name in stored_tables:
            stored = [column["name"] for column in inspector.get_columns(table.name)]
            _refuse_case(f"{table.name}.", stored, table.columns.keys())


def _refuse_case(prefix: str, stored: Iterable[str], wanted: Iterable[str]) -> None:
    by_lower = {item.lower(): item for item in map(str, stored)}
    # SQLAlchemy's quoted names keep their case even when asked for another.
    for item in map(str, wanted):
        other = by_lower.get(item.lower(), item)
        if other != item:
            raise SchemaMismatch(f"{prefix}{item}: stored as {prefix}{other}; write it so in the configuration")


def _add_counters(session: CoreSession) -> None:
    present = {name for (name,) in session.rows(sa.select(COUNTER.c.name))}
    for counter in COUNTERS:
        if counter not in present:
            session.run(sa.insert(COUNTER).values(name=counter, value=0))


def _record(session: CoreSession, lines: list[str], wanted: str) -> None:
    [(last,)] = session.rows(sa.select(sa.func.coalesce(sa.func.max(MIGRATION.c.sequence), 0)))
    at = now()
    for sequence, line in enumerate(lines, start=int(last) + 1):
        session.run(sa.insert(MIGRATION).values(sequence=sequence, applied_at=at, operation=line, schema_sha256=wanted))
