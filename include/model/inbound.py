"""Connectors whose resources stand in the identity repository alone: what they may say, and what others may.

Nothing is exported of them, so what describes an export would have no effect; and whoever else wrote their
resources, or the links that they hold, would have it undone.
"""

from __future__ import annotations

from collections.abc import Iterator

from include.model.catalogue import Catalogue
from include.model.configuration import IDENTITY_REPOSITORY, Connector, EntityType, OnMissing, Schedules
from include.model.connector_file import Finding
from include.model.positions import FieldPath
from include.model.resource_type import ResourceType


def inbound_mistakes(connector: Connector, catalogue: Catalogue) -> Iterator[Finding]:
    """What speaks against a connector of the repository, and against orders of others for such a one."""
    if connector.is_inbound:
        yield from _connection_mistakes(connector)
        if connector.schedules != Schedules():
            yield ("schedules",), "nothing is synchronized: it is provisioned after each load of what its rules read"
        for index, entity_type in enumerate(connector.entity_types):
            yield from _entity_type_mistakes(entity_type, ("entity_types", index))
    for index, resource_type in enumerate(connector.resource_types):
        path: FieldPath = ("resource_types", index)
        declared = catalogue.entity_types.get(resource_type.target_entity_type)
        if declared is None or declared[1].connector is None:
            continue
        holder = declared[1].connector
        if connector.is_inbound and holder.identifier != connector.identifier:
            message = f"{declared[0].identifier} belongs to {holder.identifier}: put this resource type there"
            yield (*path, "target_entity_type"), message
        elif connector.is_inbound:
            yield from _rule_mistakes(resource_type, declared[0], path, connector, catalogue)
        elif holder.is_inbound:
            message = (
                f"{declared[0].identifier} stands in the repository: put this resource type into {holder.identifier}"
            )
            yield (*path, "target_entity_type"), message


def _connection_mistakes(connector: Connector) -> Iterator[Finding]:
    """Its export would say of the others' resources that they are gone."""
    for index, connection in enumerate(connector.connections):
        if connection.package != IDENTITY_REPOSITORY:
            message = (
                f"'{connection.identifier}' cannot stand beside a connection of the package {IDENTITY_REPOSITORY}: "
                "give each a connector of its own"
            )
            yield ("connections", index, "package"), message


def _entity_type_mistakes(entity_type: EntityType, path: FieldPath) -> Iterator[Finding]:
    why = "nothing is exported"
    if entity_type.expectations:
        yield (*path, "expectations"), f"{why}, so there is nothing to look at: limit the orders with thresholds"
    if entity_type.on_missing != OnMissing():
        yield (*path, "on_missing"), f"{why}, so nothing can be missing: allow_remove of the resource type decides"
    for position, item in enumerate(entity_type.properties):
        place: FieldPath = (*path, "properties", position)
        if item.expression is not None:
            yield (*place, "expression"), f"{why}, so nothing is computed: give '{item.identifier}' a scalar rule"
        if item.format is not None:
            yield (*place, "format"), f"{why}, so no text is read: leave the format out"


def _rule_mistakes(
    resource_type: ResourceType, target: EntityType, path: FieldPath, connector: Connector, catalogue: Catalogue
) -> Iterator[Finding]:
    keys = [item.identifier for item in target.properties if item.primary_key]
    ruled = {rule.property for rule in resource_type.scalar_rules}
    if resource_type.allow_add and keys and keys[0] not in ruled:
        message = (
            f"no rule gives '{keys[0]}', the primary key of {target.identifier}: nothing could be created without it"
        )
        yield (*path, "scalar_rules"), message
    navigations = catalogue.navigations.get(target.identifier, {})
    for field in ("navigation_rules", "query_rules"):
        for index, rule in enumerate(getattr(resource_type, field)):
            used = navigations.get(rule.navigation)
            if used is not None and used.file.identifier != connector.identifier:
                message = (
                    f"the export of {used.file.identifier} holds the links of '{rule.navigation}', and would undo it"
                )
                yield (*path, field, index, "navigation"), message
