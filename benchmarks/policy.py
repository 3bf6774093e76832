"""Area ``policy``: from the repository to orders, completely and for a thousand owners whom changes concern."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks import policy_data, process
from benchmarks.process import Measured
from benchmarks.report import Report
from benchmarks.runs import Place, mebibytes, seconds

SIZES = (100_000, 1_000_000)
SIZES_VARIABLE = "BENCH_SIZES"
CHANGED = 1000
FULL_SIZE, FULL_LIMIT, MEMORY_LIMIT = 1_000_000, 60, 3072
LINEAR_LIMIT = 1.15
DECADE = 10
INCREMENTAL_FACTOR = 20
STEPS = ("evaluate", "generate")


def measure(report: Report) -> None:
    """Every line of the area. ``BENCH_SIZES=20000,100000`` measures fewer owners."""
    sizes = [int(size) for size in os.environ.get(SIZES_VARIABLE, "").split(",") if size] or list(SIZES)
    taken: dict[int, float] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
            taken[size] = _measure_size(report, Path(folder), size)
    for size, longer in taken.items():
        if (shorter := taken.get(size // DECADE)) is not None:
            name = f"complete, {size:,} owners against ten times {size // DECADE:,}"
            report.ratio_at_most(name, longer, DECADE * shorter, LINEAR_LIMIT)


def _measure_size(report: Report, folder: Path, size: int) -> float:
    """A first evaluation, a complete one of what is known, and one of a thousand changed owners; the second's time."""
    policy_data.write_configuration(folder / "configuration")
    place = Place(folder, "SQLite", f"sqlite:///{folder}/repository.db")
    policy_data.write_raw(folder / "before", size)
    place.synchronize("before", folder / "before" / "raw")
    first = _provide(place, "first", "complete", steps=("evaluate",))
    report.figure(f"first evaluation, {size:,} owners, without its load", seconds(first), "s")
    complete = _provide(place, "complete", "complete")
    for step, item in complete.items():
        report.figure(f"complete, {size:,} owners: {step}", item.seconds, "s")
    name = f"complete, {size:,} owners, to orders"
    if size == FULL_SIZE:
        report.at_most(name, seconds(complete), "s", FULL_LIMIT)
    else:
        report.figure(name, seconds(complete), "s")
    report.at_most(f"{name}: peak memory of a step", mebibytes(first | complete), "MiB", MEMORY_LIMIT)
    policy_data.write_raw(folder / "after", size, CHANGED)
    place.synchronize("after", folder / "after" / "raw", "complete")
    incremental = _provide(place, "incremental", "incremental")
    for step, item in incremental.items():
        report.figure(f"incremental, {CHANGED:,} of {size:,} owners changed: {step}", item.seconds, "s")
    name = f"{CHANGED:,} changed of {size:,} owners: evaluation against the complete one"
    report.faster_by(name, incremental["evaluate"].seconds, complete["evaluate"].seconds, INCREMENTAL_FACTOR)
    report.figure(f"{name}, to orders", seconds(complete) / seconds(incremental), "x")
    return seconds(complete)


def _provide(place: Place, run_id: str, mode: str, steps: tuple[str, ...] = STEPS) -> dict[str, Measured]:
    """One provisioning run up to its orders; what each step took."""
    environment = place.environment
    process.run("benchmarks.policy_step", "open", run_id, mode, environment=environment)
    measured = {
        step: process.run("benchmarks.policy_step", step, run_id, mode, environment=environment) for step in steps
    }
    process.run("benchmarks.policy_step", "close", run_id, mode, environment=environment)
    return measured
