"""The part of the repository that an evaluation of some owners needs, written to ``base/`` of its run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from include.expressions.paths import Link
from include.model.configuration import EntityType
from include.model.resource_type import ResourceType
from include.policy.inputs import Reads, owner_reads, reads_of, target_reads
from include.policy.past import Past
from include.policy.rules import Rules
from include.policy.states import ProvisioningState as Provisioning
from include.policy.states import WorkflowState as Workflow
from include.policy.touched import ASSIGNED, NAVIGATION, SCALAR
from include.policy.workspace import AFFECTED_OWNER, AFFECTED_TARGET, OTHER_FINDINGS, whole_file
from include.repository.system import PROVISIONING_ORDER
from include.storage.engine import literal, name

OWNED = "owned.parquet"


def owned_query(assigned: str) -> str:
    """Query ``resource_type``, ``owned``: a target that is only proposed is not owned; one to be deleted is."""
    return f"""
        SELECT resource_type, count(*) AS owned FROM {assigned}
        WHERE (target_id IS NOT NULL OR target_key IS NOT NULL)
            AND (provisioning_state <> {Provisioning.AWAITING_APPROVAL:d}
                OR workflow_state = {Workflow.CANCELLATION:d})
        GROUP BY resource_type
    """


def extract(past: Past, rules: Sequence[Rules]) -> None:
    """Write the rows that an evaluation of ``affected_owner`` and ``affected_target`` reads, and these two.

    A file for every item, be it empty: of owners and targets the affected ones, their assignments, and what links
    lead to from there.
    """
    execute = past.connection.execute
    execute("CREATE TEMP TABLE needed (entity_type VARCHAR, resource_id BIGINT)")
    execute("CREATE TEMP TABLE followed (association VARCHAR, resource1_id BIGINT, resource2_id BIGINT)")
    resource_types = [item.resource_type for item in rules]
    for one in rules:
        _need_sought(past, one)
    for item in resource_types:
        owners = f"SELECT owner_id FROM affected_owner WHERE resource_type = {literal(item.identifier)}"
        targets = f"SELECT target_id FROM affected_target WHERE entity_type = {literal(item.target_entity_type)}"
        _follow(past, owner_reads(past.graph, item), owners)
        _follow(past, target_reads(past.graph, item), targets)
        _need_links(past, item, targets)
    _write_assignments(past, resource_types)
    _write_other_findings(past, resource_types)
    for identifier, stored in past.items.items():
        if identifier in {ASSIGNED, SCALAR, NAVIGATION}:
            continue
        if identifier == PROVISIONING_ORDER.identifier:
            _write(past, identifier, f"FROM {past.now(identifier)} LIMIT 0")
        elif isinstance(stored, EntityType):
            needed = f"SELECT resource_id FROM needed WHERE entity_type = {literal(identifier)}"
            _write(past, identifier, f"FROM {past.now(identifier)} WHERE resource_id IN ({needed})")
        else:
            chosen = (
                f"SELECT DISTINCT resource1_id, resource2_id FROM followed WHERE association = {literal(identifier)}"
            )
            _write(past, identifier, chosen)
    for file in (AFFECTED_OWNER, AFFECTED_TARGET):
        with whole_file(past.base, file) as output:
            execute(f"COPY {file.removesuffix('.parquet')} TO {literal(output)} (FORMAT parquet)")


def extract_orders(past: Past, resource_types: Sequence[ResourceType], run_id: str) -> None:
    """Write what orders are decided, sent and settled with: all that waits to be sent or confirmed, or is of this run.

    ``owned.parquet`` counts what is owned of each resource type, as it cannot be counted in these rows.
    """
    execute = past.connection.execute
    listed = ", ".join(literal(item.identifier) for item in resource_types)
    orders = PROVISIONING_ORDER.identifier
    pending = f"provisioning_state = {Provisioning.PENDING:d}"
    unconfirmed = f"({Provisioning.TRANSMITTED:d}, {Provisioning.EXECUTED:d}, {Provisioning.ERROR:d})"
    execute(f"""
        CREATE TEMP TABLE concerned AS
        SELECT assignment FROM {past.now(ASSIGNED)} WHERE {pending}
        UNION SELECT assignment FROM {past.now(SCALAR)} WHERE {pending}
        UNION SELECT assignment FROM {past.now(NAVIGATION)} WHERE {pending}
        UNION SELECT assignment FROM {past.now(orders)}
            WHERE run_id = {literal(run_id)} OR provisioning_state IN {unconfirmed}
    """)
    # Every order of theirs: which is the latest, and how often it was tried, the others tell.
    execute(f"CREATE TEMP TABLE order_of AS FROM {past.now(orders)} WHERE assignment IN (FROM concerned)")
    depended_on = ", ".join(literal(item.depends_on) for item in resource_types if item.depends_on) or "NULL"
    execute(f"""
        CREATE TEMP TABLE chosen AS
        WITH mine AS (
            FROM {past.now(ASSIGNED)} WHERE resource_type IN ({listed}) AND assignment IN (FROM concerned)
        )
        FROM mine
        UNION ALL
        FROM {past.now(ASSIGNED)} WHERE resource_type IN ({depended_on}) AND owner_id IN (SELECT owner_id FROM mine)
            AND assignment NOT IN (SELECT assignment FROM mine)
    """)
    _write(past, ASSIGNED, "FROM chosen")
    for identifier in (SCALAR, NAVIGATION):
        _write(past, identifier, f"FROM {past.now(identifier)} WHERE assignment IN (SELECT assignment FROM chosen)")
    _write(past, orders, "FROM order_of")
    linked = f"SELECT linked_id FROM {past.now(NAVIGATION)} WHERE assignment IN (SELECT assignment FROM chosen)"
    for identifier, item in past.items.items():
        if isinstance(item, EntityType) and identifier not in {ASSIGNED, SCALAR, NAVIGATION, orders}:
            _write(past, identifier, f"""
                FROM {past.now(identifier)} WHERE resource_id IN (
                    SELECT owner_id FROM chosen UNION ALL SELECT target_id FROM chosen UNION ALL {linked})
            """)  # fmt: skip
    with whole_file(past.base, OWNED) as output:
        execute(f"COPY ({owned_query(past.now(ASSIGNED))}) TO {literal(output)} (FORMAT parquet)")


def _write(past: Past, identifier: str, query: str) -> None:
    with whole_file(past.base, f"{identifier}.parquet") as output:
        past.connection.execute(f"COPY ({query}) TO {literal(output)} (FORMAT parquet)")


def _need(past: Past, entity_type: str, query: str) -> None:
    past.connection.execute(f"INSERT INTO needed SELECT {literal(entity_type)}, id FROM ({query}) AS found (id)")


def _follow(past: Past, reads: Reads, start: str) -> None:
    """The resources themselves, and all that the paths reach from them."""
    _need(past, reads.entity_type, start)
    for way in reads.ways():
        ids = start
        for link in way[:-1]:
            ids = _reached(link, ids)
        _follow_one(past, way[-1], ids)


def _follow_one(past: Past, link: Link, ids: str) -> None:
    """The links of one kind that begin at resources, and where they lead."""
    past.connection.execute(f"""
        INSERT INTO followed SELECT {literal(link.association)}, resource1_id, resource2_id
        FROM {past.now(link.association)} WHERE {link.from_column} IN ({ids})
    """)
    _need(past, link.entity_type, _reached(link, ids))


def _reached(link: Link, ids: str) -> str:
    """Query: where the links that were followed lead from resources."""
    return f"""
        SELECT {link.to_column} FROM followed
        WHERE association = {literal(link.association)} AND {link.from_column} IN ({ids})
    """


def _need_links(past: Past, resource_type: ResourceType, targets: str) -> None:
    """The links of the targets, and what rules may lead them to."""
    links = past.graph.links.get(resource_type.target_entity_type, {})
    ruled = {item.navigation for item in resource_type.navigation_rules}
    ruled |= {item.navigation for item in resource_type.query_rules}
    for identifier in sorted(ruled | _stored_navigations(past, resource_type)):
        if link := links.get(identifier):
            past.connection.execute(f"""
                INSERT INTO followed SELECT {literal(link.association)}, resource1_id, resource2_id
                FROM {past.now(link.association)} WHERE {link.from_column} IN ({targets})
            """)
    for rule in resource_type.navigation_rules:
        linked = links[rule.navigation].entity_type
        _need(past, linked, f"""
            SELECT resource_id FROM {past.now(linked)}
            WHERE CAST({name(rule.target_property)} AS VARCHAR) = {literal(rule.target_value)}
        """)  # fmt: skip


def _stored_navigations(past: Past, resource_type: ResourceType) -> set[str]:
    """Names of the navigations that are stored of the resource type's assignments."""
    prefix = literal(f"{resource_type.identifier}|")
    found = past.connection.execute(
        f"SELECT DISTINCT navigation FROM {past.now(NAVIGATION)} WHERE starts_with(assignment, {prefix})"
    ).fetchall()
    return {str(item) for (item,) in found}


