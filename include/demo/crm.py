"""The CRM of the demo organisation: a real SCIM 2.0 server on a loopback port.

It keeps its accounts in memory: they live as long as the server. What is in it before Rollcall
(``include.demo.accounts``) is put there over HTTP, as an administrator would have done.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from connectors.errors import ConfigurationError, ConnectionFailed
from include.demo.accounts import SERVICE_ACCOUNTS, Account, existing_accounts
from include.demo.facts import CrmFigures
from include.demo.words import GROUPS

if TYPE_CHECKING:
    import httpx

HOST = "127.0.0.1"
PROGRAM = "scim2-server"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
CALL_SECONDS = 30.0
ANSWER_SECONDS = 1.0
PAUSE = 0.05
PAGE = 200
USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"


@dataclass(frozen=True, slots=True)
class Crm:
    """A running CRM."""

    url: str
    """Base address, with the version of the protocol."""
    token: str = field(repr=False)
    """The bearer token that it asks for."""


@contextmanager
def crm_server(port: int, token: str) -> Iterator[Crm]:
    """Run the CRM on a loopback port until the block ends, with what is in it before Rollcall.

    Raises:
        ConfigurationError: the server is not installed, or the port is taken.
        ConnectionFailed: the server ends or stays silent; the last line of its log says why.
    """
    program = Path(sys.executable).with_name(PROGRAM)
    if not program.exists():
        raise ConfigurationError(f"the CRM of the demo needs {PROGRAM}: install the test dependencies")
    if _answers(port):
        raise ConfigurationError(f"port {port} of {HOST} is taken: choose another for the CRM")
    crm = Crm(f"http://{HOST}:{port}/v2", token)
    # The server takes its token on the command line only: other accounts of this machine can read it there.
    command = [str(program), f"--hostname={HOST}", f"--port={port}", f"--bearer-token={token}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603  the program stands beside our own interpreter
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait(process, crm, log)
            seed(crm)
            yield crm
        finally:
            _stop(process)


def seed(crm: Crm) -> None:
    """Put groups and accounts in the CRM that were there before Rollcall.

    Accounts first, each group with its members after them: a seeding that broke off goes on where it
    stopped, and one that has come to its end is never repeated, for Rollcall may have changed the
    accounts since.
    """
    with _client(crm) as client:
        groups = {group["displayName"] for group in _all(client, "Groups", "displayName")}
        missing = [name for name in GROUPS.values() if name not in groups]
        if not missing:
            return
        accounts = [*existing_accounts().values(), *SERVICE_ACCOUNTS]
        identifiers = {user["userName"]: user["id"] for user in _all(client, "Users", "userName")}
        for item in accounts:
            if item.user_name not in identifiers:
                identifiers[item.user_name] = _create(client, "Users", _user(item))
        for name in missing:
            members = [{"value": identifiers[item.user_name]} for item in accounts if item.group == name]
            _create(client, "Groups", {"schemas": [GROUP_SCHEMA], "displayName": name, "members": members})


def count(crm: Crm) -> CrmFigures:
    """What is in the CRM now.

    Raises:
        ConnectionFailed: the CRM does not answer as a SCIM server does.
    """
    with _client(crm) as client:
        users = list(_all(client, "Users", "active"))
        groups = list(_all(client, "Groups", "members"))
    return CrmFigures(
        users=len(users),
        active_users=sum(bool(user.get("active")) for user in users),
        groups=len(groups),
        members=sum(len(group.get("members", ())) for group in groups),
    )


def _user(item: Account) -> dict[str, Any]:
    """An account as SCIM writes it (RFC 7643 4.1); what it does not have is left out."""
    resource = {
        "schemas": [USER_SCHEMA],
        "userName": item.user_name,
        "externalId": item.employee_id,
        "displayName": item.display_name,
        "name": {"familyName": item.family_name, "givenName": item.given_name} if item.family_name else None,
        "title": item.title,
        "emails": [{"value": item.mail, "type": "work", "primary": True}] if item.mail else None,
        "active": item.active,
    }
    return {name: value for name, value in resource.items() if value is not None}


def _client(crm: Crm, seconds: float = CALL_SECONDS) -> httpx.Client:
    import httpx

    headers = {"Authorization": f"Bearer {crm.token}"}
    return httpx.Client(base_url=crm.url, headers=headers, timeout=seconds)


def _create(client: httpx.Client, path: str, resource: dict[str, Any]) -> str:
    """Create a resource; its identifier."""
    return str(_call(lambda: client.post(path, json=resource))["id"])


def _all(client: httpx.Client, path: str, attribute: str) -> Iterator[dict[str, Any]]:
    """Every resource, page by page, with its identifier and one more attribute (RFC 7644 3.4.2.4)."""
    seen, total = 0, 1
    while seen < total:
        asked = {"attributes": f"id,{attribute}", "sortBy": "id", "startIndex": str(seen + 1), "count": str(PAGE)}
        answer = _call(lambda: client.get(path, params=asked))  # noqa: B023  called at once
        page = answer.get("Resources", [])
        yield from page
        seen, total = seen + len(page), answer["totalResults"] if page else 0


def _call(send: Callable[[], httpx.Response]) -> dict[str, Any]:
    import httpx

    try:
        answer = send()
        answer.raise_for_status()
    except httpx.HTTPStatusError as error:
        raise ConnectionFailed(f"the CRM answers {error.response.status_code} to {error.request.url.path}") from None
    except httpx.HTTPError as error:
        raise ConnectionFailed(f"the CRM does not answer ({type(error).__name__})") from None
    resource: dict[str, Any] = answer.json()
    return resource


def _answers(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(ANSWER_SECONDS)
        return probe.connect_ex((HOST, port)) == 0


def _wait(process: subprocess.Popen[bytes], crm: Crm, log: IO[bytes]) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + START_SECONDS
    with _client(crm, ANSWER_SECONDS) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                _call(lambda: client.get("ServiceProviderConfig"))
            except ConnectionFailed:
                time.sleep(PAUSE)
            else:
                return
    state = "does not answer" if process.poll() is None else f"ended with {process.returncode}"
    log.seek(0)
    last = log.read().decode(errors="replace").strip().rpartition("\n")[2]
    raise ConnectionFailed(f"the CRM {state}: {last}".replace(crm.token, "***"))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
