"""What lies between two states of a connector: the one comparison over two snapshots, and its rows as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from include.difference.compare import Counts, compare, compare_pairs
from include.model.base import DUCKDB_TYPES
from include.model.configuration import Association, EntityType, Property
from include.snapshot.previous import PublishedSnapshot
from include.snapshot.state import association_state, entity_type_state
from include.snapshot.work import parquet
from include.storage.csv_output import copy_to_csv
from include.storage.engine import literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

Item = EntityType | Association


class State(Protocol):
    """What was stored of a connector at one moment."""

    @property
    def folder(self) -> Folder:
        """Where its files lie."""
        ...

    def relation(self, connection: duckdb.DuckDBPyConnection, item: Item) -> str | None:
        """The rows as SQL, in order of key: every property, or ``key1, key2``; None where it has no such table."""
        ...


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """The state that a snapshot's run left, from its files; each is proved before it is read."""

    snapshot: PublishedSnapshot

    @property
    def folder(self) -> Folder:
        """The folder of the run."""
        return self.snapshot.folder

    def relation(self, connection: duckdb.DuckDBPyConnection, item: Item) -> str | None:
        """The rows as SQL.

        Raises:
            SnapshotError: a file is missing, or is not the one that was published.
        """
        file = f"{item.identifier}.parquet"
        if self.snapshot.sha256(f"changes/{file}") is None:
            return None
        for part in ("base", "changes"):
            self.snapshot.prove(f"{part}/{file}")
        deletions = self.snapshot.deletions_applied
        if isinstance(item, Association):
            return association_state(self.folder, item, deletions=deletions)
        described = connection.execute(f"DESCRIBE SELECT * FROM {parquet(self.folder.child('base'), file)}").fetchall()
        columns = {str(row[0]) for row in described}
        known = tuple(entry for entry in item.properties if entry.identifier in columns)
        if item.primary_key not in known:
            return None
        rows = entity_type_state(self.folder, item.model_copy(update={"properties": known}), deletions=deletions)
        shown = ", ".join(_shown(entry, columns) for entry in item.properties)
        return f"(SELECT {shown} FROM {rows})"


def _shown(item: Property, columns: set[str]) -> str:
    """A property; one that the mapping did not have then has no value."""
    label = name(item.identifier)
    return label if item.identifier in columns else f"CAST(NULL AS {DUCKDB_TYPES[item.type]}) AS {label}"


@dataclass(frozen=True, slots=True)
class ExportedState:
    """A state as the repository rebuilt it: one Parquet file per table (``Repository.export_as_of``)."""

    folder: Folder

    def relation(self, connection: duckdb.DuckDBPyConnection, item: Item) -> str | None:  # noqa: ARG002 - the protocol's
        """The rows as SQL."""
        rows = parquet(self.folder, f"{item.identifier}.parquet")
        if isinstance(item, Association):
            return f"(SELECT key1, key2 FROM {rows})"
        return f"(SELECT {', '.join(name(entry.identifier) for entry in item.properties)} FROM {rows})"


def compare_states(
    connection: duckdb.DuckDBPyConnection, before: State, after: State, items: Sequence[Item], output: Folder
) -> dict[str, Counts]:
    """Write to ``<identifier>.parquet`` what turns one state into the other, as ``difference.compare`` does.

    Returns:
        The counters of each table that at least one of the states has.
    """
    output.make()
    counts = dict[str, Counts]()
    for item in items:
        old, new = before.relation(connection, item), after.relation(connection, item)
        if old is None and new is None:
            continue
        old = old or f"(SELECT * FROM {new} WHERE false)"
        new = new or f"(SELECT * FROM {old} WHERE false)"
        target = output.file(f"{item.identifier}.parquet")
        if isinstance(item, Association):
            counts[item.identifier] = compare_pairs(connection, old, new, output=target)
        else:
            columns = [entry.identifier for entry in item.properties]
            counts[item.identifier] = compare(
                connection, old, new, key=item.primary_key.identifier, columns=columns, output=target
            )
    return counts


def write_values(connection: duckdb.DuckDBPyConnection, changes: Folder, items: Sequence[Item], target: Path) -> int:
    """Write every changed value as a line of a CSV file, which appears whole or not at all; the number of lines.

    Columns are ``table, command, key, key2, property, old, new``: of an update the properties that changed, of an
    insert or delete those that have a value, of a link its two keys. Binary values are base64.

    Raises:
        NotADirectoryError: the folder of the file does not exist.
    """
    return copy_to_csv(connection, " UNION ALL ".join(_values(changes, item) for item in items), target)


def _values(changes: Folder, item: Item) -> str:
    table, rows = literal(item.identifier), parquet(changes, f"{item.identifier}.parquet")
    if isinstance(item, Association):
        nothing = "CAST(NULL AS VARCHAR)"
        return f"""(SELECT {table} AS "table", command, key1 AS key, key2, {nothing} AS property,
            {nothing} AS old, {nothing} AS new FROM {rows})"""
    values = ", ".join(
        f"""{{'property': {literal(entry.identifier)}, 'old': {_text(entry, "old")}, 'new': {_text(entry, "new")}}}"""
        for entry in item.properties
    )
    return f"""(
        SELECT {table} AS "table", command, key, CAST(NULL AS VARCHAR) AS key2, value.property, value.old, value.new
        FROM (SELECT command, key, changed_columns, unnest([{values}]) AS value FROM {rows})
        WHERE CASE WHEN command = 'update' THEN list_contains(changed_columns, value.property)
            ELSE coalesce(value.old, value.new) IS NOT NULL END
    )"""


def _text(item: Property, side: str) -> str:
    value = f"{side}.{name(item.identifier)}"
    return f"base64({value})" if DUCKDB_TYPES[item.type] == "BLOB" else f"CAST({value} AS VARCHAR)"
