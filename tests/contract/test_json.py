"""Package ``json`` under the contract. The managed system is a script as a site would write it: it reads the files.

The script keeps objects by ``login``, which the orders bring along, and applies each file once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.contract import ConnectionContext, Order, OrderResult
from connectors.files.json_orders import JsonConnector, JsonSettings
from connectors.order_files import DOWNLOADED
from tests.contract.fulfilling import FulfillerContract, FulfilTarget, Held
from tests.contract.limits import ImpossibleError
from tests.unit.connectors.order_samples import sample_order


class Script(FulfilTarget):
    """What a site's script makes of the orders, one file after the other."""

    table = "CRM_Users"
    name_column = "name"

    def __init__(self, folder: Path, files: Any) -> None:
        self.folder = folder
        self.files = files
        self.orders = count(1)
        self.held: dict[str, Held] = {}

    def connector(self, path: str = ".") -> JsonConnector:
        return JsonConnector(ConnectionContext("CRM", JsonSettings(path=path, files=self.files), folder=self.folder))

    def unreachable(self) -> JsonConnector:
        return self.connector("not mounted")

    def refused(self) -> JsonConnector:
        raise ImpossibleError("there are no credentials to refuse")

    def key(self, result: OrderResult, login: str) -> str:
        assert result.key is None
        return login

    def create(self, login: str, name: str) -> str:
        self.held[login] = Held(name)
        return login

    def objects(self) -> Mapping[str, Held]:
        (self.folder / DOWNLOADED).mkdir(exist_ok=True)
        for file in sorted(self.folder.glob("*.json"), key=lambda file: (file.stat().st_mtime_ns, file.name)):
            for order in json.loads(file.read_text(encoding="utf-8"))["ProvisioningOrdersList"]:
                apply(self.held, order)
            file.rename(self.folder / DOWNLOADED / file.name)
        return self.held

    def added(self, login: str, name: str) -> Order:
        return sample_order(next(self.orders), Changes={"login": login, "name": name})

    def modified(self, key: str, name: str) -> Order:
        return sample_order(next(self.orders), "Modified", Changes={"name": name}, Resource={"login": key})

    def deactivated(self, key: str) -> Order:
        return sample_order(next(self.orders), "Modified", Changes={"active": False}, Resource={"login": key})

    def deleted(self, key: str) -> Order:
        return sample_order(next(self.orders), "Deleted", Resource={"login": key})

    def impossible(self) -> Order:
        return sample_order(next(self.orders), Changes={"login": "nobody", "name": "\ud800"})

    def missing_key(self) -> str:
        return "nobody"


def apply(held: dict[str, Held], order: dict[str, Any]) -> None:
    """Do what one order says."""
    changes, resource = order.get("Changes", {}), order.get("Resource", {})
    login = changes.get("login") or resource["login"]
    if order["ChangeType"] == "Deleted":
        held.pop(login, None)
        return
    known = held.get(login, Held(""))
    held[login] = Held(changes.get("name", known.name), changes.get("active", known.active))


LIMITS = {
    "credentials": "a folder has no credentials of its own",
    "missing objects": "a file is written whatever the system holds; only its consumer can tell",
    "read back": "the files go one way; the next synchronization of the system verifies them",
}


class TestJsonFileForEachOrder(FulfillerContract):
    limits: ClassVar = LIMITS

    @pytest.fixture
    def target(self, tmp_path: Path) -> FulfilTarget:
        return Script(tmp_path, "per_order")


class TestJsonFileForEachBatch(FulfillerContract):
    limits: ClassVar = LIMITS

    @pytest.fixture
    def target(self, tmp_path: Path) -> FulfilTarget:
        return Script(tmp_path, "per_batch")
