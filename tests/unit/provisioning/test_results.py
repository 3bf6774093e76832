"""What results and reads make of assignments and orders (engine.md 3.4, 8.3 tests 8 and 13)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from connectors.contract import OrderResult
from connectors.errors import ConnectionFailed, InvalidValue, TransientError
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.dispatch import Patience, fulfil_batch
from include.provisioning.orders import generate_orders
from include.provisioning.plan import PlanError, read_generation
from include.provisioning.read_back import ReadBack, _differing, _oriented, read_back_batch
from include.provisioning.results import Collection, collect_results
from include.provisioning.settlement import ATTEMPTS
from include.provisioning.transmission import transmit
from include.storage.folder import run_folder
from tests.unit.provisioning.system import Killed, Raise, System
from tests.unit.provisioning.world import DECIDED_AT, NOMINATIVE, World, configuration, generate

PENDING, TRANSMITTED = ProvisioningState.PENDING, ProvisioningState.TRANSMITTED
ERRORED, EXECUTED, VERIFIED = ProvisioningState.ERRORED, ProvisioningState.EXECUTED, ProvisioningState.VERIFIED
LATER = DECIDED_AT + timedelta(days=1)
CHANGES = "0003"
"""The batch of the changes."""
CREATION, CHANGE, DELETION = (f"CRM_User_Nominative|{owner}" for owner in (1001, 1002, 1003))


def ticking(start: datetime = DECIDED_AT) -> Iterator[datetime]:
    while True:
        start += timedelta(seconds=1)
        yield start


@pytest.fixture
def under_way(organisation: World) -> World:
    generate(organisation)
    organisation.load(transmit(organisation.run).changes)
    return organisation


def send(
    place: World, system: Any, *, read: bool = False, start: datetime = DECIDED_AT, only: str = ""
) -> list[ReadBack | None]:
    clock, done = ticking(start), []
    for batch in read_generation(place.run).batches:
        if not batch.batch.startswith(only):
            continue
        try:
            fulfil_batch(
                place.run,
                batch.batch,
                system,
                patience=Patience(tries=1),
                now=lambda: next(clock),
                sleep=lambda _: None,
            )
        except ConnectionFailed:
            continue
        if read:
            done.append(read_back_batch(place.run, batch.batch, system, now=lambda: next(clock)))
    return done


def collect(place: World) -> Collection:
    collection = collect_results(place.run, recorded_at=LATER)
    place.load(collection.changes)
    return collection


def changed(collection: Collection) -> int:
    """Rows that a collection changes."""
    counted = collection.changes.read_json("changes.json")["entity_types"]
    return sum(item["inserted"] + item["updated"] + item["deleted"] for item in counted.values())


def order_states(place: World) -> dict[str, ProvisioningState]:
    return {row["assignment"]: ProvisioningState(row["provisioning_state"]) for row in place.rows["provisioning_order"]}


def row(place: World, entity: str, **having: Any) -> dict[str, Any]:
    return next(item for item in place.rows[entity] if having.items() <= item.items())


def parts(place: World, assignment: str) -> dict[str, ProvisioningState]:
    """States of the scalars and links of an assignment, by the rest of their key."""
    both = place.states("assigned_resource_scalar") | place.states("assigned_resource_navigation")
    return {key.removeprefix(f"{assignment}|"): state for key, state in both.items() if key.startswith(assignment)}


def test_transmission_moves_what_orders_carry_and_nothing_else(under_way: World) -> None:
    assert under_way.states("assigned_resource_type") == {
        CREATION: TRANSMITTED,
        CHANGE: VERIFIED,
        DELETION: TRANSMITTED,
    }
    assert set(parts(under_way, CREATION).values()) == {TRANSMITTED}
    assert parts(under_way, CHANGE) == {
        "user_name": VERIFIED,
        "family_name": TRANSMITTED,
        "title": TRANSMITTED,
        "groups|3001": TRANSMITTED,
        "groups|3002": VERIFIED,
    }
    orders = under_way.rows["provisioning_order"]
    assert {order["provisioning_state"] for order in orders} == {TRANSMITTED}
    assert {order["decided_at"] for order in orders} == {DECIDED_AT.replace(tzinfo=None)}
    assert row(under_way, "provisioning_order", assignment=CHANGE)["changes"] == (
        '{"family_name":"Murray","groups_remove":[{"Id":"3001","id":"g1","display_name":"Sales"}],"title":null}'
    )


def test_transmitting_again_changes_nothing(under_way: World) -> None:
    assert transmit(under_way.run).orders == 0
    before = repr(under_way.rows)
    under_way.load(transmit(under_way.run).changes)
    assert repr(under_way.rows) == before


def test_carried_out_is_executed_and_no_more(under_way: World, system: System) -> None:
    send(under_way, system)
    collection = collect(under_way)
    assert set(order_states(under_way).values()) == {EXECUTED}
    assert under_way.states("assigned_resource_type") == {CREATION: EXECUTED, CHANGE: VERIFIED, DELETION: EXECUTED}
    assert set(parts(under_way, CREATION).values()) == {EXECUTED}
    assert parts(under_way, CHANGE)["user_name"] == VERIFIED
    created = row(under_way, "assigned_resource_type", assignment=CREATION)
    assert (created["target_key"], created["target_id"]) == ("key-hl", None)
    executed_at = row(under_way, "provisioning_order", assignment=CREATION)["executed_at"]
    assert created["executed_at"] == executed_at
    assert DECIDED_AT.replace(tzinfo=None) < executed_at < LATER.replace(tzinfo=None)
    assert collection.report["states"] == {"CRM_User_Nominative": {"executed": 3}}


def test_what_was_read_later_is_verified(under_way: World, system: System) -> None:
    assert send(under_way, system, read=True) == [
        ReadBack(f"000{number}-CRM_User_Nominative", read=1, verified=1) for number in (1, 2, 3)
    ]
    collect(under_way)
    assert set(order_states(under_way).values()) == {VERIFIED}
    assert set(under_way.states("assigned_resource_type").values()) == {VERIFIED}
    assert set(parts(under_way, CHANGE).values()) == {VERIFIED}
    # What a creation left out was not written, and so not read either: the next synchronization tells.
    assert {name for name, state in parts(under_way, CREATION).items() if state != VERIFIED} == {"title"}
    order = row(under_way, "provisioning_order", assignment=CREATION)
    assert order["verified_at"] > order["executed_at"]


def test_what_differs_is_not_verified_and_the_rest_is(under_way: World, system: System) -> None:
    system.overwrite = {"name.familyName": "MURRAY"}
    send(under_way, system, read=True)
    found = under_way.run.child("orders").read_json("0003-CRM_User_Nominative.read_back.json")["orders"][0]
    assert (found["found"], found["verified"]) == (True, False)
    assert found["differing"] == [{"name": "family_name", "linked_id": None, "expected": "Murray", "found": "MURRAY"}]
    collect(under_way)
    assert order_states(under_way) == {CREATION: EXECUTED, CHANGE: EXECUTED, DELETION: VERIFIED}
    assert parts(under_way, CHANGE)["family_name"] == EXECUTED
    assert parts(under_way, CHANGE)["title"] == VERIFIED
    assert under_way.states("assigned_resource_type")[CREATION] == VERIFIED


@pytest.mark.parametrize(
    ("links", "verified"),
    [({("g2", "u2")}, True), ({("g1", "u2"), ("g2", "u2")}, False)],
)
def test_a_link_that_was_to_go_is_verified_by_its_absence(
    under_way: World, system: System, links: set[tuple[str, str]], *, verified: bool
) -> None:
    send(under_way, system)
    system.links = links
    read_back_batch(under_way.run, "0003-CRM_User_Nominative", system)
    collect(under_way)
    assert (parts(under_way, CHANGE)["groups|3001"] == VERIFIED) is verified
    assert (order_states(under_way)[CHANGE] == VERIFIED) is verified


def test_a_link_that_is_missing_is_not_verified(under_way: World, system: System) -> None:
    send(under_way, system)
    system.links.remove(("g2", "key-hl"))
    read_back_batch(under_way.run, "0002-CRM_User_Nominative", system)
    collect(under_way)
    assert parts(under_way, CREATION)["groups|3001"] == VERIFIED
    assert parts(under_way, CREATION)["groups|3002"] == EXECUTED


def test_links_of_keys_that_look_alike_count_in_one_direction_only() -> None:
    """A row (1, 2) must not say that 2 has 1 where the keys of both ends count from one."""
    assert _oriented([("g1", "u1")], {"u1"}) == [{("u1", "g1")}]
    assert _oriented([("u1", "g1")], {"u1"}) == [{("u1", "g1")}]
    assert _oriented([("1", "2")], {"1", "2"}) == [{("1", "2")}, {("2", "1")}]
    assert _oriented([("u9", "g9")], {"u1"}) == [set()]


@pytest.mark.parametrize(
    ("column", "text", "verified"),
    [
        ("active", "TRUE", True),
        ("active", "1", True),
        ("active", "false", False),
        ("active", None, False),
        ("level", "007", True),
        ("level", "8", False),
        ("hired", "02/01/2020", True),
        ("hired", "2020-01-02", False),
        ("hired", "03/01/2020", False),
        ("name.familyName", 'Lamarr "Hedy" \\ é', True),
        ("name.familyName", 'Lamarr "Hedy" \\ é ', False),
        ("name.familyName", "", False),
    ],
)
def test_values_are_compared_by_their_type_and_text_exactly(
    under_way: World, system: System, column: str, text: str | None, *, verified: bool
) -> None:
    system.overwrite = {"hired": "02/01/2020"} | {column: text}
    send(under_way, system)
    found = read_back_batch(under_way.run, "0002-CRM_User_Nominative", system)
    assert found is not None
    assert found.verified == verified


@pytest.mark.parametrize(
    ("kind", "spelling", "expected", "found", "same"),
    [
        ("datetime", "DateTime", "2026-01-15 09:30:00", "20260115103000.0+0100", True),
        ("datetime", "1601Date", None, "9223372036854775807", True),
        ("datetime", "1601Date", "1970-01-01 00:00:00", "116444736000000000", True),
        ("datetime", "1601Date", "1970-01-01 00:00:00", "0", False),
        ("string", "Concat:;", "a\nb", "b;a", True),
        ("string", "MultivaluedText", "a\nb", "b\na", True),
        ("string", "MultivaluedText", "a\nb", "a", False),
        ("bool", "Bit:control:2", "true", "514", True),
        ("bool", "Bit:control:2", "true", "512", False),
        ("guid", "Guid", "00112233445566778899aabbccddeeff", "MyIRAFVEd2aImaq7zN3u/w==", True),
        ("string", "RDN", "CN=a", "CN=a,OU=x", True),
        ("bytes", "Bytes", "AP8=", "AP8=", True),
        ("int32", "Int32", "7", "x", False),
    ],
)
def test_what_was_read_is_compared_in_its_format(
    kind: str, spelling: str, expected: str | None, found: str, *, same: bool
) -> None:
    comparison = {"order_id": "o", "name": "p", "type": kind, "format": spelling, "expected": expected, "found": found}
    assert ("o" not in _differing([comparison])) is same


@pytest.mark.parametrize(("stored", "verified"), [(None, True), ("", False)])
def test_null_is_not_the_empty_string(under_way: World, system: System, stored: str | None, *, verified: bool) -> None:
    send(under_way, system)
    system.objects["u2"]["title"] = stored
    found = read_back_batch(under_way.run, "0003-CRM_User_Nominative", system)
    assert found == ReadBack("0003-CRM_User_Nominative", read=1, verified=int(verified))


def test_a_deletion_that_did_not_take_is_not_verified(under_way: World, system: System) -> None:
    send(under_way, system)
    system.objects["u3"] = {"id": "u3"}
    read_back_batch(under_way.run, "0001-CRM_User_Nominative", system)
    collect(under_way)
    assert order_states(under_way)[DELETION] == EXECUTED
    assert under_way.states("assigned_resource_type")[DELETION] == EXECUTED


def test_a_read_that_is_older_than_the_write_verifies_nothing(under_way: World, system: System) -> None:
    send(under_way, system)
    clock = iter([DECIDED_AT - timedelta(hours=1)] * 3)
    for batch in read_generation(under_way.run).batches:
        read_back_batch(under_way.run, batch.batch, system, now=lambda: next(clock))
    collect(under_way)
    assert set(order_states(under_way).values()) == {EXECUTED}
    assert VERIFIED not in parts(under_way, CREATION).values()


def test_a_connector_that_cannot_read_single_objects_waits_for_the_next_synchronization(under_way: World) -> None:
    class Blind:
        def fulfil(self, orders: Any) -> Any:
            return System(objects={"u2": {}, "u3": {}}).fulfil(orders)

    assert send(under_way, Blind(), read=True) == [None, None, None]
    assert not under_way.run.child("orders").names("*.read_back.json")


def test_an_error_stays_with_its_order(under_way: World, system: System) -> None:
    system.faults = {"u2": [InvalidValue("title is read-only")]}
    send(under_way, system)
    collection = collect(under_way)
    assert order_states(under_way) == {CREATION: EXECUTED, CHANGE: ERRORED, DELETION: EXECUTED}
    assert parts(under_way, CHANGE) == {
        "user_name": VERIFIED,
        "family_name": ERRORED,
        "title": ERRORED,
        "groups|3001": ERRORED,
        "groups|3002": VERIFIED,
    }
    assert under_way.states("assigned_resource_type")[CHANGE] == VERIFIED
    order = row(under_way, "provisioning_order", assignment=CHANGE)
    assert (order["error_class"], order["message"]) == ("InvalidValue", "title is read-only")
    assert order["executed_at"] is None
    assert collection.report["errors"] == [
        {
            "resource_type": "CRM_User_Nominative",
            "error_class": "InvalidValue",
            "count": 1,
            "order_id": order["order_id"],
            "message": "title is read-only",
        }
    ]


def test_a_failed_creation_errs_with_all_it_carries(under_way: World, system: System) -> None:
    system.faults = {"hl": [InvalidValue("no licence left")]}
    send(under_way, system)
    collect(under_way)
    assert under_way.states("assigned_resource_type")[CREATION] == ERRORED
    assert set(parts(under_way, CREATION).values()) == {ERRORED}
    assert row(under_way, "assigned_resource_type", assignment=CREATION)["target_key"] is None


def test_an_order_without_a_result_stays_transmitted(under_way: World, system: System) -> None:
    system.faults = {"hl": [Raise(Killed())]}
    with pytest.raises(Killed):
        send(under_way, system)
    send(under_way, system, only=CHANGES)
    collection = collect(under_way)
    assert order_states(under_way) == {CREATION: TRANSMITTED, CHANGE: EXECUTED, DELETION: EXECUTED}
    assert set(parts(under_way, CREATION).values()) == {TRANSMITTED}
    assert collection.report["unanswered"] == 1


def test_the_ledger_speaks_for_a_worker_that_died(under_way: World, system: System) -> None:
    send(under_way, system)
    for batch in read_generation(under_way.run).batches:
        under_way.run.child("orders").remove(f"{batch.batch}.results.json")
    collect(under_way)
    assert set(order_states(under_way).values()) == {EXECUTED}


@pytest.mark.parametrize("read", [False, True])
def test_collecting_again_changes_nothing(under_way: World, system: System, *, read: bool) -> None:
    system.faults = {"u2": [InvalidValue("no")]}
    send(under_way, system, read=read)
    assert changed(collect(under_way)) > 0
    again = collect(under_way)
    assert changed(again) == 0


def test_a_read_that_comes_after_the_results_verifies_them(under_way: World, system: System) -> None:
    send(under_way, system)
    collect(under_way)
    for batch in read_generation(under_way.run).batches:
        read_back_batch(under_way.run, batch.batch, system)
    collect(under_way)
    assert set(order_states(under_way).values()) == {VERIFIED}
    assert set(parts(under_way, CHANGE).values()) == {VERIFIED}


def test_a_retried_order_overcomes_its_last_transient_error(under_way: World, system: System) -> None:
    row(under_way, "provisioning_order", assignment=CHANGE)["attempt"] = ATTEMPTS
    under_way.export()
    system.faults = {"u2": [TransientError("busy")]}
    send(under_way, system)
    collect(under_way)
    assert order_states(under_way)[CHANGE] == ERRORED
    assert row(under_way, "provisioning_order", assignment=CHANGE)["message"] == "busy (tried in 5 of 5 runs)"
    send(under_way, system)
    collect(under_way)
    assert order_states(under_way)[CHANGE] == EXECUTED
    assert parts(under_way, CHANGE)["family_name"] == EXECUTED
    assert row(under_way, "provisioning_order", assignment=CHANGE)["message"] is None


def test_an_error_of_an_earlier_order_is_not_healed_by_a_sibling(under_way: World, system: System) -> None:
    errored = row(under_way, "assigned_resource_scalar", assigned_scalar=f"{CHANGE}|user_name")
    errored["provisioning_state"] = int(ERRORED)
    under_way.export()
    send(under_way, system)
    collect(under_way)
    assert parts(under_way, CHANGE)["user_name"] == ERRORED


def test_a_value_that_has_been_decided_again_stays_as_it_is(under_way: World, system: System) -> None:
    row(under_way, "assigned_resource_scalar", assigned_scalar=f"{CHANGE}|title")["provisioning_state"] = int(PENDING)
    under_way.export()
    send(under_way, system, read=True)
    collect(under_way)
    assert parts(under_way, CHANGE)["title"] == PENDING
    assert parts(under_way, CHANGE)["family_name"] == VERIFIED


def test_only_the_latest_order_speaks_for_its_assignment(under_way: World, system: System) -> None:
    under_way.add(
        "provisioning_order",
        order_id="newer",
        assignment=CHANGE,
        connector="CRM",
        run_id="tomorrow",
        provisioning_state=int(TRANSMITTED),
        decided_at=LATER.replace(tzinfo=None),
    )
    under_way.export()
    send(under_way, system)
    collect(under_way)
    assert row(under_way, "provisioning_order", run_id="tomorrow")["provisioning_state"] == TRANSMITTED
    assert parts(under_way, CHANGE)["family_name"] == TRANSMITTED
    older = next(item for item in under_way.rows["provisioning_order"] if item["assignment"] == CHANGE)
    assert older["provisioning_state"] == EXECUTED


def test_results_without_their_transmission_are_refused(organisation: World, system: System) -> None:
    generate(organisation)
    transmit(organisation.run)
    send(organisation, system)
    with pytest.raises(PlanError, match=r"3 orders have a result but are not in .*/base: load the transmission"):
        collect_results(organisation.run, recorded_at=LATER)


def next_run(place: World) -> World:
    """A later run of the same connector, with nothing to send."""
    base, connector, _ = place.run.url.rsplit("/", 2)
    later = replace(place, run=run_folder(base, connector, "tomorrow"))
    later.export()
    generate_orders(*configuration(), later.run, run_id="tomorrow", decided_at=LATER)
    return later


def test_a_later_synchronization_confirms_what_was_only_executed(under_way: World, system: System) -> None:
    """engine.md 8.3, test 8: without a read it stays Executed; when all it carried is found, Verified."""
    send(under_way, system)
    collect(under_way)
    for entity in ("assigned_resource_type", "assigned_resource_scalar"):
        for item in under_way.rows[entity]:
            item["provisioning_state"] = int(VERIFIED)
    # The policy forgets a deleted assignment and a link that is gone.
    under_way.rows["assigned_resource_type"].pop()
    under_way.rows["assigned_resource_navigation"] = [
        item for item in under_way.rows["assigned_resource_navigation"] if item["expected"]
    ]
    later = next_run(under_way)
    assert collect(later).report["confirmed"] == 2
    assert order_states(later) == {CREATION: EXECUTED, CHANGE: VERIFIED, DELETION: VERIFIED}
    assert row(later, "provisioning_order", assignment=CHANGE)["verified_at"] == LATER.replace(tzinfo=None)


def test_a_gap_found_by_a_later_synchronization_confirms_nothing(under_way: World, system: System) -> None:
    send(under_way, system)
    collect(under_way)
    for entity in ("assigned_resource_type", "assigned_resource_scalar", "assigned_resource_navigation"):
        for item in under_way.rows[entity]:
            item["provisioning_state"] = int(VERIFIED)
    gap = row(under_way, "assigned_resource_scalar", assigned_scalar=f"{CHANGE}|title")
    gap |= {"provisioning_state": int(EXECUTED), "workflow_state": int(WorkflowState.FOUND)}
    later = next_run(under_way)
    collect(later)
    assert order_states(later) == {CREATION: VERIFIED, CHANGE: EXECUTED, DELETION: VERIFIED}


def test_everything_works_on_an_object_store(organisation: World, system: System) -> None:
    place = replace(organisation, run=run_folder("memory://bucket/runs", "CRM", "r1"))
    place.export()
    generate(place)
    place.load(transmit(place.run).changes)
    send(place, system, read=True)
    place.run.child("orders").remove("0001-CRM_User_Nominative.results.json")
    collect(place)
    assert set(order_states(place).values()) == {VERIFIED}
    assert changed(collect(place)) == 0


def test_the_key_of_an_object_comes_from_the_order_where_the_connector_tells_none(empty: World) -> None:
    owner = empty.add("HR_Person", employee_id="A17")
    assignment = empty.assign(owner)
    empty.scalar(assignment, "id", "chosen")
    empty.export()
    generate(empty, NOMINATIVE)
    empty.load(transmit(empty.run).changes)

    class Silent:
        def fulfil(self, orders: Any) -> Any:
            for order in orders:
                yield OrderResult(order.order_id, "executed")

    send(empty, Silent())
    collect(empty)
    assert row(empty, "assigned_resource_type", assignment=assignment)["target_key"] == "chosen"
    assert row(empty, "provisioning_order", assignment=assignment)["target_key"] == "chosen"


def test_instants_are_kept_in_utc(under_way: World, system: System) -> None:
    send(under_way, system, start=datetime(2024, 5, 1, 20, 0, tzinfo=timezone(timedelta(hours=5))))
    collect(under_way)
    assert row(under_way, "provisioning_order", assignment=DELETION)["executed_at"].hour == 15
