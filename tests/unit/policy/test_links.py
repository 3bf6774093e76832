"""How a link goes through its states: before, what was read, what the policy says; and after."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import pytest

from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.cases import (
    AFTER,
    AWAITING,
    AWAY,
    BEFORE,
    ERRORED,
    EXECUTED,
    FOUND,
    PENDING,
    RULE,
    SENT,
    VERIFIED,
    Outcomes,
    add_owned,
    evaluate_cases,
)
from tests.unit.policy.organisation import NOW, Organisation


class LinkCase(NamedTuple):
    """A stored navigation, whether the policy wants it, whether it is read; and what follows (None: no row)."""

    stored: tuple[bool, P, W, datetime | None] | None
    wanted: bool
    read: tuple[bool, datetime | None]
    after: tuple[bool, P, W] | None
    block: bool = False
    retry: bool = False


LINK_CASES = {
    "never given, not wanted, not there: nothing": LinkCase(None, False, (False, AFTER), None),
    "never given by the policy, and there: left alone": LinkCase(None, False, (True, AFTER), None),
    "wanted and missing: Pending": LinkCase(None, True, (False, AFTER), (True, PENDING, RULE)),
    "wanted, missing, review required": LinkCase(None, True, (False, AFTER), (True, AWAITING, RULE), block=True),
    "wanted and there: Verified": LinkCase(None, True, (True, AFTER), (True, VERIFIED, RULE)),
    "Pending stays Pending": LinkCase((True, PENDING, RULE, None), True, (False, AFTER), (True, PENDING, RULE)),
    "no longer wanted before it was sent: forgotten": LinkCase(
        (True, PENDING, RULE, None), False, (False, AFTER), None
    ),
    "no longer wanted before it was sent, and given by hand meanwhile: left alone": LinkCase(
        (True, PENDING, RULE, None), False, (True, AFTER), None
    ),
    "given and no longer wanted: removal Pending": LinkCase(
        (True, VERIFIED, RULE, None), False, (True, AFTER), (False, PENDING, AWAY)
    ),
    "given and no longer wanted, review required": LinkCase(
        (True, VERIFIED, RULE, None), False, (True, AFTER), (False, AWAITING, AWAY), block=True
    ),
    "given, no longer wanted, and gone already: forgotten": LinkCase(
        (True, VERIFIED, RULE, None), False, (False, AFTER), None
    ),
    "on its way and no longer wanted: not decided twice": LinkCase(
        (True, SENT, RULE, None), False, (False, AFTER), (True, SENT, RULE)
    ),
    "executed, an older read: in flight": LinkCase(
        (True, EXECUTED, RULE, NOW), True, (False, BEFORE), (True, EXECUTED, RULE)
    ),
    "executed, a later read shows it: Verified": LinkCase(
        (True, EXECUTED, RULE, NOW), True, (True, AFTER), (True, VERIFIED, RULE)
    ),
    "executed, a later read does not show it: gap": LinkCase(
        (True, EXECUTED, RULE, NOW), True, (False, AFTER), (True, EXECUTED, FOUND)
    ),
    "executed, no longer wanted, a later read shows it: removal Pending": LinkCase(
        (True, EXECUTED, RULE, NOW), False, (True, AFTER), (False, PENDING, AWAY)
    ),
    "removed by hand though wanted: gap, no order": LinkCase(
        (True, VERIFIED, RULE, None), True, (False, AFTER), (True, VERIFIED, FOUND)
    ),
    "removal Pending stays": LinkCase(
        (False, PENDING, AWAY, None), False, (True, AFTER), (False, PENDING, AWAY)
    ),
    "removal Pending, and wanted again: nothing to do": LinkCase(
        (False, PENDING, AWAY, None), True, (True, AFTER), (True, VERIFIED, RULE)
    ),
    "removal executed, an older read: in flight": LinkCase(
        (False, EXECUTED, AWAY, NOW), False, (True, BEFORE), (False, EXECUTED, AWAY)
    ),
    "removal executed, a later read, gone: forgotten": LinkCase(
        (False, EXECUTED, AWAY, NOW), False, (False, AFTER), None
    ),
    "removal executed, a later read, still there: gap": LinkCase(
        (False, EXECUTED, AWAY, NOW), False, (True, AFTER), (False, EXECUTED, FOUND)
    ),
    "removal executed, wanted again, a later read, gone: Pending": LinkCase(
        (False, EXECUTED, AWAY, NOW), True, (False, AFTER), (True, PENDING, RULE)
    ),
    "removal failed: stays Errored": LinkCase(
        (False, ERRORED, AWAY, NOW), False, (True, AFTER), (False, ERRORED, AWAY)
    ),
    "removal failed and retried: Pending": LinkCase(
        (False, ERRORED, AWAY, NOW), False, (True, AFTER), (False, PENDING, AWAY), retry=True
    ),
    "addition failed: stays Errored": LinkCase(
        (True, ERRORED, RULE, NOW), True, (False, AFTER), (True, ERRORED, RULE)
    ),
    "addition failed, yet it is there, and no longer wanted: removal Pending": LinkCase(
        (True, ERRORED, RULE, NOW), False, (True, AFTER), (False, PENDING, AWAY)
    ),
    "removal read back as Verified, an older read still shows it: kept": LinkCase(
        (False, VERIFIED, AWAY, NOW), False, (True, BEFORE), (False, VERIFIED, AWAY)
    ),
    "removal read back as Verified, wanted again before the next read: Pending": LinkCase(
        (False, VERIFIED, AWAY, NOW), True, (True, BEFORE), (True, PENDING, RULE)
    ),
    "removal Verified, given again by hand: left alone": LinkCase(
        (False, VERIFIED, AWAY, NOW), False, (True, AFTER), None
    ),
}  # fmt: skip


def add_link_case(organisation: Organisation, number: int, case: LinkCase) -> str:
    """One case as person and account of that number; returns the key of the navigation."""
    add_owned(organisation, number, {}, {})
    if not organisation.rows.get("CRM_Group"):
        organisation.group(7, "Sales")
        organisation.organization(1, "SAL")
    if case.wanted:
        organisation.link("HR_PersonOrganization", number, 1)
    if case.read[0]:
        organisation.link("CRM_GroupMember", 7, 1000 + number)
    key = f"CRM_User_Nominative|{number}|groups|7"
    if case.stored:
        expected, state, workflow, executed_at = case.stored
        organisation.stored(
            "assigned_resource_navigation",
            assigned_navigation=key,
            assignment=f"CRM_User_Nominative|{number}",
            navigation="groups",
            linked_id=7,
            expected=expected,
            provisioning_state=state,
            workflow_state=workflow,
            executed_at=executed_at and executed_at.replace(tzinfo=None),
        )
    return key


@pytest.fixture(scope="module")
def links_after(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return evaluate_cases(tmp_path_factory, LINK_CASES, add_link_case, "assigned_resource_navigation")


@pytest.mark.parametrize("label", LINK_CASES)
def test_states_of_a_link(links_after: Outcomes, label: str) -> None:
    after, later = links_after[label]
    found = after and (after["expected"], after["provisioning_state"], after["workflow_state"])
    assert found == LINK_CASES[label].after
    assert later == after, "a second evaluation changes nothing"
