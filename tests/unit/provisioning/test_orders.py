"""Which orders a run decides, in which batches, and in which JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import Order
from include.model.resource_type import ProvisioningThresholds
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.orders import generate_orders
from include.provisioning.plan import PlanError
from include.provisioning.transmission import transmit
from tests.unit.provisioning.world import DECIDED_AT, NOMINATIVE, World, configuration, generate, world

GOLDEN = Path(__file__).parent / "golden"
HELD = [ProvisioningState.AWAITING_APPROVAL, ProvisioningState.INACTIVE, ProvisioningState.ERROR]


def changes(world: World) -> list[dict[str, Any]]:
    return [order["Changes"] for order in world.orders()]


def account(world: World, **values: Any) -> str:
    """An assignment with a target, all in order."""
    owner = world.add("HR_Person", employee_id=f"P{len(world.rows.get('HR_Person', []))}")
    target = world.add("CRM_User", id=f"u{owner}", user_name=f"n{owner}", active=True)
    values = {"state": ProvisioningState.VERIFIED, "target_id": target, "target_key": f"u{owner}"} | values
    return world.assign(owner, **values)


def creation(world: World, **values: Any) -> str:
    owner = world.add("HR_Person", employee_id=f"P{len(world.rows.get('HR_Person', []))}")
    assignment = world.assign(owner, **values)
    world.scalar(assignment, "user_name", f"n{owner}")
    return assignment


def test_order_files_equal_the_golden_files(organisation: World) -> None:
    generation = generate(organisation)
    orders = organisation.run.child("orders")
    assert [batch.file for batch in generation.batches] == [path.name for path in sorted(GOLDEN.iterdir())]
    for batch in generation.batches:
        assert orders.read_text(batch.file) == (GOLDEN / batch.file).read_text(encoding="utf-8")


def test_an_owner_without_a_display_name_is_called_by_its_key(organisation: World) -> None:
    for row in organisation.rows["HR_Person"]:
        row["last_name"] = {"A17": None, "A18": "", "A19": "Turing"}[row["employee_id"]]
    organisation.export()
    generate(organisation)
    names = {order["Owner"]["employee_id"]: order["Owner"]["InternalDisplayName"] for order in organisation.orders()}
    assert names == {"A17": "A17", "A18": "A18", "A19": "Turing"}


def test_orders_are_what_the_contract_reads(organisation: World) -> None:
    generate(organisation)
    orders = [Order.model_validate(order) for order in organisation.orders()]
    assert [order.change_type for order in orders] == ["Deleted", "Added", "Modified"]
    assert [order.resource.get("id") for order in orders] == ["u3", None, "u2"]


def test_a_creation_leaves_out_nulls_and_a_change_says_them(organisation: World) -> None:
    generate(organisation)
    deleted, added, modified = organisation.orders()
    assert "Changes" not in deleted
    assert "title" not in added["Changes"]
    assert modified["Changes"]["title"] is None
    assert "groups_add" not in modified["Changes"]


def test_leavers_go_first_then_creations_then_the_rest(empty: World) -> None:
    empty.scalar(account(empty), "title", "Dr")
    creation(empty)
    leaver = account(empty)
    empty.scalar(leaver, "active", "false")
    account(empty, state=ProvisioningState.PENDING, workflow=WorkflowState.CANCELLATION)
    empty.export()
    generation = generate(empty)
    assert [batch.batch for batch in generation.batches] == [f"000{n}-CRM_User_Nominative" for n in (1, 2, 3)]
    assert [order["ChangeType"] for order in empty.orders()] == ["Modified", "Deleted", "Added", "Modified"]


def test_batches_hold_at_most_their_size(empty: World) -> None:
    for _ in range(5):
        creation(empty)
    empty.export()
    assert [batch.orders for batch in generate(empty).batches] == [2, 2, 1]
    assert len({order["OrderId"] for order in empty.orders()}) == 5


def test_what_is_depended_on_is_created_first_and_left_last(empty: World) -> None:
    mailbox = NOMINATIVE.model_copy(update={"identifier": "Mailbox", "depends_on": "CRM_User_Nominative"})
    owner = empty.add("HR_Person", employee_id="P")
    empty.assign(owner, state=ProvisioningState.VERIFIED, target_key="u")
    empty.scalar(empty.assign(owner, resource_type="Mailbox"), "user_name", "m")
    creation(empty)
    for kind in ("CRM_User_Nominative", "Mailbox"):
        account(empty, resource_type=kind, state=ProvisioningState.PENDING, workflow=WorkflowState.CANCELLATION)
    empty.export()
    generate(empty, mailbox, NOMINATIVE)
    assert [(order["ChangeType"], order["ResourceType"]["Identifier"]) for order in empty.orders()] == [
        ("Deleted", "Mailbox"),
        ("Deleted", "CRM_User_Nominative"),
        ("Added", "CRM_User_Nominative"),
        ("Added", "Mailbox"),
    ]


@pytest.mark.parametrize("state", HELD)
def test_nothing_under_review_or_out_of_use_becomes_an_order(empty: World, state: ProvisioningState) -> None:
    creation(empty, state=state)
    account(empty, state=state, workflow=WorkflowState.CANCELLATION)
    empty.scalar(account(empty, state=state), "title", "its assignment is not settled")
    empty.scalar(account(empty), "title", "the value is not settled", state)
    empty.export()
    assert generate(empty).batches == ()


@pytest.mark.parametrize("state", HELD)
def test_a_creation_goes_without_its_values_under_review(empty: World, state: ProvisioningState) -> None:
    empty.scalar(creation(empty), "title", "Dr", state)
    empty.export()
    generate(empty)
    assert [sorted(item) for item in changes(empty)] == [["user_name"]]


def test_a_declined_value_is_not_part_of_a_creation(empty: World) -> None:
    empty.scalar(creation(empty), "title", "Dr", ProvisioningState.ERRORED, WorkflowState.DECLINED)
    empty.export()
    generate(empty)
    assert [sorted(item) for item in changes(empty)] == [["user_name"]]


def test_an_assignment_in_flight_gets_no_second_order(empty: World) -> None:
    assignment = account(empty)
    empty.scalar(assignment, "title", "Dr")
    empty.add(
        "provisioning_order",
        order_id="earlier",
        assignment=assignment,
        run_id="yesterday",
        provisioning_state=int(ProvisioningState.TRANSMITTED),
    )
    empty.export()
    generation = generate(empty)
    assert generation.batches == ()
    assert generation.counters["CRM_User_Nominative"]["withheld"] == {"in_flight": 1}
    empty.rows["provisioning_order"][0]["provisioning_state"] = int(ProvisioningState.EXECUTED)
    empty.export()
    assert len(generate(empty).batches) == 1


@pytest.mark.parametrize(
    ("barrier", "kept_back"),
    [
        ({"allow_add": False}, {"allow_add": 1}),
        ({"allow_remove": False}, {"allow_remove": 1}),
        ({"depends_on": "Somewhere_Else"}, {"depends_on": 1}),
    ],
)
def test_barriers_keep_back_only_what_they_are_for(
    organisation: World, barrier: dict[str, Any], kept_back: dict[str, int]
) -> None:
    generation = generate(organisation, NOMINATIVE.model_copy(update=barrier))
    assert generation.counters["CRM_User_Nominative"]["withheld"] == kept_back
    assert len(organisation.orders()) == 2


def test_a_deactivated_connector_sends_nothing(organisation: World) -> None:
    generation = generate(organisation, is_deactivated=True)
    assert generation.batches == ()
    assert generation.counters["CRM_User_Nominative"]["withheld"] == {"deactivated": 3}


@pytest.mark.parametrize(
    ("owned", "orders"),
    [
        ({"state": ProvisioningState.VERIFIED, "target_key": "u"}, 1),
        ({"state": ProvisioningState.EXECUTED, "target_key": "u"}, 1),
        ({"state": ProvisioningState.TRANSMITTED}, 0),
        ({"state": ProvisioningState.AWAITING_APPROVAL, "target_key": "u"}, 0),
        ({"state": ProvisioningState.PENDING, "target_key": "u", "workflow": WorkflowState.CANCELLATION}, 0),
    ],
)
def test_a_creation_waits_for_what_it_depends_on(empty: World, owned: dict[str, Any], orders: int) -> None:
    owner = empty.add("HR_Person", employee_id="P")
    empty.assign(owner, resource_type="Account", **owned)
    empty.scalar(empty.assign(owner), "user_name", "m")
    empty.export()
    generate(empty, NOMINATIVE.model_copy(update={"depends_on": "Account"}))
    assert len(empty.orders()) == orders


def test_a_deletion_asks_for_nothing_else(empty: World) -> None:
    assignment = account(empty, state=ProvisioningState.PENDING, workflow=WorkflowState.CANCELLATION)
    empty.scalar(assignment, "title", "Dr")
    empty.export()
    generate(empty)
    assert [order.get("Changes", "none") for order in empty.orders()] == ["none"]


def test_a_target_that_was_not_read_yet_is_named_by_its_key(empty: World) -> None:
    owner = empty.add("HR_Person", employee_id="P")
    empty.scalar(empty.assign(owner, state=ProvisioningState.EXECUTED, target_key="new"), "title", "Dr")
    empty.export()
    generate(empty)
    assert [order["Resource"] for order in empty.orders()] == [{"id": "new"}]


def test_an_owner_who_is_gone_still_loses_the_account(empty: World) -> None:
    empty.assign(
        4711, state=ProvisioningState.PENDING, workflow=WorkflowState.CANCELLATION, target_id=None, target_key="u9"
    )
    empty.export()
    generate(empty)
    assert [(order["Owner"], order["Resource"]) for order in empty.orders()] == [({"Id": "4711"}, {"id": "u9"})]


def test_values_have_the_type_of_their_property_and_others_stay_text(empty: World) -> None:
    assignment = account(empty)
    empty.scalar(assignment, "level", "-12")
    empty.scalar(assignment, "active", "true")
    empty.scalar(assignment, "hired", "2024-02-29 23:59:59.5")
    empty.scalar(account(empty), "level", "high")
    empty.export()
    generate(empty)
    assert changes(empty) == [{"active": True, "hired": "2024-02-29 23:59:59.5", "level": -12}, {"level": "high"}]


def test_arguments_go_along(empty: World) -> None:
    creation(empty)
    empty.export()
    generate(empty, NOMINATIVE.model_copy(update={"arguments": {"WorkflowIdentifier": "new ö"}}))
    assert empty.orders()[0]["Arguments"] == {"WorkflowIdentifier": "new ö"}


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_arrives_as_it_is(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Invariant 4: not a byte, a space or a case is lost."""
    place = world(tmp_path_factory.mktemp("text"))
    for number, text in enumerate(texts):
        owner = place.add("HR_Person", employee_id=text + str(number), last_name=text)
        place.scalar(place.assign(owner, state=ProvisioningState.VERIFIED, target_key=f"{text}{number}"), "title", text)
    place.export()
    generate(place)
    arrived = {order["Owner"]["employee_id"]: order for order in place.orders()}
    for number, text in enumerate(texts):
        order = arrived[text + str(number)]
        assert (order["Changes"]["title"], order["Owner"]["last_name"]) == (text, text)
        assert order["Resource"]["id"] == f"{text}{number}"


