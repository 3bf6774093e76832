"""The functions that an expression may call: those of DuckDB that are pure, and the predefined ones.

Pure means: the value follows from the arguments alone. What reads a file, a setting, a sequence, the
session or the clock is no part of it, so that the same data and the same instant give the same orders.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from include.expressions.predefined import PREDEFINED_FUNCTIONS, install_predefined

if TYPE_CHECKING:
    import duckdb

EVALUATED_AT = "evaluated_at"
"""The instant of the run, as a function without arguments or written like a property."""

CLOCK_FUNCTIONS = frozenset(
    {
        "ago", "current_date", "current_localtime", "current_localtimestamp", "current_time", "current_timestamp",
        "get_current_time", "get_current_timestamp", "localtime", "localtimestamp", "now", "today",
        "transaction_timestamp",
    }
)  # fmt: skip

# Declared consistent by DuckDB, and yet not a value of their arguments alone: ``age`` with one argument
# counts from today, the rest look into the session or at the statement itself.
_NOT_PURE = frozenset(
    {
        "age", "alias", "current_setting", "getvariable", "json_deserialize_sql", "json_serialize_plan",
        "json_serialize_sql", "parse_duckdb_log_message", "vector_type", "version",
    }
)  # fmt: skip

# DuckDB's built-in macros over scalars; its others speak of catalogues, sessions and aggregates.
_BUILT_IN_MACROS = frozenset(
    {
        "array_append", "array_prepend", "array_reverse", "array_to_string", "date_add", "days_in_month", "fdiv",
        "fmod", "list_append", "list_count", "list_first", "list_last", "list_max", "list_min", "list_prepend",
        "list_reverse", "list_string_agg", "list_sum", "nullif", "round_even", "roundbankers", "split_part",
    }
)  # fmt: skip


@cache
def scalar_functions() -> frozenset[str]:
    """Names of all functions that an expression may call, in lower case."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute(
            """
            SELECT DISTINCT lower(function_name) FROM duckdb_functions()
            WHERE function_type = 'scalar' AND stability = 'CONSISTENT' AND NOT starts_with(function_name, '__')
            EXCEPT
            SELECT lower(function_name) FROM duckdb_functions()
            WHERE function_type IN ('table', 'table_macro', 'pragma')
               OR function_type = 'scalar' AND stability <> 'CONSISTENT'
            """
        ).fetchall()
    built_in = {name for (name,) in found} - _NOT_PURE - CLOCK_FUNCTIONS
    return frozenset(built_in | _BUILT_IN_MACROS | PREDEFINED_FUNCTIONS | {EVALUATED_AT})


@cache
def other_functions() -> frozenset[str]:
    """Names of the functions that DuckDB has and an expression may not call, in lower case."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute("SELECT DISTINCT lower(function_name) FROM duckdb_functions()").fetchall()
    return frozenset(name for (name,) in found) - scalar_functions()


def install(connection: duckdb.DuckDBPyConnection, evaluated_at: datetime | None = None) -> None:
    """Create the predefined functions in a connection, and ``evaluated_at`` where there is such an instant."""
    install_predefined(connection)
    if evaluated_at is not None:
        connection.execute(f"CREATE MACRO {EVALUATED_AT}() AS {timestamp(evaluated_at)}")


def timestamp(instant: datetime | None) -> str:
    """An instant as a SQL literal: TIMESTAMP in UTC; one without a zone is taken as UTC."""
    if instant is None:
        return "CAST(NULL AS TIMESTAMP)"
    if instant.tzinfo is not None:
        instant = instant.astimezone(UTC).replace(tzinfo=None)
    return f"TIMESTAMP '{instant.isoformat(sep=' ')}'"
