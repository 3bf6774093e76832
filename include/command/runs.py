"""A whole run in one process: the same steps as the DAGs, with a progress bar instead of a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connectors.contract import Mode
from connectors.errors import ConnectorError
from include.command.console import errors, fail
from include.orchestration import provision, synchronize
from include.orchestration.connections import exporting_connections
from include.orchestration.decisions import command_decision
from include.orchestration.project import find_connector, load_project
from include.orchestration.run import Purpose, Run, SkipRun, close_run, command_run_id, open_run


@contextmanager
def _closing(run: Run) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        close_run(run, "failed", " ".join(str(error).split()) or type(error).__name__)
        raise


def _bar() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=errors, transient=True)


def _open(
    connector: str, purpose: Purpose, mode: Mode = "complete", *, dry_run: bool = False, answered: bool = False
) -> Run:
    run_id = command_run_id(connector, purpose, dry_run=dry_run)
    try:
        if purpose == "provision":
            return provision.open_run(connector, run_id, mode)
        return open_run(connector, run_id, purpose, mode, dry_run=dry_run, answered=answered)
    except SkipRun as reason:
        fail(str(reason))


def run_synchronization(
    connector: str, mode: Mode, answer: str | None, reason: str, *, dry_run: bool = False
) -> tuple[Run, dict[str, Any]]:
    """Synchronize; the run and its result (``state``: loaded, rejected, blocked or dry run)."""
    run = _open(connector, "synchronize", mode, dry_run=dry_run, answered=answer is not None)
    with _closing(run), _bar() as progress:
        connections = exporting_connections(find_connector(load_project(), connector))
        steps: list[tuple[str, Callable[[], Any]]] = [
            (f"export {item}", partial(synchronize.export, run, item)) for item in connections
        ]
        steps += [
            ("prepare", lambda: synchronize.prepare(run)),
            ("validate", lambda: synchronize.validate(run)),
            ("compare", lambda: synchronize.compare(run)),
        ]
        task = progress.add_task(connector, total=len(steps) + 2)
        for description, step in steps:
            progress.update(task, description=f"{connector}: {description}")
            step()
            progress.advance(task)
        progress.update(task, description=f"{connector}: guard")
        verdict = synchronize.guard(run)
        progress.advance(task)
        if verdict["blocked"] and answer is None and not dry_run:
            return run, {"state": "blocked", "verdict": verdict}
        progress.update(task, description=f"{connector}: load")
        decision = command_decision(answer, reason) if verdict["blocked"] and answer else None
        return run, synchronize.load(run, decision) | {"verdict": verdict}


def run_provisioning(
    connector: str, answer: str | None, reason: str, mode: Mode = "incremental"
) -> tuple[Run, dict[str, Any]]:
    """Provision; the run and its result."""
    run = _open(connector, "provision", mode)
    with _closing(run), _bar() as progress:
        task = progress.add_task(f"{connector}: evaluate", total=None)
        evaluation = provision.evaluate(run)
        progress.update(task, description=f"{connector}: generate orders")
        verdict = provision.generate_orders(run)
        if verdict["blocked"] and answer is None:
            return run, {"state": "blocked", "verdict": verdict, "evaluation": evaluation}
        decision = command_decision(answer, reason) if verdict["blocked"] and answer else None
        provision.transmit(run, decision)
        stopped = _fulfil_all(run, lambda text: progress.update(task, description=f"{connector}: {text}"))
        report = provision.report(run)
        if stopped is not None:
            raise stopped
        return run, {"state": "done", "evaluation": evaluation, "report": report}


def _fulfil_all(run: Run, tell: Callable[[str], object]) -> ConnectorError | None:
    """Carry out every batch, stage by stage; the error that stopped one, after which no other is begun."""
    stopped: ConnectorError | None = None
    for batch in provision.batches(run):
        if stopped is not None:
            provision.leave_unsent(run, batch, stopped)
            continue
        tell(f"fulfil {batch}")
        try:
            provision.fulfil(run, batch)
            tell(f"read back {batch}")
            provision.read_back(run, batch)
        except ConnectorError as error:
            stopped = error
    return stopped
