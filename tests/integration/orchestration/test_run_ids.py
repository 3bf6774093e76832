"""The run ids that Airflow gives, and those that the repository keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from include.orchestration.run import Run, close_run
from include.orchestration.tasks import open_run
from tests.integration.orchestration.conftest import STAFF, Pipeline

MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
OTHER = STAFF.replace("Staff", "Other").replace("staff_files", "other_files")


def opened(connector: str, run_type: str, run_id: str) -> Run:
    """What the task ``open_run`` of a DAG run gives to the tasks after it."""
    dag_run = SimpleNamespace(run_type=run_type, logical_date=MIDNIGHT, run_after=MIDNIGHT)
    given: dict[str, Any] = open_run.function(connector, "synchronize", run_id=run_id, params={}, dag_run=dag_run)
    return Run(**given)


def test_scheduled_runs_of_two_connectors_at_one_instant_have_run_ids_of_their_own(pipeline: Pipeline) -> None:
    """Airflow names both ``scheduled__<instant>``."""
    pipeline.add_connector("other", OTHER)
    run_id = f"scheduled__{MIDNIGHT.isoformat()}"
    staff, other = opened("Staff", "scheduled", run_id), opened("Other", "scheduled", run_id)
    assert (staff.run_id, other.run_id) == (f"{run_id}__synchronize_Staff", f"{run_id}__synchronize_Other")
    records = [pipeline.repository.run(run.run_id) for run in (staff, other)]
    assert [record.connector for record in records if record] == ["Staff", "Other"]
    assert staff.folder.path != other.folder.path


def test_a_cleared_scheduled_run_opens_the_same_run_again(pipeline: Pipeline) -> None:
    run_id = f"scheduled__{MIDNIGHT.isoformat()}"
    first = opened("Staff", "scheduled", run_id)
    assert pipeline.repository.running("Staff") == first.run_id
    assert opened("Staff", "scheduled", run_id).run_id == first.run_id
    close_run(first, "failed", "a task failed")
    assert opened("Staff", "scheduled", run_id).run_id == first.run_id


def test_a_run_that_a_person_started_keeps_the_id_that_was_shown(pipeline: Pipeline) -> None:
    assert pipeline.repository.running("Staff") is None
    assert opened("Staff", "manual", "manual__of_today").run_id == "manual__of_today"


def test_a_scheduled_run_takes_the_mode_of_the_schedule_that_fires(pipeline: Pipeline) -> None:
    pipeline.reconfigure(
        "identifier: Staff\n", "identifier: Staff\nschedules: {complete: '0 3 * * *', incremental: '0 * * * *'}\n"
    )
    assert opened("Staff", "scheduled", "scheduled__hourly").mode == "incremental"
