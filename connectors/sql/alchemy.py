"""Sessions through SQLAlchemy: a server-side cursor in a transaction that only reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connectors.contract import ConnectionContext
from connectors.sql.session import ROWS_PER_FETCH, Answer, Rows, driver_options, sqlite_file
from connectors.sql.settings import SqlSettings

if TYPE_CHECKING:
    import sqlalchemy

# First statements of a session, by SQLAlchemy backend: the server itself refuses to write. SQLite's file is
# opened read-only instead. Others rely on the rights of the account.
READ_ONLY: dict[str, str] = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
# How drivers name the seconds to wait for a connection and for an answer.
TIMEOUTS: dict[str, tuple[str, ...]] = {
    "sqlite": ("timeout",),
    "postgresql+psycopg": ("connect_timeout",),
    "mysql+pymysql": ("connect_timeout", "read_timeout"),
    "mariadb+pymysql": ("connect_timeout", "read_timeout"),
    "mssql+pyodbc": ("timeout",),
}


class AlchemySession:
    """A session on one SQLAlchemy connection."""

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self._connection = connection

    @contextmanager
    def stream(self, sql: str) -> Iterator[Answer]:
        """Run a query as it stands (colons and percent signs mean nothing), and read it as it arrives."""
        import sqlalchemy.exc

        options = {"stream_results": True, "yield_per": ROWS_PER_FETCH, "no_parameters": True}
        result = self._connection.exec_driver_sql(sql, execution_options=options)
        if not result.returns_rows:
            raise sqlalchemy.exc.ResourceClosedError("the statement returns no rows")
        finished = False

        def batches() -> Iterator[Rows]:
            nonlocal finished
            yield from result.partitions(ROWS_PER_FETCH)
            finished = True

        try:
            yield Answer(tuple(result.keys()), batches())
        finally:
            if not finished:
                abandon(result)
                self._connection.invalidate()

    def quoted(self, name: str) -> str:
        """A name in the dialect's quotes where it needs them."""
        dialect = self._connection.dialect
        text = dialect.identifier_preparer.quote(name)
        # These dialects double percent signs for statements with parameters; ours have none.
        return text.replace("%%", "%") if dialect.paramstyle in {"format", "pyformat"} else text


def abandon(result: sqlalchemy.CursorResult[Any]) -> None:
    """Close an answer that was not read to its end, without reading the rest as PyMySQL would."""
    pending: Any = getattr(result.cursor, "_result", None)
    if hasattr(pending, "unbuffered_active"):
        pending.unbuffered_active = False
    result.close()


@contextmanager
def alchemy_session(context: ConnectionContext, settings: SqlSettings) -> Iterator[AlchemySession]:
    """Open a session; the engine goes away with it."""
    import sqlalchemy

    address = url(context, settings)
    timeouts = dict.fromkeys(TIMEOUTS.get(address.drivername, ()), settings.timeout) if settings.timeout else {}
    engine = sqlalchemy.create_engine(
        address, poolclass=sqlalchemy.NullPool, connect_args=timeouts, hide_parameters=True
    )
    try:
        with engine.connect() as connection:
            prepare(connection, settings)
            yield AlchemySession(connection)
    finally:
        engine.dispose()


def url(context: ConnectionContext, settings: SqlSettings) -> sqlalchemy.URL:
    """The SQLAlchemy URL of a connection; the file of SQLite is opened read-only."""
    import sqlalchemy

    endpoint = context.endpoint
    if settings.drivername.partition("+")[0] == "sqlite":
        file = f"file:{quote(str(sqlite_file(context, settings)))}"
        return sqlalchemy.URL.create(settings.drivername, database=file, query={"mode": "ro", "uri": "true"})
    return sqlalchemy.URL.create(
        settings.drivername,
        username=endpoint.login,
        password=endpoint.password,
        host=endpoint.host,
        port=endpoint.port,
        database=settings.database or endpoint.schema,
        query={**settings.query_options, **driver_options(endpoint)},
    )


def prepare(connection: sqlalchemy.Connection, settings: SqlSettings) -> None:
    """Set isolation level, read-only transaction and time limit, each where the database has it."""
    dialect: Any = connection.dialect
    backend = dialect.name
    if settings.isolation_level in levels(connection):
        connection.execution_options(isolation_level=settings.isolation_level)
    if backend in READ_ONLY:
        connection.exec_driver_sql(READ_ONLY[backend])
    if backend == "postgresql" and settings.timeout:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {settings.timeout * 1000}")


def levels(connection: sqlalchemy.Connection) -> list[str]:
    """Isolation levels that the database knows."""
    driver: Any = connection.connection.dbapi_connection
    try:
        return list(connection.dialect.get_isolation_level_values(driver))
    except NotImplementedError:
        return []
