from __future__ import annotations

import csv as csv_module
import io
import os
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.contract import (
    Checker,
    ColumnRequest,
    ConnectionContext,
    Endpoint,
    Exporter,
    ExportReport,
    ExportRequest,
    Mode,
    TableRequest,
)
from connectors.errors import (
    ConfigurationError,
    ConnectorError,
    IncompleteExport,
    InvalidValue,
    PermissionDenied,
)
from connectors.files.csv import CsvConnector, CsvSettings
from connectors.registry import build
from tests import strategies
from tests.contract.raw import Files


def connector(folder: Path, *columns: str, extra: dict[str, Any] | None = None, **settings: Any) -> CsvConnector:
    tables = (TableRequest("HR", tuple(ColumnRequest(name) for name in columns)),) if columns else ()
    context = ConnectionContext(
        "HR", CsvSettings(**({"path": "people.csv"} | settings)), Endpoint(extra=extra or {}), tables, folder
    )
    made: CsvConnector = build("csv", context)
    return made


def export(made: CsvConnector, mode: Mode = "complete") -> tuple[bytes, ExportReport]:
    files = Files()
    report = made.export(ExportRequest(mode), files.sink())
    assert list(files) == ["HR.csv"]
    return files["HR.csv"], report


def exported(folder: Path, content: bytes, **settings: Any) -> bytes:
    (folder / "people.csv").write_bytes(content)
    return export(connector(folder, **settings))[0]


def refused(made: CsvConnector, mode: Mode = "complete") -> ConnectorError:
    """The error of an export; it is one line, crosses processes, and nothing became visible."""
    files = Files()
    with pytest.raises(ConnectorError) as raised:
        made.export(ExportRequest(mode), files.sink())
    assert files == {}
    assert "\n" not in raised.value.message
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), copy.message) == (type(raised.value), raised.value.message)
    return raised.value


def refusal(folder: Path, content: bytes, **settings: Any) -> ConnectorError:
    (folder / "people.csv").write_bytes(content)
    return refused(connector(folder, **settings))


