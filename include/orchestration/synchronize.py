"""The steps of a synchronization: from a managed system's export to the repository.

Each step reads and writes the files of its run or rows keyed by the run id, and can be run again at
any time. The DAGs and the ``rollcall`` command call the same steps.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

from connectors.contract import Exporter, ExportReport, ExportRequest
from connectors.errors import ConfigurationError, CookieExpired
from connectors.sink import CsvSink
from include.model.configuration import Configuration, Connector
from include.model.remembered import REMEMBERED
from include.orchestration.base import load_key, write_base
from include.orchestration.connections import exporting_connections, open_connection
from include.orchestration.decisions import APPLY_WITHOUT_DELETIONS, REJECT, Decision
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run, StepFailed, previous_snapshot, refuse_removed, refuse_superseded, reopen
from include.orchestration.settlement import begin_load, is_frozen, settle
from include.orchestration.verdicts import log_limits
from include.repository.repository import LoadRequest, Repository
from include.repository.runs import PIPELINE
from include.snapshot import manifest
from include.snapshot.compare import Changes, compare_snapshot, fingerprint
from include.snapshot.gates import read_gates
from include.snapshot.guard import check_thresholds
from include.snapshot.prepare import begin as begin_preparation
from include.snapshot.prepare import prepare as prepare_tables
from include.snapshot.profile import last_good_profiles
from include.snapshot.reuse import same_origin, take_over_tables
from include.snapshot.validate import validate as validate_tables

logger = logging.getLogger(__name__)


def _connector(run: Run) -> tuple[Configuration, Connector]:
    configuration = load_project()
    return configuration, find_connector(configuration, run.connector)


def _repository(run: Run, configuration: Configuration) -> Repository:
    """The repository, for a step of a run that still has its place, and its files.

    Raises:
        SkipRun: another run has taken it, or retention has removed them.
    """
    repository = open_repository(configuration, migrate=not run.dry_run)
    refuse_superseded(run, repository)
    refuse_removed(run, repository)
    return repository


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
    if is_frozen(run):
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


def _report_fallbacks(run: Run, repository: Repository, connector: Connector) -> None:
    """Put on record that connections of an incremental run were exported completely after all."""
    fallbacks = {name: why for name, report in _reports(run, connector).items() if (why := report.get("fallback"))}
    if fallbacks and not run.dry_run:
        mode = "complete" if len(fallbacks) == len(exporting_connections(connector)) else run.mode
        repository.change_mode(run.run_id, mode, "; ".join(f"{name}: {why}" for name, why in fallbacks.items()))


def prepare(run: Run) -> dict[str, Any]:
    """Write what is stored to ``base/`` and the cleaned tables to ``clean/``; the counters."""
    configuration, connector = _connector(run)
    repository = _repository(run, configuration)
    if settle(run, repository):
        return dict(run.folder.read_json("clean/preparation.json"))
    _report_fallbacks(run, repository, connector)
    previous = same_origin(previous_snapshot(repository, connector.identifier), connector)
    begin_preparation(run.folder)
    # Files are copied and proved while the repository is read.
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take_over_tables, connector, run.folder, previous)
        write_base(run, repository, configuration, connector)
    # From the repository: gates stand although the files of the last run may be gone.
    published = repository.last_snapshot(connector.identifier)
    last_good = last_good_profiles(json.loads(published.manifest)) if published is not None else {}
    prepare_tables(connector, configuration, run.folder, run_id=run.run_id, taken=taken.result(), last_good=last_good)
    counters: dict[str, Any] = run.folder.read_json("clean/preparation.json")
    for kind in counters.values():
        for identifier, count in kind.items():
            logger.info("%s: %s", identifier, ", ".join(f"{name} {value}" for name, value in count.items()))
    for line in read_gates(run.folder):
        if line.exceeded and run.mode != "initial":
            logger.warning("%s", line)
    return counters


def validate(run: Run) -> dict[str, Any]:
    """Run the expectations over the clean tables; warnings stay with the snapshot.

    Raises:
        StepFailed: a critical expectation failed, or a check could not be carried out.
    """
    configuration, connector = _connector(run)
    repository = _repository(run, configuration)
    if settle(run, repository):
        return {"results": run.folder.file("validation/results.json")}
    previous = previous_snapshot(repository, connector.identifier)
    validation = validate_tables(connector, run.folder, same_origin(previous, connector))
    for warning in validation.warnings:
        logger.warning("%s", warning)
    if validation.critical:
        more = f" (and {len(validation.critical) - 1} more)" if len(validation.critical) > 1 else ""
        raise StepFailed(f"{connector.identifier}: {validation.critical[0]}{more}; nothing was compared or written")
    return {"success": validation.success, "warnings": len(validation.warnings)}


def compare(run: Run) -> dict[str, Any]:
    """Compare the snapshot with the repository into ``changes/``; the counters and the change set's hash."""
    configuration, connector = _connector(run)
    if settle(run, _repository(run, configuration)):
        return dict(run.folder.read_json("changes/changes.json"))
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
    repository = _repository(run, configuration)
    if settle(run, repository):
        return dict(run.folder.read_json("changes/verdict.json"))
    verdict = check_thresholds(connector, run.folder, run.mode)
    log_limits(connector.identifier, verdict)
    if verdict.blocked and not run.dry_run:
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
    repository.reject(run.run_id, message, {"decision": asdict(decision), **shown}, actor=decision.actor)


def _rejected(decision: Decision) -> dict[str, Any]:
    return {"state": "rejected", "by": decision.actor, "reason": decision.reason}


