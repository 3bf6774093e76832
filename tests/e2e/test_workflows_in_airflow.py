"""Orders that start workflows in a running Airflow: each one once, whatever is killed when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import ConnectionContext, Endpoint, Order, OrderResult
from connectors.files.json_orders import JsonConnector, JsonSettings
from connectors.order_files import DOWNLOADED
from connectors.registry import build, settings_model
from connectors.workflow.connector import InternalWorkflowConnector
from include.local.airflow import LocalAirflow, free_port
from include.local.client import AirflowClient
from include.model.environment import project_root
from include.provisioning.dispatch import fulfil_batch
from include.provisioning.transmission import transmit
from tests.unit.connectors.order_samples import again, sample_order
from tests.unit.provisioning.world import World, generate, world

pytestmark = pytest.mark.timeout(420)
LOGIN, PASSWORD = "admin", "the-password-that-nobody-may-read"
SETTINGS = {
    "source_entity_identifier": "Directory_User",
    "target_entity_type_identifier": "CRM_User",
    "fulfill_internal_workflow_configurations": [
        {"change_type": "Added", "model": {"workflow_identifier": "onboarding", "message": "$Changes:name$ joins"}},
        {"change_type": "Modified", "model": {"workflow_identifier": "change"}},
        {"change_type": "Deleted", "model": {"workflow_identifier": "leaving"}},
    ],
}
ONBOARDING = {"change_type": "Added", "model": {"workflow_identifier": "onboarding"}}
CONNECTOR = {
    "identifier": "People",
    "connections": [
        {
            "identifier": "Workflows",
            "package": "internal_workflow",
            "connection_id": "workflows",
            "settings": SETTINGS | {"source": "folder", "path": "orders"},
        }
    ],
}
WORKFLOWS = """
import json, os
from pathlib import Path
from airflow.sdk import Param, dag, task

@task
def record(dag_run=None):
    place = Path(os.environ["WORKFLOW_RECORDS"]) / f"{dag_run.dag_id}--{dag_run.run_id}.json"
    with place.open("x") as file:
        json.dump(dag_run.conf, file)

for name, options in {
    "onboarding": {},
    "change": {},
    "leaving": {},
    "strict": {"params": {"contract": Param(type="string")}},
    "paused": {"is_paused_upon_creation": True},
}.items():
    dag(dag_id=name, schedule=None, catchup=False, **options)(lambda: record())()
"""
KILLED = """
import os, signal, sys
from include.provisioning.ledger import Ledger
from tests.e2e.test_workflows_in_airflow import send

