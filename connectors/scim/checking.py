"""The connection check: whether the server answers, lets us in, and can do what the connector needs."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.contract import CheckResult, ConnectionContext
from connectors.errors import AuthenticationFailed, ConnectorError
from connectors.scim.client import ScimClient
from connectors.scim.discovery import Service, discover
from connectors.scim.listing import open_listing
from connectors.scim.settings import ScimSettings
from connectors.scim.tables import bound

REACHED = "Server reachable"
ACCEPTED = "Credentials accepted"
FILTERED = "Filters supported"
PATCHED = "PATCH supported"


def verdicts(context: ConnectionContext, settings: ScimSettings) -> Iterator[CheckResult]:
    """One verdict per thing checked, ending at the first that makes the others meaningless."""
    try:
        with ScimClient(context, settings) as client:
            service = discover(client, settings)
            yield CheckResult(REACHED, passed=True)
            listed = _listed(client, service)
            yield CheckResult(ACCEPTED, passed=True)
            yield listed
            yield from _features(service)
            yield from _tables(context, service)
    except AuthenticationFailed as error:
        yield CheckResult(ACCEPTED, passed=False, detail=error.message)
    except ConnectorError as error:
        yield CheckResult(REACHED, passed=False, detail=error.message)


def _listed(client: ScimClient, service: Service) -> CheckResult:
    """List one user, or one object of whatever the server has first.

    Refused credentials are raised, whatever else goes wrong is the verdict.
    """
    resource = service.resources.get("users") or next(iter(service.resources.values()))
    title = f"{resource.name} can be listed"
    try:
        listing = open_listing(client, service, resource, page_size=1)
        next(listing.pages(), None)
    except AuthenticationFailed:
        raise
    except ConnectorError as error:
        return CheckResult(title, passed=False, detail=error.message)
    return CheckResult(title, passed=True, detail=f"{listing.tally.expected} {resource.name}")


def _features(service: Service) -> Iterator[CheckResult]:
    yield CheckResult(
        FILTERED, passed=service.filter, detail="" if service.filter else "every export will be a complete one"
    )
    yield CheckResult(
        PATCHED, passed=service.patch, detail="" if service.patch else "objects will be replaced as a whole"
    )


def _tables(context: ConnectionContext, service: Service) -> Iterator[CheckResult]:
    for request in context.tables:
        try:
            bound(context, service, request)
        except ConnectorError as error:
            yield CheckResult(f"Table {request.name}", passed=False, detail=error.message)
        else:
            yield CheckResult(f"Table {request.name}", passed=True)
