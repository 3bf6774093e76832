"""What two configurations would order of the same repository, and which rule makes the difference.

Each side is a run's folder of its own (``base/`` as the repository holds it, ``changes/`` as the policy was
evaluated); nothing of it is a run. The orders come from ``decision.decide``, the differences from
``difference.compare``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.difference.compare import Counts, compare
from include.difference.thresholds import Verdict
from include.model.configuration import Configuration, Connector, EntityType
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.causes import (
    CORRELATION_RULES,
    TYPE_RULE,
    WHOLE,
    RuleName,
    Status,
    changed_fields,
    rule_names,
)
from include.provisioning.decision import decide
from include.provisioning.limits import judge
from include.provisioning.mapping import entity_type, navigations
from include.provisioning.orders import count_orders
from include.repository.system import ASSIGNED_RESOURCE_NAVIGATION, ASSIGNED_RESOURCE_SCALAR, ASSIGNED_RESOURCE_TYPE
from include.snapshot.state import entity_type_state
from include.storage.engine import engine, literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

ASSIGNMENTS = (ASSIGNED_RESOURCE_TYPE, ASSIGNED_RESOURCE_SCALAR, ASSIGNED_RESOURCE_NAVIGATION)
DIFFERENCE_FILE = "difference.parquet"


@dataclass(frozen=True, slots=True)
class Side:
    """One configuration over the repository, and the folder that its evaluation filled."""

    configuration: Configuration
    connector: Connector
    run: Folder

    def relation(self, file: str) -> str:
        """A Parquet file of the folder as SQL."""
        return f"read_parquet({literal(self.run.file(f'{file}.parquet'))})"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a side orders: ``orders.count_orders``, and the thresholds' verdict on it."""

    counters: Mapping[str, Mapping[str, Any]]
    verdict: Verdict


def decide_side(side: Side) -> Decided:
    """Decide the orders of an evaluated side as the next run would.

    Writes ``planned/order.parquet`` (assignment, resource_type, change_type, owner_id, target_id, target_key,
    withheld, changes) and ``planned/line.parquet``: one line per thing that an order to be sent does (``line``,
    assignment, resource_type, kind, subject, linked_id, value); of kind ``Added`` or ``Deleted`` the resource
    itself, of kind ``value`` a property with its value, of kind ``link`` a link, ``linked`` or ``unlinked``.
    """
    base, planned = side.run.child("base"), side.run.child("planned")
    planned.make()
    with engine(side.run) as connection:
        _apply_changes(connection, side.run)
        decide(connection, side.configuration, side.connector, base, run_id="plan")
        for file, query in (("order", _ORDERS), ("line", _LINES)):
            connection.execute(f"COPY ({query}) TO {literal(planned.file(f'{file}.parquet'))} (FORMAT parquet)")
        counters = count_orders(connection, side.connector, base)
    return Decided(counters, judge(side.connector, counters))


def _apply_changes(connection: duckdb.DuckDBPyConnection, run: Folder) -> None:
    """Make ``base/`` what the repository would hold once ``changes/`` were loaded; new rows have no resource id."""
    base = run.child("base")
    for entity in ASSIGNMENTS:
        file, key = f"{entity.identifier}.parquet", name(entity.primary_key.identifier)
        state = entity_type_state(run, entity, deletions=True)
        part = f"{file}.part"
        connection.execute(f"""
            COPY (
                SELECT stored.resource_id, state.* FROM {state} AS state
                LEFT JOIN read_parquet({literal(base.file(file))}) AS stored ON stored.{key} = state.{key}
                ORDER BY state.{key}
            ) TO {literal(base.file(part))} (FORMAT parquet)
        """)
        base.filesystem.mv(f"{base.path}/{part}", f"{base.path}/{file}")


