"""What an integrator sets for a SCIM connection, and the address that follows from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from connectors.contract import ConnectorSettings, Endpoint
from connectors.errors import ConfigurationError

LOOPBACK_NAMES = ("localhost", "localhost.localdomain")


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


def checked_url(url: str, what: str) -> str:
    """A URL without trailing slash, refused where it would send credentials in the clear.

    Raises:
        ConfigurationError: not http(s), plain http to another machine, or credentials in the URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{what} is not an http(s) address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(f"{what} must hold neither credentials nor a query")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigurationError(f"{what} uses http to '{parts.hostname}': use https")
    return url.rstrip("/")


def base_url(endpoint: Endpoint, settings: ScimSettings) -> str:
    """The address of the service provider: ``host`` as a full URL, or put together from its parts.

    A path in ``host`` wins over ``base_path``; the scheme is https unless the endpoint says http.

    Raises:
        ConfigurationError: no host, or an address that ``checked_url`` refuses.
    """
    host = (endpoint.host or "").strip().rstrip("/")
    if not host:
        raise ConfigurationError("the SCIM connection has no host: set it in the Airflow Connection")
    if "://" not in host:
        host = f"{(endpoint.schema or 'https').lower()}://{host}"
    try:
        parts = urlsplit(host)
        port = parts.port or endpoint.port
    except ValueError:
        raise ConfigurationError("the host of the SCIM connection is not an address") from None
    if port and not parts.port:
        host = host.replace(parts.netloc, f"{parts.netloc}:{port}", 1)
    if not parts.path:
        host = f"{host}/{settings.base_path.strip('/')}"
    return checked_url(host, "the address of the SCIM connection")


def _is_loopback(host: str) -> bool:
    if host.casefold() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
