"""Orders that nobody has confirmed in time (engine.md 3.4, ``transmitted_state_validity_period``)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.model.configuration import Connector
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.changes import base_relation, create_parts, write_changes
from include.storage.engine import engine
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

EXPIRY_CHANGES = "expiry"
ERROR_CLASS = "Expired"
_SENT = (ProvisioningState.TRANSMITTED, ProvisioningState.EXECUTED)


def may_expire(connector: Connector) -> bool:
    """Whether any resource type of the connector limits how long an order may stay without confirmation."""
    return any(item.transmitted_state_validity_period for item in connector.resource_types)


def expire(connector: Connector, run: Folder, *, expired_at: datetime) -> dict[str, int]:
    """Write what becomes an error because its confirmation did not come in time; orders by resource type.

    Reads ``base/`` as it stands after the evaluation, which has confirmed what the last read shows. An order that was
    Transmitted, or Executed, so many minutes ago becomes Error with a reason, and so does what it carried and no read
    has seen since. A gap (workflow state Found) has been read: it stays. Load ``changes/expiry/`` afterwards; a rerun
    then changes nothing more.

    Args:
        connector: whose orders.
        run: the run's folder.
        expired_at: the instant from which minutes count back, in UTC.
    """
    with engine(run) as connection:
        connection.execute("CREATE TABLE period (resource_type VARCHAR, minutes INTEGER)")
        for item in connector.resource_types:
            if item.transmitted_state_validity_period:
                row = [item.identifier, item.transmitted_state_validity_period]
                connection.execute("INSERT INTO period VALUES (?, ?)", row)
        connection.execute(f"CREATE VIEW stored_order AS SELECT * FROM {base_relation(run, 'provisioning_order')}")
        instant = expired_at.astimezone(UTC).replace(tzinfo=None).isoformat()
        connection.execute(_ASKING, {"connector": connector.identifier, "expired_at": instant})
        create_parts(connection, run, _SENT)
        for statement in (_TYPES, _SCALARS, _LINKS, _ORDERS):
            connection.execute(statement)
        write_changes(connection, run, run.child("changes", EXPIRY_CHANGES))
        return _counted(connection)


def _counted(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    query = "SELECT resource_type, count(*) FROM provisioning_order GROUP BY resource_type ORDER BY resource_type"
    return dict(connection.execute(query).fetchall())


_STATES = ", ".join(str(int(state)) for state in _SENT)
_ERROR = int(ProvisioningState.ERROR)

_ASKING = f"""
    CREATE TABLE asking AS
    WITH latest AS (SELECT assignment, max(decided_at) AS decided_at FROM stored_order GROUP BY assignment)
    SELECT o.order_id, o.assignment, o.change_type, o.changes, p.minutes
    FROM stored_order AS o
    JOIN latest AS l ON l.assignment = o.assignment AND l.decided_at = o.decided_at
    JOIN period AS p ON p.resource_type = o.resource_type
    WHERE o.connector = $connector AND o.provisioning_state IN ({_STATES})
        AND coalesce(o.executed_at, o.decided_at) + to_minutes(p.minutes) <= $expired_at::TIMESTAMP
"""

# Of what is still waiting to be confirmed.
_WAITS = f"s.provisioning_state IN ({_STATES}) AND s.workflow_state <> {WorkflowState.FOUND:d}"
_TYPES = f"""
    CREATE TABLE assigned_resource_type AS
    SELECT s.* REPLACE ({_ERROR}::INTEGER AS provisioning_state)
    FROM stored_type AS s SEMI JOIN asking AS o ON o.assignment = s.assignment AND o.change_type <> 'Modified'
    WHERE {_WAITS}
"""
_SCALARS = f"""
    CREATE TABLE assigned_resource_scalar AS
    SELECT s.* REPLACE ({_ERROR}::INTEGER AS provisioning_state)
    FROM stored_scalar AS s
    SEMI JOIN asked_scalar AS p ON p.assignment = s.assignment AND p.property = s.property
    WHERE {_WAITS}
"""
_LINKS = f"""
    CREATE TABLE assigned_resource_navigation AS
    SELECT s.* REPLACE ({_ERROR}::INTEGER AS provisioning_state)
    FROM stored_link AS s
    SEMI JOIN asked_link AS p
        ON p.assignment = s.assignment AND p.navigation = s.navigation AND p.linked_id = s.linked_id
    WHERE {_WAITS}
"""
_ORDERS = f"""
    CREATE TABLE provisioning_order AS
    WITH unconfirmed AS (
        SELECT assignment FROM assigned_resource_type
        UNION SELECT assignment FROM assigned_resource_scalar
        UNION SELECT assignment FROM assigned_resource_navigation
    )
    SELECT b.* REPLACE (
        {_ERROR}::INTEGER AS provisioning_state, '{ERROR_CLASS}' AS error_class,
        concat(CASE WHEN b.executed_at IS NULL THEN 'sent' ELSE 'carried out' END, ', and not confirmed within ',
            o.minutes, ' minutes: look at the managed system, then unblock it') AS message
    )
    FROM stored_order AS b JOIN asking AS o USING (order_id) SEMI JOIN unconfirmed AS u ON u.assignment = b.assignment
"""
