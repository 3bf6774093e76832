"""What a person should look at, and the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from include.expressions.paths import single_links
from include.policy import decisions
from include.policy.rules import Rules
from include.policy.states import ProvisioningState as Provisioning
from include.policy.states import WorkflowState as Workflow
from include.policy.workspace import OTHER_FINDINGS, Workspace
from include.storage.engine import literal, name

FINDING_TABLE = """
    CREATE TEMP TABLE finding (
        resource_type VARCHAR, kind VARCHAR, owner_key VARCHAR, target_key VARCHAR, detail VARCHAR
    )
"""


def list_findings(space: Workspace, rules: Rules) -> None:
    """Add the findings of one resource type to ``finding``, right after its evaluation."""
    identifier = literal(rules.resource_type.identifier)
    for statement in (_AMBIGUOUS_OWNER, _GAP_ASSIGNMENT, _GAP_SCALAR, _GAP_NAVIGATION):
        space.execute(statement.replace("$resource_type", identifier))
    for path, link in rules.source.joins.items():
        if len(path) == 1 and not link.collection:
            space.execute(f"""
                INSERT INTO finding
                SELECT {identifier}, 'ambiguous', o.owner_key, NULL,
                    format('{{}} has {{}} links, one is expected: none is followed', {literal(path[0])}, l.targets)
                FROM {single_links(link, space.relation)} AS l JOIN owner AS o ON o.owner_id = l.from_id
                WHERE l.targets > 1 AND (o.included OR o.owner_id IN (
                    SELECT owner_id FROM assignment WHERE resource_type = {identifier}))
            """)
    for position, column in enumerate(rules.navigations):
        rule = column.rule
        sought = literal(
            f"{rule.navigation}: {column.link.entity_type} with {rule.target_property} = {rule.target_value}"
        )
        space.execute(f"""
            INSERT INTO finding
            SELECT {identifier}, CASE WHEN l.targets = 0 THEN 'unresolved_link' ELSE 'ambiguous' END, o.owner_key, NULL,
                CASE WHEN l.targets = 0 THEN {sought} || ' does not exist'
                     ELSE {sought} || ' stands for ' || l.targets || ' resources' END
            FROM owner AS o JOIN link_target AS l ON l.position = {position} AND l.targets <> 1
            WHERE o.included AND o.navigation_{position}
        """)


_AMBIGUOUS_OWNER = """
    INSERT INTO finding
    SELECT $resource_type, 'ambiguous', o.owner_key, t.target_key, c.detail
    FROM conflict AS c JOIN owner AS o USING (owner_id) LEFT JOIN target AS t ON t.target_id = c.target_id
"""
_GAP_ASSIGNMENT = """
    INSERT INTO finding
    SELECT $resource_type, 'gap', owner_key, target_key,
        CASE fate WHEN 'missing' THEN 'the policy expects a resource, and the managed system does not hold it'
                  WHEN 'survived' THEN 'it was deleted by an order, and a later read still shows it'
                  ELSE 'nobody is to own it any more, and allow_remove is false' END
    FROM assignment WHERE resource_type = $resource_type AND fate IN ('missing', 'survived', 'unwanted')
