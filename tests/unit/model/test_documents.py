"""What is no readable YAML is told at its line; what YAML allows is read as it is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.model.configuration import Configuration
from include.model.loader import load_configuration
from include.model.positions import dotted, parse_path
from tests.unit.model.conftest import Edit, MistakesIn

UNREADABLE = {
    "a colon too many": (b"identifier: HR\ndisplay_name: a: b\n", "2: file: not valid YAML: mapping values are not"),
    "a list that never ends": (b"connections: [\nidentifier: HR\n", "3: file: not valid YAML: did not find expected"),
    "quotes that never end": (
        b'identifier: HR\ndisplay_name: "Human\n\n',
        "4: file: not valid YAML: found unexpected end of stream while scanning a quoted scalar that begins at line 2",
    ),
    "a tab": (b"connections:\n\t- identifier: HR\n", "2: file: not valid YAML: found character that cannot start"),
    "an alias of nothing": (b"identifier: *name\n", "1: file: not valid YAML: found undefined alias"),
    "two documents": (b"identifier: HR\n---\nidentifier: HR\n", "2: file: not valid YAML: but found another document"),
    "a control character": (b"identifier: HR\n# \x01\n", "2: file: not valid YAML: control characters are not allowed"),
    "another encoding": ("identifier: HR\n# Müller\n".encode("latin-1"), "2: file: not UTF-8 text"),
    "nothing": (b"# later\n", "1: file: the file is empty; it begins with the identifier of a connector"),
    "a list": (b"- identifier: HR\n", "1: file: the file must be a mapping of fields; it begins with the identifier"),
    "an anchor in itself": (b"identifier: HR\nconnections: &all [*all]\n", "2: connections[0]: an anchor that holds"),
    "an unknown tag": (b"identifier: !hunter2 HR\n", "1: identifier: an unknown YAML tag"),
    "a tag that makes objects": (b"identifier: !!python/object:os.system {}\n", "1: identifier: an unknown YAML tag"),
    "a day that does not exist": (
        b"identifier: 2024-02-31\n",
        "1: identifier: not a date or number that exists; put text in quotes",
    ),
    "a list for a name": (b"? [a]\n: b\n", "1: file: a field name must be plain text"),
}


@pytest.mark.parametrize(("content", "expected"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_document(content: bytes, expected: str, folder: Path, mistakes_in: MistakesIn) -> None:
    (folder / "hr.yaml").write_bytes(content)
    first = mistakes_in("hr.yaml")[0]
    assert first.startswith(f"hr.yaml:{expected}")


def test_a_field_that_cannot_be_read_is_told_once(folder: Path, mistakes_in: MistakesIn) -> None:
    (folder / "hr.yaml").write_text(
        "identifier: !name HR\nconnections:\n  - {identifier: HR, package: csv, settings: {path: a}}\n"
    )
    assert mistakes_in("hr.yaml") == ["hr.yaml:1: identifier: an unknown YAML tag"]


def test_a_field_given_twice(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "        type: datetime\n", "        type: datetime\n        type: string\n")
    edit("hr.yaml", "      separator: ", "      path: other.csv\n      separator: ")
    assert mistakes_in("hr.yaml") == [
        "hr.yaml:14: connections[0].settings.path: duplicate field 'path'; the first is at line 13",
        "hr.yaml:32: entity_types[0].properties[4].type: duplicate field 'type'; the first is at line 31",
    ]


def test_a_file_that_cannot_be_opened(folder: Path, mistakes_in: MistakesIn) -> None:
    (folder / "lost.yaml").symlink_to(folder / "nowhere")
    assert mistakes_in("lost.yaml") == ["lost.yaml:1: file: cannot be read: No such file or directory"]


def test_line_ends_and_control_characters_in_names_stay_out_of_the_line(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "display_name:", r'"a\nb\e[31m\u2028c":')
    assert mistakes_in("hr.yaml")[0].startswith("hr.yaml:3: a b [31m c: unknown field 'a b [31m c'")


def test_an_endless_name_is_cut(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "display_name:", f"? {'x' * 5000}\n:")
    assert len(mistakes_in("hr.yaml")[0]) < 1200


def test_yaml_may_be_written_with_anchors_and_merges(folder: Path) -> None:
    (folder / "hr.yaml").write_text(
        """\
identifier: HR
connections:
  - &people
    identifier: HRPeople
    package: csv
    settings: &files {path: people.csv}
  - <<: *people
    identifier: HRMore
  - {identifier: HRLast, package: csv, settings: *files}
"""
    )
    connections = load_configuration(folder).connectors[0].connections
    assert [(item.identifier, item.package, item.settings) for item in connections] == [
        ("HRPeople", "csv", {"path": "people.csv"}),
        ("HRMore", "csv", {"path": "people.csv"}),
        ("HRLast", "csv", {"path": "people.csv"}),
    ]


def test_a_mistake_in_a_merged_field_stands_where_it_is_written(folder: Path, mistakes_in: MistakesIn) -> None:
    (folder / "hr.yaml").write_text(
        """\
identifier: HR
connections:
  - &people
    identifier: HRPeople
    packag: csv
  - <<: [*people]
    identifier: HRMore
    package: csv
    settings: {path: more.csv}
"""
    )
    unknown = "unknown field 'packag'; did you mean 'package'?"
    assert mistakes_in("hr.yaml") == [
        "hr.yaml:3: connections[0].settings.path: missing setting 'path' of package 'csv'",
        f"hr.yaml:5: connections[0].packag: {unknown}",
        f"hr.yaml:5: connections[1].packag: {unknown}",
    ]


def test_names_are_text_even_where_yaml_has_another_reading(folder: Path) -> None:
    (folder / "hr.yaml").write_text(
        "identifier: HR\nconnections: [{identifier: A, package: csv, settings: {on: 1, 2: 2, null: 3}}]\n"
    )
    assert load_configuration(folder).connectors[0].connections[0].settings == {"on": 1, "2": 2, "null": 3}


def test_aliases_of_aliases_do_not_multiply_the_work(folder: Path) -> None:
    layers = [f"x{number}: &x{number} [{', '.join([f'*x{number - 1}'] * 9)}]" for number in range(1, 40)]
    settings = "\n      ".join(["x0: &x0 [leaf]", *layers])
    (folder / "hr.yaml").write_text(
        f"identifier: HR\nconnections:\n  - identifier: A\n    package: csv\n    settings:\n      {settings}\n"
    )
    assert [item.identifier for item in load_configuration(folder).connectors] == ["HR"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("agent", ("agent",)),
        ("resource_types[0].scalar_rules[12].expression", ("resource_types", 0, "scalar_rules", 12, "expression")),
        ("", ()),
    ],
)
def test_a_path_is_read_as_it_is_written(text: str, path: tuple[str | int, ...]) -> None:
    assert parse_path(text) == path
    assert dotted(path) == text


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    text = (folder / "hr.yaml").read_bytes()
    (folder / "hr.yaml").write_bytes(b"\xef\xbb\xbf" + text)
    configuration: Configuration = load_configuration(folder)
    assert configuration.broken == ()
