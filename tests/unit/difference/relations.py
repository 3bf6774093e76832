"""Small tables for the comparison, and what a change file does to the rows before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

Row = Mapping[str, Any]


def relation(connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    """A table of the given columns and rows."""
    typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({typed})")
    if rows:
        marks = ", ".join("?" for _ in columns)
        connection.executemany(
            f"INSERT INTO {name} VALUES ({marks})", [[row.get(item) for item in columns] for row in rows]
        )
    return name


def changes(connection: duckdb.DuckDBPyConnection, file: Path) -> list[dict[str, Any]]:
    """The rows of a change file, in its order."""
    result = connection.execute(f"SELECT * FROM read_parquet('{file}')")
    names = [item[0] for item in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def apply(before: Mapping[str, Row], changed: Sequence[Row], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows before, with the changes applied, by key."""
    rows = {key: {column: row[column] for column in columns} for key, row in before.items()}
    for change in changed:
        if change["command"] == "delete":
            del rows[change["key"]]
        elif change["command"] == "insert":
            assert change["key"] not in rows
            rows[change["key"]] = dict(change["new"])
        else:
            rows[change["key"]] |= {column: change["new"][column] for column in change["changed_columns"]}
    return rows
