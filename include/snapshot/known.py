"""Which rows of an entity type exist once this run is loaded: what a link may point to."""

from __future__ import annotations

from collections.abc import Sequence

from include.difference.commands import resolve_commands
from include.model.configuration import EntityType
from include.snapshot.work import Work, parquet
from include.storage.engine import name


def remaining_rows(work: Work, entity_type: EntityType, columns: Sequence[str]) -> str:
    """The rows that exist once this run is loaded, as a SQL relation of ``columns``.

    Clean rows; stored rows that are protected, whose export is not complete, or that a table of changes
    does not mention; and every stored row of another connector's entity type.
    """
    stored = work.stored(entity_type.identifier)
    shown = ", ".join(name(column) for column in columns)
    counts = work.entity_types.get(entity_type.identifier)
    if counts is None:
        return f"(SELECT {shown} FROM {stored})"
    clean = parquet(work.clean, f"{entity_type.identifier}.parquet")
    key = entity_type.primary_key.identifier
    if counts.command:
        every = [item.identifier for item in entity_type.properties]
        return f"(SELECT {shown} FROM {resolve_commands(work.connection, stored, clean, key=key, columns=every)})"
    text = f"CAST({name(key)} AS VARCHAR)"
    protected = ""
    if counts.deletions:
        aside = parquet(work.clean, f"{entity_type.identifier}.set_aside.parquet")
        protected = f" AND {text} IN (SELECT key FROM {aside})"
    return f"""(
        SELECT {shown} FROM {clean}
        UNION ALL
        SELECT {shown} FROM {stored} WHERE {text} NOT IN (SELECT {text} FROM {clean}){protected}
    )"""
