"""What an integrator sets for a SCIM connection, and the address that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from connectors import web
from connectors.contract import ConnectorSettings, Endpoint


class ScimSettings(ConnectorSettings):
    """Settings of the ``scim`` package.

    ``filters`` maps a resource (``Users``) to a SCIM filter (RFC 7644 3.4.2.2) that narrows its
    export. ``schemas`` names extension schemas that the server uses without announcing them, so that
    columns such as ``urn:example:2.0:User:badge`` can be told apart from their attribute. Timeouts
    are in seconds.

    ``check_current_values`` refuses to change an attribute that holds neither what was last read of it nor what is
    wanted (``Conflict``): true reads every object before it is changed, false never compares. By default, what has to
    be read anyway is compared.
    """

    base_path: str = "/v2"
    page_size: Annotated[int, Field(ge=1, le=10_000)] = 200
    filters: Mapping[str, str] = {}
    schemas: tuple[str, ...] = ()
    verify_tls: bool = True
    ca_bundle_path: Path | None = None
    connect_timeout: Annotated[float, Field(gt=0)] = 10.0
    read_timeout: Annotated[float, Field(gt=0)] = 60.0
    max_retries: Annotated[int, Field(ge=0, le=20)] = 5
    check_current_values: bool | None = None

    def filter(self, resource: str) -> str | None:
        """The filter of a resource, matched without case."""
        return next((text for name, text in self.filters.items() if name.casefold() == resource.casefold()), None)


def base_url(endpoint: Endpoint, settings: ScimSettings) -> str:
    """The address of the service provider (``connectors.web.base_url``).

    Raises:
        ConfigurationError: no host, or an address that would send credentials in the clear.
    """
    return web.base_url(endpoint, settings.base_path, "the SCIM connection")
