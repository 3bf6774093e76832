"""The ``rollcall`` command over a real pipeline: what it prints, and with which exit code it ends."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from include.command.main import application
from include.orchestration.run import open_run
from tests.integration.orchestration.conftest import Pipeline, person


def rollcall(*arguments: str) -> Result:
    return CliRunner().invoke(application, list(arguments))


@pytest.fixture
def staff(pipeline: Pipeline) -> Pipeline:
    """The pipeline after a second run that renamed one person, and set a row aside."""
    lines = [person(number, "Renamed" if number == 1 else None) for number in range(60)]
    lines[2] = lines[2].replace("2026-01-01", "someday")
    pipeline.write(*lines)
    pipeline.synchronize()
    return pipeline


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
class TestCommand:
    @pytest.mark.usefixtures("staff")
    def test_check_lists_the_connectors(self) -> None:
        result = rollcall("check")
        assert result.exit_code == 0
        assert "People (csv)" in result.output

    def test_check_fails_with_a_line_per_mistake(self, staff: Pipeline) -> None:
        configuration = staff.files.parent / "configuration"
        text = (configuration / "staff.yaml").read_text().replace("primary_key", "primry_key", 1)
        (configuration / "staff.yaml").write_text(text)
        result = rollcall("check")
        assert result.exit_code == 1
        assert "staff.yaml:10:" in result.output
        assert "did you mean 'primary_key'?" in result.output

    @pytest.mark.usefixtures("staff")
    def test_show_runs_changes_and_rejects(self) -> None:
        assert "run-2" in rollcall("show", "runs").output
        changes = rollcall("show", "changes", "Staff", "--run", "run-2").output
        assert "name: Name 1 → Renamed" in changes
        rejects = rollcall("show", "rejects", "Staff").output
        assert all(part in rejects for part in ("P002", "since", "someday", "unparsable"))

    def test_show_limits_of_the_last_run_and_of_any_other(self, staff: Pipeline) -> None:
        passed = rollcall("show", "limits", "Staff")
        assert passed.exit_code == 0
        assert "limits of run-2" in passed.output
        assert "exceeded" not in passed.output
        assert "1 updated of 63 stored, limit 5 %" in passed.output
        initial = rollcall("show", "limits", "Staff", "--run", "run-1").output
        assert initial.index("lifted") < initial.index("respected")
        staff.people(20)
        rollcall("synchronize", "Staff")
        blocked = rollcall("show", "limits", "Staff").output
        assert "max_percentage_fewer_rows" in blocked
        assert blocked.index("exceeded") < blocked.index("respected")
        assert (
            "run nothing did not come to its limits" in rollcall("show", "limits", "Staff", "--run", "nothing").output
        )

    def test_show_waiting_lists_links_with_their_age_and_show_missing_the_rows_kept(self, staff: Pipeline) -> None:
        file = staff.files.parent / "configuration" / "staff.yaml"
        kept = "    connection_table: People\n    on_missing: {keep_runs: 3}\n"
        file.write_text(file.read_text().replace("    connection_table: People\n", kept, 1))
        staff.write(*(person(number) for number in range(58)), person(58).replace(",T1", ",T9"))
        staff.synchronize()
        waiting = rollcall("show", "waiting", "Staff").output
        assert all(part in waiting for part in ("Staff_PersonTeam", "P058", "T9", "unresolved_reference", "0 d 0 h"))
        missing = rollcall("show", "missing").output
        assert all(part in missing for part in ("Staff_Person", "P059", "run-3", "1 of 3"))
        unknown = rollcall("show", "waiting", "Nobody")
        assert unknown.exit_code == 1
        assert "Nobody" in unknown.output

    @pytest.mark.usefixtures("staff")
    def test_history_and_as_of(self) -> None:
        history = rollcall("history", "Staff_Person", "P001").output
        title, _, versions = history.partition("\n")
        assert title.strip() == "Staff_Person P001 (Renamed)"
        assert versions.index("Name 1") < versions.index("Renamed")
        assert "Renamed" in rollcall("as-of", datetime.now(UTC).isoformat(), "Staff_Person").output
        assert "Renamed" not in rollcall("as-of", "2000-01-01", "Staff_Person").output
        links = rollcall("as-of", datetime.now(UTC).isoformat(), "Staff_PersonTeam").output
        assert all(part in links for part in ("key1", "key2", "P001"))
        unknown = rollcall("history", "Staff_Person", "P999")
        assert unknown.exit_code == 1
        assert "no resource 'P999'" in unknown.output

    def test_a_blocked_run_ends_with_1_until_somebody_answers(self, staff: Pipeline) -> None:
        staff.people(20)
        before = staff.state()
        blocked = rollcall("synchronize", "Staff")
        assert blocked.exit_code == 1
        assert "max_percentage_deleted_lines" in blocked.output
        rejected = rollcall("synchronize", "Staff", "--reject", "--reason", "half of it is missing")
        assert rejected.exit_code == 0
        assert staff.state() == before
        assert "half of it is missing" in rollcall("show", "runs").output
        kept = rollcall("synchronize", "Staff", "--approve", "--no-deletions")
        assert kept.exit_code == 0
        assert len(staff.repository.as_of("Staff_Person", datetime.now(UTC))) == 60
        approved = rollcall("synchronize", "Staff", "--approve", "--reason", "they left")
        assert approved.exit_code == 0
        assert len(staff.repository.as_of("Staff_Person", datetime.now(UTC))) == 20
        assert rollcall("audit").exit_code == 0

    def test_a_run_whose_machine_died_can_be_closed(self, staff: Pipeline) -> None:
        open_run("Staff", "died", "synchronize")
        stuck = rollcall("synchronize", "Staff")
        assert stuck.exit_code == 1
        assert "rollcall close died" in stuck.output
        assert rollcall("close", "died", "--reason", "power cut").exit_code == 0
        (entry, *_) = staff.repository.audit(subject="died")
        assert "power cut" in entry.detail["message"]
        assert rollcall("synchronize", "Staff").exit_code == 0
        assert "only a running or blocked run" in rollcall("close", "died").output

    @pytest.mark.usefixtures("staff")
    def test_mistakes_in_the_call_are_one_line(self) -> None:
        for arguments, line in (
            (("synchronize", "Nobody"), "no connector 'Nobody'"),
            (("synchronize", "Staff", "--approve", "--reject"), "exclude each other"),
            (("as-of", "yesterday", "Staff_Person"), "not an ISO 8601 instant"),
            (("history", "Nothing", "1"), "Nothing"),
        ):
            result = rollcall(*arguments)
            assert result.exit_code == 1
            assert line in result.output
