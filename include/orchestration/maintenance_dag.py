"""The DAG ``maintain_repository``: retention of files and history, and the proof of what was published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag, task

from include.model.environment import maintenance_schedule
from include.orchestration.tasks import DEFAULT_ARGUMENTS, step

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAG_ID = "maintain_repository"
SAMPLE = 10
DOCUMENTATION = (
    "Removes the files of runs that have had their time, purges and thins history as the connectors ask for it "
    "(`retention`), and proves the published snapshots and the audit trail. Legal holds (`rollcall hold`) suspend "
    "the first two. Any task may be cleared at any time."
)


@task
@step
def remove_snapshots() -> int:
    """Remove the files of runs that have had their time; how many runs."""
    from include.orchestration import maintenance

    return len(maintenance.remove_snapshots())


@task
@step
def thin_history() -> int:
    """Purge and thin history; how many versions went."""
    from include.orchestration import maintenance

    return sum(sum((trim.removed or {}).values()) for trim in maintenance.thin_history())


@task
@step
def verify_snapshots(params: dict[str, Any] | None = None) -> int:
    """Prove snapshots, their chains and the audit trail; how many snapshots were read."""
    from include.orchestration import maintenance

    sample = (params or {}).get("sample", SAMPLE)
    return sum(len(item.proved) for item in maintenance.verify_snapshots(sample or None).connectors)


def maintenance_dag() -> DAG:
    """The maintenance DAG of the whole installation."""

    @dag(
        dag_id=DAG_ID,
        schedule=maintenance_schedule(),
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGUMENTS,
        tags=["rollcall", "maintain"],
        doc_md=DOCUMENTATION,
        params={
            "sample": Param(
                SAMPLE,
                type="integer",
                minimum=0,
                description="Snapshots of each connector whose files are read: the newest, others at random. 0: all.",
            )
        },
    )
    def maintain_repository() -> None:
        remove_snapshots() >> thin_history()
        # On its own, so that trouble with removing never keeps the proof from being made.
        verify_snapshots()

    built: DAG = maintain_repository()
    return built
