"""Provisioning step by step against a SCIM server, through a proxy that fails on demand (engine.md 3.6 to 3.11)."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import AuthenticationFailed
from include.command.runs import run_provisioning
from include.orchestration import provision
from include.orchestration.decisions import APPLY_ALL, REJECT, Decision
from include.orchestration.project import load_project, open_repository
from include.orchestration.run import Run, StepFailed
from include.policy.states import ProvisioningState as P
from include.provisioning.dispatch import Patience, fulfil_batch
from include.provisioning.plan import read_generation
from include.repository.repository import Repository
from tests.crash import provisioning_scenario as scenario
from tests.crash.play import decision_of
from tests.crash.provisioning import ManagedSystem, managed_system
from tests.crash.whole import synchronize_whole
from tests.servers.scim import ScimServer
from tests.simulators.faulty_proxy import Exchange, Reply

ACCOUNTS_ONLY = scenario.TARGET_CONFIGURATION.partition("  - identifier: Rooms_Folder")[0]


@dataclass
class Provisioning:
    """The folder of the installation, the managed system, and the runs so far."""

    folder: Path
    system: ManagedSystem
    count: int = 0

    @property
    def repository(self) -> Repository:
        return open_repository(load_project())

    def configure(self, target: str = scenario.TARGET_CONFIGURATION, **replaced: str) -> None:
        for old, new in replaced.items():
            marked = f"    {old}: "
            assert marked in target, old
            lines = [f"{marked}{new}" if line.startswith(marked) else line for line in target.splitlines()]
            target = "\n".join(lines)
        (self.folder / "configuration" / "rooms.yaml").write_text(target)

    def people(self, count: int, **changes: str) -> None:
        """A file of so many people, who are known at once, as is what the managed system holds."""
        lines = [changes.get(f"P{number}", f"P{number},Name {number},Clerk,works") for number in range(count)]
        (self.folder / "files" / "people.csv").write_text("\n".join(["id,name,title,team", *lines]) + "\n")
        self.read()

    def read(self) -> None:
        for connector in (scenario.SOURCE, scenario.TARGET):
            self.count += 1
            synchronize_whole(connector, f"read-{self.count}", decision_of(APPLY_ALL) or {})

    def begin(self) -> tuple[Run, dict[str, Any]]:
        self.count += 1
        run = provision.open_run(scenario.TARGET, f"run-{self.count}")
        provision.evaluate(run)
        return run, provision.generate_orders(run)

    def end(self, run: Run) -> dict[str, Any]:
        for batch in provision.batches(run):
            provision.fulfil(run, batch)
            provision.read_back(run, batch)
        return provision.report(run)

    def run(self) -> dict[str, Any]:
        run, _ = self.begin()
        provision.transmit(run)
        return self.end(run)

    def orders(self, run: Run) -> dict[str, str]:
        batches = [f"{item.batch}.json" for item in read_generation(run.folder).batches]
        return {file: run.folder.read_text(f"orders/{file}") for file in batches}

    def rows(self, entity: str) -> list[dict[str, Any]]:
        return self.repository.as_of(entity, datetime.now(UTC), limit=None)

    def states(self, entity: str = "assigned_resource_type") -> dict[str, P]:
        key = {"assigned_resource_type": "assignment", "assigned_resource_scalar": "assigned_scalar"}[entity]
        return {row[key]: P(row["provisioning_state"]) for row in self.rows(entity)}

    def users(self) -> dict[str, dict[str, Any]]:
        return {user["userName"]: user for user in self.system.content()["/Users"]}


@pytest.fixture
def provisioning(
    scim_server: ScimServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Provisioning]:
    for name in ("configuration", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "configuration" / "crew.yaml").write_text(scenario.SOURCE_CONFIGURATION)
    with managed_system(scim_server, f"p{abs(hash(request.node.nodeid)):x}") as system:
        files = {"conn_type": "fs", "extra": {"path": f"{tmp_path}/files"}}
        rooms = {"conn_type": "http", "host": system.proxy.url, "password": system.token}
        monkeypatch.setenv("ROLLCALL_CONFIG", f"{tmp_path}/configuration")
        monkeypatch.setenv("ROLLCALL_STORAGE", f"file://{tmp_path}/storage")
        monkeypatch.setenv("ROLLCALL_REPOSITORY", f"sqlite:///{tmp_path}/repository.db")
        monkeypatch.setenv("AIRFLOW_HOME", f"{tmp_path}/airflow")
        monkeypatch.setenv("AIRFLOW_CONN_CREW_FILES", json.dumps(files))
        monkeypatch.setenv("AIRFLOW_CONN_ROOMS", json.dumps(rooms))
        quick = functools.partial(fulfil_batch, patience=Patience(tries=2, first_wait=0.01, longest_wait=0.01))
        monkeypatch.setattr(provision, "fulfil_batch", quick)
        made = Provisioning(tmp_path, system)
        made.configure()
        yield made


def about(user: str, reply: Reply, times: int = 1_000_000) -> Any:
    """Answer creations of one user with something else, so many times."""
    left = [times]

    def before(exchange: Exchange) -> Reply | None:
        if f'"{user}"' not in exchange.body.decode() or left[0] == 0:
            return None
        left[0] -= 1
        return reply

    return before


def refuse(place: Provisioning, user: str, reply: Reply, times: int = 1_000_000) -> None:
    """As ``about``, before the faults that count: what is not carried out is no write."""
    count = next(fault for fault in place.system.proxy.faults if fault.method == "POST")
    answer, before = about(user, reply, times), count.before
    assert before is not None

    def refused(exchange: Exchange) -> Reply | None:
        given = answer(exchange)
        return given if given is not None else before(exchange)

    count.before = refused


def test_what_is_above_the_limit_waits_and_its_approval_sends_exactly_those_orders(provisioning: Provisioning) -> None:
    """engine.md 8.3, test 12: 31 of 100."""
    provisioning.configure(ACCOUNTS_ONLY.replace("maximum_delete_percent: 40", "maximum_delete_percent: 30"))
    provisioning.people(100)
    assert provisioning.run()["states"] == {"Rooms_Account": {"verified": 100}}
    provisioning.people(69)
    run, verdict = provisioning.begin()
    assert verdict["blocked"]
    decided = provisioning.orders(run)
    assert sum(text.count('"ChangeType":"Deleted"') for text in decided.values()) == 31
    with pytest.raises(StepFailed, match="nobody has decided"):
        provision.transmit(run)
    assert provision.batches(run) == []
    assert provision.generate_orders(run) == verdict
    approval = Decision(APPLY_ALL, "Ada Auditor", datetime.now(UTC).isoformat(), "they left")
    assert provision.transmit(run, approval, verdict["plan"]) == provision.batches(run)
    assert provisioning.orders(run) == decided
    assert len(provisioning.users()) == 100, "nothing goes before it is fulfilled"
    assert provisioning.end(run)["states"] == {"Rooms_Account": {"verified": 31}}
    assert len(provisioning.users()) == 69
    assert provisioning.orders(run) == decided


def test_rejected_orders_stay_rejected_however_often_their_task_runs(provisioning: Provisioning) -> None:
    provisioning.configure(ACCOUNTS_ONLY)
    provisioning.people(4)
    provisioning.run()
    provisioning.people(1)
    run, verdict = provisioning.begin()
    rejection = Decision(REJECT, "Ada Auditor", datetime.now(UTC).isoformat(), "no")
    assert provision.transmit(run, rejection, verdict["plan"]) == []
    record, trail = provisioning.repository.run(run.run_id), provisioning.repository.audit(subject=run.run_id)
    assert record is not None
    assert record.state == "rejected"
    assert provision.transmit(run, rejection, verdict["plan"]) == []
    assert provision.stage_batches(run, 2) == []
    assert provision.report(run) == {"state": "rejected"}
    assert provisioning.repository.run(run.run_id) == record
    assert provisioning.repository.audit(subject=run.run_id) == trail
    assert len(provisioning.users()) == 4


def test_a_busy_system_is_asked_again_after_the_time_it_names(provisioning: Provisioning) -> None:
    provisioning.configure(ACCOUNTS_ONLY)
    provisioning.people(3)
    refuse(provisioning, "p1", Reply.error(429, Retry_After="1"), times=1)
    assert provisioning.run()["states"] == {"Rooms_Account": {"verified": 3}}
    tries = [one.at for one in provisioning.system.proxy.asked if one.method == "POST" and b'"p1"' in one.body]
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 1


def test_what_fails_for_a_while_is_done_by_the_next_run_and_what_is_refused_waits_for_a_person(
    provisioning: Provisioning,
) -> None:
    """engine.md 8.3, test 13: neither fails its siblings."""
    provisioning.configure()
    provisioning.people(4)
    refuse(provisioning, "p1", Reply.error(500), times=4)
    refuse(provisioning, "p2", Reply.error(400, "no such name"))
    report = provisioning.run()
    assert report["states"]["Rooms_Account"] == {"verified": 2, "errored": 1, "inactive": 1}
    assert report["states"]["Rooms_Folder"] == {"verified": 2, "inactive": 2}
    assert sorted(provisioning.users()) == ["p0", "p3"]
    accounts = {row["target_key"]: row for row in provisioning.rows("assigned_resource_type")}
    assert None in accounts
    assert [item["error_class"] for item in report["errors"]] == ["InvalidValue"]
    assert "no such name" in report["errors"][0]["message"]
    assert {item["error_class"] for item in report["given_back"]} == {"TransientError", None}
    report = provisioning.run()
    assert report["states"]["Rooms_Account"] == {"verified": 1}
    assert report["states"]["Rooms_Folder"] == {"verified": 1}
    assert sorted(provisioning.users()) == ["p0", "p1", "p3"]
    folders = {group["displayName"] for group in provisioning.system.content()["/Groups"]}
    assert folders == {*scenario.GROUPS, "folder of P0", "folder of P1", "folder of P3"}
    assert provisioning.run()["states"] == {}, "what was refused is not sent again"
    assert set(provisioning.system.writes.values()) == {1}


def test_a_value_that_somebody_wrote_meanwhile_is_not_overwritten(provisioning: Provisioning) -> None:
    checked = ACCOUNTS_ONLY.replace("{max_retries: 2}", "{check_current_values: true}")
    provisioning.configure(checked)
    provisioning.people(2)
    provisioning.run()
    provisioning.people(2, P0="P0,Name 0,Boss,works", P1="P1,Name 1,Boss,works")
    user = provisioning.users()["p0"]
    provisioning.system.call("PUT", f"/Users/{user['id']}", {**user, "title": "Countess"})
    report = provisioning.run()
    assert [(item["error_class"], item["count"]) for item in report["errors"]] == [("Conflict", 1)]
    assert "'title' was changed in the managed system" in report["errors"][0]["message"]
    assert {name: user["title"] for name, user in provisioning.users().items()} == {"p0": "Countess", "p1": "Boss"}


def test_what_was_read_back_is_expected_by_the_next_order_although_nobody_synchronized(
    provisioning: Provisioning,
) -> None:
    provisioning.configure(ACCOUNTS_ONLY.replace("{max_retries: 2}", "{check_current_values: true}"))
    provisioning.people(1)
    provisioning.run()
    provisioning.read()
    for title in ("Boss", "Doctor", "Countess"):
        (provisioning.folder / "files" / "people.csv").write_text(f"id,name,title,team\nP0,Name 0,{title},works\n")
        provisioning.count += 1
        synchronize_whole(scenario.SOURCE, f"read-{provisioning.count}", decision_of(APPLY_ALL) or {})
        assert provisioning.run()["states"] == {"Rooms_Account": {"verified": 1}}
        assert provisioning.users()["p0"]["title"] == title


def test_a_type_without_provisioning_is_evaluated_and_sends_nothing(provisioning: Provisioning) -> None:
    provisioning.configure(ACCOUNTS_ONLY + "    is_provisioning_enabled: false\n")
    provisioning.people(2)
    run, _ = provisioning.begin()
    assert provision.transmit(run) == []
    assert provisioning.end(run)["generated"]["Rooms_Account"]["withheld"] == {"is_provisioning_enabled": 2}
    assert set(provisioning.states().values()) == {P.PENDING}
    assert provisioning.users() == {}


def test_what_nobody_confirms_in_time_is_an_error_at_the_next_evaluation(
    provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioning.configure(ACCOUNTS_ONLY, transmitted_state_validity_period="60")
    provisioning.people(2)
    run, _ = provisioning.begin()
    provision.transmit(run)
    for batch in provision.batches(run):
        provision.fulfil(run, batch)
    assert provision.report(run)["states"] == {"Rooms_Account": {"executed": 2}}
    run, _ = provisioning.begin()
    assert set(provisioning.states().values()) == {P.EXECUTED}
    provision.transmit(run)
    provision.report(run)
    opened_at = provision._opened_at
    with monkeypatch.context() as patch:
        patch.setattr(provision, "_opened_at", lambda *given: opened_at(*given) + timedelta(minutes=61))
        run, _ = provisioning.begin()
    assert set(provisioning.states().values()) == {P.ERROR}
    told = {(row["provisioning_state"], row["error_class"]) for row in provisioning.rows("provisioning_order")}
    assert told == {(P.ERROR, "Expired")}
    provision.transmit(run)
    provision.report(run)
    provisioning.read()
    assert provisioning.run()["confirmed"] == 2, "a read that comes late confirms all the same"
    assert set(provisioning.states().values()) == {P.VERIFIED}


def test_a_refused_login_leaves_everything_unsent_and_the_next_run_sends_it(
    provisioning: Provisioning, monkeypatch: pytest.MonkeyPatch
) -> None:
    provisioning.people(5)
    rooms = {"conn_type": "http", "host": provisioning.system.proxy.url, "password": "wrong"}
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_ROOMS", json.dumps(rooms))
        with pytest.raises(AuthenticationFailed):
            run_provisioning(scenario.TARGET, None, "")
    assert {row["provisioning_state"] for row in provisioning.rows("provisioning_order")} == {P.INACTIVE}
    assert set(provisioning.states().values()) == {P.PENDING}
    assert provisioning.run()["states"] == {"Rooms_Account": {"verified": 5}, "Rooms_Folder": {"verified": 5}}
    assert set(provisioning.system.writes.values()) == {1}
