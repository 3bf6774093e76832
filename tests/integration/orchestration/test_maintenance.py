"""Retention of runs' files and of history, with legal holds, over real runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from include.command.main import application
from include.orchestration import synchronize
from include.orchestration.difference import difference
from include.orchestration.maintenance import remove_snapshots, thin_history
from include.orchestration.run import Run, SkipRun, StepFailed, close_run, open_run
from include.orchestration.verification import verify
from include.repository.repository import Repository
from include.storage.folder import Folder
from tests.integration.orchestration.conftest import STAFF, Pipeline, person

pytestmark = pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
LATER = datetime.now(UTC) + timedelta(days=100)


def rollcall(*arguments: str) -> Result:
    return CliRunner().invoke(application, list(arguments))


def configure(pipeline: Pipeline, retention: str) -> None:
    (pipeline.files.parent / "configuration" / "staff.yaml").write_text(f"{STAFF}retention: {retention}\n")


def rename(pipeline: Pipeline, name: str) -> Run:
    pipeline.write(*(person(number, name if number == 1 else None) for number in range(60)))
    run, _ = pipeline.synchronize()
    return run


@pytest.fixture
def runs(pipeline: Pipeline) -> list[Run]:
    """The snapshots of run-1 (the fixture's), run-2 and run-3; a run that was rejected, and a dry run."""
    found = [rename(pipeline, "One"), rename(pipeline, "Two")]
    pipeline.people(20)
    rejected, _ = pipeline.synchronize()
    close_run(rejected, "failed", "nobody decided")
    dry, _ = pipeline.synchronize(dry_run=True)
    return [*found, rejected, dry]


def folders(run: Run) -> set[str]:
    return {item.name for item in Path(run.folder.path).parent.iterdir()}


def test_by_default_snapshots_stay_for_ever_and_files_of_failed_and_dry_runs_for_30_days(runs: list[Run]) -> None:
    assert remove_snapshots(at=datetime.now(UTC) + timedelta(days=29)) == []
    gone = remove_snapshots(at=datetime.now(UTC) + timedelta(days=31))
    assert {(item.subject, item.is_snapshot) for item in gone} == {("run-4", False), ("run-5", False)}
    assert folders(runs[0]) == {"run-1", "run-2", "run-3"}
    assert verify().lines == []


def test_old_snapshots_go_their_manifests_stay_and_the_chain_is_still_proved(
    pipeline: Pipeline, runs: list[Run]
) -> None:
    configure(pipeline, "{snapshots_days: 90, unpublished_days: 0}")
    assert {item.subject for item in remove_snapshots(at=LATER, dry_run=True)} == {"run-1", "run-2"}
    assert folders(runs[0]) == {"run-1", "run-2", "run-3", "run-4", "run-5"}
    with difference("Staff", "run-1", "run-2") as found:
        before = (found.counts, found.first(9))
    gone = remove_snapshots(at=LATER, by="alice")
    assert all(item.files > 10 and item.bytes > 1000 for item in gone)
    assert folders(runs[0]) == {"run-3", "run-4", "run-5"}
    assert remove_snapshots(at=LATER) == []

    [staff] = verify().connectors
    assert staff.lines == []
    assert [item.run_id for item in staff.removed] == ["run-1", "run-2"]
    shown = rollcall("verify", "Staff")
    assert shown.exit_code == 0, shown.output
    assert "by alice: published more than 90 days ago" in shown.output
    with difference("Staff", "run-1", "run-2") as found:
        assert "retention removed its files" in found.before.source
        assert (found.counts, found.first(9)) == before


def test_a_killed_removal_is_finished_by_the_next_one(
    pipeline: Pipeline, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(pipeline, "{snapshots_days: 90, unpublished_days: 90}")
    removed: list[str] = []

    def killed(folder: Folder) -> None:
        removed.append(folder.path)
        folder.remove("manifest.json")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "remove_all", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_snapshots(at=LATER)
    assert len(removed) == 1
    assert folders(runs[0]) == {"run-1", "run-2", "run-3", "run-4", "run-5"}
    assert verify().lines == []
    remove_snapshots(at=LATER)
    assert folders(runs[0]) == {"run-3"}
    entries = [entry for run in ("run-1", "run-2") for entry in pipeline.repository.audit(subject=run)]
    assert [entry.action for entry in entries].count("remove snapshot") == 2
    assert verify().lines == []


def test_the_newest_ones_and_the_base_of_an_open_run_stay(pipeline: Pipeline, runs: list[Run]) -> None:
    configure(pipeline, "{snapshots_days: 1, snapshots_count: 2, unpublished_days: 0}")
    assert [item.subject for item in remove_snapshots(at=LATER, dry_run=True)] == ["run-1"]
    configure(pipeline, "{snapshots_days: 1, unpublished_days: 0}")
    opened = open_run("Staff", "open", "synchronize", "incremental")
    assert [item.subject for item in remove_snapshots(at=LATER, dry_run=True)] == ["run-1", "run-2"]
    close_run(opened, "failed", "")
    assert runs[1].folder.exists("manifest.json")


def test_a_hold_suspends_all_removal_until_it_is_released(pipeline: Pipeline, runs: list[Run]) -> None:
    configure(pipeline, "{snapshots_days: 1, unpublished_days: 1, history: {purge_after_days: 1, thin: '1:1'}}")
    placed = rollcall("hold", "Staff", "--reason", "case 7", "--until", "2999-01-31")
    assert placed.exit_code == 0, placed.output
    assert "until 2999-02-01 00:00 UTC" in placed.output
    assert remove_snapshots(at=LATER) == []
    assert thin_history() == []
    listed = rollcall("show", "holds").output
    assert all(part in listed for part in ("case 7", "active", "Staff"))
    maintained = rollcall("maintain")
    assert maintained.exit_code == 0, maintained.output
    assert "on legal hold, left alone: Staff (case 7)" in maintained.output

    one = rollcall("hold", "Staff", "--run", "run-1", "--reason", "case 8")
    assert rollcall("release", "1", "--reason", "settled").exit_code == 0
    assert one.exit_code == 0
    assert {item.subject for item in remove_snapshots(at=LATER)} == {"run-2", "run-4", "run-5"}
    assert thin_history() == []
    assert "released" in rollcall("show", "holds", "Staff").output
    assert rollcall("release", "2", "--reason", "settled").exit_code == 0
    assert [item.subject for item in remove_snapshots(at=LATER)] == ["run-1"]
    assert folders(runs[0]) == {"run-3"}
    for arguments, line in (
        (("hold", "Nobody", "--reason", "x"), "no connector 'Nobody'"),
        (("hold", "Staff", "--reason", "x", "--until", "soon"), "neither a day"),
        (("release", "2", "--reason", "x"), "was released"),
    ):
        result = rollcall(*arguments)
        assert result.exit_code == 1
        assert line in result.output


def test_history_is_thinned_and_purged_as_the_connector_asks(pipeline: Pipeline, runs: list[Run]) -> None:
    assert len(runs) == 4
    configure(pipeline, "{history: {thin: '1440:1'}}")
    versions = [item["values"]["name"] for item in pipeline.repository.history("Staff_Person", "P001")]
    assert versions == ["Name 1", "One", "Two"]
    [planned] = thin_history(dry_run=True)
    assert (planned.how, planned.connectors, planned.removed) == ("thin to 1440:1", ("Staff",), None)
    [done] = thin_history(by="alice")
    assert done.removed is not None
    assert done.removed["Staff_Person"] == 1
    versions = [item["values"]["name"] for item in pipeline.repository.history("Staff_Person", "P001")]
    assert versions == ["Name 1", "Two"]
    configure(pipeline, "{history: {purge_after_days: 1}}")
    [purged] = thin_history()
    assert purged.removed is not None
    assert sum(purged.removed.values()) == 0


def test_one_connector_s_trouble_keeps_no_other_from_its_maintenance(
    pipeline: Pipeline, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = STAFF.replace("Staff", "Other").replace("identifier: People", "identifier: People2")
    other = other.replace("table: People", "table: People2").replace("Teams", "Teams2")
    (pipeline.files.parent / "configuration" / "another.yaml").write_text(other)
    original = Repository.runs

    def broken(self: Repository, connector: str | None = None, limit: int | None = 50) -> Any:
        if connector == "Other":
            raise OSError("the disk is gone")
        return original(self, connector, limit)

    monkeypatch.setattr(Repository, "runs", broken)
    with pytest.raises(StepFailed, match="Other: the disk is gone"):
        remove_snapshots(at=LATER)
    assert folders(runs[0]) == {"run-1", "run-2", "run-3"}


def test_a_published_snapshot_is_read_only_and_its_tasks_cleared_write_nothing(runs: list[Run]) -> None:
    run = runs[1]
    root = Path(run.folder.path)
    files = [item for item in root.rglob("*") if item.is_file()]
    assert {item.stat().st_mode & 0o222 for item in files} == {0}
    with pytest.raises(PermissionError, match="never modified"):
        run.folder.write_text("clean/Staff_Person.sorted.csv", "")
    before = {item: (item.stat().st_ino, item.stat().st_mtime_ns) for item in files}
    synchronize.export(run, "People")
    for step in (synchronize.prepare, synchronize.validate, synchronize.compare, synchronize.guard, synchronize.load):
        step(run)
    assert {item: (item.stat().st_ino, item.stat().st_mtime_ns) for item in root.rglob("*") if item.is_file()} == before


def test_the_tasks_of_a_removed_snapshot_cleared_say_so_and_publish_nothing(
    pipeline: Pipeline, runs: list[Run]
) -> None:
    configure(pipeline, "{snapshots_days: 1, unpublished_days: 0}")
    remove_snapshots(at=LATER)
    with pytest.raises(SkipRun, match="its files were removed on"):
        synchronize.load(runs[0])
    synchronize.export(runs[0], "People")
    synchronize.export(runs[0], "Teams")
    for step in (synchronize.prepare, synchronize.validate, synchronize.compare, synchronize.guard, synchronize.load):
        with pytest.raises(SkipRun, match="its files were removed on"):
            step(runs[0])
    assert not runs[0].folder.exists("manifest.json")
    assert verify().lines == []
    assert [item.reason for item in remove_snapshots(at=LATER)] == ["its removal is finished"]
    assert folders(runs[0]) == {"run-3", "run-4", "run-5"}


def test_ranges_that_cannot_be_read_are_a_mistake_of_the_file(pipeline: Pipeline) -> None:
    configure(pipeline, "{history: {thin: 'daily'}}")
    result = rollcall("check")
    assert result.exit_code == 1
    assert "retention.history.thin: range 'daily': write minutes:count" in result.output
