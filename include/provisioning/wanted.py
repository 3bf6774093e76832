"""What orders want of the repository's own resources, typed: one table for each target entity type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.expressions.paths import Link
from include.model.base import DUCKDB_TYPES
from include.model.configuration import EntityType, Property
from include.storage.engine import literal, name


@dataclass(frozen=True, slots=True)
class Target:
    """An entity type that orders write, the resource types that do, and the links that the repository holds of it.

    ``current`` is the view of its resources. ``wanted`` is the table with one row for each order: ``order_id``,
    ``resource_type``, ``change_type``, ``owner_id``, ``resource_id`` and ``current_key`` of the resource it means,
    ``target_key``, ``names`` (of what it changes), ``changes``, and every property as it is to be. ``standing`` is
    the view of those that are not refused. ``linked_keys`` holds the primary key of each linked entity type.
    """

    position: int
    entity_type: EntityType
    resource_types: tuple[str, ...]
    links: Mapping[str, Link]
    linked_keys: Mapping[str, str]

    @property
    def identifier(self) -> str:
        """The entity type's."""
        return self.entity_type.identifier

    @property
    def key(self) -> str:
        """The primary key's identifier."""
        return self.entity_type.primary_key.identifier

    @property
    def current(self) -> str:
        """Name of the view of what is there."""
        return f"current{self.position}"

    @property
    def wanted(self) -> str:
        """Name of the table of what orders want."""
        return f"wanted{self.position}"

    @property
    def standing(self) -> str:
        """Name of the view of the orders that are not refused."""
        return f"standing{self.position}"


def wanted_table(target: Target) -> str:
    """SQL that creates ``wanted`` of a target entity type from ``ordered`` and ``current``.

    A resource is found by its id, or by its key where the order knows no id.
    """
    key = name(target.key)
    fields = ", ".join(
        f"CASE WHEN {is_changed(item, 'o')} THEN {typed(item, 'o')} ELSE c.{name(item.identifier)} END"
        f" AS {name(item.identifier)}"
        for item in target.entity_type.properties
    )
    resource_types = ", ".join(literal(item) for item in target.resource_types)
    return f"""
        CREATE TABLE {target.wanted} AS
        SELECT o.order_id, o.resource_type, o.change_type, o.owner_id, c.resource_id,
            CAST(c.{key} AS VARCHAR) AS current_key, o.target_key, o.names, o.changes, {fields}
        FROM ordered AS o
        LEFT JOIN {target.current} AS k ON o.target_id IS NULL AND CAST(k.{key} AS VARCHAR) = o.target_key
        LEFT JOIN {target.current} AS c ON c.resource_id = coalesce(o.target_id, k.resource_id)
        WHERE o.resource_type IN ({resource_types})
    """


def is_changed(item: Property, order: str) -> str:
    """SQL: the order says something of the property."""
    return f"list_contains({order}.names, {literal(item.identifier)})"


def text(item: Property, order: str) -> str:
    """SQL: what the order says of the property, as text; NULL for ``null``."""
    return f"json_extract_string({order}.changes, '/{item.identifier}')"


def typed(item: Property, order: str) -> str:
    """SQL: what the order says of the property as its type (``objects.json_value``); NULL where it is none of it."""
    kind = DUCKDB_TYPES[item.type]
    if kind == "VARCHAR":
        return text(item, order)
    if kind == "BLOB":
        return f"TRY(from_base64({text(item, order)}))"
    return f"TRY_CAST({text(item, order)} AS {kind})"
