"""Export of resources and memberships, complete or from a point in time on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.contract import (
    COMMAND_COLUMN,
    ConnectionContext,
    ExportReport,
    ExportRequest,
    Sink,
    TableReport,
    TableWriter,
)
from connectors.errors import ConfigurationError, CookieExpired
from connectors.scim.client import ScimClient
from connectors.scim.discovery import Resource, Service
from connectors.scim.listing import Listing, open_listing
from connectors.scim.payload import members_of, quoted
from connectors.scim.settings import ScimSettings
from connectors.scim.tables import ObjectTable, PairTable, Table, bound
from connectors.scim.values import read_text

INCREMENTAL_RESOURCE = "users"
COMMAND = "update"
OVERLAP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Plan:
    """Tables that one reading of a resource fills."""

    resource: Resource
    objects: ObjectTable | None
    pairs: PairTable | None


class ScimExport:
    """One export: every resource is read once, and fills its table and its pair table together."""

    def __init__(self, client: ScimClient, service: Service, context: ConnectionContext, settings: ScimSettings):
        self._client = client
        self._service = service
        self._context = context
        self._settings = settings

    def run(self, request: ExportRequest, sink: Sink) -> ExportReport:
        """See ``ScimConnector.export``."""
        plans = plans_of(bound(self._context, self._service, table) for table in self._context.tables)
        incremental = request.mode == "incremental"
        cookie = read_cookie(request.cookie) if incremental else {}
        since = dict(cookie)
        reports: dict[str, TableReport] = {}
        for plan in plans:
            name = plan.resource.name
            started = datetime.now(UTC)
            listing = self._open(plan, since.get(name))
            command = since.get(name) is not None and listing.filter == self._filter(plan, since[name])
            self._read(plan, listing, sink, command=command, reports=reports)
            if name.casefold() == INCREMENTAL_RESOURCE and listing.tally.shortfall() is None:
                # A server whose clock is behind ours stamps changes with its own time.
                cookie[name] = text_of_instant(min(started, listing.served_at or started) - OVERLAP)
        tables = tuple(reports[table.name] for table in self._context.tables)
        return ExportReport(tables, json.dumps(cookie, sort_keys=True) if cookie else None)

    def _open(self, plan: Plan, since: str | None) -> Listing:
        complete = self._settings.filter(plan.resource.name)
        filters = [complete] if since is None or not self._service.filter else [self._filter(plan, since), complete]
        return open_listing(
            self._client, self._service, plan.resource, page_size=self._settings.page_size, filters=filters
        )

    def _filter(self, plan: Plan, since: str) -> str:
        changed = f"meta.lastModified gt {quoted(since)}"
        narrowed = self._settings.filter(plan.resource.name)
        return f"({narrowed}) and {changed}" if narrowed else changed

    def _read(
        self, plan: Plan, listing: Listing, sink: Sink, *, command: bool, reports: dict[str, TableReport]
    ) -> None:
        """Write the tables of one resource; they become visible together, and only when all pages came."""
        memberless = 0
        with ExitStack() as open_tables:
            objects = pairs = None
            if plan.objects:
                names = [column.name for column in plan.objects.columns]
                objects = open_tables.enter_context(
                    sink.table(plan.objects.name, [*names, COMMAND_COLUMN] if command else names)
                )
            if plan.pairs:
                pairs = open_tables.enter_context(sink.table(plan.pairs.name, plan.pairs.columns))
            for resources in listing.pages():
                if objects and plan.objects:
                    objects.write_rows(object_rows(plan.objects, resources, command=command))
                if pairs and plan.pairs:
                    memberless += write_pairs(pairs, plan.pairs, resources)
            rows = {"objects": objects.rows if objects else 0, "pairs": pairs.rows if pairs else 0}
        self._report(plan, listing, rows, command=command, memberless=memberless, reports=reports)

    @staticmethod
    def _report(
        plan: Plan,
        listing: Listing,
        rows: Mapping[str, int],
        *,
        command: bool,
        memberless: int,
        reports: dict[str, TableReport],
    ) -> None:
        reason = listing.tally.shortfall()
        if plan.objects:
            reports[plan.objects.name] = TableReport(
                table=plan.objects.name,
                rows=rows["objects"],
                complete=reason is None,
                expected=listing.tally.expected,
                command=command,
                reason=reason,
            )
        if plan.pairs:
            if reason is None and memberless:
                reason = f"{memberless} members have no value"
            reports[plan.pairs.name] = TableReport(
                table=plan.pairs.name, rows=rows["pairs"], complete=reason is None, reason=reason
            )


def plans_of(tables: Iterable[Table]) -> list[Plan]:
    """Tables grouped by resource, in the order in which resources are first met.

    Raises:
        ConfigurationError: two tables differ in case only.
    """
    plans: dict[str, Plan] = {}
    for table in tables:
        plan = plans.get(table.resource.name) or Plan(table.resource, None, None)
        objects, pairs = (table, plan.pairs) if isinstance(table, ObjectTable) else (plan.objects, table)
        if (plan.objects, plan.pairs).count(None) == (objects, pairs).count(None):
            raise ConfigurationError(f"table '{table.name}' is mapped under two names that differ in case only")
        plans[table.resource.name] = Plan(table.resource, objects, pairs)
    return list(plans.values())


def object_rows(
    table: ObjectTable, resources: Iterable[Mapping[str, Any]], *, command: bool = False
) -> Iterable[list[str | None]]:
    """One row for each resource, with the command at its end in an incremental table."""
    tail = [COMMAND] if command else []
    for resource in resources:
        yield [*(read_text(resource, column) for column in table.columns), *tail]


def write_pairs(writer: TableWriter, table: PairTable, groups: Iterable[Mapping[str, Any]]) -> int:
    """Write the members of a page of groups, each pair once; how many members name nobody.

    A group without id is left out here: the tally has made the whole reading incomplete.
    """
    pairs: dict[tuple[str, str], None] = {}
    nameless = 0
    for group in groups:
        key = group.get("id")
        if not isinstance(key, str) or not key:
            continue
        for member in members_of(group):
            if isinstance(member, str) and member:
                pairs[table.pair(key, member)] = None
            else:
                nameless += 1
    writer.write_rows(pairs)
    return nameless


def read_cookie(text: str | None) -> dict[str, str]:
    """The point in time of each resource.

    Raises:
        CookieExpired: the cookie is none that this connector wrote.
    """
    if text is None:
        return {}
    try:
        cookie = {str(name): text_of_instant(datetime.fromisoformat(value)) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        raise CookieExpired("the SCIM cookie cannot be read: run a complete export") from None
    return cookie


def text_of_instant(instant: datetime) -> str:
    """An instant in UTC as SCIM writes it."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
