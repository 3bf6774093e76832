"""The rules of one resource type as SQL, and the two tables that they are computed into.

``owner``: ``owner_id``, ``owner_key``, ``included``, ``source_key_<n>`` per correlation rule, ``scalar_<n>`` and
``ruled_<n>`` (whether a rule of it holds now) per property that scalar rules write, ``navigation_<n>`` per
navigation rule, ``query_key_<n>`` per query rule. ``target``: ``target_id``, ``target_key``,
``target_key_<n>`` per correlation rule, ``current_<n>`` per property. Values are canonical text: DuckDB's
text of the target property's type (``true``, ``2024-01-31 08:00:00`` in UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.expressions.compilation import compile_expression
from include.expressions.errors import ExpressionMistake, first_line, near_miss
from include.expressions.functions import EVALUATED_AT
from include.expressions.paths import EntityGraph, Link, Scope
from include.model.base import DUCKDB_TYPES
from include.model.configuration import Property
from include.model.resource_type import NavigationRule, QueryRule, ResourceType, ScalarRule
from include.policy.errors import PolicyError
from include.policy.periods import EARLIEST, LATEST, by_precedence, dated, holds, next_change
from include.policy.workspace import Workspace
from include.snapshot.values import canonical
from include.storage.engine import literal, name

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class ScalarColumn:
    """A property and its scalar rules with their positions, the one that wins where several hold first."""

    rules: tuple[tuple[int, ScalarRule], ...]
    target: Property

    @property
    def rule(self) -> ScalarRule:
        """What all of them say alike: ``is_mapped`` and ``comparison_type``."""
        return self.rules[0][1]


@dataclass(frozen=True, slots=True)
class NavigationColumn:
    """A navigation rule and the link it writes."""

    rule: NavigationRule
    link: Link


@dataclass(frozen=True, slots=True)
class QueryColumn:
    """A query rule, the link it writes, and the key of the linked entity type as SQL over ``linked``."""

    rule: QueryRule
    link: Link
    linked: Scope
    field: str
    key: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one resource type, resolved; ``owner_fields`` and ``target_fields`` hold SQL by column.

    The position of a rule in its list, or of a property in ``scalars``, is the number in its column's name.
    ``owner_fields`` are those of a relation from which ``owner`` is made (``include.policy.periods``):
    ``condition``, ``period_start``, ``period_end``, ``source_key_<n>``, ``value_<n>`` per scalar rule,
    ``condition_<n>`` per navigation rule and ``query_key_<n>`` per query rule.
    """

    resource_type: ResourceType
    source: Scope
    target: Scope
    owner_fields: dict[str, tuple[str, str]]
    """Column to (field path of the configuration, SQL)."""
    target_fields: dict[str, tuple[str, str]]
    scalars: tuple[ScalarColumn, ...]
    navigations: tuple[NavigationColumn, ...]
    queries: tuple[QueryColumn, ...]

    @property
    def condition(self) -> str:
        """SQL: whom the type rule includes, whatever the time."""
        return self.owner_fields["condition"][1]


def resolve(space: Workspace, resource_type: ResourceType) -> Rules:
    """Resolve and compile every rule of a resource type.

    Raises:
        PolicyError: a rule names what does not exist, or its expression cannot be used.
    """
    graph = space.graph
    for entity_type in (resource_type.source_entity_type, resource_type.target_entity_type):
        if entity_type not in graph.entity_types:
            hint = near_miss(entity_type, list(graph.entity_types))
            raise PolicyError(f"{resource_type.identifier}: no connector declares entity type '{entity_type}'{hint}")
    source, target = _owner_scope(graph, resource_type), Scope(graph, resource_type.target_entity_type)
    scalars = _scalars(graph, resource_type)
    navigations = tuple(_navigation(graph, resource_type, rule) for rule in resource_type.navigation_rules)
    owner_fields = _owner_fields(space, resource_type, source, scalars)
    target_fields = {
        f"target_key_{position}": (field, _key(sql))
        for position, rule in enumerate(resource_type.correlation_rules)
        for field, sql in [_compile(space, resource_type, f"correlation_rules[{position}].target_expression",
                                    rule.target_expression, target)]
    }  # fmt: skip
    queries = tuple(_query(space, resource_type, position) for position in range(len(resource_type.query_rules)))
    return Rules(resource_type, source, target, owner_fields, target_fields, scalars, navigations, queries)


