"""What reading the DAG file costs, and what it gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.model.environment import project_root

CONNECTOR = """
identifier: Source{number}
connections:
  - {{identifier: File{number}, package: csv, connection_id: files, settings: {{path: people.csv}}}}
entity_types:
  - identifier: Person{number}
    connection_table: File{number}
    properties:
      - {{identifier: employee_id, primary_key: true}}
      - {{identifier: name}}
      - {{identifier: active, type: bool}}
resource_types:
  - identifier: Account{number}
    source_entity_type: Person{number}
    target_entity_type: Person{number}
    connection: File{number}
    scalar_rules:
      - {{property: name, expression: upper(name)}}
"""
HEAVY = {
    "great_expectations", "pandas", "pyarrow", "numpy", "adbc_driver_manager", "adbc_driver_sqlite", "psycopg", "ldap3",
    "simple_salesforce", "pyodbc", "pymysql", "openpyxl", "s3fs", "scim2_models",
}  # fmt: skip
REPORT = """
import json, sys
before = set(sys.modules)
from airflow.sdk import DAG, dag, task, Asset
from airflow.providers.standard.operators.hitl import HITLOperator
airflow_itself = set(sys.modules)
import runpy
result = runpy.run_path("dags/rollcall.py")
dags = sorted(name for name, value in result.items() if isinstance(value, DAG))
print(json.dumps({"dags": dags, "modules": sorted(set(sys.modules) - airflow_itself), "all": sorted(sys.modules)}))
"""


def parse(folder: Path) -> dict[str, list[str]]:
    """DAG ids, and the modules that parsing imported beyond Airflow's own, read in a fresh process."""
    environment = os.environ | {"ROLLCALL_CONFIG": str(folder), "AIRFLOW_HOME": str(folder / "airflow")}
    done = subprocess.run(
        [sys.executable, "-c", REPORT], cwd=project_root(), env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, list[str]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What parsing a hundred connectors gave."""
    folder = tmp_path_factory.mktemp("hundred")
    for number in range(100):
        (folder / f"source{number:03d}.yaml").write_text(CONNECTOR.format(number=number))
    return parse(folder)


def test_a_hundred_connectors_give_their_dags(hundred: dict[str, list[str]]) -> None:
    expected = {f"{purpose}_Source{number}" for number in range(100) for purpose in ("synchronize", "provision")}
    expected.add("maintain_repository")
    assert set(hundred["dags"]) == expected


def test_parsing_imports_no_heavy_library(hundred: dict[str, list[str]]) -> None:
    assert {name.split(".")[0] for name in hundred["modules"]} & HEAVY == set()


def test_parsing_imports_few_modules(hundred: dict[str, list[str]]) -> None:
    # Counted, not timed: a module more here is a module more in every task of every run.
    assert len(hundred["modules"]) < 450


def test_one_broken_file_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(CONNECTOR.format(number=1))
    (tmp_path / "bad.yaml").write_text(CONNECTOR.format(number=2).replace("primary_key", "primry_key"))
    (tmp_path / "worse.yaml").write_text("identifier: [")
    found = parse(tmp_path)["dags"]
    wanted = {"synchronize_Source1", "provision_Source1", "synchronize_Source2", "maintain_repository"}
    assert wanted <= set(found)
    assert len(found) == 5
