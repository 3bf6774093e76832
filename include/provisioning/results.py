"""What came of a run's orders, back into assignments and orders (engine.md 3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from include.provisioning.changes import write_changes
from include.provisioning.plan import read_generation
from include.provisioning.prerequisites import GIVEN_BACK_FILE
from include.provisioning.report import report
from include.provisioning.settlement import given_back_orders, read_results, settle
from include.storage.engine import engine
from include.storage.folder import Folder

RESULTS_CHANGES = "results"
REPORT_FILE = "report.json"


@dataclass(frozen=True, slots=True)
class Collection:
    """The changes to load, how many rows they touch, and the content of ``orders/report.json``."""

    changes: Folder
    changed: int
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

    An order that never went out (its batch stopped, or its prerequisite failed) and one with a transient error or a
    lost answer are given back: the order is Inactive, what it carried is Pending again, and the next run orders it
    anew; after ``settlement.ATTEMPTS`` runs in a row that ended in transient errors it is Errored.
    ``orders/given_back.json`` keeps this run from sending them again.

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
        counted = write_changes(connection, run, folder)
        content = report(connection, generation)
        given_back = given_back_orders(connection)
    # Before the repository learns that their assignments are free again, no rerun of this run may send them.
    if given_back:
        known = orders.read_json(GIVEN_BACK_FILE) if orders.exists(GIVEN_BACK_FILE) else {}
        orders.write_json(GIVEN_BACK_FILE, {**known, **given_back})
    orders.write_json(REPORT_FILE, content)
    return Collection(folder, sum(item.inserted + item.updated for item in counted.values()), content)
