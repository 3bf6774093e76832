"""Complete, incremental, initial and dry runs: what each reads, what it may end, and what it says of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.errors import CookieExpired
from connectors.files.csv import CsvConnector
from include.orchestration import synchronize
from include.orchestration.decisions import APPLY_ALL, APPLY_WITHOUT_DELETIONS, Decision
from include.orchestration.project import load_project, open_repository
from include.orchestration.run import Run, SkipRun, StepFailed, open_run, scheduled_mode
from tests.integration.orchestration.conftest import Pipeline, person

APPROVED = Decision(APPLY_ALL, "Ada Auditor", datetime.now(UTC).isoformat(), "seen")


def base_source(run: Run) -> str:
    source: str = run.folder.read_json("base/base.json")["source"]
    return source


def tamper(run: Run, path: str, content: bytes) -> None:
    """Change a file of a published snapshot, as somebody may who means to."""
    file = Path(run.folder.file(path))
    file.chmod(0o644)
    file.write_bytes(content)


def people(count: int, **renamed: str) -> list[str]:
    return [person(number, renamed.get(f"P{number:03d}")) for number in range(count)]


def test_an_incremental_run_compares_with_the_previous_snapshot(pipeline: Pipeline) -> None:
    pipeline.write(*people(59, P007="Renamed"))
    first, _ = pipeline.synchronize("incremental")
    assert base_source(first) == "the snapshot of run run-1"
    pipeline.write(*people(58, P007="Renamed again"))
    second, result = pipeline.synchronize("incremental")
    assert (second.mode, second.reason) == ("incremental", None)
    assert base_source(second) == "the snapshot of run run-2"
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 1}
    assert [version["values"]["name"] for version in pipeline.repository.history("Staff_Person", "P007")] == [
        "Name 7",
        "Renamed",
        "Renamed again",
    ]
    before = pipeline.state()
    complete, result = pipeline.synchronize()
    assert base_source(complete) == "the repository"
    assert pipeline.state() == before


def test_deletions_that_were_withheld_are_still_there_for_the_next_incremental_run(pipeline: Pipeline) -> None:
    kept = Decision(APPLY_WITHOUT_DELETIONS, "Ada Auditor", datetime.now(UTC).isoformat(), "not yet")
    pipeline.write(*people(40, P007="Renamed"))
    pipeline.synchronize(decision=kept)
    run, result = pipeline.synchronize("incremental")
    assert base_source(run) == "the snapshot of run run-2"
    assert result["state"] == "blocked"
    assert run.folder.read_json("changes/changes.json")["entity_types"]["Staff_Person"]["deleted"] == 20


def test_a_changed_file_of_the_previous_snapshot_is_not_taken_for_the_base(pipeline: Pipeline) -> None:
    run, _ = pipeline.synchronize()
    tamper(run, "base/Staff_Person.parquet", b"something else")
    second, result = pipeline.synchronize("incremental")
    assert base_source(second) == "the repository"
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 0, "overwritten": 0, "deleted": 0}


def test_an_incremental_run_without_its_previous_snapshot_is_complete_and_says_so(pipeline: Pipeline) -> None:
    run, _ = pipeline.synchronize()
    run.folder.remove("manifest.json")
    second, _ = pipeline.synchronize("incremental")
    assert (second.mode, second.requested_mode) == ("complete", "incremental")
    assert second.reason is not None
    assert "files of the previous snapshot are gone" in second.reason
    stored = pipeline.repository.run(second.run_id)
    assert stored is not None
    assert (stored.mode, stored.reason) == ("complete", second.reason)


def test_an_incremental_run_after_a_change_of_the_mapping_is_complete_and_says_so(pipeline: Pipeline) -> None:
    file = pipeline.files.parent / "configuration" / "staff.yaml"
    file.write_text(file.read_text().replace("{identifier: name}", "{identifier: name, max_length: 50}"))
    run, _ = pipeline.synchronize("incremental")
    assert (run.mode, run.reason) == ("complete", "the mapping has changed since the previous snapshot")


def test_an_incremental_run_before_any_load_is_complete(pipeline: Pipeline) -> None:
    (pipeline.files.parent / "configuration" / "other.yaml").write_text(
        "identifier: Other\nconnections: [{identifier: Rooms, package: csv, settings: {path: rooms.csv}}]\n"
        "entity_types: [{identifier: Other_Room, connection_table: Rooms, "
        "properties: [{identifier: code, primary_key: true}]}]\n"
    )
    run = open_run("Other", "first", "synchronize", "incremental")
    assert (run.mode, run.requested_mode) == ("complete", "incremental")


def test_a_cookie_that_has_expired_makes_the_run_complete_and_is_on_record(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = CsvConnector.export

    def expired(self: CsvConnector, request: Any, sink: Any) -> Any:
        if request.mode == "incremental":
            raise CookieExpired("the position 17 is not known any more")
        return export(self, request, sink)

    monkeypatch.setattr(CsvConnector, "export", expired)
    pipeline.write(*people(59))
    run, result = pipeline.synchronize("incremental")
    assert result["entity_types"]["Staff_Person"]["deleted"] == 1
    stored = pipeline.repository.run(run.run_id)
    assert stored is not None
    assert stored.mode == "complete"
    assert "People: the position 17 is not known any more" in (stored.reason or "")
    facts = json.loads(run.folder.read_text("manifest.json"))["facts"]
    assert (facts["mode"], facts["requested_mode"]) == ("complete", "incremental")


def test_a_blocked_connector_skips_its_incremental_runs_and_a_complete_run_clears_it(pipeline: Pipeline) -> None:
    pipeline.people(30)
    blocked, result = pipeline.synchronize()
    assert result["state"] == "blocked"
    with pytest.raises(SkipRun, match="max_percentage_deleted_lines exceeded"):
        open_run("Staff", "incremental", "synchronize", "incremental")
    pipeline.people(60)
    _, result = pipeline.synchronize()
    assert result["state"] == "loaded"
    stored = pipeline.repository.run(blocked.run_id)
    assert stored is not None
    assert (stored.state, stored.message) == ("superseded", "superseded by run run-3")
    before = pipeline.state()
    with pytest.raises(SkipRun, match="superseded by run run-3"):
        synchronize.load(blocked, APPROVED)
    with pytest.raises(SkipRun, match="superseded by run run-3"):
        synchronize.guard(blocked)
    assert pipeline.state() == before
    assert pipeline.repository.verify_audit() == []


def test_an_incremental_run_with_its_own_answer_takes_the_place_of_a_blocked_one(pipeline: Pipeline) -> None:
    pipeline.people(30)
    _, result = pipeline.synchronize("incremental")
    assert result["state"] == "blocked"
    _, result = pipeline.synchronize("incremental", APPROVED)
    assert result["entity_types"]["Staff_Person"]["deleted"] == 30


def test_a_complete_run_supersedes_an_incremental_one_under_way(pipeline: Pipeline) -> None:
    incremental = open_run("Staff", "incremental", "synchronize", "incremental")
    _, result = pipeline.synchronize()
    assert result["state"] == "loaded"
    with pytest.raises(SkipRun, match="superseded by run run-2"):
        synchronize.prepare(incremental)


def test_a_dry_run_shows_everything_and_writes_nothing(pipeline: Pipeline) -> None:
    before, audit = pipeline.state(), len(pipeline.repository.audit())
    pipeline.write(*people(40, P007="Renamed"))
    run, result = pipeline.synchronize(dry_run=True)
    assert result == {"state": "dry run", "blocked": True}
    counters = run.folder.read_json("changes/changes.json")["entity_types"]["Staff_Person"]
    assert (counters["updated"], counters["deleted"]) == (1, 20)
    assert pipeline.state() == before
    assert len(pipeline.repository.audit()) == audit
    assert pipeline.repository.run(run.run_id) is None
    assert not run.folder.exists("manifest.json")


def test_changed_change_files_are_refused_after_the_approval(pipeline: Pipeline) -> None:
    pipeline.people(40)
    run, result = pipeline.synchronize()
    shown = result["verdict"]["sha256"]
    with run.folder.write("changes/Staff_Team.parquet") as stream:
        stream.write(run.folder.open("changes/Staff_Person.parquet").read())
    before = pipeline.state()
    with pytest.raises(StepFailed, match="are not those that were compared"):
        synchronize.load(run, APPROVED, shown=shown)
    assert pipeline.state() == before


def test_what_was_shown_stands_on_the_audit_trail_with_the_load(pipeline: Pipeline) -> None:
    pipeline.people(40)
    run, _ = pipeline.synchronize(decision=APPROVED)
    (entry,) = [entry for entry in pipeline.repository.audit(subject=run.run_id) if entry.action == "load"]
    request = entry.detail["request"]
    assert (request["decision"]["actor"], request["decision"]["reason"]) == ("Ada Auditor", "seen")
    exceeded = {line["limit"] for line in request["shown"]["lines"] if line["exceeded"]}
    assert exceeded == {
        "max_percentage_fewer_rows",
        "max_percentage_deleted_lines",
        "max_link_percentage_deleted_lines",
    }
    assert request["change_set"] == request["shown"]["sha256"]


def test_a_scheduled_run_has_the_mode_of_its_schedule(pipeline: Pipeline) -> None:
    file = pipeline.files.parent / "configuration" / "staff.yaml"
    schedules = 'schedules: {complete: "@daily", incremental: "*/15 * * * *"}\n'
    file.write_text(file.read_text().replace("connections:\n", f"{schedules}connections:\n", 1))
    assert scheduled_mode("Staff", datetime(2026, 1, 2, 0, 0, tzinfo=UTC)) == "complete"
    assert scheduled_mode("Staff", datetime(2026, 1, 2, 0, 15, tzinfo=UTC)) == "incremental"


def clean_files(run: Run) -> dict[str, str]:
    """What follows from the export alone; the gates follow from the run before, too."""
    names = set(run.folder.child("clean").names()) - {"gates.json"}
    return {path: run.folder.sha256(f"clean/{path}") for path in names}


def test_an_export_that_is_the_same_to_the_byte_takes_its_clean_tables_over(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = people(60)
    lines[7] = lines[7].replace("2026-01-01", "someday")
    pipeline.write(*lines)
    anew, _ = pipeline.synchronize()
    with monkeypatch.context() as patch:
        for module in ("prepare.prepare_entity_type", "validate.run_checks"):
            patch.setattr(f"include.snapshot.{module}", lambda *_: pytest.fail("it was made again"))
        taken_over, result = pipeline.synchronize()
    assert clean_files(taken_over) == clean_files(anew)
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 0, "overwritten": 0, "deleted": 0}
    assert run_results(taken_over) == run_results(anew)
    pipeline.write(*people(60, P007="Another"))
    changed, result = pipeline.synchronize()
    assert result["entity_types"]["Staff_Person"]["updated"] == 1
    assert clean_files(changed)["Staff_Person.parquet"] != clean_files(anew)["Staff_Person.parquet"]


def run_results(run: Run) -> Any:
    return run.folder.read_json("validation/results.json")


def test_a_changed_clean_file_of_the_previous_snapshot_is_made_anew(pipeline: Pipeline) -> None:
    first, _ = pipeline.synchronize()
    expected = clean_files(first)
    tamper(first, "clean/Staff_Person.parquet", first.folder.open("clean/Staff_Team.parquet").read())
    second, result = pipeline.synchronize()
    assert clean_files(second) == expected
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 0, "overwritten": 0, "deleted": 0}


def test_two_connectors_never_share_the_row_of_a_run(pipeline: Pipeline) -> None:
    run, _ = pipeline.synchronize()
    with pytest.raises(StepFailed, match=f"run id {run.run_id} is that of a synchronize run of Staff"):
        open_run("Staff", run.run_id, "provision")


def test_a_dry_run_needs_no_table_that_is_not_there_yet_and_makes_none(pipeline: Pipeline) -> None:
    file = pipeline.files.parent / "configuration" / "staff.yaml"
    more = "      - {identifier: name}\n      - {identifier: phone, column: since}\n"
    other = (
        "  - {identifier: Staff_Room, connection_table: Teams, properties: [{identifier: code, primary_key: true}]}\n"
    )
    text = file.read_text().replace("      - {identifier: name}\n", more)
    file.write_text(text.replace("associations:\n", f"{other}associations:\n"))
    run, result = pipeline.synchronize(dry_run=True)
    assert result["state"] == "dry run"
    counters = run.folder.read_json("changes/changes.json")["entity_types"]
    assert counters["Staff_Person"]["updated"] == 60
    assert counters["Staff_Room"]["inserted"] == 3
    with open_repository(load_project(), migrate=False)._database.read() as session:
        inspector = sa.inspect(session.connection)
        assert not inspector.has_table("Staff_Room")
        assert "phone" not in [column["name"] for column in inspector.get_columns("Staff_Person")]


def test_a_dry_run_before_there_is_any_repository_creates_none(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_REPOSITORY", f"sqlite:///{tmp_path}/another.db")
    run, result = pipeline.synchronize(dry_run=True)
    assert result["state"] == "dry run"
    assert run.folder.read_json("changes/changes.json")["entity_types"]["Staff_Person"]["inserted"] == 60
    assert not (tmp_path / "another.db").exists()
