"""One step of Rollcall's provisioning, measured: ``python -m benchmarks.policy_step STEP RUN_ID MODE``.

``evaluate`` reads the repository and evaluates; its load, which follows, is not measured but done.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import cast

from benchmarks.process import measure_here
from connectors.contract import Mode
from include.orchestration import provision
from include.orchestration.evaluation import evaluate_run
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run, close_run
from include.policy.position import Position


def main() -> None:
    """Run one step of one run."""
    step, run_id, mode = sys.argv[1], sys.argv[2], cast("Mode", sys.argv[3])
    run = Run("Bench", run_id, "provision", mode=mode, requested_mode=mode)
    if step == "open":
        measure_here(lambda: provision.open_run("Bench", run_id, mode))
    elif step == "evaluate":
        _evaluate(run)
    elif step == "generate":
        measure_here(lambda: provision.generate_orders(run))
    elif step == "close":
        measure_here(lambda: close_run(run, "failed", "a benchmark fulfils nothing"))


def _evaluate(run: Run) -> None:
    configuration = load_project()
    repository = open_repository(configuration)
    found: list[Position] = []

    def evaluate() -> None:
        read = provision.reading(run, repository, configuration, find_connector(configuration, run.connector))
        found.append(evaluate_run(read, datetime.now(UTC)))

    measure_here(evaluate)
    provision.load_evaluation(run, repository, found[0])


if __name__ == "__main__":
    main()