_ORDERS = """
    SELECT assignment, resource_type, change_type, owner_id, target_id, target_key, withheld, changes
    FROM decided ORDER BY assignment
"""
_LINES = """
    WITH asked AS (
        SELECT assignment, resource_type, name, json_extract(changes, '/' || name) AS value
        FROM (
            SELECT assignment, resource_type, changes, unnest(json_keys(changes)) AS name
            FROM decided WHERE withheld IS NULL AND change_type <> 'Deleted'
        )
    ),
    linked AS (
        SELECT assignment, resource_type, regexp_replace(name, '_(add|remove)$', '') AS navigation,
            CASE WHEN ends_with(name, '_add') THEN 'linked' ELSE 'unlinked' END AS value,
            CAST(unnest(json_extract_string(value, '$[*].Id')) AS BIGINT) AS linked_id
        FROM asked WHERE json_type(value) = 'ARRAY'
    )
    SELECT assignment AS line, assignment, resource_type, change_type AS kind, '' AS subject, NULL::BIGINT AS linked_id,
        NULL::VARCHAR AS value
    FROM decided WHERE withheld IS NULL AND change_type IN ('Added', 'Deleted')
    UNION ALL
    SELECT s.assigned_scalar, a.assignment, a.resource_type, 'value', a.name, NULL, s.policy_value
    FROM asked AS a JOIN assigned_resource_scalar AS s ON s.assignment = a.assignment AND s.property = a.name
    WHERE json_type(a.value) <> 'ARRAY'
    UNION ALL
    SELECT assignment || '|' || navigation || '|' || linked_id, assignment, resource_type, 'link', navigation,
        linked_id, value
    FROM linked
    ORDER BY line
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs: orders by what becomes of them, and the file of every line (``write_difference``)."""

    orders: Counts
    file: str

    @property
    def is_empty(self) -> bool:
        """Whether both sides order the same."""
        return not (self.orders.inserted or self.orders.updated or self.orders.deleted)


def write_difference(present: Side | None, planned: Side, output: Folder) -> Difference:
    """Compare the orders of two decided sides, and write every line that differs with its cause.

    ``difference.parquet`` holds, in order of resource type, owner and subject: ``change`` (created, updated or removed,
    against the present side), ``resource_type``, ``rule``, ``definition`` and ``status`` of the cause, ``order_type``
    (of the planned order, or of the present one that is removed), ``owner_id``, ``owner_key``, ``target_key``,
    ``property`` (or navigation; empty for the resource itself), ``from`` (what the target would hold under the
    present configuration: what its order writes, or what is there; nothing of one that it deletes) and ``to`` (the
    same under the planned one).

    Args:
        present: the side in use; None compares with no order at all.
        planned: the other one.
        output: where the files go.
    """
    output.make()
    sides = {"present": present, "planned": planned}
    with engine(output) as connection:
        for label, side in sides.items():
            _read_side(connection, label, side)
        _name_rules(connection, present, planned)
        orders = compare(
            connection, "present_order", "planned_order", key="assignment", columns=_ORDER_COLUMNS,
            output=output.file("orders.parquet"),
        )  # fmt: skip
        compare(
            connection, "present_line", "planned_line", key="line", columns=_LINE_COLUMNS,
            output=output.file("lines.parquet"),
        )  # fmt: skip
        connection.execute(f"CREATE VIEW line_change AS SELECT * FROM {_parquet(output, 'lines.parquet')}")
        connection.execute(_TOUCHED)
        connection.execute(_keys([side for side in sides.values() if side is not None]))
        connection.execute(
            f"COPY ({_DIFFERENCE}) TO {literal(output.file(DIFFERENCE_FILE))} (FORMAT parquet)",
        )
    return Difference(orders, output.file(DIFFERENCE_FILE))


_ORDER_COLUMNS = ("assignment", "resource_type", "change_type", "changes")
_LINE_COLUMNS = ("line", "assignment", "resource_type", "kind", "subject", "linked_id", "value")


def _parquet(folder: Folder, file: str) -> str:
    return f"read_parquet({literal(folder.file(file))})"


def _read_side(connection: duckdb.DuckDBPyConnection, label: str, side: Side | None) -> None:
    """Views of one side: ``<label>_decided``, ``_order`` (to be sent), ``_line`` and the assignments it leaves."""
    if side is None:
        for table, columns in _NOTHING.items():
            connection.execute(f"CREATE TABLE {label}_{table} ({columns})")
    else:
        connection.execute(f"CREATE VIEW {label}_decided AS SELECT * FROM {side.relation('planned/order')}")
        connection.execute(f"CREATE VIEW {label}_line AS SELECT * FROM {side.relation('planned/line')}")
        for view, entity in zip(("assignment", "scalar", "navigation"), ASSIGNMENTS, strict=True):
            relation = side.relation(f"base/{entity.identifier}")
            connection.execute(f"CREATE VIEW {label}_{view} AS SELECT * EXCLUDE (resource_id) FROM {relation}")
    connection.execute(f"CREATE VIEW {label}_order AS SELECT * FROM {label}_decided WHERE withheld IS NULL")