def _owner_scope(graph: EntityGraph, resource_type: ResourceType) -> Scope:
    try:
        return Scope.of_owners(graph, resource_type)
    except ExpressionMistake as mistake:
        raise PolicyError(f"{resource_type.identifier}: {mistake}") from mistake


def compute(space: Workspace, rules: Rules) -> None:
    """Create the tables ``owner`` and ``target`` of a resource type.

    Owners are the resources that the type rule includes, and those that own something already.

    Raises:
        PolicyError: a rule fails on the data; it names the rule.
    """
    graph, resource_type = space.graph, rules.resource_type
    known = f"SELECT owner_id FROM stored_assignment WHERE resource_type = {literal(resource_type.identifier)}"
    columns = [f"source_key_{position}" for position in range(len(resource_type.correlation_rules))]
    columns += [column for position, item in enumerate(rules.scalars) for column in _in_force(rules, position, item)]
    columns += [
        f"condition_{position} AND {holds(resource_type, rule)} AS navigation_{position}"
        for position, rule in enumerate(resource_type.navigation_rules)
    ]
    columns += [f"query_key_{position}" for position in range(len(rules.queries))]
    query = f"""SELECT {", ".join(["owner_id", "owner_key", "included", *columns])}
        FROM {dated(resource_type, owners(space, rules, rules.owner_fields, space.owners(resource_type)))}
        WHERE included OR owner_id IN ({known})"""
    source = rules.source.from_clause(space.relation, space.owners(resource_type))
    rest = f"""{source} WHERE {rules.condition} OR source.resource_id IN ({known})"""
    _create(space, resource_type, _Table("owner", query, rest, tuple(rules.owner_fields.values())))

    key = name(graph.entity_types[resource_type.target_entity_type].primary_key.identifier)
    head = f"source.resource_id AS target_id, CAST(source.{key} AS VARCHAR) AS target_key"
    fields = dict(rules.target_fields)
    for position, scalar in enumerate(rules.scalars):
        column = f"source.{name(scalar.target.identifier)}"
        fields[f"current_{position}"] = (f"scalar_rules[{position}].property", f"CAST({column} AS VARCHAR)")
    rest = rules.target.from_clause(space.relation, space.targets(resource_type))
    query = f"SELECT {', '.join([head, *_columns(fields)])} FROM {rest}"
    _create(space, resource_type, _Table("target", query, rest, tuple(fields.values())))


def linked_keys(space: Workspace, rules: Rules, column: QueryColumn) -> str:
    """SQL relation: ``linked_id`` and ``value``, the key of each resource of the linked entity type; a table is made.

    Raises:
        PolicyError: the rule fails on the data.
    """
    rest = column.linked.from_clause(space.relation)
    query = f"SELECT source.resource_id AS linked_id, {column.key} AS value FROM {rest}"
    _create(space, rules.resource_type, _Table("linked_key", query, rest, ((column.field, column.key),)))
    return "linked_key"


def owners(space: Workspace, rules: Rules, fields: Mapping[str, tuple[str, str]], source: str | None = None) -> str:
    """SQL relation: every resource of the source entity type with these columns of ``owner_fields``.

    ``source`` is a relation of some of them.
    """
    entity_type = space.graph.entity_types[rules.resource_type.source_entity_type]
    key = name(entity_type.primary_key.identifier)
    head = f"source.resource_id AS owner_id, CAST(source.{key} AS VARCHAR) AS owner_key"
    return f"(SELECT {', '.join([head, *_columns(fields)])} FROM {rules.source.from_clause(space.relation, source)})"


