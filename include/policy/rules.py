"""The rules of one resource type as SQL, and the two tables that they are computed into.

``owner``: ``owner_id``, ``owner_key``, ``included``, ``source_key_<n>`` per correlation rule, ``scalar_<n>`` per
scalar rule, ``navigation_<n>`` per navigation rule. ``target``: ``target_id``, ``target_key``, ``target_key_<n>``
per correlation rule, ``current_<n>`` per scalar rule. Values are canonical text: DuckDB's text of the
target property's type (``true``, ``2024-01-31 08:00:00`` in UTC).
"""

from __future__ import annotations

from dataclasses import dataclass

from include.expressions.compilation import compile_expression
from include.expressions.errors import ExpressionMistake, first_line, near_miss
from include.expressions.paths import EntityGraph, Link, Scope
from include.model.base import DUCKDB_TYPES
from include.model.configuration import Property
from include.model.resource_type import NavigationRule, ResourceType, ScalarRule
from include.policy.errors import PolicyError
from include.policy.workspace import Workspace
from include.snapshot.values import canonical
from include.storage.engine import literal, name


@dataclass(frozen=True, slots=True)
class ScalarColumn:
    """A scalar rule and the property it writes."""

    rule: ScalarRule
    target: Property


@dataclass(frozen=True, slots=True)
class NavigationColumn:
    """A navigation rule and the link it writes."""

    rule: NavigationRule
    link: Link


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one resource type, resolved; ``owner_fields`` and ``target_fields`` hold SQL by column.

    The position of a rule in its list is the number in its column's name.
    """

    resource_type: ResourceType
    source: Scope
    target: Scope
    condition: str
    owner_fields: dict[str, tuple[str, str]]
    """Column to (field path of the configuration, SQL)."""
    target_fields: dict[str, tuple[str, str]]
    scalars: tuple[ScalarColumn, ...]
    navigations: tuple[NavigationColumn, ...]


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
    scalars = tuple(_scalar(graph, resource_type, rule) for rule in resource_type.scalar_rules)
    navigations = tuple(_navigation(graph, resource_type, rule) for rule in resource_type.navigation_rules)
    condition, owner_fields = _owner_fields(space, resource_type, source, scalars)
    target_fields = {
        f"target_key_{position}": (field, _key(sql))
        for position, rule in enumerate(resource_type.correlation_rules)
        for field, sql in [_compile(space, resource_type, f"correlation_rules[{position}].target_expression",
                                    rule.target_expression, target)]
    }  # fmt: skip
    return Rules(resource_type, source, target, condition, owner_fields, target_fields, scalars, navigations)


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
    key = name(graph.entity_types[resource_type.source_entity_type].primary_key.identifier)
    head = f"source.resource_id AS owner_id, CAST(source.{key} AS VARCHAR) AS owner_key, {rules.condition} AS included"
    rest = f"""{rules.source.from_clause(space.relation)}
        WHERE {rules.condition} OR source.resource_id IN (
            SELECT owner_id FROM stored_assignment WHERE resource_type = {literal(resource_type.identifier)})"""
    checked = (("type_rule.condition", rules.condition), *rules.owner_fields.values())
    _create(space, resource_type, _Table("owner", head, rules.owner_fields, rest, checked))

    key = name(graph.entity_types[resource_type.target_entity_type].primary_key.identifier)
    head = f"source.resource_id AS target_id, CAST(source.{key} AS VARCHAR) AS target_key"
    fields = dict(rules.target_fields)
    for position, scalar in enumerate(rules.scalars):
        column = f"source.{name(scalar.target.identifier)}"
        fields[f"current_{position}"] = (f"scalar_rules[{position}].property", f"CAST({column} AS VARCHAR)")
    rest = rules.target.from_clause(space.relation)
    _create(space, resource_type, _Table("target", head, fields, rest, tuple(fields.values())))


@dataclass(frozen=True, slots=True)
class _Table:
    """One table to compute: its first columns, those that come from rules, and what follows FROM."""

    name: str
    head: str
    fields: dict[str, tuple[str, str]]
    rest: str
    checked: tuple[tuple[str, str], ...]
    """What may fail on the data: (field path, SQL)."""


def _create(space: Workspace, resource_type: ResourceType, table: _Table) -> None:
    import duckdb

    columns = "".join(f", {sql} AS {column}" for column, (_, sql) in table.fields.items())
    try:
        space.execute(f"CREATE OR REPLACE TEMP TABLE {table.name} AS SELECT {table.head}{columns} FROM {table.rest}")
    except duckdb.Error as error:
        for field, sql in table.checked:
            try:
                space.rows(f"SELECT count({sql}) FROM {table.rest}")
            except duckdb.Error as cause:
                raise PolicyError(f"{resource_type.identifier}: {field}: {first_line(cause)}") from cause
        raise PolicyError(f"{resource_type.identifier}: {first_line(error)}") from error


def _owner_fields(
    space: Workspace, resource_type: ResourceType, source: Scope, scalars: tuple[ScalarColumn, ...]
) -> tuple[str, dict[str, tuple[str, str]]]:
    """The type rule's condition, and the other columns of ``owner``."""
    fields: dict[str, tuple[str, str]] = {}
    _, condition = _compile(space, resource_type, "type_rule.condition", resource_type.type_rule.condition, source)
    for position, rule in enumerate(resource_type.correlation_rules):
        place = f"correlation_rules[{position}].source_expression"
        field, sql = _compile(space, resource_type, place, rule.source_expression, source)
        fields[f"source_key_{position}"] = field, _key(sql)
    for position, scalar in enumerate(scalars):
        place = f"scalar_rules[{position}].expression"
        field, sql = _compile(space, resource_type, place, scalar.rule.expression, source)
        typed = f"CAST({sql} AS {DUCKDB_TYPES[scalar.target.type]})"
        fields[f"scalar_{position}"] = field, f"CAST({canonical(scalar.target, typed)} AS VARCHAR)"
    for position, navigation in enumerate(resource_type.navigation_rules):
        place = f"navigation_rules[{position}].condition"
        field, sql = _compile(space, resource_type, place, navigation.condition, source)
        fields[f"navigation_{position}"] = field, f"coalesce({sql}, false)"
    return f"coalesce({condition}, false)", fields


