"""What the rules of a resource type read: of owners, of targets and of what links lead to, and whether of the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.expressions.compilation import column_paths
from include.expressions.functions import EVALUATED_AT
from include.expressions.inputs import inputs_of
from include.expressions.paths import EntityGraph, Link, Scope
from include.model.resource_type import ResourceType


@dataclass(frozen=True, slots=True)
class Reads:
    """What expressions over one entity type read.

    ``properties`` holds by path the properties read at its end; ``links`` the links that a path crosses.
    ``clock`` are the expressions whose value changes by itself.
    """

    entity_type: str
    properties: dict[tuple[str, ...], frozenset[str]]
    links: dict[tuple[str, ...], tuple[Link, ...]]
    clock: tuple[str, ...]

    def ways(self) -> list[tuple[Link, ...]]:
        """The links of every path, and of every beginning of one: each way once."""
        return list(dict.fromkeys(links[:place] for links in self.links.values() for place in range(1, len(links) + 1)))


def owner_expressions(resource_type: ResourceType) -> list[str]:
    """Every expression of a resource type over the source entity type."""
    rule = resource_type.type_rule
    return [
        rule.condition,
        *(text for text in (rule.start, rule.end) if text is not None),
        *(item.source_expression for item in resource_type.correlation_rules),
        *(item.expression for item in resource_type.scalar_rules),
        *(item.condition for item in resource_type.navigation_rules),
        *(item.source_expression for item in resource_type.query_rules),
    ]


def target_expressions(resource_type: ResourceType) -> list[str]:
    """Every expression of a resource type over the target entity type."""
    return [
        *(item.target_expression for item in resource_type.correlation_rules),
    ]


def owner_reads(graph: EntityGraph, resource_type: ResourceType) -> Reads:
    """What the rules read of owners."""
    more = frozenset(item for item in [resource_type.depends_on_owner_property] if item is not None)
    return _reads_of(Scope.of_owners(graph, resource_type), owner_expressions(resource_type), more)


def target_reads(graph: EntityGraph, resource_type: ResourceType) -> Reads:
    """What the rules read of targets; the properties that they write among it."""
    more = frozenset(item.property for item in resource_type.scalar_rules)
    return reads_of(graph, resource_type.target_entity_type, target_expressions(resource_type), more)


def reads_of(graph: EntityGraph, entity_type: str, expressions: Sequence[str], more: frozenset[str]) -> Reads:
    """What expressions over an entity type read, and ``more`` of its own properties."""
    return _reads_of(Scope(graph, entity_type), expressions, more)


def _reads_of(scope: Scope, expressions: Sequence[str], more: frozenset[str]) -> Reads:
    graph, entity_type = scope.graph, scope.entity_type
    found: dict[tuple[str, ...], set[str]] = {(): set(more)}
    links: dict[tuple[str, ...], tuple[Link, ...]] = {(): ()}
    for expression in expressions:
        for item in inputs_of(expression, scope):
            found.setdefault(item.path, set()).add(item.property)
            links[item.path] = item.links
    is_property = graph.entity_types[entity_type].find(EVALUATED_AT) is not None
    clock = [text for text in dict.fromkeys(expressions) if not is_property and [EVALUATED_AT] in column_paths(text)]
    return Reads(entity_type, {path: frozenset(names) for path, names in found.items()}, links, tuple(clock))