class TestContent:
    def test_columns_are_those_of_the_header_and_empty_fields_are_null(self, tmp_path: Path) -> None:
        assert exported(tmp_path, b'id,name\n1,\n2,""\n') == b'"id","name"\n"1",\n"2",\n'

    def test_what_stands_in_quotes_survives_byte_for_byte(self, tmp_path: Path) -> None:
        values = [
            " both ",
            "a,b;c",
            'say "no"',
            "one\r\ntwo\rthree\nfour",
            "Ünïcödé 名前 😀",
            "tab\there",
            "x" * 99_999,
        ]
        with (tmp_path / "people.csv").open("w", newline="", encoding="utf-8") as file:
            csv_module.writer(file).writerows([["id", "name"], *enumerate(values)])
        text = export(connector(tmp_path))[0].decode()
        read = list(csv_module.reader(text.splitlines(keepends=True), strict=True))
        assert [row[1] for row in read[1:]] == values

    @given(rows=st.lists(st.tuples(strategies.text, strategies.text), max_size=6), separator=st.sampled_from(",;\t|"))
    @settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
    @example(rows=[("\ufeffa", '"'), ('""', "=1+1\r\n")], separator=";")
    def test_any_text_survives_byte_for_byte(self, tmp_path: Path, rows: list[tuple[str, str]], separator: str) -> None:
        given = io.StringIO(newline="")
        writer = csv_module.writer(given, delimiter=separator, quoting=csv_module.QUOTE_ALL)
        writer.writerows([("id", "name"), *rows])
        written = exported(tmp_path, given.getvalue().encode(), separator=separator)
        read = list(csv_module.reader(io.StringIO(written.decode(), newline=""), strict=True))
        assert read == [["id", "name"], *map(list, rows)]

    def test_a_table_without_rows_is_complete(self, tmp_path: Path) -> None:
        (tmp_path / "people.csv").write_bytes(b"id,name")
        content, report = export(connector(tmp_path))
        assert content == b'"id","name"\n'
        assert (report.tables[0].rows, report.tables[0].complete) == (0, True)

    def test_a_byte_order_mark_is_no_part_of_the_first_header(self, tmp_path: Path) -> None:
        assert exported(tmp_path, "\ufeffid,name\n1,x\n".encode()) == b'"id","name"\n"1","x"\n'
        assert exported(tmp_path, '\ufeff"id",name\n1,x\n'.encode()) == b'"id","name"\n"1","x"\n'

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"])
    def test_any_encoding_of_python_is_read(self, tmp_path: Path, encoding: str) -> None:
        content = "id,name\n1,Édith\n".encode(encoding)
        assert exported(tmp_path, content, encoding=encoding) == '"id","name"\n"1","Édith"\n'.encode()

    def test_lines_before_the_header_are_skipped(self, tmp_path: Path) -> None:
        content = b'report of "today\nsecond\nid;name\n1;x\n'
        assert exported(tmp_path, content, number_of_lines_to_skip=2, separator=";") == b'"id","name"\n"1","x"\n'

    def test_columns_without_a_header_are_dropped_and_empty_ones_with_a_header_stay(self, tmp_path: Path) -> None:
        assert exported(tmp_path, b"id,,name,\n1,x,,y\n") == b'"id","name"\n"1",\n'

    def test_blank_lines_are_passed_over(self, tmp_path: Path) -> None:
        assert exported(tmp_path, b"id,name\n\n1,x\n\n\n") == b'"id","name"\n"1","x"\n'

    def test_each_character_is_trimmed_in_one_pass_from_headers_and_values(self, tmp_path: Path) -> None:
        content = exported(tmp_path, b"$%id$%,name\n$%I am an example$%,$$\n", values_to_trim=["$", "%"])
        assert content == b'"id$","name"\n"I am an example$",\n'

    def test_the_product_does_not_trim_by_itself(self, tmp_path: Path) -> None:
        assert exported(tmp_path, b"id, name\n 1, x \n") == b'"id"," name"\n" 1"," x "\n'

    def test_many_batches_keep_order_and_count(self, tmp_path: Path) -> None:
        rows = b"".join(b"%d,x\n" % number for number in range(12_345))
        (tmp_path / "people.csv").write_bytes(b"id,name\n" + rows)
        content, report = export(connector(tmp_path))
        assert [line.split(b",")[0] for line in content.splitlines()[1:]] == [b'"%d"' % n for n in range(12_345)]
        assert report.tables[0].rows == 12_345


