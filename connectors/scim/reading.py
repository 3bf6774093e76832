"""Single objects and their memberships as they stand now, to verify what was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from connectors.contract import ConnectionContext
from connectors.errors import ConfigurationError
from connectors.scim.answers import Answer
from connectors.scim.client import ScimClient
from connectors.scim.discovery import Service
from connectors.scim.listing import open_listing
from connectors.scim.payload import members_of
from connectors.scim.settings import ScimSettings
from connectors.scim.tables import GROUP_COLUMN, MEMBER_COLUMN, ObjectTable, PairTable, bound, table_request
from connectors.scim.values import read_text


class ScimReading:
    """Reads single objects of one service provider."""

    def __init__(self, client: ScimClient, service: Service, context: ConnectionContext, settings: ScimSettings):
        self._client = client
        self._service = service
        self._context = context
        self._settings = settings

    def objects(self, table: str, keys: Sequence[str]) -> dict[str, Mapping[str, str | None] | None]:
        """See ``ScimConnector.read``."""
        target = bound(self._context, self._service, table_request(self._context, table))
        if not isinstance(target, ObjectTable):
            raise ConfigurationError(f"table '{table}' holds pairs: read it as links")
        found: dict[str, Mapping[str, str | None] | None] = {}
        for key in dict.fromkeys(keys):
            document = self._document(target.resource.name, key)
            found[key] = (
                None if document is None else {column.name: read_text(document, column) for column in target.columns}
            )
        return found

    def links(self, table: str, column: str, keys: Sequence[str]) -> set[tuple[str, str]]:
        """See ``ScimConnector.read_links``."""
        target = bound(self._context, self._service, table_request(self._context, table))
        if not isinstance(target, PairTable):
            raise ConfigurationError(f"table '{table}' holds objects: read it by key")
        wanted = set(keys)
        if column.casefold() == GROUP_COLUMN.casefold():
            found = (self._document(target.resource.name, key) for key in wanted)
            pairs = _pairs(group for group in found if group is not None)
            return {target.pair(group, member) for group, member in pairs}
        if column.casefold() == MEMBER_COLUMN.casefold():
            pairs = _pairs(self._all_groups(target))
            return {target.pair(group, member) for group, member in pairs if member in wanted}
        raise ConfigurationError(f"table '{table}' has no column '{column}'; it has value and MemberId")

    def _all_groups(self, target: PairTable) -> Iterator[Mapping[str, Any]]:
        """Every group: a filter on members is one that many servers take and answer wrongly.

        Raises:
            IncompleteExport: not every group came, so a missing pair would prove nothing.
        """
        listing = open_listing(self._client, self._service, target.resource, page_size=self._settings.page_size)
        for page in listing.pages():
            yield from page
        listing.demand_whole()

    def _document(self, resource: str, key: str) -> Mapping[str, Any] | None:
        answer: Answer = self._client.get(f"read {resource} '{key}'", resource, key)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        if not answer.ok:
            raise answer.failure()
        return answer.body


def _pairs(groups: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for group in groups:
        for member in members_of(group):
            if isinstance(member, str) and member:
                yield str(group.get("id")), member
