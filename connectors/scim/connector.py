"""The ``scim`` package: one SCIM 2.0 service provider as connection tables, orders and checks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from connectors.contract import (
    CheckResult,
    ConnectionContext,
    ConnectorSettings,
    ExportReport,
    ExportRequest,
    Order,
    OrderResult,
    Sink,
)
from connectors.errors import ConfigurationError
from connectors.scim.checking import verdicts
from connectors.scim.client import ScimClient
from connectors.scim.discovery import Service, discover
from connectors.scim.export import ScimExport
from connectors.scim.fulfilment import Fulfilment
from connectors.scim.payload import MEMBERS
from connectors.scim.reading import ScimReading
from connectors.scim.settings import ScimSettings


class ScimConnector:
    """Reads any resource of a SCIM server and writes users, groups and memberships (RFC 7643, RFC 7644).

    Tables are ``<connection>_<Resource>`` (``CRM_Users``), with columns that are paths into the
    resource (``id``, ``name:givenName``, ``emails:value``, ``urn:...:User:department``), and
    ``<connection>_members_<Resource>`` (``CRM_members_Groups``) with ``value`` (the group's id) and
    ``MemberId``.
    """

    Settings: type[ConnectorSettings] = ScimSettings

    def __init__(self, context: ConnectionContext) -> None:
        if not isinstance(context.settings, ScimSettings):
            raise ConfigurationError(f"connection '{context.identifier}': these are not settings of package scim")
        self._context = context
        self._settings = context.settings

    def tables(self) -> Sequence[str]:
        """Tables of every resource that the server lists, and of the members of those that have some."""
        with self._session() as (_, service):
            names = []
            for resource in service.resources.values():
                names.append(f"{self._context.identifier}_{resource.name}")
                if resource.has_members:
                    names.append(f"{self._context.identifier}_{MEMBERS}_{resource.name}")
            return names

    def export(self, request: ExportRequest, sink: Sink) -> ExportReport:
        """Write every mapped table; users only what changed since the cookie, in incremental mode.

        The incremental table of users holds ``update`` rows, which stand for new and changed objects
        alike (an upsert), found by ``meta.lastModified`` with five minutes of overlap. SCIM shows
        neither deletions nor objects that no longer match a filter in it: those need a complete run.
        A server that refuses the filter gives a complete table, and so does every other resource.

        Raises:
            ConnectorError: one line; nothing of a failed table becomes visible. A list that came
                whole but does not add up is reported as not complete instead.
        """
        with self._session() as (client, service):
            return ScimExport(client, service, self._context, self._settings).run(request, sink)

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        """Carry out each order on its own, by the ``Mapping`` in its resource type.

        An addition whose object is there already (same ``externalId``, or same name where it has
        none) changes that object. An order that was done in part is errored, says what was done, and
        carries the key, so that sending it again finishes it. An order that was sent before is looked up
        first, and only what is not there yet is written.

        Raises:
            AuthenticationFailed: the credentials are refused.
            ConnectionFailed: the server is down; an order that merely upsets it is errored instead.
        """
        with self._session() as (client, service):
            check = self._settings.check_current_values
            yield from Fulfilment(client, service, self._context, check_current_values=check).run(orders)

    def read(self, table: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str | None] | None]:
        """The mapped columns of each object by id, ``None`` for one that is missing.

        Raises:
            ConnectorError: the server cannot be reached or refuses, or the table is not mapped.
        """
        with self._session() as (client, service):
            return ScimReading(client, service, self._context, self._settings).objects(table, keys)

    def read_links(self, table: str, column: str, keys: Sequence[str]) -> Collection[tuple[str, str]]:
        """The rows of a pair table whose ``column`` holds one of the keys, columns in the table's order.

        Raises:
            ConnectorError: the server cannot be reached or refuses, or the table is not mapped.
        """
        with self._session() as (client, service):
            return ScimReading(client, service, self._context, self._settings).links(table, column, keys)

    def check(self) -> Sequence[CheckResult]:
        """Whether the server answers, lets us in, lists users, filters, patches, and knows each mapped column."""
        return tuple(verdicts(self._context, self._settings))

    @contextmanager
    def _session(self) -> Iterator[tuple[ScimClient, Service]]:
        with ScimClient(self._context, self._settings) as client:
            yield client, discover(client, self._settings)
