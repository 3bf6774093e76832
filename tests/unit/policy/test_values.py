"""How a value goes through its states: before, what was read, what the policy says; and after."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from include.model.resource_type import ScalarRule
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.cases import (
    AFTER,
    AWAITING,
    BEFORE,
    ERRORED,
    EXECUTED,
    FOUND,
    INACTIVE,
    PENDING,
    RULE,
    SENT,
    VERIFIED,
    Outcomes,
    add_owned,
    evaluate_cases,
    owned,
)
from tests.unit.policy.organisation import NOMINATIVE, NOW, Organisation

ASSIGNMENT = "CRM_User_Nominative|1"
SCALAR = f"{ASSIGNMENT}|title"
EXECUTED_AT = NOW.replace(tzinfo=None)


class Case(NamedTuple):
    """A stored scalar, the present policy and reading, and the states that follow."""

    stored: tuple[str, P, W, datetime | None] | None
    policy: str
    read: tuple[str, datetime | None]
    after: tuple[str, P, W]
    block: bool = False
    retry: bool = False


A, B, C = "Alpha", "Beta", "Gamma"
SCALAR_CASES = {
    "new and different: Pending": Case(None, B, (A, AFTER), (B, PENDING, RULE)),
    "new, different, review required: Awaiting Approval": Case(None, B, (A, AFTER), (B, AWAITING, RULE), block=True),
    "new and equal: Verified": Case(None, A, (A, AFTER), (A, VERIFIED, RULE), block=True),
    "policy changed after Verified: Pending": Case((A, VERIFIED, RULE, None), B, (A, AFTER), (B, PENDING, RULE)),
    "policy changed after Verified, review required": Case(
        (A, VERIFIED, RULE, None), B, (A, AFTER), (B, AWAITING, RULE), block=True
    ),
    "Pending stays Pending": Case((B, PENDING, RULE, None), B, (A, AFTER), (B, PENDING, RULE)),
    "approved by a person, so Pending: review is not asked twice": Case(
        (B, PENDING, W.APPROVED, None), B, (A, AFTER), (B, PENDING, W.APPROVED), block=True
    ),
    "an approval does not hold for another value": Case(
        (B, PENDING, W.APPROVED, None), C, (A, AFTER), (C, AWAITING, RULE), block=True
    ),
    "Pending, and somebody did it by hand: Verified": Case(
        (B, PENDING, RULE, None), B, (B, AFTER), (B, VERIFIED, RULE)
    ),
    "Pending, and the policy returns to what is there: Verified": Case(
        (B, PENDING, RULE, None), A, (A, AFTER), (A, VERIFIED, RULE)
    ),
    "Awaiting Approval stays": Case((B, AWAITING, RULE, None), B, (A, AFTER), (B, AWAITING, RULE), block=True),
    "Awaiting Approval, review no longer required: Pending": Case(
        (B, AWAITING, RULE, None), B, (A, AFTER), (B, PENDING, RULE)
    ),
    "declined stays declined": Case(
        (B, AWAITING, W.DECLINED, None), B, (A, AFTER), (B, AWAITING, W.DECLINED), block=True
    ),
    "declined, and the policy says something new: asked again": Case(
        (B, AWAITING, W.DECLINED, None), C, (A, AFTER), (C, AWAITING, RULE), block=True
    ),
    "Transmitted without an answer stays, whatever is read": Case(
        (B, SENT, RULE, None), B, (A, AFTER), (B, SENT, RULE)
    ),
    "Transmitted, an older read: in flight": Case((B, SENT, RULE, NOW), B, (A, BEFORE), (B, SENT, RULE)),
    "Executed, an older read: in flight": Case((B, EXECUTED, RULE, NOW), B, (A, BEFORE), (B, EXECUTED, RULE)),
    "Executed, a read of the same instant: in flight": Case((B, EXECUTED, RULE, NOW), B, (A, NOW), (B, EXECUTED, RULE)),
    "Executed, never read: in flight": Case((B, EXECUTED, RULE, NOW), B, (A, None), (B, EXECUTED, RULE)),
    "Executed, an older read that is equal by chance: in flight": Case(
        (B, EXECUTED, RULE, NOW), B, (B, BEFORE), (B, EXECUTED, RULE)
    ),
    "Executed and the policy changes before the next read: not decided twice": Case(
        (B, EXECUTED, RULE, NOW), C, (A, BEFORE), (B, EXECUTED, RULE)
    ),
    "Executed, a later read, equal: Verified": Case((B, EXECUTED, RULE, NOW), B, (B, AFTER), (B, VERIFIED, RULE)),
    "Executed, a later read, different: gap, no order": Case(
        (B, EXECUTED, RULE, NOW), B, (A, AFTER), (B, EXECUTED, FOUND)
    ),
    "Executed, a later read, the policy has changed: Pending": Case(
        (B, EXECUTED, RULE, NOW), C, (B, AFTER), (C, PENDING, RULE)
    ),
    "Executed, a later read, the policy has changed to what is there: Verified": Case(
        (B, EXECUTED, RULE, NOW), A, (A, AFTER), (A, VERIFIED, RULE)
    ),
    "Transmitted after an earlier order, a read later than that one: still without an answer": Case(
        (B, SENT, RULE, NOW), B, (A, AFTER), (B, SENT, RULE)
    ),
    "Transmitted without an answer, though equal: it may still be carried out": Case(
        (B, SENT, RULE, None), A, (A, AFTER), (B, SENT, RULE)
    ),
    "Verified and changed by hand: gap, no order": Case(
        (A, VERIFIED, RULE, None), A, (B, AFTER), (A, VERIFIED, FOUND)
    ),
    "a gap stays a gap": Case((A, VERIFIED, FOUND, None), A, (B, AFTER), (A, VERIFIED, FOUND)),
    "a gap of an executed order stays": Case((B, EXECUTED, FOUND, NOW), B, (A, AFTER), (B, EXECUTED, FOUND)),
    "a gap mended by hand: Verified": Case((A, VERIFIED, FOUND, None), A, (A, AFTER), (A, VERIFIED, RULE)),
    "a gap, and the policy changes: Pending": Case((A, VERIFIED, FOUND, None), C, (B, AFTER), (C, PENDING, RULE)),
    "kept as it is by a person: no gap": Case(
        (A, VERIFIED, W.APPROVED, None), A, (B, AFTER), (A, VERIFIED, W.APPROVED)
    ),
    "kept as it is by a person, and the policy changes: Pending": Case(
        (A, VERIFIED, W.APPROVED, None), C, (B, AFTER), (C, PENDING, RULE)
    ),
    "read back as Verified, an older read shows the old value: no gap": Case(
        (B, VERIFIED, RULE, NOW), B, (A, BEFORE), (B, VERIFIED, RULE)
    ),
    "read back as Verified, then the policy returns to the old value that an older read still shows": Case(
        (B, VERIFIED, RULE, NOW), A, (A, BEFORE), (A, PENDING, RULE)
    ),
    "read back as Verified, then changed by hand and read: gap": Case(
        (B, VERIFIED, RULE, NOW), B, (A, AFTER), (B, VERIFIED, FOUND)
    ),
    "Errored stays Errored": Case((B, ERRORED, RULE, NOW), B, (A, AFTER), (B, ERRORED, RULE)),
    "Errored and retried: Pending": Case((B, ERRORED, RULE, NOW), B, (A, AFTER), (B, PENDING, RULE), retry=True),
    "Errored, and the policy changes: Pending": Case((B, ERRORED, RULE, NOW), C, (A, AFTER), (C, PENDING, RULE)),
    "Errored, and somebody did it by hand: Verified": Case((B, ERRORED, RULE, NOW), B, (B, AFTER), (B, VERIFIED, RULE)),
    "expired confirmation stays until retried": Case((B, P.ERROR, RULE, NOW), B, (A, AFTER), (B, P.ERROR, RULE)),
    "retrying does not touch a gap": Case(
        (A, VERIFIED, FOUND, None), A, (B, AFTER), (A, VERIFIED, FOUND), retry=True
    ),
    "put away, and wanted again: decided anew": Case((B, INACTIVE, RULE, None), B, (A, AFTER), (B, PENDING, RULE)),
}  # fmt: skip


def add_scalar_case(organisation: Organisation, number: int, case: Case) -> str:
    """One case as person and account of that number; returns the key of the scalar."""
    add_owned(organisation, number, {"title": case.policy}, {"title": case.read[0]})
    key = f"CRM_User_Nominative|{number}|title"
    if case.stored:
        policy, state, workflow, executed_at = case.stored
        organisation.stored(
            "assigned_resource_scalar",
            assigned_scalar=key,
            assignment=f"CRM_User_Nominative|{number}",
            property="title",
            policy_value=policy,
            current_value=A,
            provisioning_state=state,
            workflow_state=workflow,
            executed_at=executed_at and executed_at.replace(tzinfo=None),
        )
    return key


@pytest.fixture(scope="module")
def scalars_after(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return evaluate_cases(tmp_path_factory, SCALAR_CASES, add_scalar_case, "assigned_resource_scalar")


@pytest.mark.parametrize("label", SCALAR_CASES)
def test_states_of_a_scalar(scalars_after: Outcomes, label: str) -> None:
    after, later = scalars_after[label]
    assert after is not None
    assert (after["policy_value"], after["provisioning_state"], after["workflow_state"]) == SCALAR_CASES[label].after
    assert later == after, "a second evaluation changes nothing"


def test_a_new_decision_forgets_when_the_last_one_was_carried_out_unless_the_read_is_older(tmp_path: Path) -> None:
    for read_at, kept in ((AFTER, None), (BEFORE, EXECUTED_AT)):
        organisation = owned(tmp_path / str(read_at.hour), read_at)
        organisation.find("HR_Person", 1)["title"] = C
        organisation.stored(
            "assigned_resource_scalar", assigned_scalar=SCALAR, assignment=ASSIGNMENT, property="title",
            policy_value="Clerk", current_value="Clerk", provisioning_state=VERIFIED, workflow_state=RULE,
            executed_at=EXECUTED_AT,
        )  # fmt: skip
        organisation.evaluate()
        assert organisation.scalars[SCALAR]["executed_at"] == kept


def test_values_are_canonical_text_of_the_target_propertys_type(tmp_path: Path) -> None:
    rules = (
        ScalarRule(property="active", expression="status = 'active'"),
        ScalarRule(property="since", expression="start_date"),
        ScalarRule(property="level", expression="length(last_name)"),
        ScalarRule(property="mail", expression="mail"),
    )
    organisation = owned(tmp_path, AFTER, scalar_rules=rules)
    person, user = organisation.find("HR_Person", 1), organisation.find("CRM_User", 1001)
    person |= {"start_date": datetime(2024, 1, 31, 8, 0, 0, 500000), "last_name": "Hopper", "mail": None}
    user |= {"active": False, "since": datetime(2024, 1, 31, 8, 0), "level": 6, "mail": ""}
    organisation.evaluate()
    found = {row["property"]: (row["policy_value"], row["current_value"]) for row in organisation.scalars.values()}
    assert found == {
        "active": ("true", "false"),
        "since": ("2024-01-31 08:00:00.5", "2024-01-31 08:00:00"),
        "level": ("6", "6"),
        "mail": (None, ""),
    }
    states = {row["property"]: row["provisioning_state"] for row in organisation.scalars.values()}
    assert states == {"active": PENDING, "since": PENDING, "level": VERIFIED, "mail": PENDING}


def test_the_order_in_which_a_rule_gives_several_values_is_no_gap(tmp_path: Path) -> None:
    rule = ScalarRule(property="skills", expression="'b' || chr(10) || 'A' || chr(10) || 'b'")
    organisation = owned(tmp_path, AFTER, scalar_rules=(rule,))
    organisation.find("CRM_User", 1001)["skills"] = "A\nb"
    organisation.evaluate()
    row = organisation.scalars[f"{ASSIGNMENT}|skills"]
    assert (row["policy_value"], row["provisioning_state"]) == ("A\nb", VERIFIED)


def test_a_value_written_at_creation_only_is_never_compared(tmp_path: Path) -> None:
    rule = ScalarRule(property="user_name", expression="lower(last_name)", is_mapped=False)
    organisation = owned(tmp_path, AFTER, scalar_rules=(rule,))
    organisation.find("HR_Person", 1)["last_name"] = "HOPPER"
    organisation.find("CRM_User", 1001)["user_name"] = "somebody"
    organisation.evaluate()
    row = organisation.scalars[f"{ASSIGNMENT}|user_name"]
    assert (row["policy_value"], row["current_value"]) == ("hopper", "somebody")
    assert (row["provisioning_state"], row["workflow_state"]) == (VERIFIED, RULE)
    organisation.find("HR_Person", 1)["last_name"] = "MURRAY"
    assert organisation.evaluate().changed == 0


def test_a_property_without_a_rule_is_forgotten_unless_its_order_is_on_its_way(tmp_path: Path) -> None:
    organisation = owned(tmp_path, BEFORE, scalar_rules=())
    for item, state in (("title", VERIFIED), ("mail", EXECUTED)):
        organisation.stored(
            "assigned_resource_scalar", assigned_scalar=f"{ASSIGNMENT}|{item}", assignment=ASSIGNMENT, property=item,
            policy_value="x", current_value=None, provisioning_state=state, workflow_state=RULE,
            executed_at=EXECUTED_AT,
        )  # fmt: skip
    organisation.evaluate()
    assert [row["property"] for row in organisation.scalars.values()] == ["mail"]
    organisation.read_at = AFTER
    organisation.evaluate()
    assert organisation.scalars == {}


def test_gaps_are_listed_with_both_values(tmp_path: Path) -> None:
    organisation = owned(tmp_path, AFTER)
    organisation.evaluate()
    organisation.find("CRM_User", 1001)["title"] = "White"
    evaluation = organisation.evaluate()
    assert evaluation.counters[NOMINATIVE.identifier]["gaps"] == 1
    assert organisation.findings("gap") == [
        {
            "resource_type": "CRM_User_Nominative",
            "kind": "gap",
            "owner_key": "E1",
            "target_key": "u1001",
            "detail": "title is 'White', the policy says 'Clerk'",
        }
    ]
