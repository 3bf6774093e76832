"""What a connector must know to carry out an order: tables, columns and links of the target entity type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from include.model.configuration import AssociationEnd, Configuration, EntityType
from include.model.resource_type import ResourceType


@dataclass(frozen=True, slots=True)
class Navigation:
    """One navigation property of an entity type: its pair table and the entity type it leads to."""

    identifier: str
    table: str
    owner: AssociationEnd
    linked: AssociationEnd
    linked_entity_type: EntityType


def entity_type(configuration: Configuration, identifier: str) -> EntityType:
    """The entity type of that identifier.

    Raises:
        LookupError: no connector declares it.
    """
    found = configuration.entity_type(identifier)
    if found is None:
        raise LookupError(f"entity type {identifier} is declared by no connector: check the configuration")
    return found


def navigations(configuration: Configuration, entity: EntityType) -> tuple[Navigation, ...]:
    """The navigation properties that associations give to an entity type, by identifier."""

    def found() -> Iterator[Navigation]:
        for association in configuration.associations():
            ends = (association.end1, association.end2)
            for owner, linked in (ends, ends[::-1]):
                if owner.entity_type == entity.identifier:
                    target = entity_type(configuration, linked.entity_type)
                    yield Navigation(owner.navigation, association.connection_table, owner, linked, target)

    return tuple(sorted(found(), key=lambda item: item.identifier))


def order_mapping(configuration: Configuration, entity: EntityType) -> dict[str, Any]:
    """The ``Mapping`` of an order's resource type.

    ``Table``, ``PrimaryKey`` (a property), ``Columns`` (property to column), ``Types`` (property to
    type), ``Formats`` (property to its format, where one is configured), and ``Links``: for each
    navigation the pair ``Table``, the ``OwnerColumn`` and ``LinkedColumn`` of the two ends in it, and
    the properties ``OwnerKey`` and ``LinkedKey`` whose values these columns hold.
    """
    links = {
        item.identifier: {
            "Table": item.table,
            "OwnerColumn": item.owner.column,
            "LinkedColumn": item.linked.column,
            "OwnerKey": item.owner.key or entity.primary_key.identifier,
            "LinkedKey": item.linked.key or item.linked_entity_type.primary_key.identifier,
        }
        for item in navigations(configuration, entity)
    }
    return {
        "Table": entity.connection_table,
        "PrimaryKey": entity.primary_key.identifier,
        "Columns": {item.identifier: item.source_column for item in entity.mapped_properties},
        "Types": {item.identifier: item.type for item in entity.mapped_properties},
        "Formats": {item.identifier: item.format for item in entity.mapped_properties if item.format is not None},
        "Links": links,
    }


def order_resource_type(configuration: Configuration, item: ResourceType) -> dict[str, Any]:
    """The ``ResourceType`` of an order (engine.md 3.6).

    Rollcall names what it declares, so every ``Id`` here equals its ``Identifier``.
    """
    target = entity_type(configuration, item.target_entity_type)
    return {
        "Id": item.identifier,
        "Identifier": item.identifier,
        "SourceEntityType": {"Id": item.source_entity_type, "Identifier": item.source_entity_type},
        "TargetEntityType": {"Id": item.target_entity_type, "Identifier": item.target_entity_type},
        "Mapping": order_mapping(configuration, target),
    }
