from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.contract import ConnectionContext, Endpoint, TableRequest
from connectors.sql.alchemy import url
from connectors.sql.connector import SqlConnector
from connectors.sql.odbc import braced, connection_string
from connectors.sql.session import name_parts
from connectors.sql.settings import SqlSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "drivername"),
        ({"drivername": "postgresql://login:secret@host/db"}, "belongs in the Airflow Connection"),
        ({"drivername": "sqlite", "query": "x", "tables": {"a": "y"}}, "not both"),
        ({"drivername": "odbc"}, "needs 'odbc_driver'"),
        ({"drivername": "sqlite", "odbc_driver": "SQLite3"}, "go with drivername 'odbc'"),
        ({"drivername": "odbc", "odbc_driver": "x", "odbc_options": {"Pwd": "secret"}}, "'Pwd' belongs in the Airflow"),
        ({"drivername": "mysql", "query_options": {"password": "secret"}}, "'password' belongs in the Airflow"),
        ({"drivername": "sqlite", "isolation_level": "CHAOS"}, "READ UNCOMMITTED"),
        ({"drivername": "sqlite", "timeout": 0}, "greater than 0"),
        ({"drivername": "sqlite", "connection_string": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SqlSettings(**settings)


def context(endpoint: Endpoint | None = None, mapped: tuple[str, ...] = (), **settings: Any) -> ConnectionContext:
    requests = tuple(TableRequest(name, ()) for name in mapped)
    return ConnectionContext("DB", SqlSettings(**settings), endpoint or Endpoint(), requests, Path("/nowhere"))


@pytest.mark.parametrize(
    ("settings", "tables"),
    [
        ({"query": "SELECT 1"}, ("DB",)),
        ({"query_file": "people.sql"}, ("DB",)),
        ({"tables": {"people": "SELECT 1", "groups": "SELECT 2"}}, ("DB_people", "DB_groups")),
        ({}, ("DB_mapped",)),
    ],
)
def test_tables_follow_from_the_queries(settings: dict[str, Any], tables: tuple[str, ...]) -> None:
    assert SqlConnector(context(mapped=("DB_mapped",), drivername="sqlite", **settings)).tables() == tables


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("people", ["people"]),
        ("dbo.people", ["dbo", "people"]),
        ('"dbo"."um_users"', ["dbo", "um_users"]),
        ('"odd.name"."with ""quotes"""', ["odd.name", 'with "quotes"']),
    ],
)
def test_table_names_have_parts(name: str, parts: list[str]) -> None:
    assert name_parts(name) == parts


def test_address_and_credentials_come_from_the_airflow_connection() -> None:
    endpoint = Endpoint("db.example.org", 5433, "hr", "reader", "p@ss", {"sslmode": "require", "path": "/data"})
    made = context(endpoint, drivername="postgresql+psycopg", query_options={"application_name": "rollcall"})
    assert isinstance(made.settings, SqlSettings)
    address = url(made, made.settings)
    assert address.render_as_string(hide_password=False) == (
        "postgresql+psycopg://reader:p%40ss@db.example.org:5433/hr?application_name=rollcall&sslmode=require"
    )
    assert "p@ss" not in repr(address)


def test_an_odbc_connection_string_survives_any_password() -> None:
    endpoint = Endpoint("db", 1433, "hr", "reader", "a;b}c=d")
    made = context(endpoint, drivername="odbc", odbc_driver="My Driver", odbc_options={"Encrypt": "yes"})
    assert isinstance(made.settings, SqlSettings)
    assert connection_string(made, made.settings) == (
        "DRIVER={My Driver};SERVER=db;PORT=1433;UID=reader;PWD={a;b}}c=d};DATABASE=hr;Encrypt=yes"
    )
    assert braced("") == ""
