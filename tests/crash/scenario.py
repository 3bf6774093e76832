"""What the crash test synchronizes: a crew of people and teams, and the days it goes through.

The days visit every way a run can end: loaded, approved, approved without deletions, rejected, and
superseded by the next one; and every kind of change: rows and links that come, change, go and return,
as whole tables and as commands, with rows set aside and managers who manage each other.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from connectors.contract import Mode
from include.orchestration.decisions import APPLY_ALL, APPLY_WITHOUT_DELETIONS, REJECT

CONNECTOR = "Crew"
CONNECTIONS = ("People", "Teams", "Members")
CONFIGURATION = """
identifier: Crew
connections:
  - identifier: People
    package: csv
    connection_id: crew_files
    settings: {path: people.csv, path_incremental: people_changes.csv}
  - {identifier: Teams, package: csv, connection_id: crew_files, settings: {path: teams.csv}}
  - identifier: Members
    package: csv
    connection_id: crew_files
    settings: {path: members.csv, path_incremental: members_changes.csv}
entity_types:
  - identifier: Crew_Person
    connection_table: People
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: name}
      - {identifier: mail, unique_key: true}
      - {identifier: since, type: datetime, format: "%Y-%m-%d"}
      - {identifier: grade, type: double}
  - identifier: Crew_Team
    connection_table: Teams
    properties:
      - {identifier: code, type: int32, primary_key: true}
      - {identifier: label}
associations:
  - identifier: Crew_Team_People
    connection_table: People
    end1: {entity_type: Crew_Person, navigation: team, column: id}
    end2: {entity_type: Crew_Team, navigation: people, collection: true, column: team}
  - identifier: Crew_Manager
    connection_table: People
    end1: {entity_type: Crew_Person, navigation: manager, column: id}
    end2: {entity_type: Crew_Person, navigation: reports, collection: true, column: manager}
  - identifier: Crew_Member
    connection_table: Members
    end1: {entity_type: Crew_Team, navigation: members, collection: true, column: team}
    end2: {entity_type: Crew_Person, navigation: memberships, collection: true, column: person}
"""
TEAMS = 8
PEOPLE_HEADER = "id,name,mail,since,grade,team,manager"


@dataclass(frozen=True, slots=True)
class Person:
    """One person as the source holds it."""

    number: int
    name: str
    team: int
    manager: int
    since: str = "2026-01-01"

    @property
    def line(self) -> str:
        """The line of the people's file."""
        key = f"P{self.number:03d}"
        values = (key, self.name, f"{key.lower()}@example.org", self.since, self.number / 8, self.team)
        return ",".join(map(str, (*values, f"P{self.manager:03d}")))


@dataclass(frozen=True, slots=True)
class Day:
    """One synchronization: what the source holds then, and what a person says if the run is blocked."""

    name: str
    mode: Mode
    files: Mapping[str, str]
    expected: str
    answer: str | None = None


@dataclass
class _Source:
    """The managed system: it changes from day to day, and writes its files."""

    people: dict[int, Person] = field(default_factory=dict)
    members: set[tuple[int, int]] = field(default_factory=set)

    def hire(self, *numbers: int) -> None:
        """People who come; the first two manage each other, ten manage the rest."""
        for number in numbers:
            self.people[number] = Person(
                number, f"Name {number}", number % TEAMS, 1 - number if number < 2 else number % 10
            )
            self.members |= {(number % TEAMS, number), ((number + 3) % TEAMS, number)}

    def leave(self, *numbers: int) -> None:
        """People who go, with their memberships."""
        for number in numbers:
            del self.people[number]
        self.members = {(team, number) for team, number in self.members if number in self.people}

    def change(self, number: int, **values: str | int) -> None:
        """Values of a person that change."""
        self.people[number] = replace(self.people[number], **values)  # type: ignore[arg-type]

    def files(self, **others: str) -> dict[str, str]:
        """The files of the whole content, and other ones."""
        # Seeded, so that both worlds read the same bytes; shuffled, since no source promises an order.
        shuffled = random.Random(len(self.people))
        people = [self.people[number].line for number in sorted(self.people)]
        members = [f"{team},P{number:03d}" for team, number in sorted(self.members)]
        shuffled.shuffle(people)
        shuffled.shuffle(members)
        return {
            "people.csv": _text(PEOPLE_HEADER, *people),
            "teams.csv": _text("code,label", *(f"{code},Team {code}" for code in range(TEAMS))),
            "members.csv": _text("team,person", *members),
        } | {f"{name}.csv": text for name, text in others.items()}


def _text(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def days() -> Iterator[Day]:
    """The synchronizations, in order; ``expected`` is the state in which each run ends."""
    source = _Source()
    source.hire(*range(120))
    yield Day("initial", "initial", source.files(), "loaded")

    source.hire(120, 121, 122)
    source.leave(117, 118)
    source.change(11, name="renamed")
    source.change(12, team=0, manager=3)
    source.change(13, since="someday")
    source.members -= {(0, 16), (1, 17)}
    source.members |= {(5, 16)}
    yield Day("changes", "complete", source.files(), "loaded")

    source.change(13, since="2026-02-01")
    source.hire(123)
    source.leave(116)
    source.change(20, name="Renamed by command", manager=4)
    yield Day(
        "commands",
        "incremental",
        source.files(
            people_changes=_text(
                f"command,{PEOPLE_HEADER}",
                f"update,{source.people[20].line}",
                f"insert,{source.people[123].line}",
                f"update,{source.people[13].line}",
                "merge,P021,,,,NULL_NULL,,",
                "delete,P116,,,,,,",
            ),
            members_changes=_text(
                "command,team,person", f"add,{123 % TEAMS},P123", f"add,{126 % TEAMS},P123", "delete,6,P022"
            ),
        ),
        "loaded",
    )

    source.leave(*range(90, 110))
    yield Day("approved", "complete", source.files(), "loaded", APPLY_ALL)

    source.leave(*range(70, 90))
    source.change(30, name="NAME 30")
    yield Day("kept", "complete", source.files(), "loaded", APPLY_WITHOUT_DELETIONS)

    yield Day("rejected", "complete", source.files(), "rejected", REJECT)
    yield Day("undecided", "complete", source.files(), "superseded")

    source.hire(*range(70, 90), 117, 118)
    source.change(31, name="Name 31 ")
    yield Day("returning", "complete", source.files(), "loaded")
