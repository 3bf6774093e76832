"""The DAG ``provision_<connector>``: evaluate, generate orders, approve, fulfil, read back, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import AssetAny, Param, TriggerRule, dag, task, task_group, teardown

from include.model.configuration import Configuration, Connector
from include.orchestration.decisions import APPLY_ALL, REJECT
from include.orchestration.tasks import APPROVAL_TIME, DEFAULT_ARGUMENTS, approval_body, repository_asset, step

if TYPE_CHECKING:
    from airflow.sdk import DAG


def connectors_read(connector: Connector, configuration: Configuration) -> list[str]:
    """Identifiers of the connectors whose entity types the resource types' rules read."""
    found: dict[str, None] = {}
    for item in connector.resource_types:
        for identifier in (item.source_entity_type, item.target_entity_type):
            owner = configuration.connector_of(identifier)
            if owner is not None:
                found[owner.identifier] = None
    return sorted(found)


def provision_dag(connector: Connector, configuration: Configuration) -> DAG:
    """The provisioning DAG of one connector, run whenever the repository learned what its rules read."""
    identifier = connector.identifier
    read = connectors_read(connector, configuration)

    @dag(
        dag_id=f"provision_{identifier}",
        schedule=AssetAny(*(repository_asset(item) for item in read)),
        catchup=False,
        max_active_runs=1,  # a run that waits for another one would decide on what that one is changing
        default_args=DEFAULT_ARGUMENTS,
        tags=["rollcall", "provision", identifier],
        doc_md=f"Provisions **{connector.display_name or identifier}** after each load of {', '.join(read)}.",
    )
    def provision() -> None:
        @task
        @step
        def open_run(run_id: str) -> dict[str, Any]:
            from include.orchestration.run import open_run

            return open_run(identifier, run_id, "provision").to_dict()

        @task
        @step
        def evaluate(run: dict[str, Any]) -> dict[str, Any]:
            from include.orchestration.provision import evaluate
            from include.orchestration.run import Run

            return evaluate(Run(**run))

        @task.branch
        @step
        def generate_orders(run: dict[str, Any], ti: Any = None) -> str:
            from include.orchestration.provision import generate_orders
            from include.orchestration.run import Run

            verdict = generate_orders(Run(**run))
            ti.xcom_push(key="verdict", value=verdict)
            return "approve" if verdict["blocked"] else "transmit"

        approve = HITLOperator(
            task_id="approve",
            subject=f"{identifier}: orders above the thresholds",
            body=approval_body("generate_orders", "orders"),
            options=[APPLY_ALL, REJECT],
            defaults=[REJECT],
            params={"reason": Param("", type="string", title="Why")},
            response_timeout=APPROVAL_TIME,
        )

        @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
        @step
        def transmit(run: dict[str, Any], ti: Any = None) -> list[str]:
            from include.orchestration.decisions import airflow_decision
            from include.orchestration.provision import transmit
            from include.orchestration.run import Run

            return transmit(Run(**run), airflow_decision(ti.xcom_pull(task_ids="approve")))

        @task_group
        def batch(name: str, run: dict[str, Any]) -> None:
            @task(queue=connector.agent, pool=connector.pool)
            @step
            def fulfil(name: str, run: dict[str, Any]) -> str:
                from include.orchestration.provision import fulfil
                from include.orchestration.run import Run

                fulfil(Run(**run), name)
                return name

            @task(queue=connector.agent, pool=connector.pool)
            @step
            def read_back(name: str, run: dict[str, Any]) -> dict[str, Any]:
                from include.orchestration.provision import read_back
                from include.orchestration.run import Run

                return read_back(Run(**run), name)

            read_back(fulfil(name, run), run)

        @task(trigger_rule=TriggerRule.ALL_DONE)
        @step
        def report(run: dict[str, Any] | None) -> dict[str, Any]:
            from include.orchestration.provision import report
            from include.orchestration.run import Run, SkipRun

            if run is None:
                raise SkipRun("the run was not opened")
            return report(Run(**run))

        @teardown
        @step
        def close_run(run: dict[str, Any], ti: Any = None) -> str:
            from include.orchestration.decisions import outcome_of
            from include.orchestration.run import Run, close_run

            return close_run(Run(**run), outcome_of(ti))

        opened = open_run()
        generated = generate_orders(opened)
        transmitted = transmit(opened)
        closed = close_run(opened)
        evaluate(opened) >> generated >> [approve, transmitted]
        approve >> transmitted
        fulfilled = batch.partial(run=opened).expand(name=transmitted)
        fulfilled >> report(opened) >> closed
        closed.operator.as_teardown(setups=opened.operator)

    built: DAG = provision()
    return built
