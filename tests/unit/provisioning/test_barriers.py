"""What keeps an order back, and what it waits for inside one run (engine.md 3.6, 7.16; 8.3 test 17)."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import InvalidValue
from include.model.resource_type import ResourceType
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.plan import read_generation
from include.provisioning.transmission import transmit
from include.storage.folder import Folder
from tests.unit.provisioning.system import System
from tests.unit.provisioning.test_given_back import fulfil, report
from tests.unit.provisioning.world import NOMINATIVE, World, generate

P = ProvisioningState
ACCOUNT = NOMINATIVE.model_copy(update={"batch_size": 10})


def on(identifier: str, depends_on: str | None = "CRM_User_Nominative", **changes: Any) -> ResourceType:
    return ACCOUNT.model_copy(update={"identifier": identifier, "depends_on": depends_on} | changes)


def withheld(place: World, *resource_types: ResourceType, **connector: Any) -> dict[str, dict[str, int]]:
    place.export()
    counters = generate(place, *resource_types, **connector).counters
    return {name: item["withheld"] for name, item in counters.items() if item["withheld"]}


def ask(place: World, owner: int, *resource_types: str) -> None:
    for item in resource_types:
        place.scalar(place.assign(owner, resource_type=item), "user_name", f"{item}-{owner}")


def account(place: World, **values: Any) -> tuple[str, int]:
    """An owner's account, and its id."""
    owner = place.add("HR_Person", employee_id=f"P{len(place.rows.get('HR_Person', []))}")
    target = place.add("CRM_User", id=f"u{owner}", user_name=f"n{owner}", active=True)
    values = {"state": P.VERIFIED, "target_id": target, "target_key": f"u{owner}"} | values
    return place.assign(owner, **values), target


def test_a_resource_type_without_provisioning_sends_nothing_and_counts_it(organisation: World) -> None:
    silent = ACCOUNT.model_copy(update={"is_provisioning_enabled": False, "allow_add": False})
    assert withheld(organisation, silent) == {"CRM_User_Nominative": {"is_provisioning_enabled": 3}}
    assert organisation.orders() == []


@pytest.mark.parametrize(("name", "goes"), [(None, False), ("", False), (" ", True), ("Lamarr", True)])
def test_a_creation_waits_until_the_property_of_its_owner_is_filled(
    empty: World, name: str | None, *, goes: bool
) -> None:
    ask(empty, empty.add("HR_Person", employee_id="A", last_name=name), "CRM_User_Nominative")
    assignment, _ = account(empty)
    empty.scalar(assignment, "title", "not a creation")
    filled = ACCOUNT.model_copy(update={"depends_on_owner_property": "last_name"})
    kept_back = {} if goes else {"CRM_User_Nominative": {"depends_on_owner_property": 1}}
    assert withheld(empty, filled) == kept_back
    assert len(empty.orders()) == 1 + goes


def test_a_creation_follows_the_one_it_depends_on_in_a_later_stage(empty: World) -> None:
    owner, alone = (empty.add("HR_Person", employee_id=name) for name in "AB")
    ask(empty, owner, "Phone", "Mailbox", "CRM_User_Nominative")
    ask(empty, alone, "Mailbox")
    types = (on("Phone", "Mailbox"), on("Mailbox"), ACCOUNT)
    assert withheld(empty, *types) == {"Mailbox": {"depends_on": 1}}
    batches = read_generation(empty.run).batches
    assert [(item.resource_type, item.stage) for item in batches] == [
        ("CRM_User_Nominative", 1),
        ("Mailbox", 2),
        ("Phone", 3),
    ]
    first, second, third = empty.orders()
    assert "Prerequisite" not in first
    assert second["Prerequisite"] == {"OrderId": first["OrderId"], "Batch": batches[0].batch}
    assert third["Prerequisite"] == {"OrderId": second["OrderId"], "Batch": batches[1].batch}


def test_what_depends_on_a_withheld_creation_is_withheld_too(empty: World) -> None:
    ask(empty, empty.add("HR_Person", employee_id="A"), "Phone", "Mailbox", "CRM_User_Nominative")
    types = (on("Phone", "Mailbox"), on("Mailbox"), ACCOUNT.model_copy(update={"allow_add": False}))
    assert withheld(empty, *types) == {
        "CRM_User_Nominative": {"allow_add": 1},
        "Mailbox": {"depends_on": 1},
        "Phone": {"depends_on": 1},
    }


