"""Links that an expression finds: the query rules of one resource type (engine.md 1.11).

The rules of one navigation are tried by descending confidence, those of one confidence together. The first
confidence that finds anything decides: one resource is the link, several are a case for a person, and no
weaker rule picks one then. Below a confidence of 100 the link is proposed. Cost is linear in rows: keys are
counted once per rule before owners are joined to them.
"""

from __future__ import annotations

from itertools import groupby

from include.policy.rules import QueryColumn, Rules, linked_keys
from include.policy.workspace import Workspace
from include.storage.engine import literal

_TABLE = """
    CREATE OR REPLACE TEMP TABLE query_link (
        owner_id BIGINT, navigation VARCHAR, linked_id BIGINT, confidence INTEGER, targets BIGINT
    )
"""
"""Per owner and navigation for which something was found; ``linked_id`` is NULL where it is several."""

KEPT = -1
"""The confidence of a link that is only kept because no other can be told: it goes nowhere and replaces nothing."""


def find_links(space: Workspace, rules: Rules) -> None:
    """Create ``query_link``, and add to ``given_link`` what the owners of table ``owner`` are given.

    Where several resources are found, what was given before is kept.
    """
    space.execute(_TABLE)
    for navigation, columns in _by_navigation(rules).items():
        for position, column in columns:
            space.execute(f"CREATE OR REPLACE TEMP TABLE linked_key_{position} AS {_counted(space, rules, column)}")
        for confidence, level in groupby(columns, key=lambda item: item[1].rule.confidence):
            space.execute(_one_level(navigation, confidence, [position for position, _ in level]))
    space.execute(
        """INSERT INTO given_link
           SELECT owner_id, navigation, linked_id, confidence FROM query_link WHERE linked_id IS NOT NULL""",
        f"""INSERT INTO given_link
            SELECT q.owner_id, q.navigation, n.linked_id, {KEPT}
            FROM query_link AS q
            JOIN stored_assignment AS a
                ON a.owner_id = q.owner_id AND a.resource_type = {literal(rules.resource_type.identifier)}
            JOIN stored_navigation AS n ON n.assignment = a.assignment AND n.navigation = q.navigation
            WHERE q.linked_id IS NULL AND n.expected""",
    )


def list_query_findings(space: Workspace, rules: Rules) -> None:
    """Add to ``finding`` the owners for whom several resources were found, or none."""
    identifier = literal(rules.resource_type.identifier)
    for navigation, columns in _by_navigation(rules).items():
        linked = columns[0][1].link.entity_type
        keys = [f"o.query_key_{position}" for position, _ in columns]
        sides = " or ".join(f"{item.rule.target_expression} = {item.rule.source_expression}" for _, item in columns)
        place, label = literal(f"{navigation}: "), literal(f" ({sides})")
        space.execute(f"""
            INSERT INTO finding
            SELECT {identifier}, CASE WHEN q.owner_id IS NULL THEN 'unresolved_link' ELSE 'ambiguous' END,
                o.owner_key, NULL,
                CASE WHEN q.owner_id IS NULL
                     THEN {place} || 'no {linked} has the key ' || coalesce({", ".join(keys)}) || {label}
                     ELSE {place} || q.targets || ' {linked} are found with confidence ' || q.confidence
                         || ', none is picked' || {label} END
            FROM owner AS o
            LEFT JOIN query_link AS q ON q.owner_id = o.owner_id AND q.navigation = {literal(navigation)}
            WHERE o.included AND q.linked_id IS NULL AND coalesce({", ".join(keys)}) IS NOT NULL
        """)


def _by_navigation(rules: Rules) -> dict[str, list[tuple[int, QueryColumn]]]:
    """The query rules of each navigation with their positions, by descending confidence."""
    found: dict[str, list[tuple[int, QueryColumn]]] = {}
    for position, column in enumerate(rules.queries):
        found.setdefault(column.rule.navigation, []).append((position, column))
    return {name: sorted(columns, key=lambda item: -item[1].rule.confidence) for name, columns in found.items()}


def _counted(space: Workspace, rules: Rules, column: QueryColumn) -> str:
    """SQL: every key of the linked entity type, with how many have it, and the first and last of them."""
    return f"""
        SELECT value, count(*) AS targets, min(linked_id) AS first_id, max(linked_id) AS last_id
        FROM {linked_keys(space, rules, column)} WHERE value IS NOT NULL GROUP BY value
    """


def _one_level(navigation: str, confidence: int, positions: list[int]) -> str:
    """SQL: what rules of one confidence find, for owners for whom no higher one found anything."""
    found = " UNION ALL ".join(
        f"""SELECT o.owner_id, k.targets, k.first_id, k.last_id
            FROM owner AS o JOIN linked_key_{position} AS k ON k.value = o.query_key_{position} WHERE o.included"""
        for position in positions
    )
    return f"""
        INSERT INTO query_link
        SELECT owner_id, {literal(navigation)}, CASE WHEN min(first_id) = max(last_id) THEN min(first_id) END,
            {confidence}, greatest(max(targets), count(DISTINCT first_id))
        FROM ({found}) AS f
        ANTI JOIN (SELECT owner_id FROM query_link WHERE navigation = {literal(navigation)}) AS q USING (owner_id)
        GROUP BY owner_id
    """
