from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.difference.thresholds import FLOOR, LIMITS, Subject, Tally, Verdict, check
from include.model.configuration import ConnectorThresholds, LinkThresholds, ResourceThresholds
from include.model.resource_type import ProvisioningThresholds


def blocked(tally: Tally, thresholds: object, links: bool | None = None) -> bool:
    return check([Subject("connector", "HR", tally, thresholds, links)]).blocked  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tally", "links", "expected"),
    [
        (Tally(1200, updated=61), False, True),
        (Tally(1200, updated=60), False, False),
        (Tally(9000, inserted=460), True, True),
        (Tally(9000, inserted=450), True, False),
        (Tally(1200, deleted=1200), False, True),
        (Tally(0, inserted=3), False, True),
        (Tally(0, inserted=2), False, False),
        (Tally(0), False, False),
        (Tally(1_000_000, inserted=101), False, True),
        (Tally(1_000_000, inserted=100), False, False),
        (Tally(1_000_000, inserted=1001), True, True),
        (Tally(1_000_000, inserted=1000), True, False),
    ],
)
def test_the_worked_values_of_the_product_with_its_defaults(tally: Tally, links: bool, expected: bool) -> None:
    assert blocked(tally, ConnectorThresholds(), links) is expected


def test_the_lowest_limit_blocks() -> None:
    stored = 100_000
    connector = Subject("connector", "HR", Tally(stored, deleted=101), ConnectorThresholds(), links=False)
    loose = Subject("entity_type", "P", Tally(stored, deleted=101), ResourceThresholds(maximum_deleted_lines=500))
    assert [line.level for line in check([connector, loose]).lines if line.exceeded] == ["connector"]
    strict = Subject("entity_type", "P", Tally(stored, deleted=21), ResourceThresholds(maximum_deleted_lines=20))
    verdict = check([Subject("connector", "HR", Tally(stored, deleted=21), ConnectorThresholds(), False), strict])
    assert [(line.level, line.limit) for line in verdict.lines if line.exceeded] == [
        ("entity_type", "maximum_deleted_lines")
    ]


def test_zero_switches_a_limit_off() -> None:
    assert check([Subject("entity_type", "P", Tally(1, deleted=1), ResourceThresholds())]) == Verdict(False, ())


def test_a_fraction_of_a_percent_is_exact() -> None:
    limit = LinkThresholds(max_percentage_deleted_lines=0.1)
    assert not blocked(Tally(3000, deleted=3), limit)
    assert blocked(Tally(3000, deleted=4), limit)
    assert blocked(Tally(2999, deleted=3), limit)


def test_initial_mode_lifts_the_limits_and_still_shows_them() -> None:
    subject = Subject("connector", "HR", Tally(0, inserted=5000), ConnectorThresholds(), links=False)
    verdict = check([subject], lifted=True)
    assert not verdict.blocked
    assert [line.found for line in verdict.lines if line.limit == "maximum_inserted_lines"] == [5000]


def test_the_same_rules_guard_orders() -> None:
    thresholds = ProvisioningThresholds(maximum_delete=10)
    assert blocked(Tally(100, deleted=31), thresholds)
    assert blocked(Tally(100, deleted=11), thresholds)
    assert not blocked(Tally(100, deleted=10, inserted=30, updated=30), thresholds)
    assert blocked(Tally(100, updated=31), thresholds)


def test_every_limit_of_every_thresholds_model_is_known() -> None:
    for model in (ConnectorThresholds, ResourceThresholds, LinkThresholds, ProvisioningThresholds):
        assert set(model.model_fields) <= {*LIMITS, FLOOR}
        assert FLOOR in model.model_fields


def test_a_verdict_survives_json() -> None:
    verdict = check([Subject("connector", "HR", Tally(1200, updated=61), ConnectorThresholds(), links=False)])
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
    assert "connector HR: max_percentage_updated_lines exceeded (61 updated of 1200 stored, limit 5 %)" in [
        str(line) for line in verdict.lines
    ]


