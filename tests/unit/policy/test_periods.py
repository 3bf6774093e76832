"""Rules at their times: the owner's period, offsets, and orders ahead of time (engine.md 1.11, 3.12)."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.model.resource_type import NavigationRule, ResourceType, ScalarRule, TimeOffset, TypeRule
from include.policy.states import ProvisioningState as P
from include.policy.states import WorkflowState as W
from tests.unit.policy.organisation import Organisation, Row, nominative

FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31)
START, END = datetime(2024, 3, 1), datetime(2024, 9, 1)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
BEFORE, AFTER = START - 30 * DAY, END + 180 * DAY
PERIOD = TypeRule(condition="status = 'active'", start="start_date", end="end_date")


def offset(reference: str, before: int = 0, after: int = 0) -> TimeOffset:
    return TimeOffset.model_validate({"reference": reference, "before_minutes": before, "after_minutes": after})


def enabled(value: bool, time_offset: TimeOffset | None) -> ScalarRule:
    return ScalarRule(property="active", expression=str(value).lower(), time_offset=time_offset)


# The example of engine.md 1.11.
ACCOUNT_ENABLED = (
    enabled(False, offset("before", -43200, 0)),
    enabled(True, offset("around")),
    enabled(False, offset("after", 0, 259200)),
)


def timed(**changes: object) -> ResourceType:
    return nominative(
        type_rule=changes.pop("type_rule", PERIOD), scalar_rules=ACCOUNT_ENABLED, navigation_rules=()
    ).model_copy(update=changes)


def with_one_person(
    folder: Path, resource_type: ResourceType, start: datetime | None = START, end: datetime | None = END
) -> Organisation:
    organisation = Organisation(folder, (resource_type,))
    organisation.person(1, start_date=start, end_date=end)
    return organisation


def policy_at(
    folder: Path,
    instant: datetime,
    resource_type: ResourceType,
    start: datetime | None = START,
    end: datetime | None = END,
) -> Row | None:
    """What a person without an account is to get at an instant: values by property, or None for no account."""
    organisation = with_one_person(folder, resource_type, start, end)
    organisation.evaluate(evaluated_at=instant)
    if not organisation.assignments:
        return None
    return {row["property"]: row["policy_value"] for row in organisation.scalars.values()}


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (BEFORE - MINUTE, None),
        (BEFORE, "false"),
        (START - MINUTE, "false"),
        (START, "true"),
        (END - MINUTE, "true"),
        (END, "false"),
        (AFTER - MINUTE, "false"),
        (AFTER, None),
    ],
)
def test_the_three_periods_of_account_enabled(tmp_path: Path, instant: datetime, expected: str | None) -> None:
    found = policy_at(tmp_path, instant, timed())
    assert found == (None if expected is None else {"active": expected})


def test_a_whole_employment_from_the_first_order_to_the_last(tmp_path: Path) -> None:
    """Created disabled, enabled, disabled, and deleted, each exactly once and at its instant."""
    organisation = with_one_person(tmp_path, timed())
    organisation.evaluate(evaluated_at=BEFORE - MINUTE)
    assert organisation.assignments == {}
    organisation.evaluate(evaluated_at=BEFORE)
    organisation.user(11, "E1", active=False)
    organisation.evaluate(evaluated_at=BEFORE + DAY)
    assert active(organisation) == ("false", P.VERIFIED)
    organisation.evaluate(evaluated_at=START)
    assert active(organisation) == ("true", P.PENDING)
    organisation.find("CRM_User", 11)["active"] = True
    organisation.evaluate(evaluated_at=START + DAY)
    assert active(organisation) == ("true", P.VERIFIED)
    organisation.evaluate(evaluated_at=END)
    assert active(organisation) == ("false", P.PENDING)
    organisation.find("CRM_User", 11)["active"] = False
    organisation.evaluate(evaluated_at=AFTER - MINUTE)
    (assignment,) = organisation.assignments.values()
    assert (assignment["provisioning_state"], assignment["workflow_state"]) == (P.VERIFIED, W.CALCULATED)
    organisation.evaluate(evaluated_at=AFTER)
    (assignment,) = organisation.assignments.values()
    assert (assignment["provisioning_state"], assignment["workflow_state"]) == (P.PENDING, W.CANCELLATION)


def active(organisation: Organisation) -> tuple[str, P]:
    (row,) = organisation.scalars.values()
    return row["policy_value"], P(row["provisioning_state"])


@pytest.mark.parametrize(
    ("start", "end", "instant", "owned"),
    [
        (None, END, datetime(1950, 1, 1), True),
        (START, None, datetime(2999, 1, 1), True),
        (None, None, datetime(2024, 1, 1), True),
        (None, END, END, False),
        (START, None, START - MINUTE, False),
        (START, START, START, False),
        (END, START, datetime(2024, 6, 1), False),  # it ends before it begins
    ],
)
def test_a_period_may_be_open_and_holds_nothing_when_it_is_none(
    tmp_path: Path, start: datetime | None, end: datetime | None, instant: datetime, owned: bool
) -> None:
    rules = (ScalarRule(property="title", expression="title"),)
    assert (policy_at(tmp_path, instant, timed(scalar_rules=rules), start, end) is not None) is owned


def test_a_period_that_ends_before_it_begins_is_not_widened_either(tmp_path: Path) -> None:
    assert policy_at(tmp_path, END - MINUTE, timed(), END, START) is None


@pytest.mark.parametrize(
    ("days", "expected"), [(-3, None), (-2, {"title": "Clerk"}), (0, {"title": "Clerk"}), (1, None)]
)
def test_the_type_rules_own_offset_moves_what_has_none(tmp_path: Path, days: int, expected: Row | None) -> None:
    """Around -2 days and +1 day: a contract that begins and ends on the same day."""
    moved = PERIOD.model_copy(update={"time_offset": offset("around", -2880, 1440)})
    resource_type = timed(type_rule=moved, scalar_rules=(ScalarRule(property="title", expression="title"),))
    found = policy_at(tmp_path, START + days * DAY, resource_type, START, START + MINUTE)
    assert found == (expected if days < 1 else {"title": "Clerk"})
    assert policy_at(tmp_path, START + DAY + MINUTE, resource_type, START, START + MINUTE) is None


def test_where_rules_overlap_default_comes_before_around_before_before_and_after(tmp_path: Path) -> None:
    def title(text: str, time_offset: TimeOffset | None) -> ScalarRule:
        return ScalarRule(property="title", expression=f"'{text}'", time_offset=time_offset)

    wide = 14 * 1440
    resource_type = timed(
        scalar_rules=(
            title("after", offset("after", -wide, 3 * wide)),
            title("before", offset("before", -3 * wide, 20 * wide)),
            title("around", offset("around", -wide, wide)),
            title("default", None),
        )
    )
    expected = {
        START - 15 * DAY: "before",
        START - MINUTE: "around",
        START: "default",
        END - MINUTE: "default",
        END: "around",
        END + 15 * DAY: "before",
        START + 281 * DAY: None,
    }
    found = {instant: policy_at(tmp_path, instant, resource_type) for instant in expected}
    assert found == {instant: word and {"title": word} for instant, word in expected.items()}
    without_before = timed(
        scalar_rules=tuple(rule for rule in resource_type.scalar_rules if "before" not in rule.expression)
    )
    assert policy_at(tmp_path, END + 15 * DAY, without_before) == {"title": "after"}


def test_outside_its_rules_a_property_is_nobodys_business(tmp_path: Path) -> None:
    """A rule that holds before the start only: afterwards the value is neither compared nor sent."""
    rules = (
        ScalarRule(property="title", expression="title"),
        enabled(False, offset("before", -1440, 0)),
    )
    organisation = with_one_person(tmp_path, timed(scalar_rules=rules))
    organisation.user(11, "E1", active=False)
    organisation.evaluate(evaluated_at=START - MINUTE)
    assert {row["property"] for row in organisation.scalars.values()} == {"active"}, "a title comes with the start"
    organisation.find("CRM_User", 11)["active"] = True
    organisation.evaluate(evaluated_at=START)
    assert {row["property"] for row in organisation.scalars.values()} == {"title"}
    assert organisation.findings("gap") == []


def test_a_membership_after_the_end_keeps_the_account(tmp_path: Path) -> None:
    rule = NavigationRule(
        navigation="groups", target_property="display_name", target_value="Leavers",
        condition="title = 'Clerk'", time_offset=offset("after", 0, 1440),
    )  # fmt: skip
    resource_type = timed(scalar_rules=(), navigation_rules=(rule,))
    organisation = with_one_person(tmp_path, resource_type)
    organisation.person(2, title="Boss", start_date=START, end_date=END)
    organisation.group(7, "Leavers")
    organisation.user(11, "E1")
    organisation.user(12, "E2")
    organisation.evaluate(evaluated_at=END - MINUTE)
    assert organisation.navigations == {}
    organisation.evaluate(evaluated_at=END)
    assert [row["assignment"] for row in organisation.navigations.values()] == ["CRM_User_Nominative|1"]
    leaving = {key: row["workflow_state"] for key, row in organisation.assignments.items()}
    assert leaving == {"CRM_User_Nominative|1": W.CALCULATED, "CRM_User_Nominative|2": W.CANCELLATION}
    organisation.evaluate(evaluated_at=END + DAY)
    assert {row["workflow_state"] for row in organisation.assignments.values()} == {W.CANCELLATION}


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (START - DAY - MINUTE, None),
        (START - DAY, {"title": "Clerk", "active": "true"}),
        (START, {"title": "Clerk", "active": "true"}),
    ],
)
def test_ahead_of_time_the_account_is_created_as_it_is_to_be_at_its_start(
    tmp_path: Path, instant: datetime, expected: Row | None
) -> None:
    rules = (ScalarRule(property="title", expression="title"), enabled(True, None))
    resource_type = timed(scalar_rules=rules, fulfil_hours_ahead_of_time=24)
    assert policy_at(tmp_path, instant, resource_type) == expected


def test_ahead_of_time_does_not_enable_early_what_is_created_disabled(tmp_path: Path) -> None:
    resource_type = timed(fulfil_hours_ahead_of_time=24)
    assert policy_at(tmp_path, BEFORE - DAY, resource_type) == {"active": "false"}
    assert policy_at(tmp_path, START - MINUTE, resource_type) == {"active": "false"}


def test_a_local_day_as_a_period(tmp_path: Path) -> None:
    """The last day counts as a whole where the person works."""
    text = "strftime(end_date, '%d/%m/%Y')"
    until = PERIOD.model_copy(
        update={"end": f"parse_local_date_then_add_minutes({text}, 'Europe/Paris', '%d/%m/%Y', 1440)"}
    )
    rules = (ScalarRule(property="title", expression="title"),)
    resource_type = timed(type_rule=until, scalar_rules=rules)
    assert policy_at(tmp_path, datetime(2024, 9, 1, 21, 59), resource_type) is not None
    assert policy_at(tmp_path, datetime(2024, 9, 1, 22, 0), resource_type) is None


def next_change(organisation: Organisation, instant: datetime) -> datetime | None:
    organisation.evaluate(evaluated_at=instant)
    summary = json.loads((organisation.folder / "changes" / "evaluation.json").read_text())
    found = summary["resource_types"]["CRM_User_Nominative"]["next_change_at"]
    return datetime.fromisoformat(found).replace(tzinfo=None) if found else None


def test_an_evaluation_tells_when_time_alone_changes_something_next(tmp_path: Path) -> None:
    organisation = with_one_person(tmp_path, timed(fulfil_hours_ahead_of_time=24))
    instants = [BEFORE - 9 * DAY]
    while (found := next_change(organisation, instants[-1])) is not None:
        instants.append(found)
    assert instants[1:] == [BEFORE - DAY, START, END, AFTER]
    organisation.person(2, start_date=AFTER + DAY, end_date=None, status="left")
    assert next_change(organisation, AFTER) is None, "who does not qualify waits for no time"


def test_without_times_nothing_changes_by_time_alone(tmp_path: Path) -> None:
    organisation = Organisation(tmp_path)
    organisation.person(1)
    assert next_change(organisation, START) is None


def test_an_expression_that_reads_the_instant_itself_may_change_at_any_time(tmp_path: Path) -> None:
    rule = TypeRule(condition="start_date <= evaluated_at")
    organisation = Organisation(tmp_path, (nominative(type_rule=rule),))
    assert next_change(organisation, START) == START


MINUTES = st.integers(-20, 20)
INSTANTS = st.one_of(st.none(), st.integers(-30, 30).map(lambda days: START + days * DAY))


@st.composite
def rules_of_one_property(draw: st.DrawFn) -> tuple[ScalarRule, ...]:
    """At most one rule per reference, each with a text of its own."""
    offsets: list[TimeOffset | None] = []
    for reference in draw(st.sets(st.sampled_from(["after", "before", "around", "default"]), min_size=1)):
        first, second = sorted((draw(MINUTES), draw(MINUTES)))
        offsets.append(None if reference == "default" else offset(reference, first * 1440, second * 1440 + 1))
    return tuple(
        ScalarRule(property="title", expression=f"'{item.reference if item else 'default'}'", time_offset=item)
        for item in draw(st.permutations(offsets))
    )


def expected_reference(
    rules: tuple[ScalarRule, ...], start: datetime | None, end: datetime | None, instant: datetime
) -> tuple[bool, str | None]:
    """By hand: whether the type is held, and the reference of the rule in force."""
    first, last = start or FIRST, end or LAST
    if first >= last:
        return False, None

    def moved(from_: datetime, minutes: int) -> datetime:
        return from_ if from_ in {FIRST, LAST} else from_ + minutes * MINUTE

    times = {"type": (first, last)}
    for rule in rules:
        if rule.time_offset is None:
            times["default"] = (first, last)
            continue
        item = rule.time_offset
        begin = moved(last if item.reference == "after" else first, item.before_minutes)
        over = moved(first if item.reference == "before" else last, item.after_minutes)
        if begin < over:
            times[item.reference] = (begin, over)
    held = min(begin for begin, _ in times.values()) <= instant < max(over for _, over in times.values())
    in_force = [
        reference
        for reference in ("default", "around", "before", "after")
        if reference in times and times[reference][0] <= instant < times[reference][1]
    ]
    return held, in_force[0] if held and in_force else None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rules=rules_of_one_property(),
    people=st.lists(st.tuples(INSTANTS, INSTANTS), min_size=1, max_size=20),
    instant=st.integers(-60, 60).map(lambda days: START + days * DAY),
)
def test_at_any_instant_one_rule_of_a_property_is_in_force_or_none(
    rules: tuple[ScalarRule, ...], people: list[tuple[datetime | None, datetime | None]], instant: datetime
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        organisation = Organisation(Path(folder), (timed(scalar_rules=rules),))
        for number, (start, end) in enumerate(people, start=1):
            organisation.person(number, start_date=start, end_date=end)
        organisation.evaluate(evaluated_at=instant)
        for number, (start, end) in enumerate(people, start=1):
            key = f"CRM_User_Nominative|{number}"
            held, reference = expected_reference(rules, start, end, instant)
            assert (key in organisation.assignments) is held
            scalar = organisation.scalars.get(f"{key}|title")
            assert (scalar and scalar["policy_value"]) == reference
        assert organisation.evaluate(evaluated_at=instant).changed == 0
