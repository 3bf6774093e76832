from __future__ import annotations

from pathlib import Path

import pytest

from include.model.configuration import Association, EntityType, Property
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


def people(*rows: tuple[str, str | None, str | None]) -> Rows:
    """Lines of people: key, organization, manager."""
    return [(key, f"name of {key}", f"{key}@x", "1", org, manager) for key, org, manager in rows]


@pytest.fixture
def hr(tmp_path: Path) -> World:
    world = World.at(tmp_path / "run", connector(PERSON, ORGANIZATION, associations=(WORKS_IN, MANAGER)))
    return world.export("organizations", ("code", "label"), [("SAL", "Sales"), ("IT", "Computers")])


@pytest.fixture
def teams(tmp_path: Path) -> World:
    world = World.at(tmp_path / "run", connector(PERSON, GROUP, associations=(MEMBER,)))
    world.export("teams", ("code",), [("g",), ("h",)])
    return world.export("people", PEOPLE, people(("1", None, None), ("2", None, None)))


def test_pairs_are_resolved_distinct_and_sorted_and_an_empty_end_is_no_link(hr: World) -> None:
    hr.export("people", PEOPLE, people(("2", "SAL", "1"), ("1", "IT", None), ("3", "", "3"), ("4", None, "")))
    counts = hr.prepare().associations
    assert (counts["WorksIn"].exported, counts["WorksIn"].clean, counts["WorksIn"].rejected) == (2, 2, 0)
    assert hr.rows("clean/WorksIn.parquet") == [("1", "IT"), ("2", "SAL")]
    assert hr.rows("clean/Manager.parquet") == [("2", "1"), ("3", "3")]
    assert hr.folder.read_text("clean/Manager.sorted.csv") == '"key1","key2"\n"2","1"\n"3","3"\n'


def test_an_unresolved_reference_is_set_aside_and_the_stored_link_kept(hr: World) -> None:
    hr.store(PERSON, ("1", "name of 1", "1@x", 1)).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    hr.store_links(WORKS_IN, ("1", "SAL"))
    hr.export("people", PEOPLE, people(("1", "NOPE", None), ("2", "IT", None)))
    changes = hr.compare()
    assert hr.lines("clean/WorksIn.rejects.csv") == [
        {
            "file": "raw/people.csv",
            "line": "2",
            "key": "1",
            "column": "org",
            "value": "NOPE",
            "reason": "unresolved_reference",
        }
    ]
    assert hr.rows("clean/WorksIn.set_aside.parquet") == [("1", None)]
    assert hr.commands("WorksIn") == [("insert", "2", "IT")]
    assert (changes.associations["WorksIn"]["protected"], changes.associations["WorksIn"]["deleted"]) == (1, 0)


def test_several_links_of_an_end_that_takes_one_are_set_aside(hr: World) -> None:
    hr.store(PERSON, ("1", None, None, 1)).store(ORGANIZATION, ("SAL", None)).store_links(WORKS_IN, ("1", "SAL"))
    # The same person twice with equal properties: harmless for the person, not for the link.
    hr.export("people", PEOPLE, people(("1", "SAL", None), ("1", "IT", None), ("2", "IT", None), ("2", "IT", None)))
    hr.compare()
    assert [line["reason"] for line in hr.lines("clean/WorksIn.rejects.csv")] == ["too_many_links"] * 2
    assert hr.commands("WorksIn") == [("insert", "2", "IT")]


def test_the_second_end_may_take_one_link_only(teams: World) -> None:
    one_team = MEMBER.model_copy(update={"end2": end("Person", "person")})
    teams.connector = connector(PERSON, GROUP, associations=(one_team,))
    teams.export("members", ("team", "person"), [("g", "1"), ("h", "1"), ("h", "2")])
    assert teams.prepare().associations["Member"].rejected == 2
    assert teams.rows("clean/Member.parquet") == [("h", "2")]


def test_ends_resolve_through_another_unique_key(hr: World) -> None:
    by_label = WORKS_IN.model_copy(update={"end2": end("Organization", "org", collection=True, key="label")})
    hr.connector = connector(PERSON, ORGANIZATION, associations=(by_label,))
    hr.export("people", PEOPLE, people(("1", "Computers", None), ("2", "IT", None)))
    hr.prepare()
    assert hr.rows("clean/WorksIn.parquet") == [("1", "IT")]
    assert [line["value"] for line in hr.lines("clean/WorksIn.rejects.csv")] == ["IT"]


def test_a_value_that_two_rows_share_resolves_to_neither(hr: World) -> None:
    by_label = WORKS_IN.model_copy(update={"end2": end("Organization", "org", collection=True, key="label")})
    hr.connector = connector(PERSON, ORGANIZATION, associations=(by_label,))
    hr.export("organizations", ("code", "label"), [("A", "Same"), ("B", "Same")])
    hr.export("people", PEOPLE, people(("1", "Same", None)))
    hr.prepare()
    assert [line["reason"] for line in hr.lines("clean/WorksIn.rejects.csv")] == ["ambiguous_reference"]


