"""One run of one connector: its folder, its mode, and its row in the repository."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast

from connectors.contract import Mode
from include.model.configuration import Connector
from include.model.environment import storage_url
from include.orchestration.project import find_connector, load_project, open_repository
from include.repository.repository import Repository, SnapshotRecord
from include.repository.runs import RunRecord
from include.snapshot.previous import PublishedSnapshot
from include.storage.folder import Folder, run_folder

logger = logging.getLogger(__name__)

Purpose = Literal["synchronize", "provision"]
COMMAND_RUN = "command"
DRY_RUN = "dry_run"
ENDED_STATES = {"loaded", "done"}
"""A run that came to its end is never opened again: its tasks, cleared, find everything done."""


class SkipRun(Exception):
    """The run has nothing to do here; the message says why."""


class StepFailed(Exception):
    """A step cannot go on, and a retry cannot help; the message is the one line an operator reads."""


@dataclass(frozen=True, slots=True)
class Run:
    """What every step of a run needs to know; travels between tasks as a dictionary."""

    connector: str
    run_id: str
    purpose: Purpose
    mode: Mode = "complete"
    requested_mode: Mode = "complete"
    reason: str | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    """Walk the whole path and write nothing but the run's own files."""

    @property
    def folder(self) -> Folder:
        """Where the files of this run lie."""
        return run_folder(storage_url(), self.connector, self.run_id)

    def to_dict(self) -> dict[str, Any]:
        """For XCom."""
        return asdict(self)


def command_run_id(connector: str, purpose: Purpose, *, dry_run: bool = False) -> str:
    """A run id for a run without Airflow; names its process, so that a dead one is recognised."""
    instant = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    kind = DRY_RUN if dry_run else COMMAND_RUN
    return f"{kind}__{purpose}_{connector}__{instant}__{socket.gethostname()}__{os.getpid()}"


