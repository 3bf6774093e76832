"""What the tasks of every DAG share: retries, asset names, and errors as Airflow must see them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

from airflow.sdk import Asset, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from connectors.errors import TransientError
from include.orchestration.run import SkipRun, StepFailed

logger = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

DEFAULT_ARGUMENTS: dict[str, Any] = {
    "owner": "rollcall",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
}
APPROVAL_TIME = timedelta(hours=24)


def repository_asset(connector: str) -> Asset:
    """The asset that says: a synchronization of this connector was loaded into the repository."""
    return Asset(name=f"repository/{connector}", uri=f"rollcall://repository/{connector}")


def step(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A task function whose errors are one line: permanent ones fail at once, transient ones retry."""

    @functools.wraps(function)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except SkipRun as reason:
            raise AirflowSkipException(str(reason)) from None
        except TransientError as error:
            logger.warning("%s: %s", error.error_class, error.message)
            raise AirflowException(error.message) from None
        except AirflowException:
            raise
        except (OSError, MemoryError):
            raise
        except Exception as error:
            logger.debug("the error in full", exc_info=True)
            raise AirflowFailException(f"{type(error).__name__}: {error}") from None

    return wrapped


@task
@step
def open_run(
    connector: str,
    purpose: str,
    run_id: str | None = None,
    params: dict[str, Any] | None = None,
    dag_run: Any = None,
) -> dict[str, Any]:
    """Open the run; Airflow fills in its run id, its parameters and the DAG run."""
    from include.orchestration import provision, run

    if run_id is None:
        raise StepFailed(f"{connector}: Airflow gave the task no run id")
    if dag_run is not None and dag_run.run_type != "manual":
        # Airflow gives DAGs that start at the same instant the same run id.
        run_id = f"{run_id}__{purpose}_{connector}"

    asked = params or {}
    if purpose == "provision":
        return provision.open_run(connector, run_id, asked.get("mode", "incremental")).to_dict()
    mode = asked.get("mode", "complete")
    if dag_run is not None and dag_run.run_type == "scheduled":
        mode = run.scheduled_mode(connector, dag_run.logical_date or dag_run.run_after)
    return run.open_run(connector, run_id, "synchronize", mode, dry_run=bool(asked.get("dry_run"))).to_dict()


@task
@step
def close_run(run: dict[str, Any] | None, ti: Any = None) -> str:
    """Give the run its final state, whatever became of its tasks."""
    from include.orchestration import run as runs
    from include.orchestration.decisions import outcome_of

    if run is None:
        raise SkipRun("the run was not opened")
    return runs.close_run(runs.Run(**run), outcome_of(ti))


def push_verdict(ti: Any, verdict: Mapping[str, Any]) -> None:
    """Keep a verdict with its task: as XCom ``verdict``, and as XCom ``limits`` the table that people read."""
    from include.difference.limit_table import markdown_table
    from include.difference.thresholds import Verdict

    ti.xcom_push(key="verdict", value=dict(verdict))
    ti.xcom_push(key="limits", value=markdown_table(Verdict.from_json(verdict).lines))


def approval_body(task_id: str, kind: str) -> str:
    """Markdown of a blocked run's approval: each limit, its value and the number found; what blocks first.

    Args:
        task_id: the task that pushed its verdict (``push_verdict``).
        kind: what ``rollcall show`` lists of the run (changes, orders).
    """
    return (
        f"{{{{ ti.xcom_pull(task_ids='{task_id}', key='limits') }}}}\n\n"
        f"Look at them with `rollcall show {kind} --run "
        "'{{ ti.xcom_pull(task_ids='open_run')['run_id'] }}'`."
    )
