"""A source that changes, told in full or by commands, and a repository in memory that follows it.

People work in an organization and have a manager (both said by their own line), and organizations have
members (a table of pairs that names people by their mail). A member is known to the source as a person,
so that a new mail changes the pair's text without a command; once the person is gone, the text stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pyarrow import parquet

from include.model.configuration import Association, EntityType, Property
from include.model.remembered import REMEMBERED, WAITING_LINK
from include.snapshot.compare import Changes
from tests.unit.snapshot.world import Rows, World, connector, end

PERSON = EntityType(
    identifier="Person",
    connection_table="people",
    properties=(
        Property(identifier="id", primary_key=True),
        Property(identifier="mail", unique_key=True),
        Property(identifier="age", type="int32"),
    ),
)
ORGANIZATION = EntityType(
    identifier="Organization",
    connection_table="organizations",
    properties=(Property(identifier="code", primary_key=True), Property(identifier="label")),
)
WORKS_IN = Association(
    identifier="WorksIn",
    connection_table="people",
    end1=end("Person", "id", navigation="organization"),
    end2=end("Organization", "org", collection=True, navigation="staff"),
)
MANAGER = Association(
    identifier="Manager",
    connection_table="people",
    end1=end("Person", "id", navigation="manager"),
    end2=end("Person", "manager", collection=True, navigation="reports"),
)
MEMBER = Association(
    identifier="Member",
    connection_table="members",
    end1=end("Organization", "organization", collection=True, navigation="members"),
    end2=end("Person", "person", collection=True, key="mail", navigation="memberships"),
)
CONNECTOR = connector(PERSON, ORGANIZATION, associations=(WORKS_IN, MANAGER, MEMBER))
COLUMNS = {
    "people": ("id", "mail", "age", "org", "manager"),
    "organizations": ("code", "label"),
    "members": ("organization", "person"),
}
TABLES = tuple(COLUMNS)
UNREADABLE, TWICE = "not a number", "two lines"
"""Ages of people whose lines are set aside: one that is no number, and two lines that contradict each other."""


def mail(person: str, version: int) -> str:
    """The mail of a person; a rename gives the next version."""
    return f"{person}{version}@x"


@dataclass(frozen=True)
class Line:
    """What the source says of a person."""

    version: int = 0
    age: str | None = "1"
    org: str | None = None
    manager: str | None = None

    @property
    def is_set_aside(self) -> bool:
        """Whether no run can use it."""
        return self.age in {UNREADABLE, TWICE}


@dataclass
class Source:
    """One state of the source; the person ``z``, the organization ``Z`` and its member are always there."""

    people: dict[str, Line] = field(default_factory=lambda: {"z": Line()})
    organizations: dict[str, str] = field(default_factory=lambda: {"Z": "Z"})
    # Line of the table of pairs: the organization, and a person who is there or the text that is left of one.
    members: dict[int, tuple[str, str]] = field(default_factory=lambda: {0: ("Z", "z")})
    number: int = 0

    @classmethod
    def populated(cls) -> Source:
        """Two people and two organizations that refer to each other, and a reference that lacks its end."""
        source = cls(organizations={"Z": "Z", "A": "one", "B": "two"})
        source.put_person("a", Line(org="A", manager="b"))
        source.put_person("b", Line(org="B", manager="a"))
        for organization, who in (("A", "a0@x"), ("B", "b0@x"), ("A", "b1@x")):
            source.add_member(organization, who)
        return source

    def copy(self) -> Source:
        """The same state, to be changed."""
        return Source(dict(self.people), dict(self.organizations), dict(self.members), self.number)

    @property
    def set_aside(self) -> list[str]:
        """The people whose lines no run can use."""
        return [key for key, line in self.people.items() if line.is_set_aside]

    def mend(self) -> None:
        """Make every line one that can be used."""
        self.people |= {key: replace(self.people[key], age="1") for key in self.set_aside}

    def text(self, person: str) -> str:
        """How the table of pairs names a person, or what it says in place of one."""
        return mail(person, self.people[person].version) if person in self.people else person

    def put_person(self, key: str, line: Line) -> None:
        """Add or change a person; who was named by the mail is that person from now on."""
        self.people[key] = line
        named = mail(key, line.version)
        self.members = {number: (org, key if who == named else who) for number, (org, who) in self.members.items()}

    def remove_person(self, key: str, *, named_still: bool) -> None:
        """Remove a person, and, unless it is named still, the pairs with it."""
        left = self.text(key)
        del self.people[key]
        self.members = {
            number: (org, left if who == key else who)
            for number, (org, who) in self.members.items()
            if who != key or named_still
        }

    def add_member(self, organization: str, who: str) -> None:
        """Add a line to the table of pairs; ``who`` is a person or a text."""
        self.number += 1
        person = next((key for key, line in self.people.items() if mail(key, line.version) == who), who)
        self.members[self.number] = (organization, person)

    def extract(self, table: str) -> Rows:
        """Every line of a table; a person who has two lines has them both, a pair may stand on two lines."""
        if table == "organizations":
            return list(self.organizations.items())
        if table == "members":
            return [(org, self.text(who)) for org, who in self.members.values()]
        return [
            (key, mail(key, line.version), age, line.org, line.manager)
            for key, line in self.people.items()
            for age in (("1", "2") if line.age == TWICE else (line.age,))
        ]

    def changes(self, table: str, since: Source, spellings: itertools.cycle[str]) -> Rows:
        """The commands of a table that lead here from an earlier state."""
        if table == "members":
            return self._changed_members(since, spellings)
        before, after = ({str(row[0]): row for row in state.extract(table)} for state in (since, self))
        rows: list[Sequence[str | None]] = [
            (_spell("delete", spellings), key, *[None] * (len(COLUMNS[table]) - 1))
            for key in before
            if key not in after
        ]
        for key, row in after.items():
            if before.get(key) == row and not (table == "people" and self.people[key] != since.people[key]):
                continue
            if table == "people" and (self.people[key].is_set_aside or _was_set_aside(since, key)):
                age = UNREADABLE if self.people[key].is_set_aside else row[2]
                rows.append((_spell("update", spellings), *row[:2], age, *row[3:]))
            elif key in before and next(spellings) == "merge":
                rows.append(("merge", key, *map(_merged, before[key][1:], row[1:])))
            else:
                rows.append((_spell("update" if key in before else "insert", spellings), *row))
        return rows

    def _changed_members(self, since: Source, spellings: itertools.cycle[str]) -> Rows:
        said = set(self.extract("members"))
        gone = [line for number, line in since.members.items() if number not in self.members]
        came = [line for number, line in self.members.items() if number not in since.members]
        taken = [(org, self.text(who) if who in self.people else since.text(who)) for org, who in gone]
        return [
            *((_spell("delete", spellings), *pair) for pair in taken if pair not in said),
            *((_spell("insert", spellings), org, self.text(who)) for org, who in came),
        ]


def _was_set_aside(since: Source, key: str) -> bool:
    return key in since.people and since.people[key].is_set_aside


def _merged(before: str | None, after: str | None) -> str | None:
    """What a merge line says of a value: nothing where it is the same, NULL_NULL where it is emptied."""
    if before == after:
        return None
    return "NULL_NULL" if after is None else after


_SPELLINGS = {"insert": ("insert", "ADD"), "update": ("update", "Modify"), "delete": ("DELETE", "remove")}


def _spell(command: str, spellings: itertools.cycle[str]) -> str:
    return _SPELLINGS[command][next(spellings) == "merge"]


def _changes(world: World, identifier: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(f"{world.folder.path}/changes/{identifier}.parquet").to_pylist()
    return found


@dataclass
class Memory:
    """A repository in memory: the rows of every entity type and the pairs of every association."""

    folder: Path
    rows: dict[str, dict[str, tuple[Any, ...]]] = field(default_factory=dict)
    links: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def follow(self, source: Source, run_id: str, commands: dict[str, Rows] | None = None) -> Changes:
        """One run over the source: of the tables in ``commands`` those, of the others everything."""
        world = World.at(self.folder / run_id, CONNECTOR)
        for entity_type in (*CONNECTOR.entity_types, *REMEMBERED):
            world.store(entity_type, *(row for _, row in sorted(self.rows.get(entity_type.identifier, {}).items())))
        for association in CONNECTOR.associations:
            world.store_links(association, *self.links.get(association.identifier, ()))
        for table, columns in COLUMNS.items():
            if commands is not None and table in commands:
                world.export(table, ("command", *columns), commands[table], command=True)
            else:
                world.export(table, columns, source.extract(table))
        changes = world.compare("incremental" if commands else "complete", run_id=run_id)
        self._load(world)
        return changes

    def _load(self, world: World) -> None:
        for entity_type in (*CONNECTOR.entity_types, *REMEMBERED):
            rows = self.rows.setdefault(entity_type.identifier, {})
            for change in _changes(world, entity_type.identifier):
                assert (change["command"] == "insert") == (change["key"] not in rows)
                if change["command"] == "delete":
                    del rows[change["key"]]
                else:
                    rows[change["key"]] = tuple(change["new"].values())
        for association in CONNECTOR.associations:
            links = self.links.setdefault(association.identifier, set())
            for change in _changes(world, association.identifier):
                pair = (change["key1"], change["key2"])
                assert (change["command"] == "insert") == (pair not in links)
                links.symmetric_difference_update({pair})

    def waiting(self, association: str) -> set[tuple[str, str]]:
        """The pairs of an association that wait, by their values."""
        rows = self.rows.get(WAITING_LINK.identifier, {}).values()
        return {(str(row[3]), str(row[4])) for row in rows if row[2] == association}


def with_line(line: Line, **values: Any) -> Line:
    """A person's line with other values."""
    return replace(line, **values)
