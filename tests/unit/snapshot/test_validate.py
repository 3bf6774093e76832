from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from include.model.configuration import Expectation, Property
from include.snapshot.errors import SnapshotError
from include.snapshot.expectation_names import BOUNDS, EXPECTATIONS, ROWS, UNAVAILABLE, expectation_mistakes
from include.snapshot.expectations import Check
from include.snapshot.validate import validate
from include.storage.folder import Folder
from tests.unit.snapshot.world import PERSON, WORKS_IN, World, connector, end

COLUMNS = ("employee_id", "name", "mail", "age", "org", "manager")
ROWS_OF_PEOPLE = [("1", "Ann", "a@x", "30", None, None), ("2", "Bob", "b@x", "40", "1", None)]


def expect(kind: str, severity: str = "warning", **arguments: Any) -> Expectation:
    return Expectation(expectation=kind, arguments=arguments, severity=severity)  # type: ignore[arg-type]


def people(tmp_path: Path, *expectations: Expectation, **name: Any) -> World:
    fields = [item.model_copy(update=name) if item.identifier == "name" else item for item in PERSON.properties]
    person = PERSON.model_copy(update={"expectations": expectations, "properties": tuple(fields)})
    manager = WORKS_IN.model_copy(update={"end2": end("Person", "org", collection=True)})
    world = World.at(tmp_path / "run", connector(person, associations=(manager,)))
    world.export("people", COLUMNS, ROWS_OF_PEOPLE).prepare()
    return world


def test_clean_tables_pass_and_the_results_are_kept(tmp_path: Path) -> None:
    world = people(tmp_path, allowed_values=("Ann", "Bob"))
    validation = validate(world.connector, world.folder)
    assert (validation.success, validation.critical, validation.warnings) == (True, (), ())
    results = world.folder.read_json("validation/results.json")
    assert results["success"]
    assert validation.checked == len(results["results"]) == 6
    assert {(item["table"], item["expectation"], item["column"], item["severity"]) for item in results["results"]} == {
        ("Person", "expect_column_values_to_not_be_null", "id", "critical"),
        ("Person", "expect_column_values_to_be_unique", "id", "critical"),
        ("Person", "expect_column_values_to_be_in_set", "name", "warning"),
        ("Person", "expect_column_values_to_be_unique", "mail", "warning"),
        ("Person__rejects", "unexpected_rows_expectation", None, "warning"),
        ("WorksIn__rejects", "unexpected_rows_expectation", None, "warning"),
    }
    assert world.folder.child("validation/data_docs").names() == [
        "Person.html",
        "Person__rejects.html",
        "WorksIn__rejects.html",
        "index.html",
    ]
    assert "Ann" in world.folder.read_text("validation/data_docs/Person.html")


def test_severity_decides_whether_a_failure_stops_the_run(tmp_path: Path) -> None:
    older = {"column": "age", "min_value": 35}
    world = people(
        tmp_path,
        expect("expect_column_values_to_be_between", "critical", **older),
        expect("expect_table_row_count_to_be_between", min_value=10),
        expect("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE name LIKE 'A%'"),
        allowed_values=("Ann",),
    )
    validation = validate(world.connector, world.folder)
    assert not validation.success
    assert validation.critical == ("Person: expect_column_values_to_be_between of age failed: 1 unexpected",)
    assert set(validation.warnings) == {
        "Person: expect_column_values_to_be_in_set of name failed: 1 unexpected",
        "Person: expect_table_row_count_to_be_between failed: found 2",
        "Person: unexpected_rows_expectation failed: 1 unexpected",
    }


def test_lines_that_were_set_aside_are_warned_of(tmp_path: Path) -> None:
    world = people(tmp_path)
    rows = [*ROWS_OF_PEOPLE, ("3", "Cy", "c@x", "old", None, None), ("4", "Di", "d@x", "1", "nobody", None)]
    world.export("people", COLUMNS, rows).prepare()
    validation = validate(world.connector, world.folder)
    assert validation.success
    assert set(validation.warnings) == {
        "Person__rejects: unexpected_rows_expectation failed: 1 unexpected",
        "WorksIn__rejects: unexpected_rows_expectation failed: 1 unexpected",
    }


