"""The CRM of the demo: a real server, started, seeded, counted and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors.errors import ConfigurationError, ConnectionFailed
from include.demo.accounts import SERVICE_ACCOUNTS, existing_accounts
from include.demo.crm import HOST, Crm, count, crm_server, seed
from include.demo.facts import CrmFigures
from include.demo.words import GROUPS
from tests.servers.process import free_port

TOKEN = "crm-token-of-the-tests"
SEEDED = CrmFigures(users=43, active_users=41, groups=6, members=22)


@pytest.fixture
def crm() -> Iterator[Crm]:
    with crm_server(free_port(), TOKEN) as server:
        yield server


def client(crm: Crm) -> httpx.Client:
    return httpx.Client(base_url=crm.url, headers={"Authorization": f"Bearer {crm.token}"})


def resources(crm: Crm, path: str) -> list[dict[str, Any]]:
    with client(crm) as http:
        return list(http.get(path, params={"count": "1000"}).json()["Resources"])


def test_the_crm_holds_groups_accounts_and_memberships_from_the_start(crm: Crm) -> None:
    assert count(crm) == SEEDED
    groups = {
        group["displayName"]: {one["value"] for one in group.get("members", ())} for group in resources(crm, "Groups")
    }
    users = {user["userName"]: user for user in resources(crm, "Users")}
    assert set(groups) == set(GROUPS.values())
    for item in [*existing_accounts().values(), *SERVICE_ACCOUNTS]:
        user = users[item.user_name]
        assert (user.get("externalId"), user["displayName"]) == (item.employee_id, item.display_name)
        assert (user.get("title"), user["active"]) == (item.title, item.active)
        assert [mail["value"] for mail in user.get("emails", ())] == ([item.mail] if item.mail else [])
        assert user.get("name", {}).get("familyName") == item.family_name
        assert {name for name, members in groups.items() if user["id"] in members} == ({item.group} - {None})


def test_the_crm_lets_nobody_in_without_the_token(crm: Crm) -> None:
    assert httpx.get(f"{crm.url}/Users").status_code == 401
    with pytest.raises(ConnectionFailed, match="401"):
        count(Crm(crm.url, "another"))
    assert TOKEN not in repr(crm)


def test_seeding_twice_changes_nothing(crm: Crm) -> None:
    before = sorted(user["id"] for user in resources(crm, "Users"))
    seed(crm)
    assert sorted(user["id"] for user in resources(crm, "Users")) == before
    assert count(crm) == SEEDED


def test_a_finished_seeding_leaves_later_changes_alone(crm: Crm) -> None:
    with client(crm) as http:
        http.delete(f"Users/{resources(crm, 'Users')[0]['id']}").raise_for_status()
    seed(crm)
    assert count(crm).users == SEEDED.users - 1


def test_a_broken_off_seeding_goes_on_where_it_stopped(crm: Crm) -> None:
    sales = next(group for group in resources(crm, "Groups") if group["displayName"] == "Sales")
    orphan = next(user for user in resources(crm, "Users") if user["userName"] == SERVICE_ACCOUNTS[-1].user_name)
    with client(crm) as http:
        http.delete(f"Groups/{sales['id']}").raise_for_status()
        http.delete(f"Users/{orphan['id']}").raise_for_status()
    assert count(crm).members < SEEDED.members
    seed(crm)
    assert count(crm) == SEEDED


def test_counting_goes_over_every_page(crm: Crm) -> None:
    with client(crm) as http:
        for number in range(200):
            user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": f"more{number}"}
            http.post("Users", json=user).raise_for_status()
    assert count(crm).users == SEEDED.users + 200


def test_the_server_is_gone_when_its_block_ends_even_by_an_error() -> None:
    port = free_port()
    with pytest.raises(RuntimeError, match="of the block"), crm_server(port, TOKEN):
        raise RuntimeError("of the block")
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, port)) != 0


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1 is taken"), crm_server(port, TOKEN):
            pass


def test_a_server_that_ends_at_once_says_why_without_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.demo.crm.HOST", "192.0.2.1")  # an address that is nobody's (RFC 5737)
    expected = r"^the CRM ended with \d+: .*Cannot assign requested address$"
    with pytest.raises(ConnectionFailed, match=expected) as raised, crm_server(free_port(), TOKEN):
        pass
    assert TOKEN not in str(raised.value)


@pytest.fixture
def command() -> Iterator[tuple[Crm, subprocess.Popen[str]]]:
    """``python -m include.demo crm``, ended in any case."""
    port = free_port()
    line = [sys.executable, "-m", "include.demo", "crm", "--port", str(port)]
    environment = {**os.environ, "ROLLCALL_DEMO_CRM_TOKEN": TOKEN}
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Crm(f"http://{HOST}:{port}/v2", TOKEN), process
        finally:
            process.terminate()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_end(
    sent: signal.Signals, command: tuple[Crm, subprocess.Popen[str]]
) -> None:
    crm, process = command
    assert process.stdout is not None
    line = process.stdout.readline()
    assert f"{crm.url} (43 accounts, 6 groups)" in line
    assert count(crm) == SEEDED
    process.send_signal(sent)
    rest = process.stdout.read()
    assert process.wait(20) == 0
    assert "has stopped" in rest
    assert TOKEN not in line + rest
    with pytest.raises(ConnectionFailed, match="does not answer"):
        count(crm)
