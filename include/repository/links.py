"""Apply the changes of one association, and end the links of resources that go."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from include.model.base import DUCKDB_TYPES
from include.model.configuration import Association, EntityType
from include.repository.bulk import BATCH_ROWS, Bulk
from include.repository.columns import stored
from include.repository.filling import indexed_afterwards, is_empty
from include.repository.loading import CLOSING, Loading, Stamp
from include.repository.tables import Schema, is_current
from include.storage.engine import literal

STAGED = "rollcall_links"
PAIRS = sa.table(
    "rollcall_pairs",
    sa.column("command", sa.Text),
    sa.column("resource1_id", sa.BigInteger),
    sa.column("resource2_id", sa.BigInteger),
)


def close_links_of(loading: Loading, entity: EntityType) -> Counter[str]:
    """End every link of the resources staged as deleted, and count them per association."""
    bulk, stamp, closed = loading.bulk, loading.stamp, Counter[str]()
    deleted = sa.select(CLOSING.c.resource_id).where(CLOSING.c.deleted == 1)
    for association in loading.schema.associations_of(entity):
        table = loading.schema.table(association)
        if association.end1.entity_type == entity.identifier:
            closed[association.identifier] += bulk.run(stamp.close(table, table.c.resource1_id.in_(deleted)))
        if association.end2.entity_type == entity.identifier:
            closed[association.identifier] += bulk.run(stamp.close(table, table.c.resource2_id.in_(deleted)))
    return closed


def apply_links(loading: Loading, association: Association, file: str) -> dict[str, int]:
    """Apply a changes file once the resources of its load stand.

    A link whose end is not current is not made (it comes when the end does, engine.md 2.9), one that is
    there already is left, and one to end that ended with its resource is not counted here.

    Returns:
        Links inserted and deleted.
    """
    bulk, schema, table = loading.bulk, loading.schema, loading.schema.table(association)
    commands = ["insert"] if loading.skip_deletions else ["insert", "delete"]
    kinds = [end.primary_key.type for end in schema.ends(association)]
    keys = [
        f"{stored(f'CAST({column} AS {DUCKDB_TYPES[kind]})', kind, is_sqlite=bulk.is_sqlite)} AS {column}"
        for column, kind in zip(("key1", "key2"), kinds, strict=True)
    ]
    reader = loading.duck.execute(f"""
        SELECT command, {", ".join(keys)} FROM read_parquet({literal(file)})
        WHERE command IN ({", ".join(map(literal, commands))})
    """).to_arrow_reader(BATCH_ROWS)
    with bulk.stage(STAGED, reader) as count:
        if not count:
            return {"inserted": 0, "deleted": 0}
        bulk.temporary(PAIRS.name, _pairs(schema, association))
        changed = {
            "deleted": bulk.run(_close_pairs(table, loading.stamp)),
            "inserted": _insert_pairs(bulk, table, loading.stamp),
        }
        bulk.command(f"DROP TABLE {PAIRS.name}")
    return changed


def _pairs(schema: Schema, association: Association) -> sa.Select[tuple[str, int, int]]:
    """The staged links with the resource ids of their current ends."""
    first, second = schema.ends(association)
    table1, table2 = sa.alias(schema.table(first), "end1"), sa.alias(schema.table(second), "end2")
    key1, key2 = table1.c[first.primary_key.identifier], table2.c[second.primary_key.identifier]
    staged = sa.table(STAGED, sa.column("command", sa.Text), sa.column("key1", key1.type), sa.column("key2", key2.type))
    return (
        sa.select(
            staged.c.command,
            table1.c.resource_id.label("resource1_id"),
            table2.c.resource_id.label("resource2_id"),
        )
        .select_from(staged)
        .join(table1, sa.and_(key1 == staged.c.key1, is_current(table1)))
        .join(table2, sa.and_(key2 == staged.c.key2, is_current(table2)))
        .distinct()
    )


def _close_pairs(table: sa.Table, stamp: Stamp) -> sa.Update:
    going = sa.select(PAIRS.c.resource1_id, PAIRS.c.resource2_id).where(PAIRS.c.command == "delete")
    return stamp.close(table, sa.tuple_(table.c.resource1_id, table.c.resource2_id).in_(going))


def _insert_pairs(bulk: Bulk, table: sa.Table, stamp: Stamp) -> int:
    if not is_empty(bulk, table):
        return bulk.run(_open_pairs(table, stamp))
    with indexed_afterwards(bulk, table, *table.indexes):
        return bulk.run(_open_pairs(table, stamp))


def _open_pairs(table: sa.Table, stamp: Stamp) -> sa.Insert:
    there = sa.exists().where(
        is_current(table),
        table.c.resource1_id == PAIRS.c.resource1_id,
        table.c.resource2_id == PAIRS.c.resource2_id,
    )
    version = stamp.version()
    coming = sa.select(
        PAIRS.c.resource1_id,
        PAIRS.c.resource2_id,
        *(sa.literal(value, table.c[column].type) for column, value in version.items()),
    ).where(PAIRS.c.command == "insert", ~there)
    return sa.insert(table).from_select(["resource1_id", "resource2_id", *version], coming)
