"""What results and read-backs make of assignments and orders, as SQL (engine.md 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from include.policy.states import ProvisioningState
from include.provisioning.changes import base_relation, create_parts
from include.provisioning.plan import Batch, Generation, PlanError
from include.storage.engine import literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

ATTEMPTS = 5
"""So many runs in a row try the same by themselves after transient errors; then a person must look."""

# A late answer counts, too: of an order that was given up for lack of one (``expiry``).
_MOVING = (
    ProvisioningState.TRANSMITTED,
    ProvisioningState.ERRORED,
    ProvisioningState.EXECUTED,
    ProvisioningState.ERROR,
)
_PENDING, _INACTIVE = int(ProvisioningState.PENDING), int(ProvisioningState.INACTIVE)
_TRANSMITTED, _ERRORED = int(ProvisioningState.TRANSMITTED), int(ProvisioningState.ERRORED)
_ERROR = int(ProvisioningState.ERROR)
_UNANSWERED = f"({_TRANSMITTED}, {_ERRORED}, {_ERROR})"
_EXECUTED, _VERIFIED = int(ProvisioningState.EXECUTED), int(ProvisioningState.VERIFIED)


def read_results(connection: duckdb.DuckDBPyConnection, run: Folder, batches: Sequence[Batch]) -> None:
    """Create the tables ``result`` and ``read_back`` from what these batches of a run left in ``orders/``."""
    orders = run.child("orders")
    names = set(orders.names("*.json"))
    answered = [f"{item.batch}.results.json" for item in batches]
    ledgers = [
        f"ledger/{item.batch}/{file}"
        for item in batches
        if f"{item.batch}.results.json" not in names
        for file in orders.child("ledger", item.batch).names("*.result.json")
    ]
    read = [f"{item.batch}.read_back.json" for item in batches]
    results = [_json(orders, [item for item in answered if item in names], _RESULT_COLUMNS, "array")]
    results.append(_json(orders, ledgers, _RESULT_COLUMNS, "unstructured"))
    connection.execute(f"CREATE TABLE result AS {' UNION ALL '.join(results)}")
    read_back = _json(orders, [item for item in read if item in names], _READ_BACK_COLUMNS, "unstructured")
    connection.execute(
        f"CREATE TABLE read_back AS SELECT read_at, unnest(orders, recursive := true) FROM ({read_back})"
    )


def settle(connection: duckdb.DuckDBPyConnection, run: Folder, generation: Generation, recorded_at: str) -> None:
    """From ``result`` and ``read_back``, the tables of changed assignments and orders under their entity types' names.

    ``asking`` stays: its ``outcome`` is ``executed``, ``errored``, or ``given back`` where nothing was written or the
    error was transient, and the next run is to try by itself.

    Raises:
        PlanError: an order has a result, but its transmission is not in ``base/``.
    """
    connection.execute(f"CREATE VIEW stored_order AS SELECT * FROM {base_relation(run, 'provisioning_order')}")
    lost = connection.execute("SELECT count(*) FROM result ANTI JOIN stored_order USING (order_id)").fetchall()[0][0]
    if lost:
        message = (
            f"{lost} orders have a result but are not in {run.path}/base: load the transmission and export the base"
        )
        raise PlanError(message)
    connection.execute(_ASKING, {"run_id": generation.run_id, "connector": generation.connector})
    create_parts(connection, run, _MOVING)
    connection.execute(_TYPES)
    connection.execute(_SCALARS)
    connection.execute(_LINKS)
    connection.execute(_ORDERS, {"recorded_at": recorded_at})


def given_back_orders(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, object]]:
    """The results of the orders that were given back, by order id, once ``settle`` was called."""
    columns = ("order_id", "state", "key", "error_class", "message", "transient", "finished_at")
    rows = connection.execute(_GIVEN_BACK).fetchall()
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def _json(orders: Folder, files: list[str], columns: Mapping[str, str], form: str) -> str:
    """SQL that reads JSON files of a run, or nothing with the same columns."""
    typed = ", ".join(f"{column}: {literal(kind)}" for column, kind in columns.items())
    if not files:
        return "SELECT " + ", ".join(f"NULL::{kind} AS {column}" for column, kind in columns.items()) + " WHERE false"
    paths = ", ".join(literal(orders.file(item)) for item in files)
    return f"SELECT * FROM read_json([{paths}], columns = {{{typed}}}, format = {literal(form)})"


_RESULT_COLUMNS = {
    "order_id": "VARCHAR",
    "state": "VARCHAR",
    "key": "VARCHAR",
    "error_class": "VARCHAR",
    "message": "VARCHAR",
    "transient": "BOOLEAN",
    "finished_at": "VARCHAR",
}
_READ_BACK_COLUMNS = {
    "read_at": "VARCHAR",
    "orders": "STRUCT(order_id VARCHAR, found BOOLEAN, verified BOOLEAN, "
    "differing STRUCT(name VARCHAR, linked_id VARCHAR)[])[]",
}

_GIVEN_BACK = """
    SELECT r.order_id, r.state, r.key, r.error_class, r.message, r.transient, r.finished_at
    FROM result AS r JOIN asking AS o USING (order_id) WHERE o.outcome = 'given back'
    ORDER BY r.order_id
