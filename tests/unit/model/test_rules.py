"""Rules that one field cannot break alone: keys, columns, schedules, limits, names given twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.model.configuration import EntityType, Property
from tests.unit.model.conftest import Edit, MistakesIn

NOT_CRON = "not a cron expression: five fields are needed (minute, hour, day, month, weekday)"
OUT_OF_RANGE = "not a cron expression: a field is out of range or unreadable"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("nightly", NOT_CRON),
        ("0 2 * *", NOT_CRON),
        ("0 0 2 * * *", NOT_CRON),
        ("R 2 * * *", NOT_CRON),
        ("", NOT_CRON),
        ("61 2 * * *", OUT_OF_RANGE),
        ("0 2 * * someday", OUT_OF_RANGE),
        ("@sometimes", OUT_OF_RANGE),
        ("0 0 31 2 *", "a cron expression of a date that never comes"),
    ],
)
def test_a_schedule_that_is_no_cron_expression(
    expression: str, message: str, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit("hr.yaml", "0 2 * * *", expression)
    assert mistakes_in("hr.yaml") == [f"hr.yaml:5: schedules.complete: {message}"]


@pytest.mark.parametrize("expression", ["@daily", "0 2 * * mon-fri", "*/5 8-18 1,15 jan-mar *"])
def test_a_schedule_that_airflow_reads(expression: str, edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "0 2 * * *", expression)
    assert mistakes_in("hr.yaml") == []


RULES = {
    "a table of no connection": (
        "hr.yaml",
        "connection_table: HROrganisations",
        "connection_table: HROrganizations_units",
        [
            (
                "hr.yaml:35: entity_types[1].connection_table: no connection has a table 'HROrganizations_units': "
                "a table is named <connection> or <connection>_<suffix>; did you mean 'HROrganisations'?"
            )
        ],
    ),
    "an empty suffix, and a table of an association": (
        "crm.yaml",
        "connection_table: CRM_members_Groups",
        "connection_table: CRM_",
        [
            (
                "crm.yaml:36: associations[0].connection_table: no connection has a table 'CRM_': a table is named "
                "<connection> or <connection>_<suffix>; did you mean 'CRM'?"
            )
        ],
    ),
    "no primary key": (
        "hr.yaml",
        "        primary_key: true\n",
        "",
        ["hr.yaml:22: entity_types[0].properties: no primary key: set primary_key: true on exactly one property"],
    ),
    "two primary keys": (
        "hr.yaml",
        "unique_key: true",
        "primary_key: true",
        [
            (
                "hr.yaml:28: entity_types[0].properties[3].primary_key: "
                "a second primary key: 'employee_id' is the primary key already"
            )
        ],
    ),
    "four unique keys": (
        "crm.yaml",
        "      - identifier: title\n",
        "      - {identifier: a, unique_key: true}\n      - {identifier: b, unique_key: true}\n",
        ["crm.yaml:24: entity_types[0].properties[4].unique_key: too many unique keys: at most 3 are allowed"],
    ),
    "a column of the repository": (
        "hr.yaml",
        "identifier: last_name",
        "identifier: Valid_From",
        [
            (
                "hr.yaml:25: entity_types[0].properties[1].identifier: "
                "'Valid_From' is a column of the repository: choose another name"
            )
        ],
    ),
    "a primary key that is noisy": (
        "hr.yaml",
        "        primary_key: true\n      - identifier: last_name",
        "        primary_key: true\n        history_precision: 60\n      - identifier: last_name",
        [
            (
                "hr.yaml:25: entity_types[0].properties[0].history_precision: "
                "a primary key never changes: leave history_precision out"
            )
        ],
    ),
    "a format of a type that takes none": (
        "hr.yaml",
        "type: datetime",
        "type: int32",
        ["hr.yaml:31: entity_types[0].properties[4].format: a strptime pattern is for datetime, not for int32"],
    ),
    "a format of another language": (
        "hr.yaml",
        "%d/%m/%Y",
        "dd/MM/yyyy",
        [
            (
                "hr.yaml:31: entity_types[0].properties[4].format: not a strptime pattern: write it like "
                "%Y-%m-%d %H:%M:%S; unknown format 'dd/MM/yyyy'"
            )
        ],
    ),
    "a property given twice": (
        "hr.yaml",
        "identifier: last_name",
        "identifier: First_Name",
        [
            (
                "hr.yaml:26: entity_types[0].properties[2].identifier: "
                "duplicate property 'first_name'; the first is at line 25"
            )
        ],
    ),
    "a connection given twice": (
        "hr.yaml",
        "identifier: HROrganisations",
        "identifier: hrpeople",
        [
            "hr.yaml:15: connections[1].identifier: duplicate connection 'hrpeople'; the first is at line 10",
            (
                "hr.yaml:35: entity_types[1].connection_table: no connection has a table 'HROrganisations': a table is "
                "named <connection> or <connection>_<suffix>; known: HRPeople, hrpeople"
            ),
        ],
    ),
    "an association with the name of an entity type": (
        "hr.yaml",
        "identifier: HR_PersonOrganization",
        "identifier: HR_Organization",
        [
            (
                "hr.yaml:41: associations[0].identifier: "
                "association 'HR_Organization' has the name of the entity type at line 34"
            )
        ],
    ),
    "a navigation with the name of a property": (
        "hr.yaml",
        "navigation: organization",
        "navigation: status",
        [("hr.yaml:45: associations[0].end1.navigation: navigation 'status' has the name of the property at line 32")],
    ),
    "an entity type of another file": (
        "hr.yaml",
        "  - identifier: HR_Organization",
        "  - identifier: CRM_GROUP",
        [
            "hr.yaml:34: entity_types[1].identifier: duplicate entity type 'CRM_GROUP'; the first is at crm.yaml:26",
            (
                "hr.yaml:48: associations[0].end2.entity_type: unknown entity type 'HR_Organization'; "
                "known: CRM_User, CRM_Group, HR_Person, CRM_GROUP"
            ),
        ],
    ),
    "a connector of another file": (
        "hr.yaml",
        "identifier: HR\n",
        "identifier: CRM\n",
        ["hr.yaml:2: identifier: duplicate connector 'CRM'; the first is at crm.yaml:2"],
    ),
}


@pytest.mark.parametrize(("file", "before", "after", "expected"), RULES.values(), ids=RULES.keys())
def test_a_broken_rule(
    file: str, before: str, after: str, expected: list[str], *, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit(file, before, after)
    assert mistakes_in(file) == expected


def test_two_navigations_of_one_name(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "entity_type: HR_Organization", "entity_type: HR_Person")
    edit("hr.yaml", "navigation: people", "navigation: Organization")
    assert mistakes_in("hr.yaml") == [
        "hr.yaml:49: associations[0].end2.navigation: duplicate navigation 'Organization'; the first is at line 45"
    ]


def test_a_resource_type_given_twice(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit(
        "hr.yaml",
        "associations:",
        "resource_types:\n  - identifier: crm_user_nominative\n    source_entity_type: HR_Person\n"
        "    target_entity_type: HR_Person\n    connection: HRPeople\nassociations:",
    )
    assert mistakes_in("hr.yaml") == [
        (
            "hr.yaml:41: resource_types[0].identifier: "
            "duplicate resource type 'crm_user_nominative'; the first is at crm.yaml:48"
        )
    ]


LIMITS = [
    ("maximum_deleted_lines", "max_percentage_deleted_lines", "deleted resources of HR_Person, HR_Organization"),
    ("maximum_inserted_lines", "max_percentage_inserted_lines", "inserted resources of HR_Person, HR_Organization"),
    ("maximum_updated_lines", "max_percentage_updated_lines", "updated resources of HR_Person, HR_Organization"),
    ("maximum_link_deleted_lines", "max_link_percentage_deleted_lines", "deleted links of HR_PersonOrganization"),
    ("maximum_link_inserted_lines", "max_link_percentage_inserted_lines", "inserted links of HR_PersonOrganization"),
]


@pytest.mark.parametrize(("count", "percentage", "what"), LIMITS)
def test_an_action_that_nothing_limits(
    count: str, percentage: str, what: str, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit("hr.yaml", "maximum_deleted_lines: 20", f"{percentage}: 0\n  {count}: 0")
    assert mistakes_in("hr.yaml") == [
        f"hr.yaml:9: thresholds.{count}: nothing limits {what}: set {count} or {percentage} above 0"
    ]


@pytest.mark.parametrize("limit", [name for count, percentage, _ in LIMITS for name in (count, percentage)])
def test_one_limit_guards_an_action(limit: str, edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "maximum_deleted_lines: 20", f"{limit}: 0")
    assert mistakes_in("hr.yaml") == []


def test_limits_at_every_entity_type_guard_as_well(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "maximum_deleted_lines: 20", "{maximum_deleted_lines: 0, max_percentage_deleted_lines: 0}")
    edit(
        "hr.yaml",
        "    connection_table: HRPeople\n    properties",
        "    connection_table: HRPeople\n    thresholds: {maximum_deleted_lines: 9}\n    properties",
    )
    assert mistakes_in("hr.yaml") == [
        (
            "hr.yaml:8: thresholds.maximum_deleted_lines: nothing limits deleted resources of HR_Organization: "
            "set maximum_deleted_lines or max_percentage_deleted_lines above 0"
        )
    ]
    edit(
        "hr.yaml",
        "    connection_table: HROrganisations\n",
        "    connection_table: HROrganisations\n    thresholds: {max_percentage_deleted_lines: 9}\n",
    )
    assert mistakes_in("hr.yaml") == []


def test_a_connector_without_associations_needs_no_limit_on_links(
    folder: Path, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit(
        "hr.yaml", "maximum_deleted_lines: 20", "{maximum_link_deleted_lines: 0, max_link_percentage_deleted_lines: 0}"
    )
    text = (folder / "hr.yaml").read_text()
    (folder / "hr.yaml").write_text(text[: text.index("associations:")])
    assert mistakes_in("hr.yaml") == []


FORMAT = "hr.yaml:31: entity_types[0].properties[4].format"


@pytest.mark.parametrize(
    ("kind", "spelling", "message"),
    [
        ("datetime", "%Y-%Q", "pattern '%Y-%Q' holds '%Q', which is not understood"),
        ("datetime", "%-Y", "pattern '%-Y' holds '%-Y', which is not understood"),
        ("datetime", "100%%", "not a strptime pattern: write it like %Y-%m-%d %H:%M:%S"),
        ("datetime", "Int64", "format Int64 is not for type datetime; its formats: DateTime, Date, 1601Date"),
        ("int32", "Int23", "unknown format 'Int23'; did you mean 'Int32'?"),
        ("int32", "Int64", "format Int64 is not for type int32; its formats: Int32, Bit"),
        ("string", "SID:x", "format SID takes nothing after its name"),
        ("string", "Concat:", "write it Concat:<separator>, such as Concat:;"),
        ("guid", "Guid:middle", "write it Guid, Guid:little_endian or Guid:big_endian"),
        ("bool", "Bit:mask:65", "write it Bit:<property>:<bit>, with a bit from 1 to 64"),
        ("bool", "Bit:mask", "write it Bit:<property>:<bit>, with a bit from 1 to 64"),
        ("double", "Bit:mask:1", "format Bit is not for type double; its formats: Double"),
        ("bool", "Bit:last_name:1", "'last_name' is no bit mask: its type must be an integer"),
    ],
)
def test_a_format_that_is_none_or_of_another_type(
    kind: str, spelling: str, message: str, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit("hr.yaml", "type: datetime", f"type: {kind}")
    edit("hr.yaml", "%d/%m/%Y", spelling)
    assert mistakes_in("hr.yaml") == [f"{FORMAT}: {message}"]


def test_a_flag_with_a_column_of_its_own(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "type: datetime", "{type: bool, column: other}".strip("{}").replace(", ", "\n        "))
    edit("hr.yaml", "%d/%m/%Y", "Bit:control:2")
    assert mistakes_in("hr.yaml") == [
        (
            "hr.yaml:32: entity_types[0].properties[4].format: "
            "the flag is read from column 'control': leave column out, or write bit_control_2"
        )
    ]


@pytest.mark.parametrize(
    ("kind", "spelling"),
    [
        ("guid", "guid"),
        ("datetime", "1601DATE"),
        ("string", "multivaluedtext"),
        ("string", "concat:,"),
        ("bool", "bit:m:1"),
    ],
)
def test_names_of_formats_are_compared_without_case(
    kind: str, spelling: str, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit("hr.yaml", "type: datetime", f"type: {kind}")
    edit("hr.yaml", "%d/%m/%Y", spelling)
    assert mistakes_in("hr.yaml") == []


def test_a_rule_writes_a_mask_or_its_flags_never_both(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit(
        "crm.yaml",
        "      - identifier: title\n",
        """      - identifier: title
      - {identifier: control, type: int32}
      - {identifier: disabled, type: bool, format: "Bit:control:2"}
