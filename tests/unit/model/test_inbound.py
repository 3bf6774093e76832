"""What a connector of the repository itself may say, and what the records of owners must be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.registry import PACKAGES
from include.model.configuration import IDENTITY_REPOSITORY, Configuration
from include.model.loader import load_configuration

DIRECTORY = """\
identifier: Directory
connections:
  - {identifier: Directory, package: identity_repository}
entity_types:
  - identifier: Directory_User
    connection_table: Directory_User
    properties:
      - {identifier: number, primary_key: true}
      - {identifier: name}
associations:
  - identifier: Directory_UserOrganization
    connection_table: Directory_UserOrganization
    end1: {entity_type: Directory_User, navigation: organization, column: number}
    end2: {entity_type: HR_Organization, navigation: users, collection: true, column: code}
resource_types:
  - identifier: Directory_User_Person
    source_entity_type: HR_Person
    target_entity_type: Directory_User
    connection: Directory
    scalar_rules:
      - {property: number, expression: employee_id}
      - {property: name, expression: last_name}
    navigation_rules:
      - {navigation: organization, target_property: code, target_value: SAL}
"""
MISTAKES = {
    "an export beside it": (
        "package: identity_repository}",
        "package: identity_repository}\n  - {identifier: File, package: csv}",
        (
            "connections[1].package: 'File' cannot stand beside a connection of the package identity_repository: "
            "give each a connector of its own"
        ),
    ),
    "a schedule": (
        "connections:",
        "schedules: {complete: '@daily'}\nconnections:",
        "schedules: nothing is synchronized: it is provisioned after each load of what its rules read",
    ),
    "a computed property": (
        "{identifier: name}",
        "{identifier: name, expression: upper(number)}",
        (
            "entity_types[0].properties[1].expression: nothing is exported, so nothing is computed: "
            "give 'name' a scalar rule"
        ),
    ),
    "a format": (
        "{identifier: name}",
        "{identifier: name, format: RDN}",
        "entity_types[0].properties[1].format: nothing is exported, so no text is read: leave the format out",
    ),
    "what is missing": (
        "    properties:",
        "    on_missing: {keep_runs: 1}\n    properties:",
        (
            "entity_types[0].on_missing: nothing is exported, so nothing can be missing: "
            "allow_remove of the resource type decides"
        ),
    ),
    "an expectation": (
        "    properties:",
        "    expectations: [{expectation: expect_column_values_to_be_unique}]\n    properties:",
        (
            "entity_types[0].expectations: nothing is exported, so there is nothing to look at: "
            "limit the orders with thresholds"
        ),
    ),
    "no rule for the key": (
        "      - {property: number, expression: employee_id}\n",
        "",
        (
            "resource_types[0].scalar_rules: no rule gives 'number', the primary key of Directory_User: "
            "nothing could be created without it"
        ),
    ),
    "a target of another connector": (
        "target_entity_type: Directory_User",
        "target_entity_type: CRM_User",
        "resource_types[0].target_entity_type: CRM_User belongs to CRM: put this resource type there",
    ),
}
RECORDS = "    records: {{navigation: {0}, start_property: {1}, end_property: {2}}}\n    connection: Directory\n"
RECORD_MISTAKES = {
    "records over an unknown navigation": (
        ("cardz", "start", "end"),
        "resource_types[0].records.navigation: unknown navigation 'cardz' of HR_Person; did you mean 'cards'?",
    ),
    "a start that is not there": (
        ("cards", "begin", "end"),
        "resource_types[0].records.start_property: unknown property 'begin' of Card; known: id, start, end, colour",
    ),
    "an end that is no instant": (
        ("cards", "start", "colour"),
        (
            "resource_types[0].records.end_property: 'colour' of Card is string: "
            "a datetime tells when a record is in force"
        ),
    ),
}
CARDS = """\
identifier: Cards
connections:
  - {identifier: Cards, package: csv, settings: {path: cards.csv}}
entity_types:
  - identifier: Card
    connection_table: Cards
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: start, type: datetime}
      - {identifier: end, type: datetime}
      - {identifier: colour}
associations:
  - identifier: PersonCard
    connection_table: Cards
    end1: {entity_type: Card, navigation: holder, column: id}
    end2: {entity_type: HR_Person, navigation: cards, collection: true, column: employee_id}
