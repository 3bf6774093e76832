"""The line of a snapshot's raw file that a resource, or a link, was read from.

A synchronization keeps line numbers only of what it sets aside; of all others the line is found again, by key,
in the raw file that the snapshot keeps. A number counts rows, the header being the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.model.configuration import Association, Connector, EntityType, Property
from include.model.transformations import transformations_of
from include.snapshot.entities import mapped_columns
from include.snapshot.errors import PreparationError, SnapshotError
from include.snapshot.links import link_columns
from include.snapshot.previous import PublishedSnapshot
from include.snapshot.raw import TableState, load_table, read_reports
from include.snapshot.values import parsed
from include.storage.engine import engine


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A file of a snapshot and the line in it; ``line`` is None, and ``note`` says why, where none was found."""

    file: str
    line: int | None
    note: str = ""


def resource_line(snapshot: PublishedSnapshot, connector: Connector, entity: EntityType, key: str) -> SourceLine:
    """The last line of a resource, by its primary key as text, as the mapping in use reads the file."""
    item = entity.primary_key
    column = item.source_column
    return _find(
        snapshot, connector, entity.connection_table, {column: mapped_columns(entity)[column]}, {column: (item, key)}
    )


def link_line(
    snapshot: PublishedSnapshot,
    connector: Connector,
    association: Association,
    ends: tuple[tuple[Property, str], tuple[Property, str]],
) -> SourceLine:
    """The last line of a link, by the property and value, as text, that each end's column holds."""
    columns = (association.end1.column, association.end2.column)
    sought = dict(zip(columns, ends, strict=True))
    return _find(snapshot, connector, association.connection_table, link_columns(association), sought)


def _find(
    snapshot: PublishedSnapshot,
    connector: Connector,
    table: str,
    mapped: Mapping[str, str],
    sought: Mapping[str, tuple[Property, str]],
) -> SourceLine:
    """The last kept line whose columns hold the sought values."""
    file = f"raw/{table}.csv"
    try:
        snapshot.prove(file)
        with engine(snapshot.folder) as connection:
            state = read_reports(snapshot.folder).get(table, TableState())
            raw = load_table(
                connection,
                snapshot.folder,
                table,
                state,
                mapped,
                transformations=transformations_of(connector, table),
            )
            named = {raw.column(column, mapped[column]): found for column, found in sought.items()}
            same = " AND ".join(
                f"coalesce(CAST({parsed(item, column)} AS VARCHAR), {column}) = ?"
                for column, (item, _) in named.items()
            )
            query = f"SELECT max(rowid) + 2 FROM {raw.kept} AND {same}"
            [(line,)] = connection.execute(query, [value for _, value in named.values()]).fetchall()
    except (PreparationError, SnapshotError) as error:
        return SourceLine(file, None, str(error))
    return SourceLine(file, line, "" if line else "no line of it was read: what was stored before was kept")
