"""What an operator reads of a run's orders."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from include.policy.states import ProvisioningState
from include.provisioning.plan import Generation

if TYPE_CHECKING:
    import duckdb


def report(connection: duckdb.DuckDBPyConnection, generation: Generation) -> dict[str, Any]:
    """Counters of a run's orders after its changes (tables ``stored_order`` and ``provisioning_order``).

    ``states``: resource type to state to count. ``errors``: for each resource type and error class a
    count, and the first order with its message as an example. ``confirmed``: orders of earlier runs that became
    Verified in this one. ``given_back``: the same of orders that the next run tries by itself.
    ``unanswered``: orders without a result.
    """
    connection.execute(_CURRENT, {"run_id": generation.run_id})
    states: dict[str, dict[str, int]] = {}
    for resource_type, state, count in connection.execute(_STATES).fetchall():
        states.setdefault(resource_type, {})[ProvisioningState(state).name.lower()] = count
    columns = ("resource_type", "error_class", "count", "order_id", "message")
    errors, given_back = (
        [dict(zip(columns, row, strict=True)) for row in connection.execute(_EXAMPLES, [int(state)]).fetchall()]
        for state in (ProvisioningState.ERRORED, ProvisioningState.INACTIVE)
    )
    asked = {
        "run_id": generation.run_id,
        "connector": generation.connector,
        "decided_at": generation.decided_at.astimezone(UTC).replace(tzinfo=None).isoformat(),
    }
    confirmed = connection.execute(_CONFIRMED, asked).fetchall()[0][0]
    return {
        "run_id": generation.run_id,
        "connector": generation.connector,
        "generated": generation.counters,
        "states": states,
        "errors": errors,
        "given_back": given_back,
        "confirmed": confirmed,
        "unanswered": sum(counted.get("transmitted", 0) for counted in states.values()),
    }


_CURRENT = """
    CREATE TABLE current_order AS
    SELECT b.order_id, b.resource_type, coalesce(n.provisioning_state, b.provisioning_state) AS state,
        CASE WHEN n.order_id IS NULL THEN b.error_class ELSE n.error_class END AS error_class,
        CASE WHEN n.order_id IS NULL THEN b.message ELSE n.message END AS message
    FROM stored_order AS b LEFT JOIN provisioning_order AS n USING (order_id)
    WHERE b.run_id = $run_id
"""
_STATES = "SELECT resource_type, state, count(*) FROM current_order GROUP BY ALL ORDER BY ALL"
_EXAMPLES = """
    SELECT resource_type, error_class, count(*), min(order_id), arg_min(message, order_id)
    FROM current_order WHERE state = ?
    GROUP BY resource_type, error_class ORDER BY ALL
"""
# Counted in what is stored by then, so that a report that is written again counts the same.
_CONFIRMED = f"""
    SELECT count(*)
    FROM stored_order AS b LEFT JOIN provisioning_order AS n USING (order_id)
    WHERE b.run_id <> $run_id AND b.connector = $connector
        AND coalesce(n.provisioning_state, b.provisioning_state) = {ProvisioningState.VERIFIED:d}
        AND coalesce(n.verified_at, b.verified_at) >= $decided_at::TIMESTAMP
"""
