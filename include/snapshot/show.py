"""Read models over the files of a synchronization run: what it changed, and what it set aside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.snapshot.raw import csv_relation, read_header
from include.storage.engine import engine, literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

SET_ASIDE = {".nullpk.csv": "empty key", ".duplicates.csv": "duplicate key", ".rejects.csv": None}
SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One change of a run as a person reads it; ``name`` is the internal display name, or empty."""

    table: str
    command: str
    key: str
    name: str
    difference: str


@dataclass(frozen=True, slots=True)
class ShownReject:
    """One row, or one value, that a run set aside."""

    table: str
    line: str
    key: str
    column: str
    value: str
    reason: str


def list_changes(run: Folder, limit: int, names: Mapping[str, str]) -> list[ShownChange]:
    """The first changes of each table of a run, up to ``limit`` in all (``shown_changes``)."""
    changes = run.child("changes")
    if not changes.exists("changes.json"):
        return []
    counters = changes.read_json("changes.json")
    with engine(run) as connection:
        entity_types = {table: names.get(table) for table in counters["entity_types"]}
        return shown_changes(connection, changes, entity_types, counters["associations"], limit)


def shown_changes(
    connection: duckdb.DuckDBPyConnection,
    changes: Folder,
    entity_types: Mapping[str, str | None],
    associations: Iterable[str],
    limit: int,
) -> list[ShownChange]:
    """The first changes of each table, up to ``limit`` in all, deletions first.

    ``difference`` names each changed column with its old and new value; values are cut to a line.

    Args:
        connection: an engine that reads the folder.
        changes: the folder of ``<identifier>.parquet`` as the comparison writes them.
        entity_types: their identifiers, each with the property by whose value a person knows the resource.
        associations: their identifiers.
        limit: rows to return.
    """
    found: list[ShownChange] = []
    for table, called in entity_types.items():
        path = literal(changes.file(f"{table}.parquet"))
        columns = [
            str(row[0])
            for row in connection.execute(
                f"SELECT unnest(new, max_depth := 1) FROM read_parquet({path}) LIMIT 0"
            ).description
        ]
        pairs = ", ".join(
            f"CASE WHEN list_contains(changed_columns, {literal(column)}) THEN {literal(column + ': ')}"
            f" || coalesce(left(old.{name(column)}::VARCHAR, {SHOWN_CHARACTERS}), 'NULL') || ' → '"
            f" || coalesce(left(new.{name(column)}::VARCHAR, {SHOWN_CHARACTERS}), 'NULL') END"
            for column in columns
        )
        query = f"""
            SELECT command, key, {_name(columns, called)}, concat_ws('; ', {pairs})
            FROM read_parquet({path})
            ORDER BY command = 'delete' DESC, key LIMIT {limit - len(found)}
        """
        found += [ShownChange(table, *row) for row in connection.execute(query).fetchall()]
    for table in associations:
        path = literal(changes.file(f"{table}.parquet"))
        query = f"""
            SELECT command, key1 || ' ↔ ' || key2, '', '' FROM read_parquet({path})
            ORDER BY command = 'delete' DESC, key1, key2 LIMIT {limit - len(found)}
        """
        found += [ShownChange(table, *row) for row in connection.execute(query).fetchall()]
    return found


def _name(columns: Sequence[str], wanted: str | None) -> str:
    """SQL for what a changed resource is called, now or, where it goes, before; empty where it has no name."""
    if wanted is None or wanted not in columns:
        return "''"
    values = (f"nullif(left({side}.{name(wanted)}::VARCHAR, {SHOWN_CHARACTERS}), '')" for side in ("new", "old"))
    return f"coalesce({', '.join(values)}, '')"


def list_rejects(run: Folder, limit: int, keys: Mapping[str, str]) -> list[ShownReject]:
    """What a run set aside, and the values that it could not compute, up to ``limit``; values are cut to a line.

    Args:
        run: the run's folder.
        limit: rows to return.
        keys: per entity type, the column of the raw file that holds its primary key.
    """
    files = [(run.child(folder), file) for folder in ("clean", "changes") for file in run.child(folder).names("*.csv")]
    found: list[ShownReject] = []
    with engine(run) as connection:
        for folder, file in files:
            suffix = next((item for item in SET_ASIDE if file.endswith(item)), None)
            if suffix is None:
                continue
            table, header = file.removesuffix(suffix), read_header(folder, file)
            values = ", ".join(_shown(header, item) for item in ("line", ("key", keys.get(table)), "column", "value"))
            reason = "reason" if "reason" in header else literal(SET_ASIDE[suffix] or "")
            relation = csv_relation(folder.file(file), header)
            query = f"SELECT {values}, {reason} FROM {relation} LIMIT {limit - len(found)}"
            found += [ShownReject(table, *row) for row in connection.execute(query).fetchall()]
    return found


def _shown(header: Sequence[str], wanted: str | tuple[str, str | None]) -> str:
    """SQL for the first of the wanted columns that the file has, cut to a line; empty where it has none."""
    names = (wanted,) if isinstance(wanted, str) else wanted
    column = next((item for item in names if item in header), None)
    return f"coalesce(left({name(column)}, {SHOWN_CHARACTERS}), '')" if column else "''"
