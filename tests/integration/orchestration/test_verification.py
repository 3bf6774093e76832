"""``rollcall verify`` and ``rollcall diff`` over snapshots of real runs, untouched and tampered with."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from include.command.main import application
from include.orchestration.decisions import APPLY_WITHOUT_DELETIONS, Decision
from include.orchestration.difference import difference
from include.orchestration.run import Run, StepFailed
from include.orchestration.verification import verify
from tests.integration.orchestration.conftest import Pipeline, person

TABLES = ("rollcall_snapshot", "rollcall_audit")


def rollcall(*arguments: str) -> Result:
    return CliRunner().invoke(application, list(arguments))


def tamper(pipeline: Pipeline, *statements: str) -> None:
    """Change the repository's own tables as someone with full rights could."""
    database = pipeline.repository._database
    for table in TABLES:
        statements = (
            (f"DROP TRIGGER IF EXISTS {table}_no_update", f"DROP TRIGGER IF EXISTS {table}_no_delete", *statements)
            if database.is_sqlite
            else (f"ALTER TABLE {table} DISABLE TRIGGER ALL", *statements)
        )
    with database.write() as session:
        for statement in statements:
            session.connection.exec_driver_sql(statement)


@pytest.fixture
def runs(pipeline: Pipeline) -> list[Run]:
    """Runs 2 to 4: one person renamed, three gone (deletions withheld), then gone and one come."""
    renamed = [person(number, "Renamed" if number == 1 else None) for number in range(60)]
    pipeline.write(*renamed)
    second, _ = pipeline.synchronize()
    pipeline.write(*renamed[:40])
    decision = Decision(APPLY_WITHOUT_DELETIONS, "alice", datetime.now(UTC).isoformat())
    third, _ = pipeline.synchronize(decision=decision)
    pipeline.write(*renamed[:58], person(60))
    fourth, _ = pipeline.synchronize("incremental")
    return [second, third, fourth]


def test_untouched_snapshots_are_whole(runs: list[Run]) -> None:
    found = verify()
    assert found.lines == []
    [staff] = found.connectors
    assert [item.run_id for item in staff.proved] == ["run-1", *(run.run_id for run in runs)]
    assert all(item.files > 10 and item.bytes > 1000 for item in staff.proved)
    sampled = verify("Staff", sample=2).connectors[0]
    assert (len(sampled.proved), sampled.left_out, sampled.proved[-1].run_id) == (2, 2, runs[-1].run_id)


def test_every_difference_applied_to_one_snapshot_gives_the_other(pipeline: Pipeline, runs: list[Run]) -> None:
    """Each pair of snapshots, from files and from the repository's history, counts the same."""
    expected = {("run-1", "run-2"): (0, 1, 0), ("run-2", "run-3"): (0, 0, 0), ("run-3", "run-4"): (1, 0, 2)}
    for (first, second), counts in expected.items():
        with difference("Staff", first, second) as found:
            people = found.counts["Staff_Person"]
            assert (people.inserted, people.updated, people.deleted) == counts
        with difference("Staff", second, first) as found:
            back = found.counts["Staff_Person"]
            assert (back.deleted, back.updated, back.inserted) == counts
    with difference("Staff", "run-1", "run-4") as found:
        from_files = (found.counts, [str(item) for item in found.first(50)])
    folder = runs[0].folder
    Path(folder.path).parent.joinpath("run-1").rename(pipeline.files / "gone")
    with difference("Staff", "run-1", "run-4") as found:
        assert found.before.source.startswith("the repository's history")
        assert (found.counts, [str(item) for item in found.first(50)]) == from_files


