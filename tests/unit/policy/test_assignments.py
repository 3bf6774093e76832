"""How an assignment goes through its states, from creation to removal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from include.model.resource_type import TypeRule
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import EARLIER, LATER, NOW, Organisation, nominative

BEFORE, AFTER = EARLIER, LATER
RULE, AWAY, FOUND = W.CALCULATED, W.CANCELLATION, W.FOUND


class Stored(NamedTuple):
    """An assignment as the repository holds it. ``target``: it has the account's id; ``key``: its key."""

    state: P
    workflow: W
    executed_at: datetime | None = None
    target: bool = True
    key: bool = True


class Case(NamedTuple):
    """An assignment, whether the rule includes the owner, whether the account is read; and what follows.

    ``after`` is state, workflow and whether the assignment has a target; None: there is no row.
    """

    stored: Stored | None
    included: bool
    read: tuple[bool, datetime | None]
    after: tuple[P, W, bool] | None
    settings: Mapping[str, Any] = MappingProxyType({})
    retry: bool = False


def creation(state: P, executed_at: datetime | None = None, *, key: bool = False, workflow: W = RULE) -> Stored:
    return Stored(state, workflow, executed_at, target=False, key=key)


BLOCK = {"block_provisioning": True}
NO_ADD = {"allow_add": False}
NO_REMOVE = {"allow_remove": False}
CASES = {
    # Creation.
    "new, no account: creation Pending": Case(None, True, (False, AFTER), (P.PENDING, RULE, False)),
    "new, no account, review required": Case(
        None, True, (False, AFTER), (P.AWAITING_APPROVAL, RULE, False), BLOCK
    ),
    "new, no account, may not create: nothing": Case(None, True, (False, AFTER), None, NO_ADD),
    "not included, nothing stored: nothing": Case(None, False, (False, AFTER), None),
    "creation Pending stays": Case(creation(P.PENDING), True, (False, AFTER), (P.PENDING, RULE, False)),
    "creation Pending after approval stays": Case(
        creation(P.PENDING), True, (False, AFTER), (P.PENDING, RULE, False), BLOCK
    ),
    "creation Awaiting Approval stays": Case(
        creation(P.AWAITING_APPROVAL), True, (False, AFTER), (P.AWAITING_APPROVAL, RULE, False), BLOCK
    ),
    "creation Awaiting Approval, review no longer required": Case(
        creation(P.AWAITING_APPROVAL), True, (False, AFTER), (P.PENDING, RULE, False)
    ),
    "creation Pending, may no longer create: forgotten": Case(
        creation(P.PENDING), True, (False, AFTER), None, NO_ADD
    ),
    "creation Transmitted without an answer stays": Case(
        creation(P.TRANSMITTED), True, (False, AFTER), (P.TRANSMITTED, RULE, False)
    ),
    "creation Executed, an older read: in flight": Case(
        creation(P.EXECUTED, NOW, key=True), True, (False, BEFORE), (P.EXECUTED, RULE, False)
    ),
    "creation Executed, the row appears: it is linked by its key and Verified": Case(
        creation(P.EXECUTED, NOW, key=True), True, (True, AFTER), (P.VERIFIED, RULE, True)
    ),
    "creation Executed, the row appears before the read counts: linked, still in flight": Case(
        creation(P.EXECUTED, NOW, key=True), True, (True, BEFORE), (P.EXECUTED, RULE, True)
    ),
    "creation Executed, a later read does not show it: gap, no second creation": Case(
        creation(P.EXECUTED, NOW, key=True), True, (False, AFTER), (P.EXECUTED, FOUND, False)
    ),
    "creation read back as Verified, an older read does not show it: no gap": Case(
        creation(P.VERIFIED, NOW, key=True), True, (False, BEFORE), (P.VERIFIED, RULE, False)
    ),
    "creation failed: stays Errored": Case(
        creation(P.ERRORED, NOW), True, (False, AFTER), (P.ERRORED, RULE, False)
    ),
    "creation failed and retried: Pending": Case(
        creation(P.ERRORED, NOW), True, (False, AFTER), (P.PENDING, RULE, False), {}, True
    ),
    # Ownership.
    "owned stays Verified": Case(Stored(P.VERIFIED, RULE), True, (True, AFTER), (P.VERIFIED, RULE, True), BLOCK),
    "account deleted by hand: gap, not created again": Case(
        Stored(P.VERIFIED, RULE), True, (False, AFTER), (P.VERIFIED, FOUND, True)
    ),
    "account still missing: gap stays": Case(
        Stored(P.VERIFIED, FOUND), True, (False, AFTER), (P.VERIFIED, FOUND, True)
    ),
    "missing account is back: Verified": Case(
        Stored(P.VERIFIED, FOUND), True, (True, AFTER), (P.VERIFIED, RULE, True)
    ),
    # Removal.
    "leaver: removal Pending": Case(Stored(P.VERIFIED, RULE), False, (True, AFTER), (P.PENDING, AWAY, True)),
    "leaver, review required": Case(
        Stored(P.VERIFIED, RULE), False, (True, AFTER), (P.AWAITING_APPROVAL, AWAY, True), BLOCK
    ),
    "leaver, may not remove: for a person": Case(
        Stored(P.VERIFIED, RULE), False, (True, AFTER), (P.VERIFIED, FOUND, True), NO_REMOVE
    ),
    "leaver, may now remove": Case(Stored(P.VERIFIED, FOUND), False, (True, AFTER), (P.PENDING, AWAY, True)),
    "leaver without account, never sent: forgotten": Case(creation(P.PENDING), False, (False, AFTER), None),
    "leaver whose creation failed: forgotten": Case(creation(P.ERRORED, NOW), False, (False, AFTER), None),
    "leaver whose creation has no answer yet: wait": Case(
        creation(P.TRANSMITTED), False, (False, AFTER), (P.TRANSMITTED, RULE, False)
    ),
    "leaver whose creation was executed, unread: removal by its key": Case(
        creation(P.EXECUTED, NOW, key=True), False, (False, BEFORE), (P.PENDING, AWAY, False)
    ),
    "that removal stays Pending until it is read": Case(
        creation(P.PENDING, NOW, key=True, workflow=AWAY), False, (False, BEFORE), (P.PENDING, AWAY, False)
    ),
    "leaver whose account is gone already: forgotten": Case(Stored(P.VERIFIED, RULE), False, (False, AFTER), None),
    "removal Pending stays": Case(Stored(P.PENDING, AWAY), False, (True, AFTER), (P.PENDING, AWAY, True)),
    "removal Pending, may no longer remove": Case(
        Stored(P.PENDING, AWAY), False, (True, AFTER), (P.VERIFIED, FOUND, True), NO_REMOVE
    ),
    "removal Pending, owner is back: owned": Case(
        Stored(P.PENDING, AWAY), True, (True, AFTER), (P.VERIFIED, RULE, True)
    ),
    "removal Transmitted stays": Case(Stored(P.TRANSMITTED, AWAY), False, (True, AFTER), (P.TRANSMITTED, AWAY, True)),
    "removal Transmitted after an earlier order, a read later than that one: stays": Case(
        Stored(P.TRANSMITTED, AWAY, NOW), False, (True, AFTER), (P.TRANSMITTED, AWAY, True)
    ),
    "removal Executed, an older read: in flight": Case(
        Stored(P.EXECUTED, AWAY, NOW), False, (True, BEFORE), (P.EXECUTED, AWAY, True)
    ),
    "removal Executed, owner is back before the next read: not decided twice": Case(
        Stored(P.EXECUTED, AWAY, NOW), True, (True, BEFORE), (P.EXECUTED, AWAY, True)
    ),
    "removal Executed, owner is back, gone: created again": Case(
        Stored(P.EXECUTED, AWAY, NOW), True, (False, AFTER), (P.PENDING, RULE, False)
    ),
    "removal Executed, a later read, gone: forgotten": Case(Stored(P.EXECUTED, AWAY, NOW), False, (False, AFTER), None),
    "removal Executed, a later read, still there: gap": Case(
        Stored(P.EXECUTED, AWAY, NOW), False, (True, AFTER), (P.EXECUTED, FOUND, True)
    ),
    "that gap stays": Case(Stored(P.EXECUTED, FOUND, NOW), False, (True, AFTER), (P.EXECUTED, FOUND, True)),
    "removal read back as Verified, an older read still shows it": Case(
        Stored(P.VERIFIED, AWAY, NOW), False, (True, BEFORE), (P.VERIFIED, AWAY, True)
    ),
    "removal failed: stays Errored": Case(Stored(P.ERRORED, AWAY, NOW), False, (True, AFTER), (P.ERRORED, AWAY, True)),
    "removal failed and retried": Case(
        Stored(P.ERRORED, AWAY, NOW), False, (True, AFTER), (P.PENDING, AWAY, True), {}, True
    ),
}  # fmt: skip

