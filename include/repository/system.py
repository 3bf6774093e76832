"""Rollcall's own entity types: assignments and orders, and what a synchronization remembers.

They are declared like an integrator's entity types, so that the one difference compares them, the one
load writes them, and every change of state is a version with its instant and its run.

Keys: an assignment is ``<resource type>|<owner resource id>``; a scalar adds ``|<property>``; a
navigation adds ``|<navigation>|<linked resource id>``. States are the numbers of engine.md 3.4 and 3.5
(``include.policy.states``).
"""

from __future__ import annotations

from include.model.configuration import EntityType, Property
from include.model.remembered import REMEMBERED

ASSIGNED_RESOURCE_TYPE = EntityType(
    identifier="assigned_resource_type",
    connection_table="-",
    properties=(
        Property(identifier="assignment", primary_key=True),
        Property(identifier="resource_type"),
        Property(identifier="owner_id", type="int64"),
        Property(identifier="target_id", type="int64"),
        Property(identifier="target_key"),
        Property(identifier="confidence", type="int32"),
        Property(identifier="provisioning_state", type="int32"),
        Property(identifier="workflow_state", type="int32"),
        # When the last order was carried out: a read of the target older than this proves nothing.
        Property(identifier="executed_at", type="datetime"),
    ),
)
ASSIGNED_RESOURCE_SCALAR = EntityType(
    identifier="assigned_resource_scalar",
    connection_table="-",
    properties=(
        Property(identifier="assigned_scalar", primary_key=True),
        Property(identifier="assignment"),
        Property(identifier="property"),
        Property(identifier="policy_value"),
        Property(identifier="current_value"),
        Property(identifier="provisioning_state", type="int32"),
        Property(identifier="workflow_state", type="int32"),
        Property(identifier="executed_at", type="datetime"),
    ),
)
ASSIGNED_RESOURCE_NAVIGATION = EntityType(
    identifier="assigned_resource_navigation",
    connection_table="-",
    properties=(
        Property(identifier="assigned_navigation", primary_key=True),
        Property(identifier="assignment"),
        Property(identifier="navigation"),
        Property(identifier="linked_id", type="int64"),
        # True: the policy gives the link; false: the policy takes away a link that it once gave.
        Property(identifier="expected", type="bool"),
        Property(identifier="provisioning_state", type="int32"),
        Property(identifier="workflow_state", type="int32"),
        Property(identifier="executed_at", type="datetime"),
    ),
)
PROVISIONING_ORDER = EntityType(
    identifier="provisioning_order",
    connection_table="-",
    properties=(
        Property(identifier="order_id", primary_key=True),
        Property(identifier="assignment"),
        Property(identifier="connector"),
        Property(identifier="resource_type"),
        Property(identifier="change_type"),
        Property(identifier="run_id"),
        Property(identifier="batch"),
        Property(identifier="changes"),
        # Which run in a row this is that tries the same after transient errors: 1 at first.
        Property(identifier="attempt", type="int32"),
        Property(identifier="provisioning_state", type="int32"),
        Property(identifier="target_key"),
        Property(identifier="error_class"),
        Property(identifier="message"),
        Property(identifier="decided_at", type="datetime"),
        Property(identifier="executed_at", type="datetime"),
        Property(identifier="verified_at", type="datetime"),
    ),
)
PROVISIONING_ENTITY_TYPES = (
    ASSIGNED_RESOURCE_TYPE,
    ASSIGNED_RESOURCE_SCALAR,
    ASSIGNED_RESOURCE_NAVIGATION,
    PROVISIONING_ORDER,
)
SYSTEM_ENTITY_TYPES = (*PROVISIONING_ENTITY_TYPES, *REMEMBERED)
