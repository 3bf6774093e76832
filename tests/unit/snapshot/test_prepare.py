from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import TableReport
from include.model.base import PropertyType
from include.model.configuration import EntityType, Property
from include.snapshot.errors import PreparationError
from include.storage.folder import Folder
from tests import strategies
from tests.unit.snapshot.world import ORGANIZATION, PERSON, Cell, World, connector

COLUMNS = ("employee_id", "name", "mail", "age")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.at(tmp_path / "run", connector(PERSON))


def test_clean_rows_are_typed_and_sorted_by_their_key(world: World) -> None:
    world.export(
        "people", ("age", "unmapped", *COLUMNS[:3]), [("7", "x", "b", "Bob", ""), (None, "y", "a", None, "a@x")]
    )
    counts = world.prepare().entity_types["Person"]
    assert (counts.exported, counts.clean, counts.complete, counts.command) == (2, 2, True, False)
    assert world.rows("clean/Person.parquet") == [("a", None, "a@x", None), ("b", "Bob", "", 7)]
    assert world.folder.read_text("clean/Person.sorted.csv") == (
        '"id","name","mail","age"\n"a",,"a@x",\n"b","Bob","","7"\n'
    )


def test_a_line_without_key_is_set_aside_with_its_line_and_columns(world: World) -> None:
    world.export("people", COLUMNS, [("a", "Ann", "", "1"), (None, "No", "m", "2"), ("", "One", None, "3")])
    counts = world.prepare().entity_types["Person"]
    assert (counts.clean, counts.null_keys) == (1, 2)
    assert world.lines("clean/Person.nullpk.csv") == [
        {"line": "3", "employee_id": "", "name": "No", "mail": "m", "age": "2"},
        {"line": "4", "employee_id": "", "name": "One", "mail": "", "age": "3"},
    ]


def test_equal_lines_are_harmless_and_one_is_kept(world: World) -> None:
    world.export(
        "people",
        (*COLUMNS, "other"),
        [("a", "Ann", "", "1", "x"), ("a", "Ann", "", "1", "y"), ("a", "Ann", "", "1", "")],
    )
    counts = world.prepare().entity_types["Person"]
    assert (counts.exported, counts.clean, counts.duplicates, counts.repeated) == (3, 1, 2, 2)
    assert world.rows("clean/Person.set_aside.parquet") == []


@pytest.mark.parametrize("other", [("a", "Bob", "", "1"), ("a", "Ann", None, "1"), ("a", "ann", "", "1")])
def test_lines_that_contradict_each_other_are_all_set_aside_and_their_key_kept(
    world: World, other: tuple[Cell, ...]
) -> None:
    world.store(PERSON, ("a", "old", None, 1))
    world.export("people", COLUMNS, [("a", "Ann", "", "1"), ("b", "B", "", "2"), other, ("a", "Ann", "", "1")])
    counts = world.prepare().entity_types["Person"]
    assert (counts.clean, counts.duplicates, counts.repeated) == (1, 3, 0)
    assert {line["line"] for line in world.lines("clean/Person.duplicates.csv")} == {"2", "4", "5"}
    assert world.rows("clean/Person.set_aside.parquet") == [("a", "contradicting_lines")]


def test_rejects_name_file_line_key_column_value_and_reason(world: World) -> None:
    world.export("people", COLUMNS, [("a", "x" * 21, "", "1"), ("b", "y" * 300, "", "old"), ("c", "C", "", "3")])
    counts = world.prepare().entity_types["Person"]
    assert (counts.exported, counts.clean, counts.rejected) == (3, 1, 2)
    common = {"file": "raw/people.csv"}
    assert world.lines("clean/Person.rejects.csv") == [
        common | {"line": "2", "key": "a", "column": "name", "value": "x" * 21, "reason": "too_long"},
        common | {"line": "3", "key": "b", "column": "age", "value": "old", "reason": "unparsable"},
        common | {"line": "3", "key": "b", "column": "name", "value": "y" * 200, "reason": "too_long"},
    ]
    assert [key for key, _ in world.rows("clean/Person.set_aside.parquet")] == ["a", "b"]