_NOTHING = {
    "decided": "assignment VARCHAR, resource_type VARCHAR, change_type VARCHAR, owner_id BIGINT, target_id BIGINT,"
    " target_key VARCHAR, withheld VARCHAR, changes VARCHAR",
    "line": "line VARCHAR, assignment VARCHAR, resource_type VARCHAR, kind VARCHAR, subject VARCHAR,"
    " linked_id BIGINT, value VARCHAR",
    "assignment": "assignment VARCHAR, target_key VARCHAR, provisioning_state INTEGER, workflow_state INTEGER",
    "scalar": "assigned_scalar VARCHAR, policy_value VARCHAR, current_value VARCHAR",
    "navigation": "assigned_navigation VARCHAR, expected BOOLEAN",
}


def _name_rules(connection: duckdb.DuckDBPyConnection, present: Side | None, planned: Side) -> None:
    """The tables ``rule_name``, of both sides, and ``resource_type_cause``: what whole orders may come from."""
    connection.execute(
        "CREATE TABLE rule_name (side VARCHAR, resource_type VARCHAR, subject VARCHAR, linked_id BIGINT,"
        " rule VARCHAR, definition VARCHAR, status VARCHAR)"
    )
    connection.execute("CREATE TABLE resource_type_cause (resource_type VARCHAR, fields VARCHAR[], status VARCHAR)")
    before, after = _types(present), _types(planned)
    for side, label, own, other in ((present, "present", before, after), (planned, "planned", after, before)):
        if side is None:
            continue
        gone: Status = "removed" if label == "present" else "new" if present else ""
        for item in own.values():
            for rule in rule_names(item, other.get(item.identifier), gone=gone):
                _add_rule(connection, side, label, rule)
    for identifier in dict.fromkeys([*before, *after]):
        if present is None:
            cause = [identifier, [TYPE_RULE], ""]
        elif identifier in before and identifier in after:
            fields = changed_fields(after[identifier], before[identifier])
            cause = [identifier, fields or [TYPE_RULE], "changed" if fields else "unchanged"]
        else:
            cause = [identifier, [WHOLE], "new" if identifier in after else "removed"]
        connection.execute("INSERT INTO resource_type_cause VALUES (?, ?, ?)", cause)


def _types(side: Side | None) -> dict[str, Any]:
    return {item.identifier: item for item in side.connector.resource_types} if side else {}


def _add_rule(connection: duckdb.DuckDBPyConnection, side: Side, label: str, rule: RuleName) -> None:
    """A rule with the resource that it links, where it is one that seeks a fixed one."""
    row = [label, rule.resource_type, rule.subject, rule.rule, rule.definition, rule.status]
    if rule.target is None:
        connection.execute("INSERT INTO rule_name VALUES ($1, $2, $3, NULL, $4, $5, $6)", row)
        return
    item = next(found for found in side.connector.resource_types if found.identifier == rule.resource_type)
    target = entity_type(side.configuration, item.target_entity_type)
    for link in navigations(side.configuration, target):
        if link.identifier == rule.subject:
            linked = side.relation(f"base/{link.linked_entity_type.identifier}")
            connection.execute(
                f"""INSERT INTO rule_name SELECT $1, $2, $3, resource_id, $4, $5, $6 FROM {linked}
                    WHERE CAST({name(rule.target[0])} AS VARCHAR) = $7""",
                [*row, rule.target[1]],
            )


def _entity_types(sides: Sequence[Side]) -> Iterator[tuple[Side, EntityType]]:
    """The entity types whose resources may stand in a line, each once."""
    seen = set[str]()
    for side in sides:
        for item in side.connector.resource_types:
            target = entity_type(side.configuration, item.target_entity_type)
            linked = [link.linked_entity_type for link in navigations(side.configuration, target)]
            for found in (entity_type(side.configuration, item.source_entity_type), *linked):
                if found.identifier not in seen:
                    seen.add(found.identifier)
                    yield side, found


def _keys(sides: Sequence[Side]) -> str:
    """The table ``known_key`` (resource_id, key) of the owners and linked resources in ``touched`` and in the lines."""
    parts = [
        f"""SELECT resource_id, CAST({name(item.primary_key.identifier)} AS VARCHAR) AS key
            FROM {side.relation(f"base/{item.identifier}")}
            WHERE resource_id IN (FROM wanted)"""
        for side, item in _entity_types(sides)
    ]
    nothing = "SELECT NULL::BIGINT AS resource_id, NULL::VARCHAR AS key WHERE false"
    return f"""
        CREATE TABLE known_key AS
        WITH wanted AS (
            SELECT owner_id FROM touched
            UNION SELECT coalesce(new.linked_id, old.linked_id) FROM line_change
        )
        {" UNION ALL ".join([nothing, *parts])}
    """