def _need_sought(past: Past, rules: Rules) -> None:
    """The linked resources that have the key which a query rule seeks for an affected owner."""
    owners = f"SELECT owner_id FROM affected_owner WHERE resource_type = {literal(rules.resource_type.identifier)}"
    limited = f"(FROM {past.now(rules.source.entity_type)} WHERE resource_id IN ({owners}))"
    for position, column in enumerate(rules.queries):
        _, sought = rules.owner_fields[f"query_key_{position}"]
        past.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE sought_link AS
            SELECT id FROM (
                SELECT source.resource_id AS id, {column.key} AS key FROM {column.linked.from_clause(past.now)}
            ) WHERE key IN (SELECT {sought} FROM {rules.source.from_clause(past.now, limited)})
        """)
        reads = reads_of(past.graph, column.link.entity_type, [column.rule.target_expression], frozenset())
        _follow(past, reads, "SELECT id FROM sought_link")


def _write_assignments(past: Past, resource_types: Iterable[ResourceType]) -> None:
    """Of affected owners all that is stored of the resource types; of affected targets who else holds them."""
    types = list(resource_types)
    chosen = [
        f"""resource_type = {literal(item.identifier)} AND owner_id IN (
            SELECT owner_id FROM affected_owner WHERE resource_type = {literal(item.identifier)})"""
        for item in types
    ]
    evaluated = {item.identifier for item in types}
    listed = ", ".join(literal(item) for item in evaluated)
    chosen += [
        f"""resource_type = {literal(item.depends_on)} AND owner_id IN (
            SELECT owner_id FROM affected_owner WHERE resource_type = {literal(item.identifier)})"""
        for item in types
        if item.depends_on and item.depends_on not in evaluated
    ]
    chosen.append(f"resource_type NOT IN ({listed}) AND target_id IN (SELECT target_id FROM affected_target)")
    past.connection.execute(
        f"CREATE TEMP TABLE chosen AS FROM {past.now(ASSIGNED)} WHERE {' OR '.join(f'({one})' for one in chosen)}"
    )
    _write(past, ASSIGNED, "FROM chosen")
    for identifier in (SCALAR, NAVIGATION):
        _write(past, identifier, f"FROM {past.now(identifier)} WHERE assignment IN (SELECT assignment FROM chosen)")


def _write_other_findings(past: Past, resource_types: Sequence[ResourceType]) -> None:
    """The findings of the last evaluation, without those of affected owners and targets."""
    past.connection.execute("CREATE TEMP TABLE superseded (resource_type VARCHAR, side VARCHAR, key VARCHAR)")
    for item in resource_types:
        identifier = literal(item.identifier)
        for side, entity_type, query in (
            ("owner", item.source_entity_type, "SELECT owner_id FROM affected_owner WHERE resource_type = {}"),
            ("target", item.target_entity_type, "SELECT target_id FROM affected_target WHERE entity_type = {}"),
        ):
            chosen = query.format(identifier if side == "owner" else literal(entity_type))
            key = name(past.graph.entity_types[entity_type].primary_key.identifier)
            for relation in (past.now(entity_type), past.before(entity_type)):
                past.connection.execute(f"""
                    INSERT INTO superseded SELECT {identifier}, '{side}', CAST({key} AS VARCHAR)
                    FROM {relation} WHERE resource_id IN ({chosen})
                """)
    with whole_file(past.base, OTHER_FINDINGS) as output:
        past.connection.execute(f"""
            COPY (
                SELECT f.* FROM read_parquet({literal(past.last.file("findings.parquet"))}) AS f
                ANTI JOIN superseded AS s ON s.resource_type = f.resource_type
                    AND s.side = CASE WHEN f.owner_key IS NULL THEN 'target' ELSE 'owner' END
                    AND s.key = coalesce(f.owner_key, f.target_key)
            ) TO {literal(output)} (FORMAT parquet)
        """)
