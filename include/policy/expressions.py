"""What is wrong with the expressions of a connector: found when the configuration loads, without data.

Every expression of a resource type is compiled, bound against empty relations of the declared types, and
its type compared with what its place needs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from include.model.configuration import DUCKDB_TYPES, Configuration, Connector, Property, ResourceType
from include.policy.compilation import bind, compile_expressions
from include.policy.errors import ExpressionMistake, near_miss
from include.policy.functions import install
from include.policy.paths import EntityGraph, Scope
from include.storage.engine import name

if TYPE_CHECKING:
    import duckdb

_INTEGERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_EXAMPLES = {
    "truth": "compare, such as status = 'active'",
    "whole number": "cast it, such as try_cast(... AS BIGINT)",
    "number": "cast it, such as try_cast(... AS DOUBLE)",
    "instant": "read it, such as try_strptime(..., '%Y-%m-%d')",
    "bytes": "turn it into bytes, such as encode(...)",
}
# What each kind of property takes without a word from the integrator.
_ACCEPTED = {
    "truth": {"truth"},
    "whole number": {"whole number"},
    "number": {"whole number", "number"},
    "instant": {"instant", "day"},
    "bytes": {"bytes"},
    "text": {"text", "whole number", "number", "day"},
}


@dataclass(frozen=True, slots=True)
class _Place:
    """One expression, where it stands, and what its type must satisfy (None or the complaint)."""

    field: str
    text: str
    scope: Scope
    complaint: Callable[[str], str | None]


def expression_mistakes(connector: Connector, configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Every expression that cannot be used, as (path of the field, one line).

    Resource types whose entity types are unknown are passed over: the loader reports those.
    """
    graph = EntityGraph.of(configuration, connector)
    connection = _binder(os.getpid()).cursor()
    places: list[_Place] = []
    for position, resource_type in enumerate(connector.resource_types):
        if {resource_type.source_entity_type, resource_type.target_entity_type} <= graph.entity_types.keys():
            prefix = f"resource_types[{position}]"
            yield from _unknown_names(prefix, resource_type, graph)
            places += _places(prefix, resource_type, graph)
    types = _types(connection, places, graph)
    for place, found in zip(places, types, strict=True):
        message = str(found) if isinstance(found, ExpressionMistake) else place.complaint(found)
        if message:
            yield place.field, message
    yield from _different_sides(places, types)


@cache
def _binder(_process: int) -> duckdb.DuckDBPyConnection:
    """One locked DuckDB per process: a fork does not inherit its threads."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
    connection.execute("SET TimeZone = 'UTC'")
    install(connection, datetime.now(UTC))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _unknown_names(prefix: str, resource_type: ResourceType, graph: EntityGraph) -> Iterator[tuple[str, str]]:
    """Navigations of rules that the target entity type does not have."""
    target = resource_type.target_entity_type
    links = graph.links.get(target, {})
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


def _places(prefix: str, resource_type: ResourceType, graph: EntityGraph) -> Iterator[_Place]:
    source = Scope(graph, resource_type.source_entity_type)
    target = Scope(graph, resource_type.target_entity_type)
    yield _Place(f"{prefix}.type_rule.condition", resource_type.type_rule.condition, source, _no_condition)
    for position, correlation in enumerate(resource_type.correlation_rules):
        field = f"{prefix}.correlation_rules[{position}]"
        yield _Place(f"{field}.source_expression", correlation.source_expression, source, _no_key)
        yield _Place(f"{field}.target_expression", correlation.target_expression, target, _no_key)
    for position, scalar in enumerate(resource_type.scalar_rules):
        found = graph.entity_types[resource_type.target_entity_type].find(scalar.property)
        complaint = _no_value_of(found) if found else _unknown_property(graph, resource_type, scalar.property)
        yield _Place(f"{prefix}.scalar_rules[{position}].expression", scalar.expression, source, complaint)
    for position, navigation in enumerate(resource_type.navigation_rules):
        field = f"{prefix}.navigation_rules[{position}].condition"
        yield _Place(field, navigation.condition, source, _no_condition)


def _no_condition(duckdb_type: str) -> str | None:
    if _kind(duckdb_type) in {"truth", "nothing"}:
        return None
    return f"a condition must be BOOLEAN, this is {duckdb_type}: compare, such as status = 'active'"


def _no_key(duckdb_type: str) -> str | None:
    if _kind(duckdb_type) in {"bytes", "other"}:
        return f"a key to correlate by must be text, a number or a date, this is {duckdb_type}"
    return None


def _no_value_of(target: Property) -> Callable[[str], str | None]:
    """What speaks against an expression's type as the value of a property."""

    def complaint(duckdb_type: str) -> str | None:
        wanted, given = _kind(DUCKDB_TYPES[target.type]), _kind(duckdb_type)
        if given == "nothing" or given in _ACCEPTED[wanted]:
            return None
        advice = _EXAMPLES.get(wanted) or (
            "say which words, such as CASE WHEN ... THEN 'yes' ELSE 'no' END"
            if given == "truth"
            else "say in which form, such as strftime(..., '%Y-%m-%d')"
        )
        return f"it gives {duckdb_type}, but {target.identifier} is {target.type}: {advice}"

    return complaint


