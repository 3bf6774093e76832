from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import TableReport
from include.model.configuration import ConnectorThresholds, EntityType, Property
from include.snapshot.compare import Changes, compare_snapshot
from include.snapshot.errors import SnapshotError
from include.snapshot.guard import check_thresholds
from tests import strategies
from tests.unit.snapshot.world import MEMBER, PERSON, World, connector

COLUMNS = ("employee_id", "name", "mail", "age")
STORED = (("1", "Ann", "", 30), ("2", "Bob", None, 40), ("3", "Cy", "c@x", 50))
SAME = [("1", "Ann", "", "30"), ("2", "Bob", None, "40"), ("3", "Cy", "c@x", "50")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.at(tmp_path / "run", connector(PERSON)).store(PERSON, *STORED)


def test_the_same_rows_again_change_nothing(world: World) -> None:
    changes = world.export("people", COLUMNS, SAME).compare()
    assert not changes.changed
    assert changes.entity_types["Person"] == {
        "stored": 3,
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "withheld": 0,
        "protected": 0,
        "missing": 0,
        "complete": True,
    }
    assert Changes.read(world.folder) == changes
    assert changes.base_load == 7


def test_a_missing_row_is_deleted_from_a_complete_table_only(world: World) -> None:
    assert world.export("people", COLUMNS, SAME[:1]).compare().entity_types["Person"]["deleted"] == 2
    counts = world.export("people", COLUMNS, SAME[:1], complete=False).compare().entity_types["Person"]
    assert (counts["deleted"], counts["withheld"]) == (0, 2)


def test_an_empty_export_deletes_nothing(world: World) -> None:
    counts = world.export("people", COLUMNS, []).compare().entity_types["Person"]
    assert (counts["deleted"], counts["withheld"], counts["complete"]) == (0, 3, False)


@pytest.mark.parametrize(
    "bad",
    [
        [("2", "Bob", None, "forty")],
        [("2", "B" * 21, None, "40")],
        [("2", "Bob", None, "40"), ("2", "Rob", None, "40")],
    ],
    ids=["unparsable", "too long", "contradicting"],
)
def test_a_line_that_was_set_aside_never_reads_as_a_deletion(world: World, bad: list[tuple[str | None, ...]]) -> None:
    counts = world.export("people", COLUMNS, [SAME[0], *bad]).compare().entity_types["Person"]
    assert world.commands("Person") == [("delete", "3")]
    assert (counts["deleted"], counts["protected"], counts["withheld"]) == (1, 1, 0)


def test_a_key_that_cannot_be_read_may_be_anybodys(tmp_path: Path) -> None:
    numbered = EntityType(
        identifier="N", connection_table="n", properties=(Property(identifier="id", type="int32", primary_key=True),)
    )
    world = World.at(tmp_path / "run", connector(numbered)).store(numbered, (1,), (2,))
    counts = world.export("n", ("id",), [("1",), ("2x",), ("3",)]).compare().entity_types["N"]
    assert world.commands("N") == [("insert", "3")]
    assert (counts["withheld"], counts["complete"]) == (1, True)


def test_changes_that_arrive_as_commands(world: World) -> None:
    rows = [
        ("INSERT", "4", "Di", None, "20"),
        ("modify", "1", "Ann", "a@x", "30"),
        ("merge", "2", None, "b@x", "NULL_NULL"),
        ("delete", "3", None, None, "not read"),
        ("delete", "9", None, None, None),
    ]
    world.export("people", ("command", *COLUMNS), rows, command=True)
    counts = world.compare("incremental").entity_types["Person"]
    assert (counts["inserted"], counts["updated"], counts["deleted"]) == (1, 2, 1)
    changed = {row[1]: (row[2], row[4]) for row in world.rows("changes/Person.parquet")}
    assert changed["1"] == (["mail"], {"id": "1", "name": "Ann", "mail": "a@x", "age": 30})
    assert changed["2"] == (["mail", "age"], {"id": "2", "name": "Bob", "mail": "b@x", "age": None})
    assert changed["3"][1] is None


def test_several_commands_for_one_key_act_in_the_order_of_the_file(world: World) -> None:
    rows = [
        ("delete", "1", None, None, None),
        ("merge", "1", "Eve", None, None),
        ("merge", "2", "Rob", None, None),
        ("merge", "2", None, None, "41"),
        ("update", "3", "Cyd", None, "1"),
        ("delete", "3", None, None, None),
        ("add", "3", "Cyd", "c@x", "51"),
    ]
    world.export("people", ("command", *COLUMNS), rows, command=True)
    world.compare("incremental")
    changed = {row[1]: tuple(row[4].values()) for row in world.rows("changes/Person.parquet")}
    assert changed == {"1": ("1", "Eve", None, None), "2": ("2", "Rob", None, 41), "3": ("3", "Cyd", "c@x", 51)}


def test_a_command_that_is_none_or_holds_a_bad_value_changes_nothing(world: World) -> None:
    rows = [("upsert", "1", "X", "", "1"), ("update", "2", "X", "", "old"), (None, "3", "X", "", "1")]
    world.export("people", ("command", *COLUMNS), rows, command=True)
    counts = world.compare("incremental")
    assert not counts.changed
    found = [
        (line["key"], line["column"], line["value"], line["reason"]) for line in world.lines("clean/Person.rejects.csv")
    ]
    assert found == [
        ("1", "command", "upsert", "unknown_command"),
        ("2", "age", "old", "unparsable"),
        ("3", "command", "", "unknown_command"),
    ]


def test_an_empty_table_of_changes_is_not_an_empty_export(world: World) -> None:
    world.export("people", ("command", *COLUMNS), [], command=True)
    changes = world.compare("incremental")
    assert (changes.changed, changes.entity_types["Person"]["complete"]) == (False, True)
    assert not check_thresholds(world.connector, world.folder, "incremental").blocked


def test_the_fingerprint_stands_for_the_content(world: World) -> None:
    first = world.export("people", COLUMNS, SAME[:2]).compare().sha256
    assert world.compare().sha256 == first
    assert world.export("people", COLUMNS, SAME[1:]).compare().sha256 != first


def test_an_unprepared_run_is_one_clear_line(world: World) -> None:
    with pytest.raises(SnapshotError, match=r"preparation.json is missing: prepare the run"):
        compare_snapshot(world.connector, world.configuration, world.folder)
    with pytest.raises(SnapshotError, match=r"changes.json is missing: compare the run"):
        check_thresholds(world.connector, world.folder, "complete")


def test_a_change_above_the_threshold_blocks_and_says_so(tmp_path: Path) -> None:
    used = connector(PERSON, thresholds=ConnectorThresholds(percentage_floor=0))
    world = World.at(tmp_path / "run", used).store(PERSON, *STORED)
    world.export("people", COLUMNS, SAME[:2]).compare()
    verdict = check_thresholds(world.connector, world.folder, "complete")
    assert verdict.blocked
    assert [str(line) for line in verdict.lines if line.exceeded] == [
        "connector HR: max_percentage_deleted_lines exceeded (1 deleted of 3 stored, limit 5 %)"
    ]
    written = world.folder.read_json("changes/verdict.json")
    assert (written["blocked"], written["mode"]) == (True, "complete")
    assert written["sha256"] == Changes.read(world.folder).sha256
    assert not check_thresholds(world.connector, world.folder, "initial").blocked


def test_a_few_changes_of_a_small_table_pass(world: World) -> None:
    world.export("people", COLUMNS, SAME[:2]).compare()
    verdict = check_thresholds(world.connector, world.folder, "complete")
    assert not verdict.blocked
    (line,) = [line for line in verdict.lines if line.limit == "max_percentage_deleted_lines"]
    assert (line.found, line.value, line.note) == (33.33, 5, "1 deleted of 3 stored, limit 5 %, floor 2")


def test_the_floor_does_not_save_an_empty_export(world: World) -> None:
    world.store(PERSON, STORED[0]).export("people", COLUMNS, []).compare()
    assert check_thresholds(world.connector, world.folder, "complete").blocked


def test_nothing_changed_passes(world: World) -> None:
    world.export("people", COLUMNS, SAME).compare()
    assert not check_thresholds(world.connector, world.folder, "complete").blocked


@pytest.mark.parametrize("mode", ["complete", "incremental", "initial"])
def test_an_incomplete_table_blocks_while_rows_are_stored(world: World, mode: str) -> None:
    world.export("people", COLUMNS, SAME, complete=False).compare()
    verdict = check_thresholds(world.connector, world.folder, mode)
    assert verdict.blocked
    assert [str(line) for line in verdict.lines if line.exceeded] == [
        "table people: the export is not complete (the source stopped; 3 rows of Person are stored, none is deleted)"
    ]
    world.store(PERSON).compare()
    assert not check_thresholds(world.connector, world.folder, "initial").blocked


def test_links_have_limits_of_their_own(tmp_path: Path) -> None:
    team = EntityType(
        identifier="Team", connection_table="teams", properties=(Property(identifier="code", primary_key=True),)
    )
    strict = ConnectorThresholds(percentage_floor=0)
    world = World.at(tmp_path / "run", connector(PERSON, team, associations=(MEMBER,), thresholds=strict))
    world.store(PERSON, *STORED).store(team, ("g",)).store_links(MEMBER, ("g", "1"), ("g", "2"))
    world.export("people", COLUMNS, SAME).export("teams", ("code",), [("g",)])
    world.export("members", ("team", "person"), [("g", "1")]).compare()
    verdict = check_thresholds(world.connector, world.folder, "complete")
    assert [line.limit for line in verdict.lines if line.exceeded] == ["max_link_percentage_deleted_lines"]


def test_a_report_that_claims_more_rows_stops_before_any_change(world: World) -> None:
    world.export("people", COLUMNS, SAME).report(TableReport("people", 4, complete=True))
    with pytest.raises(SnapshotError, match="holds 3 rows where its export reported 4"):
        world.compare()
    assert not world.folder.exists("changes/changes.json")


KEYS = st.sampled_from("abcdef")
AGES = st.sampled_from(["1", "2", "old", None])


@settings(max_examples=25, deadline=None, suppress_health_check=strategies.TOLERATED)
@given(
    stored=st.dictionaries(KEYS, st.integers(1, 2)),
    rows=st.lists(st.tuples(KEYS, AGES), max_size=8),
    complete=st.booleans(),
)
def test_no_key_that_stands_in_the_export_is_ever_deleted(
    tmp_path: Path, stored: dict[str, int], rows: list[tuple[str, str | None]], complete: bool
) -> None:
    world = World.at(tmp_path / "run", connector(PERSON))
    world.store(PERSON, *((key, "n", None, age) for key, age in sorted(stored.items())))
    world.export("people", COLUMNS, [(key, "n", None, age) for key, age in rows], complete=complete)
    world.compare()
    deleted = {key for command, key in world.commands("Person") if command == "delete"}
    readable = complete and (bool(rows) or not stored)
    seen = {key for key, _ in rows}
    usable = any(len({age for other, age in rows if other == key}) == 1 and age != "old" for key, age in rows)
    assert deleted == (set(stored) - seen if readable and (usable or not stored) else set())


CELLS = st.sampled_from([None, "", "x", "NULL_NULL"]) | strategies.cells
COMMAND_KEYS = KEYS | strategies.keys
COMMANDS = st.tuples(st.sampled_from(["insert", "update", "delete", "merge"]), COMMAND_KEYS, CELLS, CELLS)


def carried_out(stored: dict[str, tuple[str | None, ...]], commands: list[tuple[str | None, ...]]) -> dict[str, Any]:
    """The rows after the commands, one after the other."""
    rows: dict[str, Any] = dict(stored)
    for command, key, *cells in commands:
        assert key is not None
        if command == "delete":
            rows.pop(key, None)
        elif command == "merge":
            old = rows.get(key, (None, None))
            rows[key] = tuple(
                None if cell == "NULL_NULL" else (cell or kept) for cell, kept in zip(cells, old, strict=True)
            )
        else:
            rows[key] = tuple(cells)
    return rows


@settings(max_examples=25, deadline=None, suppress_health_check=strategies.TOLERATED)
@given(
    stored=st.dictionaries(COMMAND_KEYS, st.tuples(CELLS, CELLS), max_size=6), commands=st.lists(COMMANDS, max_size=10)
)
def test_commands_at_once_end_where_commands_one_by_one_end(
    tmp_path: Path, stored: dict[str, tuple[str | None, ...]], commands: list[tuple[str | None, ...]]
) -> None:
    plain = EntityType(
        identifier="T",
        connection_table="t",
        properties=(Property(identifier="id", primary_key=True), Property(identifier="v"), Property(identifier="w")),
    )
    world = World.at(tmp_path / "run", connector(plain))
    world.store(plain, *((key, *row) for key, row in sorted(stored.items())))
    world.export("t", ("command", "id", "v", "w"), commands, command=True)
    world.compare("incremental")
    rows: dict[str, Any] = dict(stored)
    for command, key, *_, new in world.rows("changes/T.parquet"):
        if command == "delete":
            del rows[key]
        else:
            rows[key] = (new["v"], new["w"])
    assert rows == carried_out(stored, commands)