class TestBadInput:
    """Each fault is one line that names the file and the line; nothing becomes visible."""

    def test_a_missing_file(self, tmp_path: Path) -> None:
        error = refused(connector(tmp_path))
        assert isinstance(error, ConfigurationError)
        assert error.message == f"there is no file 'people.csv' in '{tmp_path}'"

    def test_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "people.csv").mkdir()
        assert "is a folder" in refused(connector(tmp_path)).message

    def test_a_file_that_may_not_be_read(self) -> None:
        user = os.geteuid()
        # pytest's own folders are closed to the account that we become when we are root.
        with TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            (folder / "people.csv").write_bytes(b"id\n1\n")
            (folder / "people.csv").chmod(0)
            if user == 0:
                os.seteuid(65534)
            try:
                error = refused(connector(folder))
            finally:
                os.seteuid(user)
        assert isinstance(error, PermissionDenied)
        assert "people.csv may not be read" in error.message

    @pytest.mark.parametrize(
        ("content", "skip"), [(b"", 0), ("\ufeff".encode(), 0), (b"only\nthese\n", 2), (b"one\n", 2)]
    )
    def test_an_empty_file(self, tmp_path: Path, content: bytes, skip: int) -> None:
        error = refusal(tmp_path, content, number_of_lines_to_skip=skip)
        assert isinstance(error, IncompleteExport | ConfigurationError)
        assert "people.csv" in error.message

    def test_a_wrong_byte_is_named_with_its_line(self, tmp_path: Path) -> None:
        lines = [f"{number},name".encode() for number in range(30_000)]
        lines[20_000] = "20000,Édith".encode("cp1252")
        error = refusal(tmp_path, b"id,name\r\n" + b"\r\n".join(lines))
        assert isinstance(error, ConfigurationError)
        assert error.message == "people.csv, line 20002: not utf-8; set 'encoding' to that of the file"

    def test_another_unicode_is_recognised_by_its_mark(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, "id,name\n1,x\n".encode("utf-16"))
        assert "line 1: not utf-8; its byte order mark says utf-16" in error.message

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_a_file_cut_inside_a_character(self, tmp_path: Path, encoding: str) -> None:
        error = refusal(tmp_path, "id,name\n1,x\n2,é".encode(encoding)[:-1], encoding=encoding)
        assert isinstance(error, IncompleteExport)
        assert "ends in the middle of a character at line 3" in error.message

    def test_a_file_cut_inside_quotes(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, b'id,name\n1,x\n2,"Ami\nna')
        assert isinstance(error, IncompleteExport)
        assert "people.csv ends inside the quotes of the record at line 3" in error.message

    def test_a_file_cut_inside_a_line(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, b"id,name,mail\n1,x,y\n2,x")
        assert isinstance(error, IncompleteExport)
        assert "people.csv, line 3: 2 fields where the header has 3, and no line end" in error.message

    @pytest.mark.parametrize(("row", "count"), [(b"2", 1), (b"2,x,y", 3)])
    def test_a_row_with_too_few_or_too_many_fields(self, tmp_path: Path, row: bytes, count: int) -> None:
        error = refusal(tmp_path, b'skipped\nid,name\n1,"two\nlines"\n\n' + row + b"\n3,z\n", number_of_lines_to_skip=1)
        assert isinstance(error, ConfigurationError)
        assert f"people.csv, line 6: {count} fields where the header has 2" in error.message

    def test_a_last_line_with_too_many_fields_is_not_taken_for_a_cut(self, tmp_path: Path) -> None:
        assert isinstance(refusal(tmp_path, b"id,name\n1,x,y"), ConfigurationError)

    def test_characters_after_a_closing_quote(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, b'id,name\n1,x\n2,"John" Smith\n')
        assert isinstance(error, ConfigurationError)
        assert error.message.startswith("people.csv, line 3: ")

    def test_a_field_beyond_the_limit_points_to_a_missing_quote(self, tmp_path: Path) -> None:
        rows = b"".join(b"%d,x,y\n" % number for number in range(200))
        content = b'id,name,mail\n0,a,b\n1,"missing,y\n' + rows
        error = refusal(tmp_path, content, maximum_field_characters=500)
        assert isinstance(error, InvalidValue)
        assert "people.csv, line 3, column 'name': longer than 500 characters" in error.message
        assert "closing quote may be missing" in error.message

    def test_a_file_without_line_ends_is_refused_before_it_fills_the_memory(self, tmp_path: Path) -> None:
        error = refusal(tmp_path, b"id,name\n" + b"x" * 9_000_000)
        assert isinstance(error, InvalidValue)
        assert "line 2, column 'id'" in error.message
        assert isinstance(refusal(tmp_path, b"a," * 5_000_000), ConnectorError)

    def test_the_field_limit_of_the_process_is_put_back(self, tmp_path: Path) -> None:
        before = csv_module.field_size_limit()
        refusal(tmp_path, b"id\n" + b"x" * 20, maximum_field_characters=10)
        assert csv_module.field_size_limit() == before

    def test_a_header_that_comes_twice(self, tmp_path: Path) -> None:
        assert "column 'id' comes twice in people.csv" in refusal(tmp_path, b"id,name,id\n1,x,2\n").message

    def test_a_header_line_without_names(self, tmp_path: Path) -> None:
        assert "line 1: there is no header" in refusal(tmp_path, b",,\n1,2,3\n").message
        assert "line 1: there is no header" in refusal(tmp_path, b"\nid\n1\n").message

    def test_a_mapped_column_that_is_missing_comes_with_the_nearest_name(self, tmp_path: Path) -> None:
        (tmp_path / "people.csv").write_bytes(b"id,orgcode\n1,x\n")
        error = refused(connector(tmp_path, "id", "org_code"))
        assert isinstance(error, ConfigurationError)
        assert error.message == "column 'org_code' is not in people.csv; its header has 'orgcode'"

    def test_a_mapped_table_that_the_connection_does_not_have(self, tmp_path: Path) -> None:
        (tmp_path / "people.csv").write_bytes(b"id\n1\n")
        context = ConnectionContext(
            "HR", CsvSettings(path="people.csv"), tables=(TableRequest("HR_x", ()),), folder=tmp_path
        )
        assert "connection 'HR' exports no table 'HR_x'; it has 'HR'" in refused(CsvConnector(context)).message

    def test_a_file_that_grows_while_it_is_read(self, tmp_path: Path) -> None:
        file = tmp_path / "people.csv"
        file.write_bytes(b"id\n1\n")
        made, files = connector(tmp_path), Files()
        sink = files.sink()
        original = sink.table

        def table_of_a_slow_reader(*arguments: Any) -> Any:
            with file.open("ab") as stream:
                stream.write(b"2\n")
            return original(*arguments)

        sink.table = table_of_a_slow_reader  # type: ignore[method-assign]
        with pytest.raises(IncompleteExport, match=r"people\.csv was written while it was read"):
            made.export(ExportRequest("complete"), sink)
        assert files == {}