"""


@pytest.fixture
def load(folder: Path) -> Callable[[], Configuration]:
    """Load the sample files with the directory and the cards beside them."""
    (folder / "directory.yaml").write_text(DIRECTORY)
    (folder / "cards.yaml").write_text(CARDS)
    return lambda: load_configuration(folder)


def mistakes(configuration: Configuration) -> list[str]:
    return [f"{one.field}: {one.message}" for item in configuration.broken for one in item.mistakes]


def test_a_connector_of_the_repository_is_accepted_and_known_as_one(load: Callable[[], Configuration]) -> None:
    configuration = load()
    assert mistakes(configuration) == []
    assert {item.identifier for item in configuration.connectors if item.is_inbound} == {"Directory"}


def test_its_package_is_in_the_registry() -> None:
    assert IDENTITY_REPOSITORY in PACKAGES


@pytest.mark.parametrize(("before", "after", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_what_has_no_meaning_without_an_export(
    folder: Path, load: Callable[[], Configuration], before: str, after: str, expected: str
) -> None:
    assert before in DIRECTORY
    (folder / "directory.yaml").write_text(DIRECTORY.replace(before, after, 1))
    assert expected in mistakes(load())


def test_a_resource_type_of_another_connector_cannot_write_it(folder: Path, load: Callable[[], Configuration]) -> None:
    crm = folder / "crm.yaml"
    crm.write_text(crm.read_text().replace("target_entity_type: CRM_User", "target_entity_type: Directory_User"))
    expected = (
        "resource_types[0].target_entity_type: Directory_User stands in the repository: "
        "put this resource type into Directory"
    )
    assert expected in mistakes(load())


def test_links_that_an_export_decides_on_cannot_be_given(folder: Path, load: Callable[[], Configuration]) -> None:
    beginning, end = DIRECTORY.split("associations:\n")
    association, rest = end.split("resource_types:\n")
    (folder / "directory.yaml").write_text(f"{beginning}resource_types:\n{rest}")
    hr = folder / "hr.yaml"
    hr.write_text(hr.read_text() + association.replace("connection_table: Directory_", "connection_table: HRPeople_"))
    expected = (
        "resource_types[0].navigation_rules[0].navigation: "
        "the export of HR holds the links of 'organization', and would undo it"
    )
    assert expected in mistakes(load())


def test_records_are_accepted(folder: Path, load: Callable[[], Configuration]) -> None:
    text = DIRECTORY.replace("    connection: Directory\n", RECORDS.format("cards", "start", "end"))
    (folder / "directory.yaml").write_text(text)
    assert mistakes(load()) == []


@pytest.mark.parametrize(("names", "expected"), RECORD_MISTAKES.values(), ids=RECORD_MISTAKES.keys())
def test_records_that_cannot_be_found(
    folder: Path, load: Callable[[], Configuration], names: tuple[str, str, str], expected: str
) -> None:
    text = DIRECTORY.replace("    connection: Directory\n", RECORDS.format(*names))
    (folder / "directory.yaml").write_text(text)
    assert mistakes(load()) == [expected]


def test_the_name_of_the_record_is_taken(folder: Path, load: Callable[[], Configuration]) -> None:
    text = DIRECTORY.replace("    connection: Directory\n", RECORDS.format("cards", "start", "end"))
    (folder / "directory.yaml").write_text(text)
    hr = folder / "hr.yaml"
    hr.write_text(
        hr.read_text().replace("- identifier: last_name", "- identifier: record_start\n      - identifier: last_name")
    )
    expected = (
        "resource_types[0].records: HR_Person has a 'record_start' of its own, "
        "which expressions could not tell from the record"
    )
    assert mistakes(load()) == [expected]


def test_records_of_a_broken_connector_break_what_builds_on_them(
    folder: Path, load: Callable[[], Configuration]
) -> None:
    text = DIRECTORY.replace("    connection: Directory\n", RECORDS.format("cards", "start", "end"))
    (folder / "directory.yaml").write_text(text)
    (folder / "cards.yaml").write_text(CARDS.replace("- {identifier: colour}", "- {identifier: colour, tipe: string}"))
    expected = "resource_types[0].records.navigation: navigation 'cards' belongs to connector 'Cards', which is broken"
    assert any(line.startswith(expected) for line in mistakes(load()))