""",
    )
    edit(
        "crm.yaml",
        "    scalar_rules:\n",
        """    scalar_rules:
      - {property: control, expression: "512"}
      - {property: disabled, expression: "false"}
""",
    )
    [mistake] = mistakes_in("crm.yaml")
    assert mistake.endswith(
        "scalar_rules[1].property: 'disabled' is a flag of 'control', which a rule writes too: "
        "write the mask or its flags"
    )


TRANSFORMATIONS = "hr.yaml:16: connections[0].transformations"


@pytest.mark.parametrize(
    ("written", "field", "message"),
    [
        (
            "{type: WhereValue, table: hrpeople, column: a, where_operator: Equals, where_value: b}",
            "[0].table",
            "nothing reads a table 'hrpeople' of this connection; did you mean 'HRPeople'?",
        ),
        (
            "{type: WhereValue, table: HRPeople, column: a, where_operator: Regex, where_value: '('}",
            "[0].where_value",
            "not a regular expression: missing ), unterminated subpattern at position 0",
        ),
        (
            "{type: TransformDate, table: HRPeople, column: a, added_days: 1, date_pattern: dd/MM}",
            "[0].date_pattern",
            "not a strptime pattern: write it like %Y-%m-%d %H:%M:%S",
        ),
        (
            "{type: TransformDate, table: HRPeople, column: a, added_days: 0.5, date_pattern: '%Y-%m-%d'}",
            "[0].added_days",
            "a fraction of a day is lost: date_pattern holds no time of day",
        ),
        (
            (
                "{type: TransformDate, table: HRPeople, column: a, added_days: 1, date_pattern: '%Y', "
                "min_year: 3, max_year: 2}"
            ),
            "[0].min_year",
            "no year lies between 3 and 2",
        ),
    ],
)
def test_a_transformation_that_cannot_be_carried_out(
    written: str, field: str, message: str, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit("hr.yaml", '      separator: ";"\n', f'      separator: ";"\n    transformations:\n      - {written}\n')
    assert mistakes_in("hr.yaml") == [f"{TRANSFORMATIONS}{field}: {message}"]


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("{type: WhereValues, table: HRPeople}", ""),
        ("{table: HRPeople}", ""),
        ("{type: ConcatColumns, table: HRPeople, column: a}", "input_column"),
        ("{type: ConcatColumns, table: HRPeople, column: a, input_column: b, separator: x}", "separator"),
        ("{type: WhereValue, table: HRPeople, column: a, where_operator: Like, where_value: b}", "where_operator"),
    ],
)
def test_a_wrong_field_of_a_transformation_is_one_line_at_its_place(
    written: str, field: str, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit("hr.yaml", '      separator: ";"\n', f'      separator: ";"\n    transformations:\n      - {written}\n')
    [mistake] = mistakes_in("hr.yaml")
    assert mistake.startswith(f"{TRANSFORMATIONS}[0]{'.' if field else ''}{field}: ")


def test_only_files_are_transformed(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "package: csv", "package: sql")
    edit(
        "hr.yaml",
        '    settings:\n      path: people.csv\n      separator: ";"\n',
        "    transformations:\n      - {type: ConcatColumns, table: HRPeople, column: a, input_column: b}\n",
    )
    assert any("package 'sql' exports no files: only files are transformed" in line for line in mistakes_in("hr.yaml"))


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("column: LAST", "it has no column; leave out one of the two"),
        ("primary_key: true", "a key comes from the source and never changes; choose a property with a column"),
        ("unique_key: true", "links are found before it is computed; choose a property with a column"),
        ("max_length: 9", "no line is rejected for it; cut the value in the expression, such as left(..., 100)"),
        ("allowed_values: [a]", "no line is rejected for it; decide in the expression, such as CASE WHEN ... THEN"),
        ("severity: critical", "no line is rejected for it; leave the severity out"),
        ('format: "%Y"', "it reads no text; leave the format out"),
    ],
)
def test_what_says_how_a_column_is_read_says_nothing_of_a_computed_property(
    field: str, why: str, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit(
        "hr.yaml",
        "- identifier: first_name\n",
        f"- identifier: first_name\n        expression: lower(mail)\n        {field}\n",
    )
    found = [line for line in mistakes_in("hr.yaml") if "second primary key" not in line]
    name = field.partition(":")[0]
    assert len(found) == 1
    assert found[0].startswith(
        f"hr.yaml:28: entity_types[0].properties[2].{name}: 'first_name' has an expression: {why}"
    )


def test_a_property_may_be_computed(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("hr.yaml", "- identifier: first_name\n", "- identifier: first_name\n        expression: lower(mail)\n")
    assert mistakes_in("hr.yaml") == []


@pytest.mark.parametrize(
    ("identifiers", "shown"),
    [
        (("id", "title", "last_name", "internal_display_name"), "internal_display_name"),
        (("id", "title", "userName", "last_name"), "userName"),
        (("id", "title"), "id"),
    ],
)
def test_the_internal_display_name_of_an_entity_type(identifiers: tuple[str, ...], shown: str) -> None:
    properties = tuple(Property(identifier=item, primary_key=item == "id") for item in identifiers)
    entity_type = EntityType(identifier="Person", connection_table="people", properties=properties)
    assert entity_type.display_name_property.identifier == shown
