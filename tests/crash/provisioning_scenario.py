"""What the crash test provisions: accounts, a folder for each that depends on it, and the days they go through.

People join, change, leave and return; one day is above its threshold and approved, one brings no change. A folder is a
group of its own: its order waits for that of the account inside the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from include.orchestration.decisions import APPLY_ALL

SOURCE, TARGET = "Crew", "Rooms"
SOURCE_CONFIGURATION = """
identifier: Crew
connections:
  - {identifier: People, package: csv, connection_id: crew_files, settings: {path: people.csv}}
entity_types:
  - identifier: Crew_Person
    connection_table: People
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: name}
      - {identifier: title}
      - {identifier: team}
"""
TARGET_CONFIGURATION = """
identifier: Rooms
connections:
  - {identifier: Rooms, package: scim, connection_id: rooms, settings: {max_retries: 2}}
entity_types:
  - identifier: Rooms_User
    connection_table: Rooms_Users
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: user_name, column: userName, unique_key: true}
      - {identifier: external_id, column: externalId}
      - {identifier: display_name, column: displayName}
      - {identifier: title}
      - {identifier: mail, column: "emails:value"}
  - identifier: Rooms_Group
    connection_table: Rooms_Groups
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: display_name, column: displayName, unique_key: true}
associations:
  - identifier: Rooms_Member
    connection_table: Rooms_members_Groups
    end1: {entity_type: Rooms_Group, navigation: members, collection: true, column: value}
    end2: {entity_type: Rooms_User, navigation: groups, collection: true, column: MemberId}
resource_types:
  - identifier: Rooms_Account
    source_entity_type: Crew_Person
    target_entity_type: Rooms_User
    connection: Rooms
    block_provisioning: false
    batch_size: 4
    transmitted_state_validity_period: 100000
    thresholds: &free
      maximum_insert_percent: 0
      maximum_update_percent: 0
      maximum_delete_percent: 40
    correlation_rules:
      - {source_expression: id, target_expression: external_id, confidence: 100}
    scalar_rules:
      - {property: user_name, expression: lower(id)}
      - {property: external_id, expression: id}
      - {property: display_name, expression: name}
      - {property: title, expression: title}
      - {property: mail, expression: "lower(id) || '@example.org'"}
    navigation_rules:
      - {navigation: groups, target_property: display_name, target_value: everyone}
      - {navigation: groups, target_property: display_name, target_value: sales, condition: "team = 'sales'"}
  - identifier: Rooms_Folder
    source_entity_type: Crew_Person
    target_entity_type: Rooms_Group
    connection: Rooms
    block_provisioning: false
    depends_on: Rooms_Account
    batch_size: 4
    thresholds: *free
    correlation_rules:
      - {source_expression: "'folder of ' || id", target_expression: display_name, confidence: 100}
    scalar_rules:
      - {property: display_name, expression: "'folder of ' || id"}
"""
GROUPS = ("everyone", "sales")


@dataclass(frozen=True, slots=True)
class Day:
    """Who is there, and what a person says if the orders are blocked."""

    name: str
    people: str
    answer: str | None = None


def _people(numbers: Iterator[int] | range, **changes: str) -> str:
    lines = ["id,name,title,team"]
    for number in numbers:
        team = "sales" if number % 3 == 0 else "works"
        lines.append(changes.get(f"P{number}", f"P{number},Name {number},Title {number % 2},{team}"))
    return "\n".join(lines) + "\n"


def days() -> Iterator[Day]:
    """The days, in order."""
    yield Day("joiners", _people(range(6)))
    changes = {"P2": "P2,Renamed,Boss,sales", "P3": "P3,Name 3,,works", "P4": "P4,Name 4,Boss,works"}
    yield Day("movers", _people(iter((0, 2, 3, 4, 5, 6, 7)), **changes))
    yield Day("leavers", _people(iter((2, 6, 7)), **changes), APPLY_ALL)
    yield Day("nothing new", _people(iter((2, 6, 7)), **changes))
    yield Day("returning", _people(range(4), **changes), APPLY_ALL)
