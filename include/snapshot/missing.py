"""Rows that complete extracts lack, and that are kept for some runs before they are deleted (engine.md 7, item 5)."""

from __future__ import annotations

from include.model.configuration import EntityType
from include.model.remembered import MISSING_RESOURCE
from include.snapshot.preparation import EntityCounts
from include.snapshot.work import Work, parquet
from include.storage.engine import literal, name

_STILL_MISSING = "SELECT remembered.* FROM remembered JOIN absent USING (key)"


def write_missing(work: Work, entity_type: EntityType, counts: EntityCounts) -> int:
    """Write ``<entity type>.missing.parquet``: the missing rows that stay, as rows of ``MISSING_RESOURCE``.

    A run counts when its table could have shown the row: complete, not empty, every key readable. Then
    what it lacks is missing once more, and what has been kept for ``keep_runs`` runs is left out, so that
    it is deleted. Any other run only forgets the rows that it names.

    Returns:
        How many rows are missing and stay.
    """
    file = f"{entity_type.identifier}.missing.parquet"
    columns = ", ".join(name(item.identifier) for item in MISSING_RESOURCE.properties)
    counted = counts.deletions and not counts.command
    if counted and not entity_type.on_missing.keep_runs:
        return work.copy(f"SELECT {columns} FROM {work.remembered(MISSING_RESOURCE)} WHERE false", file)
    kept = _missing_again(work, entity_type) if counted else _STILL_MISSING
    return work.copy(
        f"""
        WITH remembered AS (
            SELECT * FROM {work.remembered(MISSING_RESOURCE)} WHERE entity_type = {literal(entity_type.identifier)}
        ),
        absent AS ({_absent(work, entity_type)})
        SELECT {columns} FROM ({kept}) ORDER BY resource
        """,
        file,
    )


def _absent(work: Work, entity_type: EntityType) -> str:
    """The keys of the stored rows that no line of this run names."""
    identifier = entity_type.identifier
    key = f"CAST({name(entity_type.primary_key.identifier)} AS VARCHAR)"
    clean, aside = (parquet(work.clean, f"{identifier}{suffix}.parquet") for suffix in ("", ".set_aside"))
    return f"""
        SELECT {key} AS key FROM {work.stored(identifier)}
        WHERE {key} NOT IN (SELECT {key} FROM {clean}) AND {key} NOT IN (SELECT key FROM {aside})
    """


def _missing_again(work: Work, entity_type: EntityType) -> str:
    identifier, connector = literal(entity_type.identifier), literal(work.connector.identifier)
    return f"""
        SELECT {identifier} || '|' || absent.key AS resource, {connector} AS connector, {identifier} AS entity_type,
            absent.key AS key, coalesce(remembered.since, first.since) AS since,
            coalesce(remembered.run_id, first.run_id) AS run_id,
            CAST(coalesce(remembered.runs, 0) + 1 AS INTEGER) AS runs
        FROM absent LEFT JOIN remembered USING (key), (SELECT {work.first_seen}) AS first(since, run_id)
        WHERE coalesce(remembered.runs, 0) < {entity_type.on_missing.keep_runs}
    """
