"""Why a resource has, or should have, a value: the answer names run, line, rule, order and person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from include.command.explanation import explanation_lines
from include.orchestration.decisions import APPLY_ALL, Decision
from include.orchestration.explanation import Explanation, StoredValue, explain, to_json
from include.orchestration.run import StepFailed
from tests.integration.orchestration.club import Club, club_on, trace
from tests.integration.orchestration.conftest import person

APPROVAL = Decision(APPLY_ALL, "Ada Lovelace", "2026-05-01T12:00:00+00:00", "they have left")


@dataclass
class Story:
    """What happened to the club, by the run that did it, and an instant before all of it but the beginning."""

    club: Club
    began: str
    before: datetime
    left: str
    ordered: str
    proved: str
    by_hand: str


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """P007 is renamed and P055 to P059 leave, which a person approves; later somebody changes p3 by hand."""
    with club_on(request.param, request, tmp_path_factory) as club:
        before = datetime.now(UTC)
        club.pipeline.write(*(person(number, "Renamed" if number == 7 else None) for number in range(55)))
        left, _ = club.pipeline.synchronize(decision=APPROVAL)
        ordered, _ = club.provision()
        proved, _ = club.pipeline.synchronize("initial", connector="Club")
        club.provision()
        members = club.door.read("Members")
        club.door.write("Members", [row | ({"title": "Boss"} if row["id"] == "p3" else {}) for row in members])
        by_hand, _ = club.pipeline.synchronize(connector="Club")
        club.provision()
        yield Story(club, "run-1", before, left.run_id, ordered.run_id, proved.run_id, by_hand.run_id)


def value(found: Explanation) -> StoredValue:
    (only,) = found.values
    return only


def text(found: Explanation) -> str:
    return "\n".join(line for _, line in explanation_lines(found))


def test_a_value_of_the_source_names_the_run_and_the_line_that_changed_it_and_who_approved(story: Story) -> None:
    before = trace()
    found = value(explain("Staff_Person", "P007", "name"))
    assert (found.value, found.previous) == ("Renamed", "Name 7")
    assert (found.origin.run_id, found.origin.mode, found.origin.connector) == (story.left, "complete", "Staff")
    assert (found.origin.file, found.origin.line) == ("raw/People.csv", 9)
    assert found.origin.approver == "Ada Lovelace"
    unchanged = value(explain("Staff_Person", "P007", "mail"))
    assert (unchanged.origin.run_id, unchanged.origin.line, unchanged.previous) == (story.began, 9, None)
    assert unchanged.since < story.before < found.since
    assert trace() == before


def test_a_value_as_of_an_instant_is_the_one_of_then(story: Story) -> None:
    found = value(explain("Staff_Person", "P007", "name", story.before))
    assert (found.value, found.origin.run_id) == ("Name 7", story.began)


def test_a_value_of_a_target_names_the_rule_its_inputs_with_their_origin_and_the_order_that_wrote_it(
    story: Story,
) -> None:
    found = explain("Club_Member", "p7", "title")
    stored = value(found)
    assert (stored.value, stored.origin.run_id) == ("Renamed", story.proved)
    (expected,) = stored.expectations
    assert (expected.policy_value, expected.current_value, expected.agrees) == ("Renamed", "Renamed", True)
    assert (expected.provisioning_state, expected.workflow_state) == ("Verified (4)", "Calculated (18)")
    (rule,) = expected.rules
    assert (rule.rule, rule.definition) == ("scalar_rules[2]", "title: name")
    (read,) = rule.inputs
    assert (read.path, read.entity_type, read.key, read.value) == ("name", "Staff_Person", "P007", "Renamed")
    assert read.origin is not None
    assert (read.origin.run_id, read.origin.line) == (story.left, 9)
    modified, added = expected.orders
    assert (modified.change_type, modified.run_id, modified.asked) == ("Modified", story.ordered, "Renamed")
    assert (added.change_type, added.asked) == ("Added", "Name 7")
    assert expected.written_by == modified.order_id
    assert [state.provisioning_state for state in expected.states][-1] == "Pending (1)"


def test_the_assignment_of_a_target_names_its_owner_correlation_and_type_rule(story: Story) -> None:
    (owned,) = explain("Club_Member", "p7").owned_by
    assert (owned.resource_type, owned.owner_entity_type, owned.owner_key) == (
        "Club_Member_Staff", "Staff_Person", "P007",
    )  # fmt: skip
    assert owned.provisioning_state == "Verified (4)"
    assert owned.type_rule is not None
    (read,) = owned.type_rule.inputs
    (step,) = read.via
    assert (read.path, read.value, step.navigation, step.key) == ("team.code", "T1", "team", "T1")
    assert (step.origin.run_id, step.origin.file, step.origin.line) == (story.began, "raw/People.csv", 9)
    (owns,) = explain("Staff_Person", "P007").owns
    assert owns == owned


def test_a_value_changed_by_hand_differs_from_the_policy_and_no_order_wrote_it(story: Story) -> None:
    found = explain("Club_Member", "p3", "title")
    stored = value(found)
    assert (stored.value, stored.previous) == ("Boss", "Name 3")
    assert (stored.origin.run_id, stored.origin.file) == (story.by_hand, "raw/Members.csv")
    (expected,) = stored.expectations
    assert (expected.policy_value, expected.current_value, expected.agrees) == ("Name 3", "Boss", False)
    assert expected.workflow_state == "Found (1)"
    assert expected.written_by is None
    assert "what is there was written by no order" in text(found)


def test_a_link_names_the_line_it_was_read_from_and_the_rule_that_gives_it(story: Story) -> None:
    found = explain("Club_Member", "p0", "groups")
    (link,) = found.links
    assert (link.navigation, link.entity_type, link.key) == ("groups", "Club_Group", "G1")
    assert (link.origin.file, link.origin.line) == ("raw/Memberships.csv", 2)
    (expected,) = found.expected_links
    assert (expected.linked_key, expected.policy_value, expected.current_value) == ("G1", "linked", "linked")
    assert [rule.rule for rule in expected.rules] == ["navigation_rules[0]"]
    assert [(item.path, item.value) for item in expected.rules[0].inputs] == [("team.code", "T0")]
    assert expected.written_by == expected.orders[0].order_id
    assert found.values == ()
    assert [link.key for link in explain("Staff_Person", "P000", "team").links] == ["T0"]
    assert story.club.door.read("Memberships")[0] == {"group": "G1", "member": "p0"}


def test_a_resource_that_is_gone_tells_when_it_went_by_which_run_and_by_whose_word(story: Story) -> None:
    source = explain("Staff_Person", "P055")
    assert (source.state, source.gone_by and source.gone_by.run_id) == ("gone", story.left)
    assert source.gone_by is not None
    assert source.gone_by.approver == "Ada Lovelace"
    target = explain("Club_Member", "p55")
    assert target.gone_by is not None
    assert (target.state, target.gone_by.run_id) == ("gone", story.proved)
    (owned,) = target.owned_by
    deleted = owned.orders[0]
    assert (deleted.change_type, deleted.run_id) == ("Deleted", story.ordered)
    assert deleted.executed_at is not None
    assert "went at" in text(target)


def test_an_ended_link_tells_what_ended_it(story: Story) -> None:
    (link,) = explain("Staff_Person", "P055", "team").links
    assert link.until is None
    ended = [link for link in explain("Club_Group", "G1", "members").links if link.until is not None]
    assert {(link.key, link.ended_by and link.ended_by.run_id) for link in ended} == {("p57", story.proved)}


def test_what_a_person_decided_about_an_assignment_or_a_value_of_it_is_told(story: Story) -> None:
    owned = explain("Club_Member", "p3").owned_by[0].assignment
    story.club.pipeline.repository.record("Grace Hopper", "keep value", f"{owned}|title", {"reason": "her title"})
    (expected,) = value(explain("Club_Member", "p3", "title")).expectations
    assert [(item.actor, item.action, item.detail) for item in expected.decisions] == [
        ("Grace Hopper", "keep value", {"reason": "her title"})
    ]
    assert value(explain("Club_Member", "p3", "login")).expectations[0].decisions == ()


def test_the_answer_reads_from_top_to_bottom(story: Story) -> None:
    told = text(explain("Club_Member", "p0", "groups"))
    places = [told.index(part) for part in ("link groups to", "policy", "navigation_rules[0]", "order", "owned by")]
    assert places == sorted(places)
    assert told.count("link groups to") == 1
    assert "Transmitted (2)" in told
    assert "Transmitted (2), Calculated (18) (run" in text(explain("Staff_Person", "P000"))
    assert story.club.configuration.is_dir()


def test_every_answer_is_also_json(story: Story) -> None:
    told = json.loads(to_json(explain("Club_Member", "p7")))
    assert told["values"][3]["expectations"][0]["rules"][0]["inputs"][0]["origin"]["run_id"] == story.left


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            ("Staff_Persons", "P007", None),
            "no connector declares entity type 'Staff_Persons' .did you mean 'Staff_Person'",
        ),
        (("Staff_Person", "P007", "nam"), "Staff_Person has no property or navigation 'nam'"),
        (("Staff_Person", "P999", None), "Staff_Person 'P999' was never stored by"),
    ],
)
@pytest.mark.usefixtures("story")
def test_what_is_not_there_is_one_line(asked: tuple[str, str, str | None], said: str) -> None:
    with pytest.raises(StepFailed, match=said):
        explain(*asked)


def test_when_retention_has_removed_the_files_the_answer_says_so(story: Story) -> None:
    repository = story.club.pipeline.repository
    repository.remove_snapshot(story.began, reason="published long ago", by="Grace Hopper")
    origin = value(explain("Staff_Person", "P007", "mail")).origin
    assert (origin.run_id, origin.file, origin.line) == (story.began, None, None)
    assert "its files are gone: removed on" in origin.note
    assert "Grace Hopper" in origin.note
