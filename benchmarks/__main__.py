"""``python -m benchmarks --area AREA``: measure, print, and exit 1 where a target was missed."""

from __future__ import annotations

import argparse
import sys

from benchmarks import fulfilment, load, parse, policy, synchronization
from benchmarks.report import Report

AREAS = {
    "load": load.measure,
    "parse": parse.measure,
    "synchronization": synchronization.measure,
    "fulfilment": fulfilment.measure,
    "policy": policy.measure,
}


def main() -> int:
    """Run one area, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--area", choices=[*AREAS, "all"], default="all")
    asked = parser.parse_args().area
    reached = True
    for area, measure in AREAS.items():
        if asked in {"all", area}:
            report = Report(area)
            measure(report)
            reached = report.write() and reached
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
