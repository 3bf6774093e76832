"""Tables of changes: several commands for one key become one (engine.md 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

EMPTY_IT = "NULL_NULL"
"""The text by which a merge empties a value."""


def command(text: str) -> str:
    """A SQL expression: the one word for a command's many spellings, NULL for none of them."""
    return f"""CASE
        WHEN lower({text}) IN ('insert', 'add') THEN 'insert'
        WHEN lower({text}) IN ('update', 'modify') THEN 'update'
        WHEN lower({text}) IN ('delete', 'remove') THEN 'delete'
        WHEN lower({text}) = 'merge' THEN 'merge'
    END"""


def collapse(connection: duckdb.DuckDBPyConnection, values: Sequence[str], *, keep: str) -> None:
    """Fill the temporary table ``collapsed`` from the view ``keyed``: one line per key.

    The last insert, update or delete of a key counts, with the merges after it laid over it; merges alone
    stay a merge, and ``emptied`` names the values that they empty. An unknown command makes the key's
    ``command`` NULL, with the text in ``asked``.

    Args:
        connection: holds the view, with ``position``, ``key``, ``command`` and the ``values``.
        values: the columns of raw text.
        keep: the column of the key itself, which no merge changes.
    """
    others = [value for value in values if value != keep]
    emptying = f"done = 'merge' AND {{value}} = '{EMPTY_IT}'"
    latest = "".join(
        f""",
            arg_max(struct_pack(v := CASE WHEN {emptying.format(value=value)} THEN NULL ELSE {value} END,
                                emptied := {emptying.format(value=value)}), position)
                FILTER (done <> 'delete' AND (done <> 'merge' OR {value} <> '')) AS {value}"""
        for value in others
    )
    laid = "".join(f", {value}.v AS {value}" for value in others)
    emptied = ", ".join(f"CASE WHEN {value}.emptied THEN '{value}' END" for value in others)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE collapsed AS
        WITH read AS (SELECT *, {command("command")} AS done FROM keyed),
        starts AS (
            SELECT key, max(position) AS position,
                max(position) FILTER (done IS DISTINCT FROM 'merge') AS start,
                arg_max(done, position) FILTER (done <> 'merge') AS begun,
                bool_or(done IS NULL) AS unknown,
                arg_max(command, position) FILTER (done IS NULL) AS asked,
                arg_max({keep}, position) AS {keep}
            FROM read GROUP BY key
        ),
        latest AS (
            SELECT key, count(*) FILTER (done = 'merge') AS merges{latest}
            FROM read JOIN (SELECT key, start FROM starts) USING (key)
            WHERE read.position >= coalesce(start, 0)
            GROUP BY key
        )
        SELECT s.position, s.key, s.{keep}{laid}, s.asked,
            CASE
                WHEN s.unknown THEN NULL
                WHEN s.start IS NULL THEN 'merge'
                WHEN s.begun = 'delete' AND merges > 0 THEN 'insert'
                ELSE s.begun
            END AS command,
            CASE WHEN s.start IS NULL THEN CAST([{emptied}] AS VARCHAR[]) ELSE CAST([] AS VARCHAR[]) END AS emptied
        FROM starts s JOIN latest USING (key)
    """)