def test_a_check_that_cannot_be_carried_out_is_neither_passed_nor_failed_and_stops_the_run(tmp_path: Path) -> None:
    world = people(
        tmp_path,
        expect("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE nope > 1"),
        expect("expect_column_values_to_match_regex", column="mail", regex="@"),
        expect("expect_column_values_to_be_between", column="age", min_value=50, max_value=1),
        expect("expect_column_values_to_be_nul", column="age"),
    )
    validation = validate(world.connector, world.folder)
    assert not validation.success
    assert {line.split(" could not be checked: ")[0] for line in validation.critical} == {
        "Person: expect_column_values_to_match_regex of mail",
        "Person: expect_column_values_to_be_nul of age",
        "Person: expect_column_values_to_be_between of age",
        "Person: unexpected_rows_expectation",
    }
    assert all("\n" not in line for line in validation.critical)
    assert "did you mean 'expect_column_values_to_be_null'?" in validation.critical[1]
    results = world.folder.read_json("validation/results.json")["results"]
    assert [item["success"] for item in results if item["error"]] == [None] * 4
    pages = "".join(world.folder.read_text(f"validation/data_docs/{page}.html") for page in ("Person", "index"))
    assert "Traceback" not in pages
    assert "site-packages" not in pages


def test_it_is_quiet_and_quick(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    world = people(tmp_path)
    with caplog.at_level(logging.DEBUG, logger="great_expectations"):
        validate(world.connector, world.folder)
        started = time.monotonic()
        validate(world.connector, world.folder)
    assert time.monotonic() - started < 20
    assert [record for record in caplog.records if record.name.startswith("great_expectations")] == []
    assert capfd.readouterr() == ("", "")


def test_storage_may_be_anywhere(tmp_path: Path) -> None:
    local = people(tmp_path, allowed_values=("Ann",))
    remote = Folder(f"memory://validation{tmp_path.as_posix()}")
    for file in local.folder.names("clean/*"):
        with local.folder.open(file) as source, remote.write(file) as target:
            target.write(source.read())
    assert validate(local.connector, remote) == validate(local.connector, local.folder)
    assert remote.exists("validation/data_docs/index.html")


def test_an_unprepared_run_is_one_clear_line(tmp_path: Path) -> None:
    world = World.at(tmp_path / "run", connector(PERSON))
    with pytest.raises(SnapshotError, match="prepare the run before validating it"):
        validate(world.connector, world.folder)


@pytest.mark.parametrize(
    ("expectation", "field", "message"),
    [
        (
            expect("expect_column_values_to_be_uniqe"),
            "expectation",
            "did you mean 'expect_column_values_to_be_unique'?",
        ),
        (expect("expect_column_values_to_match_regex"), "expectation", "not available on DuckDB; use unexpected_rows"),
        (expect("expect_column_values_to_be_in_set", column="age"), "arguments", "needs the argument 'value_set'"),
        (
            expect("expect_column_values_to_be_between", column="age", minimum=1),
            "arguments.minimum",
            "has no argument 'minimum'",
        ),
        (
            expect("expect_column_values_to_be_unique", column="mial"),
            "arguments.column",
            "Person has no property 'mial'; did you mean 'mail'?",
        ),
        (
            expect("expect_compound_columns_to_be_unique", column_list=["id", "nme"]),
            "arguments.column_list",
            "did you mean 'name'?",
        ),
    ],
)
def test_mistakes_are_told_when_the_configuration_loads(expectation: Expectation, field: str, message: str) -> None:
    good = expect("expect_column_values_to_be_unique", column="mail", mostly=0.9)
    used = connector(PERSON.model_copy(update={"expectations": (good, expectation)}))
    ((path, said),) = expectation_mistakes(used)
    assert path == f"entity_types[0].expectations[1].{field}"
    assert message in said


def test_the_names_and_arguments_are_those_of_the_library() -> None:
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    assert set(list_registered_expectation_implementations()) == set(EXPECTATIONS) | UNAVAILABLE
    assert not set(EXPECTATIONS) & UNAVAILABLE
    for kind, (required, optional) in EXPECTATIONS.items():
        fields = get_expectation_impl(kind).__fields__
        assert {field for field, model in fields.items() if model.required} == set(required), kind
        assert set(optional) <= set(fields), kind
    assert {*ROWS, *BOUNDS} <= set(get_expectation_impl("expect_column_max_to_be_between").__fields__)


def test_a_check_says_in_one_line_what_came_of_it() -> None:
    check = Check("T", "T", "expect_x", "c", "warning", success=True)
    assert (str(check), check.blocks) == ("T: expect_x of c passed", False)


def test_a_property_may_be_critical(tmp_path: Path) -> None:
    world = people(tmp_path, allowed_values=("Ann",), severity="critical")
    assert isinstance(world.connector.entity_types[0].properties[1], Property)
    assert validate(world.connector, world.folder).critical == (
        "Person: expect_column_values_to_be_in_set of name failed: 1 unexpected",
    )
