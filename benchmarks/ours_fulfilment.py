"""The fulfilment of one run, measured: ``python -m benchmarks.ours_fulfilment CONNECTOR RUN_ID``."""

from __future__ import annotations

import sys

from benchmarks.process import measure_here
from include.orchestration import provision
from include.orchestration.run import Run


def main() -> None:
    """Carry out every batch of the run."""
    connector, run_id = sys.argv[1:]
    run = Run(connector, run_id, "provision")

    def fulfil() -> None:
        for batch in provision.batches(run):
            done = provision.fulfil(run, batch)
            if done["errored"]:
                raise RuntimeError(f"{batch}: {done['errored']} orders errored")

    measure_here(fulfil)


if __name__ == "__main__":
    main()
