"""How a type rule gives a resource: required, after validation, or only suggested (engine.md 1.11, 3.5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.model.resource_type import ResourceType, TypeRule
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import Organisation, Row, nominative


def given_by(kind: str, **changes: object) -> ResourceType:
    return nominative(type_rule=TypeRule.model_validate({"condition": "status = 'active'", "type": kind}), **changes)


@pytest.fixture
def organisation(tmp_path: Path) -> Organisation:
    found = Organisation(tmp_path)
    found.person(1)
    return found


def only(organisation: Organisation) -> Row:
    (row,) = organisation.rows["assigned_resource_type"]
    return row


def states(organisation: Organisation) -> tuple[P, W]:
    row = only(organisation)
    return P(row["provisioning_state"]), W(row["workflow_state"])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("required", (P.PENDING, W.CALCULATED)),
        ("requested_automatically", (P.AWAITING_APPROVAL, W.AUTOMATIC_WITH_VALIDATION)),
        ("suggested", (P.NONE, W.SUGGESTED)),
    ],
)
def test_what_each_kind_makes_of_a_new_owner(organisation: Organisation, kind: str, expected: tuple[P, W]) -> None:
    organisation.resource_types = (given_by(kind),)
    figures = organisation.evaluate().counters["CRM_User_Nominative"]
    assert states(organisation) == expected
    assert figures["suggested"] == (kind == "suggested")
    assert figures["to_create"] == (kind == "required")
    assert organisation.evaluate().changed == 0


@pytest.mark.parametrize("kind", ["required", "requested_automatically", "suggested"])
def test_who_owns_one_already_keeps_it_and_its_values_are_ruled(organisation: Organisation, kind: str) -> None:
    organisation.resource_types = (given_by(kind),)
    organisation.user(11, "E1", title="Boss")
    organisation.evaluate()
    assert states(organisation) == (P.VERIFIED, W.CALCULATED)
    (scalar,) = organisation.scalars.values()
    assert scalar["provisioning_state"] == P.PENDING


@pytest.mark.parametrize("kind", ["requested_automatically", "suggested"])
def test_what_a_person_has_approved_is_created_like_any_other(organisation: Organisation, kind: str) -> None:
    organisation.resource_types = (given_by(kind),)
    organisation.evaluate()
    only(organisation).update(provisioning_state=P.PENDING, workflow_state=W.APPROVED)
    organisation.evaluate()
    assert states(organisation) == (P.PENDING, W.APPROVED)
    assert [row["provisioning_state"] for row in organisation.scalars.values()] == [P.PENDING]
    assert organisation.evaluate().changed == 0
    organisation.user(11, "E1")
    organisation.evaluate()
    assert states(organisation) == (P.VERIFIED, W.CALCULATED)


def test_what_was_validated_is_not_validated_again_after_a_failure(organisation: Organisation) -> None:
    organisation.resource_types = (given_by("requested_automatically"),)
    organisation.evaluate()
    only(organisation).update(provisioning_state=P.ERRORED, workflow_state=W.APPROVED)
    organisation.find("HR_Person", 1)["title"] = "Boss"
    organisation.evaluate()
    assert states(organisation) == (P.PENDING, W.APPROVED)


@pytest.mark.parametrize("kind", ["requested_automatically", "suggested"])
def test_a_declined_one_stays_declined(organisation: Organisation, kind: str) -> None:
    organisation.resource_types = (given_by(kind),)
    organisation.evaluate()
    only(organisation).update(workflow_state=W.DECLINED)
    organisation.evaluate()
    assert states(organisation)[1] == W.DECLINED
    assert not {row["provisioning_state"] for row in organisation.scalars.values()} & {P.PENDING, P.AWAITING_APPROVAL}
    assert organisation.evaluate().changed == 0


@pytest.mark.parametrize("kind", ["requested_automatically", "suggested"])
def test_who_no_longer_qualifies_is_asked_no_more(organisation: Organisation, kind: str) -> None:
    organisation.resource_types = (given_by(kind),)
    organisation.evaluate()
    organisation.find("HR_Person", 1)["status"] = "left"
    organisation.evaluate()
    assert organisation.assignments == {}


def test_a_rule_that_only_suggests_from_now_on_calls_back_what_was_not_sent(organisation: Organisation) -> None:
    organisation.evaluate()
    assert states(organisation) == (P.PENDING, W.CALCULATED)
    organisation.resource_types = (given_by("suggested"),)
    organisation.evaluate()
    assert states(organisation) == (P.NONE, W.SUGGESTED)
    assert organisation.evaluate().changed == 0
    organisation.resource_types = (nominative(),)
    organisation.evaluate()
    assert states(organisation) == (P.PENDING, W.CALCULATED)
    assert [row["provisioning_state"] for row in organisation.scalars.values()] == [P.PENDING]
