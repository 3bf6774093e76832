from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.difference.thresholds import LimitLine
from include.model.configuration import ConnectorThresholds, EntityType, Gates, Property
from include.snapshot.compare import compare_snapshot
from include.snapshot.errors import SnapshotError
from include.snapshot.gates import read_gates
from include.snapshot.guard import check_thresholds
from include.snapshot.profile import TableProfile, last_good_profiles
from tests.unit.snapshot.world import World, connector

HEADER = ("id", "first", "last", "mail", "since", "active")
OPEN = ConnectorThresholds.model_construct(**dict.fromkeys(ConnectorThresholds.model_fields, 0))
"""No threshold: only gates are left to block."""
Line = tuple[str | None, ...]


def staff(**gates: Any) -> EntityType:
    """People of six columns, with gates of their own."""
    return EntityType(
        identifier="Staff",
        connection_table="staff",
        properties=(
            Property(identifier="id", primary_key=True),
            Property(identifier="first"),
            Property(identifier="last"),
            Property(identifier="mail"),
            Property(identifier="since", type="datetime", format="%d/%m/%Y"),
            Property(identifier="active", type="bool"),
        ),
        gates=Gates(**gates),
    )


def person(number: int) -> Line:
    """One line of the export."""
    since = f"{number % 28 + 1:02d}/{number % 12 + 1:02d}/2020"
    active = "true" if number % 9 else "false"
    return (f"P{number}", f"First{number % 90}", f"Last{number}", f"p{number}@example.org", since, active)


PEOPLE = [person(number) for number in range(200)]


def run(
    path: Path, rows: Sequence[Line], then: dict[str, TableProfile] | None = None, **options: Any
) -> tuple[World, dict[str, TableProfile]]:
    """Prepare one export; the world and what the next run would be held against."""
    entity_type = options.pop("entity_type", staff())
    header = options.pop("header", HEADER)
    world = World.at(path, connector(entity_type, thresholds=OPEN))
    world.export("staff", header, rows, **options).prepare(last_good=then)
    profile = world.folder.read_json("clean/profile.json")
    return world, last_good_profiles({"counters": {"profile": profile}, "facts": {"run_id": path.name}})


@pytest.fixture
def last_good(tmp_path: Path) -> dict[str, TableProfile]:
    return run(tmp_path / "monday", PEOPLE)[1]


def exceeded(world: World) -> list[tuple[str, str, str]]:
    """Level, name and limit of every gate that blocks."""
    return [(line.level, line.name, line.limit) for line in read_gates(world.folder) if line.exceeded]


def found(world: World, limit: str) -> LimitLine:
    """The one line of a gate."""
    (line,) = [line for line in read_gates(world.folder) if line.limit == limit]
    return line


def changed(column: str, value: str | None, rows: int) -> list[Line]:
    """The people with one column of the first rows replaced."""
    position = HEADER.index(column)
    return [
        (*line[:position], value, *line[position + 1 :]) if number < rows else line
        for number, line in enumerate(PEOPLE)
    ]


def test_a_first_load_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    assert read_gates(run(tmp_path / "monday", PEOPLE)[0].folder) == ()


def test_the_same_table_again_passes_every_gate(tmp_path: Path, last_good: dict[str, TableProfile]) -> None:
    world, _ = run(tmp_path / "tuesday", PEOPLE, last_good)
    lines = read_gates(world.folder)
    assert {line.limit for line in lines} == set(Gates.model_fields) - {"percentage_floor", "max_percentage_more_rows"}
    assert {(line.state, line.found) for line in lines} == {("respected", 0)}


@pytest.mark.parametrize(("rows", "blocks"), [(140, False), (139, True), (0, True)])
def test_a_table_that_lost_more_than_three_rows_in_ten_blocks(
    tmp_path: Path, last_good: dict[str, TableProfile], rows: int, blocks: bool
) -> None:
    world, _ = run(tmp_path / "tuesday", PEOPLE[:rows], last_good)
    assert exceeded(world) == ([("table", "Staff", "max_percentage_fewer_rows")] if blocks else [])


@pytest.mark.parametrize(("rows", "blocks"), [(300, False), (301, True)])
def test_a_table_that_grew_blocks_where_that_gate_is_on(
    tmp_path: Path, last_good: dict[str, TableProfile], rows: int, blocks: bool
) -> None:
    grown, watched = [person(number) for number in range(rows)], staff(max_percentage_more_rows=50)
    world, _ = run(tmp_path / "tuesday", grown, last_good, entity_type=watched)
    assert exceeded(world) == ([("table", "Staff", "max_percentage_more_rows")] if blocks else [])
    assert exceeded(run(tmp_path / "default", grown, last_good)[0]) == []


