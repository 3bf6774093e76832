"""Which rows of an entity type exist once this run is loaded: what a link may point to."""

from __future__ import annotations

from collections.abc import Sequence

from include.difference.commands import resolve_commands
from include.model.configuration import EntityType, Property
from include.snapshot.work import Work, parquet
from include.storage.engine import name


def spared_keys(work: Work, entity_type: EntityType) -> str:
    """The keys that are not deleted although no clean row has them, as a SQL relation of ``key``.

    Those of lines that were set aside, and those that are missing but kept for now (``on_missing``).
    """
    aside, missing = (f"{entity_type.identifier}.{kind}.parquet" for kind in ("set_aside", "missing"))
    return f"(SELECT key FROM {parquet(work.clean, aside)} UNION ALL SELECT key FROM {parquet(work.clean, missing)})"


def remaining_rows(work: Work, entity_type: EntityType, columns: Sequence[str]) -> str:
    """The rows that exist once this run is loaded, as a SQL relation of ``columns``.

    Clean rows; stored rows that are kept, or that a table of changes does not mention; and every stored row
    of another connector's entity type. Of the connector's own, ``columns`` are mapped properties.
    """
    stored = work.stored(entity_type.identifier)
    shown = ", ".join(name(column) for column in columns)
    counts = work.entity_types.get(entity_type.identifier)
    if counts is None:
        return f"(SELECT {shown} FROM {stored})"
    arriving = parquet(work.clean, f"{entity_type.identifier}.parquet")
    if counts.command:
        key = entity_type.primary_key.identifier
        every = [item.identifier for item in entity_type.mapped_properties]
        arriving = resolve_commands(work.connection, stored, arriving, key=key, columns=every)
    kept = kept_rows(work, entity_type)
    return f"(SELECT {shown} FROM {arriving}{f' UNION ALL SELECT {shown} FROM {kept}' if kept else ''})"


def kept_rows(work: Work, entity_type: EntityType) -> str | None:
    """The stored rows of one of the connector's entity types that stay although the run lacks them.

    They are protected, or their table may not delete. None where there can be no such row.
    """
    counts = work.entity_types[entity_type.identifier]
    stored, clean = work.stored(entity_type.identifier), parquet(work.clean, f"{entity_type.identifier}.parquet")
    key = f"CAST({name(entity_type.primary_key.identifier)} AS VARCHAR)"
    if counts.command:
        if counts.deletions:
            return None
        return f"(SELECT * FROM {stored} WHERE {key} IN (SELECT {key} FROM {clean} WHERE command = 'delete'))"
    protected = ""
    if counts.deletions:
        protected = f" AND {key} IN (SELECT key FROM {spared_keys(work, entity_type)})"
    return f"(SELECT * FROM {stored} WHERE {key} NOT IN (SELECT {key} FROM {clean}){protected})"


def keys_by_value(work: Work, entity_type: EntityType, key: Property, values: str | None = None) -> str:
    """What the values of a key stand for once this run is loaded: a SQL relation of ``value``, ``key``, ``times``.

    ``key`` is the primary key as text, ``times`` how many rows have the value; ``values`` is a query of the
    only values that are asked for.
    """
    primary = entity_type.primary_key.identifier
    rows = remaining_rows(work, entity_type, list(dict.fromkeys((key.identifier, primary))))
    asked = f"WHERE CAST({name(key.identifier)} AS VARCHAR) IN ({values})" if values else ""
    return f"""(
        SELECT CAST({name(key.identifier)} AS VARCHAR) AS value, min(CAST({name(primary)} AS VARCHAR)) AS key,
            count(*) AS times
        FROM {rows} {asked} GROUP BY value
    )"""
