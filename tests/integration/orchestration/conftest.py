"""One connector over files of its own, run step by step as the DAGs and the command do, on both databases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.orchestration import synchronize
from include.orchestration.connections import exporting_connections
from include.orchestration.decisions import Decision
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run, close_run, open_run
from include.repository.repository import Repository

STAFF = """
identifier: Staff
connections:
  - {identifier: People, package: csv, connection_id: staff_files, settings: {path: people.csv}}
  - {identifier: Teams, package: csv, connection_id: staff_files, settings: {path: teams.csv}}
entity_types:
  - identifier: Staff_Person
    connection_table: People
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: name}
      - {identifier: mail, unique_key: true}
      - {identifier: since, type: datetime, format: "%Y-%m-%d"}
  - identifier: Staff_Team
    connection_table: Teams
    properties:
      - {identifier: code, primary_key: true}
associations:
  - identifier: Staff_PersonTeam
    connection_table: People
    end1: {entity_type: Staff_Person, navigation: team, column: id}
    end2: {entity_type: Staff_Team, navigation: people, collection: true, column: team}
"""
HEADER = "id,name,mail,since,team"


def person(number: int, name: str | None = None) -> str:
    """A line of one person."""
    return f"P{number:03d},{name or f'Name {number}'},p{number}@example.org,2026-01-01,T{number % 3}"


@dataclass
class Pipeline:
    """The folder of the source files, and the steps over them."""

    files: Path
    count: int = 0

    @property
    def repository(self) -> Repository:
        """The repository that the steps write."""
        return open_repository(load_project())

    def write(self, *lines: str, header: str = HEADER) -> None:
        """Write people.csv."""
        (self.files / "people.csv").write_bytes(("\n".join([header, *lines]) + "\n").encode())

    def people(self, count: int) -> None:
        """Write a file of ``count`` people."""
        self.write(*(person(number) for number in range(count)))

    def reconfigure(self, old: str, new: str) -> None:
        """Change the configuration of Staff."""
        file = self.files.parent / "configuration" / "staff.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def add_connector(self, name: str, configuration: str, **files: str) -> None:
        """A connector beside Staff, whose files lie beside those of Staff; it is not synchronized yet."""
        (self.files.parent / "configuration" / f"{name}.yaml").write_text(configuration)
        for table, text in files.items():
            (self.files / f"{table}.csv").write_text(text)

    def current(self, entity_type: str) -> dict[str, dict[str, Any]]:
        """The resources that are there now, by key."""
        rows = self.repository.as_of(entity_type, datetime.now(UTC), limit=None)
        key = load_project().entity_type(entity_type).primary_key.identifier  # type: ignore[union-attr]
        return {row[key]: row for row in rows}

    def links(self, identifier: str) -> set[tuple[int, int]]:
        """The pairs of resource ids that are linked now."""
        (association,) = [item for item in load_project().associations() if item.identifier == identifier]
        return set(self.repository.links_as_of(association, datetime.now(UTC), limit=None))

    def synchronize(
        self,
        mode: Any = "complete",
        decision: Decision | None = None,
        *,
        dry_run: bool = False,
        connector: str = "Staff",
    ) -> tuple[Run, dict[str, Any]]:
        """A whole run; the run and its result, or its verdict where it is blocked and undecided."""
        self.count += 1
        answered = decision is not None
        run = open_run(connector, f"run-{self.count}", "synchronize", mode, dry_run=dry_run, answered=answered)
        try:
            for connection in exporting_connections(find_connector(load_project(), connector)):
                synchronize.export(run, connection)
            synchronize.prepare(run)
            synchronize.validate(run)
            synchronize.compare(run)
            verdict = synchronize.guard(run)
            if verdict["blocked"] and decision is None and not dry_run:
                return run, {"state": "blocked", "verdict": verdict}
            return run, synchronize.load(run, decision)
        except Exception as error:
            close_run(run, "failed", str(error))
            raise

    def close(self, run: Run) -> None:
        """End a blocked run that nobody decides on."""
        close_run(run, "failed", "nobody decided")

    def state(self) -> str:
        """Everything that the repository holds of the connector, with its history, as one text."""
        repository = self.repository
        rows = {
            entity: [
                repository.history(entity, key)
                for key in sorted({row[key_name] for row in repository.as_of(entity, _far_future())})
            ]
            for entity, key_name in (("Staff_Person", "id"), ("Staff_Team", "code"))
        }
        association = find_connector(load_project(), "Staff").associations[0]
        return json.dumps({"rows": rows, "links": repository.links_as_of(association, _far_future())}, default=str)


def _far_future() -> datetime:
    return datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline after its first load of 60 people in three teams."""
    url = (
        f"sqlite:///{tmp_path / 'repository.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("fresh_postgresql_url")
    )
    return start_pipeline(tmp_path, url, monkeypatch)


def start_pipeline(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline in a folder and a repository of its own, after its first load of 60 people in three teams."""
    configuration, files = folder / "configuration", folder / "files"
    configuration.mkdir()
    files.mkdir()
    (configuration / "staff.yaml").write_text(STAFF)
    monkeypatch.setenv("ROLLCALL_CONFIG", str(configuration))
    monkeypatch.setenv("ROLLCALL_STORAGE", f"file://{folder / 'storage'}")
    monkeypatch.setenv("ROLLCALL_REPOSITORY", url)
    monkeypatch.setenv("AIRFLOW_HOME", str(folder / "airflow"))
    monkeypatch.setenv("AIRFLOW_CONN_STAFF_FILES", json.dumps({"conn_type": "fs", "extra": {"path": str(files)}}))
    made = Pipeline(files)
    (files / "teams.csv").write_text("code\nT0\nT1\nT2\n")
    made.people(60)
    made.synchronize("initial")
    return made