VALUES: list[tuple[PropertyType, str | None, str, Any]] = [
    ("int16", None, "-32768", -32768),
    ("int16", None, "32768", ...),
    ("byte", None, "255", 255),
    ("byte", None, "-1", ...),
    ("int32", None, "+7", 7),
    ("int32", None, "1.5", ...),
    ("int32", None, "1e3", ...),
    ("int32", None, " 7", ...),
    ("int64", None, "9223372036854775807", 9223372036854775807),
    ("int64", None, "9223372036854775808", ...),
    ("double", None, "1e3", 1000.0),
    ("double", None, ".5", 0.5),
    ("double", None, "nan", ...),
    ("double", None, "1e999", ...),
    ("double", None, "1,5", ...),
    ("bool", None, "TRUE", True),
    ("bool", None, "yes", True),
    ("bool", None, "0", False),
    ("bool", None, "No", False),
    ("bool", None, "on", ...),
    ("guid", None, "{0F8FAD5B-D9CB-469F-A165-70867728950E}", "0f8fad5bd9cb469fa16570867728950e"),
    ("guid", None, "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5bd9cb469fa16570867728950e"),
    ("guid", None, "0f8fad5bd9cb469fa16570867728950e", "0f8fad5bd9cb469fa16570867728950e"),
    ("guid", None, "0f8fad5bd9cb469fa16570867728950", ...),
    ("guid", None, "{0f8fad5bd9cb469fa16570867728950e", ...),
    ("datetime", None, "2024-02-29T12:00:00+02:00", "2024-02-29 10:00:00"),
    ("datetime", None, "2024-02-29T12:00:00.5Z", "2024-02-29 12:00:00.500000"),
    ("datetime", None, "2024-02-29", "2024-02-29 00:00:00"),
    ("datetime", None, "9999-12-31", "9999-12-31 00:00:00"),
    ("datetime", None, "2023-02-29", ...),
    ("datetime", None, "infinity", ...),
    ("datetime", None, "12:00", ...),
    ("datetime", "%d/%m/%Y", "31/12/2024", "2024-12-31 00:00:00"),
    ("datetime", "%d/%m/%Y", "12/31/2024", ...),
    ("datetime", "%d.%m.%Y %H:%M %z", "01.01.2025 00:30 +0100", "2024-12-31 23:30:00"),
    ("bytes", None, "AP8=", b"\x00\xff"),
    ("binary", None, "no base64!", ...),
]


@pytest.mark.parametrize(("kind", "pattern", "text", "value"), VALUES)
def test_a_text_is_a_value_of_its_type_or_is_rejected(
    tmp_path: Path, kind: PropertyType, pattern: str | None, text: str, value: Any
) -> None:
    typed = EntityType(
        identifier="T",
        connection_table="t",
        properties=(Property(identifier="id", primary_key=True), Property(identifier="v", type=kind, format=pattern)),
    )
    world = World.at(tmp_path / "run", connector(typed)).export("t", ("id", "v"), [("a", text), ("b", None), ("c", "")])
    world.prepare()
    rows = dict(world.rows("clean/T.parquet"))
    assert rows.get("b", "missing") is None
    assert rows.get("c", "missing") is None
    if value is ...:
        assert "a" not in rows
        assert [line["reason"] for line in world.lines("clean/T.rejects.csv")] == ["unparsable"]
    else:
        assert (str(rows["a"]) if kind == "datetime" else rows["a"]) == value


def test_keys_are_compared_as_values_of_their_type(tmp_path: Path) -> None:
    numbered = EntityType(
        identifier="T",
        connection_table="t",
        properties=(Property(identifier="id", type="int32", primary_key=True), Property(identifier="v")),
    )
    world = World.at(tmp_path / "run", connector(numbered)).export(
        "t", ("id", "v"), [("007", "x"), ("7", "y"), ("10", "z"), ("9", "w")]
    )
    assert world.prepare().entity_types["T"].duplicates == 2
    assert world.rows("clean/T.parquet") == [(9, "w"), (10, "z")]
    assert world.rows("clean/T.set_aside.parquet") == [("7", "contradicting_lines")]


def test_a_wrong_format_is_one_line(tmp_path: Path) -> None:
    dated = EntityType(
        identifier="T",
        connection_table="t",
        properties=(
            Property(identifier="id", primary_key=True),
            Property(identifier="v", type="datetime", format="%d/%Q"),
        ),
    )
    world = World.at(tmp_path / "run", connector(dated)).export("t", ("id", "v"), [("a", "b")])
    with pytest.raises(PreparationError, match=r"^T: a datetime format is wrong: .*%Q"):
        world.prepare()


