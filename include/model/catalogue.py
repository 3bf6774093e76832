"""What all files of a folder declare together: who declares a name first, and who takes it again."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from include.model.configuration import AssociationEnd, Connector, EntityType
from include.model.connector_file import ConnectorFile
from include.model.mending import PLACEHOLDER
from include.model.positions import FieldPath
from include.model.resource_type import ResourceType


@dataclass(frozen=True, slots=True)
class Declaration:
    """A name, what it names, and where it is given. Within a scope a name may be given once."""

    scope: Hashable
    kind: str
    name: str
    file: ConnectorFile
    path: FieldPath


@dataclass(frozen=True, slots=True)
class Navigation:
    """A navigation property of an entity type: the end that declares it and the end that it leads to."""

    file: ConnectorFile
    path: FieldPath
    name: str
    owner: str
    linked: str


@dataclass(slots=True)
class Catalogue:
    """Entity types, resource types and navigations of all files, by exact name; the first one holds."""

    files: tuple[ConnectorFile, ...]
    entity_types: dict[str, tuple[EntityType, ConnectorFile]] = field(default_factory=dict)
    resource_types: dict[str, tuple[ResourceType, ConnectorFile]] = field(default_factory=dict)
    navigations: dict[str, dict[str, Navigation]] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Iterable[ConnectorFile]) -> Catalogue:
        """The catalogue of the files that can be read, broken ones included."""
        catalogue = cls(tuple(files))
        for file in catalogue.files:
            if file.connector is None:
                continue
            for entity_type in file.connector.entity_types:
                catalogue.entity_types.setdefault(entity_type.identifier, (entity_type, file))
            for resource_type in file.connector.resource_types:
                catalogue.resource_types.setdefault(resource_type.identifier, (resource_type, file))
            for item in _navigations(file):
                catalogue.navigations.setdefault(item.owner, {}).setdefault(item.name, item)
        return catalogue

    @property
    def unreadable(self) -> list[str]:
        """Names of the files whose entity types or resource types are not all known."""
        return [file.name for file in self.files if file.connector is None or has_unreadable_names(file.connector)]

    def report_duplicates(self) -> None:
        """Report every name that is given again in its scope, in the file that gives it again.

        Case does not count: tables, columns and folders of many systems do not know it.
        """
        first: dict[Hashable, Declaration] = {}
        for item in self._declarations():
            known = first.setdefault((item.scope, item.name.casefold()), item)
            if known is not item:
                where = known.file.place(known.path, seen_from=item.file)
                same = f"duplicate {item.kind} '{item.name}'; the first is at {where}"
                other = f"{item.kind} '{item.name}' has the name of the {known.kind} at {where}"
                item.file.report([(item.path, same if item.kind == known.kind else other)])

    def _declarations(self) -> Iterator[Declaration]:
        for file in self.files:
            yield from _declarations(file)
        # After all properties: of a property and a navigation of one name, the navigation is to be renamed.
        for file in self.files:
            for item in _navigations(file):
                if item.owner in self.entity_types:
                    entity_type, declaring = self.entity_types[item.owner]
                    scope = (declaring.name, entity_type.identifier)
                    yield Declaration(scope, "navigation", item.name, file, item.path)


def has_unreadable_names(connector: Connector) -> bool:
    """Whether an entity type or resource type of the connector has no readable name."""
    entity_types = [item.identifier for item in connector.entity_types]
    return PLACEHOLDER in entity_types or PLACEHOLDER in [item.identifier for item in connector.resource_types]


def _declarations(file: ConnectorFile) -> Iterator[Declaration]:
    connector = file.connector
    if connector is None:
        return
    yield Declaration("connectors", "connector", connector.identifier, file, ("identifier",))
    for index, connection in enumerate(connector.connections):
        path: FieldPath = ("connections", index, "identifier")
        yield Declaration((file.name, "connections"), "connection", connection.identifier, file, path)
    for index, entity_type in enumerate(connector.entity_types):
        path = ("entity_types", index, "identifier")
        yield Declaration("tables", "entity type", entity_type.identifier, file, path)
        for position, item in enumerate(entity_type.properties):
            path = ("entity_types", index, "properties", position, "identifier")
            yield Declaration((file.name, entity_type.identifier), "property", item.identifier, file, path)
    for index, association in enumerate(connector.associations):
        yield Declaration("tables", "association", association.identifier, file, ("associations", index, "identifier"))
    for index, resource_type in enumerate(connector.resource_types):
        path = ("resource_types", index, "identifier")
        yield Declaration("resource types", "resource type", resource_type.identifier, file, path)


def _navigations(file: ConnectorFile) -> Iterator[Navigation]:
    for index, association in enumerate(file.connector.associations if file.connector else ()):
        ends: tuple[tuple[str, AssociationEnd, AssociationEnd], ...] = (
            ("end1", association.end1, association.end2),
            ("end2", association.end2, association.end1),
        )
        for side, end, other in ends:
            path: FieldPath = ("associations", index, side, "navigation")
            yield Navigation(file, path, end.navigation, end.entity_type, other.entity_type)
