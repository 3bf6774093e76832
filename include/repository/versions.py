"""The versions that loads since one have written or closed, as Parquet, and how many they are."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime

import sqlalchemy as sa

from include.model.configuration import Association, EntityType
from include.repository.bulk import SENTINEL
from include.repository.columns import restored_columns
from include.repository.database import Database
from include.repository.ledger import AUDIT, COOKIE, LOAD
from include.repository.load import last_load, newest_load
from include.repository.purge import DUPLICATES, PURGE, THIN
from include.repository.session import Session
from include.repository.tables import Schema, is_closed
from include.storage.engine import engine, literal
from include.storage.folder import Folder


def export_versions(
    database: Database,
    schema: Schema,
    folder: Folder,
    connector: str,
    items: Sequence[EntityType | Association],
    *,
    since: int,
) -> Mapping[str, int]:
    """Write ``<identifier>.parquet`` of every item: the versions that loads after ``since`` wrote or closed.

    The files hold ``resource_id`` and every property, or ``resource1_id`` and ``resource2_id``, and then ``load_id``
    and ``closed_by_load_id`` (NULL while the version is current). All of it shows one state of the repository.

    Returns:
        ``load_id``, the connector's last load, and ``newest_load``, that of all.
    """
    folder.make()
    with engine(folder) as duck, database.bulk(writes=False) as bulk:
        found = {"load_id": last_load(bulk, connector), "newest_load": newest_load(bulk)}
        for item in items:
            query = _versions(schema, item, since)
            restored = restored_columns(item.properties) if isinstance(item, EntityType) else []
            ids = ["resource_id"] if isinstance(item, EntityType) else ["resource1_id", "resource2_id"]
            # SQLite's driver takes a column's type from its first rows, and those may all be NULL.
            loads = ["CAST(load_id AS BIGINT) AS load_id", "CAST(closed_by AS BIGINT) AS closed_by_load_id"]
            part = f"{item.identifier}.{uuid.uuid4().hex}.part"
            with ExitStack() as stack:
                duck.register("stored", stack.enter_context(bulk.stream(query)))
                stack.callback(duck.unregister, "stored")
                duck.execute(f"""
                    COPY (SELECT {", ".join([*ids, *restored, *loads])} FROM stored WHERE {ids[0]} <> {SENTINEL})
                    TO {literal(folder.file(part))} (FORMAT parquet)
                """)
            folder.filesystem.mv(f"{folder.path}/{part}", f"{folder.path}/{item.identifier}.parquet")
    return found


def _versions(schema: Schema, item: EntityType | Association, since: int) -> sa.Select[tuple[object, ...]]:
    table = schema.table(item)
    ids = ["resource_id"] if isinstance(item, EntityType) else ["resource1_id", "resource2_id"]
    values = [entry.identifier for entry in item.properties] if isinstance(item, EntityType) else []
    columns = [table.c[column] for column in [*ids, *values, "load_id"]]
    later = sa.or_(table.c.load_id > since, sa.and_(is_closed(table), table.c.closed_by_load_id > since))
    return sa.select(*columns, table.c.closed_by_load_id.label("closed_by")).where(later)


def rows_written(session: Session, since: int) -> Counter[str]:
    """By entity type or association, how many rows the loads after ``since`` have inserted, updated or deleted."""
    found = Counter[str]()
    for (text,) in session.rows(sa.select(LOAD.c.counters).where(LOAD.c.load_id > since)):
        counters = json.loads(text)
        for kind in ("entity_types", "associations"):
            for identifier, counts in counters[kind].items():
                found[identifier] += sum(counts.values())
    return found


def position(session: Session, connector: str, connection: str) -> tuple[str, int] | None:
    """The newest cookie of a connection, and the load that brought it."""
    query = sa.select(COOKIE.c.cookie, COOKIE.c.load_id).where(
        COOKIE.c.connector == connector, COOKIE.c.connection == connection
    )
    found = session.rows(query.order_by(COOKIE.c.load_id.desc()).limit(1))
    return (str(found[0][0]), int(found[0][1])) if found else None


def has_lost_history(session: Session, since: datetime) -> bool:
    """Whether versions of the past were removed after an instant."""
    query = sa.select(AUDIT.c.sequence).where(AUDIT.c.action.in_((PURGE, THIN, DUPLICATES)), AUDIT.c.at > since)
    return bool(session.rows(query.limit(1)))
