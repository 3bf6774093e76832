"""The steps of provisioning: from the repository to orders, to the managed system, and back.

``fulfil`` and ``read_back`` may run on an agent: they touch only the run's files and the managed
system. The other steps read and write the repository.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Fulfiller, Mode
from connectors.errors import ConfigurationError, ConnectorError
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.orchestration import run as runs
from include.orchestration.connections import open_connection
from include.orchestration.decisions import REJECT, Decision
from include.orchestration.evaluation import Reading, evaluate_run, scope, to_cookies, write_order_base
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run, SkipRun, StepFailed
from include.orchestration.synchronize import has_rejected, record_rejection
from include.orchestration.verdicts import log_limits
from include.policy.position import Position
from include.provisioning.dispatch import fulfil_batch, leave_batch_unsent
from include.provisioning.expiry import EXPIRY_CHANGES, expire, may_expire
from include.provisioning.inbound import INBOUND, fulfil_in_repository, held_entity_types
from include.provisioning.orders import generate_orders as write_orders
from include.provisioning.plan import TRANSMISSION_FILE, Batch, Generation, read_generation, released_batch
from include.provisioning.read_back import read_back_batch
from include.provisioning.results import collect_results
from include.provisioning.transmission import transmit as write_transmission
from include.repository.errors import StaleBase
from include.repository.repository import LoadRequest, LoadResult, Repository
from include.repository.runs import PIPELINE
from include.repository.system import PROVISIONING_ENTITY_TYPES, PROVISIONING_ORDER
from include.storage.folder import Folder

logger = logging.getLogger(__name__)

ASSIGNMENTS = tuple(item for item in PROVISIONING_ENTITY_TYPES if item is not PROVISIONING_ORDER)
PROGRESS_EVERY = 50
FULFIL = "fulfil"
STALE_TRIES = 3
"""So often orders are turned into changes again when another load of the connector came between."""
DECISION_FILE = "orders/decision.json"


def _connector(run: Run) -> tuple[Configuration, Connector]:
    configuration = load_project()
    return configuration, find_connector(configuration, run.connector)


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


def read_associations(configuration: Configuration, entity_types: Sequence[EntityType]) -> list[Association]:
    """Every association among these entity types."""
    known = {item.identifier for item in entity_types}
    return [item for item in configuration.associations() if {item.end1.entity_type, item.end2.entity_type} <= known]


def reading(run: Run, repository: Repository, configuration: Configuration, connector: Connector) -> Reading:
    """What the rules of a run's connector read."""
    entity_types = read_entity_types(configuration, connector)
    return Reading(
        run,
        repository,
        configuration,
        connector,
        entity_types,
        read_associations(configuration, entity_types),
        last_reads(repository, configuration, connector),
    )


def last_reads(repository: Repository, configuration: Configuration, connector: Connector) -> dict[str, datetime]:
    """When the export behind the last load of each target entity type began.

    What stands in the repository alone is read whenever the policy is evaluated: since its last load, it is known.
    """
    found: dict[str, datetime] = {}
    for item in connector.resource_types:
        owner = configuration.connector_of(item.target_entity_type)
        if owner is not None and owner.is_inbound:
            loaded_at = repository.last_loaded_at(scope(owner.identifier))
            found |= {item.target_entity_type: loaded_at} if loaded_at else {}
            continue
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
    associations: Sequence[Association] = (),
    decision: Decision | None = None,
    cookies: Mapping[str, str] | None = None,
) -> LoadResult:
    return repository.load(
        LoadRequest(
            load_key=f"{run.run_id}:{step}",
            run_id=run.run_id,
            connector=scope(run.connector),
            changes=changes,
            entity_types=tuple(entity_types),
            associations=tuple(associations),
            base_load=run.folder.read_json("base/base.json")["load_id"],
            actor=decision.actor if decision else PIPELINE,
            detail={"decision": asdict(decision)} if decision else {},
            cookies=cookies or {},
        )
    )


def open_run(connector_identifier: str, run_id: str, mode: Mode = "incremental") -> Run:
    """Open a provisioning run (``run.open_run``), once every target has been read.

    An incremental one evaluates those whom changes concern, where nothing speaks against it.

    Raises:
        SkipRun: a target was never synchronized: creating what may be there already helps nobody.
    """
    configuration = load_project()
    connector = find_connector(configuration, connector_identifier)
    read = last_reads(open_repository(configuration), configuration, connector)
    never_read = sorted({item.target_entity_type for item in connector.resource_types} - set(read))
    if never_read and not connector.is_inbound:
        raise SkipRun(f"{', '.join(never_read)}: never synchronized, so nothing is known of what is there")
    return runs.open_run(connector_identifier, run_id, "provision", mode)