def _is_dead(run_id: str) -> bool:
    """Whether the run was started by a command on this machine whose process is gone."""
    parts = run_id.split("__")
    if parts[0] != COMMAND_RUN or parts[-2] != socket.gethostname():
        return False
    try:
        os.kill(int(parts[-1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _make_way(repository: Repository, run: Run, *, answered: bool) -> None:
    """End the open run of the same connector and purpose that this one may take the place of.

    Raises:
        SkipRun: it may not; the message says which run it waits for, and why.
    """
    other_id = repository.running(run.connector, purpose=run.purpose, besides=run.run_id)
    other = repository.run(other_id) if other_id else None
    if other is None:
        return
    if _is_dead(other.run_id):
        repository.close_run(other.run_id, "failed", "its process went away")
    elif run.purpose == "synchronize" and _supersedes(run, other, answered=answered):
        if repository.supersede(other.run_id, run.run_id):
            logger.warning("%s: run %s, which was %s, is superseded", run.connector, other.run_id, other.state)
    elif run.purpose == "provision" and _waits_for_nobody(other):
        repository.close_run(other.run_id, "failed", "nobody decided; a new run took its place")
    elif other.state == "blocked":
        raise SkipRun(
            f"{run.connector}: run {other.run_id} is blocked ({other.message}); answer its approval, "
            "or start a complete run, before another one begins"
        )
    else:
        raise SkipRun(
            f"{run.connector}: run {other.run_id} is {other.state}; it must end before another one starts "
            f"(if its machine died: rollcall close {other.run_id})"
        )


def _supersedes(run: Run, other: RunRecord, *, answered: bool) -> bool:
    """Whether a synchronization takes the place of an open one (engine.md 2.4, 2.7).

    A complete run holds all that an incremental one would bring, and clears a block; so does a run that
    brings its own answer.
    """
    if run.requested_mode == "incremental":
        return answered and other.state == "blocked"
    return other.state == "blocked" or other.mode == "incremental"


def _waits_for_nobody(other: RunRecord) -> bool:
    """Whether a run is blocked that a command has left behind: unlike an approval in Airflow, it has ended."""
    return other.state == "blocked" and other.run_id.startswith(f"{COMMAND_RUN}__")


def _decide_mode(repository: Repository, connector: Connector, requested: Mode) -> tuple[Mode, str | None]:
    """The mode of a new run, and why it is not the one asked for.

    An incremental run needs the connector's previous snapshot, and a mapping that has not changed since.
    """
    if requested != "incremental":
        return requested, None
    if repository.last_load(connector.identifier) == 0:
        return "complete", "nothing was loaded yet, so there is no base for an incremental run"
    previous = previous_snapshot(repository, connector.identifier)
    if previous is None:
        return "complete", "the files of the previous snapshot are gone, so there is no base for an incremental run"
    if previous.mapping_version != connector.mapping_version:
        return "complete", "the mapping has changed since the previous snapshot"
    return requested, None


def scheduled_mode(connector_identifier: str, instant: datetime) -> Mode:
    """The mode of the schedule that fires at an instant; where both do, the complete one."""
    from croniter import croniter

    schedules = find_connector(load_project(), connector_identifier).schedules
    if schedules.incremental is None:
        return "complete"
    at = instant.astimezone(UTC)
    return "complete" if schedules.complete and croniter.match(schedules.complete, at) else "incremental"


def previous_snapshot(repository: Repository, connector: str) -> PublishedSnapshot | None:
    """The connector's newest snapshot, None when there is none or its files are gone."""
    record = repository.last_snapshot(connector)
    if record is None:
        return None
    snapshot = published_snapshot(record)
    return snapshot if snapshot.is_there else None


def published_snapshot(record: SnapshotRecord) -> PublishedSnapshot:
    """A snapshot that the repository knows, with the folder where its files lie, or lay."""
    folder = run_folder(storage_url(), record.connector, record.run_id)
    return PublishedSnapshot(folder, record.run_id, record.manifest)


def open_run(
    connector_identifier: str,
    run_id: str,
    purpose: Purpose,
    requested_mode: Mode = "complete",
    *,
    dry_run: bool = False,
    answered: bool = False,
) -> Run:
    """Open the run's row and decide its mode; opening it again (a cleared task) gives the same run.

    Args:
        connector_identifier: whose run.
        run_id: its name for ever.
        purpose: what it is for.
        requested_mode: what was asked for.
        dry_run: nothing is recorded, and the run waits for no other.
        answered: it brings the answer to a blocked run with it.

    Raises:
        SkipRun: the connector is deactivated, has nothing to synchronize, or another run of it has not ended.
        UnknownConnector: no such connector, or its file has mistakes.
    """
    configuration = load_project()
    connector = find_connector(configuration, connector_identifier)
    if connector.is_deactivated:
        raise SkipRun(f"{connector.identifier}: the connector is deactivated (is_deactivated: true)")
    if purpose == "synchronize" and connector.is_inbound:
        raise SkipRun(
            f"{connector.identifier}: its resources stand in the repository alone, so there is nothing to export; "
            "provision it instead"
        )
    repository = open_repository(configuration, migrate=not dry_run)
    run = Run(connector.identifier, run_id, purpose, requested_mode, requested_mode, dry_run=dry_run)
    known = None if dry_run else repository.run(run_id)
    if known is not None and (known.connector, known.purpose) != (run.connector, purpose):
        raise StepFailed(
            f"{run.connector}: run id {run_id} is that of a {known.purpose} run of {known.connector}; start another run"
        )
    if not dry_run and (known is None or known.state not in ENDED_STATES):
        _make_way(repository, run, answered=answered)
    if known is not None:
        mode, reason = cast("Mode", known.mode), known.reason or None
    elif purpose == "provision":
        # Its evaluation finds what speaks against an incremental one.
        mode, reason = requested_mode, None
    else:
        mode, reason = _decide_mode(repository, connector, requested_mode)
    if not dry_run and (known is None or known.state not in ENDED_STATES):
        repository.open_run(RunRecord(run_id, connector.identifier, purpose, mode, requested_mode, reason=reason or ""))
    exports = purpose == "synchronize" and mode == "incremental"
    cookies = repository.cookies(connector.identifier) if exports else {}
    run = replace(run, mode=mode, reason=reason, cookies=cookies)
    run.folder.make()
    logger.info("%s: %s run %s, mode %s%s", run.connector, purpose, run_id, mode, f" ({reason})" if reason else "")
    return run


def refuse_superseded(run: Run, repository: Repository) -> None:
    """Stop a step of a run whose place another one has taken.

    Raises:
        SkipRun: it is so.
    """
    record = None if run.dry_run else repository.run(run.run_id)
    if record is not None and record.state == "superseded":
        raise SkipRun(f"{run.connector}: {record.message}; nothing of this run is written")


def refuse_removed(run: Run, repository: Repository) -> None:
    """Stop a step of a run that was loaded, and whose files retention has removed since.

    Raises:
        SkipRun: it is so.
    """
    removed = None if run.dry_run else repository.removed_snapshot(run.run_id)
    if removed is not None:
        raise SkipRun(
            f"{run.connector}: run {run.run_id} was loaded, and its files were removed on "
            f"{removed.removed_at:%Y-%m-%d} ({removed.reason}); start another run"
        )


def reopen(run: Run, repository: Repository) -> None:
    """Open a run again whose tasks were cleared after it had failed or was rejected.

    Raises:
        RunOverlap: another run of the connector has begun meanwhile.
    """
    record = repository.run(run.run_id)
    if record is not None and record.state in {"failed", "rejected", "skipped"}:
        repository.open_run(replace(record, state="running", message=""))


def abandon(run_id: str, reason: str) -> None:
    """Close an open run that nothing will end any more, in the name of the user of this process.

    Raises:
        StepFailed: there is no such run, or it has ended.
    """
    repository = open_repository(load_project())
    record = repository.run(run_id)
    if record is None or record.state not in {"running", "blocked"}:
        state = "not known" if record is None else record.state
        raise StepFailed(f"run {run_id} is {state}; only a running or blocked run can be closed")
    user = getpass.getuser()
    repository.close_run(run_id, "failed", f"closed by {user}" + (f": {reason}" if reason else ""), actor=user)


def close_run(run: Run, outcome: Literal["succeeded", "failed"], message: str | None = None) -> str:
    """Give a run that no step has closed its final state; the state that it now has.

    A failed run says so, whatever its steps recorded before; a blocked run that nobody decided on
    and that ended all the same is failed too.
    """
    if run.dry_run:
        return "dry run"
    repository = open_repository(load_project())
    record = repository.run(run.run_id)
    if record is None:
        return "unknown"
    if outcome == "failed" and record.state in {"running", "blocked"}:
        repository.close_run(run.run_id, "failed", message or "a task of this run failed; see its log")
        return "failed"
    return record.state