_AWAITING = int(ProvisioningState.AWAITING_APPROVAL)
_CANCELLATION = int(WorkflowState.CANCELLATION)
_TYPE_RULE_CHANGED, _CORRELATION_CHANGED, _BLOCK_CHANGED = (
    f"list_contains(c.fields, {literal(field)})" for field in (TYPE_RULE, CORRELATION_RULES, "block_provisioning")
)

# One row per assignment whose order differs: the order of each side, and why it is there, gone or another one.
# ``whole`` orders differ as such (to create or to delete); ``same`` says that both sides hold the same target for
# the owner, so that only its values can have made the difference.
_TOUCHED = f"""
    CREATE TABLE touched AS
    WITH differing AS (
        SELECT DISTINCT coalesce(new.assignment, old.assignment) AS assignment,
            coalesce(new.resource_type, old.resource_type) AS resource_type
        FROM line_change
    ),
    facts AS (
        SELECT d.assignment, d.resource_type, coalesce(n.owner_id, p.owner_id) AS owner_id,
            coalesce(n.target_key, p.target_key, na.target_key, pa.target_key) AS target_key,
            CASE WHEN p.withheld IS NULL THEN p.change_type END AS present_type,
            CASE WHEN n.withheld IS NULL THEN n.change_type END AS planned_type,
            coalesce(n.withheld, p.withheld) AS withheld,
            pa.assignment IS NOT NULL AND na.assignment IS NOT NULL AS assigned,
            assigned AND pa.target_key IS NOT DISTINCT FROM na.target_key AS same_target,
            pa.workflow_state <> {_CANCELLATION} AS present_wanted,
            na.workflow_state <> {_CANCELLATION} AS planned_wanted,
            coalesce(pa.provisioning_state = {_AWAITING}, false) AS present_waits,
            coalesce(na.provisioning_state = {_AWAITING}, false) AS planned_waits
        FROM differing AS d
        LEFT JOIN present_decided AS p ON p.assignment = d.assignment
        LEFT JOIN planned_decided AS n ON n.assignment = d.assignment
        LEFT JOIN present_assignment AS pa ON pa.assignment = d.assignment
        LEFT JOIN planned_assignment AS na ON na.assignment = d.assignment
    )
    SELECT f.*, coalesce(present_type, '') <> coalesce(planned_type, '')
            AND (coalesce(present_type, '') IN ('Added', 'Deleted')
                OR coalesce(planned_type, '') IN ('Added', 'Deleted')) AS whole,
        CASE
            WHEN c.status IN ('new', 'removed', '') THEN c.fields[1]
            WHEN withheld = 'deactivated' THEN 'is_deactivated'
            WHEN withheld IS NOT NULL THEN withheld
            WHEN {_TYPE_RULE_CHANGED} AND assigned AND present_wanted <> planned_wanted THEN {literal(TYPE_RULE)}
            WHEN {_CORRELATION_CHANGED} AND assigned AND (NOT same_target OR present_waits <> planned_waits)
                THEN {literal(CORRELATION_RULES)}
            WHEN {_BLOCK_CHANGED} AND assigned AND present_wanted = planned_wanted AND same_target
                THEN 'block_provisioning'
            ELSE array_to_string(c.fields, ', ')
        END AS cause, c.status AS cause_status
    FROM facts AS f JOIN resource_type_cause AS c ON c.resource_type = f.resource_type
"""

