"""Computed properties: on the rows and links as they are after the run, in one version with their cause."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.model.configuration import Association, EntityType, Property
from include.snapshot.errors import SnapshotError
from include.snapshot.show import list_rejects
from include.storage.engine import engine, literal
from tests.unit.snapshot.world import MANAGER, ORGANIZATION, WORKS_IN, World, connector, end

COLUMNS = ("employee_id", "name", "mail", "age", "org", "manager")


def person(*properties: Property) -> EntityType:
    return EntityType(
        identifier="Person",
        connection_table="people",
        properties=(
            Property(identifier="id", column="employee_id", primary_key=True),
            Property(identifier="name", max_length=20),
            Property(identifier="mail", unique_key=True),
            Property(identifier="age", type="int32"),
            *properties,
        ),
    )


def computed(identifier: str, expression: str, kind: Any = "string") -> Property:
    return Property(identifier=identifier, expression=expression, type=kind)


ORG = ORGANIZATION.model_copy(
    update={"properties": (*ORGANIZATION.properties, computed("sign", "code || ': ' || label"))}
)
# The navigations of the world are named for the column of their own end.
NAVIGATED = (
    WORKS_IN.model_copy(update={"end1": WORKS_IN.end1.model_copy(update={"navigation": "organization"})}),
    MANAGER.model_copy(update={"end1": MANAGER.end1.model_copy(update={"navigation": "manager"})}),
)
PERSON = person(
    computed("greeting", "full_label || '!'"),
    computed("full_label", "upper(name) || coalesce(' of ' || organization.sign, '')"),
    computed("boss_mail", "manager.mail"),
)


def world_at(path: Path, used: EntityType = PERSON, org: EntityType = ORG) -> World:
    return World.at(path / "run", connector(used, org, associations=NAVIGATED))


def export(
    world: World, people: Sequence[Sequence[str | None]], *, orgs: Any = (("S", "Sales"),), **options: bool
) -> World:
    columns = ("command", *COLUMNS) if options.get("command") else COLUMNS
    world.export("people", columns, people, **options)
    return world.export("organizations", ("code", "label"), orgs)


def news(world: World, entity_type: str, *properties: str) -> dict[str, tuple[Any, ...]]:
    """The command, changed columns, and new values of each changed key."""
    shown = "".join(f", new.{item}" for item in properties)
    with engine(world.folder) as duck:
        relation = literal(world.folder.file(f"changes/{entity_type}.parquet"))
        rows = duck.execute(f"SELECT key, command, changed_columns{shown} FROM read_parquet({relation})").fetchall()
    return {key: rest for key, *rest in ((row[0], *row[1:]) for row in rows) for rest in [tuple(rest)]}


def settle(world: World) -> World:
    """Store what the run would load, as the repository would."""

    def files(identifier: str) -> list[str]:
        paths = (world.folder.file(f"{part}/{identifier}.parquet") for part in ("base", "changes"))
        return [f"read_parquet({literal(path)})" for path in paths]

    for item in world.connector.entity_types:
        columns, (base, changes) = [one.identifier for one in item.properties], files(item.identifier)
        values = ", ".join(f"new.{column} AS {column}" for column in columns)
        with engine(world.folder) as duck:
            rows = duck.execute(f"""
                SELECT {", ".join(columns)} FROM {base}
                WHERE {item.primary_key.identifier} NOT IN (SELECT key FROM {changes})
                UNION ALL SELECT {values} FROM {changes} WHERE command <> 'delete' ORDER BY 1
            """).fetchall()
        world.store(item, *rows)
    for link in world.connector.associations:
        base, changes = files(link.identifier)
        with engine(world.folder) as duck:
            pairs = duck.execute(f"""
                (SELECT key1, key2 FROM {base} EXCEPT SELECT key1, key2 FROM {changes} WHERE command = 'delete')
                UNION ALL SELECT key1, key2 FROM {changes} WHERE command = 'insert'
            """).fetchall()
        world.store_links(link, *pairs)
    return world


PEOPLE = [("1", "Ann", "a@x", "30", "S", None), ("2", "Bob", "b@x", "40", "S", "1")]


def test_a_new_row_arrives_with_its_computed_values_over_the_links_of_the_same_run(tmp_path: Path) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    world.compare()
    assert news(world, "Person", "greeting", "full_label", "boss_mail") == {
        "1": ("insert", [], "ANN of S: Sales!", "ANN of S: Sales", None),
        "2": ("insert", [], "BOB of S: Sales!", "BOB of S: Sales", "a@x"),
    }


def test_a_second_run_without_a_change_computes_no_change(tmp_path: Path) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    assert world.compare().changed
    again = settle(world).compare()
    assert not again.changed
    assert again.entity_types["Person"] == {
        "stored": 2,
        "inserted": 0,
        "updated": 0,
        "deleted": 0,
        "withheld": 0,
        "protected": 0,
        "missing": 0,
        "complete": True,
        "not_computed": 0,
    }


def test_cause_and_value_change_in_one_version_and_reach_every_row_that_reads_them(tmp_path: Path) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    world.compare()
    export(settle(world), [("1", "Ann", "new@x", "30", "S", None), PEOPLE[1]], orgs=[("S", "Sale")]).compare()
    assert news(world, "Person", "boss_mail") == {
        "1": ("update", ["mail", "greeting", "full_label"], None),
        "2": ("update", ["greeting", "full_label", "boss_mail"], "new@x"),
    }
    assert news(world, "Organization", "sign") == {"S": ("update", ["label", "sign"], "S: Sale")}


def test_a_link_that_moves_or_ends_moves_the_value(tmp_path: Path) -> None:
    people = [*PEOPLE, ("3", "Cy", "c@x", "50", None, "1")]
    world = export(world_at(tmp_path), people)
    world.compare()
    export(
        settle(world), [people[0], ("2", "Bob", "b@x", "40", "S", "3"), ("3", "Cy", "c@x", "50", None, None)]
    ).compare()
    assert news(world, "Person", "boss_mail") == {
        "2": ("update", ["boss_mail"], "c@x"),
        "3": ("update", ["boss_mail"], None),
    }


def test_a_manager_who_is_deleted_takes_the_value_with_him(tmp_path: Path) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    world.compare()
    export(settle(world), PEOPLE[1:]).compare()
    assert news(world, "Person", "boss_mail") == {
        "1": ("delete", [], None),
        "2": ("update", ["boss_mail"], None),
    }


def test_a_row_that_was_set_aside_keeps_its_own_values_and_learns_the_computed_ones(tmp_path: Path) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    world.compare()
    bad = ("2", "Bob", "b@x", "forty", "S", "1")
    counts = export(settle(world), [("1", "Ann", "new@x", "30", "S", None), bad]).compare().entity_types["Person"]
    assert news(world, "Person", "boss_mail", "age") == {
        "1": ("update", ["mail"], None, 30),
        "2": ("update", ["boss_mail"], "new@x", 40),
    }
    assert (counts["updated"], counts["protected"], counts["withheld"]) == (2, 1, 0)


def test_rows_that_an_incomplete_export_lacks_learn_the_computed_values_and_are_counted_as_withheld(
    tmp_path: Path,
) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    world.compare()
    changes = export(settle(world), [("1", "Ann", "new@x", "30", "S", None)], complete=False).compare()
    counts = changes.entity_types["Person"]
    assert news(world, "Person", "boss_mail")["2"] == ("update", ["boss_mail"], "new@x")
    assert (counts["deleted"], counts["withheld"], counts["protected"]) == (0, 1, 0)


def test_a_table_of_changes_is_computed_on_its_resolved_state(tmp_path: Path) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    world.compare()
    export(settle(world), [("merge", "1", "", "new@x", "", "", "")], command=True).compare()
    assert news(world, "Person", "boss_mail", "full_label") == {
        "1": ("update", ["mail"], None, "ANN of S: Sales"),
        "2": ("update", ["boss_mail"], "new@x", "BOB of S: Sales"),
    }


def test_a_deletion_that_a_broken_table_of_changes_may_not_do_keeps_row_links_and_values(tmp_path: Path) -> None:
    world = export(world_at(tmp_path), PEOPLE)
    world.compare()
    changes = export(
        settle(world),
        [("delete", "1", "", "", "", "", ""), ("update", "2", "Rob", "b@x", "40", "S", "1")],
        command=True,
        complete=False,
    ).compare()
    assert news(world, "Person", "boss_mail") == {"2": ("update", ["name", "greeting", "full_label"], "a@x")}
    assert changes.entity_types["Person"]["withheld"] == 1
    assert changes.associations["Manager"]["deleted"] == changes.associations["WorksIn"]["deleted"] == 0


def test_a_changed_expression_shows_as_updates_at_the_next_run(tmp_path: Path) -> None:
    world = export(world_at(tmp_path, person(computed("label", "upper(name)"))), PEOPLE)
    world.compare()
    settle(world).connector = connector(person(computed("label", "lower(name)")), ORG, associations=NAVIGATED)
    assert world.compare().entity_types["Person"]["updated"] == 2


def test_an_expression_that_fails_for_one_row_leaves_that_value_empty_and_names_it(tmp_path: Path) -> None:
    used = person(
        computed("born", "2024 - age", "int16"),
        computed("number", "CAST(name AS INTEGER)", "int32"),
        computed("next_number", "number + 1", "int32"),
        computed("nothing", "CAST('x' AS INTEGER)", "int32"),
        computed("tall", "age * 1000000000000", "byte"),
    )
    people = [("1", "17", None, "30", None, None), ("2", "Bob", None, None, None, None)]
    world = export(world_at(tmp_path, used), people)
    changes = world.compare()
    assert news(world, "Person", "born", "number", "next_number", "nothing", "tall") == {
        "1": ("insert", [], 1994, 17, 18, None, None),
        "2": ("insert", [], None, None, None, None, None),
    }
    assert changes.entity_types["Person"]["not_computed"] == 4
    shown = [
        (item.table, item.key, item.column, item.reason) for item in list_rejects(world.folder, 10, {"Person": "id"})
    ]
    assert shown == [
        ("Person", "1", "nothing", "expression_failed"),
        ("Person", "1", "tall", "expression_failed"),
        ("Person", "2", "nothing", "expression_failed"),
        ("Person", "2", "number", "expression_failed"),
    ]
    settle(world).connector = connector(person(), ORG, associations=NAVIGATED)
    world.compare()
    assert not world.folder.exists("changes/Person.rejects.csv")


@pytest.mark.parametrize(
    ("kind", "expression", "value"),
    [
        ("string", "age", "30"),
        ("datetime", "DATE '2024-01-31' + age", "2024-03-01 00:00:00"),
        ("double", "age", "30.0"),
        ("bool", "age > 18", "true"),
        ("bytes", "encode(name)", "Ann"),
        ("int64", "age::TINYINT", "30"),
    ],
)
def test_a_value_has_the_type_of_its_property(tmp_path: Path, kind: str, expression: str, value: str) -> None:
    world = export(world_at(tmp_path, person(computed("found", expression, kind))), PEOPLE[:1])
    world.compare()
    assert news(world, "Person", "found::VARCHAR")["1"] == ("insert", [], value)
    assert not settle(world).compare().changed


class TestOtherConnectors:
    """Their rows and links are read as they are stored."""

    BADGE = EntityType(
        identifier="Badge",
        connection_table="badges",
        properties=(Property(identifier="number", primary_key=True), computed("shown", "'no. ' || number")),
    )
    HOLDS = Association(
        identifier="Holds",
        connection_table="badges",
        end1=end("Person", "holder").model_copy(update={"navigation": "badge"}),
        end2=end("Badge", "number"),
    )

    def world(self, path: Path) -> World:
        other = connector(self.BADGE, associations=[self.HOLDS], identifier="Badges")
        world = World.at(path / "run", connector(person(computed("badge_shown", "badge.shown"))), other)
        return world.store(self.BADGE, ("77", "no. 77 as stored")).store_links(self.HOLDS, ("1", "77"))

    def test_a_link_of_another_connector_is_followed_to_what_is_stored(self, tmp_path: Path) -> None:
        world = self.world(tmp_path).export("people", COLUMNS[:4], [PEOPLE[0][:4]])
        world.compare()
        assert news(world, "Person", "badge_shown") == {"1": ("insert", [], "no. 77 as stored")}

    def test_a_link_of_another_connector_ends_with_the_resource_that_this_run_deletes(self, tmp_path: Path) -> None:
        holders = self.HOLDS.model_copy(
            update={"end2": end("Badge", "number").model_copy(update={"navigation": "holder"})}
        )
        used = person(computed("badge_holder", "badge.holder.name"))
        other = connector(self.BADGE, associations=[holders], identifier="Badges")
        world = World.at(tmp_path / "run", connector(used), other).store(self.BADGE, ("77", None))
        world.store_links(holders, ("1", "77"), ("2", "77"))
        world.store(used, ("1", "Ann", "a@x", 30, None), ("2", "Bob", "b@x", 40, None))
        world.export("people", COLUMNS[:4], [PEOPLE[0][:4]]).compare()
        assert news(world, "Person", "badge_holder") == {
            "1": ("update", ["badge_holder"], "Ann"),
            "2": ("delete", [], None),
        }

    def test_a_row_of_another_connector_is_read_as_it_is_stored(self, tmp_path: Path) -> None:
        holders = self.HOLDS.model_copy(
            update={"end2": end("Badge", "number").model_copy(update={"navigation": "holder"})}
        )
        badge = self.BADGE.model_copy(update={"properties": (*self.BADGE.properties, computed("of", "holder.name"))})
        badges = connector(badge, associations=[holders], identifier="Badges")
        world = World.at(tmp_path / "run", badges, connector(person())).store(person(), ("1", "Ann", None, None))
        world.export("badges", ("number", "holder"), [("77", "1")]).compare()
        assert news(world, "Badge", "of", "shown") == {"77": ("insert", [], "Ann", "no. 77")}

    def test_what_was_not_exported_into_the_run_is_told(self, tmp_path: Path) -> None:
        world = self.world(tmp_path).export("people", COLUMNS[:4], [PEOPLE[0][:4]])
        world.folder.child("base").remove("Holds.parquet")
        with pytest.raises(SnapshotError, match="base/Holds.parquet is missing"):
            world.compare()


def test_the_computing_engine_reaches_only_the_files_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    leak = f"(SELECT content FROM read_text('{tmp_path}/secret.txt'))"
    monkeypatch.setattr("include.snapshot.computed.compile_expressions", lambda *_: [leak])
    world = export(world_at(tmp_path, person(computed("leak", "name")), ORGANIZATION), PEOPLE[:1])
    with pytest.raises(Exception, match="[Pp]ermission"):
        world.compare()


ROWS = st.dictionaries(
    st.sampled_from("123"),
    st.tuples(st.sampled_from(["Ann", "Bob", ""]), st.sampled_from(["", "1", "2", "3"])),
    min_size=1,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=ROWS, second=ROWS, complete=st.booleans())
def test_whatever_came_before_the_same_run_twice_changes_nothing_the_second_time(
    tmp_path_factory: pytest.TempPathFactory, first: Any, second: Any, complete: bool
) -> None:
    used = person(computed("label", "manager.name || '/' || name"), computed("twice", "label || manager.manager.id"))
    world = world_at(tmp_path_factory.mktemp("law"), used)
    for rows in (first, second):
        people = [(key, name, None, "1", "S", manager) for key, (name, manager) in sorted(rows.items())]
        export(world, people, complete=complete).compare()
        settle(world)
    changes = world.compare()
    for counters in (*changes.entity_types.values(), *changes.associations.values()):
        assert not any(counters.get(change) for change in ("inserted", "updated", "deleted"))
