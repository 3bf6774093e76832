"""Every room has its say on a configuration, and one bad file takes nothing from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.orchestration.connections import table_requests
from include.orchestration.project import UnknownConnector, find_connector, load_project

GOOD = """
identifier: Good
connections:
  - {identifier: People, package: csv, settings: {path: people.csv}}
entity_types:
  - identifier: Person
    connection_table: People
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: name}
"""
RULES = """
resource_types:
  - identifier: Account
    source_entity_type: Bad_Person
    target_entity_type: Bad_Person
    connection: People
    scalar_rules:
      - {property: name, expression: EXPRESSION}
"""


def mistakes(tmp_path: Path, bad: str) -> list[str]:
    """The lines about the bad file; the good one must stay usable."""
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(bad)
    configuration = load_project(tmp_path)
    assert find_connector(configuration, "Good").identifier == "Good"
    with pytest.raises(UnknownConnector):
        find_connector(configuration, "Bad")
    return [str(mistake) for broken in configuration.broken for mistake in broken.mistakes]


BAD = GOOD.replace("Good", "Bad").replace("Person", "Bad_Person")


EXPRESSION = "bad.yaml:18: resource_types[0].scalar_rules[0].expression"
COMPUTED = "bad.yaml:11: entity_types[0].properties[2].expression: "


def computed(expression: str, kind: str = "string") -> str:
    """The bad file with a computed property, which also has a manager to read."""
    return f"""{BAD}      - {{identifier: label, type: {kind}, expression: "{expression}"}}
      - {{identifier: other, expression: "label || '!'"}}
associations:
  - identifier: Bad_Manager
    connection_table: People
    end1: {{entity_type: Bad_Person, navigation: manager, column: id}}
    end2: {{entity_type: Bad_Person, navigation: reports, collection: true, column: manager}}
"""


MISTAKES = {
    "computed: unknown property": (computed("upper(nam)"), f"{COMPUTED}Bad_Person has no property 'nam' (did you mean"),
    "computed: to many": (computed("reports.name"), f"{COMPUTED}'reports' leads from one Bad_Person to many"),
    "computed: wrong type": (computed("name", "int32"), f"{COMPUTED}it gives VARCHAR, but label is int32: cast it"),
    "computed: from itself": (
        computed("manager.label"),
        f"{COMPUTED}computed from itself: Bad_Person.label -> Bad_Person.label",
    ),
    "computed: the instant": (
        computed("strftime(evaluated_at, '%Y')"),
        f"{COMPUTED}'evaluated_at' changes by itself, and with it the value, at every run",
    ),
    "computed: the clock": (computed("now()::VARCHAR"), f"{COMPUTED}'now' changes by itself"),
    "computed: another row": (computed("(SELECT 'x')"), f"{COMPUTED}a subquery cannot stand in an expression"),
    "computed: expected": (
        computed("name").replace(
            "    prop",
            "    expectations: [{expectation: expect_column_values_to_be_null, arguments: {column: label}}]\n    prop",
        ),
        "expectations[0].arguments.column: 'label' is computed later: name what it is computed from",
    ),
    "computed: expected in SQL": (
        computed("name").replace(
            "    prop",
            "    expectations: [{expectation: unexpected_rows_expectation,"
            " arguments: {unexpected_rows_query: 'SELECT * FROM {batch} WHERE label IS NULL'}}]\n    prop",
        ),
        "expectations[0].arguments.unexpected_rows_query: 'label' is computed later",
    ),
    "computed: provisioned": (
        computed("name") + RULES.replace("name, expression: EXPRESSION", "label, expression: name"),
        "scalar_rules[0].property: 'label' of Bad_Person is computed: the managed system has no such value",
    ),
    "table name": (
        BAD.replace("Bad_Person", "provisioning_order"),
        "bad.yaml:6: entity_types[0].identifier: 'provisioning_order'",
    ),
    "column name": (
        BAD.replace("identifier: name", "identifier: xmin"),
        "bad.yaml:10: entity_types[0].properties[1].identifier: 'xmin'",
    ),
    "unknown property": (BAD + RULES.replace("EXPRESSION", "upper(nam)"), "did you mean 'name'?"),
    "file access": (BAD + RULES.replace("EXPRESSION", "read_text('/etc/passwd')"), EXPRESSION),
    "syntax": (BAD + RULES.replace("EXPRESSION", "name +"), EXPRESSION),
    "package": (BAD.replace("package: csv", "package: cvs"), "did you mean 'csv'?"),
    "setting": (BAD.replace("path: people.csv", "pth: people.csv"), "did you mean 'path'?"),
    "expectation": (
        BAD.replace("    prop", "    expectations: [{expectation: expect_column_values_to_be_in_sett}]\n    prop"),
        "did you mean 'expect_column_values_to_be_in_set'?",
    ),
}


@pytest.mark.parametrize(("bad", "line"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_one_line_with_its_place(tmp_path: Path, bad: str, line: str) -> None:
    found = mistakes(tmp_path, bad)
    assert len(found) == 1
    assert line in found[0]
    assert "\n" not in found[0]


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    first = load_project(tmp_path)
    assert load_project(tmp_path) is first
    (tmp_path / "good.yaml").write_text(GOOD.replace("name}", "last_name}"))
    assert load_project(tmp_path) is not first


def test_a_cycle_is_told_at_each_of_its_properties(tmp_path: Path) -> None:
    found = mistakes(tmp_path, computed("manager.other"))
    assert [line.partition(": computed from itself: ")[2] for line in found] == [
        "Bad_Person.label -> Bad_Person.other -> Bad_Person.label",
        "Bad_Person.other -> Bad_Person.label -> Bad_Person.other",
    ]


def test_a_computed_property_needs_no_column_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(computed("upper(name) || coalesce(manager.name, '')"))
    configuration = load_project(tmp_path)
    assert configuration.broken == ()
    connector = find_connector(configuration, "Bad")
    ((table, columns),) = [
        (item.name, [column.name for column in item.columns])
        for item in table_requests(connector, connector.connections[0])
    ]
    assert (table, columns) == ("People", ["id", "name", "manager"])
