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
from include.repository.repository import Repository
from include.repository.runs import RunRecord
from include.storage.folder import Folder, run_folder

logger = logging.getLogger(__name__)

Purpose = Literal["synchronize", "provision"]
COMMAND_RUN = "command"
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

    @property
    def folder(self) -> Folder:
        """Where the files of this run lie."""
        return run_folder(storage_url(), self.connector, self.run_id)

    def to_dict(self) -> dict[str, Any]:
        """For XCom."""
        return asdict(self)


def command_run_id(connector: str, purpose: Purpose) -> str:
    """A run id for a run without Airflow; names its process, so that a dead one is recognised."""
    instant = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    return f"{COMMAND_RUN}__{purpose}_{connector}__{instant}__{socket.gethostname()}__{os.getpid()}"


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


def _yield_to_other_run(repository: Repository, connector: str, purpose: Purpose, run_id: str) -> None:
    other_id = repository.running(connector, purpose=purpose, besides=run_id)
    other = repository.run(other_id) if other_id else None
    if other is None:
        return
    # A command that is blocked has ended: it waits for nobody, unlike an approval in Airflow.
    waits_for_nobody = other.state == "blocked" and other.run_id.startswith(f"{COMMAND_RUN}__")
    if not (waits_for_nobody or _is_dead(other.run_id)):
        raise SkipRun(
            f"{connector}: run {other.run_id} is {other.state}; it must end before another one starts "
            f"(if its machine died: rollcall close {other.run_id})"
        )
    message = "nobody decided; a new run took its place" if other.state == "blocked" else "its process went away"
    repository.close_run(other.run_id, "failed", message)


def _decide_mode(repository: Repository, connector: Connector, requested: Mode) -> tuple[Mode, str | None]:
    if requested == "incremental" and repository.last_load(connector.identifier) == 0:
        return "complete", "nothing was loaded yet, so there is no base for an incremental run"
    return requested, None


def open_run(connector_identifier: str, run_id: str, purpose: Purpose, requested_mode: Mode = "complete") -> Run:
    """Open the run's row and decide its mode; opening it again (a cleared task) gives the same run.

    Raises:
        SkipRun: the connector is deactivated, or another run of it has not ended.
        UnknownConnector: no such connector, or its file has mistakes.
    """
    configuration = load_project()
    connector = find_connector(configuration, connector_identifier)
    if connector.is_deactivated:
        raise SkipRun(f"{connector.identifier}: the connector is deactivated (is_deactivated: true)")
    repository = open_repository(configuration)
    _yield_to_other_run(repository, connector.identifier, purpose, run_id)
    known = repository.run(run_id)
    if known is not None:
        mode, reason = cast("Mode", known.mode), known.message or None
    else:
        mode, reason = _decide_mode(repository, connector, requested_mode)
    if known is None or known.state not in ENDED_STATES:
        repository.open_run(
            RunRecord(
                run_id=run_id,
                connector=connector.identifier,
                purpose=purpose,
                mode=mode,
                requested_mode=requested_mode,
                message=reason or "",
            )
        )
    run = Run(
        connector=connector.identifier,
        run_id=run_id,
        purpose=purpose,
        mode=mode,
        requested_mode=requested_mode,
        reason=reason,
        cookies=repository.cookies(connector.identifier) if mode == "incremental" else {},
    )
    run.folder.make()
    logger.info("%s: %s run %s, mode %s%s", run.connector, purpose, run_id, mode, f" ({reason})" if reason else "")
    return run


def reopen(run: Run, repository: Repository) -> None:
    """Open a run again whose tasks were cleared after it had failed or was rejected.

    Raises:
        RunOverlap: another run of the connector has begun meanwhile.
    """
    record = repository.run(run.run_id)
    if record is not None and record.state in {"failed", "rejected", "skipped"}:
        repository.open_run(replace(record, state="running", message=run.reason or ""))


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
    repository = open_repository(load_project())
    record = repository.run(run.run_id)
    if record is None:
        return "unknown"
    if outcome == "failed" and record.state in {"running", "blocked"}:
        repository.close_run(run.run_id, "failed", message or "a task of this run failed; see its log")
        return "failed"
    return record.state