class TestPlace:
    def test_the_folder_of_an_airflow_fs_connection_is_the_base(self, tmp_path: Path) -> None:
        (tmp_path / "drop").mkdir()
        (tmp_path / "drop" / "people.csv").write_bytes(b"id\n1\n")
        assert export(connector(Path("/nowhere"), extra={"path": str(tmp_path / "drop")}))[0] == b'"id"\n"1"\n'

    @pytest.mark.parametrize("regex", [False, True])
    @pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd", "link/secret.csv", "sub/../../secret.csv"])
    def test_a_path_never_leads_out_of_the_base(self, tmp_path: Path, path: str, regex: bool) -> None:
        base = tmp_path / "base"
        (base / "sub").mkdir(parents=True)
        (base / "link").symlink_to(tmp_path)
        (tmp_path / "secret.csv").write_bytes(b"id\n1\n")
        error = refused(connector(base, path=path, is_file_name_regex=regex))
        assert isinstance(error, ConfigurationError)
        assert f"leads out of the folder '{base}'" in error.message

    def test_a_link_found_by_a_regular_expression_does_not_lead_out_either(self, tmp_path: Path) -> None:
        (tmp_path / "base").mkdir()
        (tmp_path / "secret.csv").write_bytes(b"id\n1\n")
        (tmp_path / "base" / "people.csv").symlink_to(tmp_path / "secret.csv")
        error = refused(connector(tmp_path / "base", path="p.*", is_file_name_regex=True))
        assert "leads out" in error.message

    def test_the_most_recently_written_match_is_read(self, tmp_path: Path) -> None:
        for name, age in (("hr_1.csv", 30), ("hr_2.csv", 10), ("hr_3.csv", 20), ("hr_2.csv.old", 0)):
            (tmp_path / name).write_text(f"id\n{name}\n")
            os.utime(tmp_path / name, (1_700_000_000 - age, 1_700_000_000 - age))
        made = connector(tmp_path, path=r"hr_(.*?)\.csv", is_file_name_regex=True)
        assert export(made)[0] == b'"id"\n"hr_2.csv"\n'

    def test_no_match_is_one_clear_line(self, tmp_path: Path) -> None:
        error = refused(connector(tmp_path, path=r"hr_.*\.csv", is_file_name_regex=True))
        assert error.message == f"no file in '{tmp_path}' matches 'hr_.*\\.csv'"
        assert "there is no folder" in refused(connector(tmp_path, path="no/x.*", is_file_name_regex=True)).message


