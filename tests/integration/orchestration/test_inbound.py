"""HR creates and changes identities that stand in the repository alone, through orders (engine.md 4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.orchestration import provision
from include.orchestration.run import SkipRun, StepFailed, open_run
from include.policy.states import ProvisioningState
from tests.integration.orchestration.inbound import DIRECTORY, FAR_AHEAD, HEADS, HR, LONG_AGO, Directory

USER, TEAM = "Directory_User_Person", "Directory_Team_Contract"


@pytest.fixture(params=["sqlite", "postgresql"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """HR is loaded, and nothing was provisioned yet."""
    configuration, files = tmp_path / "configuration", tmp_path / "files"
    configuration.mkdir()
    files.mkdir()
    (configuration / "hr.yaml").write_text(HR)
    (configuration / "directory.yaml").write_text(DIRECTORY)
    url = (
        f"sqlite:///{tmp_path / 'repository.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("fresh_postgresql_url")
    )
    monkeypatch.setenv("ROLLCALL_CONFIG", str(configuration))
    monkeypatch.setenv("ROLLCALL_STORAGE", f"file://{tmp_path / 'storage'}")
    monkeypatch.setenv("ROLLCALL_REPOSITORY", url)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("AIRFLOW_CONN_HR_FILES", json.dumps({"conn_type": "fs", "extra": {"path": str(files)}}))
    made = Directory(files)
    made.hr()
    return made


@pytest.fixture
def settled(directory: Directory) -> Directory:
    """Everybody of HR is in the directory, with a team, and all of it is verified."""
    for _ in range(3):
        states, _ = directory.provision()
    assert states == {}
    return directory


def test_the_first_run_loads_all_identities_the_second_links_and_verifies_the_third_finds_nothing_to_do(
    directory: Directory,
) -> None:
    states, first = directory.provision()
    assert states == {USER: {"executed": 2}, TEAM: {"executed": 2}}
    users = directory.users()
    assert {(user["login"], user["name"], user["title"]) for user in users.values()} == {
        ("ada", "Ada Zero", "Head"),
        ("ben", "Ben One", "Head"),
    }
    assert [f"{user['starts']:%Y-%m-%d}" for user in users.values()] == ["2020-01-01", "2020-01-01"]
    assert directory.teams() == {}

    states, second = directory.provision()
    settled = directory.orders(first)
    assert (settled["T0"], settled["T1"]) == (("VERIFIED", None), ("VERIFIED", None))
    assert states == {USER: {"executed": 2}}
    assert directory.teams() == {"P0": "T0", "P1": "T1"}

    assert directory.provision()[0] == {}
    assert directory.orders(second) == dict.fromkeys(("P0", "P1"), ("VERIFIED", None))
    assert directory.users() == users


def test_a_joiner_a_changed_name_and_a_leaver_are_orders_each_and_versions_of_the_run(settled: Directory) -> None:
    before = settled.users()
    settled.hr("P2,Cy Two,cy", contracts=(*HEADS, f"C2,P2,Clerk,T1,{LONG_AGO},"))
    assert settled.provision()[0] == {USER: {"executed": 1}}
    joined = settled.users()
    assert (joined["P2"]["login"], joined["P2"]["title"], settled.teams()["P2"]) == ("cy", "Clerk", "T1")
    assert settled.provision()[0] == {}

    settled.hr("P2,Cy Married,cy", contracts=(*HEADS, f"C2,P2,Clerk,T0,{LONG_AGO},"))
    states, run = settled.provision()
    assert states == {USER: {"executed": 1}}
    changed = settled.users()
    assert changed["P2"] == joined["P2"] | {"name": "Cy Married"}
    assert settled.teams() == {"P0": "T0", "P1": "T1", "P2": "T0"}
    history = settled.repository.history("Directory_User", "P2")
    assert [version["values"]["name"] for version in history] == ["Cy Two", "Cy Married"]
    assert history[-1]["run_id"] == run.run_id

    settled.hr()
    assert settled.provision()[0] == {USER: {"executed": 1}}
    assert settled.users() == before
    assert settled.teams() == {"P0": "T0", "P1": "T1"}
    assert settled.provision()[0] == {}


def test_who_is_hired_again_under_the_same_number_is_the_same_identity(settled: Directory) -> None:
    contract = f"C2,P2,Clerk,T1,{LONG_AGO},"
    settled.hr("P2,Cy Two,cy", contracts=(*HEADS, contract))
    settled.provision()
    first = settled.users()["P2"]["resource_id"]
    settled.hr()
    settled.provision()
    assert "P2" not in settled.users()
    settled.provision()

    settled.hr("P2,Cy Back,cy", contracts=(*HEADS, contract))
    settled.provision()
    back = settled.users()["P2"]
    assert (back["resource_id"], back["name"], settled.teams()["P2"]) == (first, "Cy Back", "T1")
    assert settled.provision()[0] == {}


def test_of_two_contracts_the_one_that_began_last_counts_and_a_future_one_changes_nothing_before_its_start(
    settled: Directory,
) -> None:
    older = f"C1,P2,Trainee,T0,{LONG_AGO},2022-12-31"
    newer, future = "C2,P2,Clerk,T1,2022-06-01,", f"C3,P2,Director,T0,{FAR_AHEAD},"
    settled.hr("P2,Cy Two,cy", contracts=(*HEADS, older, newer))
    settled.provision()
    user = settled.users()["P2"]
    assert (user["title"], f"{user['starts']:%Y-%m-%d}", settled.teams()["P2"]) == ("Clerk", LONG_AGO, "T1")

    settled.hr("P2,Cy Two,cy", contracts=(*HEADS, older, newer, future))
    assert settled.provision()[0] == {}
    assert settled.users()["P2"] == user

    settled.hr("P2,Cy Two,cy", contracts=(*HEADS, older, newer, future.replace(FAR_AHEAD, "2023-01-01")))
    assert settled.provision()[0] == {USER: {"executed": 1}}
    assert (settled.users()["P2"]["title"], settled.teams()["P2"]) == ("Director", "T0")


def test_an_order_that_the_repository_cannot_carry_out_is_errored_alone_with_its_reason(settled: Directory) -> None:
    contracts = (*HEADS, *(f"C{number},P{number},Clerk,T1,{LONG_AGO}," for number in (2, 3, 4, 5, 6)))
    settled.hr(
        "P2,Cy Two,ada", "P3,Di Three,same", "P4,Ed Four,same", "P5,Flo Five,far_too_long", "P6,Gus Six,gus",
        contracts=contracts,
    )  # fmt: skip
    states, run = settled.provision()
    assert states == {USER: {"executed": 1, "errored": 4}}
    assert set(settled.users()) == {"P0", "P1", "P6"}
    reasons = sorted(str(message) for state, message in settled.orders(run).values() if state == "ERRORED")
    assert reasons == [
        "login: 'ada' is that of Directory_User P0 already",
        "login: 'far_too_long' is longer than 8 characters",
        "login: 'same' is asked for by 2 orders at once",
        "login: 'same' is asked for by 2 orders at once",
    ]
    # Nothing is tried again by itself until a value changes.
    assert settled.provision()[0] == {}
    settled.hr(
        "P2,Cy Two,cy", "P3,Di Three,di", "P4,Ed Four,same", "P5,Flo Five,flo", "P6,Gus Six,gus", contracts=contracts
    )
    assert settled.provision()[0] == {USER: {"executed": 3}}


def test_a_value_that_one_order_gives_up_may_be_taken_by_another_of_the_same_run(settled: Directory) -> None:
    contracts = (*HEADS, f"C2,P2,Clerk,T1,{LONG_AGO},", f"C3,P3,Clerk,T1,{LONG_AGO},")
    settled.hr("P2,Cy Two,cy", "P3,Di Three,di", contracts=contracts)
    settled.provision()
    settled.hr("P2,Cy Two,di", "P3,Di Three,cy", contracts=contracts)
    assert settled.provision()[0] == {USER: {"executed": 2}}
    users = settled.users()
    assert (users["P2"]["login"], users["P3"]["login"]) == ("di", "cy")
    # P4 wants what P2 gives up, and P2 cannot go where P0 is: neither moves.
    settled.hr("P2,Cy Two,ada", "P3,Di Three,cy", "P4,Ed Four,di", contracts=contracts)
    states, run = settled.provision()
    assert states == {USER: {"errored": 2}}
    assert settled.users() == users
    assert sorted(str(message) for _, message in settled.orders(run).values()) == [
        "login: 'ada' is that of Directory_User P0 already",
        "login: 'di' is that of Directory_User P2 already",
    ]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["before the load", "after the load", "before the report"])
def test_a_run_that_is_killed_and_run_again_ends_like_an_undisturbed_one(
    directory: Directory, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = directory.decide()
    (batch,) = provision.transmit(run)
    load = provision._load

    def die(*arguments: object, **options: object) -> None:
        if step == "after the load":
            load(*arguments, **options)  # type: ignore[arg-type]
        raise Killed

    if step != "before the report":
        with monkeypatch.context() as patch:
            patch.setattr(provision, "_load", die)
            with pytest.raises(Killed):
                provision.fulfil(run, batch)
        assert bool(directory.users()) == (step == "after the load")
        if step == "before the load":
            with pytest.raises(StepFailed, match="no results of inbound; clear their fulfil task"):
                provision.report(run)
    first = provision.fulfil(run, batch)
    loads = directory.repository.loads_of(run.run_id)
    assert provision.fulfil(run, batch) == first == {"batch": "inbound", "changed": 4}
    assert directory.repository.loads_of(run.run_id) == loads
    assert provision.report(run)["states"] == {USER: {"executed": 2}, TEAM: {"executed": 2}}
    assert [len(directory.repository.history("Directory_User", key)) for key in ("P0", "P1")] == [1, 1]
    for entity_type in ("assigned_resource_type", "provisioning_order"):
        found = directory.repository.as_of(entity_type, directory.repository.runs()[0].opened_at.replace(year=2999))
        assert {row["provisioning_state"] for row in found} == {ProvisioningState.EXECUTED}


@pytest.mark.usefixtures("directory")
def test_there_is_nothing_to_synchronize_and_no_first_synchronization_to_wait_for() -> None:
    with pytest.raises(SkipRun, match="its resources stand in the repository alone, so there is nothing to export"):
        open_run("Directory", "by-mistake", "synchronize")
    assert provision.open_run("Directory", "at-once").purpose == "provision"