def test_columns_match_exactly_else_without_case(world: World) -> None:
    world.raw("people", b'"EMPLOYEE_ID","Name","name","MAIL","Age"\n"a","no","yes","m","1"\n', 1)
    world.prepare()
    assert world.rows("clean/Person.parquet") == [("a", "yes", "m", 1)]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            ("employee_id", "nmae", "mail", "age"),
            "no column 'name' for property 'name' of Person; did you mean 'nmae'?",
        ),
        (("employee_id", "NAME", "Name", "mail", "age"), "column 'name' of property 'name' of Person stands 2 times"),
        (("q", "r"), "no column 'employee_id' for property 'id' of Person; its columns are q, r"),
    ],
)
def test_header_drift_names_the_column_and_the_nearest_one(world: World, header: tuple[str, ...], message: str) -> None:
    world.raw("people", ",".join(f'"{column}"' for column in header).encode() + b"\n", 0)
    with pytest.raises(PreparationError) as caught:
        world.prepare()
    assert str(caught.value).startswith("raw/people.csv: ")
    assert message in str(caught.value)


HEADER = b'"employee_id","name","mail","age"\n'


@pytest.mark.parametrize(
    ("content", "rows", "message"),
    [
        (b"", 0, "raw/people.csv has no header: run the export again"),
        (HEADER + b'"a","b","c","1"\n', 2, "raw/people.csv holds 1 rows where its export reported 2"),
        (HEADER + b'"a","b","secret \xff","1"\n', 1, "raw/people.csv line 2: the text is not UTF-8"),
        (HEADER + b'"a","b","secret"\n', 1, "raw/people.csv line 2: the number of columns differs"),
        (HEADER + b'"a","b","c","1"\n"b","secret', 2, "raw/people.csv line 3: a quote is not closed"),
        (HEADER + b'"a","' + b"x" * (17 << 20) + b'","c","1"\n', 1, "the line is longer than 16777216 bytes"),
    ],
    ids=["empty", "truncated", "encoding", "columns", "quote", "long"],
)
def test_a_file_that_is_not_what_it_should_be_is_one_line_without_its_data(
    world: World, content: bytes, rows: int, message: str
) -> None:
    world.raw("people", content, rows)
    with pytest.raises(PreparationError) as caught:
        world.prepare()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not world.folder.exists("clean/preparation.json")


def test_a_missing_file_or_base_is_one_line(world: World) -> None:
    world.report(TableReport("people", 3, complete=True))
    with pytest.raises(PreparationError, match=r"raw/people.csv is missing although its export reported 3 rows"):
        world.prepare()
    world.export("people", COLUMNS, [])
    world.folder.remove("base/Person.parquet")
    with pytest.raises(PreparationError, match=r"base/Person.parquet is missing"):
        world.prepare()


def test_a_table_that_no_export_reported_is_not_complete(world: World) -> None:
    world.store(PERSON, ("a", "Ann", None, 1))
    counts = world.prepare().entity_types["Person"]
    assert (counts.complete, counts.clean, counts.reason) == (False, 0, "no export reported this table")
    assert world.compare().entity_types["Person"]["withheld"] == 1


def test_an_empty_complete_table_is_not_complete_where_rows_are_stored(world: World) -> None:
    world.export("people", COLUMNS, [])
    assert world.prepare().entity_types["Person"].complete
    world.store(PERSON, ("a", "Ann", None, 1))
    counts = world.prepare().entity_types["Person"]
    assert (counts.complete, counts.reason) == (False, "empty export")
    world.export("people", COLUMNS, [(None, "Ann", None, "1")])
    assert world.prepare().entity_types["Person"].reason == "no usable line"


def test_a_million_characters_pass_or_are_too_long(tmp_path: Path) -> None:
    huge = 'é\n,"x' * 250_000
    used = connector(
        EntityType(
            identifier="T",
            connection_table="t",
            properties=(
                Property(identifier="id", primary_key=True),
                Property(identifier="free"),
                Property(identifier="short", max_length=10),
            ),
        )
    )
    world = World.at(tmp_path / "run", used)
    world.export("t", ("id", "free", "short"), [("a", huge, "s"), ("b", "f", huge)])
    world.prepare()
    assert world.rows("clean/T.parquet") == [("a", huge, "s")]
    assert [(line["column"], line["value"]) for line in world.lines("clean/T.rejects.csv")] == [("short", huge[:200])]


