"""What came of a run's orders, back into assignments and orders (engine.md 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from include.provisioning.changes import write_changes
from include.provisioning.plan import read_generation
from include.provisioning.report import report
from include.provisioning.settlement import read_results, settle
from include.storage.engine import engine
from include.storage.folder import Folder

RESULTS_CHANGES = "results"
REPORT_FILE = "report.json"


@dataclass(frozen=True, slots=True)
class Collection:
    """The changes to load, and the content of ``orders/report.json``."""

    changes: Folder
    report: Mapping[str, Any]


def collect_results(run: Folder, *, recorded_at: datetime) -> Collection:
    """Write what the results and read-backs of a run change in the repository.

    Reads the results of every batch (its ledger where a dead worker left no results file), the
    read-backs, and ``base/`` as it stands after the transmission was loaded. Writes ``changes/results/``:
    an order becomes Executed, Errored, or Verified when it was read later than it was written and found as
    asked; so do, each on its own, the assignment of a creation or deletion and the scalars and links that
    the order carries. A creation gives its assignment the target's key. An order without a result stays
    Transmitted, a row that has moved on (unblocked, decided again) stays as it is, and a rerun changes
    nothing more.

    Orders of earlier runs that only a synchronization could confirm become Verified here, at
    ``recorded_at``, once everything they carried is.

    Raises:
        PlanError: the transmission of this run is not in ``base/``.
    """
    generation, orders = read_generation(run), run.child("orders")
    folder = run.child("changes", RESULTS_CHANGES)
    with engine(run) as connection:
        read_results(connection, run, generation.batches)
        settle(connection, run, generation, recorded_at.astimezone(UTC).replace(tzinfo=None).isoformat())
        write_changes(connection, run, folder)
        content = report(connection, generation)
    orders.write_json(REPORT_FILE, content)
    return Collection(folder, content)
