"""What is sent and never confirmed becomes an error after its time (engine.md 3.4, 3.11)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from include.model.resource_type import ResourceType
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.expiry import expire, may_expire
from include.provisioning.results import collect_results
from include.provisioning.transmission import transmit
from tests.unit.provisioning.system import System
from tests.unit.provisioning.test_results import CHANGE, CREATION, DELETION, LATER, order_states, parts, row, send
from tests.unit.provisioning.world import DECIDED_AT, NOMINATIVE, World, configuration, generate

P = ProvisioningState
LIMITED = NOMINATIVE.model_copy(update={"transmitted_state_validity_period": 60})


@pytest.fixture
def under_way(organisation: World) -> World:
    generate(organisation)
    organisation.load(transmit(organisation.run).changes)
    return organisation


def expired(place: World, at: datetime, *resource_types: ResourceType) -> dict[str, int]:
    _, crm = configuration(*(resource_types or (LIMITED,)))
    counted = expire(crm, place.run, expired_at=at)
    place.load(place.run.child("changes", "expiry"))
    return counted


def executed(place: World, system: System) -> World:
    send(place, system)
    place.load(collect_results(place.run, recorded_at=LATER).changes)
    return place


def test_what_was_sent_becomes_an_error_with_its_reason_once_its_time_is_over(under_way: World) -> None:
    assert expired(under_way, DECIDED_AT + timedelta(minutes=59)) == {}
    assert expired(under_way, DECIDED_AT + timedelta(minutes=60)) == {"CRM_User_Nominative": 3}
    assert set(order_states(under_way).values()) == {P.ERROR}
    assert under_way.states("assigned_resource_type") == {CREATION: P.ERROR, CHANGE: P.VERIFIED, DELETION: P.ERROR}
    assert set(parts(under_way, CREATION).values()) == {P.ERROR}
    assert parts(under_way, CHANGE) == {
        "user_name": P.VERIFIED,
        "family_name": P.ERROR,
        "title": P.ERROR,
        "groups|3001": P.ERROR,
        "groups|3002": P.VERIFIED,
    }
    told = row(under_way, "provisioning_order", assignment=CREATION)
    assert (told["error_class"], told["message"]) == (
        "Expired",
        "sent, and not confirmed within 60 minutes: look at the managed system, then unblock it",
    )
    assert expired(under_way, LATER) == {}


def test_no_period_waits_for_ever(under_way: World) -> None:
    assert not may_expire(configuration(NOMINATIVE)[1])
    assert may_expire(configuration(LIMITED)[1])
    assert expired(under_way, LATER, NOMINATIVE) == {}


def test_what_was_carried_out_counts_from_then_on(under_way: World, system: System) -> None:
    executed(under_way, system)
    finished = max(item["executed_at"] for item in under_way.rows["provisioning_order"]).replace(
        tzinfo=DECIDED_AT.tzinfo
    )
    assert expired(under_way, DECIDED_AT + timedelta(minutes=60)) == {}
    assert expired(under_way, finished + timedelta(minutes=60)) == {"CRM_User_Nominative": 3}
    assert row(under_way, "provisioning_order", assignment=CHANGE)["message"].startswith("carried out, and not")


def having(place: World, assignment: str, **values: Any) -> None:
    entities: Sequence[str] = ("assigned_resource_type", "assigned_resource_scalar", "assigned_resource_navigation")
    for entity in entities:
        for item in place.rows[entity]:
            if item["assignment"] == assignment and item["provisioning_state"] == P.EXECUTED:
                item.update(values)


def test_what_a_read_has_confirmed_or_found_to_be_otherwise_has_its_answer(under_way: World, system: System) -> None:
    executed(under_way, system)
    having(under_way, CHANGE, provisioning_state=int(P.VERIFIED))
    having(under_way, CREATION, workflow_state=int(WorkflowState.FOUND))
    under_way.export()
    assert expired(under_way, LATER) == {"CRM_User_Nominative": 1}
    assert order_states(under_way) == {CREATION: P.EXECUTED, CHANGE: P.EXECUTED, DELETION: P.ERROR}


def test_an_answer_that_comes_late_counts(under_way: World, system: System) -> None:
    expired(under_way, LATER)
    executed(under_way, system)
    assert set(order_states(under_way).values()) == {P.EXECUTED}
    assert set(parts(under_way, CREATION).values()) == {P.EXECUTED}
    assert row(under_way, "provisioning_order", assignment=CREATION)["message"] is None


def test_a_read_that_comes_late_confirms(under_way: World) -> None:
    expired(under_way, LATER)
    for entity in ("assigned_resource_type", "assigned_resource_scalar", "assigned_resource_navigation"):
        for item in under_way.rows[entity]:
            item["provisioning_state"] = int(P.VERIFIED)
    under_way.export()
    under_way.load(collect_results(under_way.run, recorded_at=LATER).changes)
    assert set(order_states(under_way).values()) == {P.VERIFIED}
