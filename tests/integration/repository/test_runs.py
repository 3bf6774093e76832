"""Runs never overlap, and their rows survive cleared tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.repository.errors import RepositoryError, RunEnded, RunOverlap
from include.repository.repository import Repository, RunRecord

FIRST = RunRecord("run 1", "HR", "synchronize", "complete", "incremental")
SECOND = replace(FIRST, run_id="run 2")


def test_opening_twice_is_opening_once(repository: Repository) -> None:
    opened = repository.open_run(FIRST)
    assert repository.open_run(replace(FIRST, mode="incremental")) == opened
    assert repository.run("run 1") == opened
    assert repository.runs() == [opened]
    assert len(repository.audit()) == 1


def test_two_open_runs_of_one_connector_never_overlap(repository: Repository) -> None:
    repository.open_run(FIRST)
    assert repository.running("HR", besides="run 1") is None
    assert repository.running("HR", besides="run 2") == "run 1"
    with pytest.raises(RunOverlap, match="HR: run run 1 is running since"):
        repository.open_run(SECOND)
    repository.close_run("run 1", "blocked", "too many deletions")
    with pytest.raises(RunOverlap, match="run 1 is blocked"):
        repository.open_run(SECOND)
    repository.close_run("run 1", "failed", "gave up")
    assert repository.open_run(SECOND).state == "running"


def test_purposes_and_connectors_run_beside_each_other(repository: Repository) -> None:
    repository.open_run(FIRST)
    repository.open_run(replace(SECOND, purpose="provision"))
    repository.open_run(replace(FIRST, run_id="run 3", connector="CRM"))
    assert repository.running("HR", purpose="provision") == "run 2"
    assert [run.run_id for run in repository.runs("HR")] == ["run 2", "run 1"]
    assert [run.run_id for run in repository.runs(limit=1)] == ["run 3"]


def test_skipped_run_is_recorded_beside_an_open_one(repository: Repository) -> None:
    repository.open_run(FIRST)
    repository.open_run(replace(SECOND, state="skipped", message="run 1 is running"))
    skipped = repository.run("run 2")
    assert skipped is not None
    assert (skipped.state, skipped.message) == ("skipped", "run 1 is running")
    assert skipped.closed_at is not None


def test_failed_run_opens_again_and_a_finished_one_does_not(repository: Repository) -> None:
    opened = repository.open_run(FIRST)
    repository.close_run("run 1", "failed", "no network", {"rows": 1})
    again = repository.open_run(FIRST)
    assert (again.state, again.opened_at, again.closed_at) == ("running", opened.opened_at, None)
    repository.close_run("run 1", "done", counters={"rows": 2})
    finished = repository.open_run(FIRST)
    assert (finished.state, finished.counters) == ("done", {"rows": 2})


def test_closing_twice_is_closing_once(repository: Repository) -> None:
    repository.open_run(FIRST)
    repository.close_run("run 1", "rejected", "too many", {"deleted": 9}, actor="alice")
    closed = repository.run("run 1")
    repository.close_run("run 1", "rejected", "too many", {"deleted": 9}, actor="alice")
    assert repository.run("run 1") == closed
    assert [(entry.action, entry.actor) for entry in repository.audit()] == [
        ("reject run", "alice"),
        ("open run", "pipeline"),
    ]


def test_unknown_run_cannot_be_closed(repository: Repository) -> None:
    with pytest.raises(RepositoryError, match="run 9: not known"):
        repository.close_run("9", "done")
    assert repository.run("9") is None


def test_superseded_run_stays_so(repository: Repository) -> None:
    repository.open_run(FIRST)
    assert repository.supersede("run 1", "run 2") is True
    superseded = repository.run("run 1")
    assert superseded is not None
    assert (superseded.state, superseded.message) == ("superseded", "superseded by run run 2")
    assert superseded.closed_at is not None
    [entry, _] = repository.audit()
    assert (entry.action, entry.subject, entry.detail["by"]) == ("supersede run", "run 1", "run 2")
    assert repository.supersede("run 1", "run 3") is False
    assert repository.open_run(FIRST).state == "superseded"
    for state in ("running", "blocked", "failed", "loaded"):
        with pytest.raises(RunEnded, match="HR: run run 1 was superseded by run run 2"):
            repository.close_run("run 1", state)
    assert repository.run("run 1") == superseded
    assert len(repository.audit()) == 2
    assert repository.open_run(SECOND).state == "running"


def test_only_an_open_run_is_superseded(repository: Repository) -> None:
    assert repository.supersede("run 1", "run 2") is False
    repository.open_run(FIRST)
    repository.close_run("run 1", "loaded")
    assert repository.supersede("run 1", "run 2") is False
    loaded = repository.run("run 1")
    assert loaded is not None
    assert loaded.state == "loaded"
