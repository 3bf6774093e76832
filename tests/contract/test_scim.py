"""The SCIM connector under the contract, on a real SCIM server.

A SCIM server assigns ids itself, and the exporter contract wants to choose them. So people carry the
wanted id as ``externalId``, and a proxy shows it as their id; all else is the server's own answer.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx
import pytest

from connectors.contract import ColumnRequest, ConnectionContext, Endpoint, Order, TableRequest
from connectors.errors import AuthenticationFailed, ConfigurationError, ConnectionFailed
from connectors.scim.connector import ScimConnector
from connectors.scim.settings import ScimSettings
from tests.contract.exporting import Broken, ExporterContract, ExportSource
from tests.contract.fulfilling import FulfillerContract, FulfilTarget, Held
from tests.contract.raw import Row
from tests.servers import scim as scim_module
from tests.servers.process import free_port
from tests.servers.scim import ScimServer
from tests.simulators.faulty_proxy import Exchange, FaultyProxy, Reply, faulty_proxy

PERSON = "urn:example:params:scim:schemas:2.0:Person"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


class ScimSource(ExportSource):
    """People with a name and a note, on a server that was given their schema."""

    package = "scim"
    page = 20

    def __init__(self, server: ScimServer, proxy: FaultyProxy) -> None:
        self.server = server
        self.proxy = proxy
        self.secrets = (server.token,)

    def fill(self, rows: Iterable[Row]) -> None:
        url = self.server.tenant(f"t{uuid.uuid4().hex}")
        with httpx.Client(headers=self.server.headers) as client:
            for key, name, note in rows:
                person = {"schemas": [PERSON], "externalId": key, "name": name, "note": note}
                client.post(f"{url}/people", json=person).raise_for_status()
        self.proxy.upstream = url

    def context(
        self, tables: tuple[TableRequest, ...], endpoint: Endpoint | None = None, **settings: Any
    ) -> ConnectionContext:
        used = ScimSettings(**({"page_size": self.page, "max_retries": 0} | settings))
        at_proxy = Endpoint(host=self.proxy.url, password=self.server.token)
        return ConnectionContext(self.identifier, used, endpoint or at_proxy, tables)

    def broken(self) -> Sequence[Broken]:
        def at(host: str, password: str = self.server.token) -> ConnectionContext:
            return self.context(self.mapped().tables, Endpoint(host=host, password=password))

        return [
            Broken("unreachable", at(f"http://127.0.0.1:{free_port()}/v2"), ConnectionFailed),
            Broken("wrong token", at(self.proxy.url, "not-the-token"), AuthenticationFailed),
            Broken("wrong path", at(f"{self.server.url}/nowhere"), ConfigurationError),
            Broken("in the clear", at("http://crm.example.org/v2"), ConfigurationError),
            Broken("no host", self.context(self.mapped().tables, Endpoint()), ConfigurationError),
        ]

    @contextmanager
    def truncated(self) -> Iterator[ConnectionContext]:
        self.fill((str(number), "Anne", "x") for number in range(2 * self.page + 1))

        def cut(_: Exchange, reply: Reply) -> None:
            reply.cut = 0.5

        self.proxy.faults.clear()
        self.proxy.fail("GET", f"startIndex={self.page + 1}", after=cut)
        yield self.mapped()


def show_wanted_ids(_: Exchange, reply: Reply) -> None:
    reply.rewrite(Resources=[{**one, "id": one["externalId"]} for one in reply.json().get("Resources", [])])


class ScimTarget(FulfilTarget):
    """Users: ``login`` is their ``userName``, ``name`` their ``displayName``."""

    table = "CRM_Users"
    name_column = "displayName"

    def __init__(self, server: ScimServer) -> None:
        self.server = server
        self.url = server.tenant(f"t{uuid.uuid4().hex}")
        self.secrets = (server.token,)
        self.orders = count(1)

    def at(self, host: str, token: str) -> ScimConnector:
        columns = ("id", "userName", "displayName", "active")
        tables = (TableRequest(self.table, tuple(ColumnRequest(name) for name in columns)),)
        endpoint = Endpoint(host=host, password=token)
        return ScimConnector(ConnectionContext("CRM", ScimSettings(max_retries=0), endpoint, tables))

    def connector(self) -> ScimConnector:
        return self.at(self.url, self.server.token)

    def unreachable(self) -> ScimConnector:
        return self.at(f"http://127.0.0.1:{free_port()}/v2", self.server.token)

    def refused(self) -> ScimConnector:
        return self.at(self.url, "not-the-token")

    def create(self, login: str, name: str) -> str:
        user = {"schemas": [USER], "userName": login, "displayName": name}
        answer = httpx.post(f"{self.url}/Users", json=user, headers=self.server.headers)
        return str(answer.raise_for_status().json()["id"])

    def objects(self) -> Mapping[str, Held]:
        answer = httpx.get(f"{self.url}/Users?count=1000", headers=self.server.headers).raise_for_status()
        return {user["id"]: Held(user["displayName"], user.get("active", True)) for user in answer.json()["Resources"]}

    def order(self, change_type: str, key: str | None = None, **changes: Any) -> Order:
        number = str(next(self.orders))
        mapping = {
            "Table": self.table,
            "PrimaryKey": "id",
            "Columns": {"id": "id", "login": "userName", "name": "displayName", "active": "active"},
        }
        return Order.model_validate(
            {
                "OrderId": number,
                "AssignedResourceTypeId": number,
                "ChangeType": change_type,
                "Owner": {},
                "ResourceType": {"Mapping": mapping},
                "Changes": changes,
                "Resource": {"id": key} if key else {},
            }
        )

    def added(self, login: str, name: str) -> Order:
        return self.order("Added", login=login, name=name)

    def modified(self, key: str, name: str) -> Order:
        return self.order("Modified", key, name=name)

    def deactivated(self, key: str) -> Order:
        return self.order("Modified", key, active=False)

    def deleted(self, key: str) -> Order:
        return self.order("Deleted", key)

    def impossible(self) -> Order:
        return self.order("Added", login=None, name="Nobody")

    def missing_key(self) -> str:
        return uuid.uuid4().hex


@pytest.fixture(scope="module")
def people_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    folder = tmp_path_factory.mktemp("people")
    text = {"type": "string", "multiValued": False, "caseExact": True, "mutability": "readWrite"}
    schema = {"id": PERSON, "name": "Person", "attributes": [{"name": name, **text} for name in ("name", "note")]}
    resource_type = {"id": "Person", "name": "Person", "endpoint": "/people", "schema": PERSON}
    options = []
    for option, content in (("schema", schema), ("resource-type", resource_type)):
        file = folder / f"{option}.json"
        file.write_text(json.dumps([content]))
        options.append(f"--{option}={file}")
    with scim_module.scim_server(*options) as server:
        yield server


class TestScimExport(ExporterContract):
    @pytest.fixture
    def source(self, people_server: ScimServer) -> Iterator[ExportSource]:
        with faulty_proxy(people_server.url) as proxy:
            proxy.fail("GET", r"/people\?", after=show_wanted_ids)
            yield ScimSource(people_server, proxy)


class TestScimFulfil(FulfillerContract):
    @pytest.fixture
    def target(self, scim_server: ScimServer) -> FulfilTarget:
        return ScimTarget(scim_server)
