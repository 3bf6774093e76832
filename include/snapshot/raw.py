"""The raw files of a run: what each table's export reported, its header, and its rows in DuckDB."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.model.transformation import Transformation
from include.model.transformations import source_columns
from include.snapshot.errors import PreparationError
from include.snapshot.transformations import FILTERED, transformed
from include.storage.engine import literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

COMMAND = "command"
"""The extra column of a table of changes."""
MAXIMUM_LINE = 16 * 1024 * 1024
"""Bytes of the longest line that is read. A buffer of DuckDB holds two; by default it would take sixteen, 256 MB."""
FAULTS = (
    (r"^Out of Memory", "DuckDB's memory is too small to read it; raise ROLLCALL_DUCKDB_MEMORY"),
    (r"Maximum line size", f"the line is longer than {MAXIMUM_LINE} bytes; leave that column out of the mapping"),
    (r"Invalid unicode", "the text is not UTF-8; run the export again"),
    (r"unterminated quote", "a quote is not closed; run the export again"),
    (r"Expected Number of Columns: \d+ Found: \d+", "the number of columns differs; run the export again"),
)


@dataclass(frozen=True, slots=True)
class TableState:
    """What an export reported of one table; by default, that no export reported it."""

    rows: int | None = None
    complete: bool = False
    command: bool = False
    reason: str | None = "no export reported this table"


@dataclass(frozen=True, slots=True)
class RawTable:
    """One raw file, loaded: where it lies in DuckDB, its header, and how many rows it holds.

    The relation's columns are ``c0``, ``c1`` ... in order of the header; only those that are read are kept.
    The header has the columns of the file, then those that transformations make. ``filtered`` of the
    ``rows`` were left out by a transformation.
    """

    table: str
    relation: str
    header: tuple[str, ...]
    rows: int
    state: TableState
    filtered: int = 0

    @property
    def kept(self) -> str:
        """The rows that no transformation left out, as SQL; ``rowid`` is their place in the file."""
        return f"{self.relation} WHERE NOT {FILTERED}"

    @property
    def file(self) -> str:
        """The file as reports name it."""
        return f"raw/{self.table}.csv"

    def column(self, wanted: str, purpose: str) -> str:
        """The relation's column for a mapped column.

        Raises:
            PreparationError: the header does not have it.
        """
        return f"c{find_column(self.header, wanted, self.file, purpose)}"

    def label(self, column: str) -> str:
        """The name in the header of one of the relation's columns."""
        return self.header[int(column[1:])]


def read_reports(run: Folder) -> dict[str, TableState]:
    """What the exports reported, by table.

    Raises:
        PreparationError: a report cannot be read.
    """
    raw = run.child("raw")
    states: dict[str, TableState] = {}
    for file in raw.names("*.report.json"):
        try:
            for table in raw.read_json(file)["tables"]:
                states[table["table"]] = TableState(
                    int(table["rows"]), bool(table["complete"]), bool(table.get("command")), table.get("reason")
                )
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise PreparationError(f"raw/{file} is not an export report: run the export again") from error
    return states


def first_export(run: Folder) -> datetime:
    """When the first export of a run began (UTC, without a zone); now, where none says it."""
    raw = run.child("raw")
    reports = (raw.read_json(file) for file in raw.names("*.report.json"))
    began = [datetime.fromisoformat(report["started_at"]) for report in reports if "started_at" in report]
    return min(began, default=datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)


