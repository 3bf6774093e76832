"""Connection tables as resources: ``<connection>_Users``, and pairs in ``<connection>_members_Groups``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.contract import ConnectionContext, TableRequest
from connectors.errors import ConfigurationError
from connectors.scim.columns import Column, resolve
from connectors.scim.discovery import Resource, Service
from connectors.scim.payload import MEMBERS

GROUP_COLUMN = "value"
MEMBER_COLUMN = "MemberId"
PAIR_PREFIX = f"{MEMBERS}_"


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """A table with one row for each resource."""

    name: str
    resource: Resource
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class PairTable:
    """A table with one row for each member of each group; ``group_first`` tells the order of its columns."""

    name: str
    resource: Resource
    columns: tuple[str, str]
    group_first: bool

    def pair(self, group: str, member: str) -> tuple[str, str]:
        """One row, in the order of the columns."""
        return (group, member) if self.group_first else (member, group)


Table = ObjectTable | PairTable


def suffix_of(context: ConnectionContext, table: str) -> str:
    """The part of a table's name after the connection (connectors 1.3: connections hold no underscore).

    Raises:
        ConfigurationError: the table belongs to another connection.
    """
    connection, separator, suffix = table.partition("_")
    if connection.casefold() != context.identifier.casefold() or not separator or not suffix:
        raise ConfigurationError(f"table '{table}' is not one of connection '{context.identifier}'")
    return suffix


def is_pair_table(suffix: str) -> bool:
    """Whether a suffix names memberships."""
    return suffix.casefold().startswith(PAIR_PREFIX)


def resource_of(context: ConnectionContext, service: Service, table: str) -> Resource:
    """The resource behind a table of objects or pairs.

    Raises:
        ConfigurationError: no such resource.
    """
    suffix = suffix_of(context, table)
    return service.resource(suffix[len(PAIR_PREFIX) :] if is_pair_table(suffix) else suffix)


def bound(context: ConnectionContext, service: Service, request: TableRequest) -> Table:
    """A mapped table, its columns checked against what the server says.

    Raises:
        ConfigurationError: no such resource, column or pair of columns.
    """
    resource = resource_of(context, service, request.name)
    if is_pair_table(suffix_of(context, request.name)):
        if not resource.has_members:
            raise ConfigurationError(f"table '{request.name}': {resource.name} have no members")
        return _pair_table(request, resource)
    return ObjectTable(request.name, resource, _columns(request, resource))


def table_request(context: ConnectionContext, table: str) -> TableRequest:
    """The mapped table of that name, without case.

    Raises:
        ConfigurationError: no mapping reads this table.
    """
    for request in context.tables:
        if request.name.casefold() == table.casefold():
            return request
    raise ConfigurationError(f"table '{table}' is not mapped on connection '{context.identifier}'")


def _columns(request: TableRequest, resource: Resource) -> tuple[Column, ...]:
    try:
        return tuple(
            resolve(column.name, resource.schema, multivalued=column.multivalued) for column in request.columns
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"table '{request.name}', {error.message}") from None


def _pair_table(request: TableRequest, resource: Resource) -> PairTable:
    names: Sequence[str] = [column.name for column in request.columns]
    folded = [name.casefold() for name in names]
    if sorted(folded) != sorted([GROUP_COLUMN.casefold(), MEMBER_COLUMN.casefold()]):
        given = ", ".join(names)
        raise ConfigurationError(
            f"table '{request.name}' has the columns '{GROUP_COLUMN}' and '{MEMBER_COLUMN}', not {given}"
        )
    return PairTable(request.name, resource, (names[0], names[1]), group_first=folded[0] == GROUP_COLUMN)
