"""Pending to Transmitted: from here on an order is on its way, and its assignment has no other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from include.policy.states import ProvisioningState
from include.provisioning.changes import base_relation, create_parts, write_changes
from include.provisioning.plan import ORDERS_FILE, TRANSMISSION_FILE, PlanError, read_generation
from include.storage.engine import engine, literal
from include.storage.folder import Folder

TRANSMISSION_CHANGES = "transmission"


@dataclass(frozen=True, slots=True)
class Transmission:
    """The changes to load before anything is sent, and how many orders they put on their way."""

    changes: Folder
    orders: int
    plan: str


def transmit(run: Folder, *, decision: str | None = None, plan: str | None = None) -> Transmission:
    """Release the orders of a run, and write what that changes in the repository.

    ``changes/transmission/`` receives the orders as ``provisioning_order`` rows in state Transmitted,
    and the assignments, scalars and links that they carry, from Pending to Transmitted. Load it
    before the batches are sent. A rerun after that changes nothing more.

    Args:
        run: the run's folder.
        decision: what was answered where limits block the orders: only ``apply`` releases them.
        plan: the plan that the answer was given for, to refuse any other.

    Raises:
        PlanError: nothing was generated, the orders are blocked, or the plan is another one.
    """
    generation, orders = read_generation(run), run.child("orders")
    if plan is not None and plan != generation.plan:
        raise PlanError(f"the orders of {run.path} are not those that were approved: ask for approval again")
    if generation.verdict.blocked and decision != "apply":
        exceeded = "; ".join(str(line) for line in generation.verdict.lines if line.exceeded)
        raise PlanError(f"the orders of {run.path} are blocked and need the decision 'apply': {exceeded}")
    folder = run.child("changes", TRANSMISSION_CHANGES)
    with engine(run) as connection:
        stored = base_relation(run, "provisioning_order")
        generated = f"read_parquet({literal(orders.file(ORDERS_FILE))})"
        connection.execute(
            f"CREATE TABLE asking AS SELECT g.* FROM {generated} AS g ANTI JOIN {stored} AS s USING (order_id)"
        )
        create_parts(connection, run, [ProvisioningState.PENDING])
        decided_at = generation.decided_at.astimezone(UTC).replace(tzinfo=None).isoformat()
        connection.execute(_ORDERS, {"decided_at": decided_at})
        for statement in (_TYPES, _SCALARS, _LINKS):
            connection.execute(statement)
        counted = write_changes(connection, run, folder)
    orders.write_json(TRANSMISSION_FILE, {"plan": generation.plan, "decision": decision})
    return Transmission(folder, counted["provisioning_order"].inserted, generation.plan)


_ORDERS = f"""
    CREATE TABLE provisioning_order AS
    SELECT *, {ProvisioningState.TRANSMITTED:d}::INTEGER AS provisioning_state, NULL::VARCHAR AS error_class,
        NULL::VARCHAR AS message, $decided_at::TIMESTAMP AS decided_at, NULL::TIMESTAMP AS executed_at,
        NULL::TIMESTAMP AS verified_at
    FROM asking
"""
_TYPES = f"""
    CREATE TABLE assigned_resource_type AS
    SELECT t.* REPLACE ({ProvisioningState.TRANSMITTED:d}::INTEGER AS provisioning_state)
    FROM stored_type AS t SEMI JOIN asking AS o ON o.assignment = t.assignment
    WHERE t.provisioning_state = {ProvisioningState.PENDING:d}
"""
_SCALARS = f"""
    CREATE TABLE assigned_resource_scalar AS
    SELECT s.* REPLACE ({ProvisioningState.TRANSMITTED:d}::INTEGER AS provisioning_state)
    FROM stored_scalar AS s SEMI JOIN asked_scalar AS p ON p.assignment = s.assignment AND p.property = s.property
"""
_LINKS = f"""
    CREATE TABLE assigned_resource_navigation AS
    SELECT n.* REPLACE ({ProvisioningState.TRANSMITTED:d}::INTEGER AS provisioning_state)
    FROM stored_link AS n
    SEMI JOIN asked_link AS p
        ON p.assignment = n.assignment AND p.navigation = n.navigation AND p.linked_id = n.linked_id
"""
