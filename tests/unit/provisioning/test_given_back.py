"""What never went out, and what failed for a while only, is tried by the next run itself (engine.md 7.14)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.errors import AuthenticationFailed, ConnectionFailed, InvalidValue, TransientError
from include.policy.states import ProvisioningState
from include.provisioning.dispatch import Patience, fulfil_batch
from include.provisioning.orders import generate_orders
from include.provisioning.plan import Generation, read_generation
from include.provisioning.results import Collection, collect_results
from include.provisioning.settlement import ATTEMPTS
from include.provisioning.transmission import transmit
from include.storage.folder import Folder
from tests.unit.provisioning.system import AfterWrite, Raise, System
from tests.unit.provisioning.world import DECIDED_AT, NOMINATIVE, World, configuration

P = ProvisioningState
WIDE = NOMINATIVE.model_copy(update={"batch_size": 10})


def creation(place: World, name: str) -> str:
    assignment = place.assign(place.add("HR_Person", employee_id=name))
    place.scalar(assignment, "user_name", name)
    return assignment


def begin(place: World, number: int) -> Generation:
    """Generate and transmit in a run of its own, a day after the one before."""
    place.run = Folder(place.run.url.rsplit("/", 1)[0] + f"/run-{number}")
    place.export()
    known, crm = configuration(WIDE)
    generation = generate_orders(
        known, crm, place.run, run_id=f"run-{number}", decided_at=DECIDED_AT + timedelta(days=number)
    )
    place.load(transmit(place.run).changes)
    return generation


def fulfil(place: World, system: System) -> None:
    for batch in read_generation(place.run).batches:
        try:
            fulfil_batch(place.run, batch.batch, system, patience=Patience(tries=1), sleep=lambda _: None)
        except (AuthenticationFailed, ConnectionFailed):
            continue


def report(place: World) -> Collection:
    collection = collect_results(place.run, recorded_at=DECIDED_AT + timedelta(days=50))
    place.load(collection.changes)
    return collection


def orders_of(place: World, assignment: str) -> list[tuple[ProvisioningState, int, str | None]]:
    return [
        (P(row["provisioning_state"]), row["attempt"], row["error_class"])
        for row in place.rows["provisioning_order"]
        if row["assignment"] == assignment
    ]


def test_a_transient_error_is_tried_by_the_next_run_and_the_first_one_sends_it_no_more(empty: World) -> None:
    a, b = creation(empty, "a"), creation(empty, "b")
    system = System(faults={"b": [TransientError("busy"), TransientError("busy")]})
    begin(empty, 1)
    fulfil(empty, system)
    collection = report(empty)
    assert orders_of(empty, b) == [(P.INACTIVE, 1, "TransientError")]
    assert empty.states("assigned_resource_type") == {a: P.EXECUTED, b: P.PENDING}
    assert empty.states("assigned_resource_scalar")[f"{b}|user_name"] == P.PENDING
    assert [item["message"] for item in collection.report["given_back"]] == ["busy (tried in 1 of 5 runs)"]
    asked = len(system.asked)
    fulfil(empty, system)
    assert len(system.asked) == asked, "another run may have it by now"
    again = report(empty)
    assert again.changes.read_json("changes.json")["entity_types"]["assigned_resource_type"]["updated"] == 0
    begin(empty, 2)
    assert [order.get("SentBefore") for order in empty.orders()] == [True]
    fulfil(empty, system)
    report(empty)
    assert orders_of(empty, b) == [(P.INACTIVE, 1, "TransientError"), (P.EXECUTED, 2, None)]
    assert set(system.writes.values()) == {1}


def test_after_so_many_runs_a_person_must_look(empty: World) -> None:
    assignment = creation(empty, "a")
    system = System(faults={"a": [TransientError("busy")] * 100})
    for number in range(1, ATTEMPTS + 1):
        assert len(begin(empty, number).batches) == 1
        fulfil(empty, system)
        report(empty)
    assert [item[:2] for item in orders_of(empty, assignment)] == [
        *((P.INACTIVE, number) for number in range(1, ATTEMPTS)),
        (P.ERRORED, ATTEMPTS),
    ]
    assert empty.states("assigned_resource_type") == {assignment: P.ERRORED}
    assert begin(empty, ATTEMPTS + 1).batches == ()
    empty.rows["assigned_resource_type"][0]["provisioning_state"] = int(P.PENDING)  # a person unblocks it
    empty.rows["assigned_resource_scalar"][0]["provisioning_state"] = int(P.PENDING)
    begin(empty, ATTEMPTS + 2)
    assert orders_of(empty, assignment)[-1] == (P.TRANSMITTED, 1, None), "it counts from the beginning"


def test_a_permanent_error_waits_for_a_person_at_once(empty: World) -> None:
    assignment = creation(empty, "a")
    begin(empty, 1)
    fulfil(empty, System(faults={"a": [InvalidValue("no such name")]}))
    report(empty)
    assert orders_of(empty, assignment) == [(P.ERRORED, 1, "InvalidValue")]
    assert begin(empty, 2).batches == ()


@pytest.mark.parametrize("fault", [Raise, AfterWrite])
@pytest.mark.parametrize("error", [AuthenticationFailed("refused"), ConnectionFailed("gone")])
def test_what_a_system_that_was_down_left_undone_is_done_by_the_next_run_and_once(
    empty: World, fault: type[Raise] | type[AfterWrite], error: Exception
) -> None:
    a, b, c = (creation(empty, name) for name in "abc")
    system = System(faults={"b": [fault(error)]})
    begin(empty, 1)
    fulfil(empty, system)
    collection = report(empty)
    assert orders_of(empty, a) == [(P.EXECUTED, 1, None)]
    assert orders_of(empty, b) == [(P.INACTIVE, 1, type(error).__name__)]
    assert orders_of(empty, c) == [(P.INACTIVE, 1, None)], "it was never sent"
    assert collection.report["unanswered"] == 0
    begin(empty, 2)
    assert {order["Changes"]["user_name"]: order.get("SentBefore", False) for order in empty.orders()} == {
        "b": True,
        "c": False,
    }
    fulfil(empty, system)
    report(empty)
    assert [orders_of(empty, item)[-1][:2] for item in (b, c)] == [(P.EXECUTED, 2), (P.EXECUTED, 1)]
    assert sorted(system.writes) == ["key-a", "key-b", "key-c"]
    assert set(system.writes.values()) == {1}