def evaluate(run: Run) -> dict[str, Any]:
    """Evaluate the policy for the connector's resource types and load the assignments; the counters.

    What was loaded is not evaluated again: its files say what became of whom.
    """
    configuration, connector = _connector(run)
    repository = open_repository(configuration)
    if repository.loaded(f"{run.run_id}:evaluate") is None:
        read = reading(run, repository, configuration, connector)
        load_evaluation(run, repository, evaluate_run(read, _opened_at(run, repository)))
    counters: dict[str, Any] = run.folder.read_json("changes/evaluation.json")
    counters["expired"] = _expire(run, repository, configuration, connector)
    logger.info("%s: evaluated: %s", connector.identifier, json.dumps(counters))
    return counters


def load_evaluation(run: Run, repository: Repository, position: Position) -> None:
    """Load what an evaluation has changed, and where it left off."""
    changes = run.folder.child("changes")
    _load(run, repository, "evaluate", entity_types=ASSIGNMENTS, changes=changes, cookies=to_cookies(position))


def _expire(run: Run, repository: Repository, configuration: Configuration, connector: Connector) -> dict[str, int]:
    """Make errors of what nobody has confirmed in time, the evaluation included; orders by resource type."""
    if not may_expire(connector):
        return {}
    write_order_base(reading(run, repository, configuration, connector), _opened_at(run, repository))
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
    decided_at = _opened_at(run, repository)
    write_order_base(reading(run, repository, configuration, connector), decided_at)
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
    released = [item.batch for item in _released(run) if item.stage == stage]
    return [INBOUND] if released and _is_inbound(run) else released


def batches(run: Run) -> list[str]:
    """The batches of all stages, in the order in which they go out one by one; none where nothing was transmitted."""
    released = [item.batch for item in _released(run)]
    return [INBOUND] if released and _is_inbound(run) else released


def _is_inbound(run: Run) -> bool:
    """Whether the repository itself carries the orders out, all at once."""
    return _connector(run)[1].is_inbound


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
    if batch == INBOUND:
        return _fulfil_inbound(run)
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


def _fulfil_inbound(run: Run) -> dict[str, Any]:
    """Carry out all orders of a run in the repository itself, in one load; ``changed`` counts resources and links.

    Raises:
        StaleBase: others load orders of this connector all the time.
    """
    configuration, connector = _connector(run)
    repository = open_repository(configuration)
    loaded = repository.loaded(f"{run.run_id}:{FULFIL}")
    for tries_left in range(STALE_TRIES - 1, -1, -1):
        if loaded is not None:
            break
        _write_held(run, repository, configuration, connector)
        done = fulfil_in_repository(configuration, connector, run.folder, finished_at=datetime.now(UTC))
        logger.info("%s: %s executed, %s errored", connector.identifier, done.executed, done.errored)
        entity_types = (*connector.entity_types, *PROVISIONING_ENTITY_TYPES)
        try:
            loaded = _load(
                run,
                repository,
                FULFIL,
                entity_types=entity_types,
                changes=done.changes,
                associations=connector.associations,
            )
        except StaleBase:
            if not tries_left:
                raise
    if loaded is None:
        raise AssertionError
    counted = [loaded.entity_types.get(item.identifier, {}) for item in connector.entity_types]
    changed = sum(sum(counts.values()) for counts in (*counted, *loaded.associations.values()))
    return {"batch": INBOUND, "changed": changed}


def _write_held(run: Run, repository: Repository, configuration: Configuration, connector: Connector) -> None:
    repository.export_base(
        run.folder.child("base"),
        scope(connector.identifier),
        [*held_entity_types(configuration, connector), *PROVISIONING_ENTITY_TYPES],
        connector.associations,
        resource_ids=True,
    )


def _log_progress(batch: str) -> Callable[[int, int], None]:
    def log(done: int, total: int) -> None:
        if done % PROGRESS_EVERY == 0 or done == total:
            logger.info("%s: %s of %s orders", batch, done, total)

    return log


def read_back(run: Run, batch: str) -> dict[str, Any]:
    """Read what one batch wrote, where the system can be read by key; else the next synchronization verifies."""
    if batch == INBOUND:  # what was written is what is there; the next evaluation verifies
        return {"batch": batch, "read": 0, "verified": 0}
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
    write_order_base(reading(run, repository, configuration, connector), _opened_at(run, repository))
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
    missing = _without_results(run, repository, connector)
    if missing:
        raise StepFailed(
            f"{connector.identifier}: no results of {', '.join(missing)}; clear their fulfil task to go on"
        )
    repository.close_run(run.run_id, "done", counters=collection.report)
    return dict(collection.report)


def _without_results(run: Run, repository: Repository, connector: Connector) -> list[str]:
    """The batches whose fulfilment has not come to its end."""
    batches = [item.batch for item in read_generation(run.folder).batches]
    if connector.is_inbound:
        return [INBOUND] if batches and repository.loaded(f"{run.run_id}:{FULFIL}") is None else []
    return [item for item in batches if not run.folder.exists(f"orders/{item}.results.json")]
