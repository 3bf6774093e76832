"""What keeps an order back (engine.md 3.6): the barriers in their order, and what waits for another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.model.configuration import Configuration, Connector
from include.model.resource_type import ResourceType
from include.policy.dependency import by_dependency
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.mapping import entity_type
from include.storage.engine import literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb


def keep_back(
    connection: duckdb.DuckDBPyConnection, configuration: Configuration, connector: Connector, base: Folder
) -> None:
    """Create ``decided``: the rows of ``wanted``, with the barrier that keeps each back and what each waits for.

    ``withheld`` names the first of these that applies, NULL lets the order go:

    * ``is_provisioning_enabled``: the resource type sends nothing;
    * ``allow_add``, ``allow_remove``: it may not create, or delete;
    * ``depends_on``: a creation whose owner has no resource of the other type, and none is created in this run;
    * ``depends_on_owner_property``: a creation whose owner has NULL or the empty text there;
    * ``in_flight``: another order of the assignment is on its way;
    * ``blocked_order``: another order on the same resource is on its way, or has failed and waits for a person. Who
      leaves is not kept back by a failure;
    * ``deactivated``: the connector is.

    ``prerequisite`` is the order id of the creation, in this run, that a creation depends on.
    """
    connection.execute(_BARRIER_TABLE)
    for item in connector.resource_types:
        row = [item.identifier, item.is_provisioning_enabled, item.allow_add, item.allow_remove]
        connection.execute("INSERT INTO barrier VALUES (?, ?, ?, ?)", row)
    connection.execute("CREATE TABLE target_type (resource_type VARCHAR, entity_type VARCHAR)")
    for found in configuration.connectors:
        for item in found.resource_types:
            row = [item.identifier, item.target_entity_type]
            connection.execute("INSERT INTO target_type VALUES (?, ?)", row)
    connection.execute("CREATE TABLE unready (resource_type VARCHAR, owner_id BIGINT)")
    for item in connector.resource_types:
        if item.depends_on_owner_property is not None:
            connection.execute(_unready_owners(configuration, base, item))
    connection.execute(_BLOCKED_TABLE)
    connection.execute(_DECIDED_TABLE, {"is_deactivated": connector.is_deactivated})
    connection.execute(_OWNED_TABLE)
    # A creation waits for one that may itself be kept back: those that others depend on come first.
    for item in by_dependency(connector.resource_types):
        if item.depends_on is not None:
            asked = {"resource_type": item.identifier, "depends_on": item.depends_on}
            connection.execute(_FIND_PREREQUISITE, asked)
            connection.execute(_KEEP_BACK_DEPENDENT, asked)


def relation(base: Folder, entity: str) -> str:
    """The rows of an entity type in ``base/``, as SQL."""
    return f"read_parquet({literal(base.file(f'{entity}.parquet'))})"


def _unready_owners(configuration: Configuration, base: Folder, item: ResourceType) -> str:
    source = entity_type(configuration, item.source_entity_type)
    column = name(str(item.depends_on_owner_property))
    return f"""
        INSERT INTO unready
        SELECT {literal(item.identifier)}, resource_id FROM {relation(base, source.identifier)}
        WHERE coalesce({column}::VARCHAR, '') = ''
    """


_FAILED = f"({ProvisioningState.ERRORED:d}, {ProvisioningState.ERROR:d})"

_BARRIER_TABLE = """
    CREATE TABLE barrier (
        resource_type VARCHAR, is_provisioning_enabled BOOLEAN, allow_add BOOLEAN, allow_remove BOOLEAN
    )