"""

# What became of an order whose transient error (or lost answer) may be tried again by another run.
_OUTCOME = f"""CASE
        WHEN r.state IN ('withheld', 'unsent') THEN 'given back'
        WHEN r.state = 'unanswered' OR r.state = 'errored' AND r.transient
            THEN CASE WHEN coalesce(o.attempt, 1) < {ATTEMPTS} THEN 'given back' ELSE 'errored' END
        ELSE r.state END"""
_MESSAGE = f"""CASE WHEN r.transient OR r.state = 'unanswered'
        THEN concat(r.message, ' (tried in ', coalesce(o.attempt, 1), ' of {ATTEMPTS} runs)') ELSE r.message END"""

# ``outcome`` is NULL for an earlier order, which no result but a synchronization can move on. Only the latest order
# of an assignment speaks for it.
_ASKING = f"""
    CREATE TABLE asking AS
    WITH latest AS (SELECT assignment, max(decided_at) AS decided_at FROM stored_order GROUP BY assignment)
    SELECT o.order_id, o.assignment, o.change_type, o.changes,
        {_OUTCOME} AS outcome, coalesce(r.key, o.target_key) AS target_key, r.error_class, {_MESSAGE} AS message,
        r.finished_at::TIMESTAMP AS finished_at, b.read_at::TIMESTAMP AS read_at,
        coalesce(b.read_at::TIMESTAMP > r.finished_at::TIMESTAMP AND r.state = 'executed', false) AS is_read,
        b.found, b.verified, b.differing, o.decided_at = l.decided_at AS is_latest
    FROM stored_order AS o
    JOIN latest AS l ON l.assignment = o.assignment
    LEFT JOIN result AS r ON r.order_id = o.order_id
    LEFT JOIN read_back AS b ON b.order_id = o.order_id
    WHERE o.provisioning_state IN ({", ".join(str(int(state)) for state in _MOVING)})
        AND (o.run_id = $run_id AND r.order_id IS NOT NULL
            OR r.order_id IS NULL AND o.connector = $connector
                AND o.provisioning_state IN ({_EXECUTED}, {_ERROR}) AND o.decided_at = l.decided_at)