def test_the_same_run_decides_the_same_orders_and_a_later_run_decides_anew(organisation: World) -> None:
    first = generate(organisation)
    assert generate(organisation) == first
    ids = {order["OrderId"] for order in organisation.orders()}
    generate_orders(*configuration(), organisation.run, run_id="tomorrow", decided_at=DECIDED_AT)
    assert not ids & {order["OrderId"] for order in organisation.orders()}


def test_an_order_with_other_changes_is_another_order(organisation: World) -> None:
    generate(organisation)
    before = {order["ChangeType"]: order["OrderId"] for order in organisation.orders()}
    next(row for row in organisation.rows["assigned_resource_scalar"] if row["policy_value"] == "Murray")[
        "policy_value"
    ] = "murray"
    organisation.export()
    generate(organisation)
    after = {order["ChangeType"]: order["OrderId"] for order in organisation.orders()}
    assert {kind for kind in after if after[kind] != before[kind]} == {"Modified"}


def test_a_generation_that_was_transmitted_stands(organisation: World) -> None:
    first = generate(organisation)
    organisation.load(transmit(organisation.run).changes)
    assert generate(organisation) == first
    assert len(organisation.orders()) == 3


def test_a_generation_that_was_never_transmitted_is_decided_again(organisation: World) -> None:
    generate(organisation)
    organisation.rows["assigned_resource_scalar"].clear()
    organisation.rows["assigned_resource_navigation"].clear()
    organisation.rows["assigned_resource_type"].pop(0)
    organisation.export()
    generation = generate(organisation)
    assert [order["ChangeType"] for order in organisation.orders()] == ["Deleted"]
    left = organisation.run.child("orders").names("0*.json")
    assert left == [batch.file for batch in generation.batches]


