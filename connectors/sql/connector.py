"""Package ``sql``: queries or tables of a database become connection tables. Export only, always complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

from connectors.columns import check_header, require_columns, require_tables
from connectors.contract import (
    CheckResult,
    ConnectionContext,
    ExportReport,
    ExportRequest,
    Sink,
    TableReport,
)
from connectors.errors import ConfigurationError, ConnectorError, InvalidValue
from connectors.location import base_folder, existing_file
from connectors.sql.alchemy import alchemy_session
from connectors.sql.faults import faults
from connectors.sql.odbc import odbc_session
from connectors.sql.session import Answer, Rows, Session, name_parts, secrets
from connectors.sql.settings import SqlSettings
from connectors.sql.values import text_column

if TYPE_CHECKING:
    import pyarrow


class SqlConnector:
    """Exports ``<connection>`` for one query, ``<connection>_<suffix>`` for each of several.

    Without a query every mapped table is read under its own name, with the columns that are mapped.
    All tables are read in one transaction that does not write.
    """

    Settings = SqlSettings

    def __init__(self, context: ConnectionContext) -> None:
        settings = context.settings
        if not isinstance(settings, SqlSettings):
            raise ConfigurationError(f"connection '{context.identifier}' has no settings of package 'sql'")
        self._context = context
        self._settings = settings
        self._secrets = secrets(context.endpoint)

    def tables(self) -> Sequence[str]:
        """Names of the tables of this connection, in the order in which they are read."""
        identifier, settings = self._context.identifier, self._settings
        if settings.query or settings.query_file:
            return (identifier,)
        if settings.tables:
            return tuple(f"{identifier}_{suffix}" for suffix in settings.tables)
        return tuple(request.name for request in self._context.tables)

    def export(self, request: ExportRequest, sink: Sink) -> ExportReport:  # noqa: ARG002  every mode reads everything
        """Write every table to the sink, whole, in any mode.

        Raises:
            ConnectorError: one line, without the query and without a secret.
        """
        with self._session() as session:
            return ExportReport(tuple(self._export_table(session, table, sink) for table in self._planned()))

    def check(self) -> Sequence[CheckResult]:
        """Whether the database lets us in, and whether each table can be read with its mapped columns."""
        try:
            with self._session():
                tables = self._planned()
        except ConnectorError as error:
            return [CheckResult("connection", passed=False, detail=error.message)]
        return [CheckResult("connection", passed=True), *(self._check_table(table) for table in tables)]

    def _check_table(self, table: str) -> CheckResult:
        try:
            # A session each: an answer that is not read to its end gives up its connection.
            with self._session() as session, self._answer(session, table) as answer:
                detail = f"{len(answer.columns)} columns"
        except ConnectorError as error:
            return CheckResult(f"table {table}", passed=False, detail=error.message)
        return CheckResult(f"table {table}", passed=True, detail=detail)

    def _export_table(self, session: Session, table: str, sink: Sink) -> TableReport:
        with self._answer(session, table) as answer, sink.table(table, answer.columns) as writer:
            for rows in readable(answer.batches, table):
                writer.write_batch(record_batch(answer.columns, rows, table, writer.rows + 1))
        return TableReport(table, writer.rows, complete=True)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        what = f"connection '{self._context.identifier}'"
        with faults(what, self._secrets), ExitStack() as stack:
            with faults(what, self._secrets, connecting=True):
                session = stack.enter_context(self._open())
            yield session

    def _open(self) -> AbstractContextManager[Session]:
        if self._settings.drivername == "odbc":
            return odbc_session(self._context, self._settings)
        return alchemy_session(self._context, self._settings)

    @contextmanager
    def _answer(self, session: Session, table: str) -> Iterator[Answer]:
        """Run the query of a table, once its columns are known to be there."""
        with faults(f"table '{table}'", self._secrets), session.stream(self._sql(session, table)) as answer:
            check_header(f"the answer for table '{table}'", answer.columns)
            require_columns(self._context.tables, table, answer.columns, f"table '{table}'; its query")
            yield answer

    def _planned(self) -> Sequence[str]:
        tables, identifier = self.tables(), self._context.identifier
        if not tables:
            raise ConfigurationError(
                f"connection '{identifier}' has nothing to export: give a query, or map one of its tables"
            )
        require_tables(self._context.tables, tables, identifier)
        return tables

    def _sql(self, session: Session, table: str) -> str:
        settings = self._settings
        if settings.query:
            return settings.query
        if settings.query_file:
            return existing_file(base_folder(self._context), settings.query_file).read_text("utf-8-sig")
        prefix = f"{self._context.identifier}_"
        if settings.tables:
            return settings.tables[table.removeprefix(prefix)]
        return self._mapped(session, table, prefix)

    def _mapped(self, session: Session, table: str, prefix: str) -> str:
        """The query for the mapped columns of a table that is read under its own name."""
        if not table.startswith(prefix):
            raise ConfigurationError(f"table '{table}' is none of this connection: its name must begin with '{prefix}'")
        source = ".".join(session.quoted(part) for part in name_parts(table.removeprefix(prefix)))
        with session.stream(f"SELECT * FROM {source} WHERE 1 = 0") as probe:
            require_columns(self._context.tables, table, probe.columns, f"table {source}, which")
            list(probe.batches)
        wanted = [
            column.name for request in self._context.tables if request.name == table for column in request.columns
        ]
        return f"SELECT {', '.join(map(session.quoted, dict.fromkeys(wanted))) or '*'} FROM {source}"


def readable(batches: Iterator[Rows], table: str) -> Iterator[Rows]:
    """The batches of an answer.

    Raises:
        InvalidValue: the driver has no Python value for what the database holds (a time of 26 hours).
    """
    while True:
        try:
            rows = next(batches, None)
        except (ValueError, OverflowError) as error:
            raise InvalidValue(
                f"table '{table}': the driver cannot read a value ({error}); cast it to text in a query"
            ) from None
        if rows is None:
            return
        yield rows


def record_batch(columns: Sequence[str], rows: Rows, table: str, first_row: int) -> pyarrow.RecordBatch:
    """Rows of a driver as a record batch of strings, converted a column at a time."""
    import pyarrow

    arrays = [
        text_column(values, table=table, column=column, first_row=first_row)
        for column, values in zip(columns, zip(*rows, strict=True), strict=True)
    ]
    return pyarrow.RecordBatch.from_arrays(arrays, names=list(columns))
