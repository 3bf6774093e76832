"""Several records per person: which one counts at an instant, and the start and end of the person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.expressions.compilation import compile_expression
from include.expressions.errors import ExpressionMistake
from include.expressions.functions import install
from include.expressions.paths import EntityGraph, Scope
from include.model.configuration import Configuration, Connection, Connector, EntityType, Property
from include.model.resource_type import RecordSection, ResourceType
from include.storage.engine import engine
from tests.strategies import TOLERATED
from tests.unit.policy.organisation import association

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)
AT = NOW.replace(tzinfo=None)
NO_START, NO_END = datetime(1900, 1, 1), datetime(2079, 6, 6)
PERSON = EntityType(
    identifier="Person", connection_table="hr", properties=(Property(identifier="number", primary_key=True),)
)
CONTRACT = EntityType(
    identifier="Contract",
    connection_table="hr",
    properties=(
        Property(identifier="id", primary_key=True),
        Property(identifier="title"),
        Property(identifier="start", type="datetime"),
        Property(identifier="end", type="datetime"),
    ),
)
TEAM = EntityType(identifier="Team", connection_table="hr", properties=(Property(identifier="code", primary_key=True),))
HR = Connector(
    identifier="HR",
    connections=(Connection(identifier="hr", package="csv"),),
    entity_types=(PERSON, CONTRACT, TEAM),
    associations=(
        association("PersonContract", ("Contract", "person", False), ("Person", "contracts", True)),
        association("ContractTeam", ("Contract", "team", False), ("Team", "contracts", True)),
    ),
)
GRAPH = EntityGraph.of(Configuration(connectors=(HR,)))
SECTION = RecordSection(navigation="contracts", start_property="start", end_property="end")
RESOURCE_TYPE = ResourceType(
    identifier="R", source_entity_type="Person", target_entity_type="Person", connection="hr", records=SECTION
)
Contract = tuple[str, datetime | None, datetime | None]
"""Its key, its start and its end."""


def ask(contracts: Sequence[Contract], *expressions: str) -> tuple[Any, ...]:
    """The values of expressions for one person with these contracts, each in the team named like its key."""
    rows = ", ".join(
        f"({n}, '{key}', 'title of {key}', {_sql(start)}, {_sql(end)})" for n, (key, start, end) in _n(contracts)
    )
    person = 1 if contracts else 2
    pairs = ", ".join(f"({n}, {person})" for n, _ in _n(contracts))
    teams = ", ".join(f"({100 + n}, '{key}')" for n, (key, *_) in _n(contracts))
    links = ", ".join(f"({n}, {100 + n})" for n, _ in _n(contracts))
    relations = {
        "Person": "(SELECT 1 AS resource_id, 'P' AS number)",
        "Contract": f'(FROM (VALUES {rows}) AS c (resource_id, id, title, start, "end"))',
        "PersonContract": f"(FROM (VALUES {pairs}) AS p (resource1_id, resource2_id))",
        "Team": f"(FROM (VALUES {teams}) AS t (resource_id, code))",
        "ContractTeam": f"(FROM (VALUES {links}) AS l (resource1_id, resource2_id))",
    }
    with engine() as connection:
        install(connection, NOW)
        scope = Scope.of_owners(GRAPH, RESOURCE_TYPE)
        compiled = [compile_expression(connection, expression, scope) for expression in expressions]
        (row,) = connection.execute(
            f"SELECT {', '.join(compiled)} FROM {scope.from_clause(relations.__getitem__)}"
        ).fetchall()
    return tuple(row)


def _n(contracts: Sequence[Contract]) -> list[tuple[int, Contract]]:
    """The contracts with their ids; one of another person where there are none."""
    return list(enumerate(contracts or [("of another", None, None)], start=10))


def _sql(instant: datetime | None) -> str:
    return f"TIMESTAMP '{instant}'" if instant else "NULL::TIMESTAMP"


def day(number: int) -> datetime:
    """So many days from the instant of the run."""
    return AT + timedelta(days=number)


@pytest.mark.parametrize(
    ("case", "contracts", "expected"),
    [
        ("the only one", [("a", None, None)], "a"),
        ("one is over", [("a", day(-9), day(-1)), ("b", day(-1), None)], "b"),
        ("it begins at this instant", [("a", day(-9), day(0)), ("b", day(0), None)], "b"),
        ("a future one changes nothing", [("a", day(-9), day(5)), ("b", day(5), None)], "a"),
        ("a future one without an end changes nothing", [("a", None, None), ("b", day(1), None)], "a"),
        ("of two, the one that began last", [("b", day(-9), None), ("a", day(-3), None)], "a"),
        ("of two that began together, the highest key", [("a", day(-9), None), ("b", day(-9), day(3))], "b"),
        ("in a gap, the next one", [("a", day(-9), day(-3)), ("b", day(9), None), ("c", day(3), None)], "c"),
        ("after all, the one that ended last", [("a", day(-9), day(-1)), ("b", day(-5), day(-3))], "a"),
    ],
)  # fmt: skip
def test_the_record_that_counts(case: str, contracts: list[Contract], expected: str) -> None:
    assert ask(contracts, "record.id", "record.title") == (expected, f"title of {expected}"), case
    assert ask(contracts[::-1], "record.id") == (expected,), case


def test_a_path_goes_on_from_the_record() -> None:
    contracts = [("a", day(-9), day(-1)), ("b", day(-1), None)]
    assert ask(contracts, "record.team.code", "number", "record.team.code || record.title") == ("b", "P", "btitle of b")


def test_the_person_begins_with_the_first_record_and_ends_with_the_last() -> None:
    contracts = [("a", day(-9), day(-5)), ("b", day(-30), day(-20)), ("c", day(5), day(9))]
    assert ask(contracts, "record_start", "record_end") == (day(-30), day(9))
    assert ask([*contracts, ("d", None, None)], "record_start", "record_end") == (NO_START, NO_END)
    assert ask(contracts, "record_start < evaluated_at AND record.start > record_start") == (True,)


def test_who_has_no_record_has_none_of_its_values() -> None:
    assert ask([], "record.id", "record_start", "record_end", "number") == (None, None, None, "P")


instants = st.none() | st.integers(-4, 4).map(day)


@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(instants, instants), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None, suppress_health_check=TOLERATED)
def test_whatever_the_records_one_counts_and_it_is_the_one_of_the_definition(
    drawn: dict[str, tuple[datetime | None, datetime | None]],
) -> None:
    records = [(key, start or NO_START, end or NO_END) for key, (start, end) in drawn.items()]
    in_force = [item for item in records if item[1] <= AT < item[2]]
    future = [item for item in records if item[1] > AT]
    if in_force:
        expected = max(in_force, key=lambda item: (item[1], item[0]))
    elif future:
        expected = max(future, key=lambda item: (-(item[1] - NO_START), item[0]))
    else:
        expected = max(records, key=lambda item: (item[2], item[1], item[0]))
    contracts = [(key, start, end) for key, (start, end) in drawn.items()]
    first, last = min(item[1] for item in records), max(item[2] for item in records)
    assert ask(contracts, "record.id", "record_start", "record_end") == (expected[0], first, last)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("record", "'record' is a record of Contract: name one of its properties, such as record.id"),
        ("record.titel", "Contract has no property 'titel' (did you mean 'title'?)"),
        ("record.person.record.id", "Person has no link 'record'"),
        ("contracts.title", "'contracts' leads from one Person to many Contract: a path crosses links to one only"),
    ],
)
def test_what_is_wrong_with_a_path_over_the_record_is_said(expression: str, expected: str) -> None:
    with engine() as connection, pytest.raises(ExpressionMistake) as raised:
        compile_expression(connection, expression, Scope.of_owners(GRAPH, RESOURCE_TYPE))
    assert str(raised.value) == expected


def test_without_a_section_there_is_no_record() -> None:
    plain = RESOURCE_TYPE.model_copy(update={"records": None})
    with engine() as connection, pytest.raises(ExpressionMistake, match="Person has no link 'record'"):
        compile_expression(connection, "record.id", Scope.of_owners(GRAPH, plain))
    with engine() as connection, pytest.raises(ExpressionMistake, match="Person has no property 'record_start'"):
        compile_expression(connection, "record_start", Scope.of_owners(GRAPH, plain))


def test_the_record_is_read_with_what_decides_on_it() -> None:
    scope = Scope.of_owners(GRAPH, RESOURCE_TYPE)
    with engine() as connection:
        compile_expression(connection, "record.title", scope)
    assert scope.reads == {("Contract", item) for item in ("id", "title", "start", "end")}
