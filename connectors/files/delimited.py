"""Reads delimited text strictly and in batches of bounded size; every fault is one line with its place."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from connectors.errors import ConfigurationError, ConnectorError, IncompleteExport, InvalidValue
from connectors.files.faults import BYTE_ORDER_MARK, encoding_error, unreadable

ROWS_PER_BATCH = 5_000
LONGEST_HEADER = 1 << 22


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file is written. ``maximum_field_characters`` bounds a field, and so the memory."""

    encoding: str = "utf-8"
    separator: str = ","
    lines_to_skip: int = 0
    maximum_field_characters: int = 100_000


class DelimitedFile:
    """One pass over a delimited file: the header when it is made, then the rows.

    Lines are counted from 1 as an editor shows them, a record by its first line. Blank lines between
    records are passed over. A byte order mark is not part of the first header.

    Raises:
        IncompleteExport: not even a header is there.
        ConnectorError: as ``batches``.
    """

    def __init__(self, stream: IO[bytes], path: Path, dialect: Dialect) -> None:
        self.name = path.name
        self._path = path
        self._stream = stream
        self._before = version(stream)
        self._dialect = dialect
        # newline="" keeps the line ends inside quoted fields as they are.
        self._text = io.TextIOWrapper(stream, dialect.encoding, newline="")
        self._longest_line = LONGEST_HEADER
        self._last_line = ""
        self._lines_before = 0
        self._reader = csv.reader(self._lines(), delimiter=dialect.separator, strict=True)
        with self._faults():
            self._skip()
            self.header = self._read_header()
        # A longer line is handed over in pieces: each has a field, or a number of fields, beyond its limit.
        self._longest_line = (len(self.header) + 2) * (2 * dialect.maximum_field_characters + 4)

    def batches(self) -> Iterator[list[list[str]]]:
        """The rows, in lists of at most ``ROWS_PER_BATCH``; every row has one value per header field.

        Raises:
            ConfigurationError: wrong encoding, stray quotes, or too many or too few fields.
            IncompleteExport: the file was cut.
            InvalidValue: a field beyond the limit.
            ConnectionFailed: the file cannot be read to its end.
        """
        while rows := self._batch():
            yield rows

    def refuse_changed(self) -> None:
        """Refuse a file that somebody wrote while it was read.

        Raises:
            IncompleteExport: its size or time of writing is another one now.
        """
        if version(self._stream) != self._before:
            raise IncompleteExport(
                f"{self.name} was written while it was read; export it again when its writer is done, "
                "and let the writer rename a finished file into place"
            )

    def _batch(self) -> list[list[str]]:
        rows: list[list[str]] = []
        width = len(self.header)
        with self._faults():
            for row in self._reader:
                if len(row) == width:
                    rows.append(row)
                elif row:
                    raise self._ragged(row)
                self._lines_before = self._reader.line_num
                if len(rows) == ROWS_PER_BATCH:
                    break
        return rows

    def _skip(self) -> None:
        for _ in range(self._dialect.lines_to_skip):
            if not self._text.readline():
                raise self._empty()

    def _lines(self) -> Iterator[str]:
        at_start = self._dialect.lines_to_skip == 0
        while line := self._text.readline(self._longest_line):
            self._last_line = line
            yield line.removeprefix(BYTE_ORDER_MARK) if at_start else line
            at_start = False

    def _read_header(self) -> list[str]:
        header = next(self._reader, None)
        if header is None:
            raise self._empty()
        if not any(header) or len(self._last_line) == LONGEST_HEADER:
            raise ConfigurationError(f"{self.name}, line {self._line}: there is no header in this line")
        self._lines_before = self._reader.line_num
        return header

    @property
    def _line(self) -> int:
        """The first line of the record that is being read."""
        return self._dialect.lines_to_skip + self._lines_before + 1

    def _empty(self) -> IncompleteExport:
        skipped = f" after the {self._dialect.lines_to_skip} lines to skip" if self._dialect.lines_to_skip else ""
        return IncompleteExport(f"{self.name} is empty{skipped}: not even a header is there")

    def _ragged(self, row: Sequence[str]) -> ConnectorError:
        width = len(self.header)
        counts = f"{self.name}, line {self._line}: {len(row)} fields where the header has {width}"
        if len(row) < width and not self._last_line.endswith(("\n", "\r")):
            return IncompleteExport(f"{counts}, and no line end: the file was cut in the middle of this line")
        return ConfigurationError(f"{counts}; check the separator and the quotes of this line")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Make every fault of the file a connector error, under this dialect's field limit.

        The limit belongs to the whole process (``csv.field_size_limit``), so it is put back.
        """
        before = csv.field_size_limit(self._dialect.maximum_field_characters)
        try:
            yield
        except UnicodeError:
            raise encoding_error(self._path, self._dialect.encoding) from None
        except csv.Error as error:
            raise self._malformed(str(error)) from None
        except OSError as error:
            raise unreadable(self.name, error) from None
        finally:
            csv.field_size_limit(before)

    def _malformed(self, reason: str) -> ConnectorError:
        if "unexpected end of data" in reason:
            return IncompleteExport(
                f"{self.name} ends inside the quotes of the record at line {self._line}: "
                "the file was cut, or a closing quote is missing"
            )
        if "field limit" in reason:
            return self._too_long()
        line = self._dialect.lines_to_skip + self._reader.line_num
        return ConfigurationError(
            f"{self.name}, line {line}: {reason}; check the separator and the quotes of this line"
        )

    def _too_long(self) -> InvalidValue:
        return InvalidValue(
            f"{self.name}, line {self._line}, {self._longest_field()}: "
            f"longer than {self._dialect.maximum_field_characters} characters; a closing quote may be missing, "
            "else raise maximum_field_characters"
        )

    def _longest_field(self) -> str:
        """Where the record at hand grows beyond the limit; read once more, now without it."""
        first = self._line - 1
        last = self._dialect.lines_to_skip + self._reader.line_num
        longest = self._longest_line
        csv.field_size_limit(2 * longest * (last - first))
        with self._path.open(encoding=self._dialect.encoding, newline="") as again:
            lines = islice(iter(lambda: again.readline(longest), ""), first, last)
            fields = next(csv.reader(lines, delimiter=self._dialect.separator))
        position = max(range(len(fields)), key=lambda index: len(fields[index]))
        header = getattr(self, "header", ())
        return f"column '{header[position]}'" if position < len(header) else f"column {position + 1}"


def version(stream: IO[bytes]) -> tuple[int, int]:
    """Size and time of writing of an open file."""
    status = os.fstat(stream.fileno())
    return status.st_size, status.st_mtime_ns
