"""Arrow in and out of the repository, by ADBC: one connection, one transaction.

What the drivers do that callers must not have to know:

- SQLite's driver takes each column's type from the first rows it reads, so every stream begins with one
  row of typed values (its first column ``SENTINEL``), which ``stream``'s reader drops.
- Neither driver counts the rows of a plain ``execute``; ``executemany`` with one row of parameters does.
- ``executemany`` with an empty row of parameters runs nothing on PostgreSQL: ``run`` refuses it.
- PostgreSQL's driver streams a query only inside ``COPY``, where no parameter is allowed: ``stream`` writes
  values into the SQL instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.repository.prefetch import prefetched

if TYPE_CHECKING:
    import pyarrow as pa

SENTINEL = -1
BATCH_ROWS = 16384
PAGE_CACHE_KIB = 65536
SQLITE_BATCH_ROWS = "adbc.sqlite.query.batch_rows"


class Bulk:
    """A session on an ADBC connection, with Arrow streams."""

    def __init__(self, connection: Any, dialect: sa.Dialect) -> None:
        self._connection = connection
        self.dialect = dialect
        self.is_sqlite = dialect.name == "sqlite"

    def rows(self, clause: sa.Select[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query, as Python values; meant for few."""
        statement, parameters = self._compiled(clause)
        types = [column.type for column in clause.selected_columns]
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            found = cursor.fetchall()
        processors = [item.dialect_impl(self.dialect).result_processor(self.dialect, None) for item in types]
        return [
            tuple(process(value) if process else value for process, value in zip(processors, row, strict=True))
            for row in found
        ]

    def run(self, clause: sa.Insert | sa.Update) -> int:
        """Run one statement with at least one bound value and return how many rows it touched."""
        statement, parameters = self._compiled(clause)
        if not parameters:
            raise ValueError(f"a statement without a bound value would not run: {statement}")
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, [parameters])
            return int(cursor.rowcount)

    def command(self, statement: str) -> None:
        """Run one statement that returns nothing and binds nothing."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.fetchall()

    def append(self, table: str, reader: pa.RecordBatchReader) -> int:
        """Append a stream to a table of the same column names and return its number of rows."""
        with self._connection.cursor() as cursor, prefetched(reader) as batches:
            return int(cursor.adbc_ingest(table, batches, mode="append"))

    @contextmanager
    def stage(self, table: str, reader: pa.RecordBatchReader) -> Iterator[int]:
        """A stream as a temporary table, for the length of the block; gives its number of rows."""
        with self._connection.cursor() as cursor:
            count = int(cursor.adbc_ingest(table, reader, mode="create", temporary=True))
        self.analyze(table)
        yield count
        self.command(f"DROP TABLE {table}")

    def temporary(self, table: str, clause: sa.Select[Any]) -> None:
        """The rows of a query as a temporary table, to be dropped by the caller."""
        query = str(clause.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True}))
        self.command(f"CREATE TEMPORARY TABLE {table} AS {query}")
        self.analyze(table)

    @contextmanager
    def stream(self, clause: sa.Select[Any]) -> Iterator[pa.RecordBatchReader]:
        """A query as a stream of Arrow batches; on SQLite its first row is the sentinel's.

        The first selected column must be an identity (never ``SENTINEL``). Columns have the types that the
        database stores: on SQLite, instants and doubles are text and booleans integers.
        """
        statement = str(clause.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True}))
        options = {}
        if self.is_sqlite:
            statement = f"{_sentinel(clause, self.dialect)} UNION ALL {statement}"
            options[SQLITE_BATCH_ROWS] = str(BATCH_ROWS)
        with self._connection.cursor(adbc_stmt_kwargs=options) as cursor:
            cursor.execute(statement)
            yield cursor.fetch_record_batch()

    def analyze(self, table: str) -> None:
        """Give PostgreSQL figures of a new table: without them it plans for a thousand rows or so."""
        if not self.is_sqlite:
            self.command(f"ANALYZE {self.dialect.identifier_preparer.quote_identifier(table)}")

    def rollback(self) -> None:
        """Undo everything since the beginning."""
        self._connection.rollback()

    def _compiled(self, clause: Any) -> tuple[str, tuple[Any, ...]]:
        compiled = clause.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        processors = compiled._bind_processors  # noqa: SLF001 - SQLAlchemy has no public name for it
        values = {key: processors[key](value) if key in processors else value for key, value in compiled.params.items()}
        return compiled.string, tuple(values[key] for key in compiled.positiontup or ())


def _sentinel(clause: sa.Select[Any], dialect: sa.Dialect) -> str:
    """A row of one value of each column's stored type."""
    samples = []
    for position, column in enumerate(clause.selected_columns):
        stored = column.type.dialect_impl(dialect)
        stored = getattr(stored, "impl_instance", stored)
        sample = "''"
        if position == 0:
            sample = str(SENTINEL)
        elif isinstance(stored, (sa.Integer, sa.Boolean)):
            sample = "0"
        elif isinstance(stored, sa.LargeBinary):
            sample = "x''"
        samples.append(f"{sample} AS {dialect.identifier_preparer.quote_identifier(str(column.key))}")
    return f"SELECT {', '.join(samples)}"


@contextmanager
def open_bulk(uri: str, dialect: sa.Dialect, *, milliseconds: int, writes: bool) -> Iterator[Bulk]:
    """Open a connection and one transaction; it is committed when the block ends without an error."""
    with _connect(uri, dialect) as connection:
        bulk = Bulk(connection, dialect)
        if bulk.is_sqlite:
            bulk.command(f"PRAGMA busy_timeout = {milliseconds}")
            bulk.command(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        elif writes:
            bulk.command(f"SET LOCAL lock_timeout = {milliseconds}")
        else:
            bulk.command("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield bulk
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _connect(uri: str, dialect: sa.Dialect) -> Any:
    if dialect.name == "sqlite":
        from adbc_driver_sqlite import dbapi

        return dbapi.connect(uri)
    from adbc_driver_postgresql import dbapi as postgresql_dbapi

    return postgresql_dbapi.connect(uri)
