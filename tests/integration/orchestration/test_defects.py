"""Defects that users of such products met, as tests of the whole pipeline; ``test_defect_table`` lists them all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.errors import IncompleteExport
from connectors.files.csv import CsvConnector
from include.orchestration.decisions import APPLY_ALL, APPLY_WITHOUT_DELETIONS, Decision
from tests.integration.orchestration.conftest import HEADER, Pipeline, person

CLUB = """
identifier: Club
connections:
  - identifier: Members
    package: csv
    connection_id: staff_files
    settings: {path: members.csv, maximum_field_characters: 11000000}
  - {identifier: Groups, package: csv, connection_id: staff_files, settings: {path: groups.csv}}
  - {identifier: Lists, package: csv, connection_id: staff_files, settings: {path: lists.csv}}
entity_types:
  - identifier: Club_Member
    connection_table: Members
    properties: [{identifier: id, primary_key: true}, {identifier: note}]
  - {identifier: Club_Group, connection_table: Groups, properties: [{identifier: code, primary_key: true}]}
associations:
  - identifier: Club_Manager
    connection_table: Members
    end1: {entity_type: Club_Member, navigation: manager, column: id}
    end2: {entity_type: Club_Member, navigation: reports, collection: true, column: manager}
  - identifier: Club_List
    connection_table: Lists
    end1: {entity_type: Club_Group, navigation: members, collection: true, column: group}
    end2: {entity_type: Club_Member, navigation: groups, collection: true, column: member}
  - identifier: Club_Staff
    connection_table: Members
    end1: {entity_type: Club_Member, navigation: person, column: id}
    end2: {entity_type: Staff_Person, navigation: memberships, collection: true, column: person}
