"""Who owns what: the assignments of one resource type, from those stored to those after this evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from include.model.resource_type import ResourceType
from include.policy import decisions
from include.policy.correlation import correlate
from include.policy.rules import Rules
from include.policy.states import ProvisioningState as Provisioning
from include.policy.states import WorkflowState as Workflow
from include.policy.workspace import Workspace
from include.storage.engine import literal

ASSIGNMENT_TABLE = """
    CREATE TEMP TABLE assignment (
        assignment VARCHAR, resource_type VARCHAR, owner_id BIGINT, target_id BIGINT, target_key VARCHAR,
        confidence INTEGER, provisioning_state INTEGER, workflow_state INTEGER, executed_at TIMESTAMP,
        owner_key VARCHAR, fate VARCHAR, mode VARCHAR
    )
"""


def link(space: Workspace, rules: Rules, sharing: Sequence[str], done: Sequence[str], read_at: str) -> None:
    """Create ``known``, ``free_owner`` and ``free_target``: who holds what, and who may still be paired.

    Args:
        space: the workspace, with the tables ``owner`` and ``target`` of the resource type.
        rules: the resource type's rules.
        sharing: other resource types with the same target entity type: a target has one owner.
        done: those of them that this evaluation has been through.
        read_at: SQL literal of the start of the target's last read.
    """
    identifier = rules.resource_type.identifier
    finished = _list([item for item in sharing if item in done])
    pending = _list([item for item in sharing if item not in done])
    space.execute(
        f"""CREATE OR REPLACE TEMP TABLE elsewhere AS
            SELECT target_id FROM assignment WHERE resource_type IN ({finished}) AND target_id IS NOT NULL
            UNION
            SELECT target_id FROM stored_assignment WHERE resource_type IN ({pending}) AND target_id IS NOT NULL""",
        _KNOWN.replace("$resource_type", literal(identifier)).replace("$read_at", read_at),
        _FREE_OWNER,
        _FREE_TARGET,
    )


# Stored assignments with the target that they have now. A target that is not there under its id is
# looked for under its key: it may have just been created, or read again under another id. A proposal
# that nobody confirmed holds nothing, it is made anew. What is in flight cannot be called back, except a
# creation that was carried out and has told its key.
_KNOWN = f"""
    CREATE OR REPLACE TEMP TABLE known AS
    WITH stored AS (
        SELECT a.*, a.provisioning_state AS state, a.workflow_state AS workflow,
            is_in_flight(a.provisioning_state, a.executed_at, $read_at) AS in_flight,
            is_stale(a.executed_at, $read_at) AS stale,
            in_flight AND (a.workflow_state = {Workflow.CANCELLATION:d} OR a.target_key IS NULL
                OR a.provisioning_state <> {Provisioning.EXECUTED:d}) AS irrevocable,
            a.workflow_state = {Workflow.CANCELLATION:d} AS removal,
            a.provisioning_state = {Provisioning.AWAITING_APPROVAL:d} AND coalesce(a.confidence < 100, false)
                AND a.target_id IS NOT NULL
                AND a.workflow_state NOT IN ({Workflow.CANCELLATION:d}, {Workflow.DECLINED:d}) AS proposed
        FROM stored_assignment AS a WHERE a.resource_type = $resource_type
    ),
    held AS (SELECT target_id FROM stored WHERE target_id IS NOT NULL UNION FROM elsewhere),
    by_id AS (
        SELECT s.*, t.target_id AS id_found, t.target_key AS key_found,
            CASE WHEN t.target_id IS NULL THEN s.target_key END AS key_sought
        FROM stored AS s LEFT JOIN target AS t ON t.target_id = s.target_id
    ),
    by_key AS (
        SELECT s.assignment, t.target_id, t.target_key
        FROM by_id AS s JOIN target AS t ON t.target_key = s.key_sought ANTI JOIN held ON held.target_id = t.target_id
        QUALIFY count(*) OVER (PARTITION BY t.target_id) = 1
    )
    SELECT s.* EXCLUDE (id_found, key_found, key_sought),
        CASE WHEN NOT s.proposed THEN coalesce(s.id_found, k.target_id) END AS present_id,
        CASE WHEN NOT s.proposed THEN coalesce(s.key_found, k.target_key) END AS present_key
    FROM by_id AS s LEFT JOIN by_key AS k USING (assignment)
"""

# Who lacks a target: included owners, unless something is on its way or declined; and those whose
# creation was carried out without telling its key, even if they have left since.
_FREE_OWNER = f"""
    CREATE OR REPLACE TEMP TABLE free_owner AS
    SELECT o.* FROM owner AS o LEFT JOIN known AS k USING (owner_id)
    WHERE k.assignment IS NULL AND o.included
       OR k.present_id IS NULL AND NOT k.in_flight AND k.workflow <> {Workflow.DECLINED:d}
          AND NOT (k.state = {Provisioning.VERIFIED:d} AND k.stale)
          AND (o.included OR k.state IN {decisions.SENT} AND k.target_key IS NULL AND NOT k.removal)
"""

# What nobody holds. An owner who has left lets go, unless its deletion is on its way: whoever the target
# belongs to now comes before its removal.
_FREE_TARGET = """
    CREATE OR REPLACE TEMP TABLE free_target AS
    SELECT t.* FROM target AS t
    ANTI JOIN elsewhere AS e ON e.target_id = t.target_id
    ANTI JOIN (
        SELECT k.present_id FROM known AS k LEFT JOIN owner AS o USING (owner_id)
        WHERE k.present_id IS NOT NULL AND (coalesce(o.included, false) OR k.irrevocable)
    ) AS h ON h.present_id = t.target_id
