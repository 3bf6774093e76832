"""Which rows of an entity type exist once this run is loaded: what a link may point to."""

from __future__ import annotations

from collections.abc import Sequence

from include.difference.commands import resolve_commands
from include.model.configuration import EntityType
from include.snapshot.work import Work, parquet
from include.storage.engine import name


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
        aside = parquet(work.clean, f"{entity_type.identifier}.set_aside.parquet")
        protected = f" AND {key} IN (SELECT key FROM {aside})"
    return f"(SELECT * FROM {stored} WHERE {key} NOT IN (SELECT {key} FROM {clean}){protected})"
