"""Times of rules that cannot be, several rules of one property, and rules that give links."""

from __future__ import annotations

import pytest

from tests.unit.model.conftest import Edit, MistakesIn

PERIOD = "      condition: status = 'active'\n      start: hired_at\n      end: left_at\n"
NO_PERIOD = "      condition: status = 'active'\n"


def active(**offset: object) -> str:
    fields = ", ".join(f"{name}: {value}" for name, value in offset.items())
    return f"      - {{property: active, expression: 'true', time_offset: {{{fields}}}}}\n"


BEFORE = active(reference="before", before_minutes=-43200)
AROUND = active(reference="around")
AFTER = active(reference="after", after_minutes=259200)

TIMES = {
    "the example of accountEnabled": (PERIOD, BEFORE + AROUND + AFTER, []),
    "two times that meet": (PERIOD, BEFORE + active(reference="before", after_minutes=60), []),
    "two times that overlap": (
        PERIOD,
        BEFORE + active(reference="before", before_minutes=-60, after_minutes=60),
        ["scalar_rules[1].time_offset: its time overlaps that of scalar_rules[0] of 'active'"],
    ),
    "two around the period": (
        PERIOD,
        AROUND + active(reference="around", before_minutes=-60),
        ["scalar_rules[1].time_offset: a second rule around the period for 'active': scalar_rules[0] is one already"],
    ),
    "a time over before it begins": (
        PERIOD,
        active(reference="after", before_minutes=60, after_minutes=60),
        [
            (
                "scalar_rules[0].time_offset.after_minutes: the time ends (60) before it begins (60): "
                "after_minutes must be more than before_minutes"
            )
        ],
    ),
    "no period to count from": (
        NO_PERIOD,
        BEFORE + AROUND + AFTER,
        [
            "scalar_rules[0].time_offset.reference: 'before' counts from type_rule.start, which is not set",
            (
                "scalar_rules[1].time_offset.reference: "
                "'around' counts from type_rule.start or type_rule.end, which is not set"
            ),
            "scalar_rules[2].time_offset.reference: 'after' counts from type_rule.end, which is not set",
        ],
    ),
    "rules of one property that do not agree": (
        PERIOD,
        BEFORE + AROUND.replace("time_offset", "is_mapped: false, time_offset"),
        ["scalar_rules[1].is_mapped: scalar_rules[0] of 'active' says otherwise: is_mapped must agree"],
    ),
    "a comparison of what is never compared": (
        PERIOD,
        "      - {property: user_name, expression: mail, is_mapped: false, comparison_type: ignore_case}\n",
        ["scalar_rules[0].comparison_type: with is_mapped: false the value is never compared: leave this out"],
    ),
    "a comparison of texts for what is none": (
        PERIOD,
        "      - {property: active, expression: 'true', comparison_type: simplified}\n",
        ["scalar_rules[0].comparison_type: 'simplified' compares texts, and 'active' is bool: leave this out"],
    ),
}


@pytest.mark.parametrize(("type_rule", "rules", "expected"), TIMES.values(), ids=TIMES.keys())
def test_times(type_rule: str, rules: str, expected: list[str], edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("crm.yaml", NO_PERIOD, type_rule)
    edit("crm.yaml", "      - property: user_name\n        expression: lower(mail)\n        is_mapped: false\n", "")
    edit("crm.yaml", "      - property: active\n        expression: status = 'active'\n", rules)
    found = [mistake.partition("resource_types[0].")[2] for mistake in mistakes_in("crm.yaml")]
    assert found == expected


def test_what_does_not_start_is_not_sent_ahead(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("crm.yaml", "    connection: CRM\n", "    connection: CRM\n    fulfil_hours_ahead_of_time: 24\n")
    (mistake,) = mistakes_in("crm.yaml")
    assert mistake.endswith(
        "resource_types[0].fulfil_hours_ahead_of_time: "
        "nothing starts, so nothing can be sent ahead of it: set type_rule.start, or leave this out"
    )


QUERY = """    query_rules:
      - {navigation: NAVIGATION, source_expression: employee_id, target_expression: external_id}
"""
LINKS = {
    "a navigation fed by both kinds": (
        "groups",
        "navigation: 'groups' is fed by a navigation rule too: one kind of rule feeds a navigation",
    ),
    "a property": ("user_name", "navigation: 'user_name' is a property of CRM_User: feed it with scalar_rules"),
    "an unknown one": ("grups", "navigation: unknown navigation 'grups' of CRM_User; did you mean 'groups'?"),
}


@pytest.mark.parametrize(("navigation", "expected"), LINKS.values(), ids=LINKS.keys())
def test_query_rules(navigation: str, expected: str, edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("crm.yaml", "    navigation_rules:", QUERY.replace("NAVIGATION", navigation) + "    navigation_rules:")
    found = [mistake.partition("query_rules[0].")[2] for mistake in mistakes_in("crm.yaml")]
    assert expected in found


def test_a_query_rule_alone_feeds_a_navigation(edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("crm.yaml", "    navigation_rules:", QUERY.replace("NAVIGATION", "groups") + "    arguments: {}\n#")
    edit("crm.yaml", "      - navigation: groups\n        target_property", "#\n#")
    edit("crm.yaml", "        target_value: Sales\n        condition:", "#\n#")
    assert mistakes_in("crm.yaml") == []
