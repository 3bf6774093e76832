"""Laws that hold for any organisation: evaluating is repeatable, and nothing on its way is decided again.

One example is a crowd: people, accounts and stored assignments in any state and combination of states,
consistent or not, so that a few evaluations see thousands of situations.
"""

from __future__ import annotations

import copy
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from include.model.resource_type import CorrelationRule, ScalarRule
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import EARLIER, LATER, NOW, Organisation, Row, nominative

PEOPLE = range(1, 251)
INSTANTS = [None, EARLIER, NOW, LATER]
TEXTS = ["Clerk", "Boss", "", None]
RULES = (
    CorrelationRule(source_expression="employee_id", target_expression="external_id", confidence=120),
    CorrelationRule(source_expression="mail", target_expression="mail", confidence=90),
)
TABLES = ("assigned_resource_type", "assigned_resource_scalar", "assigned_resource_navigation")
# A smaller seed is no simpler crowd: nothing to shrink.
LAW = settings(
    max_examples=3,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def crowd(folder: Path, seed: int) -> Organisation:
    chance = random.Random(seed)
    resource_type = nominative(
        allow_add=chance.random() < 0.8, allow_remove=chance.random() < 0.8, block_provisioning=chance.random() < 0.5,
        correlation_rules=RULES,
        scalar_rules=(
            ScalarRule(property="title", expression="title"),
            ScalarRule(property="user_name", expression="mail", is_mapped=False),
        ),
    )  # fmt: skip
    organisation = Organisation(folder, (resource_type,), chance.choice(INSTANTS))
    organisation.organization(1, "SAL")
    organisation.group(7, "Sales")
    mails = [*(f"m{number}@x" for number in PEOPLE), "", None]
    for number in PEOPLE:
        if chance.random() < 0.9:
            status = chance.choice(["active", "active", "left"])
            organisation.person(
                number, f"E{number}", title=chance.choice(TEXTS), mail=chance.choice(mails), status=status
            )
            if chance.random() < 0.5:
                organisation.link("HR_PersonOrganization", number, 1)
        if chance.random() < 0.7:
            add_stored(chance, organisation, number)
        if chance.random() < 0.7:
            external_id = f"E{chance.choice(PEOPLE)}" if chance.random() < 0.3 else chance.choice([f"E{number}", None])
            organisation.user(1000 + number, external_id, title=chance.choice(TEXTS), mail=chance.choice(mails))
            if chance.random() < 0.5:
                organisation.link("CRM_GroupMember", 7, 1000 + number)
    return organisation


def states(chance: random.Random) -> Row:
    executed_at = chance.choice(INSTANTS)
    return {
        "provisioning_state": chance.choice(list(P)),
        "workflow_state": chance.choice([W.CALCULATED, W.CALCULATED, *W]),
        "executed_at": executed_at and executed_at.replace(tzinfo=None),
    }


def add_stored(chance: random.Random, organisation: Organisation, number: int) -> None:
    assignment = f"CRM_User_Nominative|{number}"
    target = 1000 + number if chance.random() < 0.6 else None
    organisation.stored(
        "assigned_resource_type", assignment=assignment, resource_type="CRM_User_Nominative", owner_id=number,
        target_id=target, target_key=f"u{1000 + number}" if target or chance.random() < 0.5 else None,
        confidence=chance.choice([None, 90, 120]), **states(chance),
    )  # fmt: skip
    for item in ("title", "user_name", "mail"):
        if chance.random() < 0.6:
            organisation.stored(
                "assigned_resource_scalar", assigned_scalar=f"{assignment}|{item}", assignment=assignment,
                property=item, policy_value=chance.choice(TEXTS), current_value=chance.choice(TEXTS), **states(chance),
            )  # fmt: skip
    if chance.random() < 0.6:
        organisation.stored(
            "assigned_resource_navigation", assigned_navigation=f"{assignment}|groups|7", assignment=assignment,
            navigation="groups", linked_id=7, expected=chance.random() < 0.6, **states(chance),
        )  # fmt: skip


def in_flight(row: Row, read_at: datetime | None) -> bool:
    if row["provisioning_state"] != P.EXECUTED:
        return bool(row["provisioning_state"] == P.TRANSMITTED)
    executed_at: datetime | None = row["executed_at"]
    return executed_at is None or read_at is None or read_at.replace(tzinfo=None) <= executed_at


def everything(organisation: Organisation) -> dict[str, dict[str, Any]]:
    return {table: copy.deepcopy(organisation.table(table)) for table in TABLES}


@LAW
@given(seed=st.integers(0, 2**32))
@example(seed=3)
@example(seed=39)
def test_evaluating_its_own_result_changes_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    organisation = crowd(tmp_path_factory.mktemp("crowd"), seed)
    organisation.evaluate()
    first = everything(organisation)
    organisation.evaluate()
    assert everything(organisation) == first


@LAW
@given(seed=st.integers(0, 2**32))
def test_what_is_on_its_way_is_not_asked_again_and_a_target_has_one_owner(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    organisation = crowd(tmp_path_factory.mktemp("crowd"), seed)
    before = everything(organisation)
    organisation.evaluate()
    after = everything(organisation)
    for key, row in before["assigned_resource_type"].items():
        taken_back = row["provisioning_state"] == P.EXECUTED and row["target_key"] is not None
        if in_flight(row, organisation.read_at) and not taken_back:
            assert after["assigned_resource_type"][key]["provisioning_state"] == row["provisioning_state"], key
    kept = {key for key, row in after["assigned_resource_type"].items() if row["target_id"] is not None}
    for table in TABLES[1:]:
        for key, row in before[table].items():
            created_only = key.endswith("|user_name")
            if in_flight(row, organisation.read_at) and row["assignment"] in kept and not created_only:
                assert after[table][key] == row
    owned = [row["target_id"] for row in after["assigned_resource_type"].values() if row["target_id"] is not None]
    assert len(owned) == len(set(owned))
