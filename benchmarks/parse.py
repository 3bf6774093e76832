"""How long Airflow needs to read the DAG file with 100 connectors, byte-compiled."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Report
from include.model.environment import project_root
from tests.unit.dags.test_parsing import CONNECTOR

MEASURE = """
import time, runpy
from airflow.sdk import DAG, dag, task
from airflow.providers.standard.operators.hitl import HITLOperator
started = time.perf_counter()
runpy.run_path("dags/rollcall.py")
print(time.perf_counter() - started)
"""
CONNECTORS = 100
TRIES = 5
LIMIT_SECONDS = 3


def measure(report: Report) -> None:
    """The median of five processes that parse the DAG file, Airflow's own imports apart."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(CONNECTORS):
            (Path(folder) / f"source{number:03d}.yaml").write_text(CONNECTOR.format(number=number))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"ROLLCALL_CONFIG": folder, "AIRFLOW_HOME": f"{folder}/airflow"}
        seconds = []
        for _ in range(TRIES):
            done = subprocess.run(
                [sys.executable, "-c", MEASURE],
                cwd=project_root(),
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(float(done.stdout.strip().splitlines()[-1]))
    report.at_most(
        f"parse {CONNECTORS} connectors (200 DAGs), median of {TRIES}", statistics.median(seconds), "s", LIMIT_SECONDS
    )
