"""A whole synchronization in one go, for what comes after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.orchestration import synchronize
from include.orchestration.connections import exporting_connections
from include.orchestration.decisions import Decision
from include.orchestration.project import find_connector, load_project
from include.orchestration.run import close_run, open_run


def synchronize_whole(connector: str, run_id: str, decision: Mapping[str, Any]) -> None:
    """A synchronization from its opening to its end, approved if need be, in one process that nobody kills."""
    run = open_run(connector, run_id, "synchronize")
    for connection in exporting_connections(find_connector(load_project(), connector)):
        synchronize.export(run, connection)
    for step in (synchronize.prepare, synchronize.validate, synchronize.compare, synchronize.guard):
        step(run)
    synchronize.load(run, Decision(**decision))
    close_run(run, "succeeded")
