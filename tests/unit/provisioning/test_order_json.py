"""The JSON of order files: the schema of engine.md 3.6, the golden files, and what package ``json`` makes of them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from connectors.contract import ConnectionContext, Order
from connectors.files.json_orders import JsonConnector, JsonSettings
from connectors.order_files import order_file, read_order_file
from include import provisioning
from include.provisioning.dispatch import fulfil_batch
from include.provisioning.plan import Generation
from include.provisioning.transmission import transmit
from tests.unit.provisioning.world import World, generate

GOLDEN = sorted((Path(__file__).parent / "golden").iterdir())
SCHEMA = json.loads((Path(provisioning.__file__).parent / "order_schema.json").read_text(encoding="utf-8"))
EXAMPLE = {
    "ProvisioningOrdersList": [
        {
            "OrderId": "o501",
            "AssignedResourceTypeId": "501",
            "ChangeType": "Modified",
            "WorkflowInstanceId": "12",
            "Owner": {"Id": "42", "InternalDisplayName": "A17 - Lamarr Hedy", "EmployeeId": "A17", "PhotoTag": -1},
            "ResourceType": {
                "Id": "-3",
                "Identifier": "CRM_User_Nominative",
                "SourceEntityType": {"Id": "5", "Identifier": "Directory_User"},
                "TargetEntityType": {"Id": "9", "Identifier": "CRM_User"},
            },
            "Resource": {"login": "gm", "lastName": "Hopper"},
            "Changes": {
                "lastName": "Murray",
                "groups_remove": [{"Id": "77", "name": "Sales"}],
                "Site": {"Id": "1", "Label": "Wien"},
            },
            "Arguments": {"WorkflowIdentifier": "onboarding"},
        }
    ]
}


def mistakes(document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)]


def with_changes(**changes: Any) -> dict[str, Any]:
    document = copy.deepcopy(EXAMPLE)
    order = document["ProvisioningOrdersList"][0]
    for name, value in changes.items():
        if value is None:
            del order[name]
        else:
            order[name] = value
    return document


def transmitted(organisation: World) -> Generation:
    generation = generate(organisation)
    transmit(organisation.run, decision=None, plan=generation.plan)
    return generation


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", GOLDEN, ids=[file.name for file in GOLDEN])
def test_every_golden_file_has_the_shape(file: Path) -> None:
    assert mistakes(json.loads(file.read_text(encoding="utf-8"))) == []


def test_an_order_of_the_product_with_every_section_has_the_shape() -> None:
    assert mistakes(EXAMPLE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        with_changes(OrderId=None),
        with_changes(OrderId="../o"),
        with_changes(AssignedResourceTypeId=501),
        with_changes(AssignedResourceTypeId="x"),
        with_changes(ChangeType="Updated"),
        with_changes(ChangeType="Added"),
        with_changes(ChangeType="Deleted"),
        with_changes(Resource=None),
        with_changes(Changes=None),
        with_changes(Changes={"groups_add": []}),
        with_changes(Owner={"InternalDisplayName": "A17"}),
        with_changes(Arguments={"WorkflowIdentifier": 1}),
        with_changes(ResourceType={"Identifier": "CRM_User_Nominative"}),
        {"ProvisioningOrdersList": []},
        {"Orders": []},
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_no_order_file(wrong: Any) -> None:
    assert mistakes(wrong) != []


@pytest.mark.parametrize("file", GOLDEN, ids=[file.name for file in GOLDEN])
def test_a_golden_file_that_is_read_and_written_is_the_same_to_the_byte(file: Path) -> None:
    assert order_file(read_order_file(file.name, file.read_bytes())) == file.read_bytes()


def test_an_order_with_sections_of_the_product_keeps_them_all() -> None:
    order = Order.model_validate(EXAMPLE["ProvisioningOrdersList"][0])
    assert json.loads(order_file([order.model_copy(update={"sent_before": True})])) == EXAMPLE


@pytest.mark.parametrize("files", ["per_order", "per_batch"])
def test_what_package_json_writes_of_a_run_has_the_shape_and_holds_each_order_once(
    organisation: World, tmp_path: Path, files: Any
) -> None:
    generation = transmitted(organisation)
    target = tmp_path / "handed over"
    target.mkdir()
    connector = JsonConnector(ConnectionContext("Files", JsonSettings(files=files), folder=target))
    for batch in generation.batches:
        result = fulfil_batch(organisation.run, batch.batch, connector)
        assert (result.executed, result.errored) == (result.orders, 0)

    documents = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in target.iterdir()}
    assert [mistake for document in documents.values() for mistake in mistakes(document)] == []
    written = [order for document in documents.values() for order in document["ProvisioningOrdersList"]]
    by_id = {order["OrderId"]: order for order in written}
    assert by_id == {order["OrderId"]: order for order in organisation.orders()}
    assert len(written) == len(by_id)
