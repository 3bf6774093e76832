"""What the transformations of a connection read and make, and what is wrong with them (engine.md 1.3)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from include.model.configuration import Connector
from include.model.connector_file import Finding
from include.model.formats import has_time_of_day, pattern_mistake
from include.model.names import suggestion
from include.model.positions import FieldPath
from include.model.transformation import Transformation, TransformDate, WhereValue

FILE_PACKAGES = frozenset({"csv", "excel"})
"""Packages whose exports may be transformed: they read files, and write none."""


def transformations_of(connector: Connector, table: str) -> tuple[Transformation, ...]:
    """The transformations of a connection table, in order; the name's case counts."""
    return tuple(
        item for connection in connector.connections for item in connection.transformations if item.table == table
    )


def source_columns(transformations: tuple[Transformation, ...], mapped: Mapping[str, str]) -> dict[str, str]:
    """The columns that a table must have so that its transformations can give the mapped ones.

    Args:
        transformations: those of the table, in order.
        mapped: each column that a mapping reads, with what it is for.

    Returns:
        The same of the table itself: without the columns that a transformation makes, with those it reads.
    """
    wanted = dict(mapped)
    for item in reversed(transformations):
        purpose = f"{item.type} on {item.table}"
        if not isinstance(item, WhereValue):
            made = [column for column in wanted if column.casefold() == item.column.casefold()]
            for column in made:
                del wanted[column]
        for column in item.inputs:
            if not any(other.casefold() == column.casefold() for other in wanted):
                wanted[column] = purpose
    return wanted


def transformation_mistakes(connector: Connector) -> Iterator[Finding]:
    """Transformations of what is no file, of a table that nothing reads, or that cannot be carried out."""
    read = [item.connection_table for item in connector.entity_types]
    read += [item.connection_table for item in connector.associations]
    for index, connection in enumerate(connector.connections):
        path: FieldPath = ("connections", index, "transformations")
        if connection.transformations and connection.package not in FILE_PACKAGES:
            yield path, f"package '{connection.package}' exports no files: only files are transformed"
            continue
        tables = [table for table in dict.fromkeys(read) if table.partition("_")[0] == connection.identifier]
        for position, item in enumerate(connection.transformations):
            place = (*path, position)
            if item.table not in tables:
                yield (
                    (*place, "table"),
                    f"nothing reads a table '{item.table}' of this connection{suggestion(item.table, tables)}",
                )
            yield from _field_mistakes(item, place)


def _field_mistakes(item: Transformation, place: FieldPath) -> Iterator[Finding]:
    if isinstance(item, WhereValue) and item.where_operator == "Regex":
        try:
            re.compile(item.where_value)
        except re.error as error:
            yield (*place, "where_value"), f"not a regular expression: {error}"
    if isinstance(item, TransformDate):
        mistake = pattern_mistake(item.date_pattern)
        if mistake:
            yield (*place, "date_pattern"), mistake
        elif not item.added_days.is_integer() and not has_time_of_day(item.date_pattern):
            yield (*place, "added_days"), "a fraction of a day is lost: date_pattern holds no time of day"
        if item.min_year > item.max_year:
            yield (*place, "min_year"), f"no year lies between {item.min_year} and {item.max_year}"
