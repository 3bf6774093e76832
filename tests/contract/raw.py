"""Raw files in memory, with the rule of a run's folder: a file appears whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from pyarrow.csv import ConvertOptions, ParseOptions, read_csv

from connectors.sink import CsvSink

Row = tuple[str | None, ...]


class Files(dict[str, bytes]):
    """Names and bytes of the files that became visible."""

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        stream = io.BytesIO()
        yield stream
        self[name] = stream.getvalue()

    def sink(self) -> CsvSink:
        return CsvSink(self.write)

    def header(self, table: str) -> list[str]:
        """The column names of a table."""
        names: list[str] = self._read(table).column_names
        return names

    def rows(self, table: str) -> list[Row]:
        """The rows of a table; ``None`` is an empty field without quotes."""
        return [tuple(row.values()) for row in self._read(table).to_pylist()]

    def _read(self, table: str):  # type: ignore[no-untyped-def]  # pyarrow has no types
        text = ConvertOptions(
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            column_types=dict.fromkeys(self._columns(table), "string"),
        )
        return read_csv(io.BytesIO(self[f"{table}.csv"]), parse_options=PARSING, convert_options=text)

    def _columns(self, table: str) -> list[str]:
        names: list[str] = read_csv(io.BytesIO(self[f"{table}.csv"]), parse_options=PARSING).column_names
        return names


# An empty line is the NULL of a table with one column.
PARSING = ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