"""


def _moved(is_verified: str) -> str:
    """SQL for the new state of the row ``s`` that order ``o`` carries.

    A row that has moved on since (unblocked, decided again) stays; an Errored one follows its order when that is
    sent again.
    """
    return f"""CASE
        WHEN s.provisioning_state = {_EXECUTED} AND s.executed_at = o.finished_at AND {is_verified} THEN {_VERIFIED}
        WHEN s.provisioning_state NOT IN {_UNANSWERED} THEN s.provisioning_state
        WHEN o.outcome = 'given back' THEN {_PENDING}
        WHEN o.outcome = 'errored' THEN {_ERRORED}
        WHEN {is_verified} THEN {_VERIFIED}
        ELSE {_EXECUTED} END::INTEGER"""


def _part(stored: str, asked: str, same: str, is_verified: str) -> str:
    """SQL for the scalars or links that orders carry, in their new state."""
    return f"""
        WITH moved AS (
            SELECT s.*, {_moved(is_verified)} AS new_state, o.finished_at
            FROM {stored} AS s
            JOIN {asked} AS p ON p.assignment = s.assignment AND {same}
            JOIN asking AS o ON o.order_id = p.order_id
            WHERE o.outcome IS NOT NULL AND o.is_latest
        )
        SELECT * EXCLUDE (new_state, finished_at) REPLACE (
            new_state AS provisioning_state,
            CASE WHEN new_state IN ({_EXECUTED}, {_VERIFIED}) AND provisioning_state IN {_UNANSWERED}
                THEN finished_at ELSE executed_at END AS executed_at
        )
        FROM moved
    """


_SCALARS = "CREATE TABLE assigned_resource_scalar AS" + _part(
    "stored_scalar",
    "asked_scalar",
    "p.property = s.property",
    """(o.is_read AND o.found AND p.is_written
        AND NOT list_contains(list_transform(o.differing, lambda d: d.name), s.property))""",
)
_LINKS = "CREATE TABLE assigned_resource_navigation AS" + _part(
    "stored_link",
    "asked_link",
    "p.navigation = s.navigation AND p.linked_id = s.linked_id",
    """(o.is_read AND o.found AND NOT list_contains(
        list_transform(o.differing, lambda d: concat(d.name, ' ', d.linked_id)),
        concat(s.navigation, CASE WHEN p.adds THEN '_add ' ELSE '_remove ' END, s.linked_id)))""",
)
_TYPES = f"""
    CREATE TABLE assigned_resource_type AS
    SELECT s.* REPLACE (
        {_moved("(o.is_read AND o.found = (o.change_type <> 'Deleted'))")} AS provisioning_state,
        CASE WHEN o.change_type = 'Added' AND o.outcome = 'executed' THEN coalesce(s.target_key, o.target_key)
            ELSE s.target_key END AS target_key,
        CASE WHEN o.outcome = 'executed' AND coalesce(s.executed_at < o.finished_at, true) THEN o.finished_at
            ELSE s.executed_at END AS executed_at
    )
    FROM stored_type AS s JOIN asking AS o ON o.assignment = s.assignment
    WHERE o.outcome IS NOT NULL AND o.is_latest
"""

# An earlier order is confirmed when nothing that it carried is anything but Verified. A link that was
# to go, or an assignment that was to be deleted, may be forgotten by then.
_ORDERS = f"""
    CREATE TABLE provisioning_order AS
    WITH unconfirmed AS (
        SELECT p.order_id FROM asked_scalar AS p
        LEFT JOIN stored_scalar AS s ON s.assignment = p.assignment AND s.property = p.property
        WHERE s.provisioning_state IS DISTINCT FROM {_VERIFIED}
        UNION
        SELECT p.order_id FROM asked_link AS p
        LEFT JOIN stored_link AS s
            ON s.assignment = p.assignment AND s.navigation = p.navigation AND s.linked_id = p.linked_id
        WHERE coalesce(s.provisioning_state <> {_VERIFIED}, p.adds)
        UNION
        SELECT o.order_id FROM asking AS o LEFT JOIN stored_type AS s ON s.assignment = o.assignment
        WHERE o.change_type = 'Added' AND s.provisioning_state IS DISTINCT FROM {_VERIFIED}
            OR o.change_type = 'Deleted' AND s.provisioning_state <> {_VERIFIED}
    )
    SELECT b.* REPLACE (
        {_VERIFIED}::INTEGER AS provisioning_state, $recorded_at::TIMESTAMP AS verified_at
    )
    FROM stored_order AS b JOIN asking AS o USING (order_id) ANTI JOIN unconfirmed USING (order_id)
    WHERE o.outcome IS NULL
    UNION ALL
    SELECT b.* REPLACE (
        CASE WHEN o.outcome = 'errored' THEN {_ERRORED} WHEN o.outcome = 'given back' THEN {_INACTIVE}
            WHEN o.is_read AND o.verified THEN {_VERIFIED}
            ELSE {_EXECUTED} END::INTEGER AS provisioning_state,
        o.target_key AS target_key, o.error_class AS error_class, o.message AS message,
        CASE WHEN o.outcome = 'executed' THEN o.finished_at END AS executed_at,
        CASE WHEN o.is_read AND o.verified THEN o.read_at END AS verified_at
    )
    FROM stored_order AS b JOIN asking AS o USING (order_id)
    WHERE o.outcome IS NOT NULL
"""
