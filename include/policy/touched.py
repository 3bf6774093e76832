"""Where changes enter: named queries, each of one column, the owners or targets that one kind of change touches.

``OWNER_QUERIES`` and ``TARGET_QUERIES`` list them; whoever adds a kind of rule adds a query here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.expressions.functions import EVALUATED_AT, timestamp
from include.expressions.paths import Link, Scope
from include.model.resource_type import NavigationRule, ResourceType, ScalarRule
from include.policy.decisions import SENT
from include.policy.inputs import Reads, owner_reads, reads_of, target_reads
from include.policy.past import Past
from include.policy.periods import dated, holds, is_timed
from include.policy.rules import Rules, expression, owners, time_fields
from include.repository.system import ASSIGNED_RESOURCE_NAVIGATION, ASSIGNED_RESOURCE_SCALAR, ASSIGNED_RESOURCE_TYPE
from include.storage.engine import literal, name

ASSIGNED, SCALAR, NAVIGATION = (
    item.identifier for item in (ASSIGNED_RESOURCE_TYPE, ASSIGNED_RESOURCE_SCALAR, ASSIGNED_RESOURCE_NAVIGATION)
)


@dataclass(frozen=True, slots=True)
class Clock:
    """What time alone changes between two evaluations: their instants, and when a target's last read began."""

    before: datetime
    now: datetime
    read_before: dict[str, datetime]
    read_now: dict[str, datetime]


@dataclass(frozen=True, slots=True)
class Touching:
    """One resource type, what it reads, and between what it is looked at.

    ``sharing`` are the resource types with the same target entity type, itself not among them.
    """

    past: Past
    rules: Rules
    sharing: Sequence[str]
    clock: Clock

    @property
    def resource_type(self) -> ResourceType:
        """The resource type."""
        return self.rules.resource_type

    @property
    def owner_reads(self) -> Reads:
        """What its rules read of owners."""
        return owner_reads(self.past.graph, self.resource_type)

    @property
    def target_reads(self) -> Reads:
        """What its rules read of targets."""
        return target_reads(self.past.graph, self.resource_type)


def changed_rows(past: Past, entity_type: str, properties: frozenset[str]) -> str:
    """Query: the resources that came, went, or have another value in one of the properties."""
    changed = past.changed(entity_type)
    differs = " OR ".join(f"b.{name(item)} IS DISTINCT FROM n.{name(item)}" for item in sorted(properties)) or "false"
    return f"""
        SELECT coalesce(b.resource_id, n.resource_id) AS id
        FROM (FROM {changed} WHERE was_there) AS b
        FULL JOIN (FROM {changed} WHERE is_there) AS n ON n.resource_id = b.resource_id
        WHERE b.resource_id IS NULL OR n.resource_id IS NULL OR {differs}
    """


def changed_links(past: Past, link: Link) -> str:
    """Query: the resources with a link through the association that came or went."""
    return f"""
        SELECT {link.from_column} AS id FROM {past.changed(link.association)}
        GROUP BY resource1_id, resource2_id, id HAVING bool_or(was_there) <> bool_or(is_there)
    """


def back(past: Past, query: str, links: Sequence[Link]) -> str:
    """Query: the resources from which the links lead to those of a query, as they are now.

    A link that changed itself is found by ``changed_links``: nobody needs where it led before.
    """
    for link in reversed(links):
        query = f"""
            SELECT l.{link.from_column} AS id FROM {past.now(link.association)} AS l
            WHERE l.{link.to_column} IN (SELECT id FROM ({query}))
        """
    return query


def _by_inputs(past: Past, reads: Reads) -> Iterator[str]:
    for path, properties in reads.properties.items():
        links = reads.links[path]
        entity_type = links[-1].entity_type if links else reads.entity_type
        if past.has_changed(entity_type):
            yield back(past, changed_rows(past, entity_type, properties), links)
    for way in reads.ways():
        if past.has_changed(way[-1].association):
            yield back(past, changed_links(past, way[-1]), way[:-1])


def owners_of_changed_inputs(touching: Touching) -> Iterator[str]:
    """Owners that came or went, or for whom a rule reads another value, over whatever links."""
    yield from _by_inputs(touching.past, touching.owner_reads)