def test_a_creation_whose_prerequisite_fails_is_never_sent_and_waits_for_it(empty: World) -> None:
    """engine.md 8.3, test 17: no mailbox before the account is there."""
    owners = [empty.add("HR_Person", employee_id=name) for name in "AB"]
    for owner in owners:
        ask(empty, owner, "Mailbox", "CRM_User_Nominative")
    assert withheld(empty, on("Mailbox"), ACCOUNT) == {}
    empty.load(transmit(empty.run).changes)
    system = System(faults={f"CRM_User_Nominative-{owners[0]}": [InvalidValue("refused")]})
    fulfil(empty, system)
    assert [order.changes["user_name"] for order in system.asked] == [
        f"CRM_User_Nominative-{owners[0]}",
        f"CRM_User_Nominative-{owners[1]}",
        f"Mailbox-{owners[1]}",
    ]
    told = report(empty).report
    assert told["states"]["Mailbox"] == {"executed": 1, "inactive": 1}
    assert told["given_back"][0]["message"].endswith("which it depends on, was not executed")
    assert empty.states("assigned_resource_type")[f"Mailbox|{owners[0]}"] == P.PENDING
    empty.run = Folder(f"{empty.run.url}-later")
    assert withheld(empty, on("Mailbox"), ACCOUNT) == {"Mailbox": {"depends_on": 1}}


@pytest.mark.parametrize("state", [P.ERRORED, P.ERROR])
def test_a_change_waits_while_another_one_of_the_same_resource_has_failed(empty: World, state: P) -> None:
    assignment, _ = account(empty)
    empty.scalar(assignment, "title", "refused", state)
    empty.scalar(assignment, "level", "7")
    assert withheld(empty, ACCOUNT) == {"CRM_User_Nominative": {"blocked_order": 1}}


def test_a_change_waits_while_another_resource_type_has_failed_on_the_same_resource(empty: World) -> None:
    assignment, target = account(empty)
    empty.scalar(assignment, "level", "7")
    other = empty.assign(
        empty.add("HR_Person", employee_id="B"), resource_type="Other", target_id=target, state=P.VERIFIED
    )
    empty.scalar(other, "title", "refused", P.ERRORED)
    assert withheld(empty, ACCOUNT, on("Other", None)) == {"CRM_User_Nominative": {"blocked_order": 1}}


def test_a_change_waits_while_another_order_is_on_its_way_to_the_same_resource(empty: World) -> None:
    assignment, target = account(empty, state=P.PENDING, workflow=WorkflowState.CANCELLATION)
    other = empty.assign(
        empty.add("HR_Person", employee_id="B"), resource_type="Other", target_id=target, state=P.VERIFIED
    )
    empty.add("provisioning_order", order_id="o", assignment=other, run_id="r", provisioning_state=int(P.TRANSMITTED))
    assert withheld(empty, ACCOUNT, on("Other", None)) == {"CRM_User_Nominative": {"blocked_order": 1}}, assignment


def test_who_leaves_is_not_kept_by_a_change_that_has_failed(empty: World) -> None:
    deleted, _ = account(empty, state=P.PENDING, workflow=WorkflowState.CANCELLATION)
    disabled, _ = account(empty)
    empty.scalar(disabled, "active", "false")
    for assignment in (deleted, disabled):
        empty.scalar(assignment, "title", "refused", P.ERRORED)
    assert withheld(empty, ACCOUNT) == {}
    assert len(empty.orders()) == 2


def test_a_declined_value_blocks_nothing(empty: World) -> None:
    assignment, _ = account(empty)
    empty.scalar(assignment, "title", "declined", P.ERRORED, WorkflowState.DECLINED)
    empty.scalar(assignment, "level", "7")
    assert withheld(empty, ACCOUNT) == {}
    assert len(empty.orders()) == 1


def test_the_first_barrier_is_the_one_that_counts(empty: World) -> None:
    ask(empty, empty.add("HR_Person", employee_id="A"), "Mailbox")
    mailbox = on("Mailbox", depends_on_owner_property="last_name", allow_add=False)
    assert withheld(empty, mailbox, ACCOUNT, is_deactivated=True) == {"Mailbox": {"allow_add": 1}}
    mailbox = mailbox.model_copy(update={"allow_add": True})
    assert withheld(empty, mailbox, ACCOUNT, is_deactivated=True) == {"Mailbox": {"depends_on": 1}}
    mailbox = mailbox.model_copy(update={"depends_on": None})
    assert withheld(empty, mailbox, ACCOUNT, is_deactivated=True) == {"Mailbox": {"depends_on_owner_property": 1}}
