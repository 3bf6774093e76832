"""The generation of a run as it stands on disk: which batches, from which decision, and what was released.

``orders/generation.json`` is written last of a generation, ``orders/transmission.json`` last of its
transmission. A batch may be sent only under a transmission that names this very plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from include.difference.thresholds import Verdict
from include.storage.folder import Folder

GENERATION_FILE = "generation.json"
TRANSMISSION_FILE = "transmission.json"
VERDICT_FILE = "verdict.json"
ORDERS_FILE = "orders.parquet"


class PlanError(Exception):
    """The orders of a run cannot be used as they stand: one line, what and what to do."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One order file: ``orders/<batch>.json``, and the SHA-256 of its bytes.

    Batches of one ``stage`` may go out side by side; what they depend on goes out in earlier stages.
    """

    batch: str
    resource_type: str
    orders: int
    sha256: str
    stage: int = 1

    @property
    def file(self) -> str:
        """The name of the order file."""
        return f"{self.batch}.json"


@dataclass(frozen=True, slots=True)
class Generation:
    """The orders that one run decided.

    ``counters`` holds by resource type: ``Added``, ``Modified``, ``Deleted``, ``owned``, and
    ``withheld`` (barrier to count).
    """

    run_id: str
    connector: str
    decided_at: datetime
    batches: tuple[Batch, ...]
    counters: Mapping[str, Mapping[str, Any]]
    verdict: Verdict

    @property
    def plan(self) -> str:
        """SHA-256 over the order files: an approval names the plan that it saw."""
        lines = "".join(f"{item.batch} {item.sha256}\n" for item in self.batches)
        return hashlib.sha256(lines.encode()).hexdigest()


def write_generation(orders: Folder, generation: Generation) -> None:
    """Write ``verdict.json``, then ``generation.json``, which makes the generation count."""
    orders.write_json(VERDICT_FILE, generation.verdict.to_json())
    content = {
        "run_id": generation.run_id,
        "connector": generation.connector,
        "decided_at": generation.decided_at.isoformat(),
        "batches": [asdict(item) | {"file": item.file} for item in generation.batches],
        "counters": generation.counters,
        "plan": generation.plan,
    }
    orders.write_json(GENERATION_FILE, content)


def read_generation(run: Folder) -> Generation:
    """The generation of a run.

    Raises:
        PlanError: it has none.
    """
    orders = run.child("orders")
    if not orders.exists(GENERATION_FILE):
        raise PlanError(f"{run.path}/orders holds no {GENERATION_FILE}: generate the orders of this run first")
    content = orders.read_json(GENERATION_FILE)
    return Generation(
        run_id=content["run_id"],
        connector=content["connector"],
        decided_at=datetime.fromisoformat(content["decided_at"]),
        batches=tuple(
            Batch(item["batch"], item["resource_type"], item["orders"], item["sha256"], item["stage"])
            for item in content["batches"]
        ),
        counters=content["counters"],
        verdict=Verdict.from_json(orders.read_json(VERDICT_FILE)),
    )


def released_batch(run: Folder, batch: str) -> Batch:
    """The batch of that name, once its plan is transmitted.

    Raises:
        PlanError: there is no such batch, it was not transmitted, or its file is not the one decided.
    """
    orders, generation = run.child("orders"), read_generation(run)
    found = next((item for item in generation.batches if item.batch == batch), None)
    if found is None:
        raise PlanError(f"batch {batch} is not in {GENERATION_FILE} of {run.path}: look for its name there")
    released = orders.read_json(TRANSMISSION_FILE) if orders.exists(TRANSMISSION_FILE) else {}
    if released.get("plan") != generation.plan:
        raise PlanError(f"batch {batch} was not transmitted: transmit the orders of {run.path} before sending them")
    if orders.sha256(found.file) != found.sha256:
        raise PlanError(f"{run.path}/orders/{found.file} is not the file that was decided: generate the orders again")
    return found