def owners_of_changed_assignments(touching: Touching) -> Iterator[str]:
    """Owners whose assignments, or the values of these, an order or a decision has changed."""
    past, identifier = touching.past, literal(touching.resource_type.identifier)
    depended_on = literal(touching.resource_type.depends_on or "")
    if past.has_changed(ASSIGNED):
        yield f"SELECT owner_id FROM {past.changed(ASSIGNED)} WHERE resource_type IN ({identifier}, {depended_on})"
    for item in (SCALAR, NAVIGATION):
        if past.has_changed(item):
            yield f"""
                SELECT owner_id FROM {past.now(ASSIGNED)}
                WHERE resource_type = {identifier} AND assignment IN (SELECT assignment FROM {past.changed(item)})
            """


def owners_of_read_values(touching: Touching) -> Iterator[str]:
    """Owners with something carried out that no read could show at the last evaluation, and now one can."""
    past, clock, target = touching.past, touching.clock, touching.resource_type.target_entity_type
    before, now = clock.read_before.get(target), clock.read_now.get(target)
    if before == now:
        return
    stale = " IS DISTINCT FROM ".join(f"is_stale(executed_at, {timestamp(item)})" for item in (before, now))
    identifier = literal(touching.resource_type.identifier)
    carried_out = " UNION ALL ".join(
        f"SELECT assignment FROM {past.now(item)} WHERE executed_at IS NOT NULL AND ({stale})"
        for item in (ASSIGNED, SCALAR, NAVIGATION)
    )
    yield f"""
        SELECT owner_id FROM {past.now(ASSIGNED)}
        WHERE resource_type = {identifier} AND assignment IN ({carried_out})
    """


def owners_of_changed_link_targets(touching: Touching) -> Iterator[str]:
    """Owners to whom a navigation rule gives a link, where what it leads to came, went or is called otherwise."""
    past, rules = touching.past, touching.rules
    for position, column in enumerate(rules.navigations):
        linked, key = column.link.entity_type, column.rule.target_property
        if not past.has_changed(linked):
            continue
        changed = changed_rows(past, linked, frozenset({key}))
        ((concerned,),) = past.connection.execute(f"""
            SELECT count(*) FROM {past.changed(linked)}
            WHERE CAST({name(key)} AS VARCHAR) = {literal(column.rule.target_value)} AND resource_id IN ({changed})
        """).fetchall()
        if concerned:
            _, condition = rules.owner_fields[f"condition_{position}"]
            yield f"SELECT source.resource_id FROM {rules.source.from_clause(past.now)} WHERE {condition}"


def owners_of_changed_query_targets(touching: Touching) -> Iterator[str]:
    """Owners for whom a query rule seeks a key that something linked has now, or had."""
    past, rules = touching.past, touching.rules
    for position, column in enumerate(rules.queries):
        reads = reads_of(past.graph, column.link.entity_type, [column.rule.target_expression], frozenset())
        changed = " UNION ".join(_by_inputs(past, reads))
        if changed:
            keys = f"WITH changed AS ({changed}) " + " UNION ".join(
                f"SELECT {column.key} FROM {linked} WHERE source.resource_id IN (FROM changed)"
                for linked in map(column.linked.from_clause, (past.now, past.before))
            )
            _, sought = rules.owner_fields[f"query_key_{position}"]
            yield f"SELECT source.resource_id FROM {rules.source.from_clause(past.now)} WHERE {sought} IN ({keys})"


