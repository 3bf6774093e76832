"""Apply the changes of one entity type: close versions, open versions, give resource ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from include.model.configuration import EntityType
from include.repository.bulk import BATCH_ROWS, SENTINEL
from include.repository.columns import stored
from include.repository.errors import StaleBase
from include.repository.links import close_links_of
from include.repository.loading import CLOSING, Loading
from include.repository.session import take
from include.repository.tables import is_closed
from include.storage.engine import literal, name

ARRIVING = "rollcall_arriving"


def apply_resources(loading: Loading, entity: EntityType, file: str) -> tuple[dict[str, int], Counter[str]]:
    """Apply a changes file.

    Returns:
        Rows inserted, updated and deleted; and per association the links closed with the deleted resources.

    Raises:
        StaleBase: the file updates or deletes what is not current, or inserts a key that is.
    """
    duck = loading.duck
    commands = ["insert", "update"] if loading.skip_deletions else ["insert", "update", "delete"]
    listed = ", ".join(map(literal, commands))
    source = f"SELECT * FROM read_parquet({literal(file)}) WHERE command IN ({listed})"
    duck.execute(f"CREATE OR REPLACE TEMP VIEW change AS {source}")
    counted = dict(duck.execute("SELECT command, count(*) FROM change GROUP BY command").fetchall())
    closed = Counter[str]()
    if counted.get("update") or counted.get("delete"):
        closed = _close(loading, entity)
    if counted.get("insert") or counted.get("update"):
        _open(loading, entity, counted.get("insert", 0))
    counts = {past: counted.get(command, 0) for command, past in _PAST.items()}
    return counts, closed


_PAST = {"insert": "inserted", "update": "updated", "delete": "deleted"}


def _close(loading: Loading, entity: EntityType) -> Counter[str]:
    """End the versions that change or go; a resource that goes takes its links along."""
    bulk, table = loading.bulk, loading.schema.table(entity)
    leaving = loading.duck.execute(
        "SELECT resource_id, CAST(command = 'delete' AS INTEGER) AS deleted FROM change WHERE command <> 'insert'"
    ).to_arrow_reader(BATCH_ROWS)
    with bulk.stage(CLOSING.name, leaving) as asked:
        done = bulk.run(loading.stamp.close(table, table.c.resource_id.in_(sa.select(CLOSING.c.resource_id))))
        if done != asked:
            raise StaleBase(
                f"{entity.identifier}: {asked - done} of {asked} resources to update or delete are no longer current: "
                "start a new run"
            )
        return close_links_of(loading, entity)


def _open(loading: Loading, entity: EntityType, inserts: int) -> None:
    """Append new versions: an update keeps its resource id, an insert gets its former one or the next."""
    bulk = loading.bulk
    first = take(bulk, "resource", inserts) if inserts else 0
    key = entity.primary_key
    new_key = stored(f"new.{name(key.identifier)}", key.type, is_sqlite=bulk.is_sqlite)
    values = [
        f"{stored(f'new.{name(item.identifier)}', item.type, is_sqlite=bulk.is_sqlite)} AS {name(item.identifier)}"
        for item in entity.properties
    ]
    with _former_ids(loading, entity, new_key):
        reader = loading.duck.execute(f"""
            SELECT coalesce(change.resource_id, former.resource_id, {first - 1} + position) AS resource_id,
                   {", ".join((*values, *loading.stamp.duckdb_columns(is_sqlite=bulk.is_sqlite)))}
            FROM (
                SELECT resource_id, new,
                       CASE WHEN resource_id IS NULL THEN {new_key} END AS new_key,
                       count(*) FILTER (WHERE command = 'insert') OVER (ROWS UNBOUNDED PRECEDING) AS position
                FROM change WHERE command <> 'delete'
            ) AS change
            LEFT JOIN former ON former.key = change.new_key
        """).to_arrow_reader(BATCH_ROWS)
        bulk.append(entity.identifier, reader)


@contextmanager
def _former_ids(loading: Loading, entity: EntityType, new_key: str) -> Iterator[None]:
    """A DuckDB table ``former(key, resource_id)`` of the arriving keys that were there before."""
    bulk, duck, table = loading.bulk, loading.duck, loading.schema.table(entity)
    key = table.c[entity.primary_key.identifier]
    keys = f"SELECT {new_key} AS key FROM change WHERE command = 'insert'"
    duck.execute(f"CREATE OR REPLACE TEMP TABLE former AS SELECT key, 0::BIGINT AS resource_id FROM ({keys}) LIMIT 0")
    if bulk.rows(sa.select(table.c.resource_id).where(is_closed(table)).limit(1)):
        arriving = sa.table(ARRIVING, sa.column("key", key.type))
        query = (
            sa.select(sa.func.min(table.c.resource_id).label("resource_id"), key.label("key"))
            .join_from(arriving, table, sa.and_(key == arriving.c.key, is_closed(table)))
            .group_by(key)
        )
        with bulk.stage(ARRIVING, duck.execute(keys).to_arrow_reader(BATCH_ROWS)), bulk.stream(query) as reader:
            duck.register("found", reader)
            duck.execute(f"INSERT INTO former SELECT key, resource_id FROM found WHERE resource_id <> {SENTINEL}")
            duck.unregister("found")
    yield
    duck.execute("DROP TABLE former")
