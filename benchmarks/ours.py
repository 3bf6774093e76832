"""One step of Rollcall's synchronization, measured: ``python -m benchmarks.ours STEP RUN_ID``."""

from __future__ import annotations

import sys

from benchmarks.process import measure_here
from include.orchestration import run as runs
from include.orchestration import synchronize


def main() -> None:
    """Run one step of one run."""
    step, run_id = sys.argv[1:]
    if step == "open":
        measure_here(lambda: runs.open_run("Bench", run_id, "synchronize", "initial"))
        return
    run = runs.Run("Bench", run_id, "synchronize", mode="initial", requested_mode="initial")
    measure_here(lambda: getattr(synchronize, step)(run))


if __name__ == "__main__":
    main()
