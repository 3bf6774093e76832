"""Package ``csv``: a delimited file becomes the one table of its connection. Export only."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from connectors.columns import check_header, require_columns, require_tables
from connectors.contract import (
    COMMAND_COLUMN,
    CheckResult,
    ConnectionContext,
    ConnectorSettings,
    ExportReport,
    ExportRequest,
    Mode,
    Sink,
    TableReport,
)
from connectors.errors import ConfigurationError, ConnectorError
from connectors.files.delimited import DelimitedFile, Dialect
from connectors.files.faults import unreadable
from connectors.files.layout import Layout, arrange
from connectors.location import base_folder, existing_file, newest_match

Character = Annotated[str, Field(min_length=1, max_length=1)]


class CsvSettings(ConnectorSettings):
    """Where the file lies and how it is written.

    ``path`` is read by complete and initial runs, ``path_incremental`` (changes, with a command
    column) by incremental ones; at least one is given. With ``is_file_name_regex``, what follows the
    last slash is a regular expression, and the most recently written match is read.
    """

    path: str | None = None
    path_incremental: str | None = None
    is_file_name_regex: bool = False
    encoding: str = "utf-8"
    separator: Character = ","
    number_of_lines_to_skip: Annotated[int, Field(ge=0)] = 0
    values_to_trim: tuple[Character, ...] = ()
    """Characters cut from both ends of headers and values, one after the other."""
    command_column: str = COMMAND_COLUMN
    """Header of the command column of an incremental file, in any letter case."""
    maximum_field_characters: Annotated[int, Field(gt=0)] = 100_000

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            io.TextIOWrapper(io.BytesIO(), encoding)
        except LookupError:
            raise ValueError(f"'{encoding}' is no text encoding of Python's codecs") from None
        return encoding

    @field_validator("separator")
    @classmethod
    def _usable_separator(cls, separator: str) -> str:
        if separator in '"\r\n\0':
            raise ValueError("a quote or a line end cannot separate fields")
        return separator

    @model_validator(mode="after")
    def _paths(self) -> CsvSettings:
        if not self.path and not self.path_incremental:
            raise ValueError("give 'path', 'path_incremental' or both")
        for path in (self.path, self.path_incremental) if self.is_file_name_regex else ():
            try:
                re.compile((path or "").rpartition("/")[2])
            except re.error as error:
                raise ValueError(f"'{path}' does not end in a regular expression: {error}") from None
        return self


class CsvConnector:
    """Exports a delimited file as the table named like the connection, every column with a header.

    An empty field becomes NULL: a delimited file cannot tell it from an empty string. A file that was
    cut exactly between two records, or inside the last field of its last line, cannot be told from a
    whole one.
    """

    Settings = CsvSettings

    def __init__(self, context: ConnectionContext) -> None:
        settings = context.settings
        if not isinstance(settings, CsvSettings):
            raise ConfigurationError(f"connection '{context.identifier}' has no settings of package 'csv'")
        self._context = context
        self._settings = settings

    def tables(self) -> Sequence[str]:
        """The one table, named like the connection."""
        return (self._context.identifier,)

    def export(self, request: ExportRequest, sink: Sink) -> ExportReport:
        """Write the file of the mode to the sink; incremental without ``path_incremental`` reads ``path``.

        Raises:
            ConnectorError: one line with file and line; nothing becomes visible.
        """
        table = self._context.identifier
        path, holds_changes = self._choose(request.mode)
        with self._open(path) as file:
            layout = self._layout(file, holds_changes=holds_changes, forced=request.mode == "initial")
            with sink.table(table, layout.columns) as writer:
                for rows in file.batches():
                    writer.write_batch(layout.batch(rows, table, writer.rows + 1))
                file.refuse_changed()
        report = TableReport(table, writer.rows, complete=True, command=layout.command is not None)
        return ExportReport((report,))

    def check(self) -> Sequence[CheckResult]:
        """One verdict per file: it is there, and its header holds the mapped columns."""
        paths = ((self._settings.path, False), (self._settings.path_incremental, True))
        return [self._check(path, holds_changes) for path, holds_changes in paths if path]

    def _check(self, path: str, holds_changes: bool) -> CheckResult:
        try:
            with self._open(path) as file:
                layout = self._layout(file, holds_changes=holds_changes, forced=False)
        except ConnectorError as error:
            return CheckResult(f"file {path}", passed=False, detail=error.message)
        return CheckResult(f"file {path}", passed=True, detail=f"{file.name} has {len(layout.columns)} columns")

    def _choose(self, mode: Mode) -> tuple[str, bool]:
        """The path that a mode reads, and whether it holds changes."""
        path, incremental = self._settings.path, self._settings.path_incremental
        if incremental and (mode == "incremental" or (mode == "initial" and not path)):
            return incremental, True
        if path:
            return path, False
        raise ConfigurationError(
            f"connection '{self._context.identifier}' has no 'path': a complete run would take its changes "
            "for the whole content; give 'path', or run it incrementally"
        )

    @contextmanager
    def _open(self, path: str) -> Iterator[DelimitedFile]:
        settings, base = self._settings, base_folder(self._context)
        dialect = Dialect(
            settings.encoding,
            settings.separator,
            settings.number_of_lines_to_skip,
            settings.maximum_field_characters,
        )
        try:
            file = newest_match(base, path) if settings.is_file_name_regex else existing_file(base, path)
            stream = file.open("rb")
        except OSError as error:
            raise unreadable(path, error) from None
        with stream:
            yield DelimitedFile(stream, file, dialect)

    def _layout(self, file: DelimitedFile, *, holds_changes: bool, forced: bool) -> Layout:
        context, settings = self._context, self._settings
        layout = arrange(file.header, settings.values_to_trim, settings.command_column if holds_changes else None)
        if holds_changes and layout.command is None and not forced:
            raise ConfigurationError(
                f"{file.name} has no column '{settings.command_column}' that says insert, update or delete; "
                "name it in 'command_column'"
            )
        check_header(file.name, layout.columns)
        require_tables(context.tables, self.tables(), context.identifier)
        require_columns(context.tables, context.identifier, layout.columns, f"{file.name}; its header")
        return layout
