"""The steps of provisioning: from the repository to orders, to the managed system, and back.

``fulfil`` and ``read_back`` may run on an agent: they touch only the run's files and the managed
system. The other steps read and write the repository.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Fulfiller
from connectors.errors import ConfigurationError, ConnectorError
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.orchestration import run as runs
from include.orchestration.connections import open_connection
from include.orchestration.decisions import REJECT, Decision
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run, SkipRun, StepFailed
from include.orchestration.synchronize import has_rejected, record_rejection
from include.orchestration.verdicts import log_limits
from include.policy.evaluate import evaluate as evaluate_policy
from include.provisioning.dispatch import fulfil_batch, leave_batch_unsent
from include.provisioning.expiry import EXPIRY_CHANGES, expire, may_expire
from include.provisioning.orders import generate_orders as write_orders
from include.provisioning.plan import TRANSMISSION_FILE, Batch, Generation, read_generation, released_batch
from include.provisioning.read_back import read_back_batch
from include.provisioning.results import collect_results
from include.provisioning.transmission import transmit as write_transmission
from include.repository.repository import LoadRequest, LoadResult, Repository
from include.repository.runs import PIPELINE
from include.repository.system import PROVISIONING_ENTITY_TYPES, PROVISIONING_ORDER
from include.storage.folder import Folder

logger = logging.getLogger(__name__)

ASSIGNMENTS = tuple(item for item in PROVISIONING_ENTITY_TYPES if item is not PROVISIONING_ORDER)
PROGRESS_EVERY = 50
DECISION_FILE = "orders/decision.json"


def _connector(run: Run) -> tuple[Configuration, Connector]:
    configuration = load_project()
    return configuration, find_connector(configuration, run.connector)


def scope(connector: str) -> str:
    """The name under which provisioning steps of a connector are loaded."""
    return f"provision:{connector}"


def read_entity_types(configuration: Configuration, connector: Connector) -> list[EntityType]:
    """Every entity type that the connector's rules may read: owners, targets, and all that links reach."""
    wanted = [
        identifier
        for item in connector.resource_types
        for identifier in (item.source_entity_type, item.target_entity_type)
    ]
    found: dict[str, EntityType] = {}
    while wanted:
        identifier = wanted.pop(0)
        entity_type = configuration.entity_type(identifier)
        if entity_type is None or identifier in found:
            continue
        found[identifier] = entity_type
        for association in configuration.associations():
            ends = [association.end1.entity_type, association.end2.entity_type]
            if identifier in ends:
                wanted.extend(ends)
    return list(found.values())


def _read_associations(configuration: Configuration, entity_types: Sequence[EntityType]) -> list[Association]:
    known = {item.identifier for item in entity_types}
    return [item for item in configuration.associations() if {item.end1.entity_type, item.end2.entity_type} <= known]


def _write_base(run: Run, repository: Repository, configuration: Configuration, connector: Connector) -> int:
    entity_types = read_entity_types(configuration, connector)
    return repository.export_base(
        run.folder.child("base"),
        scope(connector.identifier),
        [*entity_types, *PROVISIONING_ENTITY_TYPES],
        _read_associations(configuration, entity_types),
        resource_ids=True,
    )


def _target_read_at(repository: Repository, configuration: Configuration, connector: Connector) -> dict[str, datetime]:
    """When the export behind the last load of each target entity type began."""
    found: dict[str, datetime] = {}
    for item in connector.resource_types:
        owner = configuration.connector_of(item.target_entity_type)
        snapshot = repository.last_snapshot(owner.identifier) if owner else None
        if snapshot is not None:
            read_at = json.loads(snapshot.manifest)["facts"]["read_at"]
            found[item.target_entity_type] = datetime.fromisoformat(read_at).astimezone(UTC)
    return found


def _load(
    run: Run,
    repository: Repository,
    step: str,
    *,
    entity_types: Sequence[EntityType],
    changes: Folder,
    decision: Decision | None = None,
) -> LoadResult:
    return repository.load(
        LoadRequest(
            load_key=f"{run.run_id}:{step}",
            run_id=run.run_id,
            connector=scope(run.connector),
            changes=changes,
            entity_types=tuple(entity_types),
            associations=(),
            base_load=run.folder.read_json("base/base.json")["load_id"],
            actor=decision.actor if decision else PIPELINE,
            detail={"decision": asdict(decision)} if decision else {},
        )
    )


