"""From pending assignments to orders, as tables of a DuckDB: what is decided, before anything is written.

One SQL statement per question; ``decide`` runs them in turn and leaves the tables ``decided`` and ``numbered``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from include.model.configuration import Configuration, Connector, EntityType
from include.model.resource_type import ResourceType
from include.policy.dependency import by_dependency
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.barriers import keep_back, relation
from include.provisioning.mapping import Navigation, entity_type, navigations, order_resource_type
from include.provisioning.objects import json_of_text, key_object, resource_object
from include.storage.engine import literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

_CANNOT_LEAVE = (ProvisioningState.AWAITING_APPROVAL, ProvisioningState.INACTIVE, ProvisioningState.ERROR)
_UNCERTAIN = (ProvisioningState.ERRORED, ProvisioningState.INACTIVE)
_REFUSED = (WorkflowState.DECLINED, WorkflowState.INACTIVE, WorkflowState.CANCELLATION)


def needed_files(configuration: Configuration, connector: Connector) -> list[str]:
    """The files of ``base/`` that generation reads, by name."""
    entities = {"assigned_resource_type", "assigned_resource_scalar", "assigned_resource_navigation"}
    entities.add("provisioning_order")
    for item in connector.resource_types:
        target = entity_type(configuration, item.target_entity_type)
        entities |= {item.source_entity_type, target.identifier}
        entities |= {link.linked_entity_type.identifier for link in navigations(configuration, target)}
    return sorted(f"{entity}.parquet" for entity in entities)


def decide(
    connection: duckdb.DuckDBPyConnection,
    configuration: Configuration,
    connector: Connector,
    base: Folder,
    *,
    run_id: str,
) -> None:
    """Create the tables ``resource_type``, ``part``, ``wanted``, ``decided`` and ``numbered`` (see the statements)."""
    connection.execute(_RESOURCE_TYPE_TABLE)
    for rank, item in enumerate(by_dependency(connector.resource_types)):
        row = [item.identifier, rank, item.batch_size]
        row.append(_json(order_resource_type(configuration, item)))
        row.append(_json(item.arguments) if item.arguments else None)
        connection.execute("INSERT INTO resource_type VALUES (?, ?, ?, ?, ?)", row)
    for table in ("assigned_resource_type", "assigned_resource_scalar", "assigned_resource_navigation"):
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {relation(base, table)}")
    connection.execute(f"CREATE VIEW provisioning_order AS SELECT * FROM {relation(base, 'provisioning_order')}")
    connection.execute(_CANDIDATE_TABLE)
    connection.execute(_PART_TABLE)
    for item in connector.resource_types:
        target = entity_type(configuration, item.target_entity_type)
        connection.execute(_scalar_parts(item, target))
        for link in navigations(configuration, target):
            connection.execute(_link_parts(item, link, relation(base, link.linked_entity_type.identifier)))
    connection.execute(_WANTED_TABLE, {"run_id": run_id})
    keep_back(connection, configuration, connector, base)
    connection.execute(_NUMBERED_TABLE)


def document_query(configuration: Configuration, base: Folder, item: ResourceType) -> str:
    """SQL for the orders of one resource type that are released to batches, each as its JSON text.

    Columns: batch number, position in the batch, order id, whether it waits for another order, and its JSON.
    """
    source = entity_type(configuration, item.source_entity_type)
    target = entity_type(configuration, item.target_entity_type)
    owner = f"""CASE WHEN owner.resource_id IS NULL THEN json_object('Id', o.owner_id::VARCHAR)
                     ELSE {resource_object(source, "owner", owner=True)} END"""
    known = f"""CASE WHEN target.resource_id IS NULL THEN {key_object(target, "o.target_key")}
                     WHEN o.expected IS NULL THEN {resource_object(target, "target")}
                     ELSE {resource_object(target, "target", over="o.expected")} END"""
    return f"""
        SELECT o.batch, o.position, o.order_id, p.order_id IS NOT NULL AS waits,
            '{{"OrderId":' || to_json(o.order_id)
            || ',"AssignedResourceTypeId":' || to_json(o.assigned_id::VARCHAR)
            || ',"ChangeType":' || to_json(o.change_type)
            || ',"Owner":' || {owner}
            || ',"ResourceType":' || r.document
            || CASE WHEN o.change_type = 'Added' THEN '' ELSE ',"Resource":' || {known} END
            || CASE WHEN o.change_type = 'Deleted' THEN '' ELSE ',"Changes":' || o.changes END
            || coalesce(',"Arguments":' || r.arguments, '')
            || CASE WHEN p.order_id IS NULL THEN '' ELSE ',"Prerequisite":' || json_object(
                'OrderId', p.order_id, 'Batch', printf('%04d-%s', p.batch, p.resource_type)) END
            || CASE WHEN o.sent_before THEN ',"SentBefore":true' ELSE '' END
            || '}}' AS document
        FROM numbered AS o
        JOIN resource_type AS r ON r.identifier = o.resource_type
        LEFT JOIN numbered AS p ON p.order_id = o.prerequisite
        LEFT JOIN {relation(base, source.identifier)} AS owner ON owner.resource_id = o.owner_id
        LEFT JOIN {relation(base, target.identifier)} AS target ON target.resource_id = o.target_id
        WHERE o.resource_type = {literal(item.identifier)}
    """


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _scalar_parts(item: ResourceType, target: EntityType) -> str:
    """Values of an order: all of a creation that have one, and the pending ones of a change.

    Beside a value that was written after the target was last read stands what it must hold by now.
    """

    def rendered(column: str) -> str:
        cases = (
            f"WHEN {literal(found.identifier)} THEN {json_of_text(found, column)}::VARCHAR"
            for found in target.properties
        )
        return f"CASE s.property {' '.join(cases)} END"

    key = literal(target.primary_key.identifier)
    booleans = ", ".join(literal(found.identifier) for found in target.properties if found.type == "bool") or "NULL"
    known = ", ".join(literal(found.identifier) for found in target.properties)
    return f"""
        INSERT INTO part
        SELECT c.assignment, s.property, {rendered("s.policy_value")},
            s.property IN ({booleans}) AND TRY_CAST(s.policy_value AS BOOLEAN) IS NOT DISTINCT FROM false,
            CASE WHEN c.change_type = 'Modified' AND s.executed_at IS NOT NULL AND s.property <> {key}
                THEN {rendered("s.current_value")} END
        FROM candidate AS c JOIN assigned_resource_scalar AS s ON s.assignment = c.assignment
        WHERE c.resource_type = {literal(item.identifier)} AND s.property IN ({known}) AND {_belongs("s")}
            AND (c.change_type = 'Modified' OR s.policy_value IS NOT NULL)
    """


def _link_parts(item: ResourceType, link: Navigation, linked: str) -> str:
    """Links of an order, one ``_add`` and one ``_remove`` list per navigation, sorted by linked id."""
    return f"""
        INSERT INTO part
        SELECT c.assignment, {literal(link.identifier)} || CASE WHEN n.expected THEN '_add' ELSE '_remove' END,
            '[' || string_agg({resource_object(link.linked_entity_type, "l")}, ',' ORDER BY n.linked_id) || ']',
            false, NULL
        FROM candidate AS c
        JOIN assigned_resource_navigation AS n ON n.assignment = c.assignment
        JOIN {linked} AS l ON l.resource_id = n.linked_id
        WHERE c.resource_type = {literal(item.identifier)} AND n.navigation = {literal(link.identifier)}
            AND {_belongs("n")} AND (c.change_type = 'Modified' OR n.expected)
        GROUP BY c.assignment, n.expected
    """


def _belongs(alias: str) -> str:
    """Whether a scalar or a navigation goes into the order of its assignment."""
    return f"""c.change_type <> 'Deleted' AND (
        {alias}.provisioning_state = {ProvisioningState.PENDING:d}
        OR c.change_type = 'Added'
            AND {alias}.provisioning_state NOT IN ({_numbers(_CANNOT_LEAVE)})
            AND {alias}.workflow_state NOT IN ({_numbers(_REFUSED)})
    )"""


def _numbers(states: tuple[ProvisioningState, ...] | tuple[WorkflowState, ...]) -> str:
    return ", ".join(str(int(state)) for state in states)


_RESOURCE_TYPE_TABLE = """
    CREATE TABLE resource_type (
        identifier VARCHAR, rank INTEGER, batch_size INTEGER, document VARCHAR, arguments VARCHAR
    )