"""


def assign(space: Workspace, rules: Rules, *, depended_on_done: bool, retry: bool) -> None:
    """Correlate, decide every assignment of the resource type, and add them to ``assignment``.

    Needs the tables of ``link``, and ``changed_assignment`` (``include.policy.values``). Leaves
    ``situation``, with the fate of every stored or included owner.

    Args:
        space: the workspace.
        rules: the resource type's rules.
        depended_on_done: whether this evaluation has been through the resource type depended on.
        retry: whether what failed is asked again.
    """
    resource_type = rules.resource_type
    correlate(space, resource_type.correlation_rules)
    gate = Provisioning.AWAITING_APPROVAL if resource_type.block_provisioning else Provisioning.PENDING
    fate = decisions.fill(
        decisions.ASSIGNMENT_FATE,
        allow_add=resource_type.allow_add,
        allow_remove=resource_type.allow_remove,
        block=resource_type.block_provisioning,
        retry=retry,
        suggested=resource_type.type_rule.type == "suggested",
        validated=resource_type.type_rule.type == "requested_automatically",
    )
    outcomes = decisions.fill(decisions.ASSIGNMENT_OUTCOMES, gate=int(gate))
    identifier = literal(resource_type.identifier)
    space.execute(
        _SITUATION.replace("$resource_type", identifier)
        .replace("$dependency_met", _dependency(resource_type, done=depended_on_done))
        .replace("$fate", fate),
        _ASSIGNMENT.replace("$resource_type", identifier).replace("$outcomes", outcomes),
    )


_SITUATION = """
    CREATE OR REPLACE TEMP TABLE situation AS
    WITH facts AS (
        SELECT coalesce(k.assignment, $resource_type || '|' || o.owner_id) AS assignment,
            coalesce(k.owner_id, o.owner_id) AS owner_id, o.owner_key, k.assignment IS NOT NULL AS stored,
            coalesce(o.included, false) AS included, k.target_id AS known_id, k.target_key AS known_key,
            k.confidence, k.state, k.workflow, k.executed_at, k.present_id AS held_id,
            coalesce(k.present_id, m.target_id) AS present_id, coalesce(k.present_key, t.target_key) AS present_key,
            m.confidence AS matched_confidence,
            coalesce(k.in_flight, false) AS in_flight, coalesce(k.irrevocable, false) AS irrevocable,
            coalesce(k.stale, false) AS stale, coalesce(k.removal, false) AS removal,
            coalesce(k.proposed, false) AS proposed
        FROM owner AS o FULL JOIN known AS k ON k.owner_id = o.owner_id
        LEFT JOIN matched AS m ON m.owner_id = o.owner_id LEFT JOIN target AS t ON t.target_id = m.target_id
        WHERE k.assignment IS NOT NULL OR o.included
    ),
    conditions AS (
        SELECT f.*, f.present_id IS NOT NULL AS present,
            NOT f.included AND coalesce(taken.owner_id <> f.owner_id, false) AS taken,
            c.owner_id IS NOT NULL AS conflict, x.assignment IS NOT NULL AS changed,
            $dependency_met AS dependency_met
        FROM facts AS f
        LEFT JOIN matched AS taken ON taken.target_id = f.held_id
        LEFT JOIN (SELECT DISTINCT owner_id FROM conflict) AS c ON c.owner_id = f.owner_id
        LEFT JOIN (SELECT DISTINCT assignment FROM changed_assignment) AS x ON x.assignment = f.assignment
    )
    SELECT *, $fate AS fate FROM conditions
"""

_ASSIGNMENT = f"""
    INSERT INTO assignment
    SELECT assignment, $resource_type, owner_id,
        CASE WHEN NOT anew THEN coalesce(present_id, known_id) END,
        CASE WHEN NOT anew THEN coalesce(present_key, known_key) END,
        CASE WHEN NOT anew THEN coalesce(matched_confidence, confidence) END,
        coalesce(outcome.provisioning_state, state),
        -- That a person has asked for it, or validated it, is true until it is there.
        CASE WHEN anew AND workflow = {Workflow.APPROVED:d} THEN workflow
             ELSE coalesce(outcome.workflow_state, workflow) END,
        CASE WHEN NOT anew AND (stale OR coalesce(outcome.provisioning_state, state) NOT IN
                ({Provisioning.PENDING:d}, {Provisioning.AWAITING_APPROVAL:d})) THEN executed_at END,
        owner_key, fate, mode
    FROM (SELECT *, fate IN {decisions.CREATIONS} AS anew FROM situation) JOIN $outcomes USING (fate)
"""


def _dependency(resource_type: ResourceType, *, done: bool) -> str:
    """SQL: the owner has a target of the resource type that this one depends on, or is about to get it.

    What this evaluation asks for may be created in the same run: its order then goes out first (engine.md 7.16).
    """
    if resource_type.depends_on is None:
        return "true"
    coming = (
        f"({Provisioning.PENDING:d}, {Provisioning.TRANSMITTED:d}, {Provisioning.EXECUTED:d})" if done else "(NULL)"
    )
    return f"""f.owner_id IN (
        SELECT owner_id FROM {"assignment" if done else "stored_assignment"}
        WHERE resource_type = {literal(resource_type.depends_on)}
            AND (target_id IS NOT NULL OR provisioning_state IN {coming})
            AND provisioning_state <> {Provisioning.AWAITING_APPROVAL:d}
            AND workflow_state <> {Workflow.CANCELLATION:d})"""


def _list(identifiers: Sequence[str]) -> str:
    return ", ".join(literal(item) for item in identifiers) or "NULL"
