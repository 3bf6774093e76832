"""Connection transformations, carried out on a raw table before it is prepared (engine.md 1.3).

They are columns laid over the relation of the raw file, one query inside the other; the file stays as it
was exported. A row that ``WhereValue`` leaves out stays in its place, marked, so that the lines of the
file can still be counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from include.model.transformation import ConcatColumns, Transformation, TransformDate, WhereValue
from include.snapshot import delta
from include.snapshot.errors import PreparationError
from include.snapshot.values import in_order, joined
from include.storage.engine import literal

if TYPE_CHECKING:
    import duckdb

FILTERED = "filtered"
"""The column that marks the rows that ``WhereValue`` leaves out."""
MICROSECONDS_PER_DAY = 86_400_000_000

FindColumn = Callable[[tuple[str, ...], str, str], int]
"""From header, wanted column and purpose to its index; raises ``PreparationError`` where there is none."""


def transformed(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    header: tuple[str, ...],
    transformations: tuple[Transformation, ...],
    find: FindColumn,
    *,
    command: str | None = None,
) -> tuple[str, tuple[str, ...]]:
    """A query over the relation with the transformations done, and the header with the columns they make.

    Args:
        connection: judges the regular expressions.
        relation: SQL with the columns ``c0``, ``c1`` ... of the header that are read.
        header: the names of the raw file's columns.
        transformations: those of the table, in order.
        find: the index of a column in a header.
        command: the column of commands of a table of changes. Of those, a deletion is never left out, and
            any other change of a row that is left out becomes its deletion.

    Raises:
        PreparationError: the header lacks a column that is read, or an expression is none.
    """
    query = f"SELECT *, false AS {FILTERED} FROM {relation}"
    done = delta.command(command) if command else None
    for item in transformations:
        inputs = [f"c{find(header, column, f'{item.type} on {item.table}')}" for column in item.inputs]
        if isinstance(item, WhereValue):
            _check(connection, item)
            left_out = f"NOT ({kept(item, inputs[0])})"
            if done:
                # What a merge does not say, it leaves as it is.
                left_out += f" AND coalesce({done} <> 'merge' OR {inputs[0]} <> '', false)"
            query = f"SELECT * REPLACE ({FILTERED} OR {left_out} AS {FILTERED}) FROM ({query})"
            continue
        value = concatenated(item, inputs) if isinstance(item, ConcatColumns) else moved_date(item, inputs[0])
        present, header = _place(header, item.column)
        # The output may overwrite a column that was not read: then it is not in the query yet.
        query = f"SELECT {value} AS made, * FROM ({query})"
        query = f"SELECT made AS c{present}, COLUMNS(c -> c NOT IN ('made', 'c{present}')) FROM ({query})"
    if done and any(isinstance(item, WhereValue) for item in transformations):
        leaving = f"CASE WHEN {FILTERED} AND {done} IS NOT NULL THEN 'delete' ELSE {command} END AS {command}"
        query = f"SELECT * REPLACE ({leaving}, false AS {FILTERED}) FROM ({query})"
    return query, header


def _place(header: tuple[str, ...], column: str) -> tuple[int, tuple[str, ...]]:
    """The index of an output column, and the header with it: the one of that name, else a new one."""
    exact = [index for index, name in enumerate(header) if name == column]
    found = exact or [index for index, name in enumerate(header) if name.casefold() == column.casefold()]
    return (found[0], header) if found else (len(header), (*header, column))


def _check(connection: duckdb.DuckDBPyConnection, item: WhereValue) -> None:
    import duckdb

    if item.where_operator != "Regex":
        return
    try:
        connection.execute(f"SELECT regexp_matches('', {literal(item.where_value)})")
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].partition("Error: ")[2]
        raise PreparationError(
            f"WhereValue on {item.table}: where_value is no regular expression of RE2: {reason}"
        ) from error


def kept(item: WhereValue, raw: str) -> str:
    """A SQL expression: whether a row stays. A missing value is compared as the empty text."""
    value, wanted = f"coalesce({raw}, '')", literal(item.where_value)
    return {
        "Equals": f"{value} = {wanted}",
        "NotEquals": f"{value} <> {wanted}",
        "Contains": f"contains({value}, {wanted})",
        "NotContains": f"NOT contains({value}, {wanted})",
        "StartsWith": f"starts_with({value}, {wanted})",
        "EndsWith": f"ends_with({value}, {wanted})",
        "Regex": f"regexp_matches({value}, {wanted})",
    }[item.where_operator]


def concatenated(item: ConcatColumns, inputs: list[str]) -> str:
    """A SQL expression: the joined values; NULL where all of them are empty, as a key of nothing is no key."""
    values = "[" + ", ".join(f"coalesce({column}, '')" for column in inputs) + "]"
    if item.remove_empty:
        values = f"list_filter({values}, lambda value: value <> '')"
    if item.remove_duplicates:
        # The indexes of those that differ from the one before; a list's element 0 is NULL.
        values = f"""list_transform(
            list_filter(range(1, len({values}) + 1), lambda i: ({values})[i] IS DISTINCT FROM ({values})[i - 1]),
            lambda i: ({values})[i])"""
    if item.sort_values:
        values = in_order(values)
    any_value = " OR ".join(f"{column} <> ''" for column in inputs)
    return f"CASE WHEN {any_value} THEN {joined(values, item.concat_separator)} END"


def moved_date(item: TransformDate, raw: str) -> str:
    """A SQL expression: the text of a date with ``added_days`` added.

    A date outside the years, or that would leave the years 1 to 9999, stays as it is; so does a text that
    is no date in the pattern, for the property's own format to judge.
    """
    moment = f"CAST(try_strptime({raw}, {literal(item.date_pattern)}) AS TIMESTAMP)"
    moved = f"{moment} + to_microseconds({_added(item)})"
    return (
        f"""CASE WHEN {_is_moved(item, moment)} THEN strftime({moved}, {literal(item.date_pattern)}) ELSE {raw} END"""
    )


def restored_date(item: TransformDate, text: str) -> str:
    """A SQL expression: the text of the source that ``moved_date`` gave as ``text``; its inverse, for writing.

    Where a moved date and one that was left alone come to the same text, the moved one is meant.
    """
    moment = f"CAST(try_strptime({text}, {literal(item.date_pattern)}) AS TIMESTAMP)"
    source = f"({moment} - to_microseconds({_added(item)}))"
    return f"CASE WHEN {_is_moved(item, source)} THEN strftime({source}, {literal(item.date_pattern)}) ELSE {text} END"


def _added(item: TransformDate) -> int:
    return round(item.added_days * MICROSECONDS_PER_DAY)


def _is_moved(item: TransformDate, moment: str) -> str:
    result = f"year({moment} + to_microseconds({_added(item)}))"
    return f"year({moment}) BETWEEN {item.min_year} AND {item.max_year} AND {result} BETWEEN 1 AND 9999"
