from __future__ import annotations

import sqlite3

import psycopg
import pymysql
import pyodbc
import pytest
import sqlalchemy.exc

from connectors.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidValue,
    PermissionDenied,
)
from connectors.sql.faults import LONGEST_DETAIL, faults, presentable

SECRET = "p@ss/word"


def mapped(error: Exception, *, connecting: bool = False) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised, faults("table 'T'", (SECRET,), connecting=connecting):
        raise error
    assert raised.value.message.startswith("table 'T': ")
    return raised.value


def psycopg_error(state: str) -> psycopg.Error:
    return psycopg.errors.lookup(state)("something")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg_error("42P01"), ConfigurationError),
        (psycopg_error("42501"), PermissionDenied),
        (psycopg_error("25006"), ConfigurationError),
        (psycopg_error("28P01"), AuthenticationFailed),
        (psycopg_error("3D000"), ConfigurationError),
        (psycopg_error("57P01"), ConnectionFailed),
        (psycopg_error("57014"), ConnectionFailed),
        (psycopg_error("53300"), ConnectionFailed),
        (psycopg_error("40P01"), ConnectionFailed),
        (psycopg_error("22P02"), InvalidValue),
        (psycopg.DataError("timestamp too large (after year 10K): 'infinity'"), InvalidValue),
        (psycopg.OperationalError("password authentication failed for user"), AuthenticationFailed),
        (psycopg.OperationalError("server closed the connection unexpectedly"), ConnectionFailed),
        (
            pymysql.err.OperationalError(1045, "Access denied for user 'x'@'y' (using password: YES)"),
            AuthenticationFailed,
        ),
        (pymysql.err.OperationalError(1044, "Access denied for user 'x'@'y' to database 'z'"), PermissionDenied),
        (pymysql.err.OperationalError(1142, "SELECT command denied to user"), PermissionDenied),
        (pymysql.err.ProgrammingError(1146, "Table 'x.y' doesn't exist"), ConfigurationError),
        (pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query"), ConnectionFailed),
        (pymysql.err.OperationalError(4999, "never heard of"), ConnectionFailed),
        (pyodbc.Error("28000", "[28000] [Vendor][Driver]no"), AuthenticationFailed),
        (pyodbc.Error("HYT00", "[HYT00] wait"), ConnectionFailed),
        (pyodbc.Error("IM002", "[IM002] no driver"), ConfigurationError),
        (pyodbc.ProgrammingError("42000", "[42000] SELECT command denied to user"), PermissionDenied),
        (pyodbc.ProgrammingError("42000", "[42000] never heard of"), ConfigurationError),
        (pyodbc.Error("42S02", "[42S02] no table"), ConfigurationError),
        (pyodbc.OperationalError("08001", "[08001] password authentication failed"), AuthenticationFailed),
        (pyodbc.OperationalError("08S01", "[08S01] the line went dead"), ConnectionFailed),
        (sqlite3.OperationalError("no such table: x"), ConfigurationError),
        (sqlite3.OperationalError("database is locked"), ConnectionFailed),
        (sqlite3.OperationalError("Could not decode to UTF-8 column 'name' with text 'x'"), InvalidValue),
        (sqlite3.OperationalError("unable to open database file"), PermissionDenied),
        (sqlite3.DatabaseError("file is not a database"), ConfigurationError),
        (sqlite3.DatabaseError("database disk image is malformed"), ConfigurationError),
    ],
)
def test_each_drivers_error_has_its_place_in_the_tree(error: Exception, kind: type[ConnectorError]) -> None:
    assert type(mapped(error)) is kind
    wrapped = sqlalchemy.exc.DBAPIError("SELECT secret_column FROM secret_table", {}, error)
    assert type(mapped(wrapped)) is kind
    assert "secret_table" not in mapped(wrapped).message


def test_what_is_unknown_while_connecting_may_succeed_later() -> None:
    assert type(mapped(psycopg.Error("?"), connecting=True)) is ConnectionFailed
    assert type(mapped(psycopg.Error("?"))) is ConfigurationError
    refused = psycopg.ProgrammingError("invalid connection option")
    assert type(mapped(refused, connecting=True)) is ConfigurationError
    assert type(mapped(TypeError("unexpected keyword"), connecting=True)) is ConfigurationError


def test_missing_software_is_named() -> None:
    assert "'oracledb'" in mapped(ModuleNotFoundError("No module", name="oracledb")).message
    assert "no such 'drivername'" in mapped(sqlalchemy.exc.NoSuchModuleError("Can't load plugin")).message


def test_errors_that_are_not_the_drivers_pass() -> None:
    for error in (OSError("disk full"), ValueError("ours"), InvalidValue("told already")):
        with pytest.raises(type(error)) as raised, faults("table 'T'", ()):
            raise error
        assert raised.value is error


@pytest.mark.parametrize("shape", [SECRET, "p%40ss%2Fword"])
def test_a_message_that_holds_a_secret_is_withheld(shape: str) -> None:
    error = mapped(psycopg.OperationalError(f'connection to "postgresql://rollcall:{shape}@host/db" failed'))
    assert error.message == "table 'T': the driver's message is withheld, because it holds a secret"
    assert error.__suppress_context__
    assert error.__cause__ is None


def test_a_message_is_one_short_line() -> None:
    assert presentable("\nfirst\nLINE 1: SELECT secret\n", ()) == "first"
    assert len(presentable("x" * 5000, ())) == LONGEST_DETAIL + 3
    odbc = "42P01 [42P01] [Vendor][Driver]ERROR: no relation;\nError while executing the query (1) (SQLExecDirectW)"
    assert presentable(odbc, ()) == "ERROR: no relation"
    assert presentable("HY000 [HY000] [SQLite]no such column: x (1) (SQLPrepare)", ()) == "no such column: x"
