"""The steps as processes: imported once by the fork server, then one forked child per step.

The fork server imports the heavy libraries and opens nothing: neither DuckDB nor ADBC survives a fork.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from datetime import datetime, tzinfo
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb  # noqa: F401
import great_expectations  # noqa: F401
import pandas as pd  # noqa: F401
import psycopg  # noqa: F401
import tqdm
from airflow.sdk import BaseHook  # noqa: F401

import include.snapshot.expectations
import include.snapshot.validate  # noqa: F401
from connectors.contract import ExportReport, ExportRequest
from connectors.files.csv import CsvConnector
from include.orchestration import provision, synchronize
from include.orchestration import run as runs
from include.orchestration.decisions import Decision
from include.orchestration.run import Run, close_run, open_run
from include.provisioning import dispatch, prerequisites, read_back
from tests.crash.whole import synchronize_whole

# Great Expectations draws bars with tqdm, whose lock is a semaphore between processes: a child that was killed would
# leave it behind, taken. A lock of the child's own does.
tqdm.tqdm.set_lock(threading.RLock())

DONE, FAILED = "done", "failed"

_export = CsvConnector.export


def _export_with_position(self: CsvConnector, request: ExportRequest, sink: Any) -> ExportReport:
    """A file knows no position to read on from; a system that does hands one out with every export."""
    report = _export(self, request, sink)
    number = int(request.cookie or 0) + sum(table.rows for table in report.tables)
    return dataclasses.replace(report, cookie=str(number))


CsvConnector.export = _export_with_position  # type: ignore[method-assign]


WITH_CLOCK = (synchronize, provision, dispatch, prerequisites, read_back)
"""Modules whose clock says when something was read or written."""


def _clock_at(instant: str) -> type[datetime]:
    """A clock that stands still: an export says when it began, and what is first seen then carries that instant."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.fromisoformat(instant).astimezone(tz)

    return Clock


def open_step(connector: str, run_id: str, mode: Any, *, answered: bool) -> dict[str, Any]:
    """``open_run`` as the task does it."""
    return open_run(connector, run_id, "synchronize", mode, answered=answered).to_dict()


def open_provisioning(connector: str, run_id: str) -> dict[str, Any]:
    """``open_run`` of provisioning."""
    return provision.open_run(connector, run_id).to_dict()


def run_step(step: str, run: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """One step of an open run."""
    opened = Run(**run)
    if opened.purpose == "provision":
        return _provision(step, opened, arguments)
    if step.startswith("export "):
        return synchronize.export(opened, step.removeprefix("export "))
    if step == "load":
        decision = Decision(**arguments["decision"]) if arguments["decision"] else None
        return synchronize.load(opened, decision, arguments["shown"])
    if step == "close_run":
        return close_run(opened, "succeeded")
    return getattr(synchronize, step)(opened)


def _provision(step: str, run: Run, arguments: Mapping[str, Any]) -> Any:
    name, _, batch = step.partition(" ")
    if name == "transmit":
        decision = Decision(**arguments["decision"]) if arguments["decision"] else None
        provision.transmit(run, decision, arguments["shown"])
        return provision.batches(run)
    if name == "close_run":
        return close_run(run, "succeeded")
    return getattr(provision, name)(run, *([batch] if batch else []))


def _opened_at(instant: datetime) -> None:
    """Runs are opened at that instant."""
    runs.RunRecord = functools.partial(runs.RunRecord, opened_at=instant)  # type: ignore[misc, assignment]


STEPS = {"open_run": open_step, "open_provisioning": open_provisioning, "synchronize": synchronize_whole}
"""Steps that come before there is a run."""


def child(connection: Connection, environment: Mapping[str, str], step: str, arguments: Mapping[str, Any]) -> None:
    """The body of a step's process: says its result or its error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(environment)
    tempfile.tempdir = environment["TMPDIR"]
    instant = environment["CRASH_CLOCK"]
    for module in WITH_CLOCK:
        module.datetime = _clock_at(instant)  # type: ignore[attr-defined]
    _opened_at(datetime.fromisoformat(instant))
    with Path(f"{environment['TMPDIR']}/steps.log").open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    try:
        result = STEPS[step](**arguments) if step in STEPS else run_step(step, arguments["run"], arguments)
    except Exception:  # noqa: BLE001  whatever it is, the parent shows it
        connection.send((FAILED, traceback.format_exc()))
        sys.exit(1)
    connection.send((DONE, result))