def test_below_the_floor_a_percentage_does_not_block() -> None:
    assert not blocked(Tally(20, updated=2, deleted=2, inserted=2), ConnectorThresholds(), links=False)
    assert blocked(Tally(20, updated=3), ConnectorThresholds(), links=False)
    assert not blocked(Tally(20, deleted=2), ConnectorThresholds(), links=True)
    assert blocked(Tally(20, deleted=3), ConnectorThresholds(), links=True)


def test_a_floor_of_zero_leaves_the_bare_percentage() -> None:
    assert blocked(Tally(20, updated=2), ConnectorThresholds(percentage_floor=0), links=False)
    assert blocked(Tally(0, inserted=1), ConnectorThresholds(percentage_floor=0), links=False)
    assert blocked(Tally(3, deleted=1), ProvisioningThresholds())


def test_the_floor_never_raises_an_absolute_limit() -> None:
    limit = ResourceThresholds(maximum_deleted_lines=1, percentage_floor=50)
    assert blocked(Tally(1000, deleted=2), limit)


def test_the_connector_with_its_defaults_and_a_mapping() -> None:
    def first(tally: Tally, mapping: ResourceThresholds) -> list[str]:
        subjects = [
            Subject("connector", "HR", tally, ConnectorThresholds(), links=False),
            Subject("entity_type", "P", tally, mapping),
        ]
        return [f"{line.level} {line.limit}" for line in check(subjects).lines if line.exceeded]

    loose = ResourceThresholds(maximum_updated_lines=500, max_percentage_updated_lines=0)
    assert first(Tally(100_000, updated=101), loose) == ["connector maximum_updated_lines"]
    assert first(Tally(1200, updated=61), loose) == ["connector max_percentage_updated_lines"]
    assert first(Tally(1200, updated=60), loose) == []
    assert first(Tally(1200, updated=21), ResourceThresholds(maximum_updated_lines=20)) == [
        "entity_type maximum_updated_lines"
    ]


def test_links_have_no_update() -> None:
    names = {line.limit for line in check([Subject("connector", "HR", Tally(9), ConnectorThresholds(), True)]).lines}
    assert names == {
        "maximum_link_deleted_lines",
        "maximum_link_inserted_lines",
        "max_link_percentage_deleted_lines",
        "max_link_percentage_inserted_lines",
    }
    assert not any("link_updated" in name for name in LIMITS)


def test_a_lifted_limit_says_that_it_would_block() -> None:
    subject = Subject("connector", "HR", Tally(0, inserted=5000), ConnectorThresholds(), links=False)
    states = {line.limit: line.state for line in check([subject], lifted=True).lines}
    assert states["maximum_inserted_lines"] == "lifted"
    assert states["maximum_deleted_lines"] == "respected"


def test_a_large_limit_is_written_out() -> None:
    limit = ResourceThresholds(maximum_deleted_lines=1_000_000)
    (line,) = check([Subject("entity_type", "P", Tally(5_000_000, deleted=1_234_567), limit)]).lines
    assert "1234567 deleted of 5000000 stored, limit 1000000" in str(line)


@given(
    stored=st.integers(0, 10**9),
    count=st.integers(0, 10**9),
    percent=st.decimals("0.01", "100", places=2),
    floor=st.integers(0, 10**6),
)
@example(stored=1200, count=61, percent=Decimal("5.00"), floor=2)
@example(stored=1200, count=60, percent=Decimal("5.00"), floor=2)
@example(stored=1200, count=61, percent=Decimal("5.00"), floor=61)
def test_a_percentage_blocks_exactly_above_it_and_its_floor(
    stored: int, count: int, percent: Decimal, floor: int
) -> None:
    limit = ResourceThresholds(max_percentage_deleted_lines=float(percent), percentage_floor=floor)
    assert blocked(Tally(stored, deleted=count), limit) is (
        count > floor and count * 10_000 > int(percent * 100) * stored
    )
