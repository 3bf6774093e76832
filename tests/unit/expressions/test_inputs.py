"""What an expression reads, and over which links."""

from __future__ import annotations

import pytest

from include.expressions.errors import ExpressionMistake
from include.expressions.inputs import inputs_of
from include.expressions.paths import EntityGraph, Scope
from tests.unit.policy.organisation import configuration


@pytest.fixture
def scope() -> Scope:
    return Scope(EntityGraph.of(configuration()), "HR_Person")


def read(expression: str, scope: Scope) -> list[tuple[tuple[str, ...], str, str]]:
    return [(item.path, item.entity_type, item.property) for item in inputs_of(expression, scope)]


def test_a_property_of_its_own_is_an_input_without_a_path(scope: Scope) -> None:
    assert read("upper(last_name)", scope) == [((), "HR_Person", "last_name")]


def test_inputs_come_in_order_of_the_text_and_each_once(scope: Scope) -> None:
    expression = "concat(status, ' ', last_name, lower(status), CASE WHEN mail IS NULL THEN title END)"
    assert [str(item) for item in inputs_of(expression, scope)] == ["status", "last_name", "mail", "title"]


def test_an_input_beyond_links_names_the_links_and_the_entity_type_they_end_at(scope: Scope) -> None:
    (found,) = inputs_of("manager.organization.name", scope)
    assert (found.path, found.entity_type, found.property) == (("manager", "organization"), "HR_Organization", "name")
    assert str(found) == "manager.organization.name"
    assert [link.entity_type for link in found.links] == ["HR_Person", "HR_Organization"]


def test_the_same_property_over_two_links_is_two_inputs(scope: Scope) -> None:
    assert read("coalesce(manager.mail, mail)", scope) == [
        (("manager",), "HR_Person", "mail"),
        ((), "HR_Person", "mail"),
    ]


def test_the_instant_of_the_run_and_constants_are_no_inputs(scope: Scope) -> None:
    assert read("start_date <= evaluated_at", scope) == [((), "HR_Person", "start_date")]
    assert read("evaluated_at()", scope) == []
    assert read("'true'", scope) == []


def test_the_scope_is_left_as_it_was(scope: Scope) -> None:
    inputs_of("manager.organization.name", scope)
    assert (scope.joins, scope.reads) == ({}, set())


@pytest.mark.parametrize("expression", ["mailbox", "manager.mailbox", "boss.mail", "upper(", "mail; mail"])
def test_what_cannot_be_read_is_refused(expression: str, scope: Scope) -> None:
    with pytest.raises(ExpressionMistake):
        inputs_of(expression, scope)