def _compile(space: Workspace, resource_type: ResourceType, field: str, text: str, scope: Scope) -> tuple[str, str]:
    try:
        return field, compile_expression(space.connection, text, scope)
    except ExpressionMistake as mistake:
        raise PolicyError(f"{resource_type.identifier}: {field}: {mistake}") from mistake


def _key(sql: str) -> str:
    """A correlation key; an empty one identifies nobody, like NULL."""
    return f"nullif(CAST({sql} AS VARCHAR), '')"


def _scalar(graph: EntityGraph, resource_type: ResourceType, rule: ScalarRule) -> ScalarColumn:
    found = graph.entity_types[resource_type.target_entity_type].find(rule.property)
    if found is None:
        raise PolicyError(
            f"{resource_type.identifier}: {resource_type.target_entity_type} has no property '{rule.property}'"
        )
    return ScalarColumn(rule, found)


def _navigation(graph: EntityGraph, resource_type: ResourceType, rule: NavigationRule) -> NavigationColumn:
    link = graph.links[resource_type.target_entity_type].get(rule.navigation)
    if link is None:
        raise PolicyError(
            f"{resource_type.identifier}: {resource_type.target_entity_type} has no link '{rule.navigation}'"
        )
    linked = graph.entity_types.get(link.entity_type)
    if linked is None or linked.find(rule.target_property) is None:
        raise PolicyError(f"{resource_type.identifier}: {link.entity_type} has no property '{rule.target_property}'")
    return NavigationColumn(rule, link)
