"""Order files that wait in a folder: the step behind the DAG ``fulfil_files_<connector>`` and the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.errors import ConfigurationError, TransientError
from connectors.order_files import DOWNLOADED, order_file
from include.command.main import application
from include.orchestration.check import check_connections
from include.orchestration.dags import build_dags
from include.orchestration.order_files import FilesFulfilled, file_connections, fulfil_files
from include.orchestration.project import find_connector, load_project
from include.orchestration.run import StepFailed
from tests.simulators.airflow_api import LOGIN, PASSWORD, AirflowApi, airflow_api
from tests.unit.connectors.order_samples import sample_order

CONNECTOR: dict[str, Any] = {
    "identifier": "People",
    "schedules": {"order_files": "*/10 * * * *"},
    "connections": [
        {"identifier": "Files", "package": "json", "connection_id": "order_folder", "settings": {"path": "orders"}},
        {
            "identifier": "Workflows",
            "package": "internal_workflow",
            "connection_id": "order_folder",
            "settings": {
                "source": "folder",
                "path": "orders",
                "source_entity_identifier": "Directory_User",
                "target_entity_type_identifier": "CRM_User",
                "fulfill_internal_workflow_configurations": [
                    {"change_type": "Added", "model": {"workflow_identifier": "onboarding"}}
                ],
                "max_retries": 0,
            },
        },
    ],
}


@dataclass
class Site:
    """The configuration folder, the folder of order files, and the Airflow whose workflows start."""

    configuration: Path
    orders: Path
    api: AirflowApi

    def write(self, **fields: Any) -> None:
        (self.configuration / "people.yaml").write_text(json.dumps(CONNECTOR | fields))

    def leave(self, name: str, *numbers: int) -> None:
        (self.orders / name).write_bytes(order_file([sample_order(number) for number in numbers]))

    def started(self) -> list[str]:
        return [run["dag_run_id"] for run in self.api.runs]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with airflow_api() as api:
        api.dags["onboarding"] = {}
        made = Site(tmp_path / "configuration", tmp_path / "orders", api)
        made.configuration.mkdir()
        made.orders.mkdir()
        made.write()
        connection = {"conn_type": "http", "host": api.url, "login": LOGIN, "password": PASSWORD}
        folder = {"extra": {"path": str(tmp_path)}}
        monkeypatch.setenv("ROLLCALL_CONFIG", str(made.configuration))
        monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
        monkeypatch.setenv("AIRFLOW_CONN_ORDER_FOLDER", json.dumps(connection | folder))
        yield made


def test_the_configuration_is_a_good_one_and_its_connections_work(site: Site) -> None:
    assert load_project().broken == ()
    assert file_connections(find_connector(load_project(), "People")) == ["Workflows"]
    verdicts = check_connections("People")
    assert set(verdicts) == {"Files", "Workflows"}
    assert [verdict for verdicts in verdicts.values() for verdict in verdicts if not verdict.passed] == []
    assert site.started() == []


@pytest.mark.usefixtures("site")
def test_a_connector_that_reads_files_has_a_dag_at_the_times_of_its_schedule() -> None:
    (dag,) = (dag for name, dag in build_dags().items() if name.startswith("fulfil_files"))
    assert (dag.dag_id, dag.max_active_runs, dag.catchup) == ("fulfil_files_People", 1, False)
    assert "*/10 * * * *" in repr(dag.timetable)
    assert list(build_dags("fulfil_files_People")) == ["fulfil_files_People"]


def test_a_connector_that_reads_no_files_has_no_such_dag(site: Site) -> None:
    site.write(connections=CONNECTOR["connections"][:1])
    assert "fulfil_files_People" not in build_dags()


def test_files_are_fulfilled_once_and_counted(site: Site) -> None:
    site.leave("a.json", 1, 2)
    site.leave("b.json", 3)
    assert fulfil_files("People", "Workflows") == FilesFulfilled(files=2, executed=3, errored=0)
    assert fulfil_files("People", "Workflows") == FilesFulfilled()
    assert site.started() == ["rollcall__o1", "rollcall__o2", "rollcall__o3"]
    assert sorted(file.name for file in (site.orders / DOWNLOADED).iterdir()) == [
        "a.json",
        "a.results.json",
        "b.json",
        "b.results.json",
    ]


def test_a_file_that_cannot_be_used_fails_the_step_once_the_others_are_done(site: Site) -> None:
    (site.orders / "a.json").write_text("[]")
    site.leave("b.json", 1)
    with pytest.raises(StepFailed, match=r"1 files cannot be used: a\.json: no order file"):
        fulfil_files("People", "Workflows")
    assert site.started() == ["rollcall__o1"]


def test_a_file_that_waits_for_something_is_tried_again_by_the_task(site: Site) -> None:
    site.leave("a.json", 1)
    site.api.before = lambda _, path: (500, {}) if path.endswith("/dagRuns") and "~" not in path else None
    with pytest.raises(TransientError, match="1 files wait"):
        fulfil_files("People", "Workflows")
    site.api.before = lambda *_: None
    assert fulfil_files("People", "Workflows") == FilesFulfilled(files=1, executed=1)


def test_the_files_of_a_deactivated_connector_wait(site: Site) -> None:
    site.write(is_deactivated=True)
    site.leave("a.json", 1)
    assert fulfil_files("People", "Workflows") == FilesFulfilled()
    assert (site.started(), (site.orders / "a.json").exists()) == ([], True)


@pytest.mark.usefixtures("site")
def test_a_connection_that_reads_no_files_is_told() -> None:
    with pytest.raises(ConfigurationError, match="connection 'Files' fulfils no files"):
        fulfil_files("People", "Files")


def test_the_command_fulfils_the_files_of_every_connection(site: Site) -> None:
    site.leave("a.json", 1)
    result = CliRunner().invoke(application, ["fulfil-files", "People"])
    assert (result.exit_code, result.output.strip()) == (
        0,
        "Workflows: 1 files, 1 orders executed, 0 errored",
    )
    site.write(connections=CONNECTOR["connections"][:1])
    assert CliRunner().invoke(application, ["fulfil-files", "People"]).exit_code == 1


def test_a_schedule_that_is_none_is_a_mistake_at_its_field(site: Site) -> None:
    site.write(schedules={"order_files": "at noon"})
    (broken,) = load_project().broken
    assert [(mistake.field, "cron" in mistake.message) for mistake in broken.mistakes] == [
        ("schedules.order_files", True)
    ]
