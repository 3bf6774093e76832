"""Which history may be removed: none of what a connector on legal hold keeps, or needs to be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import sqlalchemy as sa

from include.model.configuration import Association, Configuration, Connector, EntityType
from include.model.remembered import REMEMBERED
from include.repository.errors import RepositoryError
from include.repository.system import PROVISIONING_ORDER, SYSTEM_ENTITY_TYPES
from include.repository.tables import Schema

Disposable = tuple[EntityType | Association, sa.ColumnElement[bool]]


def disposable(schema: Schema, configuration: Configuration, held: Collection[str]) -> Iterator[Disposable]:
    """Every entity type and association whose history may be removed, and the condition on its rows.

    Left alone are the tables of held connectors; what their associations and resource types lead to, so that
    their past can still be read with its keys; links that end in a held resource; and assignments and orders
    of resource types that a held connector declares or that concern its entity types. Beside a hold, so are
    assignments and orders of resource types that no configuration explains any more.

    Args:
        schema: the tables.
        configuration: who declares them.
        held: identifiers of connectors on legal hold. One that has left the configuration keeps its tables
            and assignments; what it referred to elsewhere nobody knows any more.

    Raises:
        RepositoryError: the file of a held connector has mistakes, so that nobody can tell what it needs.
    """
    for broken in configuration.broken:
        if broken.identifier in held:
            raise RepositoryError(f"{broken.identifier}: on legal hold, and {broken.file} has mistakes: mend it first")
    holding = [connector for connector in configuration.connectors if connector.identifier in held]
    own = {item.identifier for connector in holding for item in connector.entity_types}
    needed = own | set(_needed(holding))
    for connector in configuration.connectors:
        if connector in holding:
            continue
        for entity in connector.entity_types:
            if entity.identifier not in needed:
                yield entity, sa.true()
        for association in connector.associations:
            if not own & {association.end1.entity_type, association.end2.entity_type}:
                yield association, sa.true()
    allowed = sorted(_resource_types(configuration, held, own))
    for entity in SYSTEM_ENTITY_TYPES:
        yield entity, _is_free(schema.table(entity), entity, allowed, held) if held else sa.true()


def _needed(connectors: Iterable[Connector]) -> Iterator[str]:
    """Entity types that the associations and resource types of connectors lead to."""
    for connector in connectors:
        for association in connector.associations:
            yield from (association.end1.entity_type, association.end2.entity_type)
        for resource_type in connector.resource_types:
            yield from (resource_type.source_entity_type, resource_type.target_entity_type)


def _resource_types(configuration: Configuration, held: Collection[str], own: set[str]) -> Iterator[str]:
    """Resource types that have nothing to do with a held connector."""
    for connector in configuration.connectors:
        for item in connector.resource_types:
            if connector.identifier not in held and not own & {item.source_entity_type, item.target_entity_type}:
                yield item.identifier


def _is_free(table: sa.Table, entity: EntityType, allowed: list[str], held: Collection[str]) -> sa.ColumnElement[bool]:
    """Rows of a system table that belong to one of the allowed resource types and to no held connector."""
    if entity in REMEMBERED:
        return table.c.connector.not_in(sorted(held))
    if "resource_type" in table.c:
        free: sa.ColumnElement[bool] = table.c.resource_type.in_(allowed)
    else:
        # Scalars and links name it at the head of their assignment (include.repository.system).
        heads = [f"{item}|" for item in allowed]
        free = sa.or_(sa.false(), *(sa.func.substr(table.c.assignment, 1, len(head)) == head for head in heads))
    if entity is PROVISIONING_ORDER:
        free = sa.and_(free, table.c.connector.not_in(sorted(held)))
    return free