def test_ends_are_compared_as_values_of_their_key(tmp_path: Path) -> None:
    numbered = EntityType(
        identifier="N", connection_table="n", properties=(Property(identifier="id", type="int32", primary_key=True),)
    )
    pair = Association(
        identifier="P",
        connection_table="p",
        end1=end("N", "one", collection=True),
        end2=end("N", "two", collection=True),
    )
    world = World.at(tmp_path / "run", connector(numbered, associations=(pair,)))
    world.export("n", ("id",), [("1",), ("02",)])
    world.export("p", ("one", "two"), [("01", "2"), ("1", "+2"), ("x", "1")])
    counts = world.prepare().associations["P"]
    assert world.rows("clean/P.parquet") == [("1", "2")]
    assert (counts.rejected, counts.unreadable_keys, counts.deletions) == (1, 1, False)


def test_a_link_may_point_to_another_connector(tmp_path: Path) -> None:
    other = connector(ORGANIZATION, identifier="Structure")
    world = World.at(tmp_path / "run", connector(PERSON, associations=(WORKS_IN,)), other)
    world.store(ORGANIZATION, ("IT", "Computers"))
    world.export("people", PEOPLE, people(("1", "IT", None), ("2", "SAL", None)))
    world.prepare()
    assert world.rows("clean/WorksIn.parquet") == [("1", "IT")]


def test_a_stored_row_whose_line_was_set_aside_may_be_linked(hr: World) -> None:
    hr.store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"), ("OLD", "Gone"))
    hr.export("organizations", ("code", "label"), [("IT", "one"), ("IT", "two"), ("SAL", "Sales")])
    hr.export("people", PEOPLE, people(("1", "IT", None), ("2", "OLD", None)))
    hr.prepare()
    assert hr.rows("clean/WorksIn.parquet") == [("1", "IT")]
    hr.export("organizations", ("code", "label"), [("SAL", "Sales")], complete=False)
    hr.prepare()
    assert hr.rows("clean/WorksIn.parquet") == [("1", "IT"), ("2", "OLD")]


def test_the_links_of_a_line_that_was_set_aside_are_kept_as_they_are(hr: World) -> None:
    hr.store(PERSON, ("1", None, None, 1), ("2", None, None, 1)).store(ORGANIZATION, ("IT", ""), ("SAL", ""))
    hr.store_links(WORKS_IN, ("1", "SAL"), ("2", "SAL"))
    lines = people(("1", "IT", None), ("2", "IT", None))
    hr.export("people", PEOPLE, [(*lines[0][:3], "not a number", *lines[0][4:]), lines[1]])
    hr.compare()
    assert [line["reason"] for line in hr.lines("clean/WorksIn.rejects.csv")] == ["row_set_aside"]
    assert hr.commands("WorksIn") == [("insert", "2", "IT"), ("delete", "2", "SAL")]


def test_a_new_link_takes_the_place_of_the_only_one_even_from_an_incomplete_table(hr: World) -> None:
    hr.store(PERSON, ("1", None, None, 1), ("2", None, None, 1)).store(ORGANIZATION, ("IT", ""), ("SAL", ""))
    hr.store_links(WORKS_IN, ("1", "SAL"), ("2", "SAL"))
    hr.export("people", PEOPLE, people(("1", "IT", None)), complete=False)
    changes = hr.compare()
    assert hr.commands("WorksIn") == [("insert", "1", "IT"), ("delete", "1", "SAL")]
    assert changes.associations["WorksIn"]["withheld"] == 1


def test_links_go_with_their_ends(teams: World) -> None:
    teams.store(PERSON, ("1", None, None, 1), ("9", None, None, 1)).store(GROUP, ("g",))
    teams.store_links(MEMBER, ("g", "1"), ("g", "9"))
    teams.export("members", ("team", "person"), [("g", "9")])
    teams.compare()
    assert ("delete", "9") in teams.commands("Person")
    # The line to the vanished person protects the team's other links, not the link to the person.
    assert teams.commands("Member") == [("delete", "g", "9")]


def test_incomplete_and_empty_pair_tables_delete_no_link(teams: World) -> None:
    teams.store(PERSON, ("1", None, None, 1), ("2", None, None, 1)).store(GROUP, ("g",))
    teams.store_links(MEMBER, ("g", "1"), ("g", "2"))
    teams.export("members", ("team", "person"), [])
    assert teams.compare().associations["Member"]["withheld"] == 2
    teams.export("members", ("team", "person"), [("h", "1")], complete=False)
    assert teams.compare().associations["Member"]["withheld"] == 2
    assert teams.commands("Member") == [("insert", "h", "1")]
    teams.export("members", ("team", "person"), [("h", "1")])
    teams.compare()
    assert teams.commands("Member") == [("delete", "g", "1"), ("delete", "g", "2"), ("insert", "h", "1")]


