"""An evaluation as a whole: rules, files, findings, figures."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from include.difference.compare import Counts
from include.model.resource_type import NavigationRule, ScalarRule, TypeRule
from include.policy.dependency import by_dependency
from include.policy.errors import PolicyError
from include.policy.evaluate import evaluate
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from include.storage.folder import Folder
from tests.unit.policy.organisation import EARLIER, NOW, Organisation, configuration, nominative


@pytest.fixture
def organisation(tmp_path: Path) -> Organisation:
    return Organisation(tmp_path)


def group_rule(name: str, condition: str = "true") -> NavigationRule:
    return NavigationRule(navigation="groups", target_property="display_name", target_value=name, condition=condition)


def test_the_demo_scenario_from_hiring_to_leaving(organisation: Organisation) -> None:
    """Creation, membership, confirmation, a change of organisation, and removal, with provisioning by hand."""
    organisation.organization(1, "SAL")
    organisation.organization(2, "DEV")
    organisation.group(7, "Sales")
    organisation.person(1)
    organisation.link("HR_PersonOrganization", 1, 1)
    organisation.evaluate()
    assert {row["provisioning_state"] for row in organisation.assignments.values()} == {P.PENDING}

    carry_out(organisation, key="u11")
    assert organisation.evaluate().changed == 0, "nothing is decided while the order is on its way"

    organisation.user(11, "E1")
    organisation.link("CRM_GroupMember", 7, 11)
    read(organisation)
    evaluation = organisation.evaluate()
    assert evaluation.counters["CRM_User_Nominative"]["verified"] == 1
    assert states(organisation) == {P.VERIFIED}

    organisation.links["HR_PersonOrganization"] = {(1, 2)}
    organisation.evaluate()
    (link,) = organisation.navigations.values()
    assert (link["expected"], link["provisioning_state"]) == (False, P.PENDING)
    carry_out(organisation)
    organisation.links["CRM_GroupMember"] = set()
    read(organisation)
    organisation.evaluate()
    assert organisation.navigations == {}

    organisation.find("HR_Person", 1)["status"] = "left"
    evaluation = organisation.evaluate()
    assert evaluation.counters["CRM_User_Nominative"]["to_delete"] == 1
    carry_out(organisation)
    organisation.remove("CRM_User", 11)
    read(organisation)
    organisation.evaluate()
    assert organisation.assignments == organisation.scalars == {}


def carry_out(organisation: Organisation, key: str | None = None) -> None:
    """Everything pending is carried out now."""
    for table in ("assigned_resource_type", "assigned_resource_scalar", "assigned_resource_navigation"):
        for row in organisation.rows.get(table, []):
            if row["provisioning_state"] == P.PENDING:
                row |= {"provisioning_state": P.EXECUTED, "executed_at": NOW.replace(tzinfo=None)}
                if key and table == "assigned_resource_type":
                    row["target_key"] = key


def read(organisation: Organisation) -> None:
    """The target is read after everything that has been carried out."""
    organisation.read_at = NOW.replace(hour=NOW.hour + 1)


def states(organisation: Organisation) -> set[int]:
    tables = (organisation.assignments, organisation.scalars, organisation.navigations)
    return {row["provisioning_state"] for table in tables for row in table.values()}


def test_rules_read_over_links_of_any_depth(organisation: Organisation) -> None:
    rule = ScalarRule(property="title", expression="manager.organization.name || '/' || manager.manager.last_name")
    organisation.resource_types = (nominative(scalar_rules=(rule,), navigation_rules=()),)
    organisation.organization(1, "SAL", "Sales")
    for number, last_name in ((1, "Clerk"), (2, "Head"), (3, "Boss")):
        organisation.person(number, last_name=last_name)
    organisation.link("HR_PersonManager", 1, 2)
    organisation.link("HR_PersonManager", 2, 3)
    organisation.link("HR_PersonOrganization", 2, 1)
    organisation.evaluate()
    found = {row["assignment"][-1]: row["policy_value"] for row in organisation.scalars.values()}
    assert found == {"1": "Sales/Boss", "2": None, "3": None}


def test_a_link_to_one_that_leads_to_several_is_followed_nowhere_and_listed(organisation: Organisation) -> None:
    organisation.resource_types = (
        nominative(scalar_rules=(ScalarRule(property="title", expression="organization.code"),)),
    )
    organisation.organization(1, "SAL")
    organisation.organization(2, "DEV")
    organisation.group(7, "Sales")
    organisation.person(1)
    organisation.link("HR_PersonOrganization", 1, 1)
    organisation.link("HR_PersonOrganization", 1, 2)
    organisation.evaluate()
    assert [row["policy_value"] for row in organisation.scalars.values()] == [None]
    assert organisation.navigations == {}
    assert [(row["owner_key"], row["detail"]) for row in organisation.findings("ambiguous")] == [
        ("E1", "organization has 2 links, one is expected: none is followed")
    ]


def test_several_rules_for_one_link_are_or(organisation: Organisation) -> None:
    rules = (group_rule("Sales", "title = 'Boss'"), group_rule("Sales", "status = 'active'"))
    organisation.resource_types = (nominative(navigation_rules=rules),)
    organisation.group(7, "Sales")
    organisation.person(1, title="Boss")
    organisation.evaluate()
    assert list(organisation.navigations) == ["CRM_User_Nominative|1|groups|7"]


def test_a_link_whose_target_does_not_exist_is_listed_and_given_when_it_does(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(navigation_rules=(group_rule("Sales"),)),)
    organisation.person(1)
    evaluation = organisation.evaluate()
    assert organisation.navigations == {}
    assert evaluation.counters["CRM_User_Nominative"]["unresolved_links"] == 1
    (finding,) = organisation.findings("unresolved_link")
    assert (finding["owner_key"], finding["detail"]) == (
        "E1", "groups: CRM_Group with display_name = Sales does not exist"
    )  # fmt: skip
    organisation.group(7, "Sales")
    organisation.evaluate()
    assert [row["linked_id"] for row in organisation.navigations.values()] == [7]
    assert organisation.findings("unresolved_link") == []


def test_a_link_whose_target_is_one_of_several_is_not_given(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(navigation_rules=(group_rule("Sales"),)),)
    organisation.group(7, "Sales")
    organisation.group(8, "Sales")
    organisation.person(1)
    organisation.evaluate()
    assert organisation.navigations == {}
    assert [row["kind"] for row in organisation.findings()] == ["ambiguous"]


def test_memberships_that_no_rule_gave_are_left_alone(organisation: Organisation) -> None:
    organisation.group(7, "Sales")
    organisation.group(8, "Old friends")
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.link("CRM_GroupMember", 7, 11)
    organisation.link("CRM_GroupMember", 8, 11)
    organisation.evaluate()
    assert organisation.navigations == {}


def test_removing_a_navigation_rule_takes_its_links_away(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(navigation_rules=(group_rule("Sales"),)),)
    organisation.group(7, "Sales")
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.link("CRM_GroupMember", 7, 11)
    organisation.evaluate()
    organisation.resource_types = (nominative(navigation_rules=()),)
    organisation.evaluate()
    (link,) = organisation.navigations.values()
    assert (link["expected"], link["provisioning_state"], link["workflow_state"]) == (False, P.PENDING, W.CANCELLATION)


def test_a_link_to_a_group_that_is_gone_is_forgotten(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(navigation_rules=(group_rule("Sales"),)),)
    organisation.group(7, "Sales")
    organisation.person(1)
    organisation.user(11, "E1")
    organisation.link("CRM_GroupMember", 7, 11)
    organisation.evaluate()
    organisation.remove("CRM_Group", 7)
    organisation.evaluate()
    assert organisation.navigations == {}


def test_evaluated_at_decides_by_the_instant_of_the_run(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(type_rule=TypeRule(condition="start_date <= evaluated_at")),)
    instant = NOW.replace(tzinfo=None)
    organisation.person(1, start_date=instant)
    organisation.person(2, start_date=instant.replace(minute=1))
    organisation.evaluate()
    assert list(organisation.assignments) == ["CRM_User_Nominative|1"]


def test_other_resource_types_are_neither_changed_nor_forgotten(organisation: Organisation) -> None:
    other = nominative(identifier="CRM_User_Nominative_2", correlation_rules=())
    organisation.resource_types = (nominative(), other)
    organisation.person(1)
    organisation.evaluate()
    before = organisation.assignments, organisation.scalars
    organisation.find("HR_Person", 1)["status"] = "left"
    organisation.evaluate(resource_types=(nominative(),))
    assert list(organisation.assignments) == ["CRM_User_Nominative_2|1"]
    assert organisation.assignments.items() <= before[0].items()
    assert organisation.scalars.items() <= before[1].items()


def test_the_files_of_an_evaluation(organisation: Organisation, tmp_path: Path) -> None:
    organisation.person(1)
    organisation.person(2, title="Boss")
    organisation.user(12, "E2")
    organisation.user(13, "E3")
    evaluation = organisation.evaluate()
    assert {file.name for file in (tmp_path / "changes").iterdir()} == {
        "assigned_resource_type.parquet", "assigned_resource_scalar.parquet", "assigned_resource_navigation.parquet",
        "findings.parquet", "evaluation.json",
    }  # fmt: skip
    changes = parquet.read_table(tmp_path / "changes" / "assigned_resource_type.parquet")
    assert changes.column_names == ["command", "key", "changed_columns", "old", "new"]
    assert [row["command"] for row in changes.to_pylist()] == ["insert", "insert"]
    assert changes.schema.field("new").type.field("owner_id").type == pyarrow.int64()
    assert changes.schema.field("new").type.field("provisioning_state").type == pyarrow.int32()
    assert evaluation.changes["assigned_resource_type"] == Counts(0, 2, 0, 0, 0)
    summary = json.loads((tmp_path / "changes" / "evaluation.json").read_text())
    assert summary["evaluated_at"] == "2024-06-01T12:00:00+00:00"
    assert summary["entity_types"]["assigned_resource_scalar"]["inserted"] == 2
    assert summary["resource_types"]["CRM_User_Nominative"] == {
        "owners": 2, "correlated": 1, "ambiguous": 0, "to_create": 1, "to_update": 1, "to_delete": 0, "verified": 0,
        "gaps": 0, "in_flight": 0, "awaiting_approval": 0, "errored": 0, "orphans": 1, "unresolved_links": 0,
        "creations_not_allowed": 0, "creations_waiting": 0, "suggested": 0, "next_change_at": None,
        "target_read_at": "2024-06-01T10:00:00+00:00",
    }  # fmt: skip


def test_figures_count_what_waits(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(block_provisioning=True, allow_add=False),)
    organisation.person(1, title="Boss")
    organisation.person(2)
    organisation.person(3, status="left")
    organisation.user(11, "E1")
    figures = organisation.evaluate().counters["CRM_User_Nominative"]
    assert (figures["owners"], figures["awaiting_approval"], figures["creations_not_allowed"]) == (2, 1, 1)
    assert (figures["to_create"], figures["to_update"], figures["in_flight"]) == (0, 0, 0)


def test_files_in_memory_serve_as_well(organisation: Organisation, tmp_path: Path) -> None:
    organisation.person(1)
    organisation.evaluate()
    run = Folder("memory://policy-run")
    for file in (tmp_path / "base").iterdir():
        with run.child("base").write(file.name) as stream:
            stream.write(file.read_bytes())
    evaluation = evaluate(
        configuration(nominative()), (nominative(),), run, evaluated_at=NOW, target_read_at={"CRM_User": EARLIER}
    )
    assert evaluation.changes["assigned_resource_type"].inserted == 1
    assert run.child("changes").exists("assigned_resource_type.parquet")


def test_a_missing_file_is_named(organisation: Organisation, tmp_path: Path) -> None:
    organisation.person(1)
    organisation.evaluate()
    (tmp_path / "base" / "CRM_Group.parquet").unlink()
    with pytest.raises(PolicyError, match=r"base/CRM_Group.parquet is missing .*: export the repository"):
        evaluate(
            configuration(nominative()),
            (nominative(),),
            Folder(tmp_path.as_uri()),
            evaluated_at=NOW,
            target_read_at={},
        )


def test_a_rule_that_fails_on_the_data_is_named(organisation: Organisation) -> None:
    rules = (
        ScalarRule(property="title", expression="title"),
        ScalarRule(property="level", expression="title::INTEGER"),
    )
    organisation.resource_types = (nominative(scalar_rules=rules),)
    organisation.person(1)
    with pytest.raises(PolicyError, match=r"^CRM_User_Nominative: scalar_rules\[1\].expression: Could not convert"):
        organisation.evaluate()


def test_a_rule_that_cannot_be_used_is_named(organisation: Organisation) -> None:
    organisation.resource_types = (nominative(type_rule=TypeRule(condition="stat = 'x'")),)
    with pytest.raises(
        PolicyError, match=r"^CRM_User_Nominative: type_rule.condition: HR_Person has no property 'stat'"
    ):
        organisation.evaluate()


def test_what_is_depended_on_comes_first() -> None:
    one, two, three = (
        nominative(identifier=name, depends_on=depends_on)
        for name, depends_on in (("One", "Two"), ("Two", "Three"), ("Three", "Elsewhere"))
    )
    assert [item.identifier for item in by_dependency([one, two, three])] == ["Three", "Two", "One"]
    circle = one.model_copy(update={"depends_on": "One"})
    assert by_dependency([circle]) == (circle,)
