"""A place for raw files in memory, with the rule of a run's folder: a file appears whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from connectors.sink import CsvSink


class Files(dict[str, bytes]):
    """File names and bytes of the files that became visible."""

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        stream = io.BytesIO()
        yield stream
        self[name] = stream.getvalue()

    def sink(self) -> CsvSink:
        return CsvSink(self.write)
