"""A service of its own for each test, a faulty proxy in front of it, and what a test needs to fill and read it."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connectors.contract import (
    ColumnRequest,
    ConnectionContext,
    Endpoint,
    ExportReport,
    ExportRequest,
    Mode,
    TableReport,
    TableRequest,
)
from connectors.scim.connector import ScimConnector
from connectors.scim.settings import ScimSettings
from tests.contract.raw import Files
from tests.servers.scim import ScimServer
from tests.simulators.faulty_proxy import FaultyProxy, faulty_proxy

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

USER_COLUMNS = (
    "id",
    "userName",
    "externalId",
    "name:familyName",
    "name:givenName",
    "displayName",
    "title",
    "emails:value",
    "active",
    f"{ENTERPRISE}:department",
)
USERS = TableRequest("CRM_Users", tuple(ColumnRequest(name) for name in USER_COLUMNS))
GROUPS = TableRequest("CRM_Groups", (ColumnRequest("id"), ColumnRequest("displayName")))
MEMBERS = TableRequest("CRM_members_Groups", (ColumnRequest("value"), ColumnRequest("MemberId")))


@dataclass(frozen=True, slots=True)
class Service:
    """One empty SCIM service, filled and looked at behind the connector's back."""

    url: str
    token: str

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        answer = httpx.request(method, f"{self.url}{path}", json=body, headers=headers)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def add_user(self, user_name: str, /, **attributes: Any) -> str:
        return str(self.call("POST", "/Users", {"schemas": [USER], "userName": user_name, **attributes})["id"])

    def add_group(self, name: str, *members: str) -> str:
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": member} for member in members]}
        return str(self.call("POST", "/Groups", body)["id"])

    def user(self, key: str) -> dict[str, Any]:
        return self.call("GET", f"/Users/{key}")

    def users(self) -> list[dict[str, Any]]:
        return list(self.call("GET", "/Users?count=1000")["Resources"])

    def members(self, group: str) -> set[str]:
        return {member["value"] for member in self.call("GET", f"/Groups/{group}").get("members", [])}


@dataclass(slots=True)
class Exported:
    """What an export left: its report, and the raw files that became visible."""

    report: ExportReport
    files: Files

    def table(self, name: str) -> TableReport:
        return next(table for table in self.report.tables if table.table == name)

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.files[f"{name}.csv"].decode(), newline="")))

    @property
    def cookie(self) -> dict[str, str]:
        return json.loads(self.report.cookie or "{}")


@pytest.fixture
def service(scim_server: ScimServer) -> Service:
    return Service(scim_server.tenant(f"t{uuid.uuid4().hex}"), scim_server.token)


@pytest.fixture
def proxy(service: Service) -> Iterator[FaultyProxy]:
    with faulty_proxy(service.url) as running:
        yield running


Connect = Callable[..., ScimConnector]


@pytest.fixture
def connect(service: Service) -> Connect:
    """A connector on the service, by default straight to it and with the usual tables."""

    def build(
        url: str | None = None,
        *,
        tables: tuple[TableRequest, ...] = (USERS, GROUPS, MEMBERS),
        endpoint: Endpoint | None = None,
        **settings: Any,
    ) -> ScimConnector:
        address = endpoint or Endpoint(host=url or service.url, password=service.token)
        defaults = {"read_timeout": 5.0, "max_retries": 2}
        return ScimConnector(ConnectionContext("CRM", ScimSettings(**{**defaults, **settings}), address, tables))

    return build


def export(connector: ScimConnector, mode: Mode = "complete", cookie: str | None = None) -> Exported:
    """Run one export into memory."""
    files = Files()
    return Exported(connector.export(ExportRequest(mode, cookie), files.sink()), files)