"""
_PART_TABLE = """
    CREATE TABLE part (assignment VARCHAR, name VARCHAR, value VARCHAR, disables BOOLEAN, expected VARCHAR)
"""

# What each assignment could ask for. A cancellation without a target has nothing to delete, and an
# assignment that is itself under review or in flight gets no change of its values.
_CANDIDATE_TABLE = f"""
    CREATE TABLE candidate AS
    WITH classified AS (
        SELECT a.assignment, a.resource_id AS assigned_id, a.resource_type, a.owner_id, a.target_id, a.target_key,
            a.provisioning_state = {ProvisioningState.PENDING:d} AS pending,
            a.workflow_state = {WorkflowState.CANCELLATION:d} AS cancelled,
            a.target_id IS NOT NULL OR a.target_key IS NOT NULL AS has_target,
            a.provisioning_state IN ({_numbers((*_CANNOT_LEAVE, ProvisioningState.TRANSMITTED))}) AS held
        FROM assigned_resource_type AS a JOIN resource_type AS r ON r.identifier = a.resource_type
    )
    SELECT * EXCLUDE (pending, cancelled, has_target, held),
        CASE WHEN cancelled AND pending AND has_target THEN 'Deleted'
             WHEN NOT cancelled AND pending AND NOT has_target THEN 'Added'
             WHEN NOT cancelled AND NOT held AND has_target THEN 'Modified' END AS change_type
    FROM classified
    WHERE change_type IS NOT NULL