def load_table(
    connection: duckdb.DuckDBPyConnection,
    run: Folder,
    table: str,
    state: TableState,
    mapped: Mapping[str, str],
    *,
    transformations: tuple[Transformation, ...] = (),
) -> RawTable:
    """Load the mapped columns of one raw file into a temporary table, in the order of the file.

    A table of which nothing was exported has no rows.

    Args:
        connection: an engine that reads the run.
        run: the folder of the run.
        table: the connection table.
        state: what its export reported.
        mapped: each mapped column, with what it is mapped to (for messages).
        transformations: what is done to the table first.

    Raises:
        PreparationError: the file is missing, lacks a column that is read, is not the CSV it should be, or
            holds another number of rows than reported.
    """
    raw, file, relation = run.child("raw"), f"raw/{table}.csv", name(f"raw {table}")
    wanted = source_columns(transformations, mapped)
    if raw.exists(f"{table}.csv"):
        header = read_header(run, file)
        source = csv_relation(raw.file(f"{table}.csv"), numbered(header))
    elif state.rows is None:
        header = tuple(wanted)
        nothing = ", ".join(f"CAST(NULL AS VARCHAR) AS c{index}" for index in range(len(header)))
        source = f"(SELECT {nothing} WHERE false)"
    else:
        raise PreparationError(
            f"{file} is missing although its export reported {state.rows} rows: run the export again"
        )
    kept = ", ".join(f"c{index}" for index in _indexes(header, wanted, file))
    query, columns = transformed(
        connection,
        f"(SELECT {kept} FROM {source})",
        header,
        transformations,
        lambda names, column, purpose: find_column(names, column, file, purpose),
        command=f"c{find_column(header, COMMAND, file, 'the changes')}" if state.command else None,
    )
    rows = _create(connection, f"CREATE OR REPLACE TEMP TABLE {relation} AS {query}", file)
    if state.rows is not None and rows != state.rows:
        raise PreparationError(f"{file} holds {rows} rows where its export reported {state.rows}: run the export again")
    filtered = connection.execute(f"SELECT count(*) FROM {relation} WHERE {FILTERED}").fetchone()
    return RawTable(table, relation, columns, rows, state, int(filtered[0]) if filtered else 0)


def _indexes(header: tuple[str, ...], wanted: Mapping[str, str], file: str) -> list[int]:
    return sorted({find_column(header, column, file, purpose) for column, purpose in wanted.items()})


def find_column(header: Iterable[str], wanted: str, file: str, purpose: str) -> int:
    """The index of a mapped column: by its exact name, else by its name in another case.

    Raises:
        PreparationError: there is none, or more than one.
    """
    columns = list(header)
    exact = [index for index, column in enumerate(columns) if column == wanted]
    found = exact or [index for index, column in enumerate(columns) if column.casefold() == wanted.casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise PreparationError(f"{file}: column '{wanted}' of {purpose} stands {len(found)} times in the header")
    near = difflib.get_close_matches(wanted, columns, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"its columns are {', '.join(columns)}"
    raise PreparationError(f"{file}: no column '{wanted}' for {purpose}; {hint}")


def read_header(folder: Folder, file: str) -> tuple[str, ...]:
    """The column names of a CSV file in the form of the raw files.

    Raises:
        PreparationError: the file has no header.
    """
    with folder.open(file) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
        try:
            header = next(csv.reader(text, strict=True), None)
        except csv.Error as error:
            raise PreparationError(f"{file}: the header is not CSV: run the export again") from error
        finally:
            text.detach()
    if not header:
        raise PreparationError(f"{file} has no header: run the export again")
    return tuple(header)


def numbered(header: Sequence[str]) -> list[str]:
    """Names that no header can make ambiguous: ``c0``, ``c1`` ..."""
    return [f"c{index}" for index in range(len(header))]


def csv_relation(path: str, columns: Sequence[str]) -> str:
    """A CSV file in the form of the raw files as a SQL relation of text columns.

    Nothing is guessed from the content; NULL is an empty field without quotes.
    """
    types = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in columns)
    return f"""read_csv({literal(path)}, columns = {{{types}}}, auto_detect = false,
        header = true, delim = ',', quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false,
        strict_mode = true, max_line_size = {MAXIMUM_LINE}, buffer_size = {2 * MAXIMUM_LINE})"""


def _create(connection: duckdb.DuckDBPyConnection, statement: str, file: str) -> int:
    import duckdb

    try:
        created = connection.execute(statement).fetchone()
    except duckdb.Error as error:
        # DuckDB quotes the line itself: only the fault is told, never the data.
        text = str(error)
        fault = next((said for pattern, said in FAULTS if re.search(pattern, text)), None)
        if fault is None:
            raise PreparationError(
                f"{file} cannot be read as CSV ({type(error).__name__}): run the export again"
            ) from None
        line = re.search(r"CSV Error on Line: (\d+)", text)
        raise PreparationError(f"{file}{f' line {line[1]}' if line else ''}: {fault}") from None
    return int(created[0]) if created else 0
