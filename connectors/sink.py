"""The raw files of an export: RFC 4180 CSV in UTF-8, written by pyarrow in batches of bounded size.

Every value stands in double quotes; NULL is an empty field without quotes, so that it is never taken
for the empty string. A table appears under its name when it is complete, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import IO, TYPE_CHECKING

from connectors.columns import check_header
from connectors.errors import ConfigurationError, InvalidValue

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.csv import CSVWriter

ROWS_PER_BATCH = 5_000
OpenFile = Callable[[str], AbstractContextManager[IO[bytes]]]


class CsvSink:
    """Writes each table to ``<table>.csv`` of the folder behind ``open_file``.

    ``open_file`` takes a file name and gives a binary stream whose file becomes visible when its
    block ends without an error (``Folder.write`` of the run's ``raw`` folder).
    """

    def __init__(self, open_file: OpenFile) -> None:
        self._open_file = open_file
        self._names: set[str] = set()

    @contextmanager
    def table(self, name: str, columns: Sequence[str]) -> Iterator[CsvTable]:
        """Open one table; its header is written at once, its file appears when the block ends.

        Raises:
            ConfigurationError: a table name that is no file name or comes twice, a column that comes
                twice.
        """
        import pyarrow
        from pyarrow.csv import CSVWriter, WriteOptions

        self._claim(name)
        check_header(f"table '{name}'", columns)
        schema = pyarrow.schema([(column, pyarrow.string()) for column in columns])
        options = WriteOptions(batch_size=ROWS_PER_BATCH, quoting_style="all_valid")
        with self._open_file(f"{name}.csv") as stream, CSVWriter(stream, schema, write_options=options) as writer:
            yield CsvTable(name, schema, writer)

    def _claim(self, name: str) -> None:
        if not name or name.startswith(".") or any(mark in name for mark in "/\\\0"):
            raise ConfigurationError(f"table '{name}' cannot be written: its name is no file name")
        if name.casefold() in self._names:
            raise ConfigurationError(f"table '{name}' is exported twice")
        self._names.add(name.casefold())


class CsvTable:
    """Writes the rows of one table. ``rows`` counts the data rows written so far."""

    def __init__(self, name: str, schema: pyarrow.Schema, writer: CSVWriter) -> None:
        self.name = name
        self.rows = 0
        self._schema = schema
        self._writer = writer

    def write_rows(self, rows: Iterable[Sequence[str | None]]) -> None:
        """Append rows, in the order of the table's columns; ``None`` is NULL.

        Raises:
            InvalidValue: a value that UTF-8 text cannot carry, with its row and column.
            ValueError: a row with more or fewer values than the table has columns.
        """
        import pyarrow

        source = iter(rows)
        while chunk := list(islice(source, ROWS_PER_BATCH)):
            columns = list(zip(*chunk, strict=True))
            if len(columns) != len(self._schema):
                raise ValueError(f"table '{self.name}' has {len(self._schema)} columns, a row {len(columns)} values")
            arrays = [
                text_array(values, table=self.name, column=name, first_row=self.rows + 1)
                for name, values in zip(self._schema.names, columns, strict=True)
            ]
            self.write_batch(pyarrow.record_batch(arrays, schema=self._schema))

    def write_batch(self, batch: pyarrow.RecordBatch) -> None:
        """Append a record batch of string columns, in the order of the table's columns.

        Raises:
            InvalidValue: a value with a NUL character, with its row and column.
        """
        for name, values in zip(self._schema.names, batch.columns, strict=True):
            self._refuse_nul(name, values)
        self._writer.write_batch(batch.rename_columns(self._schema.names))
        self.rows += batch.num_rows

    def _refuse_nul(self, column: str, values: pyarrow.Array) -> None:
        from pyarrow import compute

        found = compute.index(compute.match_substring(values, "\0"), True).as_py()
        if found >= 0:
            raise unwritable(self.name, self.rows + 1 + found, column, "a NUL character")


def text_array(values: Sequence[str | None], *, table: str, column: str, first_row: int) -> pyarrow.Array:
    """Values as an Arrow string array. ``first_row`` is the data row (from 1) of the first value.

    Raises:
        InvalidValue: a lone surrogate, which is no Unicode text, with its row and column.
    """
    import pyarrow

    try:
        return pyarrow.array(values, pyarrow.string())
    except UnicodeEncodeError:
        for row, value in enumerate(values, first_row):
            if value is not None and any("\ud800" <= character <= "\udfff" for character in value):
                raise unwritable(table, row, column, "half of a surrogate pair") from None
        raise


def unwritable(table: str, row: int, column: str, what: str) -> InvalidValue:
    """The error for a value that no UTF-8 CSV can carry."""
    return InvalidValue(
        f"table '{table}', row {row}, column '{column}': the value holds {what}, which text cannot carry; "
        "correct it in the source"
    )