"""
MEMBERS = ("A,one,B,P001", "B,two,A,P002", "C,three,A,P003")
LISTS = ("G1,A", "G1,B", "G1,C", "G2,A")


def decision(choice: str) -> Decision:
    return Decision(choice, "Ada Auditor", datetime.now(UTC).isoformat(), "seen")


def write(pipeline: Pipeline, members: tuple[str, ...] = MEMBERS, lists: tuple[str, ...] = LISTS) -> None:
    (pipeline.files / "members.csv").write_text("\n".join(["id,note,manager,person", *members]) + "\n")
    (pipeline.files / "lists.csv").write_text("\n".join(["group,member", *lists]) + "\n")


@pytest.fixture
def club(pipeline: Pipeline) -> Pipeline:
    """The pipeline with a second connector: members who manage each other, groups, and links to Staff."""
    pipeline.add_connector("club", CLUB, groups="code\nG1\nG2\n")
    write(pipeline)
    pipeline.synchronize("initial", connector="Club")
    return pipeline


def names(pipeline: Pipeline, association: str, first: str, second: str) -> set[tuple[str, str]]:
    """The present links, as keys."""
    ends = [{row["resource_id"]: key for key, row in pipeline.current(item).items()} for item in (first, second)]
    return {(ends[0][one], ends[1][other]) for one, other in pipeline.links(association)}


def lists(pipeline: Pipeline) -> set[tuple[str, str]]:
    return names(pipeline, "Club_List", "Club_Group", "Club_Member")


def without(lines: tuple[str, ...], part: str) -> tuple[str, ...]:
    return tuple(line for line in lines if part not in line)


def test_a_key_that_returns_gets_its_old_resource_id_and_its_links_back(club: Pipeline) -> None:
    before = club.current("Club_Member"), lists(club), club.links("Club_Manager"), club.links("Club_Staff")
    write(club, without(MEMBERS, "C,three"), without(LISTS, ",C"))
    club.synchronize(connector="Club", decision=decision(APPLY_ALL))
    assert "C" not in club.current("Club_Member")
    assert lists(club) == {("G1", "A"), ("G1", "B"), ("G2", "A")}
    write(club)
    club.synchronize("initial", connector="Club")
    assert (club.current("Club_Member"), lists(club), club.links("Club_Manager"), club.links("Club_Staff")) == before
    assert [version["values"]["note"] for version in club.repository.history("Club_Member", "C")] == ["three", "three"]


def test_members_who_manage_each_other_are_loaded_changed_and_deleted(club: Pipeline) -> None:
    assert names(club, "Club_Manager", "Club_Member", "Club_Member") == {("A", "B"), ("B", "A"), ("C", "A")}
    write(club, ("A,one,C,P001", "B,two,A,P002", "C,three,B,P003"))
    club.synchronize("initial", connector="Club")
    assert names(club, "Club_Manager", "Club_Member", "Club_Member") == {("A", "C"), ("B", "A"), ("C", "B")}
    write(club, ("C,three,C,P003",), ("G1,C",))
    club.synchronize("initial", connector="Club")
    assert names(club, "Club_Manager", "Club_Member", "Club_Member") == {("C", "C")}


def test_a_removed_member_ends_that_link_only(club: Pipeline) -> None:
    members = club.current("Club_Member")
    write(club, lists=without(LISTS, "G1,B"))
    _, result = club.synchronize("initial", connector="Club")
    assert result["associations"] == {
        "Club_List": {"inserted": 0, "deleted": 1},
        "Club_Manager": {"inserted": 0, "deleted": 0},
        "Club_Staff": {"inserted": 0, "deleted": 0},
    }
    assert lists(club) == {("G1", "A"), ("G1", "C"), ("G2", "A")}
    assert club.current("Club_Member") == members


def test_a_run_deletes_rows_and_links_of_its_own_connector_only(club: Pipeline) -> None:
    staff = club.state()
    write(club, MEMBERS[:1], ("G1,A",))
    club.synchronize(connector="Club", decision=decision(APPLY_ALL))
    assert club.current("Club_Member").keys() == {"A"}
    assert club.state() == staff

    club_members, club_lists = club.current("Club_Member"), lists(club)
    club.people(30)
    _, result = club.synchronize(decision=decision(APPLY_ALL))
    assert result["entity_types"]["Staff_Person"]["deleted"] == 30
    assert (club.current("Club_Member"), lists(club)) == (club_members, club_lists)
    assert len(club.links("Club_Staff")) == 1


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_one_bad_file_stops_its_own_connector_only(club: Pipeline) -> None:
    before = club.current("Club_Member"), lists(club)
    (club.files / "lists.csv").write_bytes(b'group,member\nG1,"A')
    write_people = [person(number, "Renamed" if number == 1 else None) for number in range(60)]
    club.write(*write_people)
    with pytest.raises(Exception, match=r"lists\.csv"):
        club.synchronize(connector="Club")
    assert (club.current("Club_Member"), lists(club)) == before
    club.synchronize()
    assert club.current("Staff_Person")["P001"]["name"] == "Renamed"
    write(club)
    _, result = club.synchronize(connector="Club")
    assert result["state"] == "loaded"


def test_the_counters_are_those_of_what_was_applied(club: Pipeline) -> None:
    write(club, ("A,changed,B,P001", "B,two,A,P002"), ("G1,A",))
    run, result = club.synchronize(connector="Club", decision=decision(APPLY_WITHOUT_DELETIONS))
    assert result["entity_types"]["Club_Member"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 0}
    assert result["associations"]["Club_List"] == {"inserted": 0, "deleted": 0}
    assert club.current("Club_Member").keys() == {"A", "B", "C"}

    run, result = club.synchronize(connector="Club", decision=decision(APPLY_ALL))
    # Links that ended with C are counted with those that the file no longer holds.
    assert result["entity_types"]["Club_Member"]["deleted"] == 1
    assert result["associations"] == {
        "Club_List": {"inserted": 0, "deleted": 3},
        "Club_Manager": {"inserted": 0, "deleted": 1},
        "Club_Staff": {"inserted": 0, "deleted": 1},
    }
    record = club.repository.run(run.run_id)
    assert record is not None
    assert record.counters["entity_types"].items() >= result["entity_types"].items()
    assert record.counters["associations"] == result["associations"]


@pytest.mark.parametrize("length", [4_001, 10 * 1024 * 1024], ids=["over 4000 characters", "10 MB"])
def test_a_long_value_arrives_whole(club: Pipeline, length: int) -> None:
    note = ("0123456789é" * (length // 11 + 1))[:length]
    write(club, (f"A,{note},B,P001", *MEMBERS[1:]))
    club.synchronize("initial", connector="Club")
    assert club.current("Club_Member")["A"]["note"] == note


def test_a_change_of_case_only_is_an_update_of_the_same_resource(pipeline: Pipeline) -> None:
    before = pipeline.current("Staff_Person")["P007"]
    pipeline.write(*(person(number, "NAME 7" if number == 7 else None) for number in range(60)))
    _, result = pipeline.synchronize()
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 0}
    assert pipeline.current("Staff_Person")["P007"] == before | {"name": "NAME 7"}


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_a_header_in_another_order_is_no_change(pipeline: Pipeline) -> None:
    before = pipeline.state()
    columns = HEADER.split(",")
    lines = [dict(zip(columns, person(number).split(","), strict=True)) for number in range(60)]
    pipeline.write(
        *(",".join(line[column] for column in reversed(columns)) for line in lines), header=",".join(reversed(columns))
    )
    _, result = pipeline.synchronize()
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 0, "overwritten": 0, "deleted": 0}
    assert pipeline.state() == before


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_good_rows_are_loaded_beside_a_bad_one(pipeline: Pipeline) -> None:
    lines = [person(number) for number in range(60)]
    lines[7] = lines[7].replace("2026-01-01", "someday").replace("Name 7", "Renamed 7")
    lines[8] = person(8, "Renamed 8")
    pipeline.write(*lines)
    _, result = pipeline.synchronize()
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 0}
    found = pipeline.current("Staff_Person")
    assert (found["P007"]["name"], found["P008"]["name"]) == ("Name 7", "Renamed 8")


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_an_incomplete_answer_deletes_nothing_even_when_a_person_applies_it(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = CsvConnector.export

    def truncated(self: CsvConnector, request: Any, sink: Any) -> Any:
        report = export(self, request, sink)
        tables = (replace(report.tables[0], complete=False, expected=60, reason="page 2 of 2 did not come"),)
        return replace(report, tables=tables)

    monkeypatch.setattr(CsvConnector, "export", truncated)
    pipeline.write(*(person(number, "Renamed" if number == 1 else None) for number in range(40)))
    _, result = pipeline.synchronize(decision=decision(APPLY_ALL))
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 0}
    assert result["associations"]["Staff_PersonTeam"] == {"inserted": 0, "deleted": 0}
    assert len(pipeline.current("Staff_Person")) == 60


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_an_export_that_breaks_off_leaves_the_good_state(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pipeline.state()

    def broken(_self: CsvConnector, _request: Any, sink: Any) -> None:
        with sink.table("People", HEADER.split(",")) as writer:
            writer.write_rows([person(1, "Renamed").split(",")])
            raise IncompleteExport("the source went away after 1 row")

    with monkeypatch.context() as patch:
        patch.setattr(CsvConnector, "export", broken)
        with pytest.raises(IncompleteExport, match="after 1 row"):
            pipeline.synchronize()
    assert pipeline.state() == before
    (newest, *_) = pipeline.repository.runs("Staff")
    assert newest.state == "failed"
    _, result = pipeline.synchronize()
    assert result["entity_types"]["Staff_Person"] == {"inserted": 0, "updated": 0, "overwritten": 0, "deleted": 0}
    assert pipeline.state() == before
