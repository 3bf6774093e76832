"""Which links the policy gives and takes away: the assigned navigations of one resource type.

A link that no rule ever gave is left alone and not recorded, but for the one that a new link takes the place of
where a resource can have only one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from include.policy import decisions
from include.policy.queries import KEPT, find_links
from include.policy.rules import Rules
from include.policy.states import ProvisioningState as Provisioning
from include.policy.states import WorkflowState as Workflow
from include.policy.workspace import Workspace
from include.storage.engine import literal, name

CERTAIN = 150
"""The confidence of a link that a navigation rule gives."""

NAVIGATION_TABLE = """
    CREATE TEMP TABLE navigation (
        assigned_navigation VARCHAR, assignment VARCHAR, navigation VARCHAR, linked_id BIGINT, expected BOOLEAN,
        provisioning_state INTEGER, workflow_state INTEGER, executed_at TIMESTAMP, verdict VARCHAR, in_flight BOOLEAN
    )
"""


def expect_links(space: Workspace, rules: Rules) -> None:
    """Create ``link_target`` and ``expected_link``: what each rule leads to, and whom the rules give it.

    ``link_target``: the rule's position, how many resources have its value, and the one that has.
    ``expected_link``: owner_id, navigation, linked_id, confidence (below 100: only proposed). A rule whose
    target is missing or one of several gives nothing.
    """
    space.execute(
        "CREATE OR REPLACE TEMP TABLE link_target (position INTEGER, targets BIGINT, linked_id BIGINT)",
        "CREATE OR REPLACE TEMP TABLE given_link (owner_id BIGINT, navigation VARCHAR, linked_id BIGINT,"
        " confidence INTEGER)",
    )
    sought = defaultdict[tuple[str, str], list[tuple[int, str]]](list)
    for position, column in enumerate(rules.navigations):
        sought[column.link.entity_type, column.rule.target_property].append((position, column.rule.target_value))
    for (entity_type, target_property), values in sought.items():
        listed = ", ".join(f"({position}, {literal(value)})" for position, value in values)
        space.execute(f"""
            INSERT INTO link_target
            SELECT position, count(t.resource_id), min(t.resource_id)
            FROM (VALUES {listed}) AS v (position, value)
            LEFT JOIN {space.relation(entity_type)} AS t ON CAST(t.{name(target_property)} AS VARCHAR) = v.value
            GROUP BY position
        """)
    for position, column in enumerate(rules.navigations):
        space.execute(f"""
            INSERT INTO given_link
            SELECT o.owner_id, {literal(column.rule.navigation)}, l.linked_id, {CERTAIN}
            FROM owner AS o JOIN link_target AS l ON l.position = {position} AND l.targets = 1
            WHERE o.included AND o.navigation_{position}
        """)
    find_links(space, rules)
    space.execute("""
        CREATE OR REPLACE TEMP TABLE expected_link AS
        SELECT owner_id, navigation, linked_id, max(confidence) AS confidence FROM given_link GROUP BY ALL
    """)


def note_link_changes(space: Workspace) -> None:
    """Add to ``changed_assignment`` the stored assignments without a target whose links would differ now."""
    space.execute("""
        INSERT INTO changed_assignment
        SELECT DISTINCT assignment FROM (
            SELECT k.assignment, e.navigation, e.linked_id
            FROM known AS k JOIN expected_link AS e USING (owner_id) WHERE k.present_id IS NULL
        ) AS wanted
        FULL JOIN (
            SELECT n.assignment, n.navigation, n.linked_id
            FROM known AS k JOIN stored_navigation AS n USING (assignment) WHERE k.present_id IS NULL AND n.expected
        ) AS had USING (assignment, navigation, linked_id)
        WHERE wanted.assignment IS NULL OR had.assignment IS NULL
    """)


def decide_navigations(space: Workspace, rules: Rules, read_at: str, *, retry: bool) -> None:
    """Add the navigations of every assignment of the resource type to ``navigation``.

    Needs ``assignment`` and ``expected_link``.
    """
    resource_type = rules.resource_type
    identifier = literal(resource_type.identifier)
    stored = space.rows(f"""
        SELECT DISTINCT n.navigation FROM stored_navigation AS n JOIN assignment AS a USING (assignment)
        WHERE a.resource_type = {identifier}
    """)
    ruled = {column.rule.navigation: column.link for column in rules.navigations}
    ruled |= {column.rule.navigation: column.link for column in rules.queries}
    names = {str(item) for (item,) in stored} | ruled.keys()
    single = ", ".join(literal(item) for item, link in ruled.items() if not link.collection) or "NULL"
    space.execute(
        _current_links(space, rules, sorted(names)),
        _DECIDE.replace("$resource_type", identifier)
        .replace("$read_at", read_at)
        .replace("$single", single)
        .replace("$block", str(resource_type.block_provisioning).lower())
        .replace("$verdict", decisions.fill(decisions.VALUE_VERDICT, retry=retry)),
    )


def _current_links(space: Workspace, rules: Rules, names: Sequence[str]) -> str:
    """SQL that creates ``current_link``: the links of these navigations as the repository holds them."""
    links = space.graph.links[rules.resource_type.target_entity_type]
    parts = [
        f"SELECT {literal(item)} AS navigation, {links[item].from_column} AS target_id,"
        f" {links[item].to_column} AS linked_id FROM {space.relation(links[item].association)}"
        for item in names
        if item in links
    ]
    empty = "SELECT NULL::VARCHAR AS navigation, NULL::BIGINT AS target_id, NULL::BIGINT AS linked_id WHERE false"
    return f"CREATE OR REPLACE TEMP TABLE current_link AS {' UNION '.join([empty, *parts])}"


_DECIDE = f"""
    INSERT INTO navigation
    WITH parent AS (SELECT * FROM assignment WHERE resource_type = $resource_type),
    wanted AS (
        SELECT p.assignment || '|' || e.navigation || '|' || e.linked_id AS assigned_navigation,
            p.assignment, e.navigation, e.linked_id, e.confidence
        FROM expected_link AS e JOIN parent AS p USING (owner_id)
    ),
    had AS (
        SELECT n.*, is_in_flight(n.provisioning_state, n.executed_at, $read_at) AS in_flight,
            is_stale(n.executed_at, $read_at) AS stale
        FROM stored_navigation AS n SEMI JOIN parent USING (assignment)
    ),
    -- What a new link takes the place of, where a resource can have only one.
    replaced AS (
        SELECT p.assignment || '|' || c.navigation || '|' || c.linked_id AS assigned_navigation,
            p.assignment, c.navigation, c.linked_id, w.confidence
        FROM wanted AS w JOIN parent AS p USING (assignment)
        JOIN current_link AS c
            ON c.target_id = p.target_id AND c.navigation = w.navigation AND c.linked_id <> w.linked_id
        LEFT JOIN had AS h ON h.assigned_navigation = w.assigned_navigation
        WHERE c.navigation IN ($single) AND w.confidence > {KEPT}
            AND coalesce(h.workflow_state <> {Workflow.DECLINED:d}, true)
    ),
    facts AS (
        SELECT coalesce(w.assigned_navigation, h.assigned_navigation) AS assigned_navigation,
            coalesce(w.assignment, h.assignment) AS assignment, coalesce(w.navigation, h.navigation) AS navigation,
            coalesce(w.linked_id, h.linked_id) AS linked_id,
            coalesce(w.wanted, false) AS wanted, h.assignment IS NOT NULL AS stored, h.expected AS was_expected,
            h.provisioning_state AS state, h.workflow_state AS workflow, h.executed_at,
            coalesce(h.in_flight, false) AS in_flight, coalesce(h.stale, false) AS stale,
            coalesce(w.confidence, {CERTAIN}) < 100 AS proposed
        FROM (
            SELECT *, true AS wanted FROM wanted
            UNION ALL SELECT *, false FROM replaced ANTI JOIN wanted USING (assigned_navigation)
        ) AS w
        FULL JOIN had AS h ON h.assigned_navigation = w.assigned_navigation
    ),
    compared AS (
        SELECT f.* EXCLUDE (proposed), p.provisioning_state AS parent_state,
            -- What is only proposed does not go with a creation.
            CASE WHEN p.mode = 'creation' AND f.wanted AND f.proposed THEN 'present' ELSE p.mode END AS mode,
            CASE WHEN $block OR p.fate = 'proposed' OR f.proposed THEN {Provisioning.AWAITING_APPROVAL:d}
                 ELSE {Provisioning.PENDING:d} END AS gate,
            CASE WHEN f.stale THEN f.was_expected = (f.state = {Provisioning.VERIFIED:d})
                 ELSE c.target_id IS NOT NULL END AS linked,
            f.wanted = linked AS equal, f.was_expected IS DISTINCT FROM f.wanted AS changed
        FROM facts AS f JOIN parent AS p USING (assignment)
        LEFT JOIN current_link AS c
            ON c.target_id = p.target_id AND c.navigation = f.navigation AND c.linked_id = f.linked_id
    ),
    judged AS (
        SELECT *, CASE
            WHEN mode = 'creation' AND NOT wanted THEN 'nothing'
            WHEN mode <> 'present' OR wanted OR in_flight THEN $verdict
            -- Taken away and read back as gone: if it is there again, somebody else gave it.
            WHEN NOT was_expected AND state = {Provisioning.VERIFIED:d}
                THEN CASE WHEN stale THEN 'kept' ELSE 'nothing' END
            -- Gone already, or never given by an order of the policy.
            WHEN NOT linked OR was_expected AND state IN {decisions.UNSENT} THEN 'nothing'
            ELSE $verdict
        END AS verdict
        FROM compared
    )
    SELECT assigned_navigation, assignment, navigation, linked_id,
        CASE WHEN verdict IN ('kept', 'put away') THEN was_expected ELSE wanted END,
        {decisions.VALUE_STATE}, {decisions.fill(decisions.VALUE_WORKFLOW, removing="NOT wanted")},
        {decisions.VALUE_EXECUTED_AT}, verdict, in_flight
    FROM judged WHERE verdict <> 'nothing'
"""