"""

# Resources of which something is on its way or has failed, by id and by key: of a new one only the key is known. The
# states of assignments and values tell, not those of orders: unblocked or decided again, an old failure is over.
_BLOCKED_TABLE = f"""
    CREATE TABLE blocked AS
    WITH failed AS (
        SELECT assignment FROM assigned_resource_type WHERE provisioning_state IN {_FAILED}
        UNION
        SELECT assignment FROM assigned_resource_scalar
        WHERE provisioning_state IN {_FAILED} AND workflow_state <> {WorkflowState.DECLINED:d}
        UNION
        SELECT assignment FROM assigned_resource_navigation
        WHERE provisioning_state IN {_FAILED} AND workflow_state <> {WorkflowState.DECLINED:d}
    ),
    sent AS (
        SELECT DISTINCT assignment FROM provisioning_order
        WHERE provisioning_state = {ProvisioningState.TRANSMITTED:d}
    ),
    found AS (
        SELECT t.entity_type, a.target_id, a.target_key, s.assignment IS NOT NULL AS in_flight
        FROM assigned_resource_type AS a
        JOIN target_type AS t ON t.resource_type = a.resource_type
        LEFT JOIN sent AS s ON s.assignment = a.assignment
        LEFT JOIN failed AS f ON f.assignment = a.assignment
        WHERE s.assignment IS NOT NULL OR f.assignment IS NOT NULL
    )
    SELECT entity_type, target_id, target_key, bool_or(in_flight) AS in_flight
    FROM (
        SELECT entity_type, target_id, NULL::VARCHAR AS target_key, in_flight FROM found WHERE target_id IS NOT NULL
        UNION ALL
        SELECT entity_type, NULL, target_key, in_flight FROM found WHERE target_key IS NOT NULL
    )
    GROUP BY ALL
"""

_DECIDED_TABLE = f"""
    CREATE TABLE decided AS
    WITH in_flight AS (
        SELECT DISTINCT assignment FROM provisioning_order
        WHERE provisioning_state = {ProvisioningState.TRANSMITTED:d}
    )
    SELECT w.*, NULL::VARCHAR AS prerequisite,
        CASE WHEN NOT r.is_provisioning_enabled THEN 'is_provisioning_enabled'
             WHEN w.change_type = 'Added' AND NOT r.allow_add THEN 'allow_add'
             WHEN w.change_type = 'Deleted' AND NOT r.allow_remove THEN 'allow_remove'
             WHEN w.change_type = 'Added' AND u.owner_id IS NOT NULL THEN 'depends_on_owner_property'
             WHEN f.assignment IS NOT NULL THEN 'in_flight'
             WHEN coalesce(i.in_flight, false) OR coalesce(k.in_flight, false) THEN 'blocked_order'
             WHEN (i.entity_type IS NOT NULL OR k.entity_type IS NOT NULL) AND NOT w.leaves THEN 'blocked_order'
             WHEN $is_deactivated THEN 'deactivated'
        END AS withheld
    FROM wanted AS w
    JOIN barrier AS r ON r.resource_type = w.resource_type
    JOIN target_type AS t ON t.resource_type = w.resource_type
    LEFT JOIN unready AS u ON u.resource_type = w.resource_type AND u.owner_id = w.owner_id
    LEFT JOIN in_flight AS f ON f.assignment = w.assignment
    LEFT JOIN blocked AS i ON i.entity_type = t.entity_type AND i.target_id = w.target_id
    LEFT JOIN blocked AS k ON k.entity_type = t.entity_type AND k.target_key = w.target_key
"""

_OWNED_TABLE = f"""
    CREATE TABLE owned AS
    SELECT DISTINCT resource_type, owner_id FROM assigned_resource_type
    WHERE (target_id IS NOT NULL OR target_key IS NOT NULL) AND workflow_state <> {WorkflowState.CANCELLATION:d}
        AND provisioning_state <> {ProvisioningState.AWAITING_APPROVAL:d}
"""

_FIND_PREREQUISITE = """
    UPDATE decided SET prerequisite = p.order_id
    FROM (
        SELECT d.owner_id, min(d.order_id) AS order_id
        FROM decided AS d ANTI JOIN owned AS o ON o.resource_type = d.resource_type AND o.owner_id = d.owner_id
        WHERE d.resource_type = $depends_on AND d.change_type = 'Added' AND d.withheld IS NULL
        GROUP BY d.owner_id
    ) AS p
    WHERE decided.resource_type = $resource_type AND decided.change_type = 'Added' AND decided.owner_id = p.owner_id
"""
_KEEP_BACK_DEPENDENT = """
    UPDATE decided SET withheld = 'depends_on'
    WHERE resource_type = $resource_type AND change_type = 'Added' AND prerequisite IS NULL
        AND coalesce(withheld NOT IN ('is_provisioning_enabled', 'allow_add'), true)
        AND owner_id NOT IN (SELECT owner_id FROM owned WHERE resource_type = $depends_on AND owner_id IS NOT NULL)
"""