def open_run(connector_identifier: str, run_id: str) -> Run:
    """Open a provisioning run (``run.open_run``), once every target has been read.

    Raises:
        SkipRun: a target was never synchronized: creating what may be there already helps nobody.
    """
    configuration = load_project()
    connector = find_connector(configuration, connector_identifier)
    read = _target_read_at(open_repository(configuration), configuration, connector)
    never_read = sorted({item.target_entity_type for item in connector.resource_types} - set(read))
    if never_read:
        raise SkipRun(f"{', '.join(never_read)}: never synchronized, so nothing is known of what is there")
    return runs.open_run(connector_identifier, run_id, "provision")


def evaluate(run: Run) -> dict[str, Any]:
    """Evaluate the policy for the connector's resource types and load the assignments; the counters."""
    configuration, connector = _connector(run)
    repository = open_repository(configuration)
    _write_base(run, repository, configuration, connector)
    evaluate_policy(
        configuration,
        connector.resource_types,
        run.folder,
        evaluated_at=_opened_at(run, repository),
        target_read_at=_target_read_at(repository, configuration, connector),
    )
    _load(run, repository, "evaluate", entity_types=ASSIGNMENTS, changes=run.folder.child("changes"))
    counters: dict[str, Any] = run.folder.read_json("changes/evaluation.json")
    counters["expired"] = _expire(run, repository, configuration, connector)
    logger.info("%s: evaluated: %s", connector.identifier, json.dumps(counters))
    return counters


def _expire(run: Run, repository: Repository, configuration: Configuration, connector: Connector) -> dict[str, int]:
    """Make errors of what nobody has confirmed in time, the evaluation included; orders by resource type."""
    if not may_expire(connector):
        return {}
    _write_base(run, repository, configuration, connector)
    expired = expire(connector, run.folder, expired_at=_opened_at(run, repository))
    if expired:
        changes = run.folder.child("changes", EXPIRY_CHANGES)
        _load(run, repository, "expire", entity_types=PROVISIONING_ENTITY_TYPES, changes=changes)
    for resource_type, orders in expired.items():
        logger.warning("%s: %s orders were not confirmed in time", resource_type, orders)
    return expired


def _opened_at(run: Run, repository: Repository) -> datetime:
    record = repository.run(run.run_id)
    if record is None:
        raise StepFailed(f"{run.connector}: run {run.run_id} was never opened")
    return record.opened_at


def generate_orders(run: Run) -> dict[str, Any]:
    """Write the order files of everything pending, and check the provisioning thresholds; the verdict.

    Once the orders of this run were handed over, generating again changes nothing.
    """
    configuration, connector = _connector(run)
    repository = open_repository(configuration)
    _write_base(run, repository, configuration, connector)
    decided_at = _opened_at(run, repository)
    generation = write_orders(configuration, connector, run.folder, run_id=run.run_id, decided_at=decided_at)
    log_limits(connector.identifier, generation.verdict)
    _log_withheld(generation)
    waiting = generation.verdict.blocked and repository.loaded(f"{run.run_id}:transmit") is None
    if waiting:
        exceeded = "; ".join(str(line) for line in generation.verdict.lines if line.exceeded)
        repository.close_run(run.run_id, "blocked", exceeded)
        logger.warning("%s: blocked: %s", connector.identifier, exceeded)
    return generation.verdict.to_json() | {"blocked": waiting, "plan": generation.plan}


def _log_withheld(generation: Generation) -> None:
    for resource_type, counted in generation.counters.items():
        for barrier, orders in sorted(counted["withheld"].items()):
            logger.warning("%s: %s orders are withheld by %s", resource_type, orders, barrier)


def transmit(run: Run, decision: Decision | None = None, shown: str | None = None) -> list[str]:
    """Hand the orders over: their assignments become Transmitted; the batches to fulfil first (``stage_batches``).

    A rejected run stays rejected, however often this is called with the same decision.

    Args:
        run: the run.
        decision: what was said of orders above their thresholds.
        shown: the plan that the decision is about; any other one is refused.

    Raises:
        StepFailed: the orders are above the thresholds and nobody has decided.
    """
    repository = open_repository(load_project())
    generation = read_generation(run.folder)
    blocked = generation.verdict.blocked
    if blocked and repository.loaded(f"{run.run_id}:transmit") is None and _is_rejected(run, repository, decision):
        return []
    runs.reopen(run, repository)
    transmission = write_transmission(run.folder, decision="apply" if blocked else None, plan=shown or generation.plan)
    _load(
        run,
        repository,
        "transmit",
        entity_types=PROVISIONING_ENTITY_TYPES,
        changes=transmission.changes,
        decision=decision if blocked else None,
    )
    return stage_batches(run, 1)