"""
_GAP_SCALAR = """
    INSERT INTO finding
    SELECT $resource_type, 'gap', a.owner_key, a.target_key,
        format('{} is {}, the policy says {}', s.property,
            coalesce('''' || s.current_value || '''', 'empty'), coalesce('''' || s.policy_value || '''', 'empty'))
    FROM scalar AS s JOIN assignment AS a USING (assignment)
    WHERE a.resource_type = $resource_type AND s.verdict = 'gap'
"""
_GAP_NAVIGATION = """
    INSERT INTO finding
    SELECT $resource_type, 'gap', a.owner_key, a.target_key,
        format('the link {} to resource {} {}', n.navigation, n.linked_id,
            CASE WHEN n.expected THEN 'is missing, and the policy gives it'
                 ELSE 'is still there, and the policy has taken it away' END)
    FROM navigation AS n JOIN assignment AS a USING (assignment)
    WHERE a.resource_type = $resource_type AND n.verdict = 'gap'
"""


def list_orphans(space: Workspace, rules: Rules, sharing: Sequence[str], evaluated: Sequence[str]) -> int:
    """Add the targets that nobody owns, and count them; every resource type has been evaluated.

    Targets of an ambiguous correlation are listed as such, not as orphans.
    """
    entity_type = rules.resource_type.target_entity_type
    key = name(space.graph.entity_types[entity_type].primary_key.identifier)
    here = _list([item for item in sharing if item in evaluated])
    elsewhere = _list([item for item in sharing if item not in evaluated])
    space.execute(f"""
        INSERT INTO finding
        SELECT {literal(rules.resource_type.identifier)}, 'orphan', NULL, CAST(t.{key} AS VARCHAR),
            {literal(f"no owner of {rules.resource_type.source_entity_type} correlates with it")}
        FROM {space.targets(rules.resource_type)} AS t
        WHERE t.resource_id NOT IN (
            SELECT target_id FROM assignment WHERE target_id IS NOT NULL AND resource_type IN ({here})
            UNION SELECT target_id FROM stored_assignment
                WHERE target_id IS NOT NULL AND resource_type IN ({elsewhere})
            UNION SELECT target_id FROM disputed WHERE entity_type = {literal(entity_type)}
        )
    """)
    identifier = literal(rules.resource_type.identifier)
    ((orphans,),) = space.rows(f"SELECT count(*) FROM finding WHERE resource_type = {identifier} AND kind = 'orphan'")
    return int(orphans)


def keep_others(space: Workspace) -> None:
    """Add the findings of those whom an incremental evaluation is not about, as the last evaluation left them."""
    if space.is_incremental:
        space.execute(f"INSERT INTO finding FROM read_parquet({literal(space.base.file(OTHER_FINDINGS))})")


def counters(space: Workspace, rules: Rules) -> dict[str, int]:
    """Figures of one resource type: its assignments by what they wait for, and its findings.

    An assignment counts once where it, or one of its values, is in the state named.
    """
    identifier = literal(rules.resource_type.identifier)
    (row,) = space.rows(_ASSIGNMENT_FIGURES.replace("$resource_type", identifier))
    (fates,) = space.rows(_FATE_FIGURES)
    findings = dict(space.rows(f"SELECT kind, count(*) FROM finding WHERE resource_type = {identifier} GROUP BY kind"))
    names = (
        "correlated",
        "to_create",
        "to_update",
        "to_delete",
        "verified",
        "in_flight",
        "awaiting_approval",
        "errored",
    )
    return {
        **dict(zip(names, row, strict=True)),
        **dict(zip(("owners", "creations_not_allowed", "creations_waiting", "suggested"), fates, strict=True)),
        "ambiguous": findings.get("ambiguous", 0),
        "gaps": findings.get("gap", 0),
        "unresolved_links": findings.get("unresolved_link", 0),
    }


_ASSIGNMENT_FIGURES = f"""
    WITH value AS (
        SELECT assignment, provisioning_state, workflow_state, in_flight FROM scalar
        UNION ALL SELECT assignment, provisioning_state, workflow_state, in_flight FROM navigation
    ),
    summary AS (
        SELECT assignment, bool_or(provisioning_state = {Provisioning.PENDING:d}) AS pending,
            bool_or(provisioning_state = {Provisioning.AWAITING_APPROVAL:d}) AS awaiting,
            bool_or(provisioning_state IN {decisions.FAILED}) AS errored,
            bool_or(coalesce(in_flight, false)) AS flying,
            bool_and(provisioning_state = {Provisioning.VERIFIED:d}
                AND workflow_state <> {Workflow.FOUND:d}) AS verified
        FROM value GROUP BY assignment
    )
    SELECT count(*) FILTER (fate = 'owned'),
        count(*) FILTER (fate IN ('create', 'create as asked') AND provisioning_state = {Provisioning.PENDING:d}),
        count(*) FILTER (mode = 'present' AND pending),
        count(*) FILTER (fate IN ('delete', 'delete as asked') AND provisioning_state = {Provisioning.PENDING:d}),
        count(*) FILTER (fate = 'owned' AND coalesce(verified, true)),
        count(*) FILTER (mode = 'flight' OR flying),
        count(*) FILTER (provisioning_state = {Provisioning.AWAITING_APPROVAL:d} OR awaiting),
        count(*) FILTER (provisioning_state IN {decisions.FAILED} OR errored)
    FROM assignment LEFT JOIN summary USING (assignment) WHERE resource_type = $resource_type
"""
_FATE_FIGURES = """
    SELECT count(*) FILTER (included), count(*) FILTER (fate = 'not allowed'), count(*) FILTER (fate = 'waiting'),
        count(*) FILTER (fate = 'suggested')
    FROM situation
"""


def _list(identifiers: Sequence[str]) -> str:
    return ", ".join(literal(item) for item in identifiers) or "NULL"
