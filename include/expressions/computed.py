"""Computed properties: what each reads, in which order they are computed, what is wrong with them (engine.md 1.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from include.expressions.binding import Place, no_value_of, place_types
from include.expressions.compilation import note_reads
from include.expressions.errors import ExpressionMistake
from include.expressions.paths import EntityGraph, Scope
from include.model.configuration import Configuration, Connector

Name = tuple[str, str]
"""An entity type and one of its properties."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Identifiers of the entity types and associations that expressions read."""

    entity_types: frozenset[str]
    associations: frozenset[str]


def computed_mistakes(connector: Connector, configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Every computed property that cannot be used, as (path of the field, one line)."""
    graph = EntityGraph.of(configuration, connector)
    places = {
        (entity_type.identifier, item.identifier): Place(
            f"entity_types[{index}].properties[{position}].expression",
            item.expression,
            Scope(graph, entity_type.identifier, timeless=True),
            no_value_of(item),
        )
        for index, entity_type in enumerate(connector.entity_types)
        for position, item in enumerate(entity_type.properties)
        if item.expression is not None
    }
    for place, found in zip(places.values(), place_types(list(places.values()), graph), strict=True):
        message = str(found) if isinstance(found, ExpressionMistake) else place.complaint(found)
        if message:
            yield place.field, message
    reads = _computed_reads(graph)
    for name, place in places.items():
        if chain := _way_back(name, reads):
            yield place.field, f"computed from itself: {' -> '.join('.'.join(step) for step in chain)}"


def computed_levels(connector: Connector, graph: EntityGraph) -> list[list[Name]]:
    """The computed properties of a connector in groups: each reads only what is known before its group.

    What is computed of other connectors is known: it is read as it is stored.
    """
    own = {(item.identifier, one.identifier) for item in connector.entity_types for one in item.computed_properties}
    reads = _computed_reads(graph)
    sorter = TopologicalSorter({name: reads.get(name, set()) & own for name in own})
    sorter.prepare()
    levels: list[list[Name]] = []
    while sorter.is_active():
        levels.append(sorted(sorter.get_ready()))
        sorter.done(*levels[-1])
    return levels


def computed_sources(connector: Connector, configuration: Configuration) -> Sources:
    """What the computed properties of a connector read, their own entity types included."""
    graph = EntityGraph.of(configuration, connector)
    scopes = [
        scope for entity_type in connector.entity_types for scope in _scopes(graph, entity_type.identifier).values()
    ]
    links = [link for scope in scopes for link in scope.joins.values()]
    return Sources(
        frozenset({scope.entity_type for scope in scopes} | {link.entity_type for link in links}),
        frozenset(link.association for link in links),
    )


def _scopes(graph: EntityGraph, entity_type: str) -> dict[Name, Scope]:
    """What each computed property of an entity type reads; one that cannot be read reads nothing."""
    scopes = {}
    for item in graph.entity_types[entity_type].computed_properties:
        scope = Scope(graph, entity_type, timeless=True)
        try:
            note_reads(item.expression or "", scope)
        except ExpressionMistake:
            continue
        scopes[entity_type, item.identifier] = scope
    return scopes


def _computed_reads(graph: EntityGraph) -> dict[Name, set[Name]]:
    """The computed properties that each computed property of a configuration reads."""
    scopes = {name: scope for entity_type in graph.entity_types for name, scope in _scopes(graph, entity_type).items()}
    return {name: scope.reads & scopes.keys() for name, scope in scopes.items()}


def _way_back(start: Name, reads: Mapping[Name, set[Name]]) -> list[Name] | None:
    """The shortest chain from a property over what it reads back to itself."""
    chains: dict[Name, list[Name]] = {start: [start]}
    queue = [start]
    for name in queue:
        for read in sorted(reads.get(name, ())):
            if read == start:
                return [*chains[name], start]
            if read not in chains:
                chains[read] = [*chains[name], read]
                queue.append(read)
    return None
