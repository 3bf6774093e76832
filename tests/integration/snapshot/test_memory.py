"""Time and memory grow linearly with rows, and memory stays under its limit (invariant 12)."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

MEGABYTE = 1024 * 1024
LIMIT = "200MB"
FEW, MANY = 100_000, 900_000


@dataclass(frozen=True, slots=True)
class Walk:
    """What preparing and comparing took: the peak of the process in bytes, its processor seconds, and what it found."""

    peak: int
    seconds: float
    changes: tuple[int, ...]


def walk(rows: int, folder: Path) -> Walk:
    """Prepare and compare so many rows in a process of its own, under the limit."""

    def run(what: str, limit: str) -> str:
        command = [sys.executable, "-m", "tests.integration.snapshot.measured", what, str(rows), str(folder)]
        environment = os.environ | {"ROLLCALL_DUCKDB_MEMORY": limit}
        root = Path(__file__).resolve().parents[3]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("write", "1GB")
    peak, seconds, *changes = run("walk", LIMIT).split()
    return Walk(int(peak), float(seconds), tuple(map(int, changes)))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_nine_times_the_rows_stay_under_the_limit_and_take_no_quadratic_time(tmp_path: Path) -> None:
    few, many = walk(FEW, tmp_path / "few"), walk(MANY, tmp_path / "many")
    for rows, found in ((FEW, few), (MANY, many)):
        hundredth = rows // 100
        assert found.changes == (rows // 10 - 2 * hundredth // 10, hundredth, hundredth)
    # Python with DuckDB, imported, takes 80 MB of it. With 4 GB to use, many rows take 580 MB.
    assert many.peak < 500 * MEGABYTE
    assert many.peak - few.peak < 280 * MEGABYTE
    # Nine times would be linear, eighty-one times quadratic; spilling to disk is not free.
    assert many.seconds < 25 * few.seconds