def test_a_pair_table_of_changes_adds_and_removes(teams: World) -> None:
    teams.store(PERSON, ("1", None, None, 1), ("2", None, None, 1)).store(GROUP, ("g",), ("h",))
    teams.store_links(MEMBER, ("g", "1"), ("g", "2"))
    changes = [("add", "h", "1"), ("DELETE", "g", "1"), ("insert", "h", "2"), ("delete", "h", "2"), ("odd", "h", "2")]
    teams.export("members", ("command", "team", "person"), changes, command=True)
    counts = teams.compare().associations["Member"]
    assert teams.commands("Member") == [("delete", "g", "1"), ("insert", "h", "1")]
    assert [line["reason"] for line in teams.lines("clean/Member.rejects.csv")] == ["unknown_command"]
    assert (counts["stored"], counts["withheld"], counts["protected"]) == (2, 0, 0)


def test_the_changes_of_an_owner_replace_its_link(hr: World) -> None:
    stored = [(key, f"name of {key}", f"{key}@x", 1) for key in "123456"]
    hr.store(PERSON, *stored).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    hr.store_links(WORKS_IN, *((key, "SAL") for key in "123456"))
    lines = people(("1", "IT", None), ("2", None, None), ("3", "", None), ("4", "NULL_NULL", None), ("5", None, None))
    commands = ("update", "update", "merge", "merge", "delete")
    hr.export(
        "people", ("command", *PEOPLE), [(c, *line) for c, line in zip(commands, lines, strict=True)], command=True
    )
    hr.compare("incremental")
    assert hr.commands("WorksIn") == [
        ("insert", "1", "IT"),
        ("delete", "1", "SAL"),
        ("delete", "2", "SAL"),
        ("delete", "4", "SAL"),
        ("delete", "5", "SAL"),
    ]


def test_of_an_owners_several_changes_the_last_one_counts(hr: World) -> None:
    hr.store(PERSON, ("1", "name of 1", "1@x", 1)).store(ORGANIZATION, ("IT", "Computers"), ("SAL", "Sales"))
    lines = people(("1", "SAL", None), ("1", "IT", None))
    hr.export("people", ("command", *PEOPLE), [("update", *line) for line in lines], command=True)
    hr.compare("incremental")
    assert hr.commands("WorksIn") == [("insert", "1", "IT")]


def test_a_member_who_is_nowhere_keeps_no_other_member_of_the_group(teams: World) -> None:
    teams.store(PERSON, ("1", "name of 1", "1@x", 1), ("2", "name of 2", "2@x", 1)).store(GROUP, ("g",), ("h",))
    teams.store_links(MEMBER, ("g", "1"), ("g", "2"))
    teams.export("members", ("team", "person"), [("g", "1"), ("g", "nobody")])
    teams.compare()
    assert [line["reason"] for line in teams.lines("clean/Member.rejects.csv")] == ["unresolved_reference"]
    assert teams.commands("Member") == [("delete", "g", "2")]


def by_mail(teams: World) -> World:
    """Teams whose lines name people by their mail."""
    member = MEMBER.model_copy(update={"end2": end("Person", "person", collection=True, key="mail")})
    teams.connector = connector(PERSON, GROUP, associations=(member,))
    teams.store(PERSON, *((key, f"name of {key}", f"{key}@x", 1) for key in "123")).store(GROUP, ("g",), ("h",))
    return teams.store_links(MEMBER, ("g", "1"), ("g", "2"), ("g", "3"))


def test_a_reference_that_may_mean_a_row_set_aside_keeps_the_link_to_that_row_only(teams: World) -> None:
    by_mail(teams).export(
        "people", PEOPLE, [*people(("1", None, None), ("3", None, None)), ("2", "name of 2", "new@x", "x", None, None)]
    )
    teams.export("members", ("team", "person"), [("g", "1@x"), ("g", "new@x")])
    teams.compare()
    assert teams.commands("Member") == [("delete", "g", "3")]


def test_a_reference_by_primary_key_cannot_mean_another_row_that_was_set_aside(teams: World) -> None:
    teams.store(PERSON, ("1", "name of 1", "1@x", 1), ("2", "name of 2", "2@x", 1)).store(GROUP, ("g",), ("h",))
    teams.store_links(MEMBER, ("g", "1"), ("g", "2"))
    teams.export("people", PEOPLE, [*people(("1", None, None)), ("2", "name of 2", "2@x", "not a number", None, None)])
    teams.export("members", ("team", "person"), [("g", "1"), ("g", "nobody")])
    teams.compare()
    assert teams.commands("Member") == [("delete", "g", "2")]


def test_the_line_that_was_set_aside_keeps_nobody_elses_link_to_its_target(hr: World) -> None:
    hr.store(PERSON, ("1", None, None, 1), ("2", None, None, 1)).store(ORGANIZATION, ("IT", ""), ("SAL", ""))
    hr.store_links(WORKS_IN, ("1", "IT"), ("2", "IT"))
    lines = people(("1", "IT", None), ("2", None, None))
    hr.export("people", PEOPLE, [(*lines[0][:3], "not a number", *lines[0][4:]), lines[1]])
    hr.compare()
    assert hr.commands("WorksIn") == [("delete", "2", "IT")]
