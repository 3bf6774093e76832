"""Orders for the tests of order files and workflows."""

from __future__ import annotations

from typing import Any

from connectors.contract import Order

MAPPING = {
    "Table": "CRM_Users",
    "PrimaryKey": "login",
    "Columns": {"login": "login", "name": "name", "active": "active", "left_at": "left_at"},
    "Links": {"site": {"Table": "CRM_Sites", "OwnerColumn": "a", "LinkedColumn": "b", "LinkedKey": "id"}},
}


def sample_order(number: int | str = 1, change_type: str = "Added", **sections: Any) -> Order:
    """An order of resource type ``CRM_User`` with the id ``o<number>``; ``sections`` are its own, in PascalCase."""
    content = {
        "OrderId": f"o{number}",
        "AssignedResourceTypeId": "501",
        "ChangeType": change_type,
        "Owner": {"Id": "42"},
        "ResourceType": {
            "Id": "CRM_User",
            "Identifier": "CRM_User",
            "TargetEntityType": {"Id": "CRM_User", "Identifier": "CRM_User"},
            "Mapping": MAPPING,
        },
    }
    if change_type != "Deleted":
        content["Changes"] = {"login": f"login{number}", "name": "Anne"}
    if change_type != "Added":
        content["Resource"] = {"login": f"login{number}", "name": "Old", "active": True}
    return Order.model_validate(content | sections)


def again(*orders: Order) -> list[Order]:
    """The orders as they come when an earlier try may have reached the system."""
    return [order.model_copy(update={"sent_before": True}) for order in orders]
