"""Provisioning orders as what is to be written: attributes by column, and memberships by group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.contract import ChangeType, ConnectionContext, Order
from connectors.errors import ConfigurationError, InvalidValue
from connectors.formats import system_text
from connectors.scim.columns import Column, resolve
from connectors.scim.discovery import Resource, Service
from connectors.scim.payload import checked
from connectors.scim.schema import GROUP_SCHEMA
from connectors.scim.tables import GROUP_COLUMN, MEMBER_COLUMN, resource_of
from connectors.scim.values import member_of

ADD, REMOVE = "_add", "_remove"


class LinkMapping(BaseModel):
    """How a navigation of an order is stored: its pair table, and the value that stands in it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    Table: str
    OwnerColumn: str
    LinkedColumn: str
    LinkedKey: str


class TableMapping(BaseModel):
    """How the properties of an order are stored: ``order.resource_type["Mapping"]``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    Table: str
    PrimaryKey: str
    Columns: dict[str, str]
    Types: dict[str, str] = {}
    Formats: dict[str, str] = {}
    Links: dict[str, LinkMapping] = {}


@dataclass(frozen=True, slots=True)
class LinkChange:
    """Links of one navigation: ``values`` are group ids when the owner is the member, else member ids."""

    groups: Resource
    owner_is_member: bool
    values: tuple[str, ...]
    add: bool


@dataclass(frozen=True, slots=True)
class GroupChange:
    """Members that one group gains and loses."""

    groups: Resource
    group: str
    additions: tuple[str, ...]
    removals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """One order, read: the object, its new values by column, those it had when last read, and its links."""

    change_type: ChangeType
    resource: Resource
    key: str | None
    changes: Mapping[Column, Any]
    expected: Mapping[Column, Any]
    links: tuple[LinkChange, ...]
    sent_before: bool

    def group_changes(self, key: str) -> list[GroupChange]:
        """The links by group, once the key of the object is known."""
        members: dict[tuple[str, str], tuple[Resource, list[str], list[str]]] = {}
        for link in self.links:
            for value in link.values:
                group, member = (value, key) if link.owner_is_member else (key, value)
                _, additions, removals = members.setdefault((link.groups.name, group), (link.groups, [], []))
                (additions if link.add else removals).append(member)
        return [
            GroupChange(groups, group, tuple(additions), tuple(removals))
            for (_, group), (groups, additions, removals) in members.items()
        ]

    def identity(self) -> list[tuple[str, str]]:
        """Attributes of the order that tell whether an object is the one meant, the surest first."""
        names = ("externalId", "displayName" if self.resource.schema.identifier == GROUP_SCHEMA else "userName")
        given = {column.attribute: value for column, value in self.changes.items() if not column.extension}
        return [(name, str(given[name])) for name in names if given.get(name)]

    def is_meant(self, found: Mapping[str, Any]) -> bool:
        """Whether an object found at the server is the one that the order is about.

        The same externalId says yes and another one says no; without any, the same name says yes.
        """
        identity = dict(self.identity())
        theirs = member_of(found, "externalId")
        if theirs and "externalId" in identity:
            return bool(theirs == identity["externalId"])
        name = next((name for name in identity if name != "externalId"), None)
        return name is not None and str(member_of(found, name) or "").casefold() == identity[name].casefold()


def read_order(order: Order, context: ConnectionContext, service: Service) -> Write:
    """What an order asks of the server.

    Raises:
        ConfigurationError: the order's mapping is missing or names what does not exist.
        InvalidValue: the order has no key, or a change that cannot be written.
    """
    mapping = _mapping(order)
    resource = resource_of(context, service, mapping.Table)
    multivalued = {
        column.name.casefold()
        for table in context.tables
        if table.name.casefold() == mapping.Table.casefold()
        for column in table.columns
        if column.multivalued
    }
    changes, expected = {}, {}
    for name, value in order.changes.items():
        if _navigation(name, mapping) is not None:
            continue
        if (column_name := mapping.Columns.get(name)) is None:
            raise ConfigurationError(f"property '{name}' has no column in table '{mapping.Table}'")
        if isinstance(value, Mapping):
            raise InvalidValue(f"property '{name}' is a link, which SCIM holds as '{name}{ADD}' and '{name}{REMOVE}'")
        column = resolve(column_name, resource.schema, multivalued=column_name.casefold() in multivalued)
        changes[column] = _in_system(name, value, mapping)
        if order.change_type == "Modified" and name in order.resource:
            expected[column] = _in_system(name, order.resource[name], mapping)
    return Write(
        change_type=order.change_type,
        resource=resource,
        key=None if order.change_type == "Added" else _key(order, mapping),
        changes=checked(changes),
        expected=expected,
        links=tuple(_links(order, mapping, context, service)),
        sent_before=order.sent_before,
    )


def _in_system(name: str, value: Any, mapping: TableMapping) -> Any:
    """A value as the managed system spells it."""
    spelling = mapping.Formats.get(name)
    return value if spelling is None else system_text(mapping.Types.get(name, "string"), spelling, value)


def _mapping(order: Order) -> TableMapping:
    try:
        return TableMapping.model_validate(order.resource_type.get("Mapping"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in ("Mapping", *first["loc"]))
        raise ConfigurationError(f"the order's ResourceType has no usable {place}: {first['msg']}") from None


def _key(order: Order, mapping: TableMapping) -> str:
    key = order.resource.get(mapping.PrimaryKey)
    if key is None or key == "":
        raise InvalidValue(f"the order holds no '{mapping.PrimaryKey}' of the object to change")
    return str(key)


def _navigation(name: str, mapping: TableMapping) -> tuple[LinkMapping, bool] | None:
    """The link mapping of a change such as ``groups_add``, and whether it adds; scalars win over links."""
    for suffix in (ADD, REMOVE):
        link = mapping.Links.get(name.removesuffix(suffix))
        if link is not None and name.endswith(suffix) and name not in mapping.Columns:
            return link, suffix == ADD
    return None


def _links(order: Order, mapping: TableMapping, context: ConnectionContext, service: Service) -> Iterator[LinkChange]:
    for name, linked in order.changes.items():
        found = _navigation(name, mapping)
        if found is None:
            continue
        link, add = found
        owner = link.OwnerColumn.casefold()
        if {owner, link.LinkedColumn.casefold()} != {GROUP_COLUMN.casefold(), MEMBER_COLUMN.casefold()}:
            raise ConfigurationError(f"link '{name}': the columns of '{link.Table}' are value and MemberId")
        values = []
        for one in linked if isinstance(linked, list) else [linked]:
            value = one.get(link.LinkedKey) if isinstance(one, Mapping) else None
            if value is None or value == "":
                raise InvalidValue(f"'{name}' holds an object without '{link.LinkedKey}'")
            values.append(str(value))
        groups = resource_of(context, service, link.Table)
        yield LinkChange(groups, owner == MEMBER_COLUMN.casefold(), tuple(values), add)
