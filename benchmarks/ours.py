"""One step of Rollcall's synchronization, measured: ``python -m benchmarks.ours STEP RUN_ID [MODE]``."""

from __future__ import annotations

import sys
from typing import cast

from benchmarks.process import measure_here
from connectors.contract import Mode
from include.orchestration import run as runs
from include.orchestration import synchronize


def main() -> None:
    """Run one step of one run."""
    step, run_id, *more = sys.argv[1:]
    mode: Mode = cast("Mode", more[0]) if more else "initial"
    if step == "open":
        measure_here(lambda: runs.open_run("Bench", run_id, "synchronize", mode))
        return
    run = runs.Run("Bench", run_id, "synchronize", mode=mode, requested_mode=mode)
    measure_here(lambda: getattr(synchronize, step)(run))


if __name__ == "__main__":
    main()
