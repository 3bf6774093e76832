"""Nothing that somebody else wrote is overwritten blindly, and nothing is written twice (engine.md 7.15)."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.contract import Order
from tests.integration.connectors.scim.conftest import Connect, Service
from tests.integration.connectors.scim.test_fulfil import MAPPING, one, order
from tests.simulators.faulty_proxy import Exchange, FaultyProxy, Reply, drop

WRITES = ("POST", "PUT", "PATCH", "DELETE")


def writes(proxy: FaultyProxy) -> list[tuple[str, str]]:
    return [(asked.method, asked.path.rsplit("/", 2)[-2]) for asked in proxy.asked if asked.method in WRITES]


def modified(key: str, changes: dict[str, Any], resource: dict[str, Any], **more: Any) -> Order:
    return order("Modified", changes, key, Resource={"id": key, **resource}, **more)


@pytest.mark.parametrize("present", [{"title": "Clerk"}, {"title": "Doctor"}])
def test_a_value_as_expected_or_as_wanted_already_is_written(
    connect: Connect, service: Service, present: dict[str, str]
) -> None:
    key = service.add_user("ada", **present)
    result = one(connect(check_current_values=True), modified(key, {"title": "Doctor"}, {"title": "Clerk"}))
    assert result.state == "executed"
    assert service.user(key)["title"] == "Doctor"


def test_a_value_that_somebody_else_has_written_is_left_alone(connect: Connect, service: Service) -> None:
    key = service.add_user("ada", title="Countess", displayName="Ada")
    wanted = modified(key, {"title": "Doctor", "display_name": "A"}, {"title": "Clerk", "display_name": "Ada"})
    result = one(connect(check_current_values=True), wanted)
    assert (result.state, result.error_class, result.transient) == ("errored", "Conflict", False)
    assert result.message == (
        f"change Users '{key}': 'title' was changed in the managed system since it was last read, and is not as "
        "wanted either: synchronize it, then decide again"
    )
    assert (service.user(key)["title"], service.user(key)["displayName"]) == ("Countess", "Ada")


@pytest.mark.parametrize(
    ("present", "expected"),
    [({}, None), ({}, ""), ({"title": "Clerk"}, "Clerk"), ({"title": "Countess"}, "unknown")],
)
def test_a_missing_value_and_one_that_the_order_does_not_tell_are_no_conflict(
    connect: Connect, service: Service, present: dict[str, str], expected: str | None
) -> None:
    key = service.add_user("ada", **present)
    resource = {} if expected == "unknown" else {"title": expected}
    assert one(connect(check_current_values=True), modified(key, {"title": "Doctor"}, resource)).state == "executed"


def test_values_are_compared_by_their_type(connect: Connect, service: Service) -> None:
    key = service.add_user("ada", active=True, emails=[{"value": "ada@example.org"}])
    resource = {"active": True, "mail": "ada@example.org"}
    changes = {"active": False, "mail": "ada@example.com"}
    assert one(connect(check_current_values=True), modified(key, changes, resource)).state == "executed"


def test_an_expected_value_is_compared_in_the_format_of_its_property(connect: Connect, service: Service) -> None:
    key = service.add_user("ada", title="Countess; Engineer")
    mapping = {**MAPPING, "Types": {"title": "string"}, "Formats": {"title": "Concat:; "}}
    wanted = modified(key, {"title": "Doctor"}, {"title": "Countess\nEngineer"}, mapping=mapping)
    assert one(connect(check_current_values=True), wanted).state == "executed"


def test_by_default_only_what_is_read_anyway_is_compared(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    key = service.add_user("ada", title="Countess", emails=[{"value": "ada@example.org"}])
    alone = modified(key, {"title": "Doctor"}, {"title": "Clerk"})
    assert one(connect(proxy.url), alone).state == "executed"
    assert proxy.count("GET", f"/Users/{key}") == 0
    resource = {"title": "Clerk", "mail": "ada@example.org"}
    beside_a_list = modified(key, {"title": "Engineer", "mail": "ada@example.com"}, resource)
    assert one(connect(proxy.url), beside_a_list).error_class == "Conflict"
    assert one(connect(proxy.url, check_current_values=False), beside_a_list).state == "executed"


def test_a_server_without_patch_is_compared_and_never_overwritten(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    proxy.fail("PATCH", "/Users/", before=lambda _: Reply.error(501))
    key = service.add_user("ada", title="Countess")
    assert one(connect(proxy.url), modified(key, {"title": "Doctor"}, {"title": "Clerk"})).error_class == "Conflict"
    assert service.user(key)["title"] == "Countess"


def test_a_change_between_look_and_write_is_seen_by_its_version(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    key = service.add_user("ada", title="Clerk")

    def overtaken(exchange: Exchange) -> Reply:
        assert exchange.headers["If-Match"] == 'W/"1"'
        service.call("PUT", f"/Users/{key}", {**service.user(key), "title": "Countess"})
        return Reply.error(412)

    proxy.fail("GET", f"/Users/{key}", after=lambda _, reply: reply.headers.update(ETag='W/"1"'))
    proxy.fail("PATCH", f"/Users/{key}", before=overtaken, times=1)
    result = one(connect(proxy.url, check_current_values=True), modified(key, {"title": "Doctor"}, {"title": "Clerk"}))
    assert (result.state, result.error_class) == ("errored", "Conflict")
    assert service.user(key)["title"] == "Countess"
    assert proxy.count("PATCH", f"/Users/{key}") == 1


@pytest.mark.parametrize("change_type", ["Added", "Modified", "Deleted"])
def test_an_order_sent_before_writes_only_what_is_not_there_yet(
    connect: Connect, service: Service, proxy: FaultyProxy, change_type: str
) -> None:
    sales, staff = service.add_group("Sales"), service.add_group("Staff")
    key = None if change_type == "Added" else service.add_user("ada", externalId="A17", title="Clerk")
    if key is not None:
        service.call(
            "PUT", f"/Groups/{staff}", {**service.call("GET", f"/Groups/{staff}"), "members": [{"value": key}]}
        )
    changes = {"user_name": "ada", "external_id": "A17", "title": "Doctor", "groups_add": [{"id": sales}]}
    if change_type == "Modified":
        changes["groups_remove"] = [{"id": staff}]
    if change_type == "Deleted":
        changes = {"groups_remove": [{"id": staff}]}
    first = one(connect(proxy.url), order(change_type, changes, key))
    assert first.state == "executed"
    written = writes(proxy)
    assert written
    again = one(connect(proxy.url), order(change_type, changes, key, sent_before=True))
    assert (again.state, again.key) == ("executed", first.key)
    assert writes(proxy) == written


def test_what_an_earlier_try_left_undone_is_done(connect: Connect, service: Service, proxy: FaultyProxy) -> None:
    sales = service.add_group("Sales")
    changes = {"user_name": "ada", "external_id": "A17", "groups_add": [{"id": sales}]}
    proxy.fail("PATCH", "/Groups/", before=drop)
    first = one(connect(proxy.url, max_retries=0), order("Added", changes))
    assert (first.state, first.transient) == ("errored", True)
    proxy.faults.clear()
    again = one(connect(proxy.url), order("Added", changes, sent_before=True))
    assert (again.state, again.key) == ("executed", first.key)
    assert service.members(sales) == {first.key}
    assert proxy.count("POST", "/Users") == 1
