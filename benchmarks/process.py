"""Run one measured piece in a process of its own: its seconds and its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.model.environment import project_root

MEBIBYTE = 1024


@dataclass(frozen=True)
class Measured:
    """What a process took. ``stopped`` says that it was killed at the limit."""

    seconds: float
    mebibytes: float
    stopped: bool = False


def run(module: str, *arguments: str, environment: Mapping[str, str], limit: float | None = None) -> Measured:
    """Run ``python -m module arguments`` and read what ``measure_here`` printed.

    Raises:
        RuntimeError: the process failed.
    """
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | dict(environment)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=project_root(),
            env=given,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Measured(limit or 0.0, 0.0, stopped=True)
    if done.returncode != 0:
        raise RuntimeError(f"{module} {' '.join(arguments)}: {done.stderr[-2000:]}")
    content: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return Measured(content["seconds"], content["mebibytes"])


def measure_here(piece: Callable[[], object]) -> None:
    """Run a piece in this process and print what it took, for ``run`` to read."""
    started = time.perf_counter()
    piece()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "mebibytes": _peak_kibibytes() / MEBIBYTE}))


def _peak_kibibytes() -> int:
    """The most memory this process ever held; ``ru_maxrss`` would count its parent's before the exec."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
