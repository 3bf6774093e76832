"""A plan says what another configuration would order, and which rule makes the difference; nothing changes by it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.command.main import application
from include.orchestration.plan import plan
from include.orchestration.run import StepFailed
from tests.integration.orchestration.club import CLUB, Club, club_on, start_club, trace
from tests.integration.orchestration.conftest import person

NAVIGATION_RULES = CLUB[CLUB.index("    navigation_rules:") :]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def club(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    """A club that no test changes."""
    with club_on(request.param, request, tmp_path_factory) as made:
        yield made


@pytest.fixture
def changing_club(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Club:
    """A club of one test: 61 people of Staff, P007 renamed, of whom the club knows 60 yet."""
    made = start_club(tmp_path, f"sqlite:///{tmp_path / 'repository.db'}", monkeypatch)
    made.pipeline.write(*(person(number, "Renamed" if number == 7 else None) for number in range(61)))
    made.pipeline.synchronize()
    return made


def groups(other: Path | None = None) -> dict[str, tuple[int, int, int]]:
    with plan("Club", other) as found:
        return {group.rule: (group.created, group.updated, group.removed) for group in found.groups()}


def test_a_changed_scalar_rule_changes_every_value_that_it_writes_and_nothing_else(club: Club, tmp_path: Path) -> None:
    other = club.other(("property: title, expression: name", "property: title, expression: upper(name)"))
    before = trace()
    with plan("Club", other) as found:
        assert found.difference.orders.inserted == 60
        (group,) = found.groups()
        sample, *_ = found.samples(1)
        written = found.write_csv(tmp_path / "plan.csv")
    assert (group.resource_type, group.rule, group.status) == ("Club_Member_Staff", "scalar_rules[2]", "changed")
    assert (group.definition, group.created, group.owners) == ("title: upper(name)", 60, 60)
    assert (sample.change, sample.order_type, sample.owner_key, sample.target_key) == (
        "created", "Modified", "P000", "p0",
    )  # fmt: skip
    assert (sample.subject, sample.before, sample.after) == ("title", "Name 0", "NAME 0")
    with (tmp_path / "plan.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert written == len(lines) == 60
    assert (lines[59]["from"], lines[59]["to"]) == ("Name 59", "NAME 59")
    assert trace() == before


def test_the_same_configuration_makes_no_difference(club: Club) -> None:
    assert groups(club.other()) == {}
    assert groups() == {}


def test_without_another_configuration_a_plan_is_what_the_next_run_creates(changing_club: Club) -> None:
    changing_club.pipeline.write(*(person(number, "Renamed" if number == 7 else None) for number in range(1, 61)))
    changing_club.pipeline.synchronize()
    before = trace()
    with plan("Club") as found:
        samples = found.samples(9)
        counted = found.difference.orders
        planned = found.planned.decided.counters["Club_Member_Staff"]
    assert trace() == before
    assert (counted.inserted, counted.updated, counted.deleted) == (3, 0, 0)
    assert {(item.order_type, item.rule, item.owner_key, item.before, item.after) for item in samples} >= {
        ("Added", "type_rule", "P060", None, None),
        ("Added", "type_rule", "P060", None, "Name 60"),
        ("Deleted", "type_rule", None, "p0", None),
        ("Modified", "scalar_rules[2]", "P007", "Name 7", "Renamed"),
    }
    run, _ = changing_club.provision()
    assert run.folder.read_json("orders/generation.json")["counters"]["Club_Member_Staff"] == planned


def test_a_narrower_type_rule_deletes_and_its_verdict_is_that_a_run_would_block(club: Club) -> None:
    other = club.other(("team.code <> 'T9'", "team.code = 'T0'"))
    before = trace()
    with plan("Club", other) as found:
        (group,) = found.groups()
        verdict = found.planned.decided.verdict
        present = found.present
        samples = found.samples(1)
    assert trace() == before
    assert (group.rule, group.definition, group.status) == ("type_rule", "team.code = 'T0'", "changed")
    assert (group.created, group.updated, group.removed) == (40, 0, 0)
    assert [(item.order_type, item.before, item.after) for item in samples] == [("Deleted", "p1", None)]
    assert verdict.blocked
    assert [line.limit for line in verdict.lines if line.exceeded] == ["maximum_delete_percent"]
    assert present is not None
    assert not present.decided.verdict.blocked


def test_a_removed_navigation_rule_takes_away_the_links_that_it_gave(club: Club) -> None:
    with plan("Club", club.other((NAVIGATION_RULES, ""))) as found:
        (group,) = found.groups()
        (sample,) = found.samples(1)
    assert (group.rule, group.status, group.created) == ("navigation_rules[0]", "removed", 20)
    assert (sample.subject, sample.before, sample.after, sample.order_type) == ("groups", "G1", None, "Modified")


def test_another_value_of_a_navigation_rule_is_one_link_taken_and_one_given(club: Club) -> None:
    with plan("Club", club.other(("target_value: Red", "target_value: Blue"))) as found:
        by_status = {group.status: group for group in found.groups()}
        samples = {item.before: item.after for item in found.samples(1)}
    assert {status: (group.rule, group.created) for status, group in by_status.items()} == {
        "new": ("navigation_rules[0]", 20),
        "removed": ("navigation_rules[0]", 20),
    }
    assert samples == {"G1": None, None: "G2"}


def test_a_new_resource_type_is_the_cause_of_all_its_orders(club: Club) -> None:
    new = """resource_types:
  - identifier: Club_Member_Guest
    source_entity_type: Staff_Team
    target_entity_type: Club_Member
    connection: Members
    block_provisioning: false
    scalar_rules:
      - {property: login, expression: "'team-' || code"}
