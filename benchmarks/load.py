"""Area ``load``: a million rows, and the same with changes, into SQLite and PostgreSQL, beside DuckDB and dlt."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import data, process
from benchmarks.report import Report
from benchmarks.runs import Place, mebibytes, seconds
from tests.servers.postgresql import postgresql_server

COMPARE_LIMIT = 1.3
DLT_FACTOR = 5
MEMORY_LIMIT = 1536
PEER_LIMIT = 180.0
PEER_FIRST_LIMIT = 900.0
TRIES = 5


def measure(report: Report) -> None:
    """Every line of the area."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-bench-")))
        server = stack.enter_context(postgresql_server())
        data.write_configuration(folder / "configuration")
        for name in ("first", "second"):
            data.write_raw(folder / name, changed=name == "second")
        databases = {"SQLite": f"sqlite:///{folder}/repository.db", "PostgreSQL": server.create_database("ours")}
        places = {name: Place(folder, name, url) for name, url in databases.items()}
        for place in places.values():
            _measure_ours(report, place)
        _measure_compare(report, places["SQLite"])
        peers = {
            "SQLite": f"sqlite:///{folder}/dlt.db",
            "PostgreSQL": server.create_database("peer").replace("+psycopg", ""),
        }
        for database, url in peers.items():
            _measure_dlt(report, folder, database, url)


def _measure_ours(report: Report, place: Place) -> None:
    for run_id in ("first", "second"):
        measured = place.synchronize(run_id, place.folder / run_id / "raw")
        for step, taken in measured.items():
            report.figure(f"{place.database}: {run_id} load: {step}", taken.seconds, "s")
        report.figure(f"{place.database}: {run_id} load, prepare to load", seconds(measured), "s")
        name = f"{place.database}: {run_id} load, peak memory of a step"
        report.at_most(name, mebibytes(measured), "MiB", MEMORY_LIMIT)


def _measure_compare(report: Report, place: Place) -> None:
    """Our compare step and the bare comparison on the same two files, in turn; medians."""
    environment, run, again = place.environment, place.run_folder("second"), place.run_folder("again")
    before, after = run / "base" / "Bench_Person.parquet", run / "clean" / "Bench_Person.parquet"
    for part in ("base", "clean", "raw"):
        shutil.copytree(run / part, again / part, copy_function=shutil.copyfile)
    ours, bare = [], []
    for _ in range(TRIES):
        ours.append(process.run("benchmarks.ours", "compare", "again", environment=environment).seconds)
        arguments = (str(before), str(after), str(place.folder / "raw.parquet"))
        bare.append(process.run("benchmarks.raw_duckdb", *arguments, environment=environment).seconds)
    report.ratio_at_most(
        f"compare, median of {TRIES}, against bare DuckDB",
        sorted(ours)[TRIES // 2],
        sorted(bare)[TRIES // 2],
        COMPARE_LIMIT,
    )


def _measure_dlt(report: Report, folder: Path, database: str, url: str) -> None:
    ours = sum(line.ours for line in report.lines if line.name == f"{database}: second load, prepare to load")
    first = process.run(
        "benchmarks.dlt_peer",
        str(folder / "first" / "rows.parquet"),
        url,
        str(folder / f"dlt-{database}"),
        environment={},
        limit=PEER_FIRST_LIMIT,
    )
    if first.stopped:
        report.faster_by(
            f"{database}: second load against dlt SCD2",
            ours,
            PEER_LIMIT,
            DLT_FACTOR,
            f"dlt's first load was stopped after {PEER_FIRST_LIMIT:.0f} s",
        )
        return
    report.figure(f"{database}: dlt, first load", first.seconds, "s")
    second = process.run(
        "benchmarks.dlt_peer",
        str(folder / "second" / "rows.parquet"),
        url,
        str(folder / f"dlt-{database}"),
        environment={},
        limit=PEER_LIMIT,
    )
    note = f"dlt was stopped after {PEER_LIMIT:.0f} s" if second.stopped else ""
    report.faster_by(f"{database}: second load against dlt SCD2", ours, second.seconds, DLT_FACTOR, note)