@pytest.mark.parametrize(("rows", "blocks"), [(40, False), (41, True), (200, True)])
@pytest.mark.parametrize("empty", ["", None], ids=["empty", "null"])
def test_a_column_that_became_empty_blocks(
    tmp_path: Path, last_good: dict[str, TableProfile], rows: int, empty: str | None, blocks: bool
) -> None:
    world, _ = run(tmp_path / "tuesday", changed("mail", empty, rows), last_good)
    assert exceeded(world) == ([("column", "Staff.mail", "max_points_more_empty_values")] if blocks else [])
    line = found(world, "max_points_more_empty_values")
    assert (line.name, line.found, line.unit) == ("Staff.mail", rows / 2, "points")
    assert line.note.startswith(f"{rows / 2:g} % empty after 0 % (run monday), limit 20 points")


def test_a_column_that_always_was_half_empty_is_no_reason(tmp_path: Path) -> None:
    half = changed("mail", None, 100)
    _, last_good = run(tmp_path / "monday", half)
    assert exceeded(run(tmp_path / "tuesday", half, last_good)[0]) == []


def test_a_changed_date_format_blocks(tmp_path: Path, last_good: dict[str, TableProfile]) -> None:
    rows = [(*line[:4], "2020-01-01", line[5]) for line in PEOPLE]
    world, _ = run(tmp_path / "tuesday", rows, last_good)
    assert exceeded(world) == [("column", "Staff.since", "max_points_more_unparsable_values")]
    assert found(world, "max_points_more_unparsable_values").found == 100


def test_days_and_months_that_changed_places_block(tmp_path: Path, last_good: dict[str, TableProfile]) -> None:
    rows = [(*line[:4], "/".join([*str(line[4]).split("/")[1::-1], "2020"]), line[5]) for line in PEOPLE]
    world, _ = run(tmp_path / "tuesday", rows, last_good)
    assert exceeded(world) == [("column", "Staff.since", "max_points_more_unparsable_values")]


@pytest.mark.parametrize(("rows", "blocks"), [(10, False), (11, True)])
def test_unparsable_values_above_five_points_block(
    tmp_path: Path, last_good: dict[str, TableProfile], rows: int, blocks: bool
) -> None:
    world, _ = run(tmp_path / "tuesday", changed("active", "maybe", rows), last_good)
    assert bool(exceeded(world)) is blocks


def test_two_swapped_headers_block(tmp_path: Path, last_good: dict[str, TableProfile]) -> None:
    swapped = ("id", "last", "first", "mail", "since", "active")
    world, _ = run(tmp_path / "tuesday", PEOPLE, last_good, header=swapped)
    assert exceeded(world) == [("column", "Staff.first, last", "max_points_swapped_columns")]
    line = found(world, "max_points_swapped_columns")
    assert line.note.startswith("100 % like each other's last values, 0 % like their own (run monday)")


def test_swapped_headers_are_found_although_people_came_and_went(
    tmp_path: Path, last_good: dict[str, TableProfile]
) -> None:
    swapped = ("id", "first", "mail", "last", "since", "active")
    world, _ = run(tmp_path / "tuesday", [person(number) for number in range(20, 220)], last_good, header=swapped)
    assert exceeded(world) == [("column", "Staff.last, mail", "max_points_swapped_columns")]


def test_columns_whose_values_all_changed_are_not_swapped(tmp_path: Path, last_good: dict[str, TableProfile]) -> None:
    rows = [(line[0], f"a{line[1]}", f"b{line[2]}", f"c{line[3]}", *line[4:]) for line in PEOPLE]
    world, _ = run(tmp_path / "tuesday", rows, last_good)
    assert exceeded(world) == []


def test_columns_that_always_were_alike_are_not_swapped(tmp_path: Path) -> None:
    rows = [(line[0], line[3], line[3], line[3], *line[4:]) for line in PEOPLE]
    _, last_good = run(tmp_path / "monday", rows)
    assert exceeded(run(tmp_path / "tuesday", rows, last_good)[0]) == []


def test_columns_that_were_always_alike_may_change_together(tmp_path: Path) -> None:
    def alike(first: int) -> list[Line]:
        numbers = range(first, first + 200)
        return [(f"P{number}", "Ann", f"v{number}", f"v{number}", "01/01/2020", "true") for number in numbers]

    _, last_good = run(tmp_path / "monday", alike(0))
    world, _ = run(tmp_path / "tuesday", alike(60), last_good)
    assert exceeded(world) == []
    assert "like each other's last values" in found(world, "max_points_swapped_columns").note


def test_sketches_of_another_duckdb_are_not_compared_and_say_so(
    tmp_path: Path, last_good: dict[str, TableProfile]
) -> None:
    older = {"Staff": replace(last_good["Staff"], duckdb_version="0.1")}
    swapped = ("id", "last", "first", "mail", "since", "active")
    world, _ = run(tmp_path / "tuesday", PEOPLE, older, header=swapped)
    line = found(world, "max_points_swapped_columns")
    assert (line.state, line.exceeded) == ("noted", False)
    assert "not looked at" in line.note


def test_a_header_that_moved_is_noted_and_never_blocks(tmp_path: Path, last_good: dict[str, TableProfile]) -> None:
    header = ("active", "since", "id", "first", "last", "mail", "office")
    rows = [(line[5], line[4], *line[:4], "B1") for line in PEOPLE]
    world, _ = run(tmp_path / "tuesday", rows, last_good, header=header)
    line = found(world, "header")
    assert (line.state, line.exceeded) == ("noted", False)
    assert line.note == "columns: new office; 6 in another order (run monday); they are mapped by name"
    assert exceeded(world) == []