"""
    before = trace()
    with plan("Club", club.other(("resource_types:\n", new))) as found:
        (group,) = found.groups()
        counters = found.planned.decided.counters
    assert trace() == before
    assert (group.resource_type, group.rule, group.status) == ("Club_Member_Guest", "resource type", "new")
    assert (group.created, group.owners) == (6, 3)
    assert counters["Club_Member_Guest"]["Added"] == 3
    assert counters["Club_Member_Staff"]["Added"] == 0


def test_an_order_of_the_present_configuration_that_another_one_would_not_give_is_removed(
    changing_club: Club,
) -> None:
    without = changing_club.other(("      - {property: title, expression: name}\n", ""))
    with plan("Club", without) as found:
        changes = {(item.change, item.rule, item.owner, item.before, item.after) for item in found.samples(2)}
    assert changes == {
        ("removed", "scalar_rules[2]", "P007", "Renamed", "Name 7"),
        ("removed", "scalar_rules[2]", "P060", "Name 60", None),
    }


def test_a_setting_that_keeps_orders_back_is_named_as_their_cause(changing_club: Club) -> None:
    never = changing_club.other(("block_provisioning: false", "block_provisioning: false\n    allow_add: false"))
    with plan("Club", never) as found:
        assert {(group.rule, group.status) for group in found.groups()} == {("allow_add", "changed")}
        assert {(item.change, item.owner) for item in found.samples(9)} == {("removed", "P060")}
    reviewed = changing_club.other(("block_provisioning: false", "block_provisioning: true"))
    with plan("Club", reviewed) as found:
        assert {group.rule for group in found.groups()} == {"block_provisioning"}


def test_a_correlation_that_another_rule_finds_makes_a_creation_needless(changing_club: Club) -> None:
    club = changing_club
    members = club.door.read("Members")
    club.door.write("Members", [*members, {"id": "m60", "staff_id": "", "login": "p60", "title": "Name 60"}])
    club.pipeline.synchronize("initial", connector="Club")
    mail = "source_expression: \"split_part(mail, '@', 1)\", target_expression: login"
    with plan("Club", club.other(("source_expression: id, target_expression: staff_id", mail))) as found:
        changes = {(item.change, item.order_type, item.rule, item.subject) for item in found.samples(9)}
    assert ("removed", "Added", "correlation_rules", "") in changes


def test_what_the_repository_does_not_hold_yet_is_named_and_reads_as_null(club: Club) -> None:
    other = club.other(("property: title, expression: name", "property: title, expression: nickname"))
    staff = other / "staff.yaml"
    staff.write_text(
        staff.read_text().replace(
            "      - {identifier: name}\n", "      - {identifier: name}\n      - {identifier: nickname}\n"
        )
    )
    before = trace()
    with plan("Club", other) as found:
        warnings = found.warnings
        sample, *_ = found.samples(1)
    assert trace() == before
    assert warnings == ("Staff_Person.nickname: the repository does not hold it yet: read as NULL",)
    assert (sample.subject, sample.before, sample.after) == ("title", "Name 0", None)


def test_a_property_that_is_filled_in_another_way_is_named(club: Club) -> None:
    other = club.other()
    staff = other / "staff.yaml"
    staff.write_text(staff.read_text().replace("{identifier: name}", "{identifier: name, column: since}"))
    with plan("Club", other) as found:
        assert [line.split(":")[0] for line in found.warnings] == ["Staff_Person.name"]


def test_a_configuration_that_could_not_be_taken_into_use_is_refused(club: Club) -> None:
    other = club.other()
    staff = other / "staff.yaml"
    staff.write_text(
        staff.read_text().replace("type: datetime, format", "type: string, format").replace(', format: "%Y-%m-%d"', "")
    )
    with (
        pytest.raises(StepFailed, match="Staff_Person.since: the type of a stored property cannot change"),
        plan("Club", other),
    ):
        pass


@pytest.mark.usefixtures("club")
def test_a_plan_before_anything_was_ever_stored_warns_and_creates_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROLLCALL_REPOSITORY", f"sqlite:///{tmp_path / 'nothing.db'}")
    with plan("Club") as found:
        assert found.difference.is_empty
        assert [line.split(":")[:2] for line in found.warnings] == [["Club_Member", " never synchronized"]]
    assert not (tmp_path / "nothing.db").exists()


def test_the_exit_code_tells_whether_anything_would_change(club: Club, tmp_path: Path) -> None:
    other = club.other(("property: title, expression: name", "property: title, expression: upper(name)"))
    command = CliRunner()
    assert command.invoke(application, ["plan", "Club"]).exit_code == 0
    assert command.invoke(application, ["plan", "Staff"]).exit_code == 0
    output = tmp_path / "plan.csv"
    assert command.invoke(application, ["plan", "Club", "--config", str(other), "--output", str(output)]).exit_code == 3
    assert len(output.read_text().splitlines()) == 61
    for wrong in (["Clubs"], ["Club", "--config", "nowhere"], ["Club", "--output", "nowhere/plan.csv"]):
        assert command.invoke(application, ["plan", *wrong]).exit_code == 1
