"""A running Airflow over a small organisation of its own; every wait ends, and every process is killed at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.local.airflow import LocalAirflow, free_port
from include.local.client import AirflowClient
from include.model.environment import project_root
from include.model.loader import load_configuration
from include.repository.repository import Repository

STAFF = """
identifier: Staff
connections:
  - {identifier: StaffFile, package: csv, connection_id: staff_files, settings: {path: staff.csv}}
entity_types:
  - identifier: Staff_Person
    connection_table: StaffFile
    properties:
      - {identifier: employee_id, primary_key: true}
      - {identifier: last_name}
"""
BROKEN = STAFF.replace("Staff", "Sales").replace("last_name", "last_name, primry_key: true")
PEOPLE = 200


def write_staff(folder: Path, count: int, *, renamed: str | None = None) -> None:
    """A file of ``count`` people, one of them with another last name where asked."""
    lines = ["employee_id,last_name"]
    for number in range(count):
        key = f"E{number:04d}"
        lines.append(f"{key},{'Married' if key == renamed else f'Name {number}'}")
    (folder / "staff.csv").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class World:
    """A running Airflow, the folder of its source files, and its repository."""

    client: AirflowClient
    files: Path
    repository: Repository


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Airflow with one connector that works and one whose file has a mistake."""
    folder = tmp_path_factory.mktemp("airflow")
    configuration, files = folder / "configuration", folder / "files"
    configuration.mkdir()
    files.mkdir()
    (configuration / "staff.yaml").write_text(STAFF)
    (configuration / "sales.yaml").write_text(BROKEN)
    repository_url = f"sqlite:///{folder / 'repository.db'}"
    environment = {
        "ROLLCALL_CONFIG": str(configuration),
        "ROLLCALL_STORAGE": f"file://{folder / 'storage'}",
        "ROLLCALL_REPOSITORY": repository_url,
        "AIRFLOW_CONN_STAFF_FILES": json.dumps({"conn_type": "fs", "extra": {"path": str(files)}}),
    }
    airflow = LocalAirflow(folder / "home", free_port(8090), environment=environment)
    with airflow:
        client = AirflowClient(airflow.url, *airflow.credentials())
        client.wait_for_dag("synchronize_Staff")
        yield World(client, files, Repository(repository_url, load_configuration(configuration)))
        client.close()


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's own folder."""
    return project_root()
