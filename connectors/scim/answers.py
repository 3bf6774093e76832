"""What a service provider answered: status, resource, error (RFC 7644 3.12), and lists (3.4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from connectors.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    ConnectorError,
    IncompleteExport,
    InvalidValue,
    ObjectExists,
    ObjectMissing,
    PermissionDenied,
    Throttled,
    TransientError,
)

LONGEST_DETAIL = 200
UNAVAILABLE = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
NOT_OFFERED = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``body`` is the JSON object (empty when there is none) and never shown."""

    operation: str
    status: int
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    etag: str | None = None
    location: str | None = None
    retry_after: float | None = None
    detail: str = ""
    served_at: datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def error_type(self) -> str:
        """The server's ``scimType``, empty where it gives none."""
        return str(self.body.get("scimType") or "") if not self.ok else ""

    @property
    def refuses_query(self) -> bool:
        """Whether the server does not take the filter or sorting of a query."""
        return self.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, *NOT_OFFERED}

    def failure(self) -> ConnectorError:
        """The error that this answer means, in one line."""
        line = f"{self.operation}: HTTP {self.status}"
        line += f" {self.error_type}" if self.error_type else ""
        line += f": {self.detail}" if self.detail else ""
        return self._classified(line)

    def _classified(self, line: str) -> ConnectorError:
        status = self.status
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return Throttled(line, self.retry_after)
        if status in UNAVAILABLE:
            return ConnectionFailed(line)
        if status == HTTPStatus.CONFLICT:
            return (ObjectExists if self.error_type.casefold() == "uniqueness" else Conflict)(line)
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return ConfigurationError(f"{line}: the server points elsewhere; set that address as the host")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in NOT_OFFERED:
            return TransientError(line)
        known: dict[int, type[ConnectorError]] = {
            HTTPStatus.UNAUTHORIZED: AuthenticationFailed,
            HTTPStatus.FORBIDDEN: PermissionDenied,
            HTTPStatus.NOT_FOUND: ObjectMissing,
            HTTPStatus.GONE: ObjectMissing,
            HTTPStatus.PRECONDITION_FAILED: Conflict,
        }
        return known.get(status, InvalidValue)(line)


def detail_of(body: Mapping[str, Any], secrets: Sequence[str]) -> str:
    """The server's own words on an error: one short line, with every secret blotted out."""
    text = " ".join(str(body.get("detail") or "").split())
    for secret in secrets:
        text = text.replace(secret, "***")
    return text if len(text) <= LONGEST_DETAIL else f"{text[:LONGEST_DETAIL]}..."


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its resources, and the total that the server states."""

    resources: Sequence[Mapping[str, Any]]
    total: int | None


def page_of(answer: Answer) -> Page:
    """The page in an answer.

    Raises:
        IncompleteExport: the answer is no list of resources, so nothing may be concluded from it.
    """
    resources, total = answer.body.get("Resources"), answer.body.get("totalResults")
    if resources is None and isinstance(total, int):
        # RFC 7644 3.4.2: "Resources" may be missing when nothing is found or asked for.
        resources = []
    if not isinstance(resources, list) or not all(isinstance(one, Mapping) for one in resources):
        raise IncompleteExport(f"{answer.operation}: the answer is not a SCIM list; check the address of the server")
    return Page(resources, total if isinstance(total, int) else None)


class Tally:
    """Counts what pages bring, and says whether that was everything.

    Offset paging over changing or unsorted data loses rows while the counts look right (RFC 7644
    3.4.2.4 promises no stable order), so distinct ids and the stated totals are compared.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.totals: set[int] = set()
        self.repeated = 0
        self.nameless = 0
        self.untold = False

    def take(self, page: Page) -> list[Mapping[str, Any]]:
        """The resources of a page that are met for the first time."""
        fresh = []
        for resource in page.resources:
            key = resource.get("id")
            if not isinstance(key, str) or not key:
                self.nameless += 1
            elif key in self.seen:
                self.repeated += 1
                continue
            else:
                self.seen.add(key)
            fresh.append(resource)
        if page.total is None:
            self.untold = True
        else:
            self.totals.add(page.total)
        return fresh

    @property
    def expected(self) -> int | None:
        """The largest total that the server stated."""
        return max(self.totals, default=None)

    @property
    def rows(self) -> int:
        """Resources taken."""
        return len(self.seen) + self.nameless

    def shortfall(self) -> str | None:
        """Why this is not the whole list; ``None`` when it is."""
        if self.untold or self.expected is None:
            return "the server states no totalResults"
        if len(self.totals) > 1:
            totals = f"{min(self.totals)} to {max(self.totals)}"
            return f"the list changed while it was read: totalResults went from {totals}"
        if self.repeated:
            return f"{self.repeated} objects came twice: the pages overlap, so others may be missing"
        if self.nameless:
            return f"{self.nameless} objects have no id"
        if self.rows != self.expected:
            return f"{self.rows} objects came, totalResults says {self.expected}"
        return None