# A value's own rule made the difference where both sides hold the same target and the policy says something else
# of it; otherwise whatever made the order. A rule is named as the planned side has it, unless that one lacks it.
_DIFFERENCE = """
    WITH line AS (
        SELECT CASE command WHEN 'insert' THEN 'created' WHEN 'update' THEN 'updated' ELSE 'removed' END AS change,
            key AS line, coalesce(new.assignment, old.assignment) AS assignment, coalesce(new.kind, old.kind) AS kind,
            coalesce(new.subject, old.subject) AS subject, coalesce(new.linked_id, old.linked_id) AS linked_id,
            command <> 'insert' AS was_ordered, command <> 'delete' AS is_ordered,
            old.value AS old_value, new.value AS new_value,
            -- As keys of their own, so that the joins are joins of equals.
            CASE WHEN coalesce(new.kind, old.kind) = 'value' THEN key END AS scalar_key,
            CASE WHEN coalesce(new.kind, old.kind) = 'link' THEN key END AS link_key
        FROM line_change
    ),
    known AS (
        SELECT l.*, t.* EXCLUDE (assignment), owner.key AS owner_key,
            coalesce(linked.key, 'resource ' || l.linked_id) AS linked_key,
            CASE l.kind WHEN 'value' THEN ps.policy_value IS DISTINCT FROM ns.policy_value
                    OR ps.assigned_scalar IS NULL OR ns.assigned_scalar IS NULL
                WHEN 'link' THEN pn.expected IS DISTINCT FROM nn.expected
                ELSE false END AS policy_differs,
            coalesce(ns.current_value, ps.current_value) AS current_value
        FROM line AS l JOIN touched AS t ON t.assignment = l.assignment
        LEFT JOIN known_key AS owner ON owner.resource_id = t.owner_id
        LEFT JOIN known_key AS linked ON linked.resource_id = l.linked_id
        LEFT JOIN present_scalar AS ps ON ps.assigned_scalar = l.scalar_key
        LEFT JOIN planned_scalar AS ns ON ns.assigned_scalar = l.scalar_key
        LEFT JOIN present_navigation AS pn ON pn.assigned_navigation = l.link_key
        LEFT JOIN planned_navigation AS nn ON nn.assigned_navigation = l.link_key
    ),
    attributed AS (
        SELECT *, NOT whole AND (same_target OR cause_status = '') AND policy_differs AS by_value,
            CASE WHEN by_value THEN subject ELSE '' END AS sought_subject,
            CASE WHEN NOT by_value THEN cause END AS sought_rule,
            CASE WHEN by_value AND kind = 'link' THEN linked_id END AS sought_link,
            CASE WHEN by_value AND NOT is_ordered THEN 'present' ELSE 'planned' END AS sought_side
        FROM known
    ),
    named AS (
        SELECT s.*, arg_min(
            {'rule': n.rule, 'definition': n.definition, 'status': n.status},
            2 * (n.side <> s.sought_side)::INTEGER + (n.linked_id IS NULL)::INTEGER
        ) AS named
        FROM (SELECT DISTINCT resource_type, sought_subject, sought_rule, sought_link, sought_side FROM attributed) AS s
        JOIN rule_name AS n ON n.resource_type = s.resource_type AND n.subject = s.sought_subject
            AND (s.sought_rule IS NULL OR n.rule = s.sought_rule)
            AND (n.linked_id IS NULL OR n.linked_id = s.sought_link)
        GROUP BY ALL
    )
    SELECT a.change, a.resource_type,
        coalesce(n.named.rule, a.sought_rule, 'no rule any more') AS rule,
        coalesce(n.named.definition, '') AS definition,
        coalesce(n.named.status, CASE WHEN a.by_value THEN '' ELSE a.cause_status END) AS status,
        coalesce(CASE WHEN a.is_ordered THEN a.planned_type END, a.present_type, a.planned_type) AS order_type,
        a.owner_id, a.owner_key, a.target_key, a.subject AS property,
        CASE CASE WHEN a.kind = 'Deleted' OR a.present_type IS DISTINCT FROM 'Deleted' THEN a.kind END
            WHEN 'value' THEN CASE WHEN a.was_ordered THEN a.old_value ELSE a.current_value END
            WHEN 'link' THEN CASE WHEN a.old_value = 'linked' OR a.new_value = 'unlinked' THEN a.linked_key END
            WHEN 'Deleted' THEN CASE WHEN NOT a.was_ordered THEN a.target_key END
        END AS "from",
        CASE CASE WHEN a.kind = 'Deleted' OR a.planned_type IS DISTINCT FROM 'Deleted' THEN a.kind END
            WHEN 'value' THEN CASE WHEN a.is_ordered THEN a.new_value ELSE a.current_value END
            WHEN 'link' THEN CASE WHEN a.new_value = 'linked' OR a.old_value = 'unlinked' THEN a.linked_key END
            WHEN 'Deleted' THEN CASE WHEN NOT a.is_ordered THEN a.target_key END
        END AS "to"
    FROM attributed AS a LEFT JOIN named AS n ON n.resource_type = a.resource_type
        AND n.sought_subject = a.sought_subject AND n.sought_rule IS NOT DISTINCT FROM a.sought_rule
        AND n.sought_link IS NOT DISTINCT FROM a.sought_link AND n.sought_side = a.sought_side
    ORDER BY a.resource_type, a.owner_key, a.owner_id, a.target_key, a.line
"""
