"""What connectors over HTTP share: addresses that send no credentials in the clear, certificates, and waits."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from connectors.contract import Endpoint
from connectors.errors import ConfigurationError

LOOPBACK_NAMES = ("localhost", "localhost.localdomain")


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


def base_url(endpoint: Endpoint, base_path: str, connection: str) -> str:
    """The address of a server: ``host`` as a full URL, or put together from its parts.

    A path in ``host`` wins over ``base_path``; the scheme is https unless the endpoint says http.

    Args:
        endpoint: the address as the Airflow Connection holds it.
        base_path: the path where ``host`` holds none; may be empty.
        connection: the kind of connection, for messages ("the SCIM connection").

    Raises:
        ConfigurationError: no host, or an address that ``checked_url`` refuses.
    """
    host = (endpoint.host or "").strip().rstrip("/")
    if not host:
        raise ConfigurationError(f"{connection} has no host: set it in the Airflow Connection")
    if "://" not in host:
        host = f"{(endpoint.schema or 'https').lower()}://{host}"
    try:
        parts = urlsplit(host)
        port = parts.port or endpoint.port
    except ValueError:
        raise ConfigurationError(f"the host of {connection} is not an address") from None
    if port and not parts.port:
        host = host.replace(parts.netloc, f"{parts.netloc}:{port}", 1)
    if not parts.path and base_path.strip("/"):
        host = f"{host}/{base_path.strip('/')}"
    return checked_url(host, f"the address of {connection}")


def verification(folder: Path, *, verify_tls: bool, ca_bundle_path: Path | None) -> Any:
    """What httpx takes as ``verify``: no check, the usual certificates, or those of a file under ``folder``.

    Raises:
        ConfigurationError: the file is no readable set of certificates.
    """
    import ssl

    if not verify_tls:
        return False
    if ca_bundle_path is None:
        return True
    path = folder / ca_bundle_path
    try:
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError):
        raise ConfigurationError(f"ca_bundle_path '{path}' is not a readable set of certificates") from None


def seconds_to_wait(header: str | None, now: datetime) -> float | None:
    """A ``Retry-After`` header in seconds: a number, or a date (RFC 9110 10.2.3)."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        instant = http_date(header)
        return None if instant is None else max(0.0, (instant - now).total_seconds())


def http_date(header: str | None) -> datetime | None:
    """An HTTP date, ``None`` where there is none or it cannot be read."""
    try:
        instant = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _is_loopback(host: str) -> bool:
    if host.casefold() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