def next_change_at(space: Workspace, rules: Rules) -> datetime | None:
    """The next instant at which time alone may change what an owner of the resource type should have.

    None: it never does. The instant of the run itself where an expression reads it: no one can tell then.
    """
    expressions = [sql for _, sql in (*rules.owner_fields.values(), *rules.target_fields.values())]
    if any(f"{EVALUATED_AT}()" in sql.lower() for sql in (*expressions, *(item.key for item in rules.queries))):
        ((now,),) = space.rows(f"SELECT {EVALUATED_AT}()")
        return now.replace(tzinfo=UTC) if isinstance(now, datetime) else None
    of_rules = next_change(space, rules.resource_type, owners(space, rules, time_fields(rules)))
    return min((item for item in (of_rules, _next_record(space, rules)) if item is not None), default=None)


def _next_record(space: Workspace, rules: Rules) -> datetime | None:
    """The next instant at which another record of an owner may be in force."""
    records = rules.source.records
    if records is None or not rules.source.reads_records:
        return None
    ((found,),) = space.rows(records.next_change(space.relation))
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) else None


def time_fields(rules: Rules) -> dict[str, tuple[str, str]]:
    """Of ``owner_fields`` those that ``periods.dated`` reads."""
    return {column: field for column, field in rules.owner_fields.items() if column.startswith(_OF_TIME)}


_OF_TIME = ("condition", "period_")


def _in_force(rules: Rules, position: int, scalar: ScalarColumn) -> tuple[str, str]:
    """The value of the rule that holds, and whether one does."""
    times = [(holds(rules.resource_type, rule), number) for number, rule in scalar.rules]
    values = " ".join(f"WHEN {condition} THEN value_{number}" for condition, number in times)
    ruled = " OR ".join(condition for condition, _ in times)
    return f"CASE {values} END AS scalar_{position}", f"({ruled}) AS ruled_{position}"


def _columns(fields: Mapping[str, tuple[str, str]]) -> list[str]:
    return [f"{sql} AS {column}" for column, (_, sql) in fields.items()]


@dataclass(frozen=True, slots=True)
class _Table:
    """One table to compute: by which query, and what may fail in it on the data."""

    name: str
    query: str
    rest: str
    """What follows FROM where ``checked`` is computed."""
    checked: tuple[tuple[str, str], ...]
    """(field path, SQL)."""


def _create(space: Workspace, resource_type: ResourceType, table: _Table) -> None:
    import duckdb

    try:
        space.execute(f"CREATE OR REPLACE TEMP TABLE {table.name} AS {table.query}")
    except duckdb.Error as error:
        for field, sql in table.checked:
            try:
                space.rows(f"SELECT count({sql}) FROM {table.rest}")
            except duckdb.Error as cause:
                raise PolicyError(f"{resource_type.identifier}: {field}: {first_line(cause)}") from cause
        raise PolicyError(f"{resource_type.identifier}: {first_line(error)}") from error


