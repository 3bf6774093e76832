from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from include.model.remembered import WAITING_LINK
from include.snapshot.guard import check_thresholds
from tests.unit.snapshot.world import (
    GROUP,
    MANAGER,
    MEMBER,
    ORGANIZATION,
    PERSON,
    WORKS_IN,
    Rows,
    World,
    connector,
    end,
)

PEOPLE = ("employee_id", "name", "mail", "age", "org", "manager")
EARLIER = datetime(2025, 12, 1)


def people(*rows: tuple[str, str | None, str | None]) -> Rows:
    return [(key, f"name of {key}", f"{key}@x", "1", org, manager) for key, org, manager in rows]


def stored(*keys: str) -> list[tuple[Any, ...]]:
    return [(key, f"name of {key}", f"{key}@x", 1) for key in keys]


def wait(world: World, association: str, *pairs: tuple[str, str], owner: str = "HR") -> None:
    """Pairs that wait since an earlier run."""
    rows = [
        (f"{owner} {association} {one} {two}", owner, association, one, two, "unresolved_reference", EARLIER, "earlier")
        for one, two in pairs
    ]
    world.store(WAITING_LINK, *rows)


def waiting(world: World, association: str) -> list[tuple[str, str, str]]:
    """The pairs of an association that wait after the run: both values, and the run that saw them first."""
    rows = world.rows(f"clean/{association}.waiting.parquet")
    return sorted((row[3], row[4], row[7]) for row in rows)


def changed(world: World, run: str) -> set[tuple[str, str, str, str]]:
    """What the run changes of the waiting room: command, association and both values."""
    found = set()
    for row in world.rows(f"changes/{WAITING_LINK.identifier}.parquet"):
        value = row[-1] or row[-2]
        found.add((row[0], value["association"], value["value1"], value["value2"]))
        assert row[0] != "insert" or value["run_id"] == run
    return found


@pytest.fixture
def hr(tmp_path: Path) -> World:
    world = World.at(tmp_path / "run", connector(PERSON, ORGANIZATION, associations=(WORKS_IN, MANAGER)))
    return world.export("organizations", ("code", "label"), [("SAL", "Sales"), ("IT", "Computers")])


@pytest.fixture
def teams(tmp_path: Path) -> World:
    world = World.at(tmp_path / "run", connector(PERSON, GROUP, associations=(MEMBER,)))
    world.export("teams", ("command", "code"), [], command=True)
    world.export("people", ("command", *PEOPLE), [], command=True)
    world.export("members", ("command", "team", "person"), [], command=True)
    return world.store(PERSON, *stored("1", "2")).store(GROUP, ("g",), ("h",))


def test_a_pair_that_lacks_an_end_waits_and_is_still_listed_as_rejected(hr: World) -> None:
    hr.export("people", PEOPLE, people(("1", "NEW", "9"), ("2", "IT", "1")))
    changes = hr.compare(run_id="run 1")
    assert waiting(hr, "WorksIn") == [("1", "NEW", "run 1")]
    assert changed(hr, "run 1") == {("insert", "WorksIn", "1", "NEW"), ("insert", "Manager", "1", "9")}
    (row,) = hr.rows("clean/WorksIn.waiting.parquet")
    assert row[1:6] == ("HR", "WorksIn", "1", "NEW", "unresolved_reference")
    assert row[6] == datetime(2026, 1, 1)
    assert [line["reason"] for line in hr.lines("clean/WorksIn.rejects.csv")] == ["unresolved_reference"]
    assert (changes.associations["WorksIn"]["waiting"], changes.remembered["waiting_link"]["inserted"]) == (1, 2)


def test_a_complete_table_says_again_what_waits_and_it_keeps_the_instant_of_the_first_time(hr: World) -> None:
    wait(hr, "WorksIn", ("1", "NEW"), ("2", "OLD"))
    hr.export("people", PEOPLE, people(("1", "NEW", None), ("2", "IT", None)))
    hr.compare()
    assert waiting(hr, "WorksIn") == [("1", "NEW", "earlier")]
    rows = hr.rows("clean/WorksIn.waiting.parquet")
    assert rows[0][6] == EARLIER


def test_a_pair_resolves_when_its_end_arrives_by_a_run_that_does_not_mention_it(hr: World) -> None:
    hr.store(PERSON, *stored("1")).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    wait(hr, "WorksIn", ("1", "NEW"))
    hr.export("organizations", ("command", "code", "label"), [("insert", "NEW", "New")], command=True)
    hr.export("people", ("command", *PEOPLE), [], command=True)
    changes = hr.compare("incremental")
    assert hr.commands("WorksIn") == [("insert", "1", "NEW")]
    assert changed(hr, "") == {("delete", "WorksIn", "1", "NEW")}
    assert changes.associations["WorksIn"]["inserted"] == 1
    limits = check_thresholds(hr.connector, hr.folder, "incremental").lines
    assert any(line.limit == "maximum_link_inserted_lines" and line.found == 1 for line in limits)


