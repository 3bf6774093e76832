"""Orders against a real SCIM server: carried out once, whatever the line and the server do in between."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.contract import Order, OrderResult
from connectors.errors import AuthenticationFailed, ConnectionFailed
from connectors.scim.connector import ScimConnector
from tests.integration.connectors.scim.conftest import ENTERPRISE, Connect, Service
from tests.simulators.faulty_proxy import Exchange, FaultyProxy, Reply, drop, silent_for

MAPPING = {
    "Table": "CRM_Users",
    "PrimaryKey": "id",
    "Columns": {
        "id": "id",
        "user_name": "userName",
        "external_id": "externalId",
        "family_name": "name:familyName",
        "given_name": "name:givenName",
        "display_name": "displayName",
        "title": "title",
        "mail": "emails:value",
        "active": "active",
        "department": f"{ENTERPRISE}:department",
    },
    "Types": {"active": "bool"},
    "Links": {
        "groups": {
            "Table": "CRM_members_Groups",
            "OwnerColumn": "MemberId",
            "LinkedColumn": "value",
            "OwnerKey": "id",
            "LinkedKey": "id",
        }
    },
}
GROUP_MAPPING = {
    "Table": "CRM_Groups",
    "PrimaryKey": "id",
    "Columns": {"id": "id", "display_name": "displayName"},
    "Links": {
        "members": {
            "Table": "CRM_members_Groups",
            "OwnerColumn": "value",
            "LinkedColumn": "MemberId",
            "LinkedKey": "id",
        }
    },
}
ADA = {
    "user_name": "ada",
    "external_id": "A17",
    "family_name": "Lovelace",
    "given_name": "Ada",
    "mail": "ada@example.org",
    "active": True,
    "department": "Engines",
    "title": None,
}


def order(change_type: str, changes: dict[str, Any] | None = None, key: str | None = None, **more: Any) -> Order:
    mapping = more.pop("mapping", MAPPING)
    return Order.model_validate(
        {
            "OrderId": more.pop("order_id", "order-1"),
            "AssignedResourceTypeId": "501",
            "ChangeType": change_type,
            "Owner": {"Id": "42"},
            "ResourceType": {"Identifier": "CRM_User_Nominative", "Mapping": mapping},
            "Changes": changes or {},
            "Resource": {"id": key} if key else {},
            **more,
        }
    )


def fulfil(connector: ScimConnector, *orders: Order) -> list[OrderResult]:
    return list(connector.fulfil(orders))


def one(connector: ScimConnector, wanted: Order) -> OrderResult:
    [result] = fulfil(connector, wanted)
    return result


class TestAdded:
    def test_creates_the_object_with_its_nested_attributes(self, connect: Connect, service: Service) -> None:
        result = one(connect(), order("Added", ADA))
        assert (result.state, result.order_id, result.message) == ("executed", "order-1", None)
        user = service.user(result.key or "")
        assert user["name"] == {"familyName": "Lovelace", "givenName": "Ada"}
        assert user["emails"] == [{"value": "ada@example.org", "primary": True}]
        assert (user["active"], user[ENTERPRISE], "title" in user) == (True, {"department": "Engines"}, False)

    @pytest.mark.parametrize("active", ["false", "False", "0", False])
    def test_switches_are_sent_as_booleans(self, connect: Connect, service: Service, active: Any) -> None:
        result = one(connect(), order("Added", {**ADA, "active": active}))
        assert service.user(result.key or "")["active"] is False

    def test_a_value_is_written_in_the_format_of_its_property(self, connect: Connect, service: Service) -> None:
        mapping = {**MAPPING, "Types": {"active": "bool", "title": "string"}, "Formats": {"title": "Concat:; "}}
        result = one(connect(), order("Added", {**ADA, "title": "Countess\nEngineer"}, mapping=mapping))
        assert service.user(result.key or "")["title"] == "Countess; Engineer"
        result = one(connect(), order("Modified", {"title": "a; b\nc"}, result.key, mapping=mapping))
        assert (result.state, result.error_class) == ("errored", "InvalidValue")
        assert result.message == (
            "a value of type string cannot be written as Concat:; : one of its values holds the separator"
        )

    def test_puts_the_new_user_into_groups(self, connect: Connect, service: Service) -> None:
        sales, staff = service.add_group("Sales"), service.add_group("Staff", "somebody-else")
        result = one(connect(), order("Added", {**ADA, "groups_add": [{"id": sales}, {"id": staff}]}))
        assert result.state == "executed"
        assert service.members(sales) == {result.key}
        assert service.members(staff) == {result.key, "somebody-else"}

    def test_an_object_with_the_same_external_id_is_changed_instead(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada", externalId="A17", title="Countess", nickName="kept")
        result = one(connect(), order("Added", ADA))
        assert (result.state, result.key) == ("executed", key)
        user = service.user(key)
        assert (user["name"]["familyName"], user["nickName"], "title" in user) == ("Lovelace", "kept", False)
        assert len(service.users()) == 1

    def test_a_name_without_external_id_is_taken_over(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ADA")
        result = one(connect(), order("Added", ADA))
        assert (result.state, result.key, service.user(key)["externalId"]) == ("executed", key, "A17")

    def test_a_name_that_belongs_to_somebody_else_is_left_alone(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada", externalId="B99", displayName="Ada Byron")
        result = one(connect(), order("Added", ADA))
        assert (result.state, result.error_class, result.transient) == ("errored", "ObjectExists", False)
        assert "HTTP 409 uniqueness" in (result.message or "")
        user = service.user(key)
        assert (user["externalId"], "name" in user) == ("B99", False)

    def test_an_order_sent_before_is_looked_for_first(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        key = service.add_user("other-name", externalId="A17")
        result = one(connect(proxy.url), order("Added", ADA, sent_before=True))
        assert (result.state, result.key, service.user(key)["userName"]) == ("executed", key, "ada")
        assert proxy.count("POST", "/Users") == 0

    def test_an_order_sent_before_that_never_arrived_is_created(self, connect: Connect, service: Service) -> None:
        assert one(connect(), order("Added", ADA, sent_before=True)).state == "executed"
        assert [user["userName"] for user in service.users()] == ["ada"]

    @pytest.mark.parametrize("lost", [drop, silent_for(1.5)], ids=["dropped", "timed out"])
    def test_a_lost_answer_is_settled_by_a_look(
        self, connect: Connect, service: Service, proxy: FaultyProxy, lost: Any
    ) -> None:
        proxy.fail("POST", "/Users", after=lost, times=1)
        result = one(connect(proxy.url, read_timeout=0.7), order("Added", ADA))
        assert result.state == "executed"
        assert [user["id"] for user in service.users()] == [result.key]
        assert proxy.count("POST", "/Users") == 1

    def test_a_request_that_never_arrived_is_sent_again(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        proxy.fail("POST", "/Users", before=drop, times=1)
        result = one(connect(proxy.url), order("Added", ADA))
        assert (result.state, len(service.users()), proxy.count("POST", "/Users")) == ("executed", 1, 2)

    def test_throttling_is_waited_out_and_creates_once(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        proxy.fail("POST", "/Users", before=lambda _: Reply.error(429, Retry_After="0"), times=2)
        assert one(connect(proxy.url), order("Added", ADA)).state == "executed"
        assert len(service.users()) == 1

    def test_a_membership_that_fails_leaves_the_key_and_what_was_done(self, connect: Connect, service: Service) -> None:
        sales = service.add_group("Sales")
        wanted = {**ADA, "groups_add": [{"id": sales}, {"id": "no-such-group"}]}
        result = one(connect(), order("Added", wanted))
        assert (result.state, result.error_class) == ("errored", "ObjectMissing")
        [user] = service.users()
        assert result.key == user["id"]
        assert f"done before: created '{user['id']}', changed the members of '{sales}'" in (result.message or "")
        again = one(connect(), order("Added", {**ADA, "groups_add": [{"id": sales}]}, sent_before=True))
        assert (again.state, again.key) == ("executed", user["id"])
        assert service.members(sales) == {user["id"]}

    def test_a_group_is_created_with_its_members(self, connect: Connect, service: Service) -> None:
        changes = {"display_name": "Sales", "members_add": [{"id": f"m{number}"} for number in range(450)]}
        result = one(connect(), order("Added", changes, mapping=GROUP_MAPPING))
        assert result.state == "executed"
        assert len(service.members(result.key or "")) == 450


class TestModified:
    def test_changes_only_what_changed(self, connect: Connect, service: Service, proxy: FaultyProxy) -> None:
        key = service.add_user("ada", title="Countess", nickName="kept", name={"familyName": "Byron"})
        result = one(connect(proxy.url), order("Modified", {"family_name": "Lovelace", "title": None}, key))
        assert (result.state, result.key) == ("executed", key)
        user = service.user(key)
        assert (user["name"], user["nickName"], "title" in user) == ({"familyName": "Lovelace"}, "kept", False)
        assert [asked.method for asked in proxy.asked if "/Users/" in asked.path] == ["PATCH"]

    def test_deactivation_is_a_change(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada", active=True)
        assert one(connect(), order("Modified", {"active": False}, key)).state == "executed"
        assert service.user(key)["active"] is False

    def test_one_address_changes_and_the_others_stay(self, connect: Connect, service: Service) -> None:
        others = [{"value": "home@x.org", "type": "home"}]
        key = service.add_user("ada", emails=[*others, {"value": "old@x.org", "type": "work", "primary": True}])
        assert one(connect(), order("Modified", {"mail": "new@x.org"}, key)).state == "executed"
        assert service.user(key)["emails"] == [*others, {"value": "new@x.org", "type": "work", "primary": True}]
        assert one(connect(), order("Modified", {"mail": None}, key)).state == "executed"
        assert service.user(key)["emails"] == others

    def test_a_change_of_somebody_else_in_between_is_kept(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        key = service.add_user("ada", emails=[{"value": "old@x.org", "primary": True}])
        added = [{"value": "old@x.org", "primary": True}, {"value": "home@x.org"}]

        def meanwhile(_: Exchange) -> None:
            service.call("PUT", f"/Users/{key}", {**service.user(key), "emails": added})

        proxy.fail("PATCH", "/Users/", before=meanwhile, times=1)
        assert one(connect(proxy.url), order("Modified", {"mail": "new@x.org"}, key)).state == "executed"
        assert [mail["value"] for mail in service.user(key)["emails"]] == ["new@x.org", "home@x.org"]

    def test_a_missing_object_is_missing(self, connect: Connect) -> None:
        for changes in ({"title": "x"}, {"mail": "x@x.org"}):
            result = one(connect(), order("Modified", changes, "gone"))
            assert (result.state, result.error_class) == ("errored", "ObjectMissing")

    def test_memberships_come_and_go_and_may_be_repeated(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada")
        old, new = service.add_group("Old", key, "bob"), service.add_group("New", "bob")
        moved = order("Modified", {"groups_add": [{"id": new}], "groups_remove": [{"id": old}]}, key)
        for result in fulfil(connect(), moved, moved):
            assert result.state == "executed"
        assert (service.members(old), service.members(new)) == ({"bob"}, {"bob", key})

    def test_leaving_a_group_that_is_gone_is_done(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada")
        assert one(connect(), order("Modified", {"groups_remove": [{"id": "gone"}]}, key)).state == "executed"

    def test_many_members_leave_a_group_and_the_rest_stay(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        group = service.add_group("Large", *(f"m{number}" for number in range(120)))
        leaving = {"members_remove": [{"id": f"m{number}"} for number in range(119)]}
        assert one(connect(proxy.url), order("Modified", leaving, group, mapping=GROUP_MAPPING)).state == "executed"
        assert service.members(group) == {"m119"}
        assert proxy.count("PATCH", "/Groups/") == 3

    @pytest.mark.parametrize("refusal", [400, 405, 501])
    def test_without_patch_the_object_is_replaced(
        self, connect: Connect, service: Service, proxy: FaultyProxy, refusal: int
    ) -> None:
        proxy.fail("PATCH", "/", before=lambda _: Reply.error(refusal))
        key = service.add_user("ada", nickName="kept", title="Countess")
        group = service.add_group("Sales", "bob")
        changes = {"family_name": "Lovelace", "title": None, "mail": "a@x.org", "groups_add": [{"id": group}]}
        assert one(connect(proxy.url), order("Modified", changes, key)).state == "executed"
        user = service.user(key)
        assert (user["nickName"], user["name"], "title" in user) == ("kept", {"familyName": "Lovelace"}, False)
        assert (user["emails"][0]["value"], service.members(group)) == ("a@x.org", {"bob", key})
        assert all("If-Match" in asked.headers for asked in proxy.asked if asked.method == "PUT")

    def test_a_replacement_never_undoes_a_change_in_between(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        group = service.add_group("Sales", "bob")
        key = service.add_user("ada")
        proxy.fail("PATCH", "/", before=lambda _: Reply.error(501))

        def meanwhile(_: Exchange) -> None:
            service.call("PUT", f"/Groups/{group}", {**service.call("GET", f"/Groups/{group}"), "members": MEMBERS})

        proxy.fail("PUT", "/Groups/", before=meanwhile, times=1)
        changes = {"groups_add": [{"id": group}], "groups_remove": []}
        assert one(connect(proxy.url), order("Modified", changes, key)).state == "executed"
        assert service.members(group) == {"bob", "eve", key}

    def test_a_change_is_repeated_when_its_answer_is_lost(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        key = service.add_user("ada")
        proxy.fail("PATCH", "/Users/", after=drop, times=1)
        assert one(connect(proxy.url), order("Modified", {"title": "Countess"}, key)).state == "executed"
        assert proxy.count("PATCH", "/Users/") == 2


MEMBERS = [{"value": "bob"}, {"value": "eve"}]


class TestDeleted:
    def test_deletes_and_a_second_time_is_fine(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada")
        results = fulfil(connect(), order("Deleted", key=key), order("Deleted", key=key))
        assert [(result.state, result.key) for result in results] == [("executed", key)] * 2
        assert service.users() == []

    def test_a_lost_answer_does_no_harm(self, connect: Connect, service: Service, proxy: FaultyProxy) -> None:
        key = service.add_user("ada")
        proxy.fail("DELETE", "/Users/", after=drop, times=1)
        assert one(connect(proxy.url), order("Deleted", key=key)).state == "executed"

    def test_links_are_removed_before_the_object(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada")
        group = service.add_group("Sales", key)
        result = one(connect(), order("Deleted", {"groups_remove": [{"id": group}]}, key))
        assert (result.state, service.members(group), service.users()) == ("executed", set(), [])

    def test_a_hostile_key_stays_one_step_of_the_path(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada")
        result = one(connect(), order("Deleted", key=f"../Users/{key}"))
        assert result.state == "executed"
        assert [user["id"] for user in service.users()] == [key]


class TestBatch:
    @pytest.mark.parametrize(
        ("bad", "error"),
        [
            (order("Added", {"external_id": "X"}, order_id="bad"), "InvalidValue"),
            (order("Added", {**ADA, "active": "perhaps"}, order_id="bad"), "InvalidValue"),
            (order("Added", {**ADA, "shoe_size": 42}, order_id="bad"), "ConfigurationError"),
            (order("Added", {**ADA, "id": "mine"}, order_id="bad"), "InvalidValue"),
            (order("Added", {**ADA, "groups_add": [{"name": "Sales"}]}, order_id="bad"), "InvalidValue"),
            (order("Added", {**ADA, "groups": {"id": "g"}}, order_id="bad"), "ConfigurationError"),
            (order("Added", ADA, order_id="bad", mapping=None), "ConfigurationError"),
            (order("Added", ADA, order_id="bad", mapping={**MAPPING, "Table": "ERP_Users"}), "ConfigurationError"),
            (order("Modified", {"title": "x"}, order_id="bad"), "InvalidValue"),
            (order("Modified", {"title": "x"}, "gone", order_id="bad"), "ObjectMissing"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_one_bad_order_leaves_its_siblings_alone(
        self, connect: Connect, service: Service, bad: Order, error: str
    ) -> None:
        first = order("Added", {**ADA, "user_name": "first", "external_id": "1"}, order_id="first")
        last = order("Added", {**ADA, "user_name": "last", "external_id": "2"}, order_id="last")
        results = fulfil(connect(), first, bad, last)
        assert [(result.order_id, result.state) for result in results] == [
            ("first", "executed"),
            ("bad", "errored"),
            ("last", "executed"),
        ]
        assert results[1].error_class == error
        assert results[1].message
        assert "\n" not in results[1].message
        assert {user["userName"] for user in service.users()} == {"first", "last"}

    def test_an_order_that_upsets_the_server_does_not_stop_the_batch(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        bad, good = service.add_user("bad"), service.add_user("good")
        proxy.fail("PATCH", bad, before=lambda _: Reply.error(502, Retry_After="0"))
        orders = [order("Modified", {"title": "x"}, key, order_id=key) for key in (bad, good)]
        results = fulfil(connect(proxy.url), *orders)
        assert [(result.state, result.transient) for result in results] == [("errored", True), ("executed", False)]

    def test_an_internal_error_is_transient_and_not_repeated_at_once(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        key = service.add_user("ada")
        proxy.fail("PATCH", "/Users/", before=lambda _: Reply.error(500))
        result = one(connect(proxy.url), order("Modified", {"title": "x"}, key))
        assert (result.error_class, result.transient) == ("TransientError", True)
        assert proxy.count("PATCH", "/Users/") == 1

    def test_refused_credentials_stop_the_batch(self, connect: Connect, service: Service, proxy: FaultyProxy) -> None:
        proxy.fail("PATCH", "/Users/", before=lambda _: Reply.error(401))
        keys = [service.add_user(name) for name in ("ada", "bob")]
        with pytest.raises(AuthenticationFailed, match=f"CRM: change Users '{keys[0]}': HTTP 401"):
            fulfil(connect(proxy.url), *(order("Modified", {"title": "x"}, key) for key in keys))
        assert proxy.count("PATCH", "/Users/") == 1

    def test_a_server_that_is_down_stops_the_batch(self, connect: Connect, proxy: FaultyProxy) -> None:
        results = connect(proxy.url, max_retries=1).fulfil(
            [order("Added", ADA), order("Added", {**ADA, "user_name": "bob", "external_id": "B"})]
        )
        assert next(results).state == "executed"
        proxy.fail("GET", "/", before=drop)
        proxy.fail("POST", "/", before=drop)
        with pytest.raises(ConnectionFailed, match="CRM: "):
            next(results)

    def test_a_half_done_order_is_told_before_the_batch_stops(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        group = service.add_group("Sales")
        proxy.fail("PATCH", "/Groups/", before=lambda _: Reply.error(401))
        results = connect(proxy.url).fulfil([order("Added", {**ADA, "groups_add": [{"id": group}]})])
        first = next(results)
        assert (first.state, first.error_class) == ("errored", "AuthenticationFailed")
        assert first.key == service.users()[0]["id"]
        with pytest.raises(AuthenticationFailed):
            next(results)


class TestHostileValues:
    @pytest.mark.parametrize(
        "name", ['o"hara', "back\\slash", "a) or (userName pr", "été 漢字😀", "x eq y", "per%20cent&count=0#frag/..?"]
    )
    def test_names_are_found_again_exactly(self, connect: Connect, service: Service, name: str) -> None:
        service.add_user("bystander", externalId="bystander")
        wanted = order("Added", {"user_name": name, "external_id": name}, sent_before=True)
        first, second = fulfil(connect(), wanted, wanted)
        assert (first.state, second.state) == ("executed", "executed")
        assert first.key == second.key
        assert service.user(first.key or "")["userName"] == name
        assert len(service.users()) == 2
