"""For any change, an incremental evaluation ends where a complete one does (engine.md 8.3, 18)."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from include.model.resource_type import (
    CorrelationRule,
    NavigationRule,
    QueryRule,
    RecordSection,
    ResourceType,
    ScalarRule,
    TimeOffset,
    TypeRule,
)
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.incremental import History
from tests.unit.policy.organisation import EARLIER, LATER, NOW, Organisation, Row, nominative
from tests.unit.policy.test_laws import TABLES, everything

PEOPLE = range(1, 41)
ORGANIZATIONS = range(1, 5)
TITLES = ["Clerk", "Boss", "", None]
MOMENTS = [NOW + timedelta(hours=hours) for hours in (-30, -1, 1, 5, 30)]
EARLIER_BY_TWO_HOURS = TimeOffset(reference="before", before_minutes=-120, after_minutes=120)
LATER_THAN_NOW = NOW + timedelta(hours=3)
KINDS = ("plain", "timed", "query", "shared")
"""Of resource types: rules that hold always, rules with a time, query rules, two that share their targets."""
REPORTS = RecordSection(navigation="reports", start_property="start_date", end_property="end_date")
"""Somebody's reports, as if they were their contracts: several for some, and changing all the time."""
Change = Callable[[random.Random, Organisation], None]
LAW = settings(
    max_examples=50,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def resource_types(chance: random.Random, kind: str) -> tuple[ResourceType, ...]:
    """Rules over properties, links of the first and of the second order, and the clock; some share targets."""
    conditions = ["status = 'active'", "status = 'active' AND start_date <= evaluated_at", "organization.code <> 'O3'"]
    timed = kind == "timed" or (kind == "shared" and chance.random() < 0.5)
    records = REPORTS if chance.random() < 0.4 else None
    queries = (
        QueryRule(
            navigation="groups", source_expression="organization.name", target_expression="display_name",
            confidence=chance.choice([80, 100]),
        ),
    )[: kind == "query"]  # fmt: skip
    account = nominative(
        fulfil_hours_ahead_of_time=chance.choice([0, 4]),
        allow_add=chance.random() < 0.8,
        allow_remove=chance.random() < 0.7,
        block_provisioning=chance.random() < 0.4,
        records=records,
        type_rule=TypeRule(
            condition=chance.choice(conditions),
            start=chance.choice(["start_date", "record_start"] if records else ["start_date"]) if timed else None,
        ),
        correlation_rules=(
            CorrelationRule(source_expression="employee_id", target_expression="external_id", confidence=120),
            CorrelationRule(source_expression="mail", target_expression="mail", confidence=chance.choice([90, 110])),
            CorrelationRule(
                source_expression=chance.choice(["manager.mail", "record.mail"]) if records else "manager.mail",
                target_expression="user_name", confidence=60,
            ),
        ),
        scalar_rules=(
            ScalarRule(property="title", expression="title"),
            ScalarRule(property="user_name", expression="manager.organization.name"),
            ScalarRule(property="mail", expression="mail", is_mapped=False),
            *([ScalarRule(property="level", expression="len(record.organization.name)")] if records else []),
            *([ScalarRule(property="since", expression="record_end")] if records else []),
            *([ScalarRule(property="skills", expression="title", time_offset=EARLIER_BY_TWO_HOURS)] if timed else []),
        ),
        query_rules=queries,
        navigation_rules=() if queries else (
            NavigationRule(
                navigation="groups", target_property="display_name", target_value="Sales",
                condition=chance.choice(["organization.code = 'O1'", "manager.title = 'Boss'"]),
            ),
            NavigationRule(
                navigation="groups", target_property="display_name", target_value="Staff",
                condition="start_date <= evaluated_at",
            ),
        ),
    )  # fmt: skip
    administrator = nominative(
        identifier="CRM_User_Administrator",
        type_rule=TypeRule(condition="title = 'Boss'"),
        depends_on=chance.choice([None, "CRM_User_Nominative"]),
        correlation_rules=(CorrelationRule(source_expression="last_name", target_expression="user_name"),),
        scalar_rules=(ScalarRule(property="skills", expression="organization.name"),),
        navigation_rules=(),
    )
    return (account, administrator) if kind == "shared" else (account,)


def crowd(folder: Path, chance: random.Random, kind: str) -> Organisation:
    organisation = Organisation(folder, resource_types(chance, kind), chance.choice([EARLIER, LATER]))
    for number in ORGANIZATIONS:
        organisation.organization(500 + number, f"O{number}", chance.choice(["Sales", "Admin", None]))
    organisation.group(601, "Sales")
    organisation.group(602, "Staff")
    for number in PEOPLE:
        if chance.random() < 0.9:
            add_person(chance, organisation, number)
        if chance.random() < 0.7:
            add_user(chance, organisation, 1000 + number)
    for number in PEOPLE:
        link_person(chance, organisation, number)
    return organisation


def add_person(chance: random.Random, organisation: Organisation, number: int) -> None:
    organisation.person(
        number, f"E{number}", title=chance.choice(TITLES), mail=mail(chance, number), last_name=surname(chance, number),
        status=chance.choice(["active", "active", "left"]), start_date=naive(chance.choice([None, *MOMENTS])),
        end_date=naive(chance.choice([None, *MOMENTS])),
    )  # fmt: skip


def add_user(chance: random.Random, organisation: Organisation, number: int) -> None:
    organisation.user(
        number, f"E{near(chance, number - 1000)}", title=chance.choice(TITLES),
        mail=mail(chance, number - 1000),
        user_name=chance.choice([mail(chance, chance.choice(PEOPLE)), surname(chance, number - 1000), None]),
    )  # fmt: skip
    for group in (601, 602):
        if chance.random() < 0.4 and any(row["resource_id"] == group for row in organisation.rows["CRM_Group"]):
            organisation.link("CRM_GroupMember", group, number)


def link_person(chance: random.Random, organisation: Organisation, number: int) -> None:
    people = ids(organisation, "HR_Person")
    organizations = ids(organisation, "HR_Organization")
    if number in people and organizations:
        if chance.random() < 0.8:
            organisation.link("HR_PersonOrganization", number, chance.choice(organizations))
        if chance.random() < 0.8:
            organisation.link("HR_PersonManager", number, chance.choice(people))


def near(chance: random.Random, number: int) -> int:
    """The number, but now and then another one."""
    return number if chance.random() < 0.8 else chance.choice(PEOPLE)


def mail(chance: random.Random, number: int) -> str | None:
    return chance.choice(["", None]) if chance.random() < 0.2 else f"m{near(chance, number)}@x"


def surname(chance: random.Random, number: int) -> str:
    return f"Name {near(chance, number)}"


def naive(instant: datetime | None) -> datetime | None:
    return instant and instant.replace(tzinfo=None)


def ids(organisation: Organisation, entity_type: str) -> list[int]:
    return [row["resource_id"] for row in organisation.rows.get(entity_type, [])]


def change(chance: random.Random, organisation: Organisation) -> None:
    """One thing happens in a managed system, in the repository or by an order."""
    changes: list[Change] = [
        change_person, change_person, change_organization, change_user, change_user, change_links, change_links,
        change_member, come, go, change_group, set_state,
    ]  # fmt: skip
    chance.choice(changes)(chance, organisation)


def change_person(chance: random.Random, organisation: Organisation) -> None:
    values: dict[str, list[Any]] = {
        "title": TITLES, "mail": [mail(chance, chance.choice(PEOPLE))], "status": ["active", "left"],
        "first_name": ["Ann", "Bob"],
        "last_name": [surname(chance, chance.choice(PEOPLE))], "start_date": [None, *map(naive, MOMENTS)],
        "end_date": [None, *map(naive, MOMENTS)],
    }  # fmt: skip
    item = chance.choice(list(values))
    pick(chance, organisation, "HR_Person")[item] = chance.choice(values[item])


def change_organization(chance: random.Random, organisation: Organisation) -> None:
    pick(chance, organisation, "HR_Organization")["name"] = chance.choice(["Sales", "Admin", None])


def change_user(chance: random.Random, organisation: Organisation) -> None:
    values: dict[str, list[Any]] = {
        "title": TITLES, "mail": [mail(chance, chance.choice(PEOPLE))], "level": [1, 2],
        "external_id": [f"E{chance.choice(PEOPLE)}"],
        "user_name": [mail(chance, chance.choice(PEOPLE)), surname(chance, 1)], "skills": ["Sales", None],
    }  # fmt: skip
    item = chance.choice(list(values))
    pick(chance, organisation, "CRM_User")[item] = chance.choice(values[item])


def change_links(chance: random.Random, organisation: Organisation) -> None:
    number = chance.choice(PEOPLE)
    item = chance.choice(["HR_PersonOrganization", "HR_PersonManager"])
    if chance.random() < 0.8:
        organisation.links[item] = {pair for pair in organisation.links.get(item, set()) if pair[0] != number}
    link_person(chance, organisation, number)


def change_member(chance: random.Random, organisation: Organisation) -> None:
    groups, users = ids(organisation, "CRM_Group"), ids(organisation, "CRM_User")
    if groups and users:
        pair = chance.choice(groups), chance.choice(users)
        organisation.links.setdefault("CRM_GroupMember", set()).symmetric_difference_update({pair})


def come(chance: random.Random, organisation: Organisation) -> None:
    number = chance.choice(PEOPLE)
    if number not in ids(organisation, "HR_Person"):
        add_person(chance, organisation, number)
    if 1000 + number not in ids(organisation, "CRM_User"):
        add_user(chance, organisation, 1000 + number)


def go(chance: random.Random, organisation: Organisation) -> None:
    entity_type = chance.choice(["HR_Person", "CRM_User", "CRM_User", "HR_Organization"])
    if found := ids(organisation, entity_type):
        organisation.remove(entity_type, chance.choice(found))


def change_group(chance: random.Random, organisation: Organisation) -> None:
    if chance.random() < 0.5:
        pick(chance, organisation, "CRM_Group")["display_name"] = chance.choice(["Sales", "Staff", "Other"])
    elif (unused := 603 + chance.randrange(3)) not in ids(organisation, "CRM_Group"):
        organisation.group(unused, chance.choice(["Sales", "Staff"]))


def pick(chance: random.Random, organisation: Organisation, entity_type: str) -> Row:
    rows = organisation.rows.get(entity_type) or [{}]
    return chance.choice(rows)


def set_state(chance: random.Random, organisation: Organisation) -> None:
    """An order or a decision changes an assignment, or a value of one."""
    row = pick(chance, organisation, chance.choice(TABLES))
    row["provisioning_state"] = chance.choice([P.PENDING, P.TRANSMITTED, P.EXECUTED, P.VERIFIED, P.ERRORED])
    row["workflow_state"] = chance.choice([row.get("workflow_state"), W.CALCULATED, W.DECLINED, W.APPROVED])
    row["executed_at"] = naive(chance.choice([None, EARLIER, NOW, LATER]))


@pytest.mark.parametrize("kind", KINDS)
@LAW
@given(seed=st.integers(0, 2**32))
def test_an_incremental_evaluation_ends_where_a_complete_one_does(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int
) -> None:
    chance = random.Random(seed)
    organisation = crowd(tmp_path_factory.mktemp("crowd"), chance, kind)
    history = History.begin(organisation)
    for evaluated_at in (NOW, LATER_THAN_NOW)[: chance.choice([1, 2])]:
        for _ in range(chance.choice([0, 1, 3, 10])):
            change(chance, organisation)
        if chance.random() < 0.3:
            organisation.read_at = LATER
        complete = copy.deepcopy(organisation)
        complete.folder = tmp_path_factory.mktemp("complete")
        complete.evaluate(evaluated_at=evaluated_at)
        history.evaluate(evaluated_at)
        assert everything(organisation) == everything(complete), seed
        assert found(organisation) == found(complete), seed


def evaluated(organisation: Organisation, history: History, at: datetime = NOW) -> int:
    """How many owners an incremental evaluation looks at; it ends where a complete one does."""
    complete = copy.deepcopy(organisation)
    complete.folder = organisation.folder / "complete"
    complete.folder.mkdir(exist_ok=True)
    complete.evaluate(evaluated_at=at)
    counters = history.evaluate(at).counters
    assert everything(organisation) == everything(complete)
    assert found(organisation) == found(complete)
    return sum(figures["evaluated"] for figures in counters.values())


def couple(folder: Path, *resource_types: ResourceType) -> Organisation:
    """Ten people with accounts; the first is the manager of the second, whose organization is the first."""
    organisation = Organisation(folder, resource_types or (nominative(),))
    for number in range(1, 11):
        organisation.person(number, last_name=f"Name {number}")
        organisation.user(1000 + number, f"E{number}")
    organisation.organization(501, "O1", "Sales")
    organisation.group(601, "Sales")
    organisation.link("HR_PersonManager", 2, 1)
    organisation.link("HR_PersonOrganization", 1, 501)
    return organisation


def test_a_change_that_no_rule_reads_concerns_nobody(tmp_path: Path) -> None:
    organisation = couple(tmp_path)
    history = History.begin(organisation)
    organisation.find("HR_Person", 3)["first_name"] = "Ann"
    organisation.find("CRM_User", 1004)["level"] = 7
    assert evaluated(organisation, history) == 0


def test_a_change_two_links_away_concerns_who_leads_there(tmp_path: Path) -> None:
    rule = ScalarRule(property="title", expression="manager.organization.name")
    organisation = couple(tmp_path, nominative(scalar_rules=(rule,)))
    history = History.begin(organisation)
    organisation.find("HR_Organization", 501)["name"] = "Marketing"
    assert evaluated(organisation, history) == 1
    assert organisation.scalars["CRM_User_Nominative|2|title"]["policy_value"] == "Marketing"


def test_who_shares_a_key_with_a_changed_target_is_looked_at_again(tmp_path: Path) -> None:
    organisation = couple(tmp_path)
    organisation.user(2001, "E3")
    history = History.begin(organisation)
    assert organisation.assignments.get("CRM_User_Nominative|3") is None
    organisation.find("CRM_User", 2001)["external_id"] = "E99"
    assert evaluated(organisation, history) == 1
    assert organisation.assignments["CRM_User_Nominative|3"]["target_id"] == 1003


def test_a_later_read_concerns_who_was_written_since_the_one_before(tmp_path: Path) -> None:
    organisation = couple(tmp_path)
    organisation.evaluate()
    row = next(
        row for row in organisation.rows["assigned_resource_scalar"] if row["assigned_scalar"].endswith("|4|title")
    )
    row |= {"provisioning_state": P.EXECUTED, "executed_at": naive(NOW)}
    organisation.find("CRM_User", 1004)["title"] = "Other"
    history = History.begin(organisation)
    organisation.read_at = LATER
    assert evaluated(organisation, history) == 1
    assert organisation.scalars["CRM_User_Nominative|4|title"]["workflow_state"] == W.FOUND


def test_what_a_query_rule_seeks_concerns_who_seeks_it(tmp_path: Path) -> None:
    rule = QueryRule(navigation="groups", source_expression="organization.name", target_expression="display_name")
    organisation = couple(tmp_path, nominative(navigation_rules=(), query_rules=(rule,)))
    history = History.begin(organisation)
    organisation.find("CRM_Group", 601)["display_name"] = "Other"
    organisation.group(602, "Sales")
    assert evaluated(organisation, history) == 1
    assert organisation.navigations["CRM_User_Nominative|1|groups|602"]["expected"]


def found(organisation: Organisation) -> list[str]:
    return sorted(str(row) for row in organisation.findings())