def test_a_single_link_stays_until_the_new_reference_resolves_and_is_replaced_then(hr: World) -> None:
    hr.store(PERSON, *stored("1")).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    hr.store_links(WORKS_IN, ("1", "IT"))
    hr.export("people", ("command", *PEOPLE), [("update", *people(("1", "NEW", None))[0])], command=True)
    hr.compare("incremental")
    assert hr.commands("WorksIn") == []
    assert waiting(hr, "WorksIn") == [("1", "NEW", "this run")]

    wait(hr, "WorksIn", ("1", "NEW"))
    hr.export("organizations", ("command", "code", "label"), [("insert", "NEW", "New")], command=True)
    hr.export("people", ("command", *PEOPLE), [], command=True)
    hr.compare("incremental")
    assert hr.commands("WorksIn") == [("delete", "1", "IT"), ("insert", "1", "NEW")]
    assert waiting(hr, "WorksIn") == []


@pytest.mark.parametrize(
    ("line", "left"),
    [
        (("update", "IT"), []),
        (("update", ""), []),
        (("update", "OTHER"), [("1", "OTHER", "this run")]),
        (("merge", ""), [("1", "NEW", "earlier")]),
        (("merge", "NULL_NULL"), []),
        (("delete", ""), []),
    ],
)
def test_a_newer_line_of_an_owner_replaces_what_waits_for_it(
    hr: World, line: tuple[str, str], left: list[tuple[str, str, str]]
) -> None:
    hr.store(PERSON, *stored("1")).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    wait(hr, "WorksIn", ("1", "NEW"))
    command, organization = line
    hr.export("people", ("command", *PEOPLE), [(command, *people(("1", organization, None))[0])], command=True)
    hr.export("organizations", ("command", "code", "label"), [], command=True)
    hr.compare("incremental")
    assert waiting(hr, "WorksIn") == left


def test_what_waits_for_an_owner_stays_while_its_line_is_set_aside(hr: World) -> None:
    hr.store(PERSON, *stored("1", "2")).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    wait(hr, "WorksIn", ("1", "NEW"))
    bad = ("1", "name of 1", "1@x", "not a number", "IT", None)
    hr.export("people", PEOPLE, [bad, *people(("2", None, None))])
    hr.compare()
    assert waiting(hr, "WorksIn") == [("1", "NEW", "earlier")]
    hr.export("organizations", ("code", "label"), [("NEW", "New"), ("IT", "Computers"), ("SAL", "Sales")])
    hr.compare()
    assert hr.commands("WorksIn") == [("insert", "1", "NEW")]


def test_the_links_of_a_deleted_resource_return_when_it_returns(teams: World) -> None:
    teams.store_links(MEMBER, ("g", "1"), ("g", "2"), ("h", "1"))
    teams.export("people", ("command", *PEOPLE), [("delete", *people(("1", None, None))[0])], command=True)
    teams.export("members", ("command", "team", "person"), [("delete", "h", "1")], command=True)
    teams.compare("incremental")
    assert teams.commands("Member") == [("delete", "g", "1"), ("delete", "h", "1")]
    assert waiting(teams, "Member") == [("g", "1", "this run")]

    wait(teams, "Member", ("g", "1"))
    teams.store(PERSON, *stored("2")).store_links(MEMBER, ("g", "2"))
    teams.export("people", ("command", *PEOPLE), [("insert", *people(("1", None, None))[0])], command=True)
    teams.export("members", ("command", "team", "person"), [], command=True)
    teams.compare("incremental")
    assert teams.commands("Member") == [("insert", "g", "1")]
    assert waiting(teams, "Member") == []


def test_the_links_of_a_deleted_resource_wait_under_the_value_that_their_lines_say(teams: World) -> None:
    by_mail = MEMBER.model_copy(update={"end2": end("Person", "person", collection=True, key="mail")})
    teams.connector = connector(PERSON, GROUP, associations=(by_mail,))
    teams.store_links(by_mail, ("g", "1"))
    teams.export("people", ("command", *PEOPLE), [("delete", *people(("1", None, None))[0])], command=True)
    teams.compare("incremental")
    assert waiting(teams, "Member") == [("g", "1@x", "this run")]


def test_a_link_goes_with_its_owner_and_does_not_wait(hr: World) -> None:
    hr.store(PERSON, *stored("1", "2")).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    hr.store_links(WORKS_IN, ("1", "IT")).store_links(MANAGER, ("1", "2"), ("2", "1"))
    hr.export("people", ("command", *PEOPLE), [("delete", *people(("1", None, None))[0])], command=True)
    hr.compare("incremental")
    assert waiting(hr, "WorksIn") == []
    # The line of 2 still names its manager.
    assert waiting(hr, "Manager") == [("2", "1", "this run")]


