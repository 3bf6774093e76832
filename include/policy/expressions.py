"""What is wrong with the expressions of a connector: found when the configuration loads, without data.

Every expression of a resource type is compiled, bound against empty relations of the declared types, and
its type compared with what its place needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from include.expressions.binding import Place, kind_of, no_value_of, place_types
from include.expressions.errors import ExpressionMistake, near_miss
from include.expressions.paths import EntityGraph, Scope
from include.model.configuration import Configuration, Connector
from include.model.resource_type import ResourceType


def expression_mistakes(connector: Connector, configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Every expression that cannot be used, as (path of the field, one line).

    Resource types whose entity types are unknown are passed over: the loader reports those.
    """
    graph = EntityGraph.of(configuration, connector)
    places: list[Place] = []
    for position, resource_type in enumerate(connector.resource_types):
        if {resource_type.source_entity_type, resource_type.target_entity_type} <= graph.entity_types.keys():
            prefix = f"resource_types[{position}]"
            yield from _unknown_names(prefix, resource_type, graph)
            try:
                source = Scope.of_owners(graph, resource_type)
            except ExpressionMistake:  # reported by the loader, at the field of the records
                continue
            places += _places(prefix, resource_type, graph, source)
    types = place_types(places, graph)
    for place, found in zip(places, types, strict=True):
        message = str(found) if isinstance(found, ExpressionMistake) else place.complaint(found)
        if message:
            yield place.field, message
    yield from _different_sides(places, types)


def _unknown_names(prefix: str, resource_type: ResourceType, graph: EntityGraph) -> Iterator[tuple[str, str]]:
    """Navigations of rules that the target entity type does not have."""
    target = resource_type.target_entity_type
    links = graph.links.get(target, {})
    for position, query in enumerate(resource_type.query_rules):
        if query.navigation not in links:
            hint = near_miss(query.navigation, list(links))
            yield f"{prefix}.query_rules[{position}].navigation", f"{target} has no link '{query.navigation}'{hint}"
    for position, rule in enumerate(resource_type.navigation_rules):
        field = f"{prefix}.navigation_rules[{position}]"
        link = links.get(rule.navigation)
        if link is None:
            yield (
                f"{field}.navigation",
                f"{target} has no link '{rule.navigation}'{near_miss(rule.navigation, list(links))}",
            )
        elif (linked := graph.entity_types.get(link.entity_type)) and linked.find(rule.target_property) is None:
            hint = near_miss(rule.target_property, [item.identifier for item in linked.properties])
            yield f"{field}.target_property", f"{link.entity_type} has no property '{rule.target_property}'{hint}"


def _places(prefix: str, resource_type: ResourceType, graph: EntityGraph, source: Scope) -> Iterator[Place]:
    target = Scope(graph, resource_type.target_entity_type)
    type_rule = resource_type.type_rule
    yield Place(f"{prefix}.type_rule.condition", type_rule.condition, source, _no_condition)
    for end, expression in (("start", type_rule.start), ("end", type_rule.end)):
        if expression is not None:
            yield Place(f"{prefix}.type_rule.{end}", expression, source, _no_instant)
    for position, correlation in enumerate(resource_type.correlation_rules):
        field = f"{prefix}.correlation_rules[{position}]"
        yield Place(f"{field}.source_expression", correlation.source_expression, source, _no_key)
        yield Place(f"{field}.target_expression", correlation.target_expression, target, _no_key)
    for position, scalar in enumerate(resource_type.scalar_rules):
        found = graph.entity_types[resource_type.target_entity_type].find(scalar.property)
        complaint = no_value_of(found) if found else _unknown_property(graph, resource_type, scalar.property)
        yield Place(f"{prefix}.scalar_rules[{position}].expression", scalar.expression, source, complaint)
    for position, navigation in enumerate(resource_type.navigation_rules):
        field = f"{prefix}.navigation_rules[{position}].condition"
        yield Place(field, navigation.condition, source, _no_condition)
    for position, query in enumerate(resource_type.query_rules):
        link = graph.links.get(resource_type.target_entity_type, {}).get(query.navigation)
        if link is None or link.entity_type not in graph.entity_types:
            continue
        field, linked = f"{prefix}.query_rules[{position}]", Scope(graph, link.entity_type)
        yield Place(f"{field}.source_expression", query.source_expression, source, _no_key)
        yield Place(f"{field}.target_expression", query.target_expression, linked, _no_key)


def _no_instant(duckdb_type: str) -> str | None:
    if kind_of(duckdb_type) in {"instant", "day", "nothing"}:
        return None
    return f"it must be a DATE or a TIMESTAMP, this is {duckdb_type}: read it, such as try_strptime(..., '%Y-%m-%d')"


def _no_condition(duckdb_type: str) -> str | None:
    if kind_of(duckdb_type) in {"truth", "nothing"}:
        return None
    return f"a condition must be BOOLEAN, this is {duckdb_type}: compare, such as status = 'active'"


def _no_key(duckdb_type: str) -> str | None:
    if kind_of(duckdb_type) in {"bytes", "other"}:
        return f"a key to correlate by must be text, a number or a date, this is {duckdb_type}"
    return None


def _unknown_property(graph: EntityGraph, resource_type: ResourceType, identifier: str) -> Callable[[str], str | None]:
    known = [item.identifier for item in graph.entity_types[resource_type.target_entity_type].properties]
    return lambda _: f"{resource_type.target_entity_type} has no property '{identifier}'{near_miss(identifier, known)}"


def _different_sides(places: Sequence[Place], types: Sequence[str | ExpressionMistake]) -> Iterator[tuple[str, str]]:
    """Correlation and query rules whose sides would never have the same text."""
    for position, place in enumerate(places):
        if not place.field.endswith(".source_expression"):
            continue
        source, target = types[position], types[position + 1]
        if isinstance(source, ExpressionMistake) or isinstance(target, ExpressionMistake):
            continue
        kinds = {kind_of(source), kind_of(target)}
        if len(kinds) > 1 and not kinds & {"nothing", "bytes", "other"}:
            yield place.field, f"the sides cannot be compared: {source} here, {target} in target_expression; cast one"
