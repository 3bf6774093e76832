"""Comparison types: which values are the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.configuration import Property
from include.model.resource_type import ComparisonType, ScalarRule
from include.policy.comparison import FUNCTIONS, same_value
from include.policy.states import ProvisioningState as P
from include.storage.engine import engine
from tests.unit.policy.organisation import Organisation, nominative

TEXT = Property(identifier="text")
LINES = Property(identifier="lines", format="MultivaluedText")
FROM_STRICT_TO_LAX: tuple[ComparisonType, ...] = ("case_sensitive", "ignore_case", "simplified", "approximate")


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with engine() as opened:
        for function in FUNCTIONS:
            opened.execute(function)
        yield opened


def same(
    connection: duckdb.DuckDBPyConnection,
    comparison_type: ComparisonType,
    first: str | None,
    second: str | None,
    target: Property = TEXT,
) -> bool:
    values = "(SELECT CAST($1 AS VARCHAR) AS first, CAST($2 AS VARCHAR) AS second)"
    condition = same_value("first", "second", comparison_type, target)
    (found,) = connection.execute(f"SELECT {condition} FROM {values}", [first, second]).fetchone() or (None,)
    assert isinstance(found, bool)
    return found


@pytest.mark.parametrize(
    ("comparison_type", "first", "second", "expected"),
    [
        ("case_sensitive", "Boss", "Boss", True),
        ("case_sensitive", "Boss", "BOSS", False),
        ("ignore_case", "Éva", "ÉVA", True),
        ("ignore_case", "Éva", "Eva", False),
        ("ignore_diacritics", "Éva", "Eva", True),
        ("ignore_diacritics", "Müller", "Muller", True),
        ("ignore_diacritics", "Éva", "eva", False),
        ("simplified", "O'Neil-Éva 2", "oneileva", True),
        ("simplified", "Lee", "Leigh", False),
        ("simplified", "Иван", "иван ", True),
        ("simplified", "12", "34", False),
        ("simplified", "12", "", False),
        ("approximate", "Zusanna", "Susana", True),
        ("approximate", "Yvon", "Ivon", True),
        ("approximate", "Wagner", "Vagner", True),
        ("approximate", "Katrin", "Cathrin", True),
        ("approximate", "Rossard", "Rocard", True),
        ("approximate", "Rosard", "Rossard", False),  # SS is C, and never collapses to S
        ("approximate", "Durand", "Durant", True),
        ("approximate", "Durand", "Duran", True),
        ("approximate", "Philippes", "Philipe", True),
        ("approximate", "Matt", "Ma", True),
        ("approximate", "T", "D", False),  # there must be something to end
        ("approximate", "Dupond", "Dupin", False),
        ("approximate", "12", "34", False),
    ],
)
def test_values(
    connection: duckdb.DuckDBPyConnection,
    comparison_type: ComparisonType,
    first: str,
    second: str,
    expected: bool,
) -> None:
    assert same(connection, comparison_type, first, second) is expected
    assert same(connection, comparison_type, second, first) is expected


@pytest.mark.parametrize("comparison_type", [*FROM_STRICT_TO_LAX, "ignore_diacritics"])
def test_nothing_is_the_same_as_nothing_only(
    connection: duckdb.DuckDBPyConnection, comparison_type: ComparisonType
) -> None:
    assert same(connection, comparison_type, None, None)
    assert not same(connection, comparison_type, None, "")
    assert not same(connection, comparison_type, "-", None)


def test_several_values_are_compared_one_by_one_whatever_their_order(connection: duckdb.DuckDBPyConnection) -> None:
    assert same(connection, "simplified", "Sales!\nIT", "it\nsales", LINES)
    assert not same(connection, "simplified", "a\nbc", "ab\nc", LINES)


@given(first=st.text(max_size=8), second=st.text(max_size=8))
def test_what_a_stricter_type_takes_for_the_same_a_laxer_one_does_too(
    connection: duckdb.DuckDBPyConnection, first: str, second: str
) -> None:
    first, second = first.replace("\x00", ""), second.replace("\x00", "")
    lettered = any(character.isalpha() for character in first + second)
    results = [same(connection, item, first, second) for item in FROM_STRICT_TO_LAX]
    assert not lettered or results == sorted(results)


@pytest.mark.parametrize(
    ("comparison_type", "state", "gap"),
    [("case_sensitive", P.VERIFIED, 1), ("ignore_case", P.VERIFIED, 0), ("approximate", P.VERIFIED, 0)],
)
def test_a_value_that_differs_only_in_case(tmp_path: Path, comparison_type: ComparisonType, state: P, gap: int) -> None:
    """A change of case in the managed system is a gap where case counts, and nothing where it does not."""
    rule = ScalarRule(property="title", expression="title", comparison_type=comparison_type)
    organisation = Organisation(tmp_path, (nominative(scalar_rules=(rule,)),))
    organisation.person(1, title="Boss")
    organisation.user(11, "E1", title="Boss")
    organisation.evaluate()
    organisation.find("CRM_User", 11)["title"] = "BOSS"
    organisation.evaluate()
    (scalar,) = organisation.scalars.values()
    assert (scalar["provisioning_state"], len(organisation.findings("gap"))) == (state, gap)
    assert (scalar["policy_value"], scalar["current_value"]) == ("Boss", "BOSS")
    assert organisation.evaluate().changed == 0


@pytest.mark.parametrize(("comparison_type", "state"), [("case_sensitive", P.PENDING), ("ignore_case", P.VERIFIED)])
def test_a_case_only_change_of_the_policy_is_an_order_where_case_counts(
    tmp_path: Path, comparison_type: ComparisonType, state: P
) -> None:
    rule = ScalarRule(property="title", expression="title", comparison_type=comparison_type)
    organisation = Organisation(tmp_path, (nominative(scalar_rules=(rule,)),))
    organisation.person(1, title="Boss")
    organisation.user(11, "E1", title="Boss")
    organisation.evaluate()
    organisation.find("HR_Person", 1)["title"] = "BOSS"
    organisation.evaluate()
    (scalar,) = organisation.scalars.values()
    assert (scalar["provisioning_state"], scalar["policy_value"]) == (state, "BOSS")
