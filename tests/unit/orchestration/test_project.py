"""Every room has its say on a configuration, and one bad file takes nothing from the others."""

from __future__ import annotations

from pathlib import Path

import pytest

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
MISTAKES = {
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
