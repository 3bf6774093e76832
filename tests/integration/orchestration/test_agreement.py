"""The law of ``tests/unit/snapshot/test_agreement.py`` through the whole pipeline, from source files to SQLite."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from include.model.configuration import ConnectorThresholds
from include.model.remembered import WAITING_LINK
from include.orchestration import synchronize
from include.orchestration.connections import exporting_connections
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import open_run
from include.storage.folder import Folder
from tests.unit.snapshot.source import COLUMNS, CONNECTOR, TABLES, Line, Memory, Source
from tests.unit.snapshot.steps import Step
from tests.unit.snapshot.world import Rows


def configuration(native: set[str]) -> str:
    """The connector of ``source`` over files; the tables in ``native`` have a file of changes."""
    content: dict[str, Any] = json.loads(CONNECTOR.model_dump_json(exclude_defaults=True))
    content["connections"] = [
        {
            "identifier": table,
            "package": "csv",
            "connection_id": "law_files",
            "settings": {"path": f"{table}.csv"}
            | ({"path_incremental": f"{table}.changes.csv"} if table in native else {}),
        }
        for table in TABLES
    ]
    content["thresholds"] = {name: 0 if "percentage" in name else 1000 for name in ConnectorThresholds.model_fields}
    return json.dumps(content)


@dataclass
class Followed:
    """The pipeline that follows a source from run to run."""

    folder: Path
    runs: int = 0

    @classmethod
    @contextmanager
    def begin(cls, native: set[str]) -> Iterator[Followed]:
        """A repository with nothing in it."""
        with TemporaryDirectory() as place, pytest.MonkeyPatch.context() as environment:
            folder = Path(place)
            (folder / "configuration").mkdir()
            (folder / "files").mkdir()
            (folder / "configuration" / "hr.yaml").write_text(configuration(native))
            environment.setenv("ROLLCALL_CONFIG", str(folder / "configuration"))
            environment.setenv("ROLLCALL_STORAGE", f"file://{folder / 'storage'}")
            environment.setenv("ROLLCALL_REPOSITORY", f"sqlite:///{folder / 'repository.db'}")
            environment.setenv("AIRFLOW_HOME", str(folder / "airflow"))
            connection = {"conn_type": "fs", "extra": {"path": str(folder / "files")}}
            environment.setenv("AIRFLOW_CONN_LAW_FILES", json.dumps(connection))
            yield cls(folder)

    def write(self, file: str, header: tuple[str, ...], rows: Rows) -> None:
        """Write a source file."""
        with (self.folder / "files" / file).open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])

    def follow(self, source: Source, mode: Any, commands: dict[str, Rows]) -> dict[str, Any]:
        """A whole run over the source; its counters of changes."""
        for table, columns in COLUMNS.items():
            self.write(f"{table}.csv", columns, source.extract(table))
            self.write(f"{table}.changes.csv", ("command", *columns), commands.get(table, []))
        self.runs += 1
        run = open_run("HR", f"run-{self.runs}", "synchronize", mode)
        assert run.mode == mode
        for connection in exporting_connections(find_connector(load_project(), "HR")):
            synchronize.export(run, connection)
        for step in (synchronize.prepare, synchronize.compare, synchronize.guard):
            step(run)
        assert synchronize.load(run)["state"] == "loaded"
        counters: dict[str, Any] = run.folder.read_json("changes/changes.json")
        return counters

    def state(self) -> dict[str, Any]:
        """What the repository holds, without ids and instants."""
        repository, folder = open_repository(load_project()), Folder((self.folder / "state").as_uri())
        found: dict[str, Any] = {}
        for item in (*CONNECTOR.entity_types, WAITING_LINK, *CONNECTOR.associations):
            repository.export_current(item, folder, f"{item.identifier}.parquet")
            rows = parquet.read_table(f"{folder.path}/{item.identifier}.parquet").to_pylist()
            aside = {"resource_id", "resource1_id", "resource2_id", "since", "run_id"}
            found[item.identifier] = sorted(
                tuple(str(value) for column, value in row.items() if column not in aside) for row in rows
            )
        return found


def remembered(memory: Memory) -> dict[str, Any]:
    """What a repository in memory holds, in the same form."""
    found: dict[str, Any] = {
        item.identifier: sorted(tuple(map(str, row)) for row in memory.rows[item.identifier].values())
        for item in CONNECTOR.entity_types
    }
    waiting = memory.rows[WAITING_LINK.identifier].values()
    found[WAITING_LINK.identifier] = sorted(tuple(map(str, row[:6])) for row in waiting)
    return found | {item.identifier: sorted(memory.links[item.identifier]) for item in CONNECTOR.associations}


def changed(counters: dict[str, Any]) -> dict[str, Any]:
    """The counters that are not zero."""
    return {
        f"{table} {change}": count
        for kind in ("entity_types", "associations", "remembered")
        for table, counts in counters[kind].items()
        for change in ("inserted", "updated", "deleted")
        if (count := counts.get(change))
    }


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_mix_of_runs_ends_where_complete_runs_end(data: st.DataObject) -> None:
    native = data.draw(st.sets(st.sampled_from(TABLES), min_size=1))
    source, spellings = Source.populated(), itertools.cycle(["one", "merge", "merge", "one", "merge"])
    with Followed.begin(native) as pipeline:
        complete = Memory(pipeline.folder / "memory")
        pipeline.follow(source, "initial", {})
        complete.follow(source, "run-0")
        for number in range(1, data.draw(st.integers(2, 4))):
            before, source = source, source.copy()
            Step(data, source).happen()
            mode = data.draw(st.sampled_from(["incremental", "incremental", "complete"]))
            commands = {table: source.changes(table, before, spellings) for table in sorted(native)}
            pipeline.follow(source, mode, commands)
            complete.follow(source, f"run-{number}")
            assert pipeline.state() == remembered(complete)
            if mode == "incremental" and data.draw(st.booleans()):
                assert changed(pipeline.follow(source, mode, commands)) == {}
        assert changed(pipeline.follow(source, "complete", {})) == {}


def test_the_waiting_room_and_its_history_are_written_with_the_run() -> None:
    source = Source()
    source.add_member("Z", "a0@x")
    with Followed.begin({"people"}) as pipeline:
        pipeline.follow(source, "initial", {})
        (waiting,) = open_repository(load_project()).waiting_links("HR")
        assert (waiting["association"], waiting["value1"], waiting["value2"]) == ("Member", "Z", "a0@x")
        assert (waiting["run_id"], waiting["reason"]) == ("run-1", "unresolved_reference")
        assert waiting["since"] < datetime.now(UTC).replace(tzinfo=None)
        source.put_person("a", Line())
        arrived: Rows = [("insert", "a", "a0@x", "1", "", "")]
        counters = pipeline.follow(source, "incremental", {"people": arrived})
        assert changed(counters) == {"Person inserted": 1, "Member inserted": 1, "waiting_link deleted": 1}
        repository = open_repository(load_project())
        assert repository.waiting_links() == []
        (version,) = repository.history(WAITING_LINK, waiting["link"])
        assert (version["values"]["value2"], version["run_id"]) == ("a0@x", "run-1")
        assert version["valid_to"].year < 9999