"""

# One row per order, barriers aside. The order id stands for the decision: the same run decides the same orders under
# the same ids, and a later run that wants the same thing again decides anew: ``sent_before`` tells that an earlier
# order of the assignment may have reached the system, ``attempt`` counts runs in a row with transient errors.
_WANTED_TABLE = f"""
    CREATE TABLE wanted AS
    WITH change AS (
        SELECT assignment, bool_or(disables) AS disables,
            '{{' || string_agg(to_json(name) || ':' || value, ',' ORDER BY name) || '}}' AS changes,
            '{{' || string_agg(to_json(name) || ':' || expected, ',' ORDER BY name) || '}}' AS expected
        FROM part GROUP BY assignment
    ),
    latest AS (
        SELECT assignment, last.state AS state, last.attempt AS attempt, last.error_class AS error_class
        FROM (
            SELECT assignment, arg_max({{
                'state': provisioning_state, 'attempt': coalesce(attempt, 1), 'error_class': error_class
            }}, decided_at) AS last
            FROM provisioning_order GROUP BY assignment
        )
    )
    SELECT c.*, p.expected, coalesce(p.changes, CASE WHEN c.change_type = 'Added' THEN '{{}}' END) AS changes,
        c.change_type = 'Deleted' OR c.change_type = 'Modified' AND p.disables AS leaves,
        substr(sha256(json_array(
            c.resource_type, c.assignment, c.change_type, c.target_key, p.changes, $run_id
        )::VARCHAR), 1, 32) AS order_id,
        CASE WHEN l.state = {ProvisioningState.INACTIVE:d}
            THEN l.attempt + (l.error_class IS NOT NULL)::INTEGER ELSE 1 END AS attempt,
        coalesce(l.error_class IS NOT NULL AND l.state IN ({_numbers(_UNCERTAIN)})
            OR l.state = {ProvisioningState.ERROR:d}, false) AS sent_before
    FROM candidate AS c
    LEFT JOIN change AS p ON p.assignment = c.assignment
    LEFT JOIN latest AS l ON l.assignment = c.assignment
    WHERE c.change_type <> 'Modified' OR p.changes IS NOT NULL
"""

# Batches in the order in which they are sent: those who leave first (what depends on another goes
# before it), then creations (what others depend on goes first), then all other changes.
_NUMBERED_TABLE = """
    CREATE TABLE numbered AS
    WITH placed AS (
        SELECT d.*, r.batch_size,
            CASE WHEN d.leaves THEN 0 WHEN d.change_type = 'Added' THEN 1 ELSE 2 END AS phase,
            CASE WHEN d.leaves THEN -r.rank ELSE r.rank END AS place
        FROM decided AS d JOIN resource_type AS r ON r.identifier = d.resource_type
        WHERE d.withheld IS NULL
    ),
    chunked AS (
        SELECT *, row_number() OVER (PARTITION BY phase, place ORDER BY change_type DESC, assignment) AS position,
            (position - 1) // batch_size AS chunk
        FROM placed
    )
    SELECT *, dense_rank() OVER (ORDER BY phase, place, chunk) AS batch FROM chunked
"""
