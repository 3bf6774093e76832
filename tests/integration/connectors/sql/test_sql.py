"""What is special about each database; what all owe is in ``tests/contract``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import ColumnRequest, ConnectionContext, Endpoint, ExportRequest, TableRequest
from connectors.errors import (
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidValue,
    PermissionDenied,
)
from connectors.registry import build
from connectors.sql.connector import SqlConnector
from connectors.sql.settings import SqlSettings
from tests.contract.raw import Files, Row
from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL

PSYCOPG = {"drivername": "postgresql+psycopg"}
PYMYSQL = {"drivername": "mysql+pymysql"}
SQLITE = {"drivername": "sqlite", "database": "hr.sqlite"}
ODBC_POSTGRESQL = {"drivername": "odbc", "odbc_driver": "PostgreSQL Unicode"}
ODBC_MARIADB = {"drivername": "odbc", "odbc_driver": "MariaDB Unicode"}
ODBC_SQLITE = {"drivername": "odbc", "odbc_driver": "SQLite3", "database": "hr.sqlite"}


@pytest.fixture(scope="module")
def pg(postgresql: PostgreSQL) -> Iterator[Endpoint]:
    """A PostgreSQL database of this module, and a login that may read ``badge`` only."""
    postgresql.create_database("sql_tests")
    postgresql.execute(
        "CREATE SCHEMA hr",
        'CREATE TABLE hr."Person" (id int PRIMARY KEY, "Load %" text, "from" text, unused text)',
        "INSERT INTO hr.\"Person\" VALUES (1, '100 %', 'x', 'y')",
        "CREATE TABLE badge (id int PRIMARY KEY)",
        "INSERT INTO badge VALUES (1), (2)",
        "CREATE TABLE secret (id int PRIMARY KEY)",
        "CREATE FUNCTION clear() RETURNS int LANGUAGE sql AS 'DELETE FROM badge; SELECT 1'",
        "CREATE ROLE reader LOGIN PASSWORD 'reader-password'",
        "GRANT SELECT ON badge TO reader",
        database="sql_tests",
    )
    yield Endpoint(postgresql.host, postgresql.port, "sql_tests", postgresql.login, postgresql.password)
    postgresql.drop_database("sql_tests")
    postgresql.execute("DROP ROLE reader")


@pytest.fixture(scope="module")
def maria(mariadb: MariaDB) -> Iterator[Endpoint]:
    """A MariaDB database of this module, and a login that may read ``badge`` only."""
    mariadb.create_database("sql_tests")
    mariadb.execute(
        "CREATE TABLE badge (id int PRIMARY KEY)",
        "INSERT INTO badge VALUES (1), (2)",
        "CREATE TABLE secret (id int PRIMARY KEY)",
        "CREATE USER reader IDENTIFIED BY 'reader-password'",
        "GRANT SELECT ON sql_tests.badge TO reader",
        database="sql_tests",
    )
    yield Endpoint(mariadb.host, mariadb.port, "sql_tests", mariadb.login, mariadb.password)
    mariadb.drop_database("sql_tests")
    mariadb.execute("DROP USER reader")


@pytest.fixture
def hr(tmp_path: Path) -> Path:
    """A folder with the SQLite file ``hr.sqlite``."""
    with closing(sqlite3.connect(tmp_path / "hr.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE badge (id INTEGER PRIMARY KEY, holder)")
        connection.execute("INSERT INTO badge VALUES (1, 'Anne'), (2, NULL)")
    return tmp_path


def connector(
    settings: dict[str, Any],
    endpoint: Endpoint | None = None,
    folder: Path | None = None,
    mapped: Sequence[TableRequest] = (),
    **more: Any,
) -> SqlConnector:
    made: SqlConnector = build(
        "sql",
        ConnectionContext(
            "DB", SqlSettings(**(settings | more)), endpoint or Endpoint(), tuple(mapped), folder or Path("/nowhere")
        ),
    )
    return made


def exported(made: SqlConnector) -> Files:
    files = Files()
    report = made.export(ExportRequest("complete"), files.sink())
    assert [f"{table.table}.csv" for table in report.tables] == list(files)
    assert all(table.complete and not table.command for table in report.tables)
    return files


def rows(made: SqlConnector) -> list[Row]:
    return exported(made).rows("DB")


def refused(made: SqlConnector) -> ConnectorError:
    files = Files()
    with pytest.raises(ConnectorError) as raised:
        made.export(ExportRequest("complete"), files.sink())
    assert files == {}
    return raised.value


def mapping(table: str, *columns: str) -> TableRequest:
    return TableRequest(table, tuple(ColumnRequest(column) for column in columns))


class TestQueries:
    def test_percent_signs_colons_and_question_marks_mean_nothing(
        self, pg: Endpoint, maria: Endpoint, hr: Path
    ) -> None:
        query = "SELECT '100 %s :name ?' AS a, '%' AS b"
        for made in (
            connector(PSYCOPG, pg, query=query),
            connector(PYMYSQL, maria, query=query),
            connector(SQLITE, folder=hr, query=query),
            connector(ODBC_POSTGRESQL, pg, query=query),
        ):
            assert rows(made) == [("100 %s :name ?", "%")]

    def test_a_query_may_lie_in_a_file_and_is_ignored_beside_a_query(self, hr: Path) -> None:
        (hr / "badges.sql").write_text("\ufeff-- é\nSELECT id\nFROM badge\nORDER BY id;\n", "utf-8")
        assert rows(connector(SQLITE, folder=hr, query_file="badges.sql")) == [("1",), ("2",)]
        assert rows(connector(SQLITE, folder=hr, query_file="none.sql", query="SELECT 3")) == [("3",)]
        assert "no file 'none.sql'" in refused(connector(SQLITE, folder=hr, query_file="none.sql")).message

    def test_several_queries_make_several_tables(self, hr: Path) -> None:
        made = connector(SQLITE, folder=hr, tables={"one": "SELECT 1 AS a", "two": "SELECT 2 AS b, 3 AS c"})
        files = exported(made)
        assert (files.header("DB_one"), files.rows("DB_one")) == (["a"], [("1",)])
        assert (files.header("DB_two"), files.rows("DB_two")) == (["b", "c"], [("2", "3")])

    def test_without_a_query_every_mapped_table_is_read_with_its_mapped_columns(self, pg: Endpoint) -> None:
        tables = [mapping('DB_"hr"."Person"', "id", "Load %", "from"), mapping("DB_badge", "id")]
        for settings in (PSYCOPG, ODBC_POSTGRESQL):
            files = exported(connector(settings, pg, mapped=tables))
            assert files.header('DB_"hr"."Person"') == ["id", "Load %", "from"]
            assert files.rows('DB_"hr"."Person"') == [("1", "100 %", "x")]
            assert files.rows("DB_badge") == [("1",), ("2",)]

    def test_columns_that_come_twice_are_refused(self, pg: Endpoint) -> None:
        error = refused(connector(PSYCOPG, pg, query='SELECT 1 AS id, 2 AS "ID"'))
        assert "column 'ID' comes twice in the answer for table 'DB' (as 'id')" in error.message

    @pytest.mark.timeout(60)
    def test_rows_are_streamed_before_the_query_has_ended(self, pg: Endpoint, maria: Endpoint) -> None:
        endless = {
            "postgresql": connector(PSYCOPG, pg, query="SELECT generate_series(1, 100000000000)"),
            "mariadb": connector(PYMYSQL, maria, query="SELECT seq FROM seq_1_to_100000000000"),
        }
        for name, made in endless.items():
            with pytest.raises(RuntimeError, match="enough"):
                made.export(ExportRequest("complete"), EnoughSink())
            assert made.check()[-1].passed, name


class EnoughSink:
    """A sink that has enough after the second batch."""

    @contextmanager
    def table(self, name: str, columns: Sequence[str]) -> Iterator[EnoughSink]:
        assert name == "DB"
        assert len(columns) == 1
        self.rows = 0
        yield self

    def write_batch(self, batch: Any) -> None:
        self.rows += batch.num_rows
        if self.rows == 10_000:
            raise RuntimeError("enough")


class TestValues:
    def test_postgresql(self, pg: Endpoint) -> None:
        query = """
            SELECT 1.50::numeric(10, 4) AS number, 1e20::numeric AS large, 0.1::float8 AS ratio, true AS flag,
                   DATE '2024-02-29' AS day, TIMESTAMP '2024-02-29 07:05' AS naive,
                   TIMESTAMPTZ '2024-02-29 07:05+02' AS aware, '\\x00ff'::bytea AS photo,
                   ARRAY['b', 'A'] AS mails, '{"a": 1}'::jsonb AS detail,
                   '12345678-1234-5678-1234-567812345678'::uuid AS guid, '' AS empty, NULL AS nothing
        """
        assert rows(connector(PSYCOPG, pg, query=query)) == [
            (
                *("1.5000", "100000000000000000000", "0.1", "true", "2024-02-29", "2024-02-29T07:05:00"),
                *("2024-02-29T05:05:00Z", "AP8=", "A\nb", '{"a":1}', "12345678-1234-5678-1234-567812345678", "", None),
            )
        ]

    def test_mariadb(self, maria: Endpoint) -> None:
        query = """
            SELECT CAST(1.50 AS decimal(10, 4)) AS number, TRUE AS flag, DATE '2024-02-29' AS day,
                   TIMESTAMP '2024-02-29 07:05:00' AS naive, CAST(X'00ff' AS binary) AS photo,
                   '' AS empty, NULL AS nothing
        """
        expected = [("1.5000", "1", "2024-02-29", "2024-02-29T07:05:00", "AP8=", "", None)]
        assert rows(connector(PYMYSQL, maria, query=query)) == expected
        assert rows(connector(ODBC_MARIADB, maria, query=query)) == expected
        assert rows(connector(PYMYSQL, maria, query="SELECT TIME '26:00:01' AS span")) == [("26:00:01",)]

    def test_sqlite_tells_types_value_by_value(self, hr: Path) -> None:
        query = "SELECT 1 AS a UNION ALL SELECT 2.5 UNION ALL SELECT 'x' UNION ALL SELECT X'00ff' UNION ALL SELECT NULL"
        assert rows(connector(SQLITE, folder=hr, query=query)) == [("1",), ("2.5",), ("x",), ("AP8=",), (None,)]

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            (
                "SELECT 'x' AS name UNION ALL SELECT 'a' || char(0)",
                "table 'DB', row 2, column 'name': the value holds a NUL",
            ),
            ("SELECT CAST(X'41ff' AS TEXT) AS name", "Could not decode to UTF-8"),
        ],
    )
    def test_what_is_no_text_is_refused(self, hr: Path, query: str, message: str) -> None:
        error = refused(connector(SQLITE, folder=hr, query=query))
        assert isinstance(error, InvalidValue)
        assert message in error.message

    def test_what_python_has_no_value_for_is_refused(self, pg: Endpoint, maria: Endpoint) -> None:
        never = refused(connector(PSYCOPG, pg, query="SELECT 'infinity'::timestamp AS until"))
        assert isinstance(never, InvalidValue)
        span = refused(connector(ODBC_MARIADB, maria, query="SELECT TIME '26:00:01' AS span"))
        assert isinstance(span, InvalidValue)
        assert "cast it to text" in span.message


class TestReadOnly:
    def test_postgresql_refuses_functions_that_write(self, pg: Endpoint) -> None:
        error = refused(connector(PSYCOPG, pg, query="SELECT clear()"))
        assert isinstance(error, ConfigurationError)
        assert "read-only transaction" in error.message
        assert len(rows(connector(PSYCOPG, pg, query="SELECT id FROM badge"))) == 2

    @pytest.mark.parametrize("settings", [PYMYSQL, ODBC_MARIADB])
    def test_mariadb_keeps_its_rows(self, maria: Endpoint, settings: dict[str, Any]) -> None:
        assert isinstance(refused(connector(settings, maria, query="DELETE FROM badge")), ConfigurationError)
        assert len(rows(connector(PYMYSQL, maria, query="SELECT id FROM badge"))) == 2

    @pytest.mark.parametrize("settings", [SQLITE, ODBC_SQLITE])
    def test_sqlite_keeps_its_rows(self, hr: Path, settings: dict[str, Any]) -> None:
        before = (hr / "hr.sqlite").read_bytes()
        assert isinstance(refused(connector(settings, folder=hr, query="DELETE FROM badge")), ConfigurationError)
        assert (hr / "hr.sqlite").read_bytes() == before

    @pytest.mark.parametrize("settings", [SQLITE, ODBC_SQLITE])
    def test_a_missing_sqlite_file_is_not_made(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        assert "there is no file 'hr.sqlite'" in refused(connector(settings, folder=tmp_path, query="SELECT 1")).message
        assert list(tmp_path.iterdir()) == []

    def test_a_sqlite_file_of_the_airflow_connection_may_lie_anywhere(self, hr: Path) -> None:
        settings = {"drivername": "sqlite", "query": "SELECT id FROM badge"}
        assert len(rows(connector(settings, Endpoint(schema=str(hr / "hr.sqlite"))))) == 2
        assert len(rows(connector(settings, Endpoint(host=str(hr / "hr.sqlite"))))) == 2
        assert "names no SQLite file" in refused(connector(settings)).message


class TestSession:
    @pytest.mark.parametrize("settings", [PSYCOPG, ODBC_POSTGRESQL])
    def test_postgresql_permissions(self, pg: Endpoint, settings: dict[str, Any]) -> None:
        reader = Endpoint(pg.host, pg.port, pg.schema, "reader", "reader-password")
        assert len(rows(connector(settings, reader, query="SELECT id FROM badge"))) == 2
        error = refused(connector(settings, reader, query="SELECT id FROM secret"))
        assert isinstance(error, PermissionDenied)

    @pytest.mark.parametrize("settings", [PYMYSQL, ODBC_MARIADB])
    def test_mariadb_permissions(self, maria: Endpoint, settings: dict[str, Any]) -> None:
        reader = Endpoint(maria.host, maria.port, maria.schema, "reader", "reader-password")
        assert len(rows(connector(settings, reader, query="SELECT id FROM badge"))) == 2
        error = refused(connector(settings, reader, query="SELECT id FROM secret"))
        assert isinstance(error, PermissionDenied)

    def test_an_answer_that_takes_too_long_may_come_later(self, pg: Endpoint, maria: Endpoint) -> None:
        slow = connector(PSYCOPG, pg, query="SELECT pg_sleep(20)", timeout=1)
        assert isinstance(refused(slow), ConnectionFailed)
        slow = connector(PYMYSQL, maria, query="SELECT sleep(20)", timeout=1)
        assert isinstance(refused(slow), ConnectionFailed)

    @pytest.mark.parametrize(
        "level", ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "SNAPSHOT"]
    )
    def test_an_isolation_level_never_fails_where_it_is_lacking(
        self, pg: Endpoint, maria: Endpoint, hr: Path, level: str
    ) -> None:
        for settings, endpoint in (
            (PSYCOPG, pg),
            (PYMYSQL, maria),
            (SQLITE, None),
            (ODBC_POSTGRESQL, pg),
            (ODBC_MARIADB, maria),
            (ODBC_SQLITE, None),
        ):
            made = connector(settings, endpoint, hr, query="SELECT id FROM badge", isolation_level=level)
            assert len(rows(made)) == 2

    @pytest.mark.parametrize(("level", "total"), [("REPEATABLE READ", "2"), ("READ COMMITTED", "3")])
    def test_repeatable_read_gives_all_tables_as_of_one_instant(
        self, postgresql: PostgreSQL, pg: Endpoint, level: str, total: str
    ) -> None:
        count = "SELECT count(*) AS total FROM badge"
        made = connector(PSYCOPG, pg, tables={"one": count, "two": count}, isolation_level=level)
        files = Files()

        class Sink:
            """Another session adds a badge between the two tables."""

            inner = files.sink()

            def table(self, name: str, columns: Sequence[str]) -> Any:
                if name == "DB_one":
                    postgresql.execute("INSERT INTO badge VALUES (3)", database="sql_tests")
                return self.inner.table(name, columns)

        try:
            made.export(ExportRequest("complete"), Sink())
        finally:
            postgresql.execute("DELETE FROM badge WHERE id = 3", database="sql_tests")
        assert (files.rows("DB_one"), files.rows("DB_two")) == ([("2",)], [(total,)])

    def test_options_of_the_driver_come_from_settings_and_connection(self, pg: Endpoint) -> None:
        query = "SELECT current_setting('application_name') AS a"
        assert rows(connector(PSYCOPG, pg, query=query, query_options={"application_name": "roll"})) == [("roll",)]
        extra = Endpoint(pg.host, pg.port, pg.schema, pg.login, pg.password, {"application_name": "call"})
        assert rows(connector(PSYCOPG, extra, query=query)) == [("call",)]
        wrong = Endpoint(pg.host, pg.port, pg.schema, pg.login, pg.password, {"no_such_option": "x"})
        assert isinstance(refused(connector(PSYCOPG, wrong, query=query)), ConfigurationError)

    def test_missing_drivers_are_named(self) -> None:
        error = refused(connector({"drivername": "oracle+oracledb", "query": "SELECT 1"}))
        assert "needs the Python package 'oracledb'" in error.message
        error = refused(connector({"drivername": "postgresql+nodriver", "query": "SELECT 1"}))
        assert "no such 'drivername'" in error.message
        error = refused(connector({"drivername": "odbc", "odbc_driver": "No such driver", "query": "SELECT 1"}))
        assert isinstance(error, ConfigurationError)

    def test_a_check_tells_each_table_apart(self, pg: Endpoint) -> None:
        made = connector(PSYCOPG, pg, tables={"good": "SELECT 1 AS a, 2 AS b", "bad": "SELECT nothing"})
        verdicts = [(verdict.title, verdict.passed, verdict.detail) for verdict in made.check()]
        assert verdicts == [
            ("connection", True, ""),
            ("table DB_good", True, "2 columns"),
            ("table DB_bad", False, "table 'DB_bad': column \"nothing\" does not exist"),
        ]
