"""Paths over links: ``manager.organization.name`` from an entity type, as joins.

Every step but the last names the navigation of an association end; the last one a property.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from include.expressions.errors import ExpressionMistake, near_miss
from include.expressions.records import RECORD, RECORD_END, RECORD_START, Records
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.model.resource_type import ResourceType
from include.storage.engine import name

SOURCE_ALIAS = "source"
IdColumn = Literal["resource1_id", "resource2_id"]
"""A column of an association: the resource id at one of its ends."""


@dataclass(frozen=True, slots=True)
class Link:
    """A navigation: from one entity type through an association to another.

    ``from_column`` and ``to_column`` are the association's columns of resource ids; ``collection`` says
    that one resource may have several links.
    """

    association: str
    from_column: IdColumn
    to_column: IdColumn
    entity_type: str
    collection: bool


@dataclass(frozen=True, slots=True)
class EntityGraph:
    """All entity types, and the navigations of each by name."""

    entity_types: Mapping[str, EntityType]
    links: Mapping[str, Mapping[str, Link]]

    @classmethod
    def of(cls, configuration: Configuration, connector: Connector | None = None) -> EntityGraph:
        """The graph of a configuration; ``connector`` counts too where it is not part of it yet."""
        connectors = [*configuration.connectors, *([connector] if connector else [])]
        entity_types = {entity.identifier: entity for item in connectors for entity in item.entity_types}
        links: dict[str, dict[str, Link]] = {identifier: {} for identifier in entity_types}
        for association in (association for item in connectors for association in item.associations):
            for entity_type, navigation, link in _ends(association):
                links.setdefault(entity_type, {})[navigation] = link
        return cls(entity_types, links)

    def names(self, entity_type: str) -> list[str]:
        """What a path may name at an entity type: its properties and navigations."""
        return [item.identifier for item in self.entity_types[entity_type].properties] + list(
            self.links.get(entity_type, {})
        )


def _ends(association: Association) -> Iterable[tuple[str, str, Link]]:
    first, second = association.end1, association.end2
    forth = Link(association.identifier, "resource1_id", "resource2_id", second.entity_type, first.collection)
    back = Link(association.identifier, "resource2_id", "resource1_id", first.entity_type, second.collection)
    yield first.entity_type, first.navigation, forth
    yield second.entity_type, second.navigation, back


@dataclass(slots=True)
class Scope:
    """The relations that the expressions over one entity type read: itself, and one join per link crossed.

    ``timeless`` scopes know no ``evaluated_at``; ``reads`` notes (entity type, property) of every column asked for.
    Where there are ``records``, a path may go on from the one that counts at the instant of the run.
    """

    graph: EntityGraph
    entity_type: str
    timeless: bool = False
    records: Records | None = None
    joins: dict[tuple[str, ...], Link] = field(default_factory=dict)
    reads: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of_owners(cls, graph: EntityGraph, resource_type: ResourceType) -> Scope:
        """What the expressions over a resource type's owners read: their entity type, and their records.

        Raises:
            ExpressionMistake: the records cannot be found.
        """
        scope = cls(graph, resource_type.source_entity_type)
        if (section := resource_type.records) is not None:
            link = graph.links.get(scope.entity_type, {}).get(section.navigation)
            linked = graph.entity_types.get(link.entity_type) if link else None
            if link is None or linked is None:
                raise ExpressionMistake(f"{scope.entity_type} has no records over '{section.navigation}'")
            for wanted in (section.start_property, section.end_property):
                if linked.find(wanted) is None:
                    raise ExpressionMistake(f"records: {linked.identifier} has no property '{wanted}'")
            key = linked.primary_key.identifier
            scope.records = Records(link, section.start_property, section.end_property, key)
        return scope

    @property
    def reads_records(self) -> bool:
        """Whether an expression asked for the record, or for the time of all records."""
        return self.records is not None and (RECORD,) in self.joins

    @property
    def aliases(self) -> frozenset[str]:
        """Names that a column of a compiled expression may stand under."""
        of_record = {self._record_alias} if self.reads_records else set()
        return frozenset({SOURCE_ALIAS, *(f"linked{position}" for position in range(len(self.joins))), *of_record})

    def column(self, path: Sequence[str]) -> str:
        """The SQL column of a path, with the joins it needs noted.

        Raises:
            ExpressionMistake: a step is unknown, leads to many, or ends at a link.
        """
        entity_type = self.entity_type
        if self.records is not None and path[0] in {RECORD, RECORD_START, RECORD_END}:
            self._join_record(self.records)
            if path[0] != RECORD and len(path) == 1:
                return f"{self._record_alias}.{path[0]}"
        for position, step in enumerate(path[:-1]):
            link = self._link(entity_type, step) if position or step != RECORD else self._record_link(step)
            self.joins.setdefault(tuple(path[: position + 1]), link)
            entity_type = link.entity_type
        if self.graph.entity_types[entity_type].find(path[-1]) is None:
            raise ExpressionMistake(self._no_property(entity_type, path))
        self.reads.add((entity_type, path[-1]))
        return f"{self._alias(tuple(path[:-1]))}.{name(path[-1])}"

    def from_clause(self, relation: Callable[[str], str], source: str | None = None) -> str:
        """SQL after FROM: the entity type as ``source``, then its joins.

        ``relation`` gives the SQL relation of an entity type or association; ``source`` is another relation
        for the entity type itself, with some of its rows. A navigation that should lead to one resource, and
        in the data leads to several, leads nowhere: none of them is picked.
        """
        parts = [f"{source or relation(self.entity_type)} AS {SOURCE_ALIAS}"]
        for position, (path, link) in enumerate(self.joins.items()):
            is_record = self.records is not None and path == (RECORD,)
            links = self.records.relation(relation) if self.records and is_record else single_links(link, relation)
            parts.append(
                f"LEFT JOIN {links} AS link{position}"
                f" ON link{position}.from_id = {self._alias(path[:-1])}.resource_id"
                f" LEFT JOIN {relation(link.entity_type)} AS linked{position}"
                f" ON linked{position}.resource_id = link{position}.to_id"
            )
        return " ".join(parts)

    def _alias(self, path: tuple[str, ...]) -> str:
        return f"linked{list(self.joins).index(path)}" if path else SOURCE_ALIAS

    def _join_record(self, records: Records) -> None:
        """Note the join of the record, and what decides which one it is."""
        self.joins.setdefault((RECORD,), records.link)
        self.reads.update((records.link.entity_type, item) for item in (records.start, records.end, records.key))

    @property
    def _record_alias(self) -> str:
        return f"link{list(self.joins).index((RECORD,))}"

    def _record_link(self, step: str) -> Link:
        return self.records.link if self.records is not None else self._link(self.entity_type, step)

    def _link(self, entity_type: str, step: str) -> Link:
        link = self.graph.links.get(entity_type, {}).get(step)
        if link is None:
            if self.graph.entity_types[entity_type].find(step):
                raise ExpressionMistake(f"'{step}' is a property of {entity_type}, not a link: nothing can follow it")
            hint = near_miss(step, list(self.graph.links.get(entity_type, {})))
            raise ExpressionMistake(f"{entity_type} has no link '{step}'{hint}")
        if link.collection:
            raise ExpressionMistake(
                f"'{step}' leads from one {entity_type} to many {link.entity_type}: a path crosses links to one only"
            )
        if link.entity_type not in self.graph.entity_types:
            raise ExpressionMistake(f"'{step}' leads to {link.entity_type}, which no usable connector declares")
        return link

    def _no_property(self, entity_type: str, path: Sequence[str]) -> str:
        if self.records is not None and list(path) == [RECORD]:
            example, of = f"{RECORD}.{self.records.key}", self.records.link.entity_type
            return f"'{RECORD}' is a record of {of}: name one of its properties, such as {example}"
        if link := self.graph.links.get(entity_type, {}).get(path[-1]):
            linked = self.graph.entity_types.get(link.entity_type)
            example = ".".join([*path, linked.primary_key.identifier if linked else "<property>"])
            return f"'{path[-1]}' is a link to {link.entity_type}: name one of its properties, such as {example}"
        hint = near_miss(path[-1], self.graph.names(entity_type))
        return f"{entity_type} has no property '{path[-1]}'{hint}"


def single_links(link: Link, relation: Callable[[str], str]) -> str:
    """SQL relation ``from_id``, ``to_id``, ``targets``: ``to_id`` is NULL where there are several targets."""
    return (
        f"(SELECT {link.from_column} AS from_id, count(*) AS targets,"
        f" CASE WHEN count(*) = 1 THEN min({link.to_column}) END AS to_id"
        f" FROM {relation(link.association)} GROUP BY ALL)"
    )
