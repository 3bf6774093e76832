from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from connectors.contract import ConnectionContext, Endpoint, TableRequest
from connectors.errors import AuthenticationFailed, ConfigurationError, ConnectionFailed
from connectors.sql.session import ROWS_PER_FETCH
from connectors.sql.settings import SqlSettings
from tests.contract.exporting import Broken, ExporterContract, ExportSource
from tests.contract.raw import Row
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import free_port
from tests.servers.proxy import cutting_proxy

INSERT = "INSERT INTO people VALUES (%s, %s, %s)"
ANSWER_BYTES = 100_000
"""Where the proxy cuts: beyond the first page, before the end of two."""


class SqlSource(ExportSource):
    """A table ``people`` in some database, read through some driver."""

    package = "sql"
    page = ROWS_PER_FETCH
    settings: ClassVar[dict[str, Any]]

    def context(
        self, tables: tuple[TableRequest, ...], endpoint: Endpoint | None = None, **settings: Any
    ) -> ConnectionContext:
        return ConnectionContext(
            self.identifier,
            SqlSettings(**({"timeout": 10} | self.settings | settings)),
            endpoint or self.endpoint(),
            tables,
            self.folder(),
        )

    def endpoint(self) -> Endpoint:
        return Endpoint()

    def folder(self) -> Path:
        return Path()

    def wrong_queries(self) -> list[Broken]:
        return [
            Broken("syntax", self.context((), query="SELEC id FROM people"), ConfigurationError),
            Broken("no table", self.context((), query="SELECT id FROM nowhere"), ConfigurationError),
            Broken("no rows", self.context((), query="DELETE FROM people"), ConfigurationError),
            Broken("nothing mapped", self.context(()), ConfigurationError),
        ]


class ServerSource(SqlSource):
    """A database behind an address, a login and a password."""

    def __init__(self, server: PostgreSQL | MariaDB, database: str) -> None:
        self.server = server
        self.database = database
        self.secrets = (server.password,)

    def endpoint(self) -> Endpoint:
        server = self.server
        return Endpoint(server.host, server.port, self.database, server.login, server.password)

    def broken(self) -> Sequence[Broken]:
        def elsewhere(**changes: Any) -> ConnectionContext:
            return self.context((), replace(self.endpoint(), **changes), query="SELECT id FROM people")

        return [
            Broken("unreachable", elsewhere(port=free_port()), ConnectionFailed),
            Broken("wrong password", elsewhere(password="not-the-password"), AuthenticationFailed),
            Broken("wrong login", elsewhere(login="nobody-knows-me"), AuthenticationFailed),
            Broken("no database", elsewhere(schema="nowhere"), ConfigurationError),
            *self.wrong_queries(),
        ]

    @contextmanager
    def truncated(self) -> Iterator[ConnectionContext]:
        self.fill((str(number), "Anne " * 10, "x") for number in range(2 * self.page + 1))
        with cutting_proxy(self.server.port, ANSWER_BYTES) as port:
            requests = self.mapped().tables
            yield self.context(requests, replace(self.endpoint(), port=port))


class PostgreSQLSource(ServerSource):
    settings: ClassVar = {"drivername": "postgresql+psycopg"}
    server: PostgreSQL

    def fill(self, rows: Iterable[Row]) -> None:
        with closing(self.server.connect(self.database)) as connection:
            connection.execute("DROP TABLE IF EXISTS people")
            connection.execute("CREATE TABLE people (id text PRIMARY KEY, name text, note text)")
            with connection.transaction(), connection.cursor() as cursor:
                self.copy(cursor, rows)

    def copy(self, cursor: psycopg.Cursor[Any], rows: Iterable[Row]) -> None:
        with cursor.copy("COPY people FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


class MariaDBSource(ServerSource):
    settings: ClassVar = {"drivername": "mysql+pymysql"}
    server: MariaDB

    def fill(self, rows: Iterable[Row]) -> None:
        self.server.execute(
            "DROP TABLE IF EXISTS people",
            "CREATE TABLE people (id varchar(99) PRIMARY KEY, name longtext, note longtext)",
            database=self.database,
        )
        self.server.insert(INSERT, list(rows), self.database)


class SQLiteSource(SqlSource):
    settings: ClassVar = {"drivername": "sqlite", "database": "data/people.sqlite"}

    def __init__(self, folder: Path) -> None:
        self.path = folder
        (folder / "data").mkdir()

    def folder(self) -> Path:
        return self.path

    def fill(self, rows: Iterable[Row]) -> None:
        with closing(sqlite3.connect(self.path / "data" / "people.sqlite")) as connection, connection:
            connection.execute("DROP TABLE IF EXISTS people")
            connection.execute("CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT, note TEXT)")
            connection.executemany("INSERT INTO people VALUES (?, ?, ?)", rows)

    def broken(self) -> Sequence[Broken]:
        (self.path / "text.sqlite").write_text("this is no database, " * 1000)
        mapped = self.mapped().tables
        return [
            Broken("no file", self.context(mapped, database="missing.sqlite"), ConfigurationError),
            Broken("outside", self.context(mapped, database="../missing.sqlite"), ConfigurationError),
            Broken("no database", self.context(mapped, database="text.sqlite"), ConfigurationError),
            *self.wrong_queries(),
        ]

    @contextmanager
    def truncated(self) -> Iterator[ConnectionContext]:
        self.fill((str(number), "Anne " * 10, "x") for number in range(2 * self.page + 1))
        file = self.path / "data" / "people.sqlite"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        yield self.mapped()


class OdbcPostgreSQLSource(PostgreSQLSource):
    settings: ClassVar = {"drivername": "odbc", "odbc_driver": "PostgreSQL Unicode"}


class OdbcMariaDBSource(MariaDBSource):
    settings: ClassVar = {"drivername": "odbc", "odbc_driver": "MariaDB Unicode"}


class OdbcSQLiteSource(SQLiteSource):
    settings: ClassVar = SQLiteSource.settings | {"drivername": "odbc", "odbc_driver": "SQLite3"}


@pytest.fixture(scope="module")
def postgresql_database(postgresql: PostgreSQL) -> Iterator[str]:
    name = f"contract_{uuid.uuid4().hex}"
    postgresql.create_database(name)
    yield name
    postgresql.drop_database(name)


@pytest.fixture(scope="module")
def mariadb_database(mariadb: MariaDB) -> Iterator[str]:
    name = f"contract_{uuid.uuid4().hex}"
    mariadb.create_database(name)
    yield name
    mariadb.drop_database(name)


class TestPostgreSQL(ExporterContract):
    @pytest.fixture
    def source(self, postgresql: PostgreSQL, postgresql_database: str) -> ExportSource:
        return PostgreSQLSource(postgresql, postgresql_database)


class TestMariaDB(ExporterContract):
    @pytest.fixture
    def source(self, mariadb: MariaDB, mariadb_database: str) -> ExportSource:
        return MariaDBSource(mariadb, mariadb_database)


class TestSQLite(ExporterContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> ExportSource:
        return SQLiteSource(tmp_path)


class TestOdbcPostgreSQL(ExporterContract):
    @pytest.fixture
    def source(self, postgresql: PostgreSQL, postgresql_database: str) -> ExportSource:
        return OdbcPostgreSQLSource(postgresql, postgresql_database)


class TestOdbcMariaDB(ExporterContract):
    @pytest.fixture
    def source(self, mariadb: MariaDB, mariadb_database: str) -> ExportSource:
        return OdbcMariaDBSource(mariadb, mariadb_database)


class TestOdbcSQLite(ExporterContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> ExportSource:
        return OdbcSQLiteSource(tmp_path)
