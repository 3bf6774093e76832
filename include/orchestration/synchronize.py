"""The steps of a synchronization: from a managed system's export to the repository.

Each step reads and writes the files of its run or rows keyed by the run id, and can be run again at
any time. The DAGs and the ``rollcall`` command call the same steps.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Exporter, ExportReport, ExportRequest
from connectors.errors import ConfigurationError, CookieExpired
from connectors.sink import CsvSink
from include.expressions.computed import computed_sources
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.orchestration.connections import exporting_connections, open_connection
from include.orchestration.decisions import APPLY_WITHOUT_DELETIONS, REJECT, Decision
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run, StepFailed, reopen
from include.repository.repository import LoadRequest, Repository
from include.snapshot import manifest
from include.snapshot.compare import compare_snapshot
from include.snapshot.guard import check_thresholds
from include.snapshot.prepare import prepare as prepare_tables
from include.snapshot.validate import validate as validate_tables

logger = logging.getLogger(__name__)


def _connector(run: Run) -> tuple[Configuration, Connector]:
    configuration = load_project()
    return configuration, find_connector(configuration, run.connector)


def _export(exporter: Exporter, run: Run, cookie: str | None) -> tuple[ExportReport, str | None]:
    """Export, turning to a complete export in the same run when the cookie has expired."""
    sink = CsvSink(lambda name: run.folder.write(f"raw/{name}"))
    try:
        return exporter.export(ExportRequest(run.mode, cookie), sink), None
    except CookieExpired as error:
        if run.mode != "incremental":
            raise
        logger.warning("%s; exporting completely instead", error)
        return exporter.export(ExportRequest("complete"), sink), error.message


def export(run: Run, connection: str) -> dict[str, Any]:
    """Export every mapped table of one connection to ``raw/``; the report.

    Raises:
        ConnectorError: one line; nothing of a failed table is visible.
    """
    if manifest.published(run.folder):
        return dict(run.folder.read_json(f"raw/{connection}.report.json"))
    _, connector = _connector(run)
    door = open_connection(connector, connection)
    if not isinstance(door, Exporter):
        raise ConfigurationError(f"{connection}: its package cannot export")
    started_at = datetime.now(UTC).isoformat()
    report, fallback = _export(door, run, run.cookies.get(connection))
    content = asdict(report) | {"connection": connection, "started_at": started_at, "fallback": fallback}
    run.folder.write_json(f"raw/{connection}.report.json", content)
    for table in report.tables:
        state = "complete" if table.complete else f"INCOMPLETE ({table.reason})"
        logger.info("%s: exported %s rows, %s", table.table, f"{table.rows:,}", state)
    return content


def _referenced_entity_types(configuration: Configuration, connector: Connector) -> list[EntityType]:
    """The connector's entity types, then those of others that its associations end in or its expressions read."""
    found = {item.identifier: item for item in connector.entity_types}
    for association in connector.associations:
        for end in (association.end1, association.end2):
            entity_type = configuration.entity_type(end.entity_type)
            if entity_type is not None:
                found.setdefault(entity_type.identifier, entity_type)
    for identifier in computed_sources(connector, configuration).entity_types:
        entity_type = configuration.entity_type(identifier)
        if entity_type is not None:
            found.setdefault(identifier, entity_type)
    return list(found.values())


def _referenced_associations(configuration: Configuration, connector: Connector) -> list[Association]:
    """The connector's associations, then those of other connectors that its expressions follow."""
    read = computed_sources(connector, configuration).associations
    own = {item.identifier for item in connector.associations}
    others = (item for item in configuration.associations() if item.identifier in read - own)
    return [*connector.associations, *others]


def prepare(run: Run) -> dict[str, Any]:
    """Write the repository's present rows to ``base/`` and the cleaned tables to ``clean/``; the counters."""
    if manifest.published(run.folder):
        return dict(run.folder.read_json("clean/preparation.json"))
    configuration, connector = _connector(run)
    repository = open_repository(configuration)
    repository.export_base(
        run.folder.child("base"),
        connector.identifier,
        _referenced_entity_types(configuration, connector),
        _referenced_associations(configuration, connector),
    )
    prepare_tables(connector, configuration, run.folder)
    counters: dict[str, Any] = run.folder.read_json("clean/preparation.json")
    for kind in counters.values():
        for identifier, count in kind.items():
            logger.info("%s: %s", identifier, ", ".join(f"{name} {value}" for name, value in count.items()))
    return counters


def validate(run: Run) -> dict[str, Any]:
    """Run the expectations over the clean tables; warnings stay with the snapshot.

    Raises:
        StepFailed: a critical expectation failed, or a check could not be carried out.
    """
    _, connector = _connector(run)
    if manifest.published(run.folder):
        return {"results": run.folder.file("validation/results.json")}
    validation = validate_tables(connector, run.folder)
    for warning in validation.warnings:
        logger.warning("%s", warning)
    if validation.critical:
        more = f" (and {len(validation.critical) - 1} more)" if len(validation.critical) > 1 else ""
        raise StepFailed(f"{connector.identifier}: {validation.critical[0]}{more}; nothing was compared or written")
    return {"success": validation.success, "warnings": len(validation.warnings)}


def compare(run: Run) -> dict[str, Any]:
    """Compare the snapshot with the repository into ``changes/``; the counters and the change set's hash."""
    if manifest.published(run.folder):
        return dict(run.folder.read_json("changes/changes.json"))
    configuration, connector = _connector(run)
    changes = compare_snapshot(connector, configuration, run.folder, run.mode)
    for identifier, counters in changes.entity_types.items():
        if failed := counters.get("not_computed"):
            logger.warning(
                "%s: %s values could not be computed; they are empty, and among the rejects", identifier, failed
            )
    return dict(run.folder.read_json("changes/changes.json"))


