"""The three days through every room in one process: each figure is as the generator counted it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.command.runs import run_provisioning, run_synchronization
from include.demo.accounts import SERVICE_ACCOUNTS, account
from include.demo.crm import Crm, count, crm_server
from include.demo.facts import DayFacts
from include.demo.organisation import badge_database, hr_folder, write_day
from include.demo.story import story
from include.model.environment import project_root
from include.orchestration.project import load_project, open_repository
from include.orchestration.run import Run
from include.policy.states import ProvisioningState
from tests.servers.process import free_port

ALL = 1_000_000


@pytest.fixture
def crm() -> Iterator[Crm]:
    with crm_server(free_port(), "crm-token-of-three-days") as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, crm: Crm, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the managed systems; Rollcall's own files lie beside it."""
    systems = tmp_path / "systems"
    connections = {
        "HR": {"conn_type": "fs", "extra": {"path": str(hr_folder(systems))}},
        "BADGE": {"conn_type": "sqlite", "host": str(badge_database(systems))},
        "CRM": {"conn_type": "http", "host": crm.url, "password": crm.token},
    }
    for name, value in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_ROLLCALL_{name}", json.dumps(value))
    monkeypatch.setenv("ROLLCALL_CONFIG", str(project_root() / "include" / "demo" / "configuration"))
    monkeypatch.setenv("ROLLCALL_STORAGE", f"file://{tmp_path / 'storage'}")
    monkeypatch.setenv("ROLLCALL_REPOSITORY", f"sqlite:///{tmp_path / 'repository.db'}")
    open_repository(load_project()).migrate(load_project())
    return systems


def synchronize(connector: str, day: DayFacts) -> tuple[Run, dict[str, Any]]:
    run, result = run_synchronization(connector, "initial" if day.day == 1 else "complete", None, "")
    assert result["state"] == ("blocked" if connector == "HR" and day.blocked else "loaded"), result
    return run, result


def entities(run: Run) -> dict[str, dict[str, int]]:
    counters = run.folder.read_json("changes/changes.json")["entity_types"]
    return {table: {name: one[name] for name in ("inserted", "updated", "deleted")} for table, one in counters.items()}


def links(run: Run) -> dict[str, dict[str, int]]:
    counters = run.folder.read_json("changes/changes.json")["associations"]
    return {table: {name: one[name] for name in ("inserted", "deleted")} for table, one in counters.items()}


def check_hr(run: Run, facts: DayFacts) -> None:
    aside = facts.set_aside
    people = run.folder.read_json("clean/preparation.json")["entity_types"]["HR_Person"]
    assert people["exported"] == facts.people_rows
    assert people["null_keys"] == aside.empty_keys
    assert people["duplicates"] == aside.conflicting_lines + aside.repeated_lines
    assert people["rejected"] == aside.bad_dates
    assert entities(run) == {"HR_Person": asdict(facts.people), "HR_Organization": asdict(facts.organisations)}
    assert links(run) == {
        "HR_PersonOrganization": asdict(facts.organisation_links),
        "HR_PersonManager": asdict(facts.manager_links),
    }


def check_badge(run: Run, facts: DayFacts) -> None:
    preparation = run.folder.read_json("clean/preparation.json")
    assert preparation["entity_types"]["Badge_Card"]["exported"] == facts.card_rows
    assert preparation["associations"]["Badge_CardHolder"]["rejected"] == facts.set_aside.unknown_holders
    assert entities(run) == {"Badge_Card": asdict(facts.cards)}
    assert links(run) == {"Badge_CardHolder": asdict(facts.holder_links)}


def new_orders(seen: set[str]) -> tuple[Counter[str], Counter[str]]:
    """Orders since the last call by change type, and the memberships in them."""
    orders = [one for one in open_repository(load_project()).orders("CRM", limit=ALL) if one["order_id"] not in seen]
    seen.update(one["order_id"] for one in orders)
    memberships: Counter[str] = Counter()
    for order in orders:
        for name in ("groups_add", "groups_remove"):
            memberships[name] += len(json.loads(order["changes"] or "{}").get(name, ()))
    return Counter(order["change_type"] for order in orders), memberships


