"""Cases of values: a person who owns an account, a stored value, and what an evaluation makes of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import EARLIER, LATER, Organisation, Row, nominative

BEFORE, AFTER = EARLIER, LATER
"""A read that started before, and one that started after the instant at which the order was carried out."""

PENDING, SENT, ERRORED, VERIFIED, AWAITING, INACTIVE, EXECUTED = (
    P.PENDING, P.TRANSMITTED, P.ERRORED, P.VERIFIED, P.AWAITING_APPROVAL, P.INACTIVE, P.EXECUTED,
)  # fmt: skip
RULE, FOUND, AWAY = W.CALCULATED, W.FOUND, W.CANCELLATION

Outcomes = dict[str, tuple[Row | None, Row | None]]
"""By case: the row after one evaluation, and after a second one."""


def add_owned(organisation: Organisation, number: int, person: Row, user: Row) -> None:
    """A person who owns an account, and nothing is on its way."""
    organisation.person(number, **person)
    organisation.user(1000 + number, f"E{number}", **user)
    organisation.stored(
        "assigned_resource_type",
        assignment=f"CRM_User_Nominative|{number}",
        resource_type="CRM_User_Nominative",
        owner_id=number,
        target_id=1000 + number,
        target_key=f"u{1000 + number}",
        confidence=100,
        provisioning_state=P.VERIFIED,
        workflow_state=W.CALCULATED,
        executed_at=None,
    )


def owned(folder: Path, read_at: datetime | None, **changes: object) -> Organisation:
    """Person 1 owns account 1001, and nothing is on its way."""
    organisation = Organisation(folder, (nominative(**changes),), read_at)
    add_owned(organisation, 1, {}, {})
    return organisation


def evaluate_cases(
    factory: pytest.TempPathFactory, cases: Mapping[str, Any], add: Callable[[Organisation, int, Any], str], table: str
) -> Outcomes:
    """All cases that share their settings stand side by side in one organisation."""
    groups = defaultdict[tuple[Any, ...], list[str]](list)
    for label, case in cases.items():
        groups[case.block, case.retry, case.read[1]].append(label)
    outcomes: Outcomes = {}
    for (block, retry, read_at), labels in groups.items():
        organisation = Organisation(factory.mktemp("cases"), (nominative(block_provisioning=block),), read_at)
        keys = {label: add(organisation, number, cases[label]) for number, label in enumerate(labels, start=1)}
        organisation.evaluate(retry_errored=retry)
        after = organisation.table(table)
        organisation.evaluate()
        later = organisation.table(table)
        outcomes |= {label: (after.get(key), later.get(key)) for label, key in keys.items()}
    return outcomes
