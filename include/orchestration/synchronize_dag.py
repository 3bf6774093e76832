"""The DAG ``synchronize_<connector>``: export, prepare, validate, compare, guard, approve, load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import MultipleCronTriggerTimetable, Param, TriggerRule, dag, task

from include.model.configuration import Connector
from include.orchestration.connections import exporting_connections
from include.orchestration.decisions import DECISIONS, REJECT
from include.orchestration.tasks import (
    APPROVAL_TIME,
    DEFAULT_ARGUMENTS,
    approval_body,
    close_run,
    open_run,
    push_verdict,
    repository_asset,
    step,
)

if TYPE_CHECKING:
    from airflow.sdk import DAG


@task
@step
def export(connection: str, run: dict[str, Any]) -> dict[str, Any]:
    """Export one connection, on the connector's agent."""
    from include.orchestration import synchronize
    from include.orchestration.run import Run

    return synchronize.export(Run(**run), connection)


@task
@step
def prepare(run: dict[str, Any]) -> dict[str, Any]:
    """Clean the export; set aside what cannot be used."""
    from include.orchestration import synchronize
    from include.orchestration.run import Run

    return synchronize.prepare(Run(**run))


@task
@step
def validate(run: dict[str, Any]) -> dict[str, Any]:
    """Run the expectations."""
    from include.orchestration import synchronize
    from include.orchestration.run import Run

    return synchronize.validate(Run(**run))


@task
@step
def compare(run: dict[str, Any]) -> dict[str, Any]:
    """Compare the snapshot with the repository."""
    from include.orchestration import synchronize
    from include.orchestration.run import Run

    return synchronize.compare(Run(**run))


@task.branch
@step
def guard(run: dict[str, Any], changes: dict[str, Any], ti: Any = None) -> str:
    """Check the thresholds, and let a person decide above them."""
    from include.orchestration import synchronize
    from include.orchestration.run import Run

    verdict = synchronize.guard(Run(**run)) | {"change_set": changes["sha256"]}
    push_verdict(ti, verdict)
    return "approve" if verdict["blocked"] and not run["dry_run"] else "load"


@task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
@step
def load(run: dict[str, Any], ti: Any = None) -> dict[str, Any]:
    """Apply the changes in one transaction and publish the snapshot."""
    from include.orchestration import synchronize
    from include.orchestration.decisions import airflow_decision
    from include.orchestration.run import Run, SkipRun

    verdict = ti.xcom_pull(task_ids="guard", key="verdict")
    result = synchronize.load(Run(**run), airflow_decision(ti.xcom_pull(task_ids="approve")), verdict["change_set"])
    if result["state"] == "rejected":
        raise SkipRun(f"rejected by {result['by']}; nothing was written")
    if result["state"] == "dry run":
        blocked = "it would wait for an approval" if result["blocked"] else "it is within its limits"
        raise SkipRun(f"a dry run: nothing was written; {blocked}")
    return result


def _schedule(connector: Connector) -> Any:
    """When the DAG runs by itself: at the times of both modes, or never."""
    expressions = [item for item in (connector.schedules.complete, connector.schedules.incremental) if item]
    return MultipleCronTriggerTimetable(*expressions, timezone="UTC") if expressions else None


def _documentation(connector: Connector) -> str:
    name = connector.display_name or connector.identifier
    tables = ", ".join(item.identifier for item in connector.entity_types)
    return (
        f"Synchronizes **{name}** into the identity repository ({tables}).\n\n"
        "A run above its thresholds waits at `approve`: answer there, or start a complete run, which takes its place. "
        "A failed task may be cleared at any time; every step run again ends in the same state."
    )


def synchronize_dag(connector: Connector) -> DAG:
    """The synchronization DAG of one connector."""
    identifier = connector.identifier

    @dag(
        dag_id=f"synchronize_{identifier}",
        schedule=_schedule(connector),
        catchup=False,
        max_active_runs=16,  # open_run lets one run in at a time, and says why it skips the others
        default_args=DEFAULT_ARGUMENTS,
        tags=["rollcall", "synchronize", identifier],
        doc_md=_documentation(connector),
        params={
            "mode": Param(
                "complete",
                enum=["complete", "incremental", "initial"],
                description="A scheduled run has the mode of its schedule.",
            ),
            "dry_run": Param(False, type="boolean", description="Walk the whole path and write nothing."),
        },
    )
    def synchronize() -> None:
        opened: Any = open_run(identifier, "synchronize")
        on_agent = export.override(queue=connector.agent, pool=connector.pool)
        exported = on_agent.partial(run=opened).expand(connection=exporting_connections(connector))
        compared: Any = compare(opened)
        exported >> prepare(opened) >> validate(opened) >> compared
        approve = HITLOperator(
            task_id="approve",
            subject=f"{identifier}: changes above the thresholds "
            "({{ ti.xcom_pull(task_ids='guard', key='verdict')['change_set'][:12] }})",
            body=approval_body("guard", "changes"),
            options=list(DECISIONS),
            defaults=[REJECT],
            params={"reason": Param("", type="string", title="Why")},
            response_timeout=APPROVAL_TIME,
        )
        loaded = load.override(outlets=[repository_asset(identifier)])(opened)
        guard(opened, compared) >> [approve, loaded]
        approve >> loaded >> close_run(opened).as_teardown()

    built: DAG = synchronize()
    return built
