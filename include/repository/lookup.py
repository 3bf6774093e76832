"""Which resource a key means: a changes file names resources by key, the repository knows their ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from include.model.configuration import EntityType
from include.repository.bulk import BATCH_ROWS, SENTINEL
from include.repository.loading import Loading
from include.repository.tables import is_closed, is_current

STAGED = "rollcall_keys"


@contextmanager
def known_keys(loading: Loading, entity: EntityType) -> Iterator[None]:
    """The DuckDB table ``known(key, resource_id, current_from)`` of the keys of the view ``change``.

    ``key`` is the key as the database stores it. A current resource stands there with the instant from
    which its present version holds (UTC); a key that is not current but arrives, and was there before,
    with its former id and NULL. Keys that were never there are missing.
    """
    bulk, duck, table = loading.bulk, loading.duck, loading.schema.table(entity)
    key = table.c[entity.primary_key.identifier]
    staged = sa.table(STAGED, sa.column("command", sa.Text), sa.column("key", key.type))
    duck.execute("""
        CREATE OR REPLACE TEMP TABLE known AS
        SELECT key, 0::BIGINT AS resource_id, NULL::TIMESTAMP AS current_from FROM change LIMIT 0
    """)
    with bulk.stage(STAGED, duck.execute("SELECT command, key FROM change").to_arrow_reader(BATCH_ROWS)):
        current = sa.select(table.c.resource_id, key.label("key"), table.c.valid_from).join_from(
            staged, table, sa.and_(key == staged.c.key, is_current(table))
        )
        valid_from = "make_timestamp(found.valid_from)" if bulk.is_sqlite else "found.valid_from"
        _add(loading, current, f"found.key, found.resource_id, {valid_from}", "true")
        if bulk.rows(sa.select(table.c.resource_id).where(is_closed(table)).limit(1)):
            former = (
                sa.select(sa.func.min(table.c.resource_id).label("resource_id"), key.label("key"))
                .join_from(staged, table, sa.and_(key == staged.c.key, is_closed(table)))
                .where(staged.c.command == "insert")
                .group_by(key)
            )
            _add(loading, former, "found.key, found.resource_id, NULL", "found.key NOT IN (SELECT key FROM known)")
    yield
    duck.execute("DROP TABLE known")


def _add(loading: Loading, query: sa.Select[Any], columns: str, condition: str) -> None:
    """Append what a query of the repository finds to ``known``."""
    with loading.bulk.stream(query) as reader:
        loading.duck.register("found", reader)
        loading.duck.execute(f"""
            INSERT INTO known SELECT {columns} FROM found
            WHERE found.resource_id <> {SENTINEL} AND {condition}
        """)
        loading.duck.unregister("found")
