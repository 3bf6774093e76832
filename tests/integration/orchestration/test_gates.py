"""Gates and the table of limits over a real pipeline: from one published snapshot to the next run."""

from __future__ import annotations

import json
import logging
import shutil
from datetime import UTC, datetime

import pytest

from include.orchestration import synchronize
from include.orchestration.decisions import APPLY_ALL, Decision
from include.orchestration.verification import verify
from include.snapshot.gates import read_gates
from tests.integration.orchestration.conftest import Pipeline, person

pytestmark = pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
SWAPPED = "id,mail,name,since,team"


def exceeded(verdict: object) -> set[str]:
    """The limits of a verdict that block."""
    return {line["limit"] for line in verdict["lines"] if line["exceeded"]}  # type: ignore[index]


def test_a_run_is_held_against_the_last_published_snapshot(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    before = pipeline.state()
    pipeline.write(*(person(number).replace(f"p{number}@example.org", "") for number in range(60)))
    with caplog.at_level(logging.INFO):
        run, result = pipeline.synchronize()
    assert result["state"] == "blocked"
    assert "max_points_more_empty_values" in exceeded(result["verdict"])
    (warning,) = [item.getMessage() for item in caplog.records if item.getMessage().startswith("column Staff_Person")]
    assert warning == (
        "column Staff_Person.mail: max_points_more_empty_values exceeded "
        "(100 % empty after 0 % (run run-1), limit 20 points)"
    )
    assert pipeline.state() == before

    result = synchronize.load(run, Decision(APPLY_ALL, "Ada Auditor", datetime.now(UTC).isoformat(), "no mail here"))
    assert result["entity_types"]["Staff_Person"]["updated"] == 60
    assert verify(run_id=run.run_id).lines == []
    snapshot = pipeline.repository.snapshot(run.run_id)
    assert snapshot is not None
    profile = json.loads(snapshot.manifest)["counters"]["profile"]
    assert profile["measured"]["Staff_Person"]["columns"]["mail"]["empty"] == 60

    _, result = pipeline.synchronize()
    assert result["state"] == "loaded"


def test_swapped_headers_are_told_before_anything_is_compared(pipeline: Pipeline) -> None:
    pipeline.write(*(person(number) for number in range(60)), header=SWAPPED)
    _, result = pipeline.synchronize()
    assert "max_points_swapped_columns" in exceeded(result["verdict"])


def test_gates_stand_although_the_files_of_the_last_run_are_gone(pipeline: Pipeline) -> None:
    storage = pipeline.files.parent / "storage" / "Staff"
    for path in storage.iterdir():
        shutil.rmtree(path)
    pipeline.write(*(person(number) for number in range(60)), header=SWAPPED)
    _, result = pipeline.synchronize()
    assert "max_points_swapped_columns" in exceeded(result["verdict"])


def test_a_table_that_is_taken_over_keeps_its_profile(pipeline: Pipeline) -> None:
    run, _ = pipeline.synchronize()
    profiles = [
        json.loads(snapshot.manifest)["counters"]["profile"]
        for snapshot in (pipeline.repository.snapshot("run-1"), pipeline.repository.snapshot(run.run_id))
        if snapshot is not None
    ]
    assert len(profiles) == 2
    assert profiles[0] == profiles[1]
    assert {line.state for line in read_gates(run.folder)} == {"respected"}


def test_preparing_a_blocked_run_again_ends_in_the_same_files(pipeline: Pipeline) -> None:
    pipeline.people(30)
    run, _ = pipeline.synchronize()
    clean = run.folder.child("clean")
    first = {file: clean.sha256(file) for file in clean.names()}
    synchronize.prepare(run)
    assert {file: clean.sha256(file) for file in clean.names()} == first


def test_the_log_of_guard_holds_every_limit_one_line_each(pipeline: Pipeline, caplog: pytest.LogCaptureFixture) -> None:
    pipeline.people(30)
    with caplog.at_level(logging.INFO, logger="include.orchestration.verdicts"):
        _, result = pipeline.synchronize()
    table = [record for record in caplog.records if record.name == "include.orchestration.verdicts"][1:]
    header, *lines = (record.getMessage() for record in table)
    assert header.split() == ["state", "limit", "of", "value", "found", "note"]
    assert len(lines) == len(result["verdict"]["lines"])
    count = len([line for line in result["verdict"]["lines"] if line["exceeded"]])
    assert [line.split()[0] for line in lines[:count]] == ["exceeded"] * count
    assert [record.levelno == logging.WARNING for record in table[1:]] == [True] * count + [False] * (
        len(lines) - count
    )