def has_rejected(run: Run, repository: Repository, decision: Decision, file: str = "changes/decision.json") -> bool:
    """Whether this very decision has ended the run already: it is not opened again to be ended again."""
    record = repository.run(run.run_id)
    if record is None or record.state != "rejected" or not run.folder.exists(file):
        return False
    return bool(run.folder.read_json(file).items() >= asdict(decision).items())


def load(run: Run, decision: Decision | None = None, shown: str | None = None) -> dict[str, Any]:
    """Apply the change set in one transaction, move the cookies, and publish the snapshot.

    A second call for the same run changes nothing. A rejected run writes nothing but its rejection, a dry
    run nothing at all.

    Args:
        run: the run.
        decision: what was said of a blocked run.
        shown: hash of the change set that the decision is about; any other one is refused.

    Raises:
        StepFailed: blocked and undecided, or decided for another change set.
        SkipRun: another run has taken the place of this one, or its files were removed.
        StaleBase: another run was loaded since this one compared.
    """
    configuration, connector = _connector(run)
    if run.dry_run:
        return {"state": "dry run", "blocked": run.folder.read_json("changes/verdict.json")["blocked"]}
    repository = open_repository(configuration)
    refuse_removed(run, repository)
    verdict = run.folder.read_json("changes/verdict.json")
    result = repository.loaded(load_key(run.run_id)) if settle(run, repository) else None
    if result is None:
        refuse_superseded(run, repository)
        if decision is not None and has_rejected(run, repository, decision):
            return _rejected(decision)
        reopen(run, repository)
        decision = _decide(run, verdict, _change_set(run, shown), decision)
        if decision is not None and decision.choice == REJECT:
            record_rejection(repository, run, decision, {"change_set": verdict["sha256"], "verdict": verdict})
            logger.warning("%s: rejected by %s; nothing was written", connector.identifier, decision.actor)
            return _rejected(decision)
        build = _manifest(run, connector, configuration, repository, deletions_applied=not _withholds(decision))
        # Every file is hashed while the database is busy with the rows.
        with ThreadPoolExecutor(1) as pool:
            request = _request(run, connector, decision, pool.submit(build).result)
            try:
                begin_load(run)
                result = repository.load(request)
            finally:
                settle(run, repository)
    logger.info(
        "%s: load %s%s", connector.identifier, result.load_id, " (was loaded before)" if result.already_loaded else ""
    )
    return {"state": "loaded", "load_id": result.load_id} | {
        "entity_types": {item.identifier: result.entity_types[item.identifier] for item in connector.entity_types},
        "associations": dict(result.associations),
    }


def _change_set(run: Run, shown: str | None) -> str:
    """The hash of the change set, proved over the files as they lie there now.

    Raises:
        StepFailed: they are not those that were compared, or not those that were shown.
    """
    changes = Changes.read(run.folder)
    if fingerprint(run.folder, changes) != changes.sha256:
        raise StepFailed(f"{run.connector}: files of changes/ are not those that were compared; clear compare")
    if shown is not None and shown != changes.sha256:
        raise StepFailed(f"{run.connector}: the changes are not those that were decided on; clear guard to ask again")
    return changes.sha256


def _withholds(decision: Decision | None) -> bool:
    """Whether deletions are not to be applied."""
    return decision is not None and decision.choice == APPLY_WITHOUT_DELETIONS


def _request(
    run: Run, connector: Connector, decision: Decision | None, manifest_text: Callable[[], str]
) -> LoadRequest:
    verdict, changes = run.folder.read_json("changes/verdict.json"), Changes.read(run.folder)
    detail: dict[str, Any] = {"change_set": changes.sha256, "decision": None, "shown": None}
    if decision is not None:
        detail |= {"decision": asdict(decision), "shown": verdict}
    return LoadRequest(
        load_key=load_key(run.run_id),
        run_id=run.run_id,
        connector=connector.identifier,
        changes=run.folder.child("changes"),
        entity_types=(*connector.entity_types, *REMEMBERED),
        associations=connector.associations,
        base_load=changes.base_load,
        skip_deletions=_withholds(decision),
        cookies=_cookies(run, connector),
        manifest=manifest_text,
        actor=decision.actor if decision else PIPELINE,
        detail=detail,
    )


def _reports(run: Run, connector: Connector) -> dict[str, dict[str, Any]]:
    return {
        connection: run.folder.read_json(f"raw/{connection}.report.json")
        for connection in exporting_connections(connector)
    }


def _cookies(run: Run, connector: Connector) -> dict[str, str]:
    reports = _reports(run, connector)
    return {connection: report["cookie"] for connection, report in reports.items() if report["cookie"]}


def _manifest(
    run: Run, connector: Connector, configuration: Configuration, repository: Repository, *, deletions_applied: bool
) -> Callable[[], str]:
    """What builds the manifest; it uses the repository no more."""
    previous, record = repository.last_snapshot(connector.identifier), repository.run(run.run_id)
    counters = {
        "preparation": run.folder.read_json("clean/preparation.json"),
        "profile": run.folder.read_json("clean/profile.json"),
        "changes": run.folder.read_json("changes/changes.json"),
    }
    return partial(
        manifest.build_manifest,
        connector,
        configuration.version,
        run.folder,
        previous_sha256=previous.sha256 if previous is not None else None,
        counters=counters,
        facts={
            "run_id": run.run_id,
            # An export may have made the run another one than was decided.
            "mode": record.mode if record else run.mode,
            "requested_mode": run.requested_mode,
            "reason": record.reason if record else run.reason,
            "mapping_version": connector.mapping_version,
            "deletions_applied": deletions_applied,
            # The earliest start of an export: what happened in the system after it may not be in here.
            "read_at": min(report["started_at"] for report in _reports(run, connector).values()),
        },
    )
