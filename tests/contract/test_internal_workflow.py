"""Package ``internal_workflow`` under the contract: the workflows behind Airflow's API keep objects by ``login``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.contract import ConnectionContext, Endpoint, Order, OrderResult
from connectors.registry import build, settings_model
from connectors.workflow.connector import InternalWorkflowConnector
from tests.contract.fulfilling import FulfillerContract, FulfilTarget, Held
from tests.contract.test_json import apply
from tests.servers.process import free_port
from tests.simulators.airflow_api import LOGIN, PASSWORD, AirflowApi, airflow_api
from tests.unit.connectors.order_samples import sample_order


class Workflows(FulfilTarget):
    """One workflow for every change type, which does what its order says as soon as it starts."""

    table = "CRM_Users"
    name_column = "name"
    secrets = (PASSWORD,)

    def __init__(self, api: AirflowApi) -> None:
        self.api = api
        self.orders = count(1)
        self.held: dict[str, Held] = {}
        api.dags["provision"] = {}
        api.on_start = lambda run: apply(self.held, run["conf"])

    def at(self, host: str, password: str = PASSWORD) -> InternalWorkflowConnector:
        configurations = [
            {"change_type": change_type, "model": {"workflow_identifier": "provision"}}
            for change_type in ("Added", "Modified", "Deleted")
        ]
        settings = settings_model("internal_workflow").model_validate(
            {
                "source_entity_identifier": "Directory_User",
                "target_entity_type_identifier": "CRM_User",
                "fulfill_internal_workflow_configurations": configurations,
                "max_retries": 0,
            }
        )
        endpoint = Endpoint(host=host, login=LOGIN, password=password)
        context = ConnectionContext("Workflows", settings, endpoint, folder=Path("/nowhere"))
        made: InternalWorkflowConnector = build("internal_workflow", context)
        return made

    def connector(self) -> InternalWorkflowConnector:
        return self.at(self.api.url)

    def unreachable(self) -> InternalWorkflowConnector:
        return self.at(f"http://127.0.0.1:{free_port()}")

    def refused(self) -> InternalWorkflowConnector:
        return self.at(self.api.url, "wrong")

    def key(self, result: OrderResult, login: str) -> str:
        assert result.key is None
        return login

    def create(self, login: str, name: str) -> str:
        self.held[login] = Held(name)
        return login

    def objects(self) -> Mapping[str, Held]:
        return self.held

    def order(self, change_type: str, **sections: Any) -> Order:
        return sample_order(next(self.orders), change_type, **sections)

    def added(self, login: str, name: str) -> Order:
        return self.order("Added", Changes={"login": login, "name": name})

    def modified(self, key: str, name: str) -> Order:
        return self.order("Modified", Changes={"name": name}, Resource={"login": key})

    def deactivated(self, key: str) -> Order:
        return self.order("Modified", Changes={"active": False}, Resource={"login": key})

    def deleted(self, key: str) -> Order:
        return self.order("Deleted", Resource={"login": key})

    def impossible(self) -> Order:
        return self.order("Added", Arguments={"WorkflowIdentifier": "unknown"})

    def missing_key(self) -> str:
        return "nobody"


class TestInternalWorkflow(FulfillerContract):
    limits: ClassVar = {
        "missing objects": "a workflow starts whatever the system holds; only the workflow can tell",
        "read back": "an order is executed at the launch; the next synchronization verifies what became of it",
    }

    @pytest.fixture
    def target(self) -> Iterator[FulfilTarget]:
        with airflow_api() as api:
            yield Workflows(api)