def test_hostile_text_in_many_lines_survives_buffers(world: World) -> None:
    evil = '","evil",""\r\n"x","y","z","1"\n' * 40
    world.connector = connector(
        PERSON.model_copy(update={"properties": (PERSON.properties[0], Property(identifier="name"))})
    )
    world.store(world.connector.entity_types[0])
    rows = [(f"{number:05}", evil[: number % 900]) for number in range(20_000)]
    world.export("people", ("employee_id", "name"), rows)
    world.prepare()
    assert world.rows("clean/Person.parquet") == rows


def test_a_rerun_ends_in_the_same_files(world: World) -> None:
    world.store(PERSON, ("a", "Ann", None, 1))
    world.export(
        "people", COLUMNS, [("a", "Ann", "m", "1"), ("b", "B", "", "x"), ("c", "C", "", "1"), ("c", "D", "", "1")]
    )
    clean = world.folder.child("clean")
    world.prepare()
    first = {file: clean.sha256(file) for file in clean.names()}
    world.prepare()
    assert {file: clean.sha256(file) for file in clean.names()} == first
    assert set(first) == {"preparation.json", "profile.json", "gates.json"} | {
        f"Person.{kind}"
        for kind in (
            "parquet",
            "sorted.csv",
            "nullpk.csv",
            "duplicates.csv",
            "rejects.csv",
            "set_aside.parquet",
            "missing.parquet",
        )
    }


def test_two_entity_types_may_read_one_table(tmp_path: Path) -> None:
    other = ORGANIZATION.model_copy(update={"connection_table": "people"})
    world = World.at(tmp_path / "run", connector(PERSON, other))
    world.export("people", (*COLUMNS, "code", "label"), [("a", "A", "", "1", "X", "x"), ("b", "B", "", "2", "X", "x")])
    preparation = world.prepare()
    assert (preparation.entity_types["Person"].clean, preparation.entity_types["Organization"].clean) == (2, 1)


def test_storage_may_be_anywhere(tmp_path: Path) -> None:
    local = World.at(tmp_path / "run", connector(PERSON)).store(PERSON, ("a", "Ann", "m", 1))
    local.export("people", COLUMNS, [("a", "Eve", "m", "1"), ("b", "B", "", "x")])
    remote = World(Folder(f"memory://snapshots{tmp_path.as_posix()}"), local.connector)
    for file in local.folder.names("**"):
        with local.folder.open(file) as source, remote.folder.write(file) as target:
            target.write(source.read())
    assert remote.compare() == local.compare()
    assert remote.rows("clean/Person.parquet") == local.rows("clean/Person.parquet")


@settings(max_examples=30, deadline=None, suppress_health_check=strategies.TOLERATED)
@given(rows=st.lists(st.tuples(strategies.key_cells, strategies.cells), max_size=8))
def test_any_text_arrives_byte_for_byte_and_every_line_is_counted(
    tmp_path: Path, rows: list[tuple[Cell, Cell]]
) -> None:
    plain = EntityType(
        identifier="T",
        connection_table="t",
        properties=(Property(identifier="id", primary_key=True), Property(identifier="v")),
    )
    world = World.at(tmp_path / "run", connector(plain)).export("t", ("id", "v"), rows)
    counts = world.prepare().entity_types["T"]
    values: dict[str, set[Cell]] = {}
    for key, value in rows:
        if key:
            values.setdefault(key, set()).add(value)
    expected = {key: next(iter(found)) for key, found in values.items() if len(found) == 1}
    clean = world.rows("clean/T.parquet")
    assert clean == sorted(expected.items(), key=lambda item: item[0].encode())
    with_null = [(line["id"], line["v"]) for line in world.lines("clean/T.sorted.csv")]
    assert with_null == [(key, value or "") for key, value in clean]
    assert {key for key, _ in world.rows("clean/T.set_aside.parquet")} == set(values) - set(expected)
    assert counts.exported == len(rows) == counts.clean + counts.null_keys + counts.duplicates + counts.rejected
