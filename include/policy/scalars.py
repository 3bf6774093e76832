"""What each target property should hold: the assigned scalars of one resource type."""

from __future__ import annotations

from include.policy import decisions
from include.policy.comparison import same_value
from include.policy.rules import Rules, ScalarColumn
from include.policy.states import ProvisioningState as Provisioning
from include.policy.workspace import Workspace
from include.storage.engine import literal

SCALAR_TABLE = """
    CREATE TEMP TABLE scalar (
        assigned_scalar VARCHAR, assignment VARCHAR, property VARCHAR, policy_value VARCHAR, current_value VARCHAR,
        provisioning_state INTEGER, workflow_state INTEGER, executed_at TIMESTAMP, verdict VARCHAR, in_flight BOOLEAN
    )
"""


def note_changes(space: Workspace, rules: Rules) -> None:
    """Add to ``changed_assignment`` the stored assignments without a target whose values would differ now."""
    for position, scalar in enumerate(rules.scalars):
        space.execute(f"""
            INSERT INTO changed_assignment
            SELECT k.assignment FROM known AS k JOIN owner AS o USING (owner_id)
            LEFT JOIN stored_scalar AS s ON s.assigned_scalar = k.assignment || {_suffix(scalar)}
            WHERE k.present_id IS NULL AND o.included
                AND ((s.assigned_scalar IS NOT NULL) <> o.ruled_{position}
                     OR o.ruled_{position} AND s.policy_value IS DISTINCT FROM o.scalar_{position})
        """)


def decide_scalars(space: Workspace, rules: Rules, read_at: str, *, retry: bool) -> None:
    """Add the scalars of every assignment of the resource type to ``scalar``.

    Needs ``assignment``, ``owner`` and ``target`` of the resource type. A property that no rule writes
    (any more, or at this time) has no scalar, but for an order that is on its way.
    """
    for position, scalar in enumerate(rules.scalars):
        space.execute(_one_property(rules, position, scalar, read_at, retry=retry))
    ruled = ", ".join(literal(scalar.target.identifier) for scalar in rules.scalars) or "NULL"
    space.execute(f"""
        INSERT INTO scalar
        SELECT s.* EXCLUDE (resource_id), 'kept', true
        FROM stored_scalar AS s JOIN assignment AS a USING (assignment)
        WHERE a.resource_type = {literal(rules.resource_type.identifier)}
            AND coalesce(s.property NOT IN ({ruled}), true)
            AND is_in_flight(s.provisioning_state, s.executed_at, {read_at})
    """)


def _suffix(scalar: ScalarColumn) -> str:
    return literal(f"|{scalar.target.identifier}")


def _one_property(rules: Rules, position: int, scalar: ScalarColumn, read_at: str, *, retry: bool) -> str:
    block = str(rules.resource_type.block_provisioning).lower()
    verdict = decisions.fill(decisions.VALUE_VERDICT, retry=retry)
    policy, current = "policy", "current"
    same = same_value("current", "policy", scalar.rule.comparison_type, scalar.target)
    if not scalar.rule.is_mapped:
        # Written at creation only: what it is afterwards is not the policy's business.
        verdict = f"CASE WHEN mode = 'present' THEN 'verified' ELSE {verdict} END"
        policy = "CASE WHEN mode = 'present' AND stored THEN stored_policy ELSE policy END"
        current = "read_value"
    return f"""
        INSERT INTO scalar
        WITH facts AS (
            SELECT a.assignment || {_suffix(scalar)} AS assigned_scalar, a.assignment, a.mode,
                a.provisioning_state AS parent_state,
                CASE WHEN {block} OR a.fate = 'proposed' THEN {Provisioning.AWAITING_APPROVAL:d}
                     ELSE {Provisioning.PENDING:d} END AS gate,
                s.assigned_scalar IS NOT NULL AS stored, s.policy_value AS stored_policy,
                s.current_value AS stored_current, s.provisioning_state AS state, s.workflow_state AS workflow,
                s.executed_at,
                is_in_flight(s.provisioning_state, s.executed_at, {read_at}) AS in_flight,
                is_stale(s.executed_at, {read_at}) AS stale,
                o.scalar_{position} AS policy, coalesce(o.ruled_{position}, true) AS ruled,
                t.current_{position} AS read_value
            FROM assignment AS a
            LEFT JOIN owner AS o ON o.owner_id = a.owner_id
            LEFT JOIN target AS t ON t.target_id = a.target_id
            LEFT JOIN stored_scalar AS s ON s.assigned_scalar = a.assignment || {_suffix(scalar)}
            WHERE a.resource_type = {literal(rules.resource_type.identifier)}
        ),
        compared AS (
            SELECT *, CASE WHEN stale AND state = {Provisioning.VERIFIED:d} THEN stored_policy
                           WHEN stale THEN stored_current ELSE read_value END AS current,
                {same} AS equal, stored_policy IS DISTINCT FROM policy AS changed
            FROM facts
        ),
        judged AS (
            SELECT *, CASE WHEN ruled OR mode NOT IN ('present', 'creation') THEN {verdict}
                           WHEN in_flight THEN 'kept' ELSE 'nothing' END AS verdict
            FROM compared
        )
        SELECT assigned_scalar, assignment, {literal(scalar.target.identifier)},
            CASE WHEN verdict IN ('kept', 'put away') THEN stored_policy ELSE {policy} END,
            CASE WHEN mode = 'creation' THEN NULL
                 WHEN mode <> 'present' OR (in_flight AND verdict = 'kept') THEN stored_current ELSE {current} END,
            {decisions.VALUE_STATE}, {decisions.fill(decisions.VALUE_WORKFLOW, removing=False)},
            {decisions.VALUE_EXECUTED_AT}, verdict, in_flight
        FROM judged WHERE verdict <> 'nothing'
    """
