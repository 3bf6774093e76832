"""Laws that hold for any organisation: evaluating is repeatable, and nothing on its way is decided again."""

from __future__ import annotations

import copy
import os
import tempfile
from datetime import datetime
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.model.configuration import CorrelationRule, ScalarRule
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import EARLIER, LATER, NOW, Organisation, nominative

PEOPLE = range(1, 5)
ACCOUNTS = range(11, 15)
INSTANTS = st.sampled_from([None, EARLIER, NOW, LATER])
STATES = st.sampled_from(list(P))
WORKFLOWS = st.sampled_from(list(W))
TEXTS = st.sampled_from(["Clerk", "Boss", "", None])
RULES = (
    CorrelationRule(source_expression="employee_id", target_expression="external_id", confidence=120),
    CorrelationRule(source_expression="mail", target_expression="mail", confidence=90),
)


def naive(instant: datetime | None) -> datetime | None:
    return instant and instant.replace(tzinfo=None)


@st.composite
def organisations(draw: st.DrawFn) -> Organisation:
    """People, accounts and stored assignments in any state, consistent or not."""
    flags = st.booleans()
    resource_type = nominative(
        allow_add=draw(flags), allow_remove=draw(flags), block_provisioning=draw(flags), correlation_rules=RULES,
        scalar_rules=(
            ScalarRule(property="title", expression="title"),
            ScalarRule(property="user_name", expression="mail", is_mapped=False),
        ),
    )  # fmt: skip
    organisation = Organisation(Path(tempfile.mkdtemp(prefix="policy-")), (resource_type,), draw(INSTANTS))
    organisation.organization(1, "SAL")
    organisation.group(7, "Sales")
    for number in PEOPLE:
        if draw(flags):
            status = draw(st.sampled_from(["active", "left"]))
            organisation.person(number, f"E{number}", title=draw(TEXTS), mail=draw(TEXTS), status=status)
            if draw(flags):
                organisation.link("HR_PersonOrganization", number, 1)
        if draw(flags):
            add_stored(draw, organisation, number)
    for number in ACCOUNTS:
        if draw(flags):
            external_id = draw(st.sampled_from(["E1", "E2", "E3", None]))
            organisation.user(number, external_id, title=draw(TEXTS), mail=draw(TEXTS))
            if draw(flags):
                organisation.link("CRM_GroupMember", 7, number)
    return organisation


def add_stored(draw: st.DrawFn, organisation: Organisation, number: int) -> None:
    assignment = f"CRM_User_Nominative|{number}"
    # A target has one stored owner: what the repository holds comes from earlier evaluations.
    target = 10 + number if draw(st.booleans()) else None
    organisation.stored(
        "assigned_resource_type", assignment=assignment, resource_type="CRM_User_Nominative", owner_id=number,
        target_id=target, target_key=f"u{10 + number}" if target or draw(st.booleans()) else None,
        confidence=draw(st.sampled_from([None, 90, 120])), provisioning_state=draw(STATES),
        workflow_state=draw(WORKFLOWS), executed_at=naive(draw(INSTANTS)),
    )  # fmt: skip
    for item in ("title", "user_name", "mail"):
        if draw(st.booleans()):
            organisation.stored(
                "assigned_resource_scalar", assigned_scalar=f"{assignment}|{item}", assignment=assignment,
                property=item, policy_value=draw(TEXTS), current_value=draw(TEXTS), provisioning_state=draw(STATES),
                workflow_state=draw(WORKFLOWS), executed_at=naive(draw(INSTANTS)),
            )  # fmt: skip
    if draw(st.booleans()):
        organisation.stored(
            "assigned_resource_navigation", assigned_navigation=f"{assignment}|groups|7", assignment=assignment,
            navigation="groups", linked_id=7, expected=draw(st.booleans()), provisioning_state=draw(STATES),
            workflow_state=draw(WORKFLOWS), executed_at=naive(draw(INSTANTS)),
        )  # fmt: skip


def in_flight(row: dict[str, object], read_at: datetime | None) -> bool:
    executed_at = row["executed_at"]
    if row["provisioning_state"] not in {P.TRANSMITTED, P.EXECUTED}:
        return False
    read = naive(read_at)
    return not isinstance(executed_at, datetime) or read is None or read <= executed_at


LAW = settings(max_examples=int(os.environ.get('LAW_EXAMPLES', '25')), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LAW
@given(organisations())
def test_evaluating_its_own_result_changes_nothing(organisation: Organisation) -> None:
    organisation.evaluate()
    first = copy.deepcopy((organisation.assignments, organisation.scalars, organisation.navigations))
    assert organisation.evaluate().changed == 0
    assert (organisation.assignments, organisation.scalars, organisation.navigations) == first


@LAW
@given(organisations())
def test_what_is_on_its_way_is_never_asked_again_and_a_target_has_one_owner(organisation: Organisation) -> None:
    tables = ("assigned_resource_scalar", "assigned_resource_navigation")
    before = {table: copy.deepcopy(organisation.table(table)) for table in (*tables, "assigned_resource_type")}
    organisation.evaluate()
    for table in tables:
        after = organisation.table(table)
        for key, row in before[table].items():
            if in_flight(row, organisation.read_at) and key in after and not key.endswith("|user_name"):
                assert after[key] == row
    for key, row in before["assigned_resource_type"].items():
        sent_without_key = row["provisioning_state"] == P.TRANSMITTED or row["target_key"] is None
        if in_flight(row, organisation.read_at) and sent_without_key:
            assert organisation.assignments[key]["provisioning_state"] == row["provisioning_state"]
    owned = [row["target_id"] for row in organisation.assignments.values() if row["target_id"] is not None]
    assert len(owned) == len(set(owned))
