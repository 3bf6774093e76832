"""Reading a whole list page by page (RFC 7644 3.4.2.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from connectors.errors import ConfigurationError, IncompleteExport
from connectors.scim.answers import Answer, Page, Tally, page_of
from connectors.scim.client import ScimClient
from connectors.scim.discovery import Resource, Service


@dataclass(slots=True)
class Listing:
    """A list whose first page has been read; ``pages`` reads on from there.

    Pages advance by what came back, not by what was asked, and end at an empty one; a page without
    anything new ends the reading too, since the server then ignores ``startIndex``.
    """

    client: ScimClient
    operation: str
    resource: Resource
    query: Mapping[str, str]
    first: Answer
    tally: Tally

    @property
    def served_at(self) -> datetime | None:
        """The server's clock at the first page."""
        return self.first.served_at

    @property
    def filter(self) -> str | None:
        """The filter that the server took."""
        return self.query.get("filter")

    def pages(self) -> Iterator[list[Mapping[str, Any]]]:
        """The resources of each page, each object once.

        Raises:
            ConnectorError: a page failed, so the reading as a whole did.
        """
        page, position = page_of(self.first), 1
        while page.resources:
            fresh = self.tally.take(page)
            if not fresh:
                return
            yield fresh
            position += len(page.resources)
            page = self._page(position)
        self.tally.take(page)

    def demand_whole(self) -> None:
        """Refuse a list that did not add up.

        Raises:
            IncompleteExport: not everything came.
        """
        if reason := self.tally.shortfall():
            raise IncompleteExport(f"{self.first.operation}: {reason}")

    def _page(self, position: int) -> Page:
        query = {**self.query, "startIndex": str(position)}
        answer = self.client.get(f"{self.operation} from {position} on", self.resource.name, query=query)
        if not answer.ok:
            raise answer.failure()
        return page_of(answer)


def open_listing(
    client: ScimClient,
    service: Service,
    resource: Resource,
    *,
    page_size: int,
    filters: Sequence[str | None] = (None,),
) -> Listing:
    """Read the first page, under the first of the given filters that the server takes.

    Sorted by id where the server says that it sorts: unsorted pages may overlap.

    Raises:
        ConnectorError: the list cannot be read.
    """
    operation = f"list {resource.name}"
    plain = {"startIndex": "1", "count": str(page_size)}
    queries = [
        {**plain, **({"filter": filter_} if filter_ else {}), **sorting}
        for filter_ in filters
        for sorting in ([{"sortBy": "id"}, {}] if service.sort else [{}])
    ]
    answer = client.get(operation, resource.name, query=queries[0])
    used = queries[0]
    for used in queries[1:] if not answer.ok and answer.refuses_query else ():
        answer = client.get(operation, resource.name, query=used)
        if answer.ok or not answer.refuses_query:
            break
    if answer.status == HTTPStatus.NOT_FOUND:
        raise ConfigurationError(f"{answer.operation}: HTTP 404: the server has no resource '{resource.name}'")
    if not answer.ok:
        raise answer.failure()
    return Listing(client, operation, resource, used, answer, Tally())