def test_instants_name_the_snapshot_published_last_before_them(pipeline: Pipeline, runs: list[Run]) -> None:
    second = pipeline.repository.snapshot(runs[0].run_id)
    assert second is not None
    just_before = (second.published_at - timedelta(microseconds=1)).isoformat()
    with difference("Staff", just_before, second.published_at.isoformat(), "Staff_Person") as found:
        assert (found.before.run_id, found.after.run_id) == ("run-1", "run-2")
        assert list(found.counts) == ["Staff_Person"]
        assert [item.difference for item in found.first(9)] == ["name: Name 1 → Renamed"]
    for arguments, line in (
        (("2000-01-01",), "no snapshot was published by"),
        (("yesterday",), "neither a run"),
        (("run-1", None, "Nothing"), "no entity type or association 'Nothing'"),
    ):
        with pytest.raises(StepFailed, match=line), difference("Staff", *arguments):
            pass


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
class TestCommands:
    def test_verify_prints_a_table_and_ends_with_0(self, runs: list[Run]) -> None:
        result = rollcall("verify")
        assert result.exit_code == 0, result.output
        assert all(run.run_id in result.output for run in runs)
        assert "whole" in result.output
        assert "BROKEN" not in result.output

    def test_a_changed_manifest_a_swapped_one_and_a_vanished_folder_are_faults(self, runs: list[Run]) -> None:
        second, third, fourth = (Path(run.folder.path) for run in runs)
        texts = [(folder / "manifest.json").read_text() for folder in (second, third)]
        (second / "manifest.json").unlink()
        (third / "manifest.json").unlink()
        (second / "manifest.json").write_text(texts[1])
        (third / "manifest.json").write_text(texts[0])
        fourth.rename(fourth.with_name("elsewhere"))
        result = rollcall("verify", "Staff")
        assert result.exit_code == 1
        for line in (
            "Staff: run-2: manifest.json: changed",
            "Staff: run-3: manifest.json: changed",
            "Staff: run-4: all of its files are gone, and nothing says that retention removed them",
            "Staff: folder elsewhere: it holds a manifest, and the repository knows no such snapshot",
        ):
            assert line in result.output
        alone = rollcall("verify", "--run", "run-1")
        assert alone.exit_code == 0, alone.output

    @pytest.mark.parametrize(
        ("statement", "line"),
        [
            ("DELETE FROM rollcall_snapshot WHERE sequence = 2", "snapshot 3 (run run-3): 1 snapshots before it"),
            ("DELETE FROM rollcall_snapshot WHERE sequence = 4", "run run-4: its load is on the audit trail"),
            ("UPDATE rollcall_snapshot SET previous_sha256 = 'x' WHERE sequence = 3", "does not follow"),
            ("UPDATE rollcall_snapshot SET manifest = '{}' WHERE sequence = 3", "not what was recorded"),
            ("UPDATE rollcall_audit SET actor = 'bob' WHERE sequence = 3", "audit 3: its content is not"),
        ],
    )
    def test_a_cut_chain_is_a_fault(self, pipeline: Pipeline, runs: list[Run], statement: str, line: str) -> None:
        assert len(runs) == 3
        tamper(pipeline, statement)
        result = rollcall("verify")
        assert result.exit_code == 1
        assert line in result.output

    def test_a_manifest_rewritten_everywhere_but_on_the_audit_trail_is_a_fault(
        self, pipeline: Pipeline, runs: list[Run]
    ) -> None:
        from include.storage.folder import text_sha256

        record = pipeline.repository.snapshot(runs[-1].run_id)
        assert record is not None
        forged = record.manifest.replace("incremental", "complete")
        file = Path(runs[-1].folder.file("manifest.json"))
        file.unlink()
        file.write_text(forged)
        quoted = forged.replace("'", "''").replace("%", "%%")
        tamper(
            pipeline,
            f"UPDATE rollcall_snapshot SET manifest = '{quoted}', sha256 = '{text_sha256(forged)}' WHERE sequence = 4",
        )
        assert verify().lines == ["Staff: snapshot 4 (run run-4): the audit trail names another manifest"]

    def test_mistakes_are_one_line(self, runs: list[Run]) -> None:
        assert "no connector 'Nobody'" in rollcall("verify", "Nobody").output
        assert "has published no snapshot" in rollcall("verify", "--run", "nothing").output
        assert "not of Other" in rollcall("verify", "Other", "--run", runs[0].run_id).output

    def test_diff_prints_counters_and_rows_and_writes_every_value(self, pipeline: Pipeline, runs: list[Run]) -> None:
        target = pipeline.files / "all.csv"
        result = rollcall(
            "diff", "Staff", "--from", "run-1", "--to", runs[-1].run_id, "--limit", "2", "--csv", str(target)
        )
        assert result.exit_code == 0, result.output
        assert "2 of 7 changed rows are shown" in result.output
        with target.open(newline="") as stream:
            lines = list(csv.DictReader(stream))
        assert ("Staff_Person", "update", "name", "Name 1", "Renamed") in [
            (line["table"], line["command"], line["property"], line["old"], line["new"]) for line in lines
        ]
        assert {line["command"] for line in lines if line["table"] == "Staff_PersonTeam"} == {"insert", "delete"}
        same = rollcall("diff", "Staff", "Staff_Person", "--from", "run-2", "--to", "run-2")
        assert same.exit_code == 0
        assert "changes" not in same.output
