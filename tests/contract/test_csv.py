from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest

from connectors.contract import ConnectionContext, TableRequest
from connectors.errors import ConfigurationError, IncompleteExport
from connectors.files.csv import CsvSettings
from connectors.files.delimited import ROWS_PER_BATCH
from tests.contract.exporting import COLUMNS, Broken, ExporterContract, ExportSource
from tests.contract.raw import Row


class CsvSource(ExportSource):
    """A CSV file, written by Python's own writer."""

    package = "csv"
    page = ROWS_PER_BATCH
    identifier = table = "People"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, rows: Iterable[Row]) -> None:
        with (self.folder / "people.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)

    def context(self, tables: tuple[TableRequest, ...], path: str = "people.csv") -> ConnectionContext:
        return ConnectionContext(self.identifier, CsvSettings(path=path), tables=tables, folder=self.folder)

    def broken(self) -> Sequence[Broken]:
        (self.folder / "empty.csv").touch()
        return [
            Broken("no file", self.context((), "missing.csv"), ConfigurationError),
            Broken("outside", self.context((), "../people.csv"), ConfigurationError),
            Broken("empty", self.context((), "empty.csv"), IncompleteExport),
        ]

    @contextmanager
    def truncated(self) -> Iterator[ConnectionContext]:
        self.fill((str(number), "Anne", "x") for number in range(2 * self.page + 1))
        whole = (self.folder / "people.csv").read_bytes()
        (self.folder / "people.csv").write_bytes(whole[:-6])
        yield self.mapped()


class TestCsv(ExporterContract):
    limits: ClassVar = {"null": "a delimited file writes NULL and the empty string alike; an empty field is NULL"}

    @pytest.fixture
    def source(self, tmp_path: Path) -> ExportSource:
        return CsvSource(tmp_path)
