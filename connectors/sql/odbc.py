"""Sessions through any ODBC driver, for databases that SQLAlchemy has no dialect for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from connectors.contract import ConnectionContext
from connectors.sql.session import ROWS_PER_FETCH, Answer, driver_options, sqlite_file
from connectors.sql.settings import SqlSettings

if TYPE_CHECKING:
    import pyodbc

# ODBC names the same levels by bits; SNAPSHOT is no level of ODBC.
LEVELS = {
    "READ UNCOMMITTED": "SQL_TXN_READ_UNCOMMITTED",
    "READ COMMITTED": "SQL_TXN_READ_COMMITTED",
    "REPEATABLE READ": "SQL_TXN_REPEATABLE_READ",
    "SERIALIZABLE": "SQL_TXN_SERIALIZABLE",
}


class OdbcSession:
    """A session on one ODBC connection."""

    def __init__(self, connection: pyodbc.Connection) -> None:
        import pyodbc

        self._connection = connection
        self._quote = str(connection.getinfo(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR)).strip()

    @contextmanager
    def stream(self, sql: str) -> Iterator[Answer]:
        """Run a query and read it as it arrives."""
        import pyodbc

        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            if cursor.description is None:
                raise pyodbc.ProgrammingError("the statement returns no rows")
            columns = tuple(column[0] for column in cursor.description)
            yield Answer(columns, iter(lambda: cursor.fetchmany(ROWS_PER_FETCH), []))

    def quoted(self, name: str) -> str:
        """A name in the driver's quotes."""
        return self._quote + name.replace(self._quote, 2 * self._quote) + self._quote if self._quote else name


@contextmanager
def odbc_session(context: ConnectionContext, settings: SqlSettings) -> Iterator[OdbcSession]:
    """Open a session that asks the driver to read only."""
    import pyodbc

    seconds = settings.timeout or 0
    with closing(pyodbc.connect(connection_string(context, settings), timeout=seconds, readonly=True)) as connection:
        # Drivers that lack a time limit or a level say so; the export goes on without it.
        with suppress(pyodbc.Error):
            connection.timeout = seconds
        level = LEVELS.get(settings.isolation_level or "")
        if level:
            with suppress(pyodbc.Error):
                connection.set_attr(pyodbc.SQL_ATTR_TXN_ISOLATION, getattr(pyodbc, level))
        yield OdbcSession(connection)


def connection_string(context: ConnectionContext, settings: SqlSettings) -> str:
    """The ODBC connection string of a connection, its values quoted where they need it."""
    endpoint = context.endpoint
    is_sqlite = "sqlite" in (settings.odbc_driver or "").casefold()
    keywords = {
        "DRIVER": settings.odbc_driver,
        "SERVER": endpoint.host,
        "PORT": endpoint.port,
        "UID": endpoint.login,
        "PWD": endpoint.password,
        "DATABASE": settings.database or endpoint.schema,
    }
    if is_sqlite:
        keywords = {"DRIVER": settings.odbc_driver, "DATABASE": str(sqlite_file(context, settings))}
    keywords |= {**settings.odbc_options, **driver_options(endpoint)}
    return ";".join(f"{name}={braced(str(value))}" for name, value in keywords.items() if value is not None)


def braced(value: str) -> str:
    """A value of a connection string: in braces where it holds more than letters, digits and ``_.-/``.

    Some drivers take the braces of a plain value for a part of it.
    """
    return value if re.fullmatch(r"[\w.\-/]*", value, re.ASCII) else "{" + value.replace("}", "}}") + "}"
