"""The DAG ``fulfil_files_<connector>``: order files that wait in a folder, fulfilled on the connector's agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import CronTriggerTimetable, dag, task

from include.model.configuration import Connector
from include.orchestration.order_files import file_connections
from include.orchestration.tasks import DEFAULT_ARGUMENTS, step

if TYPE_CHECKING:
    from airflow.sdk import DAG


@task
@step
def fulfil_files(connector: str, connection: str) -> dict[str, Any]:
    """Fulfil the files that wait for one connection; how many files and orders."""
    from include.orchestration import order_files

    return order_files.as_counters(order_files.fulfil_files(connector, connection))


def order_files_dag(connector: Connector) -> DAG:
    """The DAG of one connector that has connections with ``source: folder``."""
    identifier = connector.identifier
    expression = connector.schedules.order_files

    @dag(
        dag_id=f"fulfil_files_{identifier}",
        schedule=CronTriggerTimetable(expression, timezone="UTC") if expression else None,
        catchup=False,
        max_active_runs=1,  # a second reader would look at the files that the first one is moving
        default_args=DEFAULT_ARGUMENTS,
        tags=["rollcall", "fulfil", identifier],
        doc_md=(
            f"Fulfils the order files that wait for **{connector.display_name or identifier}** and moves them to "
            "`Downloaded`, with their results beside them. A file that is put back is carried out again; what it has "
            "started already, it does not start twice."
        ),
    )
    def fulfil_order_files() -> None:
        on_agent = fulfil_files.override(queue=connector.agent, pool=connector.pool)
        on_agent.partial(connector=identifier).expand(connection=file_connections(connector))

    built: DAG = fulfil_order_files()
    return built
