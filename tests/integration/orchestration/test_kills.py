"""Kill any task at any instant, run it again: the end state is that of an undisturbed run (invariant 7).

A few kills per database; ``make crash N=200`` goes on for longer, from another seed each time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.orchestration import settlement, synchronize
from include.orchestration.decisions import REJECT, Decision
from include.orchestration.run import Run, open_run
from include.orchestration.verification import verify
from include.snapshot import manifest
from tests.crash.play import landed
from tests.crash.trial import Database, run_trial
from tests.integration.orchestration.conftest import Pipeline, person

SEED = 11
DAYS = ("initial", "approved", "rejected")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_steps_killed_at_random_instants_end_like_undisturbed_ones(
    database: Database, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    server = request.getfixturevalue("postgresql") if database == "postgresql" else None
    trial = run_trial(database, tmp_path, kills=10, seed=SEED, server=server, days=DAYS)
    assert trial.landed >= 10
    assert len(landed(trial.kills)) > 3


class Killed(BaseException):
    pass


def die(*_arguments: object) -> None:
    raise Killed


@pytest.fixture
def unpublished(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose load died after its commit and before its snapshot was published."""
    pipeline.write(*(person(number, "Renamed" if number == 1 else None) for number in range(60)))
    with monkeypatch.context() as patch:
        patch.setattr(settlement.manifest, "publish", die)
        with pytest.raises(Killed):
            pipeline.synchronize()
    (record, *_) = pipeline.repository.runs("Staff")
    run = Run("Staff", record.run_id, "synchronize")
    assert (record.state, manifest.published(run.folder)) == ("loaded", False)
    return run


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
@pytest.mark.parametrize("first", ["export", "prepare", "validate", "compare", "guard", "load"])
def test_whichever_step_runs_first_after_a_load_that_died_leaves_its_snapshot_as_it_was(
    pipeline: Pipeline, unpublished: Run, first: str
) -> None:
    before = pipeline.state()
    pipeline.people(20)
    steps = ["export", "prepare", "validate", "compare", "guard", "load"]
    for step in steps[steps.index(first) :]:
        arguments = ("People",) if step == "export" else ()
        getattr(synchronize, step)(unpublished, *arguments)
    assert verify(run_id=unpublished.run_id).lines == []
    assert not unpublished.folder.exists(manifest.LOADING)
    assert pipeline.state() == before
    record = pipeline.repository.run(unpublished.run_id)
    assert record is not None
    assert record.state == "loaded"


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "left", ["clean/tmp_Staff_Person.parquet", "clean/Staff_Person.parquet", "changes/tmp_Staff_Person.parquet"]
)
def test_half_a_file_that_a_step_left_when_it_died_is_no_part_of_the_snapshot(pipeline: Pipeline, left: str) -> None:
    """DuckDB writes a file that is there already as ``tmp_<file>`` first, and a killed one stays."""
    run = open_run("Staff", f"run-{pipeline.count + 1}", "synchronize")
    with run.folder.write(left) as stream:
        stream.write(b"PAR1 and no more")
    run, _ = pipeline.synchronize()
    assert run.folder.names("**/tmp_*") == []
    assert verify(run_id=run.run_id).lines == []


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_a_load_that_failed_gives_its_files_free_again(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("include.repository.repository.Repository.load", fail)
        with pytest.raises(OSError, match="the disk is full"):
            pipeline.synchronize()
    (record, *_) = pipeline.repository.runs("Staff")
    run = Run("Staff", record.run_id, "synchronize")
    assert not settlement.is_frozen(run)
    pipeline.people(59)
    assert synchronize.export(run, "People")["tables"][0]["rows"] == 59


def test_a_rejection_whose_task_died_afterwards_is_on_the_trail_once(pipeline: Pipeline) -> None:
    rejection = Decision(REJECT, "Ada Auditor", datetime.now(UTC).isoformat(), "no")
    pipeline.people(10)
    run, first = pipeline.synchronize(decision=rejection)
    trail = pipeline.repository.audit(subject=run.run_id)
    assert synchronize.load(run, rejection) == first
    assert pipeline.repository.audit(subject=run.run_id) == trail
    again = Decision(REJECT, "Bo Auditor", datetime.now(UTC).isoformat(), "still no")
    synchronize.load(run, again)
    actors = {entry.actor for entry in pipeline.repository.audit(subject=run.run_id) if entry.action == "reject"}
    assert actors == {"Ada Auditor", "Bo Auditor"}
