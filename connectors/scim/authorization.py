"""How a connection proves who it is: bearer token, login and password, or OAuth2 client credentials."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from connectors.contract import Endpoint
from connectors.errors import AuthenticationFailed, ConfigurationError, ConnectionFailed
from connectors.web import checked_url

if TYPE_CHECKING:
    import httpx


class Authorization:
    """The ``Authorization`` header of one connection, and the secrets that no message may hold.

    ``extra.token_url`` asks for client credentials (RFC 6749 4.4; login = client id, password = client
    secret, optional ``extra.scope``), ``extra.token`` or a password without login is a bearer token,
    and login with password is HTTP basic.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        token_url = endpoint.extra.get("token_url")
        self._token_url = checked_url(str(token_url), "extra.token_url of the SCIM connection") if token_url else None
        if self._token_url and not (endpoint.login and endpoint.password):
            raise ConfigurationError("extra.token_url needs login (client id) and password (client secret)")
        self._token: str | None = str(endpoint.extra.get("token") or "") or None
        if self._token is None and not self._token_url and not endpoint.login:
            self._token = endpoint.password

    @property
    def secrets(self) -> list[str]:
        """Everything that must not appear in a message."""
        basic = _basic(self._endpoint.login, self._endpoint.password)
        return [secret for secret in (self._endpoint.password, self._token, basic) if secret]

    @property
    def renewable(self) -> bool:
        """Whether a refused token can be replaced by a new one."""
        return self._token_url is not None

    def header(self, client: httpx.Client) -> dict[str, str]:
        """The header to send; asks for a token first where one is needed and none is at hand."""
        if self._token is None and self._token_url:
            self._token = self._ask(client, self._token_url)
        if self._token:
            return {"Authorization": f"Bearer {self._token}"}
        if self._endpoint.login:
            return {"Authorization": f"Basic {_basic(self._endpoint.login, self._endpoint.password)}"}
        return {}

    def forget(self) -> None:
        """Drop a token that the server refuses."""
        self._token = None

    def _ask(self, client: httpx.Client, url: str) -> str:
        import httpx

        form = {"grant_type": "client_credentials"}
        if scope := self._endpoint.extra.get("scope"):
            form["scope"] = str(scope)
        basic = _basic(self._endpoint.login, self._endpoint.password)
        try:
            answer = client.post(
                url, data=form, headers={"Authorization": f"Basic {basic}", "Accept": "application/json"}
            )
            body: Any = answer.json() if answer.status_code == HTTPStatus.OK else {}
        except httpx.TransportError as error:
            raise ConnectionFailed(f"ask for a token: {type(error).__name__}") from None
        except ValueError:
            body = {}
        if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise ConnectionFailed(f"ask for a token: HTTP {answer.status_code}")
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise AuthenticationFailed(
                f"ask for a token: HTTP {answer.status_code}: the client credentials are refused"
            )
        return token


def _basic(login: str | None, password: str | None) -> str:
    return base64.b64encode(f"{login or ''}:{password or ''}".encode()).decode()
