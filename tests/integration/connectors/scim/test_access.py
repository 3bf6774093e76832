"""Read-back, connection check, sign-in, and secrets that stay secret."""

from __future__ import annotations

import logging

import pytest

from connectors.contract import Checker, ColumnRequest, Endpoint, Exporter, Fulfiller, Reader, TableRequest
from connectors.errors import AuthenticationFailed, ConfigurationError, ConnectionFailed, IncompleteExport
from connectors.registry import connector_class
from connectors.scim.connector import ScimConnector
from tests.integration.connectors.scim.conftest import GROUPS, MEMBERS, USERS, Connect, Service, export
from tests.integration.connectors.scim.test_fulfil import ADA, fulfil, order
from tests.servers.process import free_port
from tests.simulators.faulty_proxy import FaultyProxy, Reply

CLIENT_SECRET = "client-secret-that-nobody-may-see"


def test_the_package_offers_every_capability(connect: Connect) -> None:
    assert connector_class("scim") is ScimConnector
    for capability in (Exporter, Fulfiller, Reader, Checker):
        assert isinstance(connect(), capability)


def test_tables_are_those_of_the_server(connect: Connect) -> None:
    assert list(connect().tables()) == ["CRM_Users", "CRM_Groups", "CRM_members_Groups"]


class TestReadBack:
    def test_objects_read_as_they_are_exported(self, connect: Connect, service: Service) -> None:
        key = service.add_user("ada", displayName=" Ada\n", active=False, emails=[{"value": "a@x.org"}])
        [row] = export(connect()).rows("CRM_Users")
        read = connect().read("CRM_Users", [key, "gone"])
        assert read["gone"] is None
        assert {name: value or "" for name, value in (read[key] or {}).items()} == row

    def test_what_was_ordered_is_what_is_read(self, connect: Connect) -> None:
        [result] = fulfil(connect(), order("Added", ADA))
        read = connect().read("crm_users", [result.key or ""])[result.key or ""] or {}
        assert (read["userName"], read["emails:value"], read["active"], read["title"]) == (
            "ada",
            "ada@example.org",
            "true",
            None,
        )

    def test_links_are_read_from_either_side(self, connect: Connect, service: Service) -> None:
        ada, bob = service.add_user("ada"), service.add_user("bob")
        sales, staff = service.add_group("Sales", ada, bob), service.add_group("Staff", ada)
        connector = connect(page_size=1)
        assert connector.read_links("CRM_members_Groups", "MemberId", [ada]) == {(sales, ada), (staff, ada)}
        assert connector.read_links("CRM_members_Groups", "value", [sales, "gone"]) == {(sales, ada), (sales, bob)}
        turned = TableRequest("CRM_members_Groups", (ColumnRequest("MemberId"), ColumnRequest("value")))
        assert connect(tables=(turned,)).read_links("CRM_members_Groups", "memberid", [bob]) == {(bob, sales)}

    def test_links_that_may_be_missing_prove_nothing(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        service.add_group("Sales", "ada")
        proxy.fail("GET", r"/Groups\?", after=lambda _, reply: reply.rewrite(totalResults=2))
        with pytest.raises(IncompleteExport, match="1 objects came, totalResults says 2"):
            connect(proxy.url).read_links("CRM_members_Groups", "MemberId", ["ada"])

    def test_a_table_that_is_not_mapped_is_refused(self, connect: Connect) -> None:
        with pytest.raises(ConfigurationError, match="'CRM_Devices' is not mapped"):
            connect().read("CRM_Devices", ["1"])
        with pytest.raises(ConfigurationError, match="no column 'owner'"):
            connect().read_links("CRM_members_Groups", "owner", ["1"])


class TestCheck:
    def verdicts(self, connector: ScimConnector) -> dict[str, bool]:
        return {result.title: result.passed for result in connector.check()}

    def test_a_good_connection_passes_everywhere(self, connect: Connect, service: Service) -> None:
        service.add_user("ada")
        assert self.verdicts(connect()) == {
            "Server reachable": True,
            "Credentials accepted": True,
            "Users can be listed": True,
            "Filters supported": True,
            "PATCH supported": True,
            "Table CRM_Users": True,
            "Table CRM_Groups": True,
            "Table CRM_members_Groups": True,
        }

    def test_wrong_credentials_fail_by_name(self, connect: Connect, service: Service) -> None:
        wrong = connect(endpoint=Endpoint(host=service.url, password="wrong"))
        [refused] = wrong.check()
        assert (refused.title, refused.passed) == ("Credentials accepted", False)
        assert "HTTP 401" in refused.detail

    def test_nobody_listening_is_a_verdict(self, connect: Connect) -> None:
        [verdict] = connect(f"http://127.0.0.1:{free_port()}/v2", max_retries=0).check()
        assert (verdict.title, verdict.passed) == ("Server reachable", False)

    def test_an_address_that_cannot_be_is_a_verdict(self, connect: Connect) -> None:
        [verdict] = connect("http://crm.example.org/v2").check()
        assert (verdict.passed, "use https" in verdict.detail) == (False, True)

    def test_a_wrong_column_fails_its_table(self, connect: Connect) -> None:
        wrong = TableRequest("CRM_Users", (ColumnRequest("usrName"),))
        found = {result.title: result for result in connect(tables=(wrong, GROUPS)).check()}
        assert "did you mean 'userName'" in found["Table CRM_Users"].detail
        assert found["Table CRM_Groups"].passed

    def test_missing_features_are_told(self, connect: Connect, proxy: FaultyProxy) -> None:
        lacking = {"patch": {"supported": False}, "filter": {"supported": False}}
        proxy.fail("GET", "/ServiceProviderConfig", after=lambda _, reply: reply.rewrite(**lacking))
        found = self.verdicts(connect(proxy.url))
        assert (found["Filters supported"], found["PATCH supported"], found["Users can be listed"]) == (
            False,
            False,
            True,
        )


class TestSignIn:
    def by_client(self, proxy: FaultyProxy, service: Service) -> Endpoint:
        proxy.tokens_of = {"Authorization": f"Bearer {service.token}"}
        extra = {"token_url": proxy.token_url, "scope": "scim"}
        return Endpoint(host=proxy.url, login="client", password=CLIENT_SECRET, extra=extra)

    def test_a_token_can_stand_in_extra(self, connect: Connect, service: Service) -> None:
        by_extra = connect(endpoint=Endpoint(host=service.url, login="unused", extra={"token": service.token}))
        assert export(by_extra).table("CRM_Users").complete

    def test_login_and_password_are_basic(self, connect: Connect, proxy: FaultyProxy) -> None:
        connector = connect(endpoint=Endpoint(host=proxy.url, login="ada", password="pä:ss"))
        with pytest.raises(AuthenticationFailed):
            export(connector)
        assert proxy.asked[0].headers["Authorization"] == "Basic YWRhOnDDpDpzcw=="

    def test_client_credentials_fetch_one_token(self, connect: Connect, service: Service, proxy: FaultyProxy) -> None:
        service.add_user("ada")
        connector = connect(endpoint=self.by_client(proxy, service))
        assert export(connector).table("CRM_Users").rows == 1
        [asked] = [one for one in proxy.asked if one.path == "/token"]
        assert asked.body == b"grant_type=client_credentials&scope=scim"

    def test_an_expired_token_is_renewed_in_the_middle(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        for number in range(6):
            service.add_user(f"user{number}")
        connector = connect(endpoint=self.by_client(proxy, service), page_size=2)

        def expire(*_: object) -> None:
            proxy.expire_token()

        proxy.fail("GET", r"/Users\?.*startIndex=3", after=expire, times=1)
        assert export(connector).table("CRM_Users").rows == 6
        assert proxy.count("POST", "/token") == 2

    def test_an_expired_token_does_not_send_an_order_twice(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        results = connect(endpoint=self.by_client(proxy, service)).fulfil(
            [order("Added", ADA), order("Added", {**ADA, "user_name": "bob", "external_id": "B"})]
        )
        assert next(results).state == "executed"
        proxy.expire_token()
        assert next(results).state == "executed"
        assert len(service.users()) == 2

    def test_refused_client_credentials_are_an_authentication_failure(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        endpoint = Endpoint(
            host=proxy.url, login="client", password=CLIENT_SECRET, extra={"token_url": f"{service.url}/Users"}
        )
        with pytest.raises(AuthenticationFailed, match="client credentials are refused"):
            export(connect(endpoint=endpoint))

    def test_a_token_server_that_is_away_is_a_connection_failure(self, connect: Connect, service: Service) -> None:
        extra = {"token_url": f"http://127.0.0.1:{free_port()}/token"}
        endpoint = Endpoint(host=service.url, login="client", password=CLIENT_SECRET, extra=extra)
        with pytest.raises(ConnectionFailed, match="ask for a token"):
            export(connect(endpoint=endpoint, max_retries=0))


class TestSecrets:
    def test_no_message_result_or_log_holds_a_secret(
        self, connect: Connect, service: Service, proxy: FaultyProxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        leaking = f"token {service.token} refused for 4111-1111"
        proxy.fail("POST", "/Users", before=lambda _: Reply.error(400, leaking))
        connector = connect(proxy.url, tables=(USERS, GROUPS, MEMBERS))
        [result] = fulfil(connector, order("Added", {**ADA, "title": "value-of-a-body"}))
        export(connect(proxy.url))
        assert result.message == "CRM: create Users 'A17' 'ada': HTTP 400: token *** refused for 4111-1111"
        said = "\n".join([caplog.text, str(result), repr(connector.__dict__)])
        assert service.token not in said
        assert "value-of-a-body" not in said
