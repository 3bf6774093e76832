"""What two configurations order differently, and which rule makes the difference."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.difference.compare import Counts
from include.model.configuration import Configuration
from include.model.resource_type import CorrelationRule, NavigationRule, ResourceType, ScalarRule, TypeRule
from include.provisioning.planning import Decided, Side, decide_side, write_difference
from include.storage.engine import engine
from include.storage.folder import Folder
from tests.unit.policy.organisation import Organisation, configuration, nominative
from tests.unit.policy.test_laws import LAW, crowd

Line = dict[str, Any]


@pytest.fixture
def organisation(tmp_path: Path) -> Organisation:
    """Three clerks in Sales with an account each, and a fourth without one."""
    made = Organisation(tmp_path / "organisation")
    made.organization(1, "SAL", "Sales")
    made.group(7, "Sales")
    made.group(8, "Board")
    for number in (101, 102, 103, 104):
        made.person(number, mail=f"m{number}@x")
        made.link("HR_PersonOrganization", number, 1)
        if number != 104:
            made.user(number + 100, f"E{number}", mail=f"m{number}@x")
            made.link("CRM_GroupMember", 7, number + 100)
    made.folder.mkdir()
    made.evaluate()
    return made


def side(
    organisation: Organisation, label: str, *types: ResourceType, deactivated: bool = False
) -> tuple[Side, Decided]:
    """An organisation evaluated with some resource types, in a folder of its own."""
    (connector,) = configuration(*types).connectors
    known = Configuration(connectors=(connector.model_copy(update={"is_deactivated": deactivated}),))
    evaluated = copy.deepcopy(organisation)
    evaluated.folder = organisation.folder.parent / label
    evaluated.folder.mkdir()
    evaluated.resource_types = types
    evaluated.evaluate()
    found = Side(known, known.connectors[0], Folder(evaluated.folder.as_uri()))
    return found, decide_side(found)


def differences(
    organisation: Organisation,
    planned: tuple[ResourceType, ...],
    present: tuple[ResourceType, ...] | None = None,
    *,
    deactivated: bool = False,
) -> tuple[Counts, list[Line]]:
    """What ``planned`` orders against ``present``; against nothing where that is None."""
    before = side(organisation, "present", *present)[0] if present is not None else None
    after, _ = side(organisation, "planned", *planned, deactivated=deactivated)
    found = write_difference(before, after, Folder((organisation.folder.parent / "difference").as_uri()))
    with engine() as connection:
        cursor = connection.execute(f"FROM read_parquet('{found.file}')")
        names = [column[0] for column in cursor.description]
        return found.orders, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def short(lines: list[Line]) -> set[tuple[Any, ...]]:
    names = ("change", "order_type", "rule", "status", "owner_key", "property", "from", "to")
    return {tuple(line[name] for name in names) for line in lines}


def test_the_orders_of_the_next_run_are_compared_with_none(organisation: Organisation) -> None:
    orders, lines = differences(organisation, (nominative(),))
    assert (orders.stored, orders.inserted) == (0, 1)
    assert short(lines) == {
        ("created", "Added", "type_rule", "", "E104", "", None, None),
        ("created", "Added", "type_rule", "", "E104", "title", None, "Clerk"),
        ("created", "Added", "type_rule", "", "E104", "groups", None, "g7"),
    }


def test_two_equal_configurations_order_the_same(organisation: Organisation) -> None:
    orders, lines = differences(organisation, (nominative(),), (nominative(),))
    assert (orders.inserted, orders.updated, orders.deleted, lines) == (0, 0, 0, [])


def test_a_changed_scalar_rule_changes_existing_targets_and_the_creations_that_are_ordered(
    organisation: Organisation,
) -> None:
    planned = nominative(scalar_rules=(ScalarRule(property="title", expression="upper(title)"),))
    orders, lines = differences(organisation, (planned,), (nominative(),))
    assert (orders.inserted, orders.updated, orders.deleted) == (3, 1, 0)
    rule = ("scalar_rules[0]", "changed")
    assert short(lines) == {
        *(("created", "Modified", *rule, f"E{number}", "title", "Clerk", "CLERK") for number in (101, 102, 103)),
        ("updated", "Added", *rule, "E104", "title", "Clerk", "CLERK"),
    }


def test_a_new_scalar_rule_is_new_and_a_removed_one_removed(organisation: Organisation) -> None:
    mail = ScalarRule(property="mail", expression="upper(mail)")
    more = nominative(scalar_rules=(*nominative().scalar_rules, mail))
    _, lines = differences(organisation, (more,), (nominative(),))
    assert {(line["change"], line["order_type"], line["rule"], line["status"]) for line in lines} == {
        ("created", "Modified", "scalar_rules[1]", "new"),
        ("created", "Added", "scalar_rules[1]", "new"),
    }


def test_an_order_that_a_removed_rule_asked_for_is_removed_and_the_value_stays_as_it_is(
    organisation: Organisation,
) -> None:
    organisation.find("CRM_User", 201)["title"] = "Boss"
    organisation.find("HR_Person", 101)["title"] = "Chief"
    _, lines = differences(organisation, (nominative(scalar_rules=()),), (nominative(),))
    assert short(lines) == {
        ("removed", "Modified", "scalar_rules[0]", "removed", "E101", "title", "Chief", "Boss"),
        ("removed", "Added", "scalar_rules[0]", "removed", "E104", "title", "Clerk", None),
    }


def test_a_narrower_type_rule_deletes_and_creates_no_more(organisation: Organisation) -> None:
    planned = nominative(type_rule=TypeRule(condition="employee_id < 'E103'"))
    _, lines = differences(organisation, (planned,), (nominative(),))
    assert {line["rule"] for line in lines} == {"type_rule"}
    assert {(line["change"], line["order_type"], line["owner_key"]) for line in lines} == {
        ("created", "Deleted", "E103"),
        ("removed", "Added", "E104"),
    }
    (deleted,) = [line for line in lines if line["order_type"] == "Deleted"]
    assert (deleted["target_key"], deleted["from"], deleted["to"]) == ("u203", "u203", None)


def test_a_changed_condition_of_a_navigation_rule_takes_the_link_from_those_who_lose_it(
    organisation: Organisation,
) -> None:
    (rule,) = nominative().navigation_rules
    planned = nominative(navigation_rules=(rule.model_copy(update={"condition": "employee_id <> 'E101'"}),))
    _, lines = differences(organisation, (planned,), (nominative(),))
    assert short(lines) == {("created", "Modified", "navigation_rules[0]", "changed", "E101", "groups", "g7", None)}


def test_two_navigation_rules_are_told_apart_by_what_they_lead_to(organisation: Organisation) -> None:
    board = NavigationRule(navigation="groups", target_property="display_name", target_value="Board")
    planned = nominative(navigation_rules=(*nominative().navigation_rules, board))
    _, lines = differences(organisation, (planned,), (nominative(),))
    assert {(line["rule"], line["status"], line["to"]) for line in lines} == {("navigation_rules[1]", "new", "g8")}
    assert Counter(line["order_type"] for line in lines) == {"Modified": 3, "Added": 1}


def test_a_correlation_rule_that_finds_the_target_makes_its_creation_a_change(organisation: Organisation) -> None:
    organisation.user(204, None, title="Intern", mail="m104@x")
    by_mail = CorrelationRule(source_expression="mail", target_expression="mail")
    planned = nominative(correlation_rules=(*nominative().correlation_rules, by_mail))
    _, lines = differences(organisation, (planned,), (nominative(),))
    assert {line["rule"] for line in lines} == {"correlation_rules"}
    assert {("removed", "Added", ""), ("updated", "Modified", "title")} >= {
        (line["change"], line["order_type"], line["property"]) for line in lines if line["property"] != "groups"
    }


@pytest.mark.parametrize(
    ("setting", "value"), [("allow_add", False), ("block_provisioning", True), ("depends_on", "Absent")]
)
def test_a_setting_that_keeps_an_order_back_is_its_cause(organisation: Organisation, setting: str, value: Any) -> None:
    organisation.person(105)
    _, lines = differences(organisation, (nominative(**{setting: value}),), (nominative(),))
    assert {(line["change"], line["rule"], line["status"]) for line in lines} == {("removed", setting, "changed")}
    assert "E105" in {line["owner_key"] for line in lines}


def test_a_deactivated_connector_gives_no_order_and_links_and_values_stay_out(organisation: Organisation) -> None:
    _, lines = differences(organisation, (nominative(),), (nominative(),), deactivated=True)
    assert short(lines) == {
        ("removed", "Added", "is_deactivated", "unchanged", "E104", "", None, None),
        ("removed", "Added", "is_deactivated", "unchanged", "E104", "title", "Clerk", None),
        ("removed", "Added", "is_deactivated", "unchanged", "E104", "groups", "g7", None),
    }


OTHER = nominative(identifier="CRM_User_Other", correlation_rules=(), navigation_rules=())


@pytest.mark.parametrize(
    ("planned", "present", "expected"),
    [
        ((nominative(), OTHER), (nominative(),), ("created", "CRM_User_Other", "resource type", "new")),
        ((), (nominative(),), ("removed", "CRM_User_Nominative", "resource type", "removed")),
    ],
)
def test_a_resource_type_that_only_one_has_is_the_cause_of_its_orders(
    organisation: Organisation,
    planned: tuple[ResourceType, ...],
    present: tuple[ResourceType, ...],
    expected: tuple[str, ...],
) -> None:
    _, lines = differences(organisation, planned, present)
    assert {tuple(line[name] for name in ("change", "resource_type", "rule", "status")) for line in lines} == {expected}


@LAW
@given(seed=st.integers(0, 2**32))
def test_for_any_organisation_the_lines_account_for_every_order_that_differs(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    organisation = crowd(folder / "organisation", seed)
    (present,) = organisation.resource_types
    planned = present.model_copy(
        update={
            "type_rule": TypeRule(condition="status = 'active' and employee_id < 'E2'"),
            "scalar_rules": (ScalarRule(property="title", expression="upper(title)"), *present.scalar_rules[1:]),
            "correlation_rules": present.correlation_rules[:1],
        }
    )
    orders, lines = differences(organisation, (planned,), (present,))
    assert sum(1 for line in lines if line["rule"] == "no rule any more" and line["property"] != "groups") == 0
    touched: dict[str, set[Any]] = {"created": set(), "removed": set(), "updated": set()}
    for line in lines:
        touched[line["change"]].add(line["owner_id"])
    differing = orders.inserted + orders.updated + orders.deleted
    assert len(set.union(*touched.values())) == differing
    assert touched["created"] or not orders.inserted
    assert touched["removed"] or not orders.deleted
