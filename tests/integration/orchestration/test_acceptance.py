"""The acceptance tests of a port that concern synchronization, on both databases (engine.md 8.3: 1, 2, 3, 5, 6)."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.orchestration import synchronize
from include.orchestration.decisions import APPLY_ALL, Decision
from include.orchestration.run import Run, SkipRun, open_run
from tests.crash.export import export_repository
from tests.integration.orchestration.conftest import HEADER, Pipeline, person

APPROVED = Decision(APPLY_ALL, "Ada Auditor", datetime.now(UTC).isoformat(), "seen")
ROOMS = """
identifier: Rooms
connections: [{identifier: Plan, package: csv, connection_id: staff_files, settings: {path: rooms.csv}}]
entity_types:
  - {identifier: Room, connection_table: Plan, properties: [{identifier: code, primary_key: true}, {identifier: name}]}
"""


def stored(folder: Path) -> dict[str, bytes]:
    """Every row of every entity type and association, present and past, as bytes."""
    export_repository(os.environ["ROLLCALL_REPOSITORY"], folder)
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.startswith("rollcall_")}


def state(pipeline: Pipeline, run: Run) -> str:
    record = pipeline.repository.run(run.run_id)
    assert record is not None
    return record.state


def no_changes(result: dict[str, dict[str, dict[str, int]]]) -> bool:
    counters = [*result["entity_types"].values(), *result["associations"].values()]
    return not any(count for item in counters for count in item.values())


def with_incremental_file(pipeline: Pipeline) -> None:
    """Staff with a file of changes beside the file of the whole content."""
    pipeline.reconfigure("{path: people.csv}", "{path: people.csv, path_incremental: changes.csv}")
    pipeline.synchronize()


def write_changes(pipeline: Pipeline, *lines: str) -> None:
    (pipeline.files / "changes.csv").write_text("\n".join([f"command,{HEADER}", *lines]) + "\n")


def test_1_a_complete_run_twice_has_no_changes_and_no_history_rows(pipeline: Pipeline, tmp_path: Path) -> None:
    before = stored(tmp_path / "before")
    for number, mode in enumerate(("complete", "complete", "initial")):
        _, result = pipeline.synchronize(mode)
        assert no_changes(result)
        assert stored(tmp_path / f"after-{number}") == before


class TestTwoAnEmptyFile:
    def test_it_blocks_and_writes_nothing(self, pipeline: Pipeline, tmp_path: Path) -> None:
        before = stored(tmp_path / "before")
        pipeline.write()
        run, result = pipeline.synchronize()
        assert result["state"] == "blocked"
        exceeded = [(line["limit"], line["name"]) for line in result["verdict"]["lines"] if line["exceeded"]]
        assert ("complete export", "People") in exceeded
        assert state(pipeline, run) == "blocked"
        assert stored(tmp_path / "after") == before

    def test_fixing_the_source_and_running_again_clears_the_block(self, pipeline: Pipeline, tmp_path: Path) -> None:
        before = stored(tmp_path / "before")
        pipeline.write()
        blocked, _ = pipeline.synchronize()
        pipeline.people(60)
        run, result = pipeline.synchronize()
        assert (result["state"], state(pipeline, run), state(pipeline, blocked)) == ("loaded", "loaded", "superseded")
        assert no_changes(result)
        assert pipeline.repository.running("Staff") is None
        assert stored(tmp_path / "after") == before

    def test_resuming_applies_the_rest_of_the_changes(self, pipeline: Pipeline) -> None:
        pipeline.write()
        (pipeline.files / "teams.csv").write_text("code\nT0\nT1\nT2\nT3\n")
        run, _ = pipeline.synchronize()
        result = synchronize.load(run, APPROVED)
        assert result["entity_types"]["Staff_Team"]["inserted"] == 1
        assert len(pipeline.current("Staff_Person")) == 60


class TestThreeABlockedConnector:
    @pytest.fixture
    def blocked(self, pipeline: Pipeline) -> Run:
        pipeline.people(30)
        run, result = pipeline.synchronize()
        assert result["state"] == "blocked"
        return run

    def test_its_incremental_runs_skip_with_the_reason(self, pipeline: Pipeline, blocked: Run) -> None:
        with pytest.raises(SkipRun, match=f"Staff: run {blocked.run_id} is blocked .*max_percentage_deleted_lines"):
            open_run("Staff", "incremental", "synchronize", "incremental")
        assert pipeline.repository.run("incremental") is None
        assert state(pipeline, blocked) == "blocked"

    @pytest.mark.usefixtures("blocked")
    def test_another_connector_still_runs(self, pipeline: Pipeline) -> None:
        pipeline.add_connector("rooms", ROOMS, rooms="code,name\nR1,One\n")
        _, result = pipeline.synchronize("initial", connector="Rooms")
        assert result["entity_types"]["Room"] == {"inserted": 1, "updated": 0, "overwritten": 0, "deleted": 0}
        (pipeline.files / "rooms.csv").write_text("code,name\nR1,Uno\n")
        run, _ = pipeline.synchronize("incremental", connector="Rooms", decision=APPROVED)
        assert (run.mode, pipeline.current("Room")["R1"]["name"]) == ("incremental", "Uno")

    def test_a_complete_run_unblocks_it_and_a_late_answer_is_refused(
        self, pipeline: Pipeline, blocked: Run, tmp_path: Path
    ) -> None:
        pipeline.people(60)
        pipeline.synchronize()
        assert state(pipeline, blocked) == "superseded"
        before = stored(tmp_path / "before")
        with pytest.raises(SkipRun, match="superseded by run"):
            synchronize.load(blocked, APPROVED)
        assert state(pipeline, blocked) == "superseded"
        assert stored(tmp_path / "after") == before
        run, _ = pipeline.synchronize("incremental")
        assert (run.mode, state(pipeline, run)) == ("incremental", "loaded")


class TestFiveIncrementalRuns:
    def test_the_same_incremental_delivered_twice_is_applied_once(self, pipeline: Pipeline, tmp_path: Path) -> None:
        with_incremental_file(pipeline)
        write_changes(
            pipeline, f"insert,{person(60)}", f"update,{person(1, 'Renamed')}", "delete,P059,,,,", "merge,P002,Two,,,"
        )
        run, first = pipeline.synchronize("incremental")
        assert run.mode == "incremental"
        assert first["entity_types"]["Staff_Person"] == {"inserted": 1, "updated": 2, "overwritten": 0, "deleted": 1}
        before = stored(tmp_path / "before")
        assert synchronize.load(run) == first
        _, second = pipeline.synchronize("incremental")
        assert no_changes(second)
        assert stored(tmp_path / "after") == before

    def test_incremental_runs_that_wait_are_dropped_when_a_complete_run_begins(self, pipeline: Pipeline) -> None:
        with_incremental_file(pipeline)
        write_changes(pipeline, "delete,P001,,,,")
        waiting = open_run("Staff", "waiting", "synchronize", "incremental")
        for connection in ("People", "Teams"):
            synchronize.export(waiting, connection)
        _, result = pipeline.synchronize()
        assert no_changes(result)
        assert state(pipeline, waiting) == "superseded"
        for step in (synchronize.prepare, synchronize.compare, synchronize.guard):
            with pytest.raises(SkipRun, match="superseded by run"):
                step(waiting)
        assert "P001" in pipeline.current("Staff_Person")
        assert pipeline.repository.verify_audit() == []


@pytest.mark.parametrize(("changed", "expected"), [(60, "loaded"), (61, "blocked")])
def test_6_five_percent_of_1200_pass_at_60_and_block_at_61(
    pipeline: Pipeline, changed: int, expected: str, tmp_path: Path
) -> None:
    pipeline.people(1200)
    pipeline.synchronize("initial")
    before = stored(tmp_path / "before")
    pipeline.write(*(person(number, "Changed" if number < changed else None) for number in range(1200)))
    _, result = pipeline.synchronize()
    assert result["state"] == expected
    if expected == "blocked":
        assert {line["limit"] for line in result["verdict"]["lines"] if line["exceeded"]} == {
            "max_percentage_updated_lines"
        }
        assert stored(tmp_path / "after") == before
    else:
        assert result["entity_types"]["Staff_Person"]["updated"] == changed