def _is_rejected(run: Run, repository: Repository, decision: Decision | None) -> bool:
    """Keep what was decided on blocked orders; whether they were rejected.

    Raises:
        StepFailed: nobody has decided.
    """
    generation = read_generation(run.folder)
    if decision is None:
        raise StepFailed(
            f"{run.connector}: the orders of run {run.run_id} are above the thresholds and nobody has decided"
        )
    if has_rejected(run, repository, decision, DECISION_FILE):
        return True
    run.folder.write_json(DECISION_FILE, asdict(decision) | {"plan": generation.plan})
    if decision.choice != REJECT:
        return False
    record_rejection(repository, run, decision, {"plan": generation.plan, "verdict": generation.verdict.to_json()})
    logger.warning("%s: orders rejected by %s; none was sent", run.connector, decision.actor)
    return True


def stage_batches(run: Run, stage: int) -> list[str]:
    """The batches of one stage, in order; none where nothing was transmitted.

    Stages go out one after the other: what is created in a stage may be what the next one depends on.
    """
    return [item.batch for item in _released(run) if item.stage == stage]


def batches(run: Run) -> list[str]:
    """The batches of all stages, in the order in which they go out one by one; none where nothing was transmitted."""
    return [item.batch for item in _released(run)]


def _released(run: Run) -> tuple[Batch, ...]:
    transmitted = run.folder.exists(f"orders/{TRANSMISSION_FILE}")
    return read_generation(run.folder).batches if transmitted else ()


def _door(run: Run, batch: str) -> Any:
    """The connector object through which a batch goes."""
    _, connector = _connector(run)
    resource_type = released_batch(run.folder, batch).resource_type
    for item in connector.resource_types:
        if item.identifier == resource_type:
            return open_connection(connector, item.connection)
    raise ConfigurationError(f"{connector.identifier}: resource type '{resource_type}' is gone from the configuration")


def fulfil(run: Run, batch: str) -> dict[str, Any]:
    """Carry out one batch of orders; each on its own, and none twice.

    Raises:
        ConnectorError: the whole batch cannot go on; what was done is kept.
    """
    door = _door(run, batch)
    if not isinstance(door, Fulfiller):
        raise ConfigurationError(f"{run.connector}: the package of its connection cannot fulfil orders")
    result = fulfil_batch(run.folder, batch, door, progress=_log_progress(batch))
    logger.info("%s: %s executed, %s errored, %s withheld", batch, result.executed, result.errored, result.withheld)
    return {"batch": batch, "executed": result.executed, "errored": result.errored, "withheld": result.withheld}


def leave_unsent(run: Run, batch: str, reason: ConnectorError) -> None:
    """Say of a batch that is not begun why not: the next run decides its orders anew."""
    leave_batch_unsent(run.folder, batch, reason)
    logger.warning("%s: not begun: %s", batch, reason.message)


def _log_progress(batch: str) -> Callable[[int, int], None]:
    def log(done: int, total: int) -> None:
        if done % PROGRESS_EVERY == 0 or done == total:
            logger.info("%s: %s of %s orders", batch, done, total)

    return log


def read_back(run: Run, batch: str) -> dict[str, Any]:
    """Read what one batch wrote, where the system can be read by key; else the next synchronization verifies."""
    result = read_back_batch(run.folder, batch, _door(run, batch))
    if result is None:
        return {"batch": batch, "read": 0, "verified": 0}
    logger.info("%s: %s read, %s verified", batch, result.read, result.verified)
    return {"batch": batch, "read": result.read, "verified": result.verified}


def report(run: Run) -> dict[str, Any]:
    """Record results and verifications in the repository; the counters of the run.

    Raises:
        StepFailed: a batch has no results; what the others did is recorded.
    """
    configuration, connector = _connector(run)
    repository = open_repository(configuration)
    if (record := repository.run(run.run_id)) is not None and record.state == "rejected":
        return {"state": "rejected"}
    if not run.folder.exists("orders/generation.json"):
        raise StepFailed(f"{connector.identifier}: no orders were generated; see the task before this one")
    _write_base(run, repository, configuration, connector)
    collection = collect_results(run.folder, recorded_at=datetime.now(UTC))
    if collection.changed:
        attempt = sum(":report" in key for key in repository.loads_of(run.run_id)) + 1
        _load(
            run,
            repository,
            f"report-{attempt}",
            entity_types=PROVISIONING_ENTITY_TYPES,
            changes=collection.changes,
        )
    missing = [
        item.batch
        for item in read_generation(run.folder).batches
        if not run.folder.exists(f"orders/{item.batch}.results.json")
    ]
    if missing:
        raise StepFailed(
            f"{connector.identifier}: no results of {', '.join(missing)}; clear their fulfil task to go on"
        )
    repository.close_run(run.run_id, "done", counters=collection.report)
    return dict(collection.report)
