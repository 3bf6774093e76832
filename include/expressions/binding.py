"""Expressions bound without data: the DuckDB type of each over empty relations of the declared types.

So that what is wrong with an expression is told when the configuration loads, at the field where it stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from include.expressions.compilation import bind, compile_expressions
from include.expressions.errors import ExpressionMistake
from include.expressions.functions import install
from include.expressions.paths import EntityGraph, Scope
from include.model.base import DUCKDB_TYPES
from include.model.configuration import Property
from include.storage.engine import name

if TYPE_CHECKING:
    import duckdb

_INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_EXAMPLES = {
    "truth": "compare, such as status = 'active'",
    "whole number": "cast it, such as try_cast(... AS BIGINT)",
    "number": "cast it, such as try_cast(... AS DOUBLE)",
    "instant": "read it, such as try_strptime(..., '%Y-%m-%d')",
    "bytes": "turn it into bytes, such as encode(...)",
}
# What each kind of property takes without a word from the integrator.
_ACCEPTED = {
    "truth": {"truth"},
    "whole number": {"whole number"},
    "number": {"whole number", "number"},
    "instant": {"instant", "day"},
    "bytes": {"bytes"},
    "text": {"text", "whole number", "number", "day"},
}


@dataclass(frozen=True, slots=True)
class Place:
    """One expression, where it stands, and what its type must satisfy (None or the complaint)."""

    field: str
    text: str
    scope: Scope
    complaint: Callable[[str], str | None]


def place_types(places: Sequence[Place], graph: EntityGraph) -> list[str | ExpressionMistake]:
    """The DuckDB type of every expression, or why it has none; places that share a scope are bound together."""
    connection = _binder(os.getpid()).cursor()
    compiled = compile_expressions(connection, [(place.text, place.scope) for place in places])
    types: list[str | ExpressionMistake] = [item if isinstance(item, ExpressionMistake) else "" for item in compiled]
    by_scope: dict[int, list[int]] = {}
    for position, place in enumerate(places):
        if not isinstance(compiled[position], ExpressionMistake):
            by_scope.setdefault(id(place.scope), []).append(position)
    for positions in by_scope.values():
        from_clause = places[positions[0]].scope.from_clause(lambda identifier: _nothing(identifier, graph))
        found = _bind_each(connection, [str(compiled[position]) for position in positions], from_clause)
        for position, item in zip(positions, found, strict=True):
            types[position] = item
    return types


def _bind_each(
    connection: duckdb.DuckDBPyConnection, expressions: list[str], from_clause: str
) -> list[str | ExpressionMistake]:
    try:
        return list(bind(connection, expressions, from_clause))
    except ExpressionMistake as mistake:
        if len(expressions) == 1:
            return [mistake]
    return [found for expression in expressions for found in _bind_each(connection, [expression], from_clause)]


def _nothing(identifier: str, graph: EntityGraph) -> str:
    """An empty relation with the columns of an entity type, or of an association."""
    columns = {"resource1_id": "BIGINT", "resource2_id": "BIGINT"}
    if entity_type := graph.entity_types.get(identifier):
        columns = {"resource_id": "BIGINT"}
        columns |= {item.identifier: DUCKDB_TYPES[item.type] for item in entity_type.properties}
    fields = ", ".join(f"CAST(NULL AS {kind}) AS {name(column)}" for column, kind in columns.items())
    return f"(SELECT {fields} WHERE false)"


@cache
def _binder(_process: int) -> duckdb.DuckDBPyConnection:
    """One locked DuckDB per process: a fork does not inherit its threads."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    install(connection, datetime.now(UTC), bound_only=True)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def no_value_of(target: Property) -> Callable[[str], str | None]:
    """What speaks against an expression's type as the value of a property."""

    def complaint(duckdb_type: str) -> str | None:
        wanted, given = kind_of(DUCKDB_TYPES[target.type]), kind_of(duckdb_type)
        if given == "nothing" or given in _ACCEPTED[wanted]:
            return None
        advice = _EXAMPLES.get(wanted) or (
            "say which words, such as CASE WHEN ... THEN 'yes' ELSE 'no' END"
            if given == "truth"
            else "say in which form, such as strftime(..., '%Y-%m-%d')"
        )
        return f"it gives {duckdb_type}, but {target.identifier} is {target.type}: {advice}"

    return complaint


def kind_of(duckdb_type: str) -> str:
    """The kinds of value between which DuckDB must not be left to guess."""
    base = duckdb_type.partition("(")[0].strip('"').upper()
    if base in _INTEGERS:
        return "whole number"
    if base.startswith("TIMESTAMP"):
        return "instant"
    kinds = {
        "BOOLEAN": "truth", "DOUBLE": "number", "FLOAT": "number", "DECIMAL": "number", "DATE": "day", "BLOB": "bytes",
        "VARCHAR": "text", "UUID": "text", "NULL": "nothing",
    }  # fmt: skip
    return "other" if base.endswith("]") else kinds.get(base, "other")