Ledger.record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
send(sys.argv[1], sys.argv[2], sys.argv[3])
"""


@dataclass(frozen=True)
class Site:
    """A running Airflow with workflows that record their parameters, and a folder of order files."""

    client: AirflowClient
    url: str
    files: Path
    records: Path

    def runs(self, order_id: str) -> list[str]:
        """The DAGs that have a run of that order."""
        query = {"run_id_pattern": f"rollcall__{order_id}"}
        found = self.client.call("GET", "/dags/~/dagRuns", params=query)["dag_runs"]
        return [run["dag_id"] for run in found if run["dag_run_id"] == f"rollcall__{order_id}"]

    def recorded(self, dag_id: str, order_id: str) -> Any:
        """The parameters that a run got, once it has ended."""
        assert self.client.wait_for_run(dag_id, f"rollcall__{order_id}") == "success"
        return json.loads((self.records / f"{dag_id}--rollcall__{order_id}.json").read_text())


def connector(url: str, password: str = PASSWORD, **settings: Any) -> InternalWorkflowConnector:
    used = settings_model("internal_workflow").model_validate(SETTINGS | {"max_retries": 1} | settings)
    endpoint = Endpoint(host=url, login=LOGIN, password=password)
    made: InternalWorkflowConnector = build("internal_workflow", ConnectionContext("Workflows", used, endpoint))
    return made


def fulfilled(url: str, *orders: Order) -> list[OrderResult]:
    return list(connector(url).fulfil(iter(orders)))


def send(run: str, batch: str, url: str) -> None:
    """Fulfil a batch, as a worker does."""
    from include.storage.folder import Folder

    fulfil_batch(Folder(run), batch, connector(url, fulfill_internal_workflow_configurations=[ONBOARDING]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("workflows")
    for name in ("configuration", "dags", "home", "records", "orders"):
        (folder / name).mkdir()
    (folder / "configuration" / "people.yaml").write_text(json.dumps(CONNECTOR))
    (folder / "dags" / "rollcall.py").write_bytes((project_root() / "dags" / "rollcall.py").read_bytes())
    (folder / "dags" / "workflows.py").write_text(WORKFLOWS)
    (folder / "home" / "simple_auth_manager_passwords.json.generated").write_text(json.dumps({LOGIN: PASSWORD}))
    port = free_port(8091)
    connection = {
        "conn_type": "http",
        "host": f"http://localhost:{port}",
        "login": LOGIN,
        "password": PASSWORD,
        "extra": {"path": str(folder)},
    }
    environment = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW_CONN_WORKFLOWS": json.dumps(connection),
        "ROLLCALL_CONFIG": str(folder / "configuration"),
        "ROLLCALL_STORAGE": f"file://{folder / 'storage'}",
        "ROLLCALL_REPOSITORY": f"sqlite:///{folder / 'repository.db'}",
        "WORKFLOW_RECORDS": str(folder / "records"),
    }
    with LocalAirflow(folder / "home", port, environment=environment) as airflow:
        client = AirflowClient(airflow.url, *airflow.credentials())
        for dag_id in ("onboarding", "leaving", "strict", "paused", "fulfil_files_People"):
            client.wait_for_dag(dag_id)
        yield Site(client, airflow.url, folder / "orders", folder / "records")
        client.close()


def test_each_order_starts_one_run_that_gets_the_order_as_its_parameters(site: Site) -> None:
    order = sample_order("first", Arguments={"ResourceIdToCopy": "4711"})
    assert [result.state for result in fulfilled(site.url, order)] == ["executed"]
    parameters = site.recorded("onboarding", "ofirst")
    assert parameters["OrderId"] == "ofirst"
    assert parameters["Changes"] == {"login": "loginfirst", "name": "Anne"}
    assert parameters["Workflow"]["Message"] == "Anne joins"
    assert parameters["Workflow"]["ResourceIdToCopy"] == "4711"
    assert site.client.call("GET", "/dags/onboarding/dagRuns/rollcall__ofirst")["note"] == "Anne joins"

    for order_again in (order, *again(order)):
        assert [result.state for result in fulfilled(site.url, order_again)] == ["executed"]
    assert site.runs("ofirst") == ["onboarding"]


def test_an_order_whose_workflow_was_exchanged_meanwhile_starts_nothing(site: Site) -> None:
    order = sample_order("moved")
    fulfilled(site.url, order)
    exchanged = connector(
        site.url,
        fulfill_internal_workflow_configurations=[
            {"change_type": "Added", "model": {"workflow_identifier": "leaving"}},
        ],
    )
    assert [result.state for result in exchanged.fulfil(iter(again(order)))] == ["executed"]
    assert site.runs("omoved") == ["onboarding"]


def test_what_airflow_refuses_is_an_error_of_its_order(site: Site) -> None:
    def naming(number: str, workflow: str) -> Order:
        return sample_order(number, Arguments={"WorkflowIdentifier": workflow})

    results = fulfilled(site.url, naming("u", "nowhere"), naming("s", "strict"), sample_order("fine"))
    assert [(result.state, result.error_class, result.transient) for result in results] == [
        ("errored", "ConfigurationError", False),
        ("errored", "InvalidValue", False),
        ("executed", None, False),
    ]
    assert "start workflow 'nowhere': Airflow has no DAG of that id" in str(results[0].message)
    assert "contract" in str(results[1].message)
    assert (site.runs("ou"), site.runs("os")) == ([], [])


def test_the_check_knows_refused_credentials_and_workflows_that_cannot_run(site: Site) -> None:
    assert all(verdict.passed for verdict in connector(site.url).check())
    (refused,) = connector(site.url, "wrong").check()
    assert (refused.title, refused.passed) == ("Credentials accepted", False)
    configurations = [
        {"change_type": "Added", "model": {"workflow_identifier": "nowhere"}},
        {"change_type": "Deleted", "model": {"workflow_identifier": "paused"}},
    ]
    verdicts = connector(site.url, fulfill_internal_workflow_configurations=configurations).check()
    assert [(verdict.passed, verdict.detail) for verdict in verdicts[2:]] == [
        (False, "Airflow has no DAG 'nowhere'"),
        (False, "DAG 'paused' is paused: its runs would wait"),
    ]


def creations(folder: Path, count: int) -> World:
    """A run with so many pending creations."""
    made = world(folder)
    for number in range(count):
        owner = made.add("HR_Person", employee_id=f"A{number}", last_name="Lamarr")
        made.scalar(made.assign(owner), "user_name", f"lamarr{number}")
    made.export()
    return made


def test_a_worker_killed_between_the_call_and_the_ledger_leaves_one_run_for_each_order(
    site: Site, tmp_path: Path
) -> None:
    made = creations(tmp_path, 2)
    run, generation = made.run, generate(made)
    transmit(run, plan=generation.plan)
    (batch,) = generation.batches
    orders = [item["OrderId"] for item in run.child("orders").read_json(batch.file)["ProvisioningOrdersList"]]

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, run.url, batch.batch, site.url], cwd=project_root(), env=os.environ, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    assert [site.runs(order) for order in orders] == [["onboarding"], []]

    door = connector(site.url, fulfill_internal_workflow_configurations=[ONBOARDING])
    result = fulfil_batch(run, batch.batch, door)
    assert (result.executed, result.errored) == (2, 0)
    assert [site.runs(order) for order in orders] == [["onboarding"], ["onboarding"]]
    assert fulfil_batch(run, batch.batch, door).sent == 0


@pytest.mark.parametrize("files", ["per_order", "per_batch"])
def test_files_that_a_json_connection_left_start_their_workflows_and_move(site: Site, files: Any) -> None:
    orders = [sample_order(f"{files}-1"), sample_order(f"{files}-2", "Deleted")]
    written = JsonConnector(ConnectionContext("Files", JsonSettings(files=files), folder=site.files))
    assert [result.state for result in written.fulfil(iter(orders))] == ["executed"] * 2
    names = {file.name for file in site.files.glob("*.json")}

    run = site.client.trigger("fulfil_files_People", files)
    assert site.client.wait_for_run("fulfil_files_People", run) == "success"
    returned = f"/dags/fulfil_files_People/dagRuns/{run}/taskInstances/fulfil_files/xcomEntries/return_value"
    counters = site.client.call("GET", returned, params={"map_index": 0})["value"]
    assert counters == {"files": len(names), "executed": 2, "errored": 0}
    assert site.recorded("onboarding", orders[0].order_id)["OrderId"] == orders[0].order_id
    assert site.recorded("leaving", orders[1].order_id)["Resource"]["name"] == "Old"
    assert list(site.files.glob("*.json")) == []
    assert names <= {file.name for file in (site.files / DOWNLOADED).iterdir()}

    for name in names:
        (site.files / DOWNLOADED / name).rename(site.files / name)
    run = site.client.trigger("fulfil_files_People", f"{files}-again")
    assert site.client.wait_for_run("fulfil_files_People", run) == "success"
    assert [site.runs(order.order_id) for order in orders] == [["onboarding"], ["leaving"]]
    log = site.client.log("fulfil_files_People", run, "fulfil_files", map_index=0)
    assert "had been started as run" in log
    assert PASSWORD not in log