def guard(run: Run) -> dict[str, Any]:
    """Check the thresholds; a blocked run is marked so, and waits for a decision."""
    configuration, connector = _connector(run)
    if manifest.published(run.folder):
        return dict(run.folder.read_json("changes/verdict.json"))
    verdict = check_thresholds(connector, run.folder, run.mode)
    if verdict.blocked:
        repository = open_repository(configuration)
        exceeded = "; ".join(str(line) for line in verdict.lines if line.exceeded)
        repository.close_run(run.run_id, "blocked", exceeded)
        logger.warning("%s: blocked: %s", connector.identifier, exceeded)
    return dict(run.folder.read_json("changes/verdict.json"))


def _decide(run: Run, verdict: Mapping[str, Any], change_set: str, decision: Decision | None) -> Decision | None:
    """The decision that goes with the change set, kept beside it.

    Raises:
        StepFailed: the run is blocked and nobody has decided.
    """
    if not verdict["blocked"]:
        return None
    if decision is None:
        raise StepFailed(
            f"{run.connector}: run {run.run_id} is blocked by its thresholds and nobody has decided; "
            "answer its approval, or run again with --approve or --reject"
        )
    run.folder.write_json("changes/decision.json", asdict(decision) | {"change_set": change_set})
    return decision


def record_rejection(repository: Repository, run: Run, decision: Decision, shown: Mapping[str, Any]) -> None:
    """Close a run as rejected, with who said so, why, and what they saw, on the audit trail."""
    message = f"rejected by {decision.actor}" + (f": {decision.reason}" if decision.reason else "")
    record = repository.run(run.run_id)
    if record is not None and record.state != "rejected":
        repository.record(decision.actor, "reject", run.run_id, {"decision": asdict(decision), **shown})
    repository.close_run(run.run_id, "rejected", message, actor=decision.actor)


def load(run: Run, decision: Decision | None = None, shown: str | None = None) -> dict[str, Any]:
    """Apply the change set in one transaction, move the cookies, and publish the snapshot.

    A second call for the same run changes nothing. A rejected run writes nothing but its rejection.

    Args:
        run: the run.
        decision: what was said of a blocked run.
        shown: hash of the change set that the decision is about; any other one is refused.

    Raises:
        StepFailed: blocked and undecided, or decided for another change set.
        StaleBase: another run was loaded since this one compared.
    """
    configuration, connector = _connector(run)
    repository = open_repository(configuration)
    verdict = run.folder.read_json("changes/verdict.json")
    changes = run.folder.read_json("changes/changes.json")
    if shown is not None and shown != changes["sha256"]:
        raise StepFailed(f"{run.connector}: the changes are not those that were decided on; clear guard to ask again")
    if not manifest.published(run.folder):
        reopen(run, repository)
        taken = _decide(run, verdict, changes["sha256"], decision)
        if taken is not None and taken.choice == REJECT:
            record_rejection(repository, run, taken, {"change_set": changes["sha256"], "verdict": verdict})
            logger.warning("%s: rejected by %s; nothing was written", connector.identifier, taken.actor)
            return {"state": "rejected", "by": taken.actor, "reason": taken.reason}
        decision = taken
    request = LoadRequest(
        load_key=f"{run.run_id}:load",
        run_id=run.run_id,
        connector=connector.identifier,
        changes=run.folder.child("changes"),
        entity_types=connector.entity_types,
        associations=connector.associations,
        base_load=changes["base_load"],
        skip_deletions=decision is not None and decision.choice == APPLY_WITHOUT_DELETIONS,
        cookies=_cookies(run, connector),
        manifest=_manifest(run, connector, configuration, repository.last_snapshot(connector.identifier), changes),
        actor=decision.actor if decision else "pipeline",
        detail={"change_set": changes["sha256"], "decision": asdict(decision) if decision else None},
    )
    result = repository.load(request)
    recorded = repository.snapshot(run.run_id)
    if recorded is not None:
        manifest.publish(run.folder, recorded.manifest)
    logger.info(
        "%s: load %s%s", connector.identifier, result.load_id, " (was loaded before)" if result.already_loaded else ""
    )
    return {"state": "loaded", "load_id": result.load_id} | {
        "entity_types": dict(result.entity_types),
        "associations": dict(result.associations),
    }


def _reports(run: Run, connector: Connector) -> dict[str, dict[str, Any]]:
    return {
        connection: run.folder.read_json(f"raw/{connection}.report.json")
        for connection in exporting_connections(connector)
    }


def _cookies(run: Run, connector: Connector) -> dict[str, str]:
    reports = _reports(run, connector)
    return {connection: report["cookie"] for connection, report in reports.items() if report["cookie"]}


def _manifest(
    run: Run, connector: Connector, configuration: Configuration, previous: Any, changes: Mapping[str, Any]
) -> str:
    content: str = manifest.build_manifest(
        connector,
        configuration.version,
        run.folder,
        previous_sha256=previous.sha256 if previous is not None else None,
        counters={"preparation": run.folder.read_json("clean/preparation.json"), "changes": changes},
        facts={
            "run_id": run.run_id,
            "mode": run.mode,
            "requested_mode": run.requested_mode,
            "reason": run.reason,
            # The earliest start of an export: what happened in the system after it may not be in here.
            "read_at": min(report["started_at"] for report in _reports(run, connector).values()),
        },
    )
    return content
