"""The demo's connector files: valid, true to the systems they describe, and agreeing with the expected figures."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import yaml

import include.demo
from include.demo.accounts import account, existing_accounts
from include.demo.badge import cards
from include.demo.facts import CrmFigures, DayFacts, day_facts
from include.demo.hr import ORGANISATION_COLUMNS, PEOPLE_COLUMNS
from include.demo.organisation import badge_database, hr_folder, write_day
from include.demo.people import Person
from include.demo.story import Day, story
from include.demo.words import GROUPS
from include.model.configuration import Connector, ResourceThresholds
from include.model.resource_type import ResourceType

FOLDER = Path(include.demo.__file__).with_name("configuration")
FILES = ("badge", "crm", "directory", "hr")
CARD_COLUMNS = ("card_number", "employee_no", "issued_at", "state", "zone", "note")


def connector(file: str) -> Connector:
    return Connector.model_validate(yaml.safe_load((FOLDER / f"{file}.yaml").read_text()))


def resource_type() -> ResourceType:
    (found,) = connector("crm").resource_types
    return found


def columns(item: Connector, table: str) -> set[str]:
    """Columns that a connector reads of one table."""
    read = {
        one.source_column
        for entity in item.entity_types
        for one in entity.mapped_properties
        if entity.connection_table == table
    }
    ends = {
        end.column for link in item.associations for end in (link.end1, link.end2) if link.connection_table == table
    }
    return read | ends


def test_the_folder_holds_the_four_connectors() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == list(FILES)
    assert [connector(file).identifier for file in FILES] == ["Badge", "CRM", "Directory", "HR"]


@pytest.mark.parametrize("file", FILES)
def test_every_table_belongs_to_a_connection_of_its_connector(file: str) -> None:
    item = connector(file)
    for table in [*item.entity_types, *item.associations]:
        connection = item.connection(table.connection_table.partition("_")[0])
        assert bool(connection.connection_id) != item.is_inbound


def test_every_association_joins_keys_of_declared_entity_types() -> None:
    entities = {entity.identifier: entity for file in FILES for entity in connector(file).entity_types}
    for link in [link for file in FILES for link in connector(file).associations]:
        for end in (link.end1, link.end2):
            assert entities[end.entity_type].primary_key


def test_the_mapped_columns_are_those_of_the_files_and_the_database(tmp_path: Path) -> None:
    write_day(tmp_path, 1)
    hr = connector("hr")
    for table, expected in (("HRPeople", PEOPLE_COLUMNS), ("HROrganisations", ORGANISATION_COLUMNS)):
        settings = hr.connection(table).settings
        file = hr_folder(tmp_path) / settings["path"]
        header = file.read_text(encoding=settings["encoding"]).splitlines()[0]
        assert tuple(header.split(settings["separator"])) == expected
        assert columns(hr, table) == set(expected)
    badge = connector("badge")
    query = badge.connection("Badge").settings["query"]
    with duckdb.connect() as database:
        names = [f"{name} VARCHAR" for name in CARD_COLUMNS]
        database.execute(f"CREATE TABLE card ({', '.join(names)})")
        assert [column[0] for column in database.execute(query).description or ()] == list(CARD_COLUMNS)
    assert columns(badge, "Badge") == set(CARD_COLUMNS)
    assert badge_database(tmp_path).exists()


def test_values_that_are_allowed_are_those_that_occur() -> None:
    status = connector("hr").entity_types[0].find("status")
    state = connector("badge").entity_types[0].find("state")
    assert status
    assert state
    assert set(status.allowed_values or ()) == {person.status for person in story().second.values()}
    assert set(state.allowed_values or ()) == {card.state for card in cards(2).values()}


def test_every_group_has_one_rule() -> None:
    rules = resource_type().navigation_rules
    assert sorted(rule.target_value for rule in rules) == sorted(GROUPS.values())


@pytest.mark.parametrize("day", [1, 2])
def test_the_rules_give_the_accounts_that_the_figures_are_counted_from(day: Day) -> None:
    people = story().people(day)
    rules = resource_type()
    values = {rule.property: rule.expression for rule in rules.scalar_rules}
    member = " ".join(f"WHEN {rule.condition} THEN '{rule.target_value}'" for rule in rules.navigation_rules)
    expressions = [*values.values(), f"CASE {member} END", rules.type_rule.condition]
    with duckdb.connect() as database:
        relation = load(database, list(people.values()))
        rows = database.execute(f"SELECT employee_id, {', '.join(expressions)} FROM {relation}").fetchall()
    assert len(rows) == len(people)
    for key, *found, group, entitled in rows:
        expected = account(people[key])
        assert entitled is True
        assert group == expected.group
        assert dict(zip(values, found, strict=True)) == {
            "external_id": key,
            "user_name": expected.user_name,
            "family_name": expected.family_name,
            "given_name": expected.given_name,
            "display_name": expected.display_name,
            "title": expected.title,
            "mail": expected.mail,
            "active": expected.active,
        }


def load(database: duckdb.DuckDBPyConnection, people: list[Person]) -> str:
    """The people as a relation; ``organization`` is a struct, so that paths over that link read as they stand."""
    database.execute(
        "CREATE TABLE person (employee_id VARCHAR, last_name VARCHAR, first_name VARCHAR, mail VARCHAR,"
        " title VARCHAR, org_code VARCHAR, status VARCHAR)"
    )
    database.executemany(
        "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)",
        [[p.employee_id, p.last_name, p.first_name, p.mail, p.title, p.org_code, p.status] for p in people],
    )
    return "(SELECT *, {'code': org_code} AS organization FROM person)"


def exceeds(changed: int, stored: int, maximum: int, percent: float) -> bool:
    """Whether a limit is exceeded (engine.md 2.6): strictly more; 0 is no limit."""
    return bool((maximum and changed > maximum) or (percent and changed * 100 > percent * stored))


def hr_is_blocked(days: list[DayFacts]) -> bool:
    """Whether the last of the days exceeds a limit over what the days before it stored."""
    *before, day = days
    limits = connector("hr").thresholds
    stored = before[-1].stored_people + before[-1].organisation_rows
    links = sum(one.inserted - one.deleted for past in before for one in (past.organisation_links, past.manager_links))
    inserted = day.people.inserted + day.organisations.inserted
    updated = day.people.updated + day.organisations.updated
    deleted = day.people.deleted + day.organisations.deleted
    added = day.organisation_links.inserted + day.manager_links.inserted
    removed = day.organisation_links.deleted + day.manager_links.deleted
    return any(
        (
            exceeds(inserted, stored, limits.maximum_inserted_lines, limits.max_percentage_inserted_lines),
            exceeds(updated, stored, limits.maximum_updated_lines, limits.max_percentage_updated_lines),
            exceeds(deleted, stored, limits.maximum_deleted_lines, limits.max_percentage_deleted_lines),
            exceeds(added, links, limits.maximum_link_inserted_lines, limits.max_link_percentage_inserted_lines),
            exceeds(removed, links, limits.maximum_link_deleted_lines, limits.max_link_percentage_deleted_lines),
        )
    )


def test_the_second_day_passes_the_limits_of_hr_and_the_third_does_not() -> None:
    assert connector("hr").thresholds == connector("badge").thresholds == type(connector("hr").thresholds)()
    assert hr_is_blocked([day_facts(1), day_facts(2)]) is day_facts(2).blocked is False
    assert hr_is_blocked([day_facts(1), day_facts(2), day_facts(3)]) is day_facts(3).blocked is True


def test_the_second_day_passes_the_limits_of_the_badge_system() -> None:
    limits, before, day = connector("badge").thresholds, day_facts(1), day_facts(2)
    for changed in (day.cards.inserted, day.cards.updated, day.cards.deleted):
        assert 0 < changed <= limits.max_percentage_inserted_lines / 100 * before.stored_cards


def test_the_orders_of_both_days_pass_the_limits_of_the_resource_type() -> None:
    limits = resource_type().thresholds
    owned = {1: len(existing_accounts()), 2: day_facts(1).stored_people}
    for day in (1, 2):
        orders = day_facts(day).orders  # type: ignore[arg-type]
        assert not exceeds(orders.created, owned[day], limits.maximum_insert, limits.maximum_insert_percent)
        assert not exceeds(orders.changed, owned[day], limits.maximum_update, limits.maximum_update_percent)
        assert not exceeds(orders.deleted, owned[day], limits.maximum_delete, limits.maximum_delete_percent)


def test_what_was_provisioned_comes_back_under_the_limits_of_the_crm() -> None:
    limits = connector("crm").thresholds
    before = CrmFigures(users=43, active_users=41, groups=6, members=22)
    for day in (day_facts(1), day_facts(2)):
        stored = before.users + before.groups
        orders = day.orders
        created, percent = limits.maximum_inserted_lines, limits.max_percentage_inserted_lines
        assert not exceeds(orders.created, stored, created, percent)
        assert not exceeds(orders.changed, stored, limits.maximum_updated_lines, limits.max_percentage_updated_lines)
        assert not exceeds(orders.deleted, stored, limits.maximum_deleted_lines, limits.max_percentage_deleted_lines)
        links, percent = limits.maximum_link_inserted_lines, limits.max_link_percentage_inserted_lines
        assert not exceeds(orders.membership_adds, before.members, links, percent)
        gone = before.members + orders.membership_adds - day.crm.members
        links, percent = limits.maximum_link_deleted_lines, limits.max_link_percentage_deleted_lines
        assert not exceeds(gone, before.members, links, percent)
        before = day.crm


def test_the_expectation_that_is_said_to_fail_does_on_every_day() -> None:
    (expectation,) = [item for item in connector("hr").entity_types[0].expectations if "mostly" in item.arguments]
    assert expectation.severity == "warning"
    for day, people in ((1, story().first), (2, story().second)):
        filled = sum(person.title is not None for person in people.values())
        assert filled / len(people) < expectation.arguments["mostly"], day


def test_entity_types_have_no_limits_of_their_own() -> None:
    for file in FILES:
        for entity in connector(file).entity_types:
            assert entity.thresholds == ResourceThresholds()
