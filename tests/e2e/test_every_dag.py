"""``airflow dags test`` of every DAG of the demo, in its own process with a hard limit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.demo.crm import crm_server
from include.demo.organisation import badge_database, hr_folder, write_day
from include.local.airflow import LocalAirflow, free_port

HARD_LIMIT = 150
TOKEN = "the-token-that-nobody-may-read"
pytestmark = pytest.mark.timeout(700)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Airflow's environment over the demo's first day, with a CRM that runs."""
    folder = tmp_path_factory.mktemp("dags-test")
    write_day(folder, 1)
    with crm_server(free_port(18081), TOKEN) as crm:
        given = {
            "ROLLCALL_STORAGE": f"file://{folder / 'storage'}",
            "ROLLCALL_REPOSITORY": f"sqlite:///{folder / 'repository.db'}",
            "AIRFLOW_CONN_ROLLCALL_HR": json.dumps({"conn_type": "fs", "extra": {"path": str(hr_folder(folder))}}),
            "AIRFLOW_CONN_ROLLCALL_BADGE": json.dumps({"conn_type": "sqlite", "host": str(badge_database(folder))}),
            "AIRFLOW_CONN_ROLLCALL_CRM": json.dumps({"conn_type": "http", "host": crm.url, "password": crm.token}),
        }
        airflow = LocalAirflow(folder / "home", environment=given)
        run_airflow(airflow.variables, "db", "migrate")
        yield airflow.variables


def run_airflow(environment: dict[str, str], *arguments: str) -> str:
    """One Airflow command; its output. The whole process group is killed when it takes too long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=HARD_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        pytest.fail(f"airflow {' '.join(arguments)} took more than {HARD_LIMIT} s:\n{output[-3000:]}")
    assert process.returncode == 0, output[-5000:]
    return output


def test_the_whole_day_dag_by_dag(environment: dict[str, str]) -> None:
    initial = json.dumps({"mode": "initial"})
    for connector in ("HR", "Badge", "CRM"):
        output = run_airflow(environment, "dags", "test", f"synchronize_{connector}", "--conf", initial)
        assert "state=success" in output
        assert TOKEN not in output
    output = run_airflow(environment, "dags", "test", "provision_CRM")
    assert "state=success" in output
    assert TOKEN not in output
    output = run_airflow(environment, "dags", "test", "synchronize_CRM", "--conf", initial)
    assert "state=success" in output

    output = run_airflow(environment, "dags", "test", "maintain_repository")
    assert "state=success" in output
    assert TOKEN not in output

    # Invariant 11: logs, XComs in Airflow's database, the repository, snapshots, reports, orders.
    folder = Path(environment["AIRFLOW_HOME"]).parent
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 100
    assert [file for file in files if TOKEN.encode() in file.read_bytes()] == []
