"""Transformations of file exports: what they make, what they leave out, and what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.model.configuration import Connection, EntityType, Property
from include.model.transformation import ConcatColumns, TransformDate, WhereValue
from include.orchestration.connections import table_requests
from include.snapshot.errors import PreparationError
from include.snapshot.transformations import moved_date, restored_date
from include.storage.engine import engine
from tests import strategies
from tests.unit.snapshot.world import MEMBER, Cell, World, connector, end

TABLE = EntityType(
    identifier="T",
    connection_table="t",
    properties=(Property(identifier="id", primary_key=True), Property(identifier="v")),
)
EACH_IN_ITS_OWN_RUN = settings(max_examples=20, deadline=None, suppress_health_check=strategies.TOLERATED)


def world_of(path: Path, *transformations: Any, entity_type: EntityType = TABLE) -> World:
    used = connector(entity_type).model_copy(
        update={"connections": (Connection(identifier="t", package="csv", transformations=transformations),)}
    )
    return World.at(path / "run", used)


def concat(column: str, *inputs: str, **fields: Any) -> ConcatColumns:
    numbered = {f"input_column{number}": name for number, name in enumerate(inputs[1:], start=2)}
    return ConcatColumns(type="ConcatColumns", table="t", column=column, input_column=inputs[0], **(numbered | fields))


def where(column: str, operator: Any, value: str) -> WhereValue:
    return WhereValue(type="WhereValue", table="t", column=column, where_operator=operator, where_value=value)


def moving(**fields: Any) -> TransformDate:
    common: dict[str, Any] = {"type": "TransformDate", "table": "t", "column": "v", "date_pattern": "%Y-%m-%d %H:%M:%S"}
    return TransformDate(**(common | fields))


@pytest.mark.parametrize(
    ("fields", "values", "expected"),
    [
        ({}, ("a", "b", "c"), "abc"),
        ({"concat_separator": "-"}, ("a", None, "c"), "a--c"),
        ({"concat_separator": "-", "remove_empty": True}, ("a", None, "c"), "a-c"),
        ({"concat_separator": "-", "remove_empty": True}, ("a", "", "c"), "a-c"),
        ({"concat_separator": "-"}, (None, "", None), None),
        ({"concat_separator": "-", "remove_duplicates": True}, ("a", "a", "b"), "a-b"),
        ({"concat_separator": "-", "remove_duplicates": True}, ("a", "b", "a"), "a-b-a"),
        ({"concat_separator": "-", "remove_duplicates": True}, ("a", "A", "A"), "a-A"),
        ({"concat_separator": "-", "remove_duplicates": True, "remove_empty": True}, ("a", "", "a"), "a"),
        ({"concat_separator": "-", "sort_values": True}, ("b", "B", "a"), "a-B-b"),
        ({"concat_separator": "-", "sort_values": True, "remove_duplicates": True}, ("b", "a", "b"), "a-b-b"),
        ({"concat_separator": "'||'"}, (" a ", '"', "\n"), " a '||'\"'||'\n"),
    ],
)
def test_columns_are_joined(
    tmp_path: Path, fields: dict[str, Any], values: tuple[Cell, ...], expected: str | None
) -> None:
    world = world_of(tmp_path, concat("v", "x", "y", "z", **fields))
    world.export("t", ("id", "x", "y", "z"), [("1", *values)])
    world.prepare()
    assert world.rows("clean/T.parquet") == [("1", expected)]


def test_a_composite_key_is_made_of_up_to_five_columns_and_of_nothing_is_none(tmp_path: Path) -> None:
    world = world_of(tmp_path, concat("id", "a", "b", "c", "d", "e", concat_separator="|"))
    world.export("t", ("a", "b", "c", "d", "e", "v"), [("1", "2", "3", "4", "5", "x"), (None, "", None, "", "", "y")])
    counts = world.prepare().entity_types["T"]
    assert world.rows("clean/T.parquet") == [("1|2|3|4|5", "x")]
    assert (counts.exported, counts.clean, counts.null_keys) == (2, 1, 1)


def test_an_existing_column_may_be_overwritten_and_order_counts(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, concat("v", "v", "id"), where("v", "Equals", "xa"), concat("V", "v", "v", concat_separator="+")
    )
    world.export("t", ("id", "v"), [("a", "x"), ("b", "y")])
    assert world.prepare().entity_types["T"].filtered == 1
    assert world.rows("clean/T.parquet") == [("a", "xa+xa")]


OPERATORS: list[tuple[str, str, list[Cell]]] = [
    ("Equals", "ab", ["ab"]),
    ("NotEquals", "ab", ["AB", "xaby", "", None, "b"]),
    ("Contains", "ab", ["ab", "xaby"]),
    ("NotContains", "ab", ["AB", "", None, "b"]),
    ("StartsWith", "a", ["ab"]),
    ("EndsWith", "b", ["ab", "b"]),
    ("Regex", "^a?b$", ["ab", "b"]),
    ("Regex", "(?i)AB", ["ab", "AB", "xaby"]),
    ("Equals", "", ["", None]),
    ("Contains", "%", []),
]


@pytest.mark.parametrize(("operator", "value", "expected"), OPERATORS)
def test_rows_are_kept_by_the_text_of_a_column(tmp_path: Path, operator: str, value: str, expected: list[Cell]) -> None:
    cells: list[Cell] = ["ab", "AB", "xaby", "", None, "b"]
    world = world_of(tmp_path, where("v", operator, value))
    world.export("t", ("id", "v"), [(str(number), cell) for number, cell in enumerate(cells)])
    counts = world.prepare().entity_types["T"]
    assert [cell for _, cell in world.rows("clean/T.parquet")] == expected
    assert (counts.exported, counts.filtered) == (6, 6 - len(expected))


@EACH_IN_ITS_OWN_RUN
@given(rows=st.lists(st.tuples(strategies.key_cells, strategies.cells), max_size=8), wanted=strategies.text)
def test_every_line_is_counted_once_and_what_stays_is_untouched(
    tmp_path: Path, rows: list[tuple[Cell, Cell]], wanted: str
) -> None:
    world = world_of(tmp_path, where("v", "NotEquals", wanted)).export("t", ("id", "v"), rows)
    counts = world.prepare().entity_types["T"]
    staying = [row for row in rows if (row[1] or "") != wanted]
    assert counts.filtered == len(rows) - len(staying)
    assert (
        counts.exported
        == len(rows)
        == (counts.clean + counts.null_keys + counts.duplicates + counts.rejected + counts.filtered)
    )
    assert set(world.rows("clean/T.parquet")) <= set(staying)


def test_a_row_that_is_left_out_is_absent_on_purpose(tmp_path: Path) -> None:
    world = world_of(tmp_path, where("v", "NotEquals", "left")).store(TABLE, ("a", "here"), ("b", "here"))
    world.export("t", ("id", "v"), [("a", "here"), ("b", "left")])
    world.compare()
    assert world.commands("T") == [("delete", "b")]


def test_where_every_row_is_left_out_nothing_is_deleted(tmp_path: Path) -> None:
    world = world_of(tmp_path, where("v", "Equals", "nobody")).store(TABLE, ("a", "here"))
    world.export("t", ("id", "v"), [("a", "here")])
    counts = world.prepare().entity_types["T"]
    assert (counts.complete, counts.reason) == (False, "no usable line")


def test_reports_name_the_lines_of_the_file(tmp_path: Path) -> None:
    numbered = TABLE.model_copy(
        update={"properties": (TABLE.properties[0], Property(identifier="n", type="int32"), TABLE.properties[1])}
    )
    world = world_of(tmp_path, where("v", "NotEquals", "out"), entity_type=numbered)
    rows = [("a", "1", "out"), ("b", "x", "in"), ("c", "y", "out"), (None, "2", "in"), ("d", "3", "in")]
    raw = (world.export("t", ("id", "n", "v"), rows).folder.open("raw/t.csv")).read()
    world.prepare()
    assert [line["line"] for line in world.lines("clean/T.rejects.csv")] == ["3"]
    assert [line["line"] for line in world.lines("clean/T.nullpk.csv")] == ["5"]
    assert world.folder.open("raw/t.csv").read() == raw


def test_links_of_rows_that_are_left_out_are_left_out(tmp_path: Path) -> None:
    teams = EntityType(identifier="Team", connection_table="u", properties=(TABLE.properties[0],))
    member = MEMBER.model_copy(
        update={"connection_table": "t", "end1": end("T", "id", collection=True), "end2": end("Team", "team")}
    )
    world = world_of(tmp_path, where("v", "Equals", "in"))
    world.connector = world.connector.model_copy(update={"entity_types": (TABLE, teams), "associations": (member,)})
    world.store(teams).store_links(member)
    world.export("u", ("id",), [("x",)])
    world.export("t", ("id", "v", "team"), [("a", "in", "x"), ("b", "out", "x")])
    counts = world.prepare().associations["Member"]
    assert (counts.exported, counts.clean, counts.rejected) == (1, 1, 0)
    assert world.rows("clean/Member.parquet") == [("a", "x")]


def test_of_changes_a_deletion_stays_and_a_row_that_leaves_the_filter_is_deleted(tmp_path: Path) -> None:
    world = world_of(tmp_path, where("v", "NotEquals", "left"), where("v", "NotContains", "never"))
    world.store(TABLE, *((key, "here") for key in "abcde"))
    changes: Sequence[tuple[Cell, ...]] = [
        ("delete", "a", None),
        ("update", "b", "left"),
        ("merge", "c", "left"),
        ("merge", "d", None),
        ("insert", "f", "left"),
        ("insert", "g", "new"),
        ("noise", "h", "left"),
    ]
    world.export("t", ("command", "id", "v"), changes, command=True)
    counts = world.compare("incremental") and world.prepare().entity_types["T"]
    assert world.commands("T") == [("delete", "a"), ("delete", "b"), ("delete", "c"), ("insert", "g")]
    assert (counts.exported, counts.filtered, counts.rejected) == (7, 0, 1)


def test_of_changes_a_merge_that_does_not_say_the_filtered_value_is_kept(tmp_path: Path) -> None:
    entity_type = TABLE.model_copy(update={"properties": (*TABLE.properties, Property(identifier="w"))})
    world = world_of(tmp_path, where("v", "Equals", "here"), entity_type=entity_type)
    world.store(entity_type, ("a", "here", "old"), ("b", "here", "old"))
    world.export(
        "t", ("command", "id", "v", "w"), [("merge", "a", None, "new"), ("merge", "b", "", None)], command=True
    )
    world.compare("incremental")
    assert world.commands("T") == [("update", "a")]


DAYS = [
    ({"added_days": 1462}, "2020-01-01 00:00:00", "2024-01-02 00:00:00"),
    ({"added_days": -1.5}, "2020-01-02 00:00:00", "2019-12-31 12:00:00"),
    ({"added_days": 1, "min_year": 2000, "max_year": 2010}, "1999-12-31 00:00:00", "1999-12-31 00:00:00"),
    ({"added_days": 1, "min_year": 2000, "max_year": 2010}, "2010-12-31 00:00:00", "2011-01-01 00:00:00"),
    ({"added_days": 1, "min_year": 2000, "max_year": 2010}, "2011-01-01 00:00:00", "2011-01-01 00:00:00"),
    ({"added_days": 1}, "9999-12-31 00:00:00", "9999-12-31 00:00:00"),
    ({"added_days": 1}, "soon", "soon"),
    ({"added_days": 1}, "", ""),
    ({"added_days": 1}, None, None),
    ({"added_days": 1, "date_pattern": "%-d/%-m/%y"}, "28/2/24", "29/2/24"),
]


@pytest.mark.parametrize(("fields", "text", "expected"), DAYS)
def test_days_are_added_to_the_dates_of_some_years(
    tmp_path: Path, fields: dict[str, Any], text: Cell, expected: Cell
) -> None:
    world = world_of(tmp_path, moving(input_column="given", **fields))
    world.export("t", ("id", "given"), [("1", text)])
    world.prepare()
    assert world.rows("clean/T.parquet") == [("1", expected)]


@given(
    moments=st.lists(strategies.dates, min_size=1, max_size=6),
    days=st.sampled_from([0.0, 1.0, -1.0, 0.5, -1462.25, 100_000.0]),
    years=st.tuples(st.sampled_from([1, 1900, 2000]), st.sampled_from([2000, 2030, 9999])),
)
@settings(max_examples=30, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_a_date_that_was_moved_is_restored(moments: list[datetime], days: float, years: tuple[int, int]) -> None:
    item = moving(added_days=days, min_year=years[0], max_year=years[1], date_pattern="%Y-%m-%d %H:%M:%S.%f")
    texts = [f"{moment.year:04}-{moment:%m-%d %H:%M:%S.%f}" for moment in moments]
    with engine() as connection:
        for moment, text in zip(moments, texts, strict=True):
            [moved, back, again] = connection.execute(
                f"""SELECT moved, {restored_date(item, "moved")}, {moved_date(item, restored_date(item, "moved"))}
                    FROM (SELECT {moved_date(item, "t")} AS moved FROM (SELECT ?::VARCHAR AS t))""",
                [text],
            ).fetchone() or (None, None, None)
            assert again == moved
            assert back == text or is_ambiguous(item, moment)


def moves(item: TransformDate, moment: datetime) -> bool:
    try:
        return item.min_year <= moment.year <= item.max_year and bool(moment + timedelta(days=item.added_days))
    except OverflowError:
        return False


def is_ambiguous(item: TransformDate, moment: datetime) -> bool:
    """Whether another date moves to where this one stays."""
    try:
        return not moves(item, moment) and moves(item, moment - timedelta(days=item.added_days))
    except OverflowError:
        return False


@pytest.mark.parametrize(
    ("transformation", "message"),
    [
        (where("nope", "Equals", "x"), r"raw/t.csv: no column 'nope' for WhereValue on t; its columns are id, v"),
        (concat("v", "id", "vv"), r"raw/t.csv: no column 'vv' for ConcatColumns on t; did you mean 'v'\?"),
        (moving(column="v", input_column="idd", added_days=1), "no column 'idd' for TransformDate on t; did you mean"),
        (where("v", "Regex", "(?=x)"), "WhereValue on t: where_value is no regular expression of RE2: invalid perl"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, transformation: Any, message: str) -> None:
    world = world_of(tmp_path, transformation).export("t", ("id", "v"), [("a", "b")])
    with pytest.raises(PreparationError, match=message) as caught:
        world.prepare()
    assert "\n" not in str(caught.value)


def test_a_table_that_nobody_exported_is_transformed_too(tmp_path: Path) -> None:
    world = world_of(tmp_path, concat("id", "a", "b"), where("v", "Equals", "x"))
    assert world.prepare().entity_types["T"].reason == "no export reported this table"


def test_an_export_is_asked_for_what_the_transformations_read(tmp_path: Path) -> None:
    world = world_of(tmp_path, concat("key", "a", "b"), concat("ID", "key", "c"), where("w", "Equals", "x"))
    [request] = table_requests(world.connector, world.connector.connections[0])
    assert {column.name for column in request.columns} == {"a", "b", "c", "v", "w"}


def test_a_transformation_of_another_table_changes_nothing(tmp_path: Path) -> None:
    other = where("v", "Equals", "nobody").model_copy(update={"table": "T"})
    world = world_of(tmp_path, other).export("t", ("id", "v"), [("a", "b")])
    assert world.prepare().entity_types["T"].clean == 1
