"""What is wrong with one field is told at its line, in one sentence."""

from __future__ import annotations

import pytest

from tests.unit.model.conftest import Edit, MistakesIn

FIELDS = {
    "an unknown field, near a known one": (
        "        primary_key: true",
        "        primry_key: true",
        [
            (
                "hr.yaml:24: entity_types[0].properties[0].primry_key: unknown field 'primry_key'; "
                "did you mean 'primary_key'?"
            )
        ],
    ),
    "an unknown field, near none": (
        "display_name: Human",
        "colour: Human",
        [
            (
                "hr.yaml:3: colour: unknown field 'colour'; known: identifier, display_name, agent, pool, "
                "is_deactivated, schedules, thresholds, retention, connections, entity_types, associations, "
                "resource_types"
            )
        ],
    ),
    "an unknown field of a small model names them all": (
        "  complete: ",
        "  nightly: ",
        ["hr.yaml:5: schedules.nightly: unknown field 'nightly'; known: complete, incremental, order_files"],
    ),
    "a misspelt required field is not missing as well": (
        "      column: org_code",
        "      colunm: org_code",
        ["hr.yaml:51: associations[0].end2.colunm: unknown field 'colunm'; did you mean 'column'?"],
    ),
    "a missing field stands at the item that lacks it": (
        "      navigation: people\n",
        "",
        ["hr.yaml:47: associations[0].end2.navigation: missing field 'navigation'"],
    ),
    "a missing field of the whole file": (
        "identifier: HR\n",
        "",
        ["hr.yaml:2: identifier: missing field 'identifier'"],
    ),
    "an identifier that no table could bear": (
        "identifier: HR_Person",
        "identifier: HR-Person",
        [
            (
                "hr.yaml:20: entity_types[0].identifier: "
                "must begin with a letter and hold only letters, digits and underscores"
            ),
        ],
    ),
    "a connection identifier with an underscore": (
        "identifier: HROrganisations",
        "identifier: HR_Organisations",
        [
            (
                "hr.yaml:15: connections[1].identifier: "
                "must begin with a letter and hold only letters, digits, dots and hyphens"
            ),
        ],
    ),
    "a table that could not name a file": (
        "connection_table: HROrganisations",
        "connection_table: HROrganisations_../secrets",
        [
            (
                "hr.yaml:35: entity_types[1].connection_table: "
                'must not be empty nor hold any of < > : " / \\ | ? *, for it names a file'
            )
        ],
    ),
    "a name that is too long": (
        "identifier: HR_PersonOrganization",
        "identifier: " + "x" * 64,
        ["hr.yaml:41: associations[0].identifier: must have 63 characters or fewer"],
    ),
    "a text that YAML reads as something else": (
        "[active, left]",
        "[active, no]",
        ["hr.yaml:33: entity_types[0].properties[5].allowed_values[1]: must be text; put it in quotes"],
    ),
    "a mapping in place of a text": (
        "display_name: Human resources",
        "display_name: {en: Human resources}",
        ["hr.yaml:3: display_name: must be text"],
    ),
    "an empty text": (
        "column: org_code",
        'column: ""',
        ["hr.yaml:51: associations[0].end2.column: must not be empty"],
    ),
    "a field without a value": (
        "column: org_code",
        "column:",
        ["hr.yaml:51: associations[0].end2.column: has no value: give it one, or leave it out"],
    ),
    "a word in place of a number": (
        "maximum_deleted_lines: 20",
        "maximum_deleted_lines: few",
        ["hr.yaml:8: thresholds.maximum_deleted_lines: must be a whole number"],
    ),
    "yes is no number": (
        "maximum_deleted_lines: 20",
        "maximum_deleted_lines: yes",
        ["hr.yaml:8: thresholds.maximum_deleted_lines: must be a whole number"],
    ),
    "a negative limit": (
        "maximum_deleted_lines: 20",
        "maximum_deleted_lines: -1",
        ["hr.yaml:8: thresholds.maximum_deleted_lines: must be 0 or more"],
    ),
    "a limit on updated links, which do not exist": (
        "maximum_deleted_lines: 20",
        "maximum_link_updated_lines: 20",
        [
            (
                "hr.yaml:8: thresholds.maximum_link_updated_lines: unknown field 'maximum_link_updated_lines'; "
                "did you mean 'maximum_updated_lines'?"
            )
        ],
    ),
    "a floor below nothing": (
        "maximum_deleted_lines: 20",
        "percentage_floor: -1",
        ["hr.yaml:8: thresholds.percentage_floor: must be 0 or more"],
    ),
    "a gate that does not exist": (
        "identifier: HR_Person\n",
        "identifier: HR_Person\n    gates: {max_percentage_fewer_row: 10}\n",
        [
            (
                "hr.yaml:21: entity_types[0].gates.max_percentage_fewer_row: unknown field "
                "'max_percentage_fewer_row'; did you mean 'max_percentage_fewer_rows'?"
            )
        ],
    ),
    "a negative patience": (
        "    connection_table: HRPeople\n    properties",
        "    connection_table: HRPeople\n    on_missing: {keep_runs: -1}\n    properties",
        ["hr.yaml:22: entity_types[0].on_missing.keep_runs: must be 0 or more"],
    ),
    "a misspelt patience": (
        "    connection_table: HRPeople\n    properties",
        "    connection_table: HRPeople\n    on_missing: {keep: 3}\n    properties",
        ["hr.yaml:22: entity_types[0].on_missing.keep: unknown field 'keep'; did you mean 'keep_runs'?"],
    ),
    "more than all": (
        "maximum_deleted_lines: 20",
        "max_percentage_deleted_lines: 120",
        ["hr.yaml:8: thresholds.max_percentage_deleted_lines: must be 100 or less"],
    ),
    "a word in place of a share": (
        "maximum_deleted_lines: 20",
        "max_percentage_deleted_lines: half",
        ["hr.yaml:8: thresholds.max_percentage_deleted_lines: must be a number"],
    ),
    "neither true nor false": (
        "primary_key: true",
        "unique_key: perhaps\n        primary_key: true",
        ["hr.yaml:24: entity_types[0].properties[0].unique_key: must be true or false"],
    ),
    "an unknown type, near a known one": (
        "type: datetime",
        "type: datetim",
        [
            (
                "hr.yaml:30: entity_types[0].properties[4].type: must be one of string, bytes, int32, int64, datetime, "
                "bool, guid, double, binary, byte, int16; did you mean 'datetime'?"
            )
        ],
    ),
    "one thing in place of a list": (
        "allowed_values: [active, left]",
        "allowed_values: active",
        ["hr.yaml:33: entity_types[0].properties[5].allowed_values: must be a list"],
    ),
    "a text in place of fields": (
        "      - identifier: last_name",
        "      - last_name",
        ["hr.yaml:25: entity_types[0].properties[1]: must be a mapping of fields"],
    ),
    "no fields at all": (
        "    settings:\n      path: organisations.csv",
        "    settings: organisations.csv",
        ["hr.yaml:17: connections[1].settings: must be a mapping of names to values"],
    ),
}


