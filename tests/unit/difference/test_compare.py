from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.difference.compare import Counts, DifferenceError, compare, compare_pairs
from include.storage.engine import engine
from tests import strategies
from tests.unit.difference.relations import apply, changes, relation

COLUMNS = {"id": "VARCHAR", "name": "VARCHAR", "age": "INTEGER"}


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with engine() as connection:
        yield connection


def people(*rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def run(
    duck: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    **options: Any,
) -> tuple[Counts, list[dict[str, Any]]]:
    file = tmp_path / "changes.parquet"
    counts = compare(
        duck,
        relation(duck, "stored", COLUMNS, before),
        relation(duck, "arriving", COLUMNS, after),
        key="id",
        output=str(file),
        **{"columns": list(COLUMNS)} | options,
    )
    return counts, changes(duck, file)


def test_tells_insert_update_and_delete_in_order_of_the_key(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    counts, found = run(
        duck,
        tmp_path,
        people(("a", "Ann", 1), ("b", "Bob", 2), ("c", "Cy", 3)),
        people(("a", "Ann", 1), ("b", "Bea", None), ("z", "", 9)),
    )
    assert counts == Counts(stored=3, inserted=1, updated=1, deleted=1, withheld=0)
    assert found == [
        {
            "command": "update",
            "key": "b",
            "changed_columns": ["name", "age"],
            "old": {"id": "b", "name": "Bob", "age": 2},
            "new": {"id": "b", "name": "Bea", "age": None},
        },
        {
            "command": "delete",
            "key": "c",
            "changed_columns": [],
            "old": {"id": "c", "name": "Cy", "age": 3},
            "new": None,
        },
        {
            "command": "insert",
            "key": "z",
            "changed_columns": [],
            "old": None,
            "new": {"id": "z", "name": "", "age": 9},
        },
    ]


@pytest.mark.parametrize(
    ("one", "other"), [("", None), ("a", "A"), ("a", "a "), ("\u00e9", "e\u0301"), ("a\r\n", "a\n"), ("\x00", "")]
)
def test_values_and_keys_are_compared_byte_for_byte(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, one: str, other: str | None
) -> None:
    counts, _ = run(duck, tmp_path, people(("a", one, 1)), people(("a", other, 1)))
    assert counts.updated == 1
    if other is not None:
        counts, _ = run(duck, tmp_path, people((one + "k", "x", 1)), people((other + "k", "x", 1)))
        assert (counts.inserted, counts.deleted) == (1, 1)


def test_withheld_deletions_are_counted_and_not_written(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    counts, found = run(duck, tmp_path, people(("a", "x", 1), ("b", "y", 2)), people(("c", "z", 3)), deletions=False)
    assert counts == Counts(stored=2, inserted=1, updated=0, deleted=0, withheld=2)
    assert [item["command"] for item in found] == ["insert"]


@pytest.mark.parametrize(("deletions", "deleted", "withheld"), [(True, 1, 0), (False, 0, 1)])
def test_a_protected_key_is_neither_deleted_nor_withheld(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, deletions: bool, deleted: int, withheld: int
) -> None:
    relation(duck, "kept", {"key": "VARCHAR"}, [{"key": "b"}, {"key": "here"}, {"key": "unknown"}, {"key": None}])
    counts, found = run(
        duck,
        tmp_path,
        people(("a", "x", 1), ("b", "y", 2), ("here", "z", 3)),
        people(("here", "z", 4)),
        deletions=deletions,
        protected="kept",
    )
    assert counts == Counts(3, inserted=0, updated=1, deleted=deleted, withheld=withheld, protected=1)
    assert "b" not in {item["key"] for item in found}


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("keys", [("k", "k"), ("a", "k", "k"), ("k", "a", "k"), ("z", "a", "z", "b")])
def test_a_key_twice_on_one_side_is_an_error(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, side: str, keys: tuple[str, ...]
) -> None:
    rows = [(key, "x", position) for position, key in enumerate(keys)]
    before = people(*rows) if side == "before" else []
    after = people(*rows) if side == "after" else []
    with pytest.raises(DifferenceError, match=rf"^cannot compare: key 'id' '[kz]' stands 2 times in '{side}'$"):
        run(duck, tmp_path, before, after)


@pytest.mark.parametrize("keys", [(None,), (None, "a"), ("a", None), (None, None)])
def test_a_row_without_a_key_is_an_error(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, keys: tuple[str | None, ...]
) -> None:
    with pytest.raises(DifferenceError, match="of 'after' have no key 'id'"):
        run(duck, tmp_path, [], people(*[(key, "x", 1) for key in keys]))


def test_a_missing_column_is_one_clear_line(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(DifferenceError, match=r"^cannot compare: .*nope") as caught:
        run(duck, tmp_path, people(("a", "x", 1)), people(("a", "x", 1)), columns=["id", "nope"])
    assert "\n" not in str(caught.value)


def test_a_key_that_is_a_number_is_written_as_text(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    relation(duck, "stored", {"n": "INTEGER"}, [{"n": 2}, {"n": 10}])
    relation(duck, "arriving", {"n": "INTEGER"}, [{"n": 10}, {"n": 7}])
    file = tmp_path / "changes.parquet"
    compare(duck, "stored", "arriving", key="n", columns=["n"], output=str(file))
    assert [(item["command"], item["key"]) for item in changes(duck, file)] == [("delete", "2"), ("insert", "7")]


VALUES = strategies.cells | st.sampled_from(["", "a", "A"])
TABLES = st.dictionaries(strategies.keys, st.tuples(VALUES, st.none() | st.integers(0, 3)), max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
@given(before=TABLES, after=TABLES, kept=st.sets(strategies.keys, max_size=3), deletions=st.booleans())
def test_applying_the_changes_gives_the_rows_after(
    duck: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    *,
    before: dict[str, tuple[Any, Any]],
    after: dict[str, tuple[Any, Any]],
    kept: set[str],
    deletions: bool,
) -> None:
    relation(duck, "kept", {"key": "VARCHAR"}, [{"key": key} for key in kept])
    rows_before = people(*[(key, *row) for key, row in before.items()])
    rows_after = people(*[(key, *row) for key, row in after.items()])
    counts, found = run(duck, tmp_path, rows_before, rows_after, deletions=deletions, protected="kept")
    columns = list(COLUMNS)
    staying = {key for key in before if key not in after and (key in kept or not deletions)}
    expected = {row["id"]: row for row in rows_after} | {
        row["id"]: {column: row[column] for column in columns} for row in rows_before if row["id"] in staying
    }
    assert apply({row["id"]: row for row in rows_before}, found, columns) == expected
    assert all(item["old"] != item["new"] and item["changed_columns"] for item in found if item["command"] == "update")
    assert [item["key"] for item in found] == sorted((item["key"] for item in found), key=str.encode)
    assert counts.stored == len(before)
    assert (counts.inserted, counts.updated, counts.deleted) == tuple(
        sum(item["command"] == command for item in found) for command in ("insert", "update", "delete")
    )
    assert counts.withheld + counts.protected == len(staying)


@settings(max_examples=10, deadline=None, suppress_health_check=strategies.TOLERATED)
@given(rows=TABLES)
def test_comparing_a_table_with_itself_changes_nothing(
    duck: duckdb.DuckDBPyConnection, tmp_path: Path, rows: dict[str, tuple[Any, Any]]
) -> None:
    table = [(key, *row) for key, row in rows.items()]
    counts, found = run(duck, tmp_path, people(*table), people(*table))
    assert (counts, found) == (Counts(len(rows), 0, 0, 0, 0), [])


PAIRS = {"key1": "VARCHAR", "key2": "VARCHAR"}


def pairs(duck: duckdb.DuckDBPyConnection, name: str, *rows: tuple[str | None, str | None]) -> str:
    return relation(duck, name, PAIRS, [{"key1": one, "key2": two} for one, two in rows])


def test_pairs_come_and_go(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "links.parquet"
    before = pairs(duck, "stored", ("a", "1"), ("a", "2"), ("b", "1"))
    counts = compare_pairs(duck, before, pairs(duck, "arriving", ("a", "2"), ("b", "2"), ("b", "1")), output=str(file))
    assert counts == Counts(stored=3, inserted=1, updated=0, deleted=1, withheld=0)
    assert changes(duck, file) == [
        {"command": "delete", "key1": "a", "key2": "1"},
        {"command": "insert", "key1": "b", "key2": "2"},
    ]


def test_protected_pairs_stay(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "links.parquet"
    before = pairs(duck, "stored", ("a", "1"), ("a", "2"))
    kept = pairs(duck, "kept", ("a", "2"))
    counts = compare_pairs(duck, before, pairs(duck, "arriving"), output=str(file), protected=kept)
    assert (counts.deleted, counts.protected) == (1, 1)
    assert changes(duck, file) == [{"command": "delete", "key1": "a", "key2": "1"}]


def test_a_pair_twice_is_an_error(duck: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    twice = pairs(duck, "arriving", ("a", "1"), ("b", "1"), ("a", "1"))
    with pytest.raises(DifferenceError, match="key 'key1', 'key2' 'a', '1' stands 2 times in 'after'"):
        compare_pairs(duck, pairs(duck, "stored"), twice, output=str(tmp_path / "links.parquet"))
