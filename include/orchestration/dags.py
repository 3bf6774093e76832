"""DAGs from the configuration: ``synchronize_``, ``provision_`` and ``fulfil_files_`` of connectors, and maintenance.

A file with mistakes never takes the other connectors' DAGs away: its DAGs keep their names, carry the
tag ``config-error``, and their single task fails with the mistakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.orchestration.project import load_project

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.model.configuration import BrokenConnector


def build_dags(only: str | None = None) -> dict[str, DAG]:
    """Every DAG of the configuration in use by DAG id, or the one asked for.

    Args:
        only: a DAG id; a worker that runs one task builds just its DAG.
    """
    from include.orchestration.maintenance_dag import DAG_ID, maintenance_dag
    from include.orchestration.order_files import file_connections
    from include.orchestration.order_files_dag import order_files_dag
    from include.orchestration.provision_dag import provision_dag
    from include.orchestration.synchronize_dag import synchronize_dag

    configuration = load_project()
    dags: dict[str, DAG] = {}
    for connector in configuration.connectors:
        if (
            connector.entity_types
            and not connector.is_inbound
            and only in {None, f"synchronize_{connector.identifier}"}
        ):
            dags[f"synchronize_{connector.identifier}"] = synchronize_dag(connector)
        if connector.resource_types and only in {None, f"provision_{connector.identifier}"}:
            dags[f"provision_{connector.identifier}"] = provision_dag(connector, configuration)
        if only in {None, f"fulfil_files_{connector.identifier}"} and file_connections(connector):
            dags[f"fulfil_files_{connector.identifier}"] = order_files_dag(connector)
    if only in {None, DAG_ID}:
        dags[DAG_ID] = maintenance_dag()
    for broken in configuration.broken:
        dag_id = f"synchronize_{broken.identifier}"
        if only in {None, dag_id}:
            dags[dag_id] = _broken_dag(dag_id, broken)
    return dags


def _broken_dag(dag_id: str, broken: BrokenConnector) -> DAG:
    from airflow.sdk import dag, task
    from airflow.sdk.exceptions import AirflowFailException

    lines = [str(mistake) for mistake in broken.mistakes]
    text = "The configuration of this connector has mistakes:\n\n" + "\n".join(f"* `{line}`" for line in lines)

    @dag(dag_id=dag_id, schedule=None, catchup=False, tags=["rollcall", "config-error", broken.identifier], doc_md=text)
    def broken_connector() -> None:
        @task(retries=0)
        def report_mistakes() -> None:
            raise AirflowFailException("; ".join(lines))

        report_mistakes()

    built: DAG = broken_connector()
    return built
