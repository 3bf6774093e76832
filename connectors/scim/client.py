"""Requests to a service provider: authorization, retries, and answers as errors of one line.

Reads are retried on 429, 502, 503, 504 and connection errors; so are writes that may be repeated
without harm. A creation is only repeated where the server cannot have received it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from connectors.contract import ConnectionContext
from connectors.errors import AuthenticationFailed, ConfigurationError, ConnectionFailed, ConnectorError
from connectors.scim.answers import UNAVAILABLE, Answer, detail_of
from connectors.scim.authorization import Authorization
from connectors.scim.settings import ScimSettings, base_url
from connectors.web import http_date, seconds_to_wait, verification

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

MEDIA_TYPE = "application/scim+json"
LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 300.0
"""A server that asks for more than this, in seconds, is answered with ``Throttled``, not by waiting."""


class _Again(Exception):
    """A try that may be repeated: ``received`` tells whether the server may have acted on it."""

    def __init__(self, error: ConnectorError, *, received: bool, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.received = received
        self.wait = wait


@dataclass(frozen=True, slots=True)
class _Request:
    """One request as it goes out; ``name`` says in messages what it does."""

    method: str
    url: str
    name: str
    query: Mapping[str, str] | None
    body: Mapping[str, Any] | None = field(repr=False)
    headers: Mapping[str, str]


class ScimClient(AbstractContextManager["ScimClient"]):
    """One HTTP session with keep-alive; used as a context manager."""

    def __init__(self, context: ConnectionContext, settings: ScimSettings) -> None:
        self._context = context
        self._settings = settings
        self._authorization = Authorization(context.endpoint)
        self._base = base_url(context.endpoint, settings)
        self._http: httpx.Client | None = None

    def __enter__(self) -> Self:
        import httpx

        settings = self._settings
        self._http = httpx.Client(
            verify=verification(
                self._context.folder, verify_tls=settings.verify_tls, ca_bundle_path=settings.ca_bundle_path
            ),
            timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
            headers={"Accept": f"{MEDIA_TYPE}, application/json"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def get(self, operation: str, *steps: str, query: Mapping[str, str] | None = None) -> Answer:
        """Read; see ``request``."""
        return self.request("GET", operation, steps, query=query)

    def request(
        self,
        method: str,
        operation: str,
        steps: tuple[str, ...],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        etag: str | None = None,
        repeatable: bool = True,
        tries: int | None = None,
    ) -> Answer:
        """Send one request; answers other than 401 and those worth a retry are the caller's to judge.

        Args:
            method: The HTTP method.
            operation: What is being done to what, for messages ("create Users 'ada'").
            steps: Path below the base address, not yet quoted.
            query: Query parameters.
            body: JSON object to send.
            etag: Version that must still stand (``If-Match``).
            repeatable: Whether sending twice does no harm.
            tries: How often to try at most; by default ``max_retries`` and one.

        Raises:
            AuthenticationFailed: the credentials are refused, also after renewing a token.
            Throttled: the server asks to wait, still after the last try or longer than is reasonable.
            ConnectionFailed: the server cannot be reached or is unavailable after the last try. When
                ``repeatable`` is false, the request may have been carried out.
        """
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        def worth_repeating(error: BaseException) -> bool:
            return isinstance(error, _Again) and (repeatable or not error.received) and _bearable(error)

        retrying = Retrying(
            stop=stop_after_attempt(tries or self._settings.max_retries + 1),
            wait=_pause,
            retry=retry_if_exception(worth_repeating),
            reraise=True,
        )
        url = "/".join([self._base, *(quote(step, safe="") for step in steps)])
        headers = {} if body is None else {"Content-Type": MEDIA_TYPE}
        if etag is not None:
            headers["If-Match"] = etag
        wanted = _Request(method, url, f"{self._context.identifier}: {operation}", query, body, headers)
        try:
            return retrying(self._authorized, wanted)
        except _Again as again:
            raise again.error from None

    def reachable(self) -> bool:
        """Whether the server answers at all at this moment, tried once."""
        try:
            self.request("GET", "reach the server", ("ServiceProviderConfig",), tries=1)
        except ConnectionFailed:
            return False
        except ConnectorError:
            return True
        return True

    def _authorized(self, wanted: _Request) -> Answer:
        answer = self._send(wanted)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._authorization.renewable:
            self._authorization.forget()
            answer = self._send(wanted)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise answer.failure()
        if answer.status in UNAVAILABLE:
            raise _Again(answer.failure(), received=True, wait=answer.retry_after)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise _Again(answer.failure(), received=False, wait=answer.retry_after)
        return answer

    def _send(self, wanted: _Request) -> Answer:
        import httpx

        name = wanted.name
        if self._http is None:
            raise ConfigurationError(f"{name}: the SCIM session is not open")
        try:
            authorization = self._authorization.header(self._http)
        except ConnectionFailed as error:
            raise _Again(ConnectionFailed(f"{name}: {error.message}"), received=False) from None
        except AuthenticationFailed as error:
            raise AuthenticationFailed(f"{name}: {error.message}") from None
        try:
            response = self._http.request(
                wanted.method,
                wanted.url,
                params=wanted.query,
                json=wanted.body,
                headers={**wanted.headers, **authorization},
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _Again(ConnectionFailed(f"{name}: no connection ({error})"), received=False) from None
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise _Again(ConnectionFailed(f"{name}: the connection broke ({reason})"), received=True) from None
        return self._answer(name, response)

    def _answer(self, name: str, response: httpx.Response) -> Answer:
        now = datetime.now(UTC)
        body: Any = {}
        if response.content:
            try:
                body = response.json()
            except ValueError:
                if response.is_success:
                    raise self._unreadable(name, response) from None
        body = body if isinstance(body, dict) else {}
        return Answer(
            operation=name,
            status=response.status_code,
            body=body,
            etag=response.headers.get("ETag"),
            location=response.headers.get("Location"),
            retry_after=seconds_to_wait(response.headers.get("Retry-After"), now),
            detail=detail_of(body, self._authorization.secrets),
            served_at=http_date(response.headers.get("Date")),
        )

    def _unreadable(self, name: str, response: httpx.Response) -> Exception:
        """A success that is not JSON: cut short on the way, or not a SCIM server at all."""
        if "json" in response.headers.get("Content-Type", ""):
            return _Again(ConnectionFailed(f"{name}: the answer was cut short"), received=True)
        return ConfigurationError(f"{name}: the answer is not JSON; check the address of the server")


def _bearable(again: _Again) -> bool:
    return again.wait is None or again.wait <= LONGEST_RETRY_AFTER


def _pause(state: RetryCallState) -> float:
    """What the server asks for, else exponential with jitter, in seconds."""
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Again) and error.wait is not None:
        return error.wait
    return float(wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE)(state))
