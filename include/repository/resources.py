"""Apply the changes of one entity type: close versions, open versions, give resource ids."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from include.model.configuration import EntityType
from include.repository.bulk import BATCH_ROWS
from include.repository.columns import stored
from include.repository.errors import StaleBase
from include.repository.filling import indexed_afterwards, is_empty
from include.repository.links import close_links_of
from include.repository.loading import CLOSING, Loading
from include.repository.lookup import known_keys
from include.repository.session import take
from include.repository.tables import is_current
from include.storage.engine import literal, name

OVERWRITING = "rollcall_overwriting"
COUNTS = {"insert": "inserted", "update": "updated", "overwrite": "overwritten", "delete": "deleted"}
"""What becomes of a line of changes, and the counter of a load that counts it."""


def apply_resources(loading: Loading, entity: EntityType, file: str) -> tuple[dict[str, int], Counter[str]]:
    """Apply a changes file of ``command, changed_columns, old, new``; resources are found by their keys.

    An update of noisy properties alone, within their ``history_precision`` of the start of the current
    version, is written over that version; any other opens a version.

    Returns:
        Rows inserted, updated (a new version each), overwritten and deleted; and per association the links
        closed with the deleted resources.

    Raises:
        StaleBase: the file updates or deletes what is not current, or inserts a key that is.
    """
    _read_changes(loading, entity, file)
    closed = Counter[str]()
    table = loading.schema.table(entity)
    if is_empty(loading.bulk, table):
        loading.duck.execute("""
            CREATE OR REPLACE TEMP VIEW planned AS
            SELECT *, command AS action, NULL::BIGINT AS resource_id, NULL::TIMESTAMP AS current_from FROM change
        """)
        planned = _count_planned(loading, entity)
        if planned:
            # Rows come in order of the key's text, which is not that of a number or of every collation.
            with indexed_afterwards(loading.bulk, table, *(item for item in table.indexes if item.unique)):
                _open(loading, entity, planned["insert"])
    elif loading.duck.execute("SELECT 1 FROM change LIMIT 1").fetchall():
        with known_keys(loading, entity):
            _plan(loading, entity)
            planned = _count_planned(loading, entity)
            if planned["update"] or planned["delete"]:
                closed = _close(loading, entity)
            if planned["overwrite"]:
                _overwrite(loading, entity)
            if planned["insert"] or planned["update"]:
                _open(loading, entity, planned["insert"])
    else:
        planned = Counter[str]()
    return {counter: planned[action] for action, counter in COUNTS.items()}, closed


def zero_counts() -> dict[str, int]:
    """The counters of an entity type of which nothing changed."""
    return dict.fromkeys(COUNTS.values(), 0)


def _read_changes(loading: Loading, entity: EntityType, file: str) -> None:
    """The view ``change``: the lines to apply, their key as it is stored, and the inserts counted from 1."""
    commands = ["insert", "update"] if loading.skip_deletions else ["insert", "update", "delete"]
    key = name(entity.primary_key.identifier)
    typed = stored(f"coalesce(new.{key}, old.{key})", entity.primary_key.type, is_sqlite=loading.bulk.is_sqlite)
    loading.duck.execute(f"""
        CREATE OR REPLACE TEMP VIEW change AS
        SELECT command, {typed} AS key, changed_columns, new,
               count(*) FILTER (WHERE command = 'insert') OVER (ROWS UNBOUNDED PRECEDING) AS position
        FROM read_parquet({literal(file)}) WHERE command IN ({", ".join(map(literal, commands))})
    """)


def _plan(loading: Loading, entity: EntityType) -> None:
    """The view ``planned``: ``change`` with the resource that each line means and what to do (``COUNTS``)."""
    loading.duck.execute(f"""
        CREATE OR REPLACE TEMP VIEW planned AS
        SELECT change.*, known.resource_id, known.current_from,
               CASE WHEN {_is_noise(loading, entity)} THEN 'overwrite' ELSE command END AS action
        FROM change LEFT JOIN known ON known.key = change.key
    """)


def _is_noise(loading: Loading, entity: EntityType) -> str:
    """Whether a line updates nothing but noisy properties, none of whose windows has passed (engine.md 1.4)."""
    windows = {item.identifier: item.history_precision for item in entity.properties if item.history_precision}
    if not windows:
        return "false"
    minutes = " ".join(f"WHEN {literal(identifier)} THEN {window}" for identifier, window in windows.items())
    shortest = f"list_min(list_transform(changed_columns, lambda changed: CASE changed {minutes} ELSE 0 END))"
    return (
        f"command = 'update' AND {shortest} > 0 "
        f"AND current_from + to_minutes({shortest}) > TIMESTAMP '{loading.stamp.text}'"
    )


def _count_planned(loading: Loading, entity: EntityType) -> Counter[str]:
    """The lines of ``planned`` by what is to be done.

    Raises:
        StaleBase: a line does not fit what is current.
    """
    planned, misfits = Counter[str](), Counter[bool]()
    for action, count, misfit in loading.duck.execute("""
        SELECT action, count(*), count(*) FILTER (WHERE (command = 'insert') = (current_from IS NOT NULL))
        FROM planned GROUP BY action
    """).fetchall():
        planned[action] = count
        misfits[action == "insert"] += misfit
    others = planned.total() - planned["insert"]
    if misfits[False]:
        raise StaleBase(
            f"{entity.identifier}: {misfits[False]} of {others} resources to update or delete are no longer current: "
            "start a new run"
        )
    if misfits[True]:
        raise StaleBase(
            f"{entity.identifier}: {misfits[True]} of {planned['insert']} resources to insert are current already: "
            "start a new run"
        )
    return planned


def _close(loading: Loading, entity: EntityType) -> Counter[str]:
    """End the versions that change or go; a resource that goes takes its links along."""
    bulk, table = loading.bulk, loading.schema.table(entity)
    leaving = loading.duck.execute("""
        SELECT resource_id, CAST(command = 'delete' AS INTEGER) AS deleted
        FROM planned WHERE action IN ('update', 'delete')
    """).to_arrow_reader(BATCH_ROWS)
    with bulk.stage(CLOSING.name, leaving):
        bulk.run(loading.stamp.close(table, table.c.resource_id.in_(sa.select(CLOSING.c.resource_id))))
        return close_links_of(loading, entity)


def _overwrite(loading: Loading, entity: EntityType) -> None:
    """Write new values into current versions, which keep the instant from which they hold."""
    bulk, table = loading.bulk, loading.schema.table(entity)
    columns = [item.identifier for item in entity.properties if not item.primary_key]
    reader = loading.duck.execute(f"""
        SELECT resource_id, {", ".join(_values(loading, entity))} FROM planned WHERE action = 'overwrite'
    """).to_arrow_reader(BATCH_ROWS)
    staged = sa.table(OVERWRITING, sa.column("resource_id"), *(sa.column(column) for column in columns))
    with bulk.stage(OVERWRITING, reader):
        bulk.run(
            sa.update(table)
            .where(is_current(table), table.c.resource_id == staged.c.resource_id)
            .values({column: staged.c[column] for column in columns} | {"load_id": loading.stamp.load_id})
        )


def _open(loading: Loading, entity: EntityType, inserts: int) -> None:
    """Append new versions: an update keeps its resource id, an insert gets its former one or the next."""
    bulk = loading.bulk
    first = take(bulk, "resource", inserts) if inserts else 0
    columns = (*_values(loading, entity), *loading.stamp.duckdb_columns(is_sqlite=bulk.is_sqlite))
    reader = loading.duck.execute(f"""
        SELECT coalesce(resource_id, {first - 1} + position) AS resource_id, {", ".join(columns)}
        FROM planned WHERE action IN ('insert', 'update')
    """).to_arrow_reader(BATCH_ROWS)
    bulk.append(entity.identifier, reader)


def _values(loading: Loading, entity: EntityType) -> list[str]:
    """The new value of every property as it is stored, under the property's name."""
    return [
        f"{stored(f'new.{name(item.identifier)}', item.type, is_sqlite=loading.bulk.is_sqlite)} "
        f"AS {name(item.identifier)}"
        for item in entity.properties
    ]