def _owner_fields(
    space: Workspace, resource_type: ResourceType, source: Scope, scalars: tuple[ScalarColumn, ...]
) -> dict[str, tuple[str, str]]:
    """The columns from which ``owner`` is made."""
    type_rule = resource_type.type_rule
    field, sql = _compile(space, resource_type, "type_rule.condition", type_rule.condition, source)
    fields = {"condition": (field, f"coalesce({sql}, false)")}
    for end, text, none in (("start", type_rule.start, EARLIEST), ("end", type_rule.end, LATEST)):
        field, sql = f"type_rule.{end}", "NULL"
        if text is not None:
            field, sql = _compile(space, resource_type, field, text, source)
        fields[f"period_{end}"] = field, f"coalesce(CAST({sql} AS TIMESTAMP), {none})"
    for position, rule in enumerate(resource_type.correlation_rules):
        place = f"correlation_rules[{position}].source_expression"
        field, sql = _compile(space, resource_type, place, rule.source_expression, source)
        fields[f"source_key_{position}"] = field, _key(sql)
    for target, position, scalar in ((item.target, *rule) for item in scalars for rule in item.rules):
        place = f"scalar_rules[{position}].expression"
        field, sql = _compile(space, resource_type, place, scalar.expression, source)
        typed = f"CAST({sql} AS {DUCKDB_TYPES[target.type]})"
        fields[f"value_{position}"] = field, f"CAST({canonical(target, typed)} AS VARCHAR)"
    for position, navigation in enumerate(resource_type.navigation_rules):
        place = f"navigation_rules[{position}].condition"
        field, sql = _compile(space, resource_type, place, navigation.condition, source)
        fields[f"condition_{position}"] = field, f"coalesce({sql}, false)"
    for position, query in enumerate(resource_type.query_rules):
        place = f"query_rules[{position}].source_expression"
        field, sql = _compile(space, resource_type, place, query.source_expression, source)
        fields[f"query_key_{position}"] = field, _key(sql)
    return fields


def _compile(space: Workspace, resource_type: ResourceType, field: str, text: str, scope: Scope) -> tuple[str, str]:
    try:
        return field, compile_expression(space.connection, text, scope)
    except ExpressionMistake as mistake:
        raise PolicyError(f"{resource_type.identifier}: {field}: {mistake}") from mistake


def expression(connection: duckdb.DuckDBPyConnection, text: str, scope: Scope) -> str:
    """The SQL of an expression of a rule that was resolved before.

    Raises:
        PolicyError: it cannot be used.
    """
    try:
        return compile_expression(connection, text, scope)
    except ExpressionMistake as mistake:
        raise PolicyError(f"{scope.entity_type}: {text}: {mistake}") from mistake


def _key(sql: str) -> str:
    """A correlation key; an empty one identifies nobody, like NULL."""
    return f"nullif(CAST({sql} AS VARCHAR), '')"


def _scalars(graph: EntityGraph, resource_type: ResourceType) -> tuple[ScalarColumn, ...]:
    """The properties that scalar rules write, in the order in which they first appear."""
    by_property: dict[str, list[tuple[int, ScalarRule]]] = {}
    for position, rule in enumerate(resource_type.scalar_rules):
        by_property.setdefault(rule.property, []).append((position, rule))
    found = []
    for identifier, rules in by_property.items():
        target = graph.entity_types[resource_type.target_entity_type].find(identifier)
        if target is None:
            raise PolicyError(
                f"{resource_type.identifier}: {resource_type.target_entity_type} has no property '{identifier}'"
            )
        found.append(ScalarColumn(tuple(by_precedence(rules)), target))
    return tuple(found)


def _navigation(graph: EntityGraph, resource_type: ResourceType, rule: NavigationRule) -> NavigationColumn:
    link = _link(graph, resource_type, rule.navigation)
    if graph.entity_types[link.entity_type].find(rule.target_property) is None:
        raise PolicyError(f"{resource_type.identifier}: {link.entity_type} has no property '{rule.target_property}'")
    return NavigationColumn(rule, link)


def _query(space: Workspace, resource_type: ResourceType, position: int) -> QueryColumn:
    rule = resource_type.query_rules[position]
    link = _link(space.graph, resource_type, rule.navigation)
    linked = Scope(space.graph, link.entity_type)
    place = f"query_rules[{position}].target_expression"
    field, sql = _compile(space, resource_type, place, rule.target_expression, linked)
    return QueryColumn(rule, link, linked, field, _key(sql))


def _link(graph: EntityGraph, resource_type: ResourceType, navigation: str) -> Link:
    link = graph.links[resource_type.target_entity_type].get(navigation)
    if link is None or link.entity_type not in graph.entity_types:
        raise PolicyError(f"{resource_type.identifier}: {resource_type.target_entity_type} has no link '{navigation}'")
    return link