Outcomes = dict[str, list[tuple[P, W, bool] | None]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """State, workflow and target of every case after one evaluation, and after a second one."""
    groups = defaultdict[tuple[Any, ...], list[str]](list)
    for label, case in CASES.items():
        groups[tuple(case.settings.items()), case.retry, case.read[1]].append(label)
    found: Outcomes = defaultdict(list)
    for (settings, retry, read_at), labels in groups.items():
        # No correlation: a case shows what follows from the assignment alone.
        resource_type = nominative(correlation_rules=(), **dict(settings))
        organisation = Organisation(tmp_path_factory.mktemp("cases"), (resource_type,), read_at)
        for number, label in enumerate(labels, start=1):
            add(organisation, number, CASES[label])
        for again in (False, True):
            organisation.evaluate(retry_errored=retry and not again)
            for number, label in enumerate(labels, start=1):
                row = organisation.assignments.get(f"CRM_User_Nominative|{number}")
                state = row and (row["provisioning_state"], row["workflow_state"], row["target_id"] is not None)
                found[label].append(state or None)
    return found


def add(organisation: Organisation, number: int, case: Case) -> None:
    organisation.person(number, status="active" if case.included else "left")
    if case.read[0]:
        organisation.user(1000 + number)
    if case.stored:
        assignment = f"CRM_User_Nominative|{number}"
        executed_at = case.stored.executed_at and case.stored.executed_at.replace(tzinfo=None)
        organisation.stored(
            "assigned_resource_type",
            assignment=assignment,
            resource_type="CRM_User_Nominative",
            owner_id=number,
            target_id=1000 + number if case.stored.target else None,
            target_key=f"u{1000 + number}" if case.stored.key else None,
            provisioning_state=case.stored.state,
            workflow_state=case.stored.workflow,
            executed_at=executed_at,
        )
        organisation.stored(
            "assigned_resource_scalar",
            assigned_scalar=f"{assignment}|title",
            assignment=assignment,
            property="title",
            policy_value="Clerk",
            provisioning_state=P.VERIFIED if case.stored.target else case.stored.state,
            workflow_state=RULE,
            executed_at=executed_at,
        )


@pytest.mark.parametrize("label", CASES)
def test_states_of_an_assignment(outcomes: Outcomes, label: str) -> None:
    after, later = outcomes[label]
    assert after == CASES[label].after
    assert later == after, "a second evaluation changes nothing"


@pytest.fixture
def organisation(tmp_path: Path) -> Organisation:
    return Organisation(tmp_path)


def test_a_creation_carries_its_values_in_its_own_state(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(block_provisioning=True),)
    organisation.organization(1, "SAL")
    organisation.group(7, "Sales")
    organisation.person(1)
    organisation.link("HR_PersonOrganization", 1, 1)
    organisation.evaluate()
    (assignment,) = organisation.assignments.values()
    (scalar,) = organisation.scalars.values()
    (navigation,) = organisation.navigations.values()
    states = {row["provisioning_state"] for row in (assignment, scalar, navigation)}
    assert states == {P.AWAITING_APPROVAL}
    assert (assignment["target_id"], assignment["target_key"]) == (None, None)
    assert (scalar["policy_value"], scalar["current_value"]) == ("Clerk", None)
    assert (navigation["assigned_navigation"], navigation["expected"]) == ("CRM_User_Nominative|1|groups|7", True)


def test_a_failed_creation_is_decided_anew_when_a_value_changes(organisation: Organisation) -> None:
    organisation.person(1)
    organisation.evaluate()
    for row in (*organisation.rows["assigned_resource_type"], *organisation.rows["assigned_resource_scalar"]):
        row["provisioning_state"] = P.ERRORED
    assert organisation.evaluate().changed == 0
    organisation.find("HR_Person", 1)["title"] = "Boss"
    organisation.evaluate()
    (row,) = organisation.scalars.values()
    assert (row["policy_value"], row["provisioning_state"]) == ("Boss", P.PENDING)
    assert [row["provisioning_state"] for row in organisation.assignments.values()] == [P.PENDING]


def test_a_failed_creation_is_decided_anew_when_a_link_changes(organisation: Organisation) -> None:
    organisation.organization(1, "SAL")
    organisation.group(7, "Sales")
    organisation.person(1)
    organisation.evaluate()
    for row in (*organisation.rows["assigned_resource_type"], *organisation.rows["assigned_resource_scalar"]):
        row["provisioning_state"] = P.ERRORED
    organisation.link("HR_PersonOrganization", 1, 1)
    organisation.evaluate()
    assert [row["provisioning_state"] for row in organisation.assignments.values()] == [P.PENDING]


def test_an_approved_creation_whose_values_change_is_reviewed_again(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(block_provisioning=True),)
    organisation.person(1)
    organisation.evaluate()
    for row in (*organisation.rows["assigned_resource_type"], *organisation.rows["assigned_resource_scalar"]):
        row["provisioning_state"] = P.PENDING
    assert organisation.evaluate().changed == 0
    organisation.find("HR_Person", 1)["title"] = "Boss"
    organisation.evaluate()
    assert [row["provisioning_state"] for row in organisation.assignments.values()] == [P.AWAITING_APPROVAL]


def decide(organisation: Organisation, assignment: str, state: P) -> None:
    for row in organisation.rows["assigned_resource_type"]:
        if row["assignment"] == assignment:
            row["provisioning_state"] = state


def test_a_creation_is_asked_for_beside_the_one_it_depends_on_and_waits_while_that_one_does(
    organisation: Organisation,
) -> None:
    first = nominative(identifier="Account", block_provisioning=True)
    mailbox = nominative(identifier="A_Mailbox", target_entity_type="CRM_Group", depends_on="Account",
                         correlation_rules=(), scalar_rules=(), navigation_rules=())  # fmt: skip
    organisation.resource_types = (mailbox, first)
    organisation.person(1)
    evaluation = organisation.evaluate()
    assert list(organisation.assignments) == ["Account|1"]
    assert evaluation.counters["A_Mailbox"]["creations_waiting"] == 1
    decide(organisation, "Account|1", P.PENDING)
    organisation.resource_types = (mailbox, nominative(identifier="Account"))
    evaluation = organisation.evaluate()
    assert organisation.assignments["A_Mailbox|1"]["provisioning_state"] == P.PENDING
    assert evaluation.counters["A_Mailbox"]["creations_waiting"] == 0
    decide(organisation, "Account|1", P.ERRORED)
    organisation.evaluate()
    assert list(organisation.assignments) == ["Account|1"], "what was refused is not coming"
    organisation.user(11, "E1")
    organisation.evaluate()
    assert organisation.assignments["A_Mailbox|1"]["provisioning_state"] == P.PENDING
    assert organisation.evaluate().changed == 0


def test_values_of_a_leaver_are_put_away_and_taken_up_again_when_the_owner_returns(organisation: Organisation) -> None:
    organisation.person(1, title="Boss")
    organisation.user(11, "E1", title="Clerk")
    organisation.evaluate()
    organisation.find("HR_Person", 1)["status"] = "left"
    organisation.evaluate()
    assert [row["provisioning_state"] for row in organisation.scalars.values()] == [P.INACTIVE]
    organisation.find("HR_Person", 1)["status"] = "active"
    organisation.evaluate()
    assert [row["provisioning_state"] for row in organisation.scalars.values()] == [P.PENDING]
    assert [row["workflow_state"] for row in organisation.assignments.values()] == [RULE]


def test_an_owner_that_vanishes_from_the_repository_is_a_leaver_until_the_account_is_gone(
    organisation: Organisation,
) -> None:
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.evaluate()
    organisation.remove("HR_Person", 1)
    organisation.evaluate()
    (row,) = organisation.assignments.values()
    assert (row["provisioning_state"], row["workflow_state"], row["target_id"]) == (P.PENDING, AWAY, 11)
    row = organisation.rows["assigned_resource_type"][0]
    row |= {"provisioning_state": P.EXECUTED, "executed_at": NOW.replace(tzinfo=None)}
    assert organisation.evaluate().changed == 0
    organisation.remove("CRM_User", 11)
    organisation.read_at = AFTER
    organisation.evaluate()
    assert organisation.assignments == organisation.scalars == organisation.navigations == {}


def test_a_leaver_whose_created_account_has_no_known_key_is_found_by_correlation(organisation: Organisation) -> None:
    organisation.person(1)
    organisation.evaluate()
    row = organisation.rows["assigned_resource_type"][0]
    row |= {"provisioning_state": P.EXECUTED, "executed_at": NOW.replace(tzinfo=None)}
    organisation.find("HR_Person", 1)["status"] = "left"
    organisation.user(11, "E1")
    organisation.read_at = AFTER
    organisation.evaluate()
    (found,) = organisation.assignments.values()
    assert (found["provisioning_state"], found["workflow_state"], found["target_id"]) == (P.PENDING, AWAY, 11)


def test_two_creations_that_report_the_same_key_are_both_left_to_a_person(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(correlation_rules=()),)
    for number in (1, 2):
        organisation.person(number)
        organisation.stored(
            "assigned_resource_type", assignment=f"CRM_User_Nominative|{number}", resource_type="CRM_User_Nominative",
            owner_id=number, target_key="u11", provisioning_state=P.EXECUTED, workflow_state=RULE,
            executed_at=NOW.replace(tzinfo=None),
        )  # fmt: skip
    organisation.user(11)
    organisation.read_at = AFTER
    organisation.evaluate()
    assert {row["workflow_state"] for row in organisation.assignments.values()} == {FOUND}
    assert {row["target_id"] for row in organisation.assignments.values()} == {None}


def test_an_owner_whose_condition_is_unknown_is_not_included(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(type_rule=TypeRule(condition="title <> 'Boss'")),)
    organisation.person(1, title=None)
    organisation.evaluate()
    assert organisation.assignments == {}