@pytest.mark.parametrize("last", ["delete", "insert"])
def test_of_several_commands_for_one_pair_the_last_one_counts_for_what_waits(teams: World, last: str) -> None:
    wait(teams, "Member", ("g", "9"))
    first = "insert" if last == "delete" else "delete"
    commands = [(first, "g", "9"), (last, "g", "9"), (first, "g", "8"), (last, "g", "8")]
    teams.export("members", ("command", "team", "person"), commands, command=True)
    teams.compare("incremental")
    assert waiting(teams, "Member") == ([] if last == "delete" else [("g", "8", "this run"), ("g", "9", "earlier")])


def test_an_incomplete_table_ends_no_wait(teams: World) -> None:
    wait(teams, "Member", ("g", "9"), ("h", "9"))
    teams.export("members", ("team", "person"), [("g", "1")], complete=False)
    teams.compare("incremental")
    assert waiting(teams, "Member") == [("g", "9", "earlier"), ("h", "9", "earlier")]


def test_a_taken_pair_takes_the_single_link_that_it_was_to_replace(teams: World) -> None:
    one_team = MEMBER.model_copy(update={"end2": end("Person", "person")})
    teams.connector = connector(PERSON, GROUP, associations=(one_team,))
    teams.store_links(one_team, ("g", "1"), ("g", "2"))
    wait(teams, "Member", ("new", "1"))
    teams.export("members", ("command", "team", "person"), [("delete", "new", "1")], command=True)
    teams.compare("incremental")
    assert teams.commands("Member") == [("delete", "g", "1")]
    assert waiting(teams, "Member") == []


def test_an_ambiguous_reference_does_not_wait(hr: World) -> None:
    by_label = WORKS_IN.model_copy(update={"end2": end("Organization", "org", collection=True, key="label")})
    hr.connector = connector(PERSON, ORGANIZATION, associations=(by_label,))
    hr.export("organizations", ("code", "label"), [("A", "Same"), ("B", "Same")])
    hr.export("people", PEOPLE, people(("1", "Same", None)))
    hr.compare()
    assert waiting(hr, "WorksIn") == []


def test_only_the_rows_of_this_connector_are_compared(hr: World) -> None:
    wait(hr, "WorksIn", ("1", "NEW"), owner="Other")
    hr.export("people", PEOPLE, people(("1", "IT", None)))
    hr.compare()
    assert changed(hr, "this run") == set()


def test_what_waited_for_an_association_that_is_gone_leaves_the_room(hr: World) -> None:
    wait(hr, "Gone", ("1", "NEW"))
    hr.export("people", PEOPLE, people(("1", "IT", None)))
    hr.compare()
    assert changed(hr, "") == {("delete", "Gone", "1", "NEW")}


def test_values_that_hold_the_separator_are_different_pairs(tmp_path: Path) -> None:
    world = World.at(tmp_path / "run", connector(PERSON, GROUP, associations=(MEMBER,)))
    world.export("people", PEOPLE, people(("1", None, None))).export("teams", ("code",), [("g",)])
    world.export("members", ("team", "person"), [("a|b", "c"), ("a", "b|c"), ("g", "1")])
    world.compare()
    assert len({row[0] for row in world.rows("clean/Member.waiting.parquet")}) == 2


def test_a_rerun_ends_in_the_same_changes(hr: World) -> None:
    hr.export("people", PEOPLE, people(("1", "NEW", "9")))
    assert hr.compare().sha256 == hr.compare().sha256


def test_duplicate_key_empty_key_and_unknown_reference_are_three_lists_and_the_run_goes_on(hr: World) -> None:
    # Acceptance test 4 of engine.md 8.3.
    hr.store(PERSON, *stored("1", "2"))
    one, two, three, four = people(("1", "IT", None), ("2", "IT", None), ("", "IT", None), ("4", "NOPE", None))
    hr.export("people", PEOPLE, [one, one, two, (*two[:1], "another name", *two[2:]), three, four])
    changes = hr.compare()
    assert [(line["line"], line["reason"]) for line in hr.lines("clean/Person.duplicates.csv")] == [
        ("3", "repeated_line"),
        ("4", "contradicting_lines"),
        ("5", "contradicting_lines"),
    ]
    assert [line["line"] for line in hr.lines("clean/Person.nullpk.csv")] == ["6"]
    rejects = hr.lines("clean/WorksIn.rejects.csv")
    assert [(line["line"], line["value"], line["reason"]) for line in rejects if line["key"] == "4"] == [
        ("7", "NOPE", "unresolved_reference")
    ]
    counts = hr.prepare().entity_types["Person"]
    assert (counts.exported, counts.clean, counts.null_keys, counts.duplicates, counts.rejected) == (6, 2, 1, 3, 0)
    assert counts.exported == counts.clean + counts.null_keys + counts.duplicates + counts.rejected
    assert hr.commands("Person") == [("insert", "4")]
    found = changes.associations["WorksIn"]
    assert (found["inserted"], found["deleted"], found["waiting"]) == (1, 0, 1)
    assert hr.commands("WorksIn") == [("insert", "1", "IT")]
