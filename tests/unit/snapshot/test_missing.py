from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from include.model.configuration import OnMissing
from include.model.remembered import MISSING_RESOURCE
from include.snapshot.guard import check_thresholds
from tests.unit.snapshot.world import GROUP, MANAGER, MEMBER, ORGANIZATION, PERSON, WORKS_IN, World, connector

PATIENT = PERSON.model_copy(update={"on_missing": OnMissing(keep_runs=2)})
PEOPLE = ("employee_id", "name", "mail", "age", "org", "manager")
EARLIER = datetime(2025, 12, 1)


def line(key: str, org: str | None = None) -> tuple[str | None, ...]:
    return (key, f"name of {key}", f"{key}@x", "1", org, None)


def stored(*keys: str) -> list[tuple[Any, ...]]:
    return [(key, f"name of {key}", f"{key}@x", 1) for key in keys]


def remember(world: World, key: str, runs: int, owner: str = "HR") -> World:
    """A row that earlier runs lacked."""
    return world.store(MISSING_RESOURCE, (f"Person|{key}", owner, "Person", key, EARLIER, "earlier", runs))


def missing(world: World) -> list[tuple[str, str, int]]:
    """What is missing after the run: key, the run that lacked it first, and how many runs have lacked it."""
    return [(row[3], row[5], row[6]) for row in world.rows("clean/Person.missing.parquet")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.at(tmp_path / "run", connector(PATIENT, ORGANIZATION, associations=(WORKS_IN, MANAGER)))
    made.store(PATIENT, *stored("1", "2", "3")).store(ORGANIZATION, ("IT", "Computers"))
    made.store_links(WORKS_IN, ("1", "IT"), ("3", "IT")).store_links(MANAGER, ("1", "3"), ("3", "1"))
    return made.export("organizations", ("code", "label"), [("IT", "Computers")])


def test_a_missing_row_stays_with_its_links_and_is_counted(world: World) -> None:
    world.export("people", PEOPLE, [(*line("1", "IT")[:5], "3"), line("2")])
    changes = world.compare(run_id="run 1")
    assert not [item for table in ("Person", "WorksIn", "Manager") for item in world.commands(table)]
    assert missing(world) == [("3", "run 1", 1)]
    counts = changes.entity_types["Person"]
    assert (counts["missing"], counts["deleted"], counts["protected"], counts["withheld"]) == (1, 0, 0, 0)
    assert changes.remembered["missing_resource"] == {"inserted": 1, "updated": 0, "deleted": 0}
    assert not [item for item in check_thresholds(world.connector, world.folder, "complete").lines if item.exceeded]


@pytest.mark.parametrize(("runs", "stays"), [(0, True), (1, True), (2, False)])
def test_it_is_deleted_by_the_run_after_those_that_keep_it(world: World, runs: int, stays: bool) -> None:
    if runs:
        remember(world, "3", runs)
    world.export("people", PEOPLE, [line("1", "IT"), line("2")]).compare(run_id="now")
    assert missing(world) == ([("3", "earlier" if runs else "now", runs + 1)] if stays else [])
    assert world.commands("Person") == ([] if stays else [("delete", "3")])
    assert world.commands("WorksIn") == ([] if stays else [("delete", "3", "IT")])


def test_without_patience_a_missing_row_is_deleted_at_once(world: World) -> None:
    world.connector = connector(PERSON, ORGANIZATION, associations=(WORKS_IN, MANAGER))
    world.export("people", PEOPLE, [line("1", "IT"), line("2")]).compare()
    assert world.commands("Person") == [("delete", "3")]
    assert missing(world) == []


def test_a_row_that_reappears_clears_its_count(world: World) -> None:
    remember(world, "3", 2).export("people", PEOPLE, [line("1", "IT"), line("2"), line("3", "IT")]).compare()
    assert missing(world) == []
    assert [row[0] for row in world.rows("changes/missing_resource.parquet")] == ["delete"]


def test_a_row_set_aside_is_not_missing(world: World) -> None:
    bad = ("3", "name", "3@x", "not a number", "IT", None)
    remember(world, "3", 2).export("people", PEOPLE, [line("1", "IT"), line("2"), bad]).compare()
    assert missing(world) == []
    assert world.commands("Person") == []


@pytest.mark.parametrize("rows", [[], [line("1", "IT"), line("2")]], ids=["empty", "incomplete"])
def test_a_run_that_could_not_show_the_row_does_not_count(world: World, rows: list[tuple[str | None, ...]]) -> None:
    remember(world, "3", 1).export("people", PEOPLE, rows, complete=not rows)
    counts = world.compare().entity_types["Person"]
    assert missing(world) == [("3", "earlier", 1)]
    assert world.commands("Person") == []
    assert (counts["missing"], counts["protected"], counts["withheld"]) == (1, 0, 2 if not rows else 0)


@pytest.mark.parametrize(
    ("commands", "left"),
    [([], ["3"]), ([("delete", *line("3"))], []), ([("update", *line("3", "IT"))], [])],
    ids=["unmentioned", "deleted", "updated"],
)
def test_of_changes_a_delete_command_deletes_at_once_and_any_other_ends_the_absence(
    world: World, commands: list[tuple[str | None, ...]], left: list[str]
) -> None:
    remember(world, "3", 1).export("people", ("command", *PEOPLE), commands, command=True).compare("incremental")
    assert [key for key, *_ in missing(world)] == left
    deleted = bool(commands) and commands[0][0] == "delete"
    assert world.commands("Person") == ([("delete", "3")] if deleted else [])


def test_a_table_of_pairs_that_lacks_the_row_too_does_not_end_its_links(tmp_path: Path) -> None:
    world = World.at(tmp_path / "run", connector(PATIENT, GROUP, associations=(MEMBER,)))
    world.store(PATIENT, *stored("1", "2")).store(GROUP, ("g",)).store_links(MEMBER, ("g", "1"), ("g", "2"))
    world.export("teams", ("code",), [("g",)]).export("people", PEOPLE, [line("1")])
    world.export("members", ("team", "person"), [("g", "1")]).compare()
    assert world.commands("Member") == []


def test_a_deleted_row_and_its_remembered_absence_go_together(world: World) -> None:
    remember(world, "3", 2).export("people", PEOPLE, [line("1", "IT"), line("2")])
    changes = world.compare()
    assert changes.entity_types["Person"]["deleted"] == 1
    assert [row[0] for row in world.rows("changes/missing_resource.parquet")] == ["delete"]


def test_only_the_rows_of_this_connector_are_counted(world: World) -> None:
    remember(world, "3", 2, owner="Other").export("people", PEOPLE, [line("1", "IT"), line("2")]).compare()
    assert missing(world) == [("3", "this run", 1)]


def test_a_rerun_counts_once(world: World) -> None:
    world.export("people", PEOPLE, [line("1", "IT"), line("2")])
    first = world.compare().sha256
    assert world.compare().sha256 == first
    assert missing(world) == [("3", "this run", 1)]
