"""Area ``synchronization``: from a hundred thousand to ten million rows, ten million links, a run without a change."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import data, process
from benchmarks.process import Measured
from benchmarks.report import Report
from benchmarks.runs import Place, mebibytes, seconds
from tests.servers.postgresql import PostgreSQL, postgresql_server

SIZES = (100_000, 1_000_000, 10_000_000)
LINKS = (1_000_000, 10_000_000)
DATABASES = ("SQLite", "PostgreSQL")
TRIES = 3
DECADE = 10
LINEAR_LIMIT = 1.15
MEMORY_LIMIT = 2048
FIRST_LOAD_LIMIT = 1.5
COMPARE_LIMIT = 1.3
COMPARE_FROM = 1_000_000
"""Below, what a step takes is its start."""
NO_CHANGE_FACTOR = 3
SIZES_VARIABLE = "BENCH_SIZES"


def measure(report: Report) -> None:
    """Every line of the area. ``BENCH_SIZES=100000,1000000`` measures fewer rows."""
    sizes = [int(size) for size in os.environ.get(SIZES_VARIABLE, "").split(",") if size] or list(SIZES)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-bench-")))
        server = stack.enter_context(postgresql_server())
        for database in DATABASES:
            _measure_rows(report, server, folder, database, sizes)
            _measure_first_load(report, server, folder, database)
            _measure_no_change(report, server, folder, database)
        for database in DATABASES:
            _measure_links(report, server, folder, database, [size for size in LINKS if size <= max(sizes)])


@contextmanager
def _place(server: PostgreSQL, folder: Path, database: str, name: str, *, linked: bool = False) -> Iterator[Place]:
    """An empty repository and storage, gone afterwards: ten million rows take gigabytes."""
    here = folder / name
    data.write_configuration(here / "configuration", linked=linked)
    try:
        if database == "SQLite":
            yield Place(here, database, f"sqlite:///{here}/repository.db")
        else:
            yield Place(here, database, server.create_database(name))
            server.drop_database(name)
    finally:
        shutil.rmtree(here)


def _measure_rows(report: Report, server: PostgreSQL, folder: Path, database: str, sizes: list[int]) -> None:
    """The first load of each size, and the next one with two changes in a hundred rows."""
    taken: dict[str, dict[int, float]] = {}
    for size in sizes:
        with _place(server, folder, database, f"rows_{size}") as place:
            data.write_raw(place.folder / "first", changed=False, rows=size)
            data.write_raw(place.folder / "second", changed=True, rows=size)
            for run_id, mode in (("first", "initial"), ("second", "complete")):
                measured = place.synchronize(run_id, place.folder / run_id / "raw", mode)
                _report_steps(report, f"{database}: {size:,} rows, {run_id} load", measured)
                _keep(taken, run_id, size, measured)
            if database == "SQLite" and size >= COMPARE_FROM:
                _measure_compare(report, place, size)
    _report_linearity(report, database, "rows", taken)


def _report_steps(report: Report, name: str, measured: dict[str, Measured]) -> None:
    for step, item in measured.items():
        report.figure(f"{name}: {step}", item.seconds, "s")
    report.figure(f"{name}: prepare to load", seconds(measured), "s")
    report.at_most(f"{name}: peak memory of a step", mebibytes(measured), "MiB", MEMORY_LIMIT)


def _keep(taken: dict[str, dict[int, float]], run_id: str, size: int, measured: dict[str, Measured]) -> None:
    for step in ("compare", "load"):
        taken.setdefault(f"{run_id} load: {step}", {})[size] = measured[step].seconds


def _report_linearity(report: Report, database: str, what: str, taken: dict[str, dict[int, float]]) -> None:
    """Ten times the rows may take 1.15 times ten times as long."""
    for name, by_size in taken.items():
        for size, longer in by_size.items():
            if (shorter := by_size.get(size // DECADE)) is not None:
                line = f"{database}: {name}, {size:,} {what} against ten times {size // DECADE:,}"
                report.ratio_at_most(line, longer, DECADE * shorter, LINEAR_LIMIT)


def _measure_compare(report: Report, place: Place, size: int) -> None:
    """Our compare step and the bare full outer join of the same two files in DuckDB, in turn; medians."""
    run, again = place.run_folder("second"), place.run_folder("again")
    for part in ("base", "clean", "raw"):
        shutil.copytree(run / part, again / part, copy_function=shutil.copyfile)
    before, after = (f"{run}/{part}/Bench_Person.parquet" for part in ("base", "clean"))
    ours, bare = [], []
    for _ in range(TRIES):
        ours.append(process.run("benchmarks.ours", "compare", "again", environment=place.environment).seconds)
        arguments = (before, after, str(place.folder / "bare.parquet"))
        bare.append(process.run("benchmarks.raw_duckdb", *arguments, environment=place.environment).seconds)
    report.ratio_at_most(
        f"compare, {size:,} rows, against bare DuckDB, medians of {TRIES}",
        statistics.median(ours),
        statistics.median(bare),
        COMPARE_LIMIT,
    )


def _measure_first_load(report: Report, server: PostgreSQL, folder: Path, database: str) -> None:
    """The load step of a first million rows, and their bare ADBC ingest, in turn; medians."""
    ours, bare = [], []
    for attempt in range(TRIES):
        with _place(server, folder, database, f"first_{attempt}") as place:
            data.write_raw(place.folder / "first", changed=False)
            ours.append(place.synchronize("first", place.folder / "first" / "raw")["load"].seconds)
        with _place(server, folder, database, f"bare_{attempt}") as place:
            data.write_raw(place.folder / "first", changed=False)
            arguments = (f"{place.folder}/first/rows.parquet", place.url.replace("+psycopg", ""))
            bare.append(process.run("benchmarks.adbc_ingest", *arguments, environment={}).seconds)
    report.ratio_at_most(
        f"{database}: load of a first 1 M rows against a bare ADBC ingest, medians of {TRIES}",
        statistics.median(ours),
        statistics.median(bare),
        FIRST_LOAD_LIMIT,
    )


def _measure_no_change(report: Report, server: PostgreSQL, folder: Path, database: str) -> None:
    """A million rows loaded first, then the same export again, as a complete and as an incremental run."""
    taken: dict[str, list[float]] = {"initial": [], "complete": [], "incremental": []}
    for attempt in range(TRIES):
        with _place(server, folder, database, f"again_{attempt}") as place:
            data.write_raw(place.folder / "first", changed=False)
            for mode, totals in taken.items():
                totals.append(seconds(place.synchronize(mode, place.folder / "first" / "raw", mode)))
    first = statistics.median(taken["initial"])
    for mode in ("complete", "incremental"):
        name = f"{database}: {mode} run without a change, 1 M rows, against the first load, medians of {TRIES}"
        report.faster_by(name, statistics.median(taken[mode]), first, NO_CHANGE_FACTOR)


def _measure_links(report: Report, server: PostgreSQL, folder: Path, database: str, sizes: list[int]) -> None:
    """The first load of pairs, and the next one in which one in a hundred is another."""
    taken: dict[str, dict[int, float]] = {}
    for size in sizes:
        with _place(server, folder, database, f"links_{size}", linked=True) as place:
            for run_id, mode in (("first", "initial"), ("second", "complete")):
                data.write_linked_raw(place.folder / run_id, changed=run_id == "second", links=size)
                measured = place.synchronize(run_id, place.folder / run_id / "raw", mode)
                _report_steps(report, f"{database}: {size:,} links, {run_id} load", measured)
                _keep(taken, run_id, size, measured)
    _report_linearity(report, database, "links", taken)