class TestModes:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "people.csv").write_bytes(b"id\n1\n")
        (tmp_path / "changes.csv").write_bytes(b"Command,id\nADD,2\nUpdate,3\nDELETE,4\n,5\n")
        return tmp_path

    @pytest.mark.parametrize("mode", ["complete", "initial"])
    def test_the_whole_content_comes_from_path(self, folder: Path, mode: Mode) -> None:
        content, report = export(connector(folder, path_incremental="changes.csv"), mode)
        assert content == b'"id"\n"1"\n'
        assert not report.tables[0].command

    def test_changes_come_from_the_incremental_path_in_the_words_of_the_contract(self, folder: Path) -> None:
        content, report = export(connector(folder, path_incremental="changes.csv"), "incremental")
        assert content == b'"command","id"\n"insert","2"\n"update","3"\n"delete","4"\n,"5"\n'
        assert report.tables[0].command
        assert report.tables[0].complete

    def test_an_incremental_run_without_such_a_path_reads_everything(self, folder: Path) -> None:
        content, report = export(connector(folder), "incremental")
        assert content == b'"id"\n"1"\n'
        assert not report.tables[0].command

    def test_a_complete_run_never_takes_changes_for_the_whole(self, folder: Path) -> None:
        error = refused(connector(folder, path=None, path_incremental="changes.csv"))
        assert isinstance(error, ConfigurationError)
        assert "has no 'path'" in error.message

    def test_an_initial_run_may_be_fed_with_changes_alone(self, folder: Path) -> None:
        content, report = export(connector(folder, path=None, path_incremental="changes.csv"), "initial")
        assert content.startswith(b'"command","id"\n"insert","2"\n')
        assert report.tables[0].command

    def test_the_command_column_may_have_another_name(self, folder: Path) -> None:
        (folder / "changes.csv").write_bytes(b"id,OPERATION\n1,insert\n")
        made = connector(folder, path_incremental="changes.csv", command_column="operation")
        assert export(made, "incremental")[0] == b'"id","command"\n"1","insert"\n'

    def test_changes_without_a_command_column_are_refused(self, folder: Path) -> None:
        (folder / "changes.csv").write_bytes(b"id\n1\n")
        error = refused(connector(folder, path_incremental="changes.csv"), "incremental")
        assert "changes.csv has no column 'command'" in error.message


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, "give 'path', 'path_incremental' or both"),
            ({"path": "x", "encoding": "utf-9"}, "'utf-9' is no text encoding"),
            ({"path": "x", "encoding": "hex"}, "'hex' is no text encoding"),
            ({"path": "x", "separator": '"'}, "cannot separate fields"),
            ({"path": "x", "separator": "ab"}, "at most 1 character"),
            ({"path": "a/(", "is_file_name_regex": True}, "does not end in a regular expression"),
            ({"path": "x", "colour": "red"}, "Extra inputs are not permitted"),
        ],
    )
    def test_a_wrong_setting_is_refused(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            CsvSettings(**settings)


class TestCheck:
    def test_each_file_gets_a_verdict(self, tmp_path: Path) -> None:
        (tmp_path / "people.csv").write_bytes(b"id,name\n1,x\n")
        results = connector(tmp_path, path_incremental="changes.csv").check()
        assert [(result.title, result.passed) for result in results] == [
            ("file people.csv", True),
            ("file changes.csv", False),
        ]
        assert results[0].detail == "people.csv has 2 columns"
        assert "there is no file 'changes.csv'" in results[1].detail

    def test_it_reads_and_checks(self, tmp_path: Path) -> None:
        made = connector(tmp_path)
        assert isinstance(made, Exporter)
        assert isinstance(made, Checker)
        assert made.tables() == ("HR",)
