"""The invariants of the pipeline as a whole, from the source file to the repository, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.orchestration import synchronize
from include.orchestration.decisions import APPLY_ALL, REJECT, Decision
from include.orchestration.project import find_connector, load_project
from include.orchestration.run import SkipRun, open_run
from include.orchestration.verification import verify
from include.storage.folder import text_sha256
from tests.integration.orchestration.conftest import Pipeline, person


def decision(choice: str) -> Decision:
    return Decision(choice, "Ada Auditor", datetime.now(UTC).isoformat(), "seen")


def test_the_same_complete_synchronization_twice_changes_nothing(pipeline: Pipeline) -> None:
    before = pipeline.state()
    _, result = pipeline.synchronize()
    assert {name: sum(counts.values()) for name, counts in result["entity_types"].items()} == {
        "Staff_Person": 0,
        "Staff_Team": 0,
    }
    assert pipeline.state() == before
    _, result = pipeline.synchronize("initial")
    assert pipeline.state() == before


def test_an_empty_export_never_deletes_even_when_a_person_applies_it(pipeline: Pipeline) -> None:
    before = pipeline.state()
    pipeline.write()
    _, result = pipeline.synchronize(decision=decision(APPLY_ALL))
    assert result["entity_types"]["Staff_Person"]["deleted"] == 0
    assert pipeline.state() == before


def test_a_row_set_aside_is_not_a_deletion(pipeline: Pipeline) -> None:
    lines = [person(number) for number in range(60)]
    lines[7] = lines[7].replace("2026-01-01", "someday")
    lines[8:9] = [lines[8], lines[8].replace("Name 8", "Name 8a")]
    pipeline.write(*lines)
    before = pipeline.state()
    _, result = pipeline.synchronize()
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 0, "overwritten": 0, "deleted": 0}
    assert result["associations"]["Staff_PersonTeam"] == {"inserted": 0, "deleted": 0}
    assert pipeline.state() == before


@pytest.mark.parametrize(
    "name",
    [
        "  leading and trailing  ",
        "ÀÉ łódź Ω",
        "日本 👩‍👩‍👧",
        "tab\tinside",
        "o'brien; DROP",
        "NULL",
        "%s {x} \\n",
        "straße",
        "É",
    ],
)
def test_a_value_arrives_byte_for_byte(pipeline: Pipeline, name: str) -> None:
    pipeline.write(*(person(number, name if number == 3 else None) for number in range(60)))
    pipeline.synchronize()
    (version,) = pipeline.repository.history("Staff_Person", "P003")[-1:]
    assert version["values"]["name"] == name


def test_quotes_and_line_feeds_arrive_byte_for_byte(pipeline: Pipeline) -> None:
    lines = [person(number) for number in range(60)]
    lines[3] = 'P003,"a ""quoted"" name,\nover two lines",p3@example.org,2026-01-01,T0'
    pipeline.write(*lines)
    pipeline.synchronize()
    (version,) = pipeline.repository.history("Staff_Person", "P003")[-1:]
    assert version["values"]["name"] == 'a "quoted" name,\nover two lines'


def test_above_a_threshold_nothing_is_written_until_a_person_says_so(pipeline: Pipeline) -> None:
    before = pipeline.state()
    pipeline.people(40)
    run, result = pipeline.synchronize()
    assert result["state"] == "blocked"
    assert pipeline.state() == before
    with pytest.raises(Exception, match="nobody has decided"):
        synchronize.load(run)
    with pytest.raises(Exception, match="not those that were decided on"):
        synchronize.load(run, decision(APPLY_ALL), shown="another change set")
    assert pipeline.state() == before

    result = synchronize.load(run, decision(APPLY_ALL), shown=result["verdict"]["sha256"])
    assert result["entity_types"]["Staff_Person"]["deleted"] == 20
    assert {entry.actor for entry in pipeline.repository.audit(subject=run.run_id) if entry.action == "load"} == {
        "Ada Auditor"
    }


def test_a_rejection_is_on_record_and_writes_nothing(pipeline: Pipeline) -> None:
    before = pipeline.state()
    pipeline.people(10)
    run, result = pipeline.synchronize(decision=decision(REJECT))
    assert result["state"] == "rejected"
    assert pipeline.state() == before
    (entry,) = [entry for entry in pipeline.repository.audit(subject=run.run_id) if entry.action == "reject"]
    assert (entry.actor, entry.detail["decision"]["reason"]) == ("Ada Auditor", "seen")
    assert pipeline.repository.verify_audit() == []


def test_only_one_run_of_a_connector_is_open_at_a_time(pipeline: Pipeline) -> None:
    first = open_run("Staff", "first", "synchronize")
    for mode in ("complete", "incremental", "initial"):
        with pytest.raises(SkipRun, match="run first is running"):
            open_run("Staff", "another", "synchronize", mode)
    pipeline.close(first)
    assert open_run("Staff", "another", "synchronize").run_id == "another"


def test_every_step_of_a_loaded_run_may_run_again(pipeline: Pipeline) -> None:
    pipeline.write(*(person(number, "Renamed" if number == 1 else None) for number in range(60)))
    run, first = pipeline.synchronize()
    before, manifest = pipeline.state(), run.folder.read_text("manifest.json")
    pipeline.people(5)
    assert open_run("Staff", run.run_id, "synchronize") == run
    for connection in ("People", "Teams"):
        synchronize.export(run, connection)
    for step in (synchronize.prepare, synchronize.validate, synchronize.compare, synchronize.guard):
        step(run)
    again = synchronize.load(run)
    assert again == first
    assert pipeline.state() == before
    assert run.folder.read_text("manifest.json") == manifest
    assert verify(run_id=run.run_id).lines == []
    assert pipeline.repository.running("Staff") is None


def test_the_past_can_be_asked_and_leads_to_its_run_and_its_files(pipeline: Pipeline) -> None:
    instant = datetime.now(UTC)
    pipeline.write(*(person(number, "Renamed" if number == 1 else None) for number in range(59)))
    run, _ = pipeline.synchronize()
    then = {row["id"]: row["name"] for row in pipeline.repository.as_of("Staff_Person", instant)}
    now = {row["id"]: row["name"] for row in pipeline.repository.as_of("Staff_Person", datetime.now(UTC))}
    assert (len(then), then["P001"], then["P059"]) == (60, "Name 1", "Name 59")
    assert (len(now), now["P001"]) == (59, "Renamed")

    first, second = pipeline.repository.history("Staff_Person", "P001")
    assert (first["run_id"], second["run_id"]) == ("run-1", run.run_id)
    snapshot, previous = pipeline.repository.snapshot(run.run_id), pipeline.repository.snapshot("run-1")
    assert snapshot is not None
    assert previous is not None
    assert text_sha256(run.folder.read_text("manifest.json")) == snapshot.sha256
    assert snapshot.previous_sha256 == previous.sha256
    assert verify(run_id=run.run_id).lines == []


def test_a_change_of_a_unique_key_is_an_update(pipeline: Pipeline) -> None:
    lines = [person(number) for number in range(60)]
    lines[5] = lines[5].replace("p5@example.org", "five@example.org")
    pipeline.write(*lines)
    _, result = pipeline.synchronize()
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 0}
    versions = pipeline.repository.history("Staff_Person", "P005")
    assert len({version["resource_id"] for version in versions}) == 1


def test_a_run_that_compared_before_another_one_loaded_is_refused(pipeline: Pipeline) -> None:
    pipeline.people(30)
    stale, _ = pipeline.synchronize()
    pipeline.close(stale)
    pipeline.people(60)
    pipeline.synchronize()
    before = pipeline.state()
    with pytest.raises(Exception, match="moved on"):
        synchronize.load(stale, decision(APPLY_ALL))
    assert pipeline.state() == before
    assert find_connector(load_project(), "Staff").identifier == "Staff"
