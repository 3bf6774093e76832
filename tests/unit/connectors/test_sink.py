from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConfigurationError, InvalidValue
from connectors.sink import ROWS_PER_BATCH, CsvSink
from include.storage.engine import engine, literal
from include.storage.folder import Folder
from tests import strategies
from tests.contract.raw import Files


def written(columns: list[str], rows: list[tuple[str | None, ...]]) -> bytes:
    files = Files()
    with files.sink().table("T", columns) as table:
        table.write_rows(rows)
    assert table.rows == len(rows)
    return files["T.csv"]


def test_null_is_an_empty_field_and_the_empty_string_is_quoted() -> None:
    assert written(["a", "b"], [(None, ""), ("", None)]) == b'"a","b"\n,""\n"",\n'


def test_the_header_is_written_without_any_row() -> None:
    assert written(['with "quotes", comma\nand line'], []) == b'"with ""quotes"", comma\nand line"\n'


@given(st.lists(st.tuples(strategies.cells, strategies.cells), max_size=20))
def test_every_text_survives_byte_for_byte(rows: list[tuple[str | None, str | None]]) -> None:
    text = written(["a", "b"], rows).decode()
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert read == [["a", "b"], *([value or "" for value in row] for row in rows)]


def test_duckdb_reads_back_what_was_written(tmp_path: object) -> None:
    rows = [(" both ", None), ("", 'q"q'), ("a\r\nb\rc\n", "ü, 名 😀"), ("\t", ";"), ("NULL", "x" * 100_000)]
    folder = Folder(f"file://{tmp_path}")
    with CsvSink(folder.write).table("T", ["a", "b"]) as table:
        table.write_rows(rows)
    options = "header=true, all_varchar=true, quote='\"', escape='\"', allow_quoted_nulls=false, max_line_size=1000000"
    read = f"read_csv({literal(folder.file('T.csv'))}, delim=',', {options})"
    with engine(folder) as connection:
        assert connection.sql(f"SELECT * FROM {read}").fetchall() == rows


def test_more_rows_than_a_batch_are_counted_and_kept_in_order() -> None:
    rows = [(str(number),) for number in range(2 * ROWS_PER_BATCH + 1)]
    lines = written(["n"], rows).decode().splitlines()
    assert lines == ['"n"', *(f'"{number}"' for number in range(len(rows)))]


@pytest.mark.parametrize(("value", "what"), [("a\0b", "NUL"), ("\ud83d", "surrogate")])
def test_a_value_that_text_cannot_carry_is_one_line_with_its_place(value: str, what: str) -> None:
    files = Files()
    good = [("fine", "fine")] * (ROWS_PER_BATCH + 1)
    with pytest.raises(InvalidValue) as raised, files.sink().table("People", ["id", "name"]) as table:
        table.write_rows([*good, ("x", value)])
    assert raised.value.message.startswith(f"table 'People', row {ROWS_PER_BATCH + 2}, column 'name': ")
    assert what in raised.value.message
    assert files == {}


def test_nul_is_found_in_batches_too() -> None:
    files = Files()
    batch = pyarrow.record_batch({"a": ["1", None, "\0"]})
    with pytest.raises(InvalidValue, match="row 3, column 'a'"), files.sink().table("T", ["a"]) as table:
        table.write_batch(batch)


def test_nothing_is_visible_before_the_end_nor_after_an_error() -> None:
    files = Files()

    def rows() -> Iterator[tuple[str]]:
        yield ("1",)
        assert files == {}
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"), files.sink().table("T", ["a"]) as table:
        table.write_rows(rows())
    assert files == {}


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2 columns, a row 1"), Files().sink().table("T", ["a", "b"]) as table:
        table.write_rows([("1",)])


@pytest.mark.parametrize("columns", [["mail", "mail"], ["mail", "Mail"]])
def test_columns_that_cannot_be_told_apart_are_refused(columns: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="comes twice in table 'T'"), Files().sink().table("T", columns):
        pass


@pytest.mark.parametrize("name", ["", "../T", "a/b", ".hidden", "a\\b"])
def test_a_table_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no file name"), Files().sink().table(name, ["a"]):
        pass


def test_a_table_is_written_once() -> None:
    sink = Files().sink()
    with sink.table("T", ["a"]):
        pass
    with pytest.raises(ConfigurationError, match="'t' is exported twice"), sink.table("t", ["a"]):
        pass
