"""How DuckDB's values become stored ones and back: the one place that knows what SQLite lacks.

PostgreSQL stores every type but the unsigned byte as it is. SQLite stores what SQLAlchemy's types store
there: an instant as ISO text with six decimals (so that text order is time order), a boolean as 0 or 1,
a double as its shortest exact text (see ``tables.ExactDouble``).
"""

from __future__ import annotations

from include.model.base import DUCKDB_TYPES, PropertyType
from include.model.configuration import Property
from include.storage.engine import name

INSTANT_FORMAT = "%Y-%m-%d %H:%M:%S.%f"


def stored(expression: str, kind: PropertyType, *, is_sqlite: bool) -> str:
    """The SQL expression of a typed value as the database stores it."""
    typed = f"CAST({expression} AS {DUCKDB_TYPES[kind]})"
    if kind == "byte":
        return f"CAST({typed} AS SMALLINT)"
    if not is_sqlite:
        return typed
    if kind == "datetime":
        return f"strftime({typed}, '{INSTANT_FORMAT}')"
    if kind == "bool":
        return f"CAST({typed} AS INTEGER)"
    if kind == "double":
        return f"CAST({typed} AS VARCHAR)"
    return typed


def restored(expression: str, kind: PropertyType) -> str:
    """The SQL expression of a stored value in its own type, whichever database stored it."""
    return f"CAST({expression} AS {DUCKDB_TYPES[kind]})"


def restored_columns(properties: tuple[Property, ...]) -> list[str]:
    """Every property restored, under its identifier."""
    return [f"{restored(name(item.identifier), item.type)} AS {name(item.identifier)}" for item in properties]
