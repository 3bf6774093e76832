"""Pending assignments to order files (engine.md 3.6), and their thresholds (engine.md 3.7)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.model.configuration import Configuration, Connector
from include.policy.dependency import depth
from include.policy.extract import OWNED, owned_query
from include.provisioning.decision import decide, document_query, needed_files
from include.provisioning.limits import judge
from include.provisioning.plan import (
    GENERATION_FILE,
    ORDERS_FILE,
    Batch,
    Generation,
    PlanError,
    read_generation,
    write_generation,
)
from include.storage.engine import engine, literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb


def generate_orders(
    configuration: Configuration,
    connector: Connector,
    run: Folder,
    *,
    run_id: str,
    decided_at: datetime,
) -> Generation:
    """Decide the orders of a run and write them to ``orders/``, ready to be transmitted.

    Reads from ``base/`` the assignments after evaluation, the orders so far, and the source, target
    and linked entity types. A pending assignment without a target is ``Added`` with all its values; one
    whose cancellation is pending is ``Deleted``; one with a target and pending values or links is
    ``Modified`` with only those. Values under review, declined or in flight never leave, an assignment has at
    most one order in flight, and barriers keep back what they must (``barriers``); the counters say how many and why.

    ``Resource`` is what the repository last saw, with what was written and read back since then: what the managed
    system should hold before the change. ``Prerequisite`` (order id and batch) is the order of the same run without
    which this one is not sent, ``SentBefore`` tells of an earlier run's order that may have reached the system.

    An order file is ``<NNNN>-<resource type>.json`` of at most ``batch_size`` orders, in the JSON
    of engine.md 3.6 with ``OrderId`` and ``ResourceType.Mapping`` (``mapping.order_mapping``). Scalars are JSON
    strings, except booleans and numbers (``objects``); a change to NULL is an explicit ``null``.
    Those who leave come first (``Deleted``, and changes that turn a boolean off), then creations, then the rest.

    The order id is the first 32 hexadecimal digits of the SHA-256 over the JSON list of resource
    type, assignment, change type, target key, canonical changes and run id: a rerun decides the same
    orders under the same ids, a later run decides anew. A generation that is transmitted stands: a rerun
    returns it as it is, whatever became of the assignments since.

    Args:
        configuration: every connector, for linked entity types.
        connector: the connector whose resource types are provisioned.
        run: the run's folder.
        run_id: the run that decides.
        decided_at: the instant of the decision, in UTC.

    Raises:
        PlanError: a file of ``base/`` is missing.
    """
    orders, base = run.child("orders"), run.child("base")
    for file in needed_files(configuration, connector):
        if not base.exists(file):
            raise PlanError(f"{base.path}/{file} is missing: export the base of connector {connector.identifier} first")
    with engine(run) as connection:
        if orders.exists(GENERATION_FILE) and _is_under_way(connection, base, orders, run_id):
            return read_generation(run)
        _clear(orders)
        decide(connection, configuration, connector, base, run_id=run_id)
        batches = _write_batches(connection, configuration, connector, base, orders)
        _write_orders(connection, connector, orders, run_id)
        counters = count_orders(connection, connector, base)
    verdict = judge(connector, counters)
    generation = Generation(run_id, connector.identifier, decided_at, batches, counters, verdict)
    write_generation(orders, generation)
    return generation


def _is_under_way(connection: duckdb.DuckDBPyConnection, base: Folder, orders: Folder, run_id: str) -> bool:
    """Whether orders of this run are in the repository, or on their way to the managed system."""
    stored = f"read_parquet({literal(base.file('provisioning_order.parquet'))})"
    found = connection.execute(f"SELECT 1 FROM {stored} WHERE run_id = ? LIMIT 1", [run_id]).fetchone()
    return found is not None or bool(orders.names("ledger/*/*.json"))


def _clear(orders: Folder) -> None:
    """Take away a generation that was never transmitted; it stops counting first."""
    for file in (GENERATION_FILE, *orders.names("[0-9]*-*.json")):
        orders.remove(file)


def _write_batches(
    connection: duckdb.DuckDBPyConnection,
    configuration: Configuration,
    connector: Connector,
    base: Folder,
    orders: Folder,
) -> tuple[Batch, ...]:
    """Write each batch as one file: DuckDB renders its text, sorted so that each is read once."""
    written = dict[int, Batch]()
    for item in connector.resource_types:
        query = document_query(configuration, base, item)
        connection.execute(f"CREATE OR REPLACE TABLE document AS {query} ORDER BY o.batch, o.position")
        for number, count, waits in connection.execute(_BATCHES).fetchall():
            text = connection.execute(_BATCH_TEXT, [number]).fetchall()[0][0]
            stage = depth(item, connector.resource_types) if waits else 1
            batch = Batch(f"{number:04d}-{item.identifier}", item.identifier, count, _sha256(text), stage)
            orders.write_text(batch.file, text)
            written[number] = batch
    return tuple(written[number] for number in sorted(written))


def _write_orders(connection: duckdb.DuckDBPyConnection, connector: Connector, orders: Folder, run_id: str) -> None:
    """Write what ``transmit`` needs of every order, as one Parquet file."""
    orders.make()
    connection.execute(
        f"""
        COPY (
            SELECT order_id, assignment, {literal(connector.identifier)} AS connector, resource_type, change_type,
                {literal(run_id)} AS run_id, printf('%04d-%s', batch, resource_type) AS batch, changes, attempt,
                target_key
            FROM numbered ORDER BY order_id
        ) TO {literal(orders.file(ORDERS_FILE))} (FORMAT parquet)
        """
    )


def count_orders(
    connection: duckdb.DuckDBPyConnection, connector: Connector, base: Folder
) -> dict[str, dict[str, Any]]:
    """Orders by resource type and change type, what barriers kept back, and what is owned."""
    counters: dict[str, dict[str, Any]] = {
        item.identifier: {"Added": 0, "Modified": 0, "Deleted": 0, "owned": 0, "withheld": {}}
        for item in connector.resource_types
    }
    for resource_type, change_type, withheld, count in connection.execute(_COUNT_ORDERS).fetchall():
        if withheld is None:
            counters[resource_type][change_type] = count
        else:
            kept_back = counters[resource_type]["withheld"]
            kept_back[withheld] = kept_back.get(withheld, 0) + count
    owned = owned_query("assigned_resource_type")
    if base.exists(OWNED):
        owned = f"FROM read_parquet({literal(base.file(OWNED))})"
    for resource_type, count in connection.execute(owned).fetchall():
        if resource_type in counters:
            counters[resource_type]["owned"] = count
    return counters


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_BATCHES = "SELECT batch, count(*), bool_or(waits) FROM document GROUP BY batch ORDER BY batch"
_BATCH_TEXT = """
    SELECT '{"ProvisioningOrdersList":[' || chr(10) || string_agg(document, ',' || chr(10) ORDER BY position)
        || chr(10) || ']}' || chr(10)
    FROM document WHERE batch = ?
"""
_COUNT_ORDERS = """
    SELECT resource_type, change_type, withheld, count(*) FROM decided GROUP BY ALL ORDER BY ALL
"""
