from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.difference.thresholds import LIMITS, Subject, Tally, Verdict, check
from include.model.configuration import (
    ConnectorThresholds,
    LinkThresholds,
    ProvisioningThresholds,
    ResourceThresholds,
)


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
        (Tally(0, inserted=1), False, True),
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
        assert set(model.model_fields) <= set(LIMITS)


def test_a_verdict_survives_json() -> None:
    verdict = check([Subject("connector", "HR", Tally(1200, updated=61), ConnectorThresholds(), links=False)])
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
    assert "connector HR: max_percentage_updated_lines exceeded (61 updated of 1200 stored, limit 5 %)" in [
        str(line) for line in verdict.lines
    ]


@given(stored=st.integers(0, 10**9), count=st.integers(0, 10**9), percent=st.decimals("0.01", "100", places=2))
def test_a_percentage_blocks_exactly_above_it(stored: int, count: int, percent: object) -> None:
    hundredths = int(str(percent).replace(".", ""))
    limit = ResourceThresholds(max_percentage_deleted_lines=float(str(percent)))
    assert blocked(Tally(stored, deleted=count), limit) is (count * 10_000 > hundredths * stored)
