"""Whose account it is: keys, confidence, and never a pick among several."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.model.resource_type import CorrelationRule, ResourceType, TypeRule
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import Organisation, nominative

BY_ID = CorrelationRule(source_expression="employee_id", target_expression="external_id")


def rule(source: str, target: str, confidence: int = 100) -> CorrelationRule:
    return CorrelationRule(source_expression=source, target_expression=target, confidence=confidence)


@pytest.fixture
def organisation(tmp_path: Path) -> Organisation:
    return Organisation(tmp_path, (nominative(allow_add=False),))


def with_rules(organisation: Organisation, *rules: CorrelationRule) -> Organisation:
    organisation.resource_types = (nominative(allow_add=False, correlation_rules=rules),)
    return organisation


def owners(organisation: Organisation) -> dict[int, tuple[int | None, int | None, int]]:
    """Owner to target, confidence and state."""
    return {
        row["owner_id"]: (row["target_id"], row["confidence"], row["provisioning_state"])
        for row in organisation.assignments.values()
    }


def test_equal_keys_belong_together_and_are_verified(organisation: Organisation) -> None:
    organisation.person(1)
    organisation.user(11, "E1")
    evaluation = organisation.evaluate()
    assert owners(organisation) == {1: (11, 100, P.VERIFIED)}
    assert organisation.assignments["CRM_User_Nominative|1"]["target_key"] == "u11"
    assert evaluation.counters["CRM_User_Nominative"]["correlated"] == 1


def test_neither_null_nor_an_empty_text_is_a_key(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail"))
    organisation.person(1, mail=None)
    organisation.person(2, mail="")
    organisation.user(11, mail=None)
    organisation.user(12, mail="")
    organisation.evaluate()
    assert owners(organisation) == {}
    assert organisation.findings("ambiguous") == []


def test_case_and_blanks_count(organisation: Organisation) -> None:
    organisation.person(1, "e1")
    organisation.person(2, "E2 ")
    organisation.user(11, "E1")
    organisation.user(12, "E2")
    organisation.evaluate()
    assert owners(organisation) == {}


def test_expressions_on_both_sides(organisation: Organisation) -> None:
    with_rules(organisation, rule("simplify(first_name || last_name)", "replace(upper(user_name), '.', '')"))
    organisation.person(1, first_name="Éva", last_name="O'Neil")
    organisation.user(11, user_name="Eva.ONeil")
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 100, P.VERIFIED)}


def test_a_path_over_links_on_the_target_side(organisation: Organisation) -> None:
    with_rules(organisation, rule("organization.code", "external_id"))
    organisation.organization(1, "SAL")
    organisation.person(1)
    organisation.link("HR_PersonOrganization", 1, 1)
    organisation.user(11, "SAL")
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 100, P.VERIFIED)}


def test_the_most_confident_rule_comes_first(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail", 90), rule("employee_id", "external_id", 120))
    organisation.person(1, mail="shared@x")
    organisation.user(11, "E1", mail="other@x")
    organisation.user(12, None, mail="shared@x")
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 120, P.VERIFIED)}


def test_below_100_it_is_a_proposal_and_its_values_wait_too(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail", 90))
    organisation.person(1, mail="a@x", title="Boss")
    organisation.user(11, mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 90, P.AWAITING_APPROVAL)}
    assert [row["provisioning_state"] for row in organisation.scalars.values()] == [P.AWAITING_APPROVAL]
    assert organisation.evaluate().changed == 0


def test_an_approved_proposal_is_verified_and_its_values_go_out(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail", 90))
    organisation.person(1, mail="a@x", title="Boss")
    organisation.user(11, mail="a@x")
    organisation.evaluate()
    organisation.rows["assigned_resource_type"][0]["provisioning_state"] = P.PENDING
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 90, P.VERIFIED)}
    assert [row["provisioning_state"] for row in organisation.scalars.values()] == [P.PENDING]


def test_a_declined_proposal_is_not_made_again_and_no_account_is_created(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(correlation_rules=(rule("mail", "mail", 90),)),)
    organisation.person(1, mail="a@x", title="Boss")
    organisation.user(11, mail="a@x")
    organisation.evaluate()
    organisation.rows["assigned_resource_type"][0]["workflow_state"] = W.DECLINED
    organisation.evaluate()
    (row,) = organisation.assignments.values()
    assert (row["workflow_state"], row["provisioning_state"]) == (W.DECLINED, P.AWAITING_APPROVAL)
    assert organisation.evaluate().changed == 0


def test_a_proposal_gives_way_to_a_better_match(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail", 90), rule("employee_id", "external_id", 100))
    organisation.person(1, mail="a@x")
    organisation.user(11, mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 90, P.AWAITING_APPROVAL)}
    organisation.user(12, "E1")
    organisation.evaluate()
    assert owners(organisation) == {1: (12, 100, P.VERIFIED)}


def test_two_owners_for_one_target_are_listed_and_neither_gets_it_nor_another_one(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(correlation_rules=(rule("mail", "mail"),)),)
    organisation.person(1, mail="a@x")
    organisation.person(2, mail="a@x")
    organisation.user(11, mail="a@x")
    evaluation = organisation.evaluate()
    assert owners(organisation) == {}
    found = organisation.findings()
    assert [(row["kind"], row["owner_key"], row["target_key"]) for row in found] == [
        ("ambiguous", "E1", "u11"),
        ("ambiguous", "E2", "u11"),
    ]
    assert found[0]["detail"] == "2 owners and 1 targets share the key a@x (rule 1: mail = mail)"
    counters = evaluation.counters["CRM_User_Nominative"]
    assert (counters["ambiguous"], counters["orphans"], counters["to_create"]) == (2, 0, 0)


def test_two_targets_for_one_owner_are_listed(organisation: Organisation) -> None:
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.user(12, "E1")
    organisation.evaluate()
    assert owners(organisation) == {}
    assert [(row["kind"], row["owner_key"]) for row in organisation.findings()] == [("ambiguous", "E1")]


def test_rules_of_one_confidence_that_disagree_decide_nothing(organisation: Organisation) -> None:
    with_rules(organisation, BY_ID, rule("mail", "mail"))
    organisation.person(1, mail="a@x")
    organisation.user(11, "E1", mail="b@x")
    organisation.user(12, None, mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {}
    assert {row["owner_key"] for row in organisation.findings("ambiguous")} == {"E1"}


def test_rules_of_one_confidence_that_agree_are_one_match(organisation: Organisation) -> None:
    with_rules(organisation, BY_ID, rule("mail", "mail"))
    organisation.person(1, mail="a@x")
    organisation.user(11, "E1", mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 100, P.VERIFIED)}


def test_a_weaker_rule_does_not_pick_what_a_stronger_one_left_open(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail", 120), rule("employee_id", "external_id", 100))
    organisation.person(1, mail="a@x")
    organisation.user(11, "E1", mail="a@x")
    organisation.user(12, None, mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {}


def test_a_weaker_rule_gives_nobody_a_target_that_stronger_keys_dispute(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail", 120), rule("employee_id", "external_id", 100))
    organisation.person(1, mail="a@x")
    organisation.person(2, mail="a@x")
    organisation.person(3)
    organisation.user(11, "E3", mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {}
    assert [row["owner_key"] for row in organisation.findings("ambiguous")] == ["E1", "E2"]


def test_a_key_shared_under_one_rule_spoils_a_match_under_another_of_the_same_confidence(
    organisation: Organisation,
) -> None:
    with_rules(organisation, BY_ID, rule("mail", "mail"))
    organisation.person(1, mail="a@x")
    organisation.person(2, mail="a@x")
    organisation.user(11, "E1")
    organisation.user(12, None, mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {}


def test_what_is_owned_is_not_matched_again(organisation: Organisation) -> None:
    organisation.person(1, mail="a@x")
    organisation.user(11, "E1", mail="a@x")
    organisation.evaluate()
    with_rules(organisation, rule("mail", "mail"))
    organisation.person(2, mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 100, P.VERIFIED)}
    assert organisation.findings("ambiguous") == []


def test_an_owner_whose_key_changes_keeps_its_account(organisation: Organisation) -> None:
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.evaluate()
    organisation.find("HR_Person", 1)["employee_id"] = "E1-new"
    organisation.evaluate()
    assert owners(organisation) == {1: (11, 100, P.VERIFIED)}
    assert organisation.findings() == []


def test_an_account_read_again_under_another_id_is_found_by_its_key(organisation: Organisation) -> None:
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.evaluate()
    organisation.find("CRM_User", 11)["resource_id"] = 99
    organisation.evaluate()
    assert owners(organisation) == {1: (99, 100, P.VERIFIED)}


def test_a_target_has_one_owner_among_the_resource_types_that_share_its_entity_type(organisation: Organisation) -> None:
    other: ResourceType = nominative(identifier="CRM_User_Administration", allow_add=False)
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.resource_types = (nominative(allow_add=False), other)
    organisation.evaluate()
    assert list(organisation.assignments) == ["CRM_User_Nominative|1"]
    # Evaluating only one of them knows what the other holds.
    organisation.evaluate(resource_types=(other,))
    assert list(organisation.assignments) == ["CRM_User_Nominative|1"]
    assert organisation.findings("orphan") == []


def test_a_returning_person_takes_over_the_account_before_it_is_removed(organisation: Organisation) -> None:
    with_rules(organisation, rule("mail", "mail"))
    organisation.person(1, mail="a@x")
    organisation.user(11, mail="a@x")
    organisation.evaluate()
    organisation.find("HR_Person", 1)["status"] = "left"
    organisation.person(2, mail="a@x")
    organisation.evaluate()
    assert owners(organisation) == {2: (11, 100, P.VERIFIED)}


def test_orphans_are_targets_that_nobody_owns(organisation: Organisation) -> None:
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.user(12, "E2")
    evaluation = organisation.evaluate()
    assert evaluation.counters["CRM_User_Nominative"]["orphans"] == 1
    assert [(row["kind"], row["target_key"]) for row in organisation.findings()] == [("orphan", "u12")]


def test_a_shared_key_of_many_does_not_multiply(organisation: Organisation) -> None:
    with_rules(organisation, rule("status", "title"))
    organisation.resource_types = (
        organisation.resource_types[0].model_copy(update={"type_rule": TypeRule(condition="true")}),
    )
    for number in range(1, 301):
        organisation.person(number, status="same")
        organisation.user(1000 + number, title="same")
    organisation.evaluate()
    assert owners(organisation) == {}
    assert len(organisation.findings("ambiguous")) == 300