def _unknown_property(graph: EntityGraph, resource_type: ResourceType, identifier: str) -> Callable[[str], str | None]:
    known = [item.identifier for item in graph.entity_types[resource_type.target_entity_type].properties]
    return lambda _: f"{resource_type.target_entity_type} has no property '{identifier}'{near_miss(identifier, known)}"


def _kind(duckdb_type: str) -> str:
    """The kinds of value between which DuckDB must not be left to guess."""
    base = duckdb_type.partition("(")[0].strip('"').upper()
    if base in _INTEGERS:
        return "whole number"
    if base.startswith("TIMESTAMP"):
        return "instant"
    kinds = {
        "BOOLEAN": "truth", "DOUBLE": "number", "FLOAT": "number", "DECIMAL": "number", "DATE": "day", "BLOB": "bytes",
        "VARCHAR": "text", "UUID": "text", "NULL": "nothing",
    }  # fmt: skip
    return "other" if base.endswith("]") else kinds.get(base, "other")


def _different_sides(places: Sequence[_Place], types: Sequence[str | ExpressionMistake]) -> Iterator[tuple[str, str]]:
    """Correlation rules whose sides would never have the same text."""
    for position, place in enumerate(places):
        if not place.field.endswith(".source_expression"):
            continue
        source, target = types[position], types[position + 1]
        if isinstance(source, ExpressionMistake) or isinstance(target, ExpressionMistake):
            continue
        kinds = {_kind(source), _kind(target)}
        if len(kinds) > 1 and not kinds & {"nothing", "bytes", "other"}:
            yield place.field, f"the sides cannot be compared: {source} here, {target} in target_expression; cast one"


def _types(
    connection: duckdb.DuckDBPyConnection, places: Sequence[_Place], graph: EntityGraph
) -> list[str | ExpressionMistake]:
    """The DuckDB type of every expression, or why it has none."""
    compiled = compile_expressions(connection, [(place.text, place.scope) for place in places])
    types: list[str | ExpressionMistake] = [item if isinstance(item, ExpressionMistake) else "" for item in compiled]
    by_scope: dict[int, list[int]] = {}
    for position, place in enumerate(places):
        if not isinstance(compiled[position], ExpressionMistake):
            by_scope.setdefault(id(place.scope), []).append(position)
    for positions in by_scope.values():
        from_clause = places[positions[0]].scope.from_clause(lambda identifier: _nothing(identifier, graph))
        found = _bind_each(connection, [str(compiled[position]) for position in positions], from_clause)
        for position, item in zip(positions, found, strict=True):
            types[position] = item
    return types


def _bind_each(
    connection: duckdb.DuckDBPyConnection, expressions: list[str], from_clause: str
) -> list[str | ExpressionMistake]:
    try:
        return list(bind(connection, expressions, from_clause))
    except ExpressionMistake as mistake:
        if len(expressions) == 1:
            return [mistake]
    return [found for expression in expressions for found in _bind_each(connection, [expression], from_clause)]


def _nothing(identifier: str, graph: EntityGraph) -> str:
    """An empty relation with the columns of an entity type, or of an association."""
    columns = {"resource1_id": "BIGINT", "resource2_id": "BIGINT"}
    if entity_type := graph.entity_types.get(identifier):
        columns = {"resource_id": "BIGINT"}
        columns |= {item.identifier: DUCKDB_TYPES[item.type] for item in entity_type.properties}
    fields = ", ".join(f"CAST(NULL AS {kind}) AS {name(column)}" for column, kind in columns.items())
    return f"(SELECT {fields} WHERE false)"
