"""One line per benchmark, the same as JSON, and whether the target was reached."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
LIBRARIES = (
    "duckdb",
    "pyarrow",
    "sqlalchemy",
    "adbc-driver-sqlite",
    "adbc-driver-postgresql",
    "great-expectations",
    "dlt",
)


@dataclass(frozen=True)
class Line:
    """One benchmark: what ours and the peer's took, their ratio, and the target for ours or for the ratio.

    ``met`` is None for a figure that is only reported.
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""

    def __str__(self) -> str:
        verdict = "" if self.met is None else "met" if self.met else "missed"
        peer = "-" if self.peer is None else f"{self.peer:.2f}"
        ratio = "-" if self.ratio is None else f"{self.ratio:.2f}"
        columns = (
            f"{self.name:55}",
            f"{self.ours:9.2f} {self.unit:4}",
            f"{peer:>9}",
            f"{ratio:>7}",
            f"{self.target:>22}",
        )
        return "  ".join((*columns, verdict, self.note)).rstrip()


@dataclass
class Report:
    """The lines of one area; printed as they come, kept as JSON at the end."""

    area: str
    lines: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        """Print a line and keep it."""
        print(line, flush=True)
        self.lines.append(line)

    def at_most(self, name: str, ours: float, unit: str, limit: float, **more: Any) -> None:
        """A figure that must not exceed a limit."""
        self.add(Line(name, ours, unit, target=f"<= {limit:g} {unit}", met=ours <= limit, **more))

    def ratio_at_most(self, name: str, ours: float, peer: float, limit: float, unit: str = "s") -> None:
        """Ours must take at most ``limit`` times what the peer takes."""
        ratio = ours / peer
        self.add(Line(name, ours, unit, peer, ratio, f"ours/peer <= {limit:g}", ratio <= limit))

    def faster_by(self, name: str, ours: float, peer: float, factor: float, note: str = "") -> None:
        """The peer must take at least ``factor`` times what ours takes."""
        ratio = peer / ours
        self.add(Line(name, ours, "s", peer, ratio, f"peer/ours >= {factor:g}", ratio >= factor, note))

    def figure(self, name: str, ours: float, unit: str) -> None:
        """A figure without a target."""
        self.add(Line(name, ours, unit))

    def write(self) -> bool:
        """Write ``results/<area>.json``; whether no target was missed."""
        RESULTS.mkdir(exist_ok=True)
        content = {
            "area": self.area,
            "machine": {
                "processors": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "versions": {name: version(name) for name in LIBRARIES},
            "lines": [asdict(line) for line in self.lines],
        }
        (RESULTS / f"{self.area}.json").write_text(json.dumps(content, indent=2) + "\n")
        return all(line.met is not False for line in self.lines)
