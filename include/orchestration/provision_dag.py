"""The DAG ``provision_<connector>``: evaluate, generate orders, approve, fulfil, read back, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import AssetAny, Param, TriggerRule, dag, task, task_group

from include.model.configuration import Configuration, Connector
from include.orchestration.decisions import APPLY_ALL, REJECT
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
from include.policy.dependency import depth

if TYPE_CHECKING:
    from airflow.sdk import DAG


@task
@step
def evaluate(run: dict[str, Any]) -> dict[str, Any]:
    """Evaluate the policy: who should hold what."""
    from include.orchestration import provision
    from include.orchestration.run import Run

    return provision.evaluate(Run(**run))


@task.branch
@step
def generate_orders(run: dict[str, Any], ti: Any = None) -> str:
    """Write the orders, check their thresholds, and let a person decide above them."""
    from include.orchestration import provision
    from include.orchestration.run import Run

    verdict = provision.generate_orders(Run(**run))
    push_verdict(ti, verdict)
    return "approve" if verdict["blocked"] else "transmit"


@task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
@step
def transmit(run: dict[str, Any], ti: Any = None) -> list[str]:
    """Hand the orders over; the names of the batches."""
    from include.orchestration import provision
    from include.orchestration.decisions import airflow_decision
    from include.orchestration.run import Run

    verdict = ti.xcom_pull(task_ids="generate_orders", key="verdict")
    return provision.transmit(Run(**run), airflow_decision(ti.xcom_pull(task_ids="approve")), verdict["plan"])


@task(trigger_rule=TriggerRule.ALL_DONE)
@step
def stage_batches(run: dict[str, Any] | None, stage: int) -> list[str]:
    """The names of the batches that depend on what earlier stages have created."""
    from include.orchestration import provision
    from include.orchestration.run import Run, SkipRun

    if run is None:
        raise SkipRun("the run was not opened")
    return provision.stage_batches(Run(**run), stage)


@task
@step
def fulfil(name: str, run: dict[str, Any]) -> str:
    """Carry out one batch of orders: on the connector's agent, or in the repository itself."""
    from include.orchestration import provision
    from include.orchestration.run import Run, SkipRun

    if provision.fulfil(Run(**run), name).get("changed") == 0:
        raise SkipRun("nothing changed in the repository")
    return name


@task
@step
def read_back(name: str, run: dict[str, Any]) -> dict[str, Any]:
    """Read what the batch wrote, on the connector's agent."""
    from include.orchestration import provision
    from include.orchestration.run import Run

    return provision.read_back(Run(**run), name)


@task(trigger_rule=TriggerRule.ALL_DONE)
@step
def report(run: dict[str, Any] | None) -> dict[str, Any]:
    """Record results and verifications."""
    from include.orchestration import provision
    from include.orchestration.run import Run, SkipRun

    if run is None:
        raise SkipRun("the run was not opened")
    return provision.report(Run(**run))


def connectors_read(connector: Connector, configuration: Configuration) -> list[str]:
    """Identifiers of the connectors whose entity types the resource types' rules start from or write to."""
    owners = (
        configuration.connector_of(identifier)
        for item in connector.resource_types
        for identifier in (item.source_entity_type, item.target_entity_type)
    )
    return sorted({owner.identifier for owner in owners if owner is not None})


def stages(connector: Connector) -> int:
    """How many stages of batches a run may have: more than one where resource types depend on others."""
    return max((depth(item, connector.resource_types) for item in connector.resource_types), default=1)


def provision_dag(connector: Connector, configuration: Configuration) -> DAG:
    """The provisioning DAG of one connector, run whenever the repository learned what its rules read."""
    identifier = connector.identifier
    read = connectors_read(connector, configuration)

    @dag(
        dag_id=f"provision_{identifier}",
        schedule=AssetAny(*(repository_asset(item) for item in read)),
        catchup=False,
        max_active_runs=1,  # a second run would decide on what the first one is changing
        default_args=DEFAULT_ARGUMENTS,
        tags=["rollcall", "provision", identifier],
        doc_md=f"Provisions **{connector.display_name or identifier}** after each load of {', '.join(read)}.",
        params={
            "mode": Param(
                "incremental",
                enum=["incremental", "complete"],
                description="Whom to evaluate: those whom changes concern, or everybody.",
            ),
        },
    )
    def provision() -> None:
        opened: Any = open_run(identifier, "provision")
        transmitted: Any = transmit(opened)
        approve = HITLOperator(
            task_id="approve",
            subject=f"{identifier}: orders above the thresholds",
            body=approval_body("generate_orders", "orders"),
            options=[APPLY_ALL, REJECT],
            defaults=[REJECT],
            params={"reason": Param("", type="string", title="Why")},
            response_timeout=APPROVAL_TIME,
        )
        evaluate(opened) >> generate_orders(opened) >> [approve, transmitted]
        approve >> transmitted

        @task_group
        def batch(name: str, run: dict[str, Any]) -> None:
            place: dict[str, Any] = {"queue": connector.agent, "pool": connector.pool}
            outlets = []
            if connector.is_inbound:  # no agent reaches the repository, and a load is news for whoever reads it
                place, outlets = {}, [repository_asset(identifier)]
            fulfilled: Any = fulfil.override(outlets=outlets, **place)(name, run)
            read_back.override(**place)(fulfilled, run)

        batches = batch.partial(run=opened).expand(name=transmitted)
        reported: Any = report(opened)
        for stage in range(2, stages(connector) + 1):
            following: Any = stage_batches.override(task_id=f"stage_{stage}")(opened, stage)
            batches >> following
            batches >> reported
            later = batch.override(group_id=f"batch_{stage}")
            batches = later.partial(run=opened).expand(name=following)
        batches >> reported >> close_run(opened).as_teardown()

    built: DAG = provision()
    return built