def test_an_unmapped_column_that_disappeared_is_noted(tmp_path: Path) -> None:
    _, last_good = run(tmp_path / "monday", [(*line, "x") for line in PEOPLE], header=(*HEADER, "office"))
    world, _ = run(tmp_path / "tuesday", PEOPLE, last_good)
    assert found(world, "header").note.startswith("columns: gone office (run monday)")


def test_a_gate_of_zero_is_off(tmp_path: Path) -> None:
    off = staff(**dict.fromkeys(Gates.model_fields, 0))
    _, last_good = run(tmp_path / "monday", PEOPLE, entity_type=off)
    world, _ = run(tmp_path / "tuesday", changed("mail", None, 200)[:50], last_good, entity_type=off)
    assert read_gates(world.folder) == ()


def test_a_tiny_table_does_not_block_on_a_row_or_two(tmp_path: Path) -> None:
    _, last_good = run(tmp_path / "monday", PEOPLE[:5])
    tuesday = [(*PEOPLE[0][:3], None, "never", "maybe"), *PEOPLE[1:3]]
    world, _ = run(tmp_path / "tuesday", tuesday, last_good)
    assert exceeded(world) == []
    assert found(world, "max_percentage_fewer_rows").note.endswith("limit 30 %, floor 2 rows")
    strict = staff(percentage_floor=0)
    world, _ = run(tmp_path / "strict", tuesday, last_good, entity_type=strict)
    assert {limit for _, _, limit in exceeded(world)} == {
        "max_percentage_fewer_rows",
        "max_points_more_empty_values",
        "max_points_more_unparsable_values",
    }


def test_of_a_table_of_changes_only_unparsable_values_are_looked_at(
    tmp_path: Path, last_good: dict[str, TableProfile]
) -> None:
    header = ("command", *HEADER)
    few = [("update", *line[:3], None, *line[4:]) for line in PEOPLE[:8]]
    world, _ = run(tmp_path / "few", few, last_good, header=header, command=True)
    assert {line.limit for line in read_gates(world.folder)} == {"max_points_more_unparsable_values"}
    assert exceeded(world) == []
    bad = [("update", *line[:4], "2020-01-01", line[5]) for line in PEOPLE[:8]]
    world, _ = run(tmp_path / "bad", bad, last_good, header=header, command=True)
    assert exceeded(world) == [("column", "Staff.since", "max_points_more_unparsable_values")]


def test_a_property_that_reads_another_column_is_not_compared(
    tmp_path: Path, last_good: dict[str, TableProfile]
) -> None:
    properties = tuple(
        item.model_copy(update={"column": "mail2"}) if item.identifier == "mail" else item
        for item in staff().properties
    )
    moved = staff().model_copy(update={"properties": properties})
    rows = [(*line, None) for line in PEOPLE]
    world, _ = run(tmp_path / "tuesday", rows, last_good, entity_type=moved, header=(*HEADER, "mail2"))
    assert exceeded(world) == []


@pytest.mark.parametrize(("mode", "blocks"), [("complete", True), ("incremental", True), ("initial", False)])
def test_a_gate_blocks_the_run_and_the_initial_mode_lifts_it(
    tmp_path: Path, last_good: dict[str, TableProfile], mode: str, blocks: bool
) -> None:
    world, _ = run(tmp_path / "tuesday", changed("mail", None, 200), last_good)
    compare_snapshot(world.connector, world.configuration, world.folder)
    verdict = check_thresholds(world.connector, world.folder, mode)
    assert verdict.blocked is blocks
    (line,) = [line for line in verdict.lines if line.limit == "max_points_more_empty_values"]
    assert line.state == ("exceeded" if blocks else "lifted")
    assert world.folder.read_json("changes/verdict.json")["blocked"] is blocks


def test_a_run_without_its_gates_is_not_judged(tmp_path: Path) -> None:
    world, _ = run(tmp_path / "monday", PEOPLE)
    compare_snapshot(world.connector, world.configuration, world.folder)
    world.folder.child("clean").remove("gates.json")
    with pytest.raises(SnapshotError, match="gates.json is missing: prepare the run again"):
        check_thresholds(world.connector, world.folder, "complete")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.integers(1, 60), after=st.integers(0, 60), percent=st.integers(1, 100), floor=st.integers(0, 10))
def test_a_table_blocks_exactly_above_its_limit_and_its_floor(
    tmp_path: Path, before: int, after: int, percent: int, floor: int
) -> None:
    gates = dict.fromkeys(Gates.model_fields, 0) | {"max_percentage_fewer_rows": percent, "percentage_floor": floor}
    _, last_good = run(tmp_path / "monday", PEOPLE[:before], entity_type=staff(**gates))
    world, _ = run(tmp_path / "tuesday", PEOPLE[:after], last_good, entity_type=staff(**gates))
    lost = before - after
    assert bool(exceeded(world)) is (lost > floor and lost * 100 > percent * before)
