"""The tables follow the configuration, and nothing that was stored is ever taken away."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
import sqlalchemy as sa

from include.model.configuration import EntityType, Property
from include.repository.errors import RepositoryError, SchemaMismatch
from include.repository.ledger import MIGRATION
from include.repository.repository import Repository
from tests.integration.repository.organisation import (
    GROUP,
    MANAGER,
    MEMBER,
    ORGANISATION,
    PERSON,
    Store,
    configuration,
    group,
)


def with_properties(entity: EntityType, *properties: Property) -> EntityType:
    return entity.model_copy(update={"properties": properties})


def test_first_migration_says_what_it_made(repository_url: str) -> None:
    lines = Repository(repository_url, ORGANISATION).migrate()
    made = {line for line in lines if line.startswith("create table")}
    assert {"create table HR_Person", "create table Group", "create table Group_Member"} <= made
    assert {"create table assigned_resource_type", "create table rollcall_audit"} <= made


def test_second_migration_does_nothing_and_does_not_even_compare(
    repository_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Repository(repository_url, ORGANISATION).migrate()
    monkeypatch.setattr("include.repository.migration._apply", lambda *_: pytest.fail("compared again"))
    assert Repository(repository_url).migrate(ORGANISATION) == []


def test_comparing_again_finds_nothing(repository: Repository) -> None:
    with repository._database.write() as session:
        session.run(sa.update(MIGRATION).values(schema_sha256="forgotten"))
    assert repository.migrate() == []


def test_new_properties_and_entity_types_are_added(store: Store) -> None:
    store.load(groups={"7": group(7, order="staff")})
    wider = with_properties(GROUP, *GROUP.properties, Property(identifier="size", type="double"))
    card = EntityType(
        identifier="Badge_Card", connection_table="cards", properties=(Property(identifier="id", primary_key=True),)
    )
    lines = store.repository.migrate(configuration(PERSON, wider, card, associations=(MANAGER, MEMBER)))
    assert lines[0] == "create table Badge_Card"
    assert any(line.startswith("add column Group.size (") for line in lines)
    assert [row["size"] for row in store.repository.as_of(wider, store.load().loaded_at)] == []
    [version] = store.repository.history(wider, "7")
    assert version["values"] == group(7, order="staff") | {"size": None}


def test_property_that_left_keeps_its_column_and_values(store: Store) -> None:
    store.load(groups={"7": group(7, order="staff")})
    number, _, select = GROUP.properties
    assert store.repository.migrate(configuration(PERSON, with_properties(GROUP, number, select))) == []
    assert store.repository.migrate(ORGANISATION) == []
    assert store.repository.history(GROUP, "7")[0]["values"]["order"] == "staff"


def test_changed_type_is_refused_with_what_to_do(repository: Repository) -> None:
    number, order, select = GROUP.properties
    changed = with_properties(GROUP, number, order.model_copy(update={"type": "int32"}), select)
    more = EntityType(
        identifier="More", connection_table="m", properties=(Property(identifier="id", primary_key=True),)
    )
    message = r"Group\.order: stored as TEXT, the configuration now needs INTEGER.*give the property a new identifier"
    with pytest.raises(SchemaMismatch, match=message):
        repository.migrate(configuration(PERSON, changed, more, associations=(MANAGER, MEMBER)))
    with pytest.raises(RepositoryError, match="a table is missing"):
        repository.history("More", "1")


def test_changed_primary_key_is_refused(repository: Repository) -> None:
    number, order, select = GROUP.properties
    changed = with_properties(
        GROUP,
        number.model_copy(update={"primary_key": False}),
        order.model_copy(update={"primary_key": True}),
        select,
    )
    with pytest.raises(SchemaMismatch, match="Group: the primary key of a stored entity type cannot change to order"):
        repository.migrate(configuration(PERSON, changed))


@pytest.mark.parametrize(
    ("entity_types", "message"),
    [
        ((PERSON, PERSON.model_copy(update={"identifier": "hr_person"})), "HR_Person and hr_person are one name"),
        ((with_properties(GROUP, *GROUP.properties, Property(identifier="ORDER")),), "order and ORDER are one name"),
        ((with_properties(GROUP, *GROUP.properties, Property(identifier="Valid_To")),), "Group.Valid_To: the repo"),
        ((with_properties(GROUP, *GROUP.properties, Property(identifier="xmin")),), "Group.xmin: the repository"),
        ((GROUP.model_copy(update={"identifier": "Rollcall_run"}),), "Rollcall_run begins with a reserved prefix"),
    ],
)
def test_names_that_cannot_be_stored_are_refused(
    repository_url: str, entity_types: tuple[EntityType, ...], message: str
) -> None:
    with pytest.raises(SchemaMismatch, match=message):
        Repository(repository_url).migrate(configuration(*entity_types))


def test_names_that_differ_from_stored_ones_only_in_case_are_refused(repository: Repository) -> None:
    number, order, select = GROUP.properties
    renamed = with_properties(GROUP, number, order.model_copy(update={"identifier": "Order"}), select)
    with pytest.raises(SchemaMismatch, match=r"Group\.Order: stored as Group\.order"):
        repository.migrate(configuration(PERSON, renamed))
    with pytest.raises(SchemaMismatch, match="GROUP: stored as Group"):
        repository.migrate(configuration(PERSON, GROUP.model_copy(update={"identifier": "GROUP"})))


def _migrate(url: str, barrier: Any, results: Any) -> None:
    repository = Repository(url, ORGANISATION)
    barrier.wait(60)
    results.put(repository.migrate())


def test_two_processes_may_migrate_at_once(repository_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_migrate, args=(repository_url, barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    lines = sorted((results.get(timeout=120) for _ in processes), key=len)
    for process in processes:
        process.join(60)
    assert lines[0] == []
    assert "create table HR_Person" in lines[1]


def test_repository_without_tables_says_what_to_do(repository_url: str) -> None:
    with pytest.raises(RepositoryError, match=r"a table is missing .* migrate the repository first"):
        Repository(repository_url).last_load("HR")
