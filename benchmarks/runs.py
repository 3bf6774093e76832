"""Whole synchronizations step by step, each step in a process of its own, over raw files made beforehand."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks import process
from benchmarks.process import Measured

STEPS = ("prepare", "validate", "compare", "guard", "load")


@dataclass(frozen=True)
class Place:
    """A configuration, a storage and a repository of their own."""

    folder: Path
    database: str
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """For the processes of its runs."""
        return {
            "ROLLCALL_CONFIG": str(self.folder / "configuration"),
            "ROLLCALL_STORAGE": f"file://{self.storage}",
            "ROLLCALL_REPOSITORY": self.url,
        }

    @property
    def storage(self) -> Path:
        """Where the runs lie."""
        return self.folder / f"storage-{self.database}"

    def run_folder(self, run_id: str) -> Path:
        """The folder of one run."""
        return self.storage / "Bench" / run_id

    def synchronize(self, run_id: str, raw: Path, mode: str = "initial") -> dict[str, Measured]:
        """One run over the raw files of ``raw``; what each step took."""
        process.run("benchmarks.ours", "open", run_id, mode, environment=self.environment)
        shutil.copytree(raw, self.run_folder(run_id) / "raw", copy_function=shutil.copyfile)
        return {
            step: process.run("benchmarks.ours", step, run_id, mode, environment=self.environment) for step in STEPS
        }


def seconds(measured: dict[str, Measured]) -> float:
    """From prepare to load."""
    return sum(taken.seconds for taken in measured.values())


def mebibytes(measured: dict[str, Measured]) -> float:
    """The peak memory of the step that needed most."""
    return max(taken.mebibytes for taken in measured.values())
