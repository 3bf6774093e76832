"""Changes that arrive as commands, applied to what is stored, so that the one comparison serves them too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.storage.engine import name

if TYPE_CHECKING:
    import duckdb

EMPTIED = "emptied"
"""Column of a change table: the properties that a merge empties, VARCHAR[] (or NULL for none)."""


def resolve_commands(
    connection: duckdb.DuckDBPyConnection, before: str, delta: str, *, key: str, columns: Sequence[str]
) -> str:
    """A SQL relation: ``before`` with the commands of ``delta`` applied.

    ``insert`` and ``update`` write the row as it is given, known or not; ``delete`` removes it; ``merge``
    writes only what is filled (neither NULL nor the empty string), empties what its column ``emptied``
    names (engine.md 2.3: the text ``NULL_NULL``), and creates a row that is not known.

    Args:
        connection: an engine that reads both relations.
        before: a SQL relation with ``columns``.
        delta: a SQL relation with ``command`` and ``columns``, and optionally ``emptied``; one row per key.
        key: the column that identifies a row on both sides, one of ``columns``.
        columns: the columns of the result.
    """
    described = connection.execute(f"DESCRIBE SELECT * FROM {delta}").fetchall()
    types = {str(column): str(kind) for column, kind, *_ in described}
    merged = ", ".join(
        f"{_merged(column, text=types.get(column) == 'VARCHAR', emptied=EMPTIED in types)} AS {name(column)}"
        for column in columns
    )
    plain = ", ".join(f"b.{name(column)}" for column in columns)
    same = f"CAST(b.{name(key)} AS VARCHAR) = CAST(d.{name(key)} AS VARCHAR)"
    return f"""(
        SELECT {plain} FROM {before} b WHERE NOT EXISTS (SELECT 1 FROM {delta} d WHERE {same})
        UNION ALL
        SELECT {merged} FROM {delta} d LEFT JOIN {before} b ON {same} WHERE d.command <> 'delete'
    )"""


def _merged(column: str, *, text: bool, emptied: bool) -> str:
    """The value of one column after a command."""
    given, stored = f"d.{name(column)}", f"b.{name(column)}"
    filled = f"nullif({given}, '')" if text else given
    merge = f"coalesce({filled}, {stored})"
    if emptied:
        merge = f"CASE WHEN list_contains(d.{EMPTIED}, '{column}') THEN NULL ELSE {merge} END"
    return f"CASE WHEN d.command = 'merge' THEN {merge} ELSE {given} END"
