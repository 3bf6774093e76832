"""Query rules: links that an expression finds (engine.md 1.11)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.model.resource_type import QueryRule, ResourceType
from include.policy.errors import PolicyError
from include.policy.expressions import expression_mistakes
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import NOW, Organisation, configuration, nominative

BY_NUMBER = QueryRule(
    navigation="manager", source_expression="manager.employee_id", target_expression="external_id", confidence=100
)
BY_MAIL = QueryRule(navigation="manager", source_expression="manager.mail", target_expression="mail", confidence=90)


def queried(*rules: QueryRule, **changes: object) -> ResourceType:
    return nominative(navigation_rules=(), query_rules=rules or (BY_NUMBER,), **changes)


@pytest.fixture
def organisation(tmp_path: Path) -> Organisation:
    """Person 1 is managed by 2, then there is 3; each owns an account."""
    found = Organisation(tmp_path, (queried(),))
    for number in (1, 2, 3):
        found.person(number, mail=f"m{number}@x")
        found.user(10 + number, f"E{number}", mail=f"m{number}@x")
    found.link("HR_PersonManager", 1, 2)
    return found


def links(organisation: Organisation) -> dict[int, tuple[bool, P, W]]:
    """By linked account: whether the policy gives it to person 1, and its states."""
    return {
        row["linked_id"]: (row["expected"], P(row["provisioning_state"]), W(row["workflow_state"]))
        for row in organisation.navigations.values()
        if row["assignment"] == "CRM_User_Nominative|1"
    }


GIVEN, TAKEN = (True, P.PENDING, W.CALCULATED), (False, P.PENDING, W.CANCELLATION)
HELD = (True, P.VERIFIED, W.CALCULATED)
PROPOSED = (True, P.AWAITING_APPROVAL, W.CALCULATED)


def test_the_account_of_the_manager_is_linked(organisation: Organisation) -> None:
    organisation.evaluate()
    assert links(organisation) == {12: GIVEN}
    organisation.link("CRM_UserManager", 11, 12)
    organisation.evaluate()
    assert links(organisation) == {12: HELD}
    assert organisation.evaluate().changed == 0


def test_a_new_manager_replaces_the_old_one(organisation: Organisation) -> None:
    organisation.evaluate()
    organisation.link("CRM_UserManager", 11, 12)
    organisation.evaluate()
    organisation.links["HR_PersonManager"] = {(1, 3)}
    organisation.evaluate()
    assert links(organisation) == {12: TAKEN, 13: GIVEN}
    organisation.links["CRM_UserManager"] = {(11, 13)}
    organisation.evaluate()
    assert links(organisation) == {13: HELD}


def test_what_stands_in_the_only_place_is_replaced_though_no_rule_gave_it(organisation: Organisation) -> None:
    organisation.link("CRM_UserManager", 11, 13)
    organisation.evaluate()
    assert links(organisation) == {12: GIVEN, 13: TAKEN}
    assert organisation.evaluate().changed == 0


def test_below_a_hundred_a_link_is_proposed_and_so_is_what_it_replaces(organisation: Organisation) -> None:
    organisation.resource_types = (queried(BY_MAIL),)
    organisation.link("CRM_UserManager", 11, 13)
    organisation.evaluate()
    assert links(organisation) == {12: PROPOSED, 13: (False, P.AWAITING_APPROVAL, W.CANCELLATION)}
    assert organisation.evaluate().changed == 0
    for row in organisation.rows["assigned_resource_navigation"]:
        row["provisioning_state"] = P.PENDING
    assert organisation.evaluate().changed == 0, "what was approved goes out"


def test_a_declined_proposal_replaces_nothing(organisation: Organisation) -> None:
    organisation.resource_types = (queried(BY_MAIL),)
    organisation.evaluate()
    (row,) = organisation.rows["assigned_resource_navigation"]
    row["workflow_state"] = W.DECLINED
    organisation.link("CRM_UserManager", 11, 13)
    organisation.evaluate()
    assert links(organisation) == {12: (True, P.AWAITING_APPROVAL, W.DECLINED)}


def test_a_proposed_link_does_not_go_with_the_creation(organisation: Organisation) -> None:
    organisation.remove("CRM_User", 11)
    organisation.resource_types = (queried(BY_MAIL),)
    organisation.evaluate()
    assert organisation.assignments["CRM_User_Nominative|1"]["provisioning_state"] == P.PENDING
    assert links(organisation) == {12: PROPOSED}
    assert organisation.evaluate().changed == 0
    organisation.resource_types = (queried(BY_NUMBER),)
    organisation.evaluate()
    assert links(organisation) == {12: GIVEN}


def test_the_most_confident_rule_that_finds_something_wins(organisation: Organisation) -> None:
    organisation.resource_types = (queried(BY_MAIL, BY_NUMBER),)
    organisation.find("CRM_User", 13)["mail"] = "m2@x"
    organisation.find("CRM_User", 12)["mail"] = None
    organisation.evaluate()
    assert links(organisation) == {12: GIVEN}
    organisation.find("CRM_User", 12)["external_id"] = "E9"
    organisation.evaluate()
    assert links(organisation) == {13: PROPOSED}


def test_among_equals_none_is_picked_and_a_weaker_rule_picks_none_either(organisation: Organisation) -> None:
    organisation.resource_types = (queried(BY_NUMBER, BY_MAIL),)
    organisation.user(14, "E2", mail="other")
    organisation.evaluate()
    assert links(organisation) == {}
    details = [row["detail"] for row in organisation.findings("ambiguous") if row["owner_key"] == "E1"]
    assert (
        "manager: 2 CRM_User are found with confidence 100, none is picked"
        " (external_id = manager.employee_id or mail = manager.mail)"
    ) in details


def test_rules_of_one_confidence_that_disagree_pick_none(organisation: Organisation) -> None:
    organisation.resource_types = (queried(BY_NUMBER, BY_MAIL.model_copy(update={"confidence": 100})),)
    organisation.evaluate()
    assert links(organisation) == {12: GIVEN}, "they agree"
    organisation.find("CRM_User", 12)["mail"] = "m3@x"
    organisation.find("CRM_User", 13)["mail"] = "m2@x"
    organisation.remove("HR_Person", 3)
    organisation.rows["assigned_resource_navigation"] = []
    organisation.evaluate()
    assert links(organisation) == {}
    assert organisation.findings("ambiguous")


def test_ambiguity_takes_nothing_away(organisation: Organisation) -> None:
    organisation.evaluate()
    organisation.link("CRM_UserManager", 11, 12)
    organisation.evaluate()
    organisation.user(14, "E2")
    organisation.evaluate()
    assert links(organisation) == {12: HELD}
    assert [row["kind"] for row in organisation.findings("ambiguous") if "manager" in row["detail"]] == ["ambiguous"]


def test_while_it_is_ambiguous_a_link_that_somebody_else_made_stays(organisation: Organisation) -> None:
    organisation.evaluate()
    organisation.link("CRM_UserManager", 11, 12)
    organisation.evaluate()
    organisation.user(14, "E2")
    organisation.links["CRM_UserManager"] = {(11, 13)}
    organisation.evaluate()
    assert links(organisation) == {12: (True, P.VERIFIED, W.FOUND)}
    assert organisation.evaluate().changed == 0


def test_what_is_sought_and_not_there_is_told_and_no_manager_is_nothing_to_tell(organisation: Organisation) -> None:
    organisation.evaluate()
    organisation.link("CRM_UserManager", 11, 12)
    organisation.evaluate()
    organisation.find("CRM_User", 12)["external_id"] = "E9"
    organisation.evaluate()
    (finding,) = organisation.findings("unresolved_link")
    assert (finding["owner_key"], finding["detail"]) == (
        "E1",
        "manager: no CRM_User has the key E2 (external_id = manager.employee_id)",
    )
    assert links(organisation) == {12: TAKEN}
    organisation.links["HR_PersonManager"] = set()
    organisation.evaluate()
    assert organisation.findings("unresolved_link") == []


def test_an_empty_key_finds_nobody(organisation: Organisation) -> None:
    organisation.resource_types = (queried(BY_MAIL),)
    organisation.find("HR_Person", 2)["mail"] = ""
    organisation.find("CRM_User", 12)["mail"] = ""
    organisation.evaluate()
    assert links(organisation) == {}


def test_a_rule_that_fails_on_the_data_is_named(organisation: Organisation) -> None:
    rule = BY_NUMBER.model_copy(
        update={"source_expression": "1", "target_expression": "CAST(substr(external_id, 2) || 'x' AS INTEGER)"}
    )
    organisation.resource_types = (queried(rule),)
    with pytest.raises(PolicyError, match=r"query_rules\[0\].target_expression: Could not convert"):
        organisation.evaluate()


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"target_expression": "nothing"}, "target_expression", "CRM_User has no property 'nothing'"),
        ({"source_expression": "nothing"}, "source_expression", "HR_Person has no property 'nothing'"),
        (
            {"target_expression": "level"},
            "source_expression",
            "the sides cannot be compared: VARCHAR here, INTEGER in target_expression; cast one",
        ),
        ({"navigation": "boss"}, "navigation", "CRM_User has no link 'boss'"),
    ],
)
def test_mistakes_are_told_before_there_is_data(changes: dict[str, str], field: str, message: str) -> None:
    checked = configuration(queried(BY_NUMBER.model_copy(update=changes)))
    found = list(expression_mistakes(checked.connectors[0], checked))
    assert found == [(f"resource_types[0].query_rules[0].{field}", message)]


KEYS = st.sampled_from(["a", "b", "c", "", None])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    people=st.lists(st.tuples(KEYS, KEYS), min_size=1, max_size=12),
    users=st.lists(st.tuples(KEYS, KEYS), max_size=8),
    confidences=st.tuples(st.sampled_from([90, 100, 120]), st.sampled_from([90, 100, 120])),
)
def test_a_query_rule_never_picks_among_equals(
    people: list[tuple[str | None, str | None]],
    users: list[tuple[str | None, str | None]],
    confidences: tuple[int, int],
) -> None:
    """Whoever is linked is the only one that the most confident rules that find anybody find."""
    rules = tuple(
        QueryRule(navigation="manager", source_expression=source, target_expression=target, confidence=confidence)
        for (source, target), confidence in zip((("mail", "mail"), ("title", "title")), confidences, strict=True)
    )
    with tempfile.TemporaryDirectory() as folder:
        organisation = Organisation(Path(folder), (queried(*rules),))
        for number, (mail, title) in enumerate(people, start=1):
            organisation.person(number, mail=mail, title=title)
        for number, (mail, title) in enumerate(users, start=101):
            organisation.user(number, None, mail=mail, title=title)
        organisation.evaluate(evaluated_at=NOW)
        given_links = {(row["assignment"], row["linked_id"]) for row in organisation.navigations.values()}
        wanted = set()
        for number, person in enumerate(people, start=1):
            for confidence in sorted(set(confidences), reverse=True):
                found = {
                    user_id
                    for user_id, user in enumerate(users, start=101)
                    for side in (0, 1)
                    if confidences[side] == confidence and person[side] and person[side] == user[side]
                }
                if found:
                    wanted |= {(f"CRM_User_Nominative|{number}", item) for item in found if len(found) == 1}
                    break
        assert given_links == wanted
        assert organisation.evaluate(evaluated_at=NOW).changed == 0
