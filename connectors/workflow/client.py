"""Airflow's REST API as a connector needs it: start a DAG run, find one, look at a DAG.

Source: Airflow 3 stable REST API (``/api/v2``), token from ``/auth/token``. A DAG run is created under
a run id of our own, so every request may be repeated without harm.
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
from connectors.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidValue,
    PermissionDenied,
    Throttled,
    TransientError,
)
from connectors.web import base_url, seconds_to_wait, verification
from connectors.workflow.launch import Launch
from connectors.workflow.settings import InternalWorkflowSettings

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

LONGEST_DETAIL = 200
LONGEST_NOTE = 1000
UNAVAILABLE = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: ``detail`` is Airflow's own word on an error, without secrets; ``body`` is never shown."""

    operation: str
    status: int
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    detail: str = ""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def failure(self) -> ConnectorError:
        """The error that this answer means, in one line."""
        line = f"{self.operation}: HTTP {self.status}" + (f": {self.detail}" if self.detail else "")
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            return Throttled(line, self.retry_after)
        if self.status in UNAVAILABLE:
            return ConnectionFailed(line)
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return TransientError(line)
        if self.status < HTTPStatus.BAD_REQUEST:
            return ConfigurationError(f"{line}: the server points elsewhere; set that address as the host")
        known: dict[int, type[ConnectorError]] = {
            HTTPStatus.UNAUTHORIZED: AuthenticationFailed,
            HTTPStatus.FORBIDDEN: PermissionDenied,
            HTTPStatus.NOT_FOUND: ConfigurationError,
        }
        return known.get(self.status, InvalidValue)(line)


@dataclass(frozen=True, slots=True)
class _Request:
    """One request as it goes out; ``operation`` says in messages what it does."""

    method: str
    operation: str
    url: str
    query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = field(default=None, repr=False)


