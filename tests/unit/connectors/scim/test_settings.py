"""Settings and the address that follows from them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from connectors.contract import ConnectionContext, Endpoint
from connectors.errors import ConfigurationError
from connectors.scim.authorization import Authorization
from connectors.scim.connector import ScimConnector
from connectors.scim.settings import ScimSettings, base_url


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (Endpoint(host="http://127.0.0.1:18080/v2"), "http://127.0.0.1:18080/v2"),
        (Endpoint(host="http://127.0.0.1:18080/v2/"), "http://127.0.0.1:18080/v2"),
        (Endpoint(host="https://crm.example.org"), "https://crm.example.org/v2"),
        (Endpoint(host="crm.example.org"), "https://crm.example.org/v2"),
        (Endpoint(host="crm.example.org", port=8443), "https://crm.example.org:8443/v2"),
        (Endpoint(host="crm.example.org/scim", port=8443), "https://crm.example.org:8443/scim"),
        (Endpoint(host="localhost", port=8080, schema="http"), "http://localhost:8080/v2"),
        (Endpoint(host="http://[::1]:80/v2"), "http://[::1]:80/v2"),
    ],
)
def test_the_address_is_a_url_or_put_together(endpoint: Endpoint, url: str) -> None:
    assert base_url(endpoint, ScimSettings()) == url


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (None, "no host"),
        ("http://crm.example.org/v2", "uses http to 'crm.example.org': use https"),
        ("http://127.0.0.1.example.org/v2", "use https"),
        ("ftp://crm.example.org", "not an http"),
        ("https://ada:secret@crm.example.org", "neither credentials nor a query"),
        ("https://crm.example.org/v2?token=secret", "neither credentials nor a query"),
        ("https://crm.example.org:port", "not an address"),
    ],
)
def test_addresses_that_would_leak_or_lead_nowhere_are_refused(host: str | None, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        base_url(Endpoint(host=host), ScimSettings())
    assert "secret" not in caught.value.message


def test_a_base_path_of_the_settings_is_used() -> None:
    assert base_url(Endpoint(host="crm.example.org"), ScimSettings(base_path="scim/v2/")).endswith(".org/scim/v2")


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        ScimSettings(pagesize=5)  # type: ignore[call-arg]


def test_token_addresses_must_be_safe_and_complete() -> None:
    with pytest.raises(ConfigurationError, match="use https"):
        Authorization(Endpoint(login="a", password="b", extra={"token_url": "http://login.example.org/token"}))
    with pytest.raises(ConfigurationError, match="needs login"):
        Authorization(Endpoint(password="b", extra={"token_url": "https://login.example.org/token"}))


def test_settings_of_another_package_are_refused() -> None:
    class Other(ScimSettings.__base__):  # type: ignore[name-defined, misc]
        """Settings of something else."""

    with pytest.raises(ConfigurationError, match="not settings of package scim"):
        ScimConnector(ConnectionContext("CRM", Other()))
