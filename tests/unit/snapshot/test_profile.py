from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.model.configuration import EntityType, Property
from include.snapshot.profile import BUCKETS, DIGITS, TableProfile, last_good_profiles, measure, similarity
from tests.unit.snapshot.world import PERSON, World, connector

COLUMNS = ("employee_id", "name", "mail", "age", "unmapped")
ONE = EntityType(identifier="One", connection_table="one", properties=(Property(identifier="a", primary_key=True),))


def sketch(values: Sequence[str | None]) -> str:
    """The sketch of a column of these values."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE lines (v0 VARCHAR)")
        connection.execute("INSERT INTO lines SELECT unnest(?::VARCHAR[])", [list(values)])
        return measure(connection, ONE, header=["a"], columns=["a"], mistakes={}, trusted=True).columns["a"].sketch


def profile(world: World) -> dict[str, Any]:
    """The profile that the run wrote."""
    content: dict[str, Any] = world.folder.read_json("clean/profile.json")
    return content


def manifest(world: World, run_id: str) -> dict[str, Any]:
    """As much of a manifest as a later run reads."""
    return {"counters": {"profile": profile(world)}, "facts": {"run_id": run_id}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.at(tmp_path / "run", connector(PERSON)).store(PERSON, ("1", "Ann", None, 1))


def test_a_profile_counts_every_line_of_the_export(world: World) -> None:
    world.export(
        "people",
        COLUMNS,
        [
            ("1", "Ann", None, "1", "x"),
            ("1", "Ann", None, "1", "x"),
            ("2", "", "", "forty", None),
            ("", "Cy", "c@x", "x3", None),
            ("3", "Di", "d@x", "", None),
        ],
    ).prepare()
    table = TableProfile.from_json(profile(world)["measured"]["Person"])
    assert (table.header, table.rows, table.trusted) == (COLUMNS, 5, True)
    assert table.duckdb_version == duckdb.__version__
    assert {name: (column.column, column.empty, column.unparsable) for name, column in table.columns.items()} == {
        "id": ("employee_id", 1, 0),
        "name": ("name", 1, 0),
        "mail": ("mail", 3, 0),
        # A line without a key is set aside before its values are looked at.
        "age": ("age", 1, 1),
    }


def test_a_sketch_never_holds_a_value_nor_a_whole_hash(world: World) -> None:
    world.export("people", COLUMNS, [("1", "Ann", "secret@example.org", "1", "x")]).prepare()
    written = world.folder.read_text("clean/profile.json")
    assert "Ann" not in written
    assert "secret" not in written
    assert {len(column["sketch"]) for column in profile(world)["measured"]["Person"]["columns"].values()} == {
        BUCKETS * DIGITS
    }


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=5).filter(lambda text: "\0" not in text)), max_size=40))
def test_a_sketch_knows_neither_order_nor_repetition_nor_empty_values(values: list[str | None]) -> None:
    made = sketch(values)
    assert made == sketch([*reversed(values), *values, None, ""])
    assert similarity(made, made) == (1 if any(values) else 0)


@pytest.mark.parametrize("shared", [0, 2500, 5000, 9000, 10_000])
def test_similarity_estimates_the_share_of_common_values(shared: int) -> None:
    size = 10_000
    one, other = range(size), range(size - shared, 2 * size - shared)
    estimate = similarity(sketch([f"v{number}" for number in one]), sketch([f"v{number}" for number in other]))
    assert float(estimate) == pytest.approx(shared / (2 * size - shared), abs=0.1)


def test_the_next_run_is_compared_with_the_last_table_that_was_whole(world: World, tmp_path: Path) -> None:
    world.export("people", COLUMNS, [("1", "Ann", None, "1", "x")]).prepare()
    first = last_good_profiles(manifest(world, "run-1"))
    assert (first["Person"].run_id, first["Person"].rows) == ("run-1", 1)

    changes = World.at(tmp_path / "changes", world.connector).store(PERSON, ("1", "Ann", None, 1))
    changes.export("people", ("command", *COLUMNS), [("update", "1", "Eve", None, "1", "x")], command=True)
    changes.prepare(last_good=first)
    assert last_good_profiles(manifest(changes, "run-2")) == first

    cut = World.at(tmp_path / "cut", world.connector).store(PERSON, ("1", "Ann", None, 1))
    cut.export("people", COLUMNS, [], complete=False).prepare(last_good=last_good_profiles(manifest(changes, "run-2")))
    assert last_good_profiles(manifest(cut, "run-3")) == first

    world.prepare(last_good=last_good_profiles(manifest(cut, "run-3")))
    assert last_good_profiles(manifest(world, "run-4"))["Person"].run_id == "run-4"


def test_a_snapshot_of_an_older_version_is_nothing_to_compare_with() -> None:
    assert last_good_profiles({"counters": {"preparation": {}}, "facts": {"run_id": "run-1"}}) == {}