def owners_of_passing_time(touching: Touching) -> Iterator[str]:
    """Owners for whom a rule begins or ends to hold, or an expression that reads ``evaluated_at`` changes."""
    yield from _by_clock(touching, touching.owner_reads, touching.rules.source)
    yield from _by_records(touching)
    resource_type, rules = touching.resource_type, touching.rules
    if is_timed(resource_type):
        timed: list[ScalarRule | NavigationRule] = [*resource_type.scalar_rules, *resource_type.navigation_rules]
        held = {f"held_{place}": holds(resource_type, rule) for place, rule in enumerate(timed)}
        was = ", ".join(["included AS was_included", *(f"{sql} AS {column}" for column, sql in held.items())])
        before = dated(resource_type, owners(touching.past.present, rules, time_fields(rules)))
        before = before.replace(f"{EVALUATED_AT}()", timestamp(touching.clock.before))
        same = dated(
            resource_type, f"(SELECT * EXCLUDE (included, holds_from, holds_until, decided_for), {was} FROM {before})"
        )
        pairs = [("included", "was_included"), *((sql, column) for column, sql in held.items())]
        differs = " OR ".join(f"({now}) IS DISTINCT FROM {then}" for now, then in pairs)
        yield f"SELECT owner_id FROM {same} WHERE {differs}"


def owners_of_waiting_answers(touching: Touching) -> Iterator[str]:
    """Owners of what was sent and not answered, where it may wait for so long only."""
    if touching.resource_type.transmitted_state_validity_period:
        past, identifier = touching.past, literal(touching.resource_type.identifier)
        sent = " UNION ALL ".join(
            f"SELECT assignment FROM {past.now(item)} WHERE provisioning_state IN {SENT}"
            for item in (ASSIGNED, SCALAR, NAVIGATION)
        )
        yield f"""
            SELECT owner_id FROM {past.now(ASSIGNED)}
            WHERE resource_type = {identifier} AND assignment IN ({sent})
        """


def targets_of_changed_inputs(touching: Touching) -> Iterator[str]:
    """Targets that came or went, or have another value in what rules read or write."""
    yield from _by_inputs(touching.past, touching.target_reads)


def targets_of_changed_links(touching: Touching) -> Iterator[str]:
    """Targets that got or lost a link, through whatever navigation."""
    past = touching.past
    for link in past.graph.links.get(touching.resource_type.target_entity_type, {}).values():
        if link.association in past.items and past.has_changed(link.association):
            yield changed_links(past, link)


def targets_of_other_owners(touching: Touching) -> Iterator[str]:
    """Targets that an assignment of another resource type holds, or held."""
    past = touching.past
    if touching.sharing:
        sharing = ", ".join(literal(item) for item in touching.sharing)
        yield f"""
            SELECT target_id FROM {past.written(ASSIGNED)}
            WHERE resource_type IN ({sharing})
                AND (load_id > {past.load} OR closed_by_load_id > {past.load})
        """


def targets_of_passing_time(touching: Touching) -> Iterator[str]:
    """Targets for which an expression that reads ``evaluated_at`` has another value now."""
    yield from _by_clock(touching, touching.target_reads, touching.rules.target)


def _by_records(touching: Touching) -> Iterator[str]:
    """Owners of whom another record may be in force now; the one time is that of the last evaluation."""
    source, clock = touching.rules.source, touching.clock
    if source.records is not None and source.reads_records:
        yield source.records.turning(touching.past.now, timestamp(clock.before), timestamp(clock.now))


def _by_clock(touching: Touching, reads: Reads, of: Scope) -> Iterator[str]:
    """By expressions that read the clock: their values now, over the same rows, at both instants."""
    past = touching.past
    for text in reads.clock:
        scope = Scope(past.graph, reads.entity_type, records=of.records)
        sql = expression(past.connection, text, scope)
        before, now = (
            sql.replace(f"{EVALUATED_AT}()", timestamp(item)) for item in (touching.clock.before, touching.clock.now)
        )
        yield f"""
            SELECT source.resource_id FROM {scope.from_clause(past.now)} WHERE ({before}) IS DISTINCT FROM ({now})
        """


Query = Callable[[Touching], Iterator[str]]
OWNER_QUERIES: tuple[Query, ...] = (
    owners_of_changed_inputs,
    owners_of_changed_assignments,
    owners_of_read_values,
    owners_of_changed_link_targets,
    owners_of_changed_query_targets,
    owners_of_passing_time,
    owners_of_waiting_answers,
)
TARGET_QUERIES: tuple[Query, ...] = (
    targets_of_changed_inputs,
    targets_of_changed_links,
    targets_of_other_owners,
    targets_of_passing_time,
)