def check_orders(facts: DayFacts, crm: Crm, seen: set[str]) -> None:
    _, result = run_provisioning("CRM", None, "")
    assert result["state"] == "done", result
    types, memberships = new_orders(seen)
    expected = facts.orders
    assert types == Counter(Added=expected.created, Modified=expected.changed, Deleted=expected.deleted)
    assert memberships["groups_add"] == expected.membership_adds
    assert memberships["groups_remove"] == expected.membership_removes
    assert count(crm) == facts.crm


def check_identities(facts: DayFacts) -> None:
    """HR's people become identities, the next run verifies them, and who is gone from HR stays."""
    repository = open_repository(load_project())
    before = {order["order_id"] for order in repository.orders("Directory", limit=ALL)}
    for expected in ({"executed": facts.identity_orders.inserted + facts.identity_orders.updated}, {}):
        _, result = run_provisioning("Directory", None, "")
        assert result["report"]["states"].get("Directory_User_Person", {}) == expected
    orders = [order for order in repository.orders("Directory", limit=ALL) if order["order_id"] not in before]
    assert {order["provisioning_state"] for order in orders} == {ProvisioningState.VERIFIED}
    links = repository.link_keys_as_of("Directory_UserOrganization", datetime.now(UTC), limit=None)
    people = story().people(facts.day)
    moved = {link["key1"]: link["key2"] for link in links if link["key1"] in story().cast.movers}
    assert moved == {key: people[key].org_code for key in story().cast.movers}
    users = {user["employee_id"]: user for user in repository.as_of("Directory_User", datetime.now(UTC), limit=None)}
    assert len(users) == facts.identities
    for key in story().cast.renamed:
        assert users[key]["login"] == story().first[key].mail.partition("@")[0]
        assert (users[key]["mail"], users[key]["last_name"]) == (people[key].mail, people[key].last_name)


@pytest.mark.timeout(900)
def test_three_days_come_out_as_counted(folder: Path, crm: Crm) -> None:
    seen: set[str] = set()
    for day in (1, 2):
        facts = write_day(folder, day)  # type: ignore[arg-type]
        check_hr(synchronize("HR", facts)[0], facts)
        check_identities(facts)
        check_badge(synchronize("Badge", facts)[0], facts)
        synchronize("CRM", facts)
        check_orders(facts, crm, seen)
        # What was written comes back, passes the limits, and leaves nothing to order.
        run, _ = run_synchronization("CRM", "complete", None, "")
        assert not run.folder.read_json("changes/verdict.json")["blocked"]
        run_provisioning("CRM", None, "")
        assert new_orders(seen) == (Counter(), Counter())
        assert count(crm) == facts.crm
        check_names(crm)
    facts = write_day(folder, 3)
    run, _ = synchronize("HR", facts)
    check_hr(run, facts)


def check_names(crm: Crm) -> None:
    """Every account that HR's people own holds their names to the byte."""
    import httpx

    headers = {"Authorization": f"Bearer {crm.token}"}
    users: dict[str, Any] = {}
    while len(users) < count(crm).users:
        asked = {"count": "500", "startIndex": str(len(users) + 1), "sortBy": "id"}
        page = httpx.get(f"{crm.url}/Users", params=asked, headers=headers).json()["Resources"]
        users |= {user["userName"]: user for user in page}
    assert {item.user_name for item in SERVICE_ACCOUNTS} <= users.keys()
    people = {person.employee_id: person for person in (*story().first.values(), *story().second.values())}
    both = {key for key in story().first if story().first[key] == story().second.get(key)}
    for user in users.values():
        if user.get("externalId") in both:
            expected = account(people[user["externalId"]])
            assert user["userName"] == expected.user_name
            assert user["name"] == {"familyName": expected.family_name, "givenName": expected.given_name}
            assert (user["displayName"], user.get("title")) == (expected.display_name, expected.title)