def test_a_missing_base_file_is_named(organisation: World) -> None:
    organisation.run.child("base").remove("CRM_Group.parquet")
    with pytest.raises(PlanError, match=r"CRM_Group\.parquet is missing: export the base of connector CRM first"):
        generate(organisation)


def leavers(world: World, deletions: int, owned: int = 100) -> None:
    for number in range(owned):
        if number < deletions:
            account(world, state=ProvisioningState.PENDING, workflow=WorkflowState.CANCELLATION)
        else:
            account(world)
    world.export()


def test_more_than_the_limit_blocks_and_the_decision_sends_exactly_the_same_orders(empty: World) -> None:
    """engine.md 8.3, test 12."""
    limited = NOMINATIVE.model_copy(update={"thresholds": ProvisioningThresholds(), "batch_size": 200})
    leavers(empty, 31)
    generation = generate(empty, limited)
    before = empty.orders()
    assert generation.verdict.blocked
    exceeded = [str(line) for line in generation.verdict.lines if line.exceeded]
    assert len(exceeded) == 1
    assert "CRM_User_Nominative: maximum_delete_percent exceeded (31 deleted of 100 stored, limit 30 %)" in exceeded[0]
    assert empty.run.child("orders").read_json("verdict.json")["blocked"] is True
    with pytest.raises(PlanError, match=r"need the decision 'apply': .*31 deleted of 100"):
        transmit(empty.run)
    with pytest.raises(PlanError, match="need the decision 'apply'"):
        transmit(empty.run, decision="reject")
    assert not empty.run.exists("changes/transmission/changes.json")
    assert generate(empty, limited) == generation
    assert transmit(empty.run, decision="apply", plan=generation.plan).orders == 31
    assert empty.orders() == before


def test_reaching_a_limit_does_not_block(empty: World) -> None:
    limited = NOMINATIVE.model_copy(update={"thresholds": ProvisioningThresholds()})
    leavers(empty, 30)
    assert not generate(empty, limited).verdict.blocked
    assert transmit(empty.run).orders == 30


def test_the_first_provisioning_of_a_system_is_limited_by_figure_only(empty: World) -> None:
    for _ in range(3):
        creation(empty)
    empty.export()
    percent = NOMINATIVE.model_copy(update={"thresholds": ProvisioningThresholds()})
    assert not generate(empty, percent).verdict.blocked
    figure = NOMINATIVE.model_copy(update={"thresholds": ProvisioningThresholds(maximum_insert=2)})
    assert generate(empty, figure).verdict.blocked


def test_an_approval_of_other_orders_releases_nothing(organisation: World) -> None:
    approved = generate(organisation).plan
    organisation.rows["assigned_resource_type"].pop()
    organisation.export()
    generate(organisation)
    with pytest.raises(PlanError, match="are not those that were approved"):
        transmit(organisation.run, decision="apply", plan=approved)