class WorkflowClient(AbstractContextManager["WorkflowClient"]):
    """One HTTP session with Airflow; used as a context manager."""

    def __init__(self, context: ConnectionContext, settings: InternalWorkflowSettings) -> None:
        endpoint = context.endpoint
        self._name = context.identifier
        self._settings = settings
        self._folder = context.folder
        self._base = base_url(endpoint, "", "the workflow connection")
        self._login, self._password = endpoint.login, endpoint.password
        self._given = str(endpoint.extra.get("token") or "") or (None if endpoint.login else endpoint.password)
        self._token: str | None = self._given or None
        self._http: httpx.Client | None = None

    def __enter__(self) -> Self:
        import httpx

        settings = self._settings
        self._http = httpx.Client(
            verify=verification(self._folder, verify_tls=settings.verify_tls, ca_bundle_path=settings.ca_bundle_path),
            timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
            headers={"Accept": "application/json"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def start(self, wanted: Launch) -> bool:
        """Create the DAG run; False where it was there already.

        Raises:
            ConfigurationError: no such DAG, or one that cannot be started.
            InvalidValue: the DAG refuses the parameters.
            AuthenticationFailed, PermissionDenied, TransientError: as they say.
        """
        body = {
            "dag_run_id": wanted.run_id,
            "logical_date": None,
            "conf": wanted.parameters,
            "note": wanted.note[:LONGEST_NOTE] or None,
        }
        steps = ("dags", wanted.workflow, "dagRuns")
        answer = self._request("POST", f"start workflow '{wanted.workflow}'", steps, body=body)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise ConfigurationError(
                f"{answer.operation}: Airflow has no DAG of that id; deploy it, or correct the identifier"
            )
        if answer.status == HTTPStatus.CONFLICT and self._has_run(wanted):
            return False
        if not answer.ok:
            raise answer.failure()
        return True

    def workflow_of(self, run_id: str) -> str | None:
        """The DAG that has a run of that id, among those that this account may see; ``None`` where none has."""
        query = {"run_id_prefix_pattern": run_id, "limit": "100"}
        answer = self._request("GET", f"look for run '{run_id}'", ("dags", "~", "dagRuns"), query=query)
        if not answer.ok:
            raise answer.failure()
        runs = answer.body.get("dag_runs") or ()
        return next((str(run["dag_id"]) for run in runs if run.get("dag_run_id") == run_id), None)

    def workflow(self, identifier: str) -> Mapping[str, Any] | None:
        """What Airflow says of a DAG; ``None`` where it has none of that id."""
        answer = self._request("GET", f"look at workflow '{identifier}'", ("dags", identifier))
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if not answer.ok:
            raise answer.failure()
        return answer.body

    def enter(self) -> None:
        """Make sure that Airflow answers and lets this account in.

        Raises:
            AuthenticationFailed, PermissionDenied, TransientError, ConfigurationError: as they say.
        """
        answer = self._request("GET", "list workflows", ("dags",), query={"limit": "1"})
        if not answer.ok:
            raise answer.failure()

    def reachable(self) -> bool:
        """Whether Airflow answers at all at this moment, tried once."""
        try:
            self._send(_Request("GET", "reach Airflow", f"{self._base}/api/v2/version"), {})
        except ConnectionFailed:
            return False
        except ConnectorError:
            return True
        return True

    def _has_run(self, wanted: Launch) -> bool:
        steps = ("dags", wanted.workflow, "dagRuns", wanted.run_id)
        return self._request("GET", f"look for run '{wanted.run_id}'", steps).ok

    def _request(
        self,
        method: str,
        operation: str,
        steps: tuple[str, ...],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One request, repeated while Airflow is out of reach; answers below 500 are the caller's to judge."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        url = "/".join([f"{self._base}/api/v2", *(quote(step, safe="~") for step in steps)])
        retrying = Retrying(
            stop=stop_after_attempt(self._settings.max_retries + 1),
            wait=_pause,
            retry=retry_if_exception_type(ConnectionFailed),
            reraise=True,
        )
        return retrying(self._authorized, _Request(method, operation, url, query, body))

    def _authorized(self, wanted: _Request) -> Answer:
        answer = self._send(wanted, self._authorization())
        if answer.status == HTTPStatus.UNAUTHORIZED and self._given is None and self._login:
            # Tokens end; a new one tells whether the credentials still hold.
            self._token = None
            answer = self._send(wanted, self._authorization())
        stops = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
        if answer.status in stops or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise answer.failure()
        return answer

    def _authorization(self) -> dict[str, str]:
        if self._token is None and self._login:
            self._token = self._ask_for_token()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _ask_for_token(self) -> str:
        credentials = {"username": self._login, "password": self._password or ""}
        answer = self._send(_Request("POST", "ask for a token", f"{self._base}/auth/token", body=credentials), {})
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise AuthenticationFailed(f"{answer.operation}: HTTP {answer.status}: login or password is refused")
        token = answer.body.get("access_token")
        if answer.ok and isinstance(token, str) and token:
            return token
        if answer.ok or answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
            raise ConfigurationError(
                f"{answer.operation}: HTTP {answer.status}: this address gives no token; "
                "check the host, or use a token as password without a login"
            )
        raise answer.failure()

    def _send(self, wanted: _Request, headers: Mapping[str, str]) -> Answer:
        import httpx

        name = f"{self._name}: {wanted.operation}"
        if self._http is None:
            raise ConfigurationError(f"{name}: the session with Airflow is not open")
        try:
            response = self._http.request(
                wanted.method, wanted.url, params=wanted.query, json=wanted.body, headers=dict(headers)
            )
        except httpx.TransportError as error:
            reason = self._shown(str(error) or type(error).__name__)
            raise ConnectionFailed(f"{name}: no connection ({reason})") from None
        except ValueError:
            raise InvalidValue(f"{name}: the order holds a value that JSON or UTF-8 cannot carry") from None
        return self._answer(name, response)

    def _answer(self, name: str, response: httpx.Response) -> Answer:
        try:
            body = response.json() if response.content else {}
        except ValueError:
            if response.is_success:
                raise ConfigurationError(f"{name}: the answer is not JSON; check the address of Airflow") from None
            body = {}
        body = body if isinstance(body, dict) else {}
        wait = seconds_to_wait(response.headers.get("Retry-After"), datetime.now(UTC))
        return Answer(name, response.status_code, body, self._shown(_detail(body.get("detail"))), wait)

    def _shown(self, text: str) -> str:
        """Someone else's words in one short line, with every secret blotted out."""
        text = " ".join(text.split())
        for secret in (self._password, self._token):
            text = text.replace(secret, "***") if secret else text
        return text if len(text) <= LONGEST_DETAIL else f"{text[:LONGEST_DETAIL]}..."


def _detail(detail: Any) -> str:
    """Airflow's detail of an error: a text, an object with a reason, or a list of mistakes in the request."""
    if isinstance(detail, list):
        return "; ".join(_detail(item) for item in detail)
    if isinstance(detail, Mapping):
        return str(detail.get("msg") or detail.get("reason") or "")
    return str(detail or "")


def _pause(state: RetryCallState) -> float:
    from tenacity import wait_random_exponential

    return float(wait_random_exponential(multiplier=0.5, max=10)(state))
