"""The DAG ``synchronize_<connector>``: export, prepare, validate, compare, guard, approve, load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param, TriggerRule, dag, task, teardown

from include.model.configuration import Connector
from include.orchestration.connections import exporting_connections
from include.orchestration.decisions import DECISIONS, REJECT
from include.orchestration.tasks import APPROVAL_TIME, DEFAULT_ARGUMENTS, approval_body, repository_asset, step

if TYPE_CHECKING:
    from airflow.sdk import DAG


def _documentation(connector: Connector) -> str:
    name = connector.display_name or connector.identifier
    tables = ", ".join(item.identifier for item in connector.entity_types)
    return (
        f"Synchronizes **{name}** into the identity repository ({tables}).\n\n"
        "A run above its thresholds waits at `approve`: answer there. A failed task may be cleared at any time; "
        "every step run again ends in the same state."
    )


def synchronize_dag(connector: Connector) -> DAG:
    """The synchronization DAG of one connector."""
    identifier = connector.identifier

    @dag(
        dag_id=f"synchronize_{identifier}",
        schedule=connector.schedules.complete,
        catchup=False,
        max_active_runs=16,  # open_run lets one run in at a time, and says why it skips the others
        default_args=DEFAULT_ARGUMENTS,
        tags=["rollcall", "synchronize", identifier],
        doc_md=_documentation(connector),
        params={"mode": Param("complete", enum=["complete", "incremental", "initial"])},
        render_template_as_native_obj=False,
    )
    def synchronize() -> None:
        @task
        @step
        def open_run(run_id: str, params: dict[str, Any]) -> dict[str, Any]:
            from include.orchestration.run import open_run

            return open_run(identifier, run_id, "synchronize", params["mode"]).to_dict()

        @task(queue=connector.agent, pool=connector.pool, map_index_template="{{ connection }}")
        @step
        def export(connection: str, run: dict[str, Any]) -> dict[str, Any]:
            from include.orchestration.run import Run
            from include.orchestration.synchronize import export

            return export(Run(**run), connection)

        @task
        @step
        def prepare(run: dict[str, Any]) -> dict[str, Any]:
            from include.orchestration.run import Run
            from include.orchestration.synchronize import prepare

            return prepare(Run(**run))

        @task
        @step
        def validate(run: dict[str, Any]) -> dict[str, Any]:
            from include.orchestration.run import Run
            from include.orchestration.synchronize import validate

            return validate(Run(**run))

        @task
        @step
        def compare(run: dict[str, Any]) -> dict[str, Any]:
            from include.orchestration.run import Run
            from include.orchestration.synchronize import compare

            return compare(Run(**run))

        @task.branch
        @step
        def guard(run: dict[str, Any], changes: dict[str, Any], ti: Any = None) -> str:
            from include.orchestration.run import Run
            from include.orchestration.synchronize import guard

            verdict = guard(Run(**run)) | {"change_set": changes["sha256"]}
            ti.xcom_push(key="verdict", value=verdict)
            return "approve" if verdict["blocked"] else "load"

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

        @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS, outlets=[repository_asset(identifier)])
        @step
        def load(run: dict[str, Any], ti: Any = None) -> dict[str, Any]:
            from include.orchestration.decisions import airflow_decision
            from include.orchestration.run import Run, SkipRun
            from include.orchestration.synchronize import load

            result = load(Run(**run), airflow_decision(ti.xcom_pull(task_ids="approve")))
            if result["state"] == "rejected":
                ti.xcom_push(key="return_value", value=result)
                raise SkipRun(f"rejected by {result['by']}; nothing was written")
            return result

        @teardown
        @step
        def close_run(run: dict[str, Any], ti: Any = None) -> str:
            from include.orchestration.decisions import outcome_of
            from include.orchestration.run import Run, close_run

            return close_run(Run(**run), outcome_of(ti))

        opened = open_run()
        exported = export.partial(run=opened).expand(connection=exporting_connections(connector))
        prepared = prepare(opened)
        validated = validate(opened)
        compared = compare(opened)
        guarded = guard(opened, compared)
        loaded = load(opened)
        closed = close_run(opened)
        exported >> prepared >> validated >> compared
        guarded >> [approve, loaded]
        approve >> loaded >> closed
        closed.operator.as_teardown(setups=opened.operator)

    built: DAG = synchronize()
    return built