@pytest.mark.parametrize(("before", "after", "expected"), FIELDS.values(), ids=FIELDS.keys())
def test_a_wrong_field(before: str, after: str, expected: list[str], edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", before, after)
    assert mistakes_in("hr.yaml") == expected


def test_the_samples_hold_no_mistake(mistakes_in: MistakesIn) -> None:
    assert mistakes_in("hr.yaml") + mistakes_in("crm.yaml") == []


def test_an_empty_list_where_one_is_needed(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit(
        "crm.yaml",
        "connections:\n  - identifier: CRM\n    package: scim\n    connection_id: crm\n",
        "connections: []\n",
    )
    edit("crm.yaml", "    settings:\n      page_size: 100\n", "")
    assert mistakes_in("crm.yaml")[0] == "crm.yaml:5: connections: must not be an empty list"


def test_what_follows_from_a_missing_name_is_not_told(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "      - identifier: employee_id\n        primary_key: true", "      - primary_key: true")
    edit("hr.yaml", "        unique_key: true", "        primary_key: true")
    assert mistakes_in("hr.yaml") == [
        "hr.yaml:23: entity_types[0].properties[0].identifier: missing field 'identifier'"
    ]


def test_every_mistake_of_a_file_is_told_at_once(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "display_name:", "disply_name:")
    edit("hr.yaml", 'complete: "0 2 * * *"', "complete: nightly")
    edit("hr.yaml", "package: csv", "package: excel")
    edit("hr.yaml", "type: datetime", "type: date")
    edit("hr.yaml", "entity_type: HR_Organization", "entity_type: HR_Organisation")
    assert [line.split(": ", 2)[:2] for line in mistakes_in("hr.yaml")] == [
        ["hr.yaml:3", "disply_name"],
        ["hr.yaml:5", "schedules.complete"],
        ["hr.yaml:11", "connections[0].package"],
        ["hr.yaml:30", "entity_types[0].properties[4].type"],
        ["hr.yaml:48", "associations[0].end2.entity_type"],
    ]
