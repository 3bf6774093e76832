"""Noisy values: at most one version per window of ``history_precision``, and never a wrong present."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.model.configuration import EntityType, Property
from include.repository.load import LoadResult
from include.repository.repository import Repository
from tests.integration.repository.clock import Clock
from tests.integration.repository.organisation import PERSON, Store, configuration, person

MINUTE = timedelta(minutes=1)
PRECISION = {"badge": 60, "start_date": 1440}
NOISY_PERSON = EntityType(
    identifier=PERSON.identifier,
    connection_table=PERSON.connection_table,
    properties=tuple(
        Property(**item.model_dump() | {"history_precision": PRECISION.get(item.identifier, 0)})
        for item in PERSON.properties
    ),
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, datetime(2030, 1, 1, tzinfo=UTC))


@pytest.fixture
def noisy(repository_url: str, tmp_path: Path) -> Store:
    """A store whose people have a noisy badge (an hour) and start date (a day)."""
    repository = Repository(repository_url, configuration(NOISY_PERSON))
    repository.migrate()
    return Store(repository, tmp_path, entity_types=(NOISY_PERSON,), associations=())


def set_at(store: Store, clock: Clock, instant: datetime, **values: Any) -> LoadResult:
    clock.now = instant
    return store.load(persons={"E1": person("E1", **values)})


def badges(store: Store) -> list[int]:
    return [version["values"]["badge"] for version in store.repository.history("HR_Person", "E1")]


def test_noise_within_the_window_is_written_over_the_current_version(noisy: Store, clock: Clock) -> None:
    start = clock.now
    set_at(noisy, clock, start, badge=1)
    second = set_at(noisy, clock, start + 59 * MINUTE, badge=2)
    assert second.entity_types["HR_Person"] == {"inserted": 0, "updated": 0, "overwritten": 1, "deleted": 0}
    [version] = noisy.repository.history("HR_Person", "E1")
    assert (version["values"]["badge"], version["valid_from"], version["load_id"]) == (2, start, second.load_id)
    assert noisy.repository.audit(1)[0].detail["counters"]["entity_types"]["HR_Person"]["overwritten"] == 1


def test_the_window_counts_from_the_start_of_the_version_and_opens_another_when_it_has_passed(
    noisy: Store, clock: Clock
) -> None:
    start = clock.now
    for minutes, badge in ((0, 1), (40, 2), (60, 3), (119, 4), (125, 5)):
        result = set_at(noisy, clock, start + minutes * MINUTE, badge=badge)
    assert badges(noisy) == [2, 4, 5]
    assert result.entity_types["HR_Person"]["updated"] == 1


def test_a_value_that_is_no_noise_opens_a_version_at_once_whatever_changes_with_it(noisy: Store, clock: Clock) -> None:
    start = clock.now
    set_at(noisy, clock, start, badge=1, last_name="Anna")
    set_at(noisy, clock, start + MINUTE, badge=2, last_name="Anne")
    set_at(noisy, clock, start + 2 * MINUTE, badge=2, last_name="Anna")
    assert badges(noisy) == [1, 2, 2]


def test_the_shortest_window_of_what_changed_decides(noisy: Store, clock: Clock) -> None:
    start = clock.now
    set_at(noisy, clock, start, badge=1)
    set_at(noisy, clock, start + 90 * MINUTE, badge=1, start_date=datetime(2030, 1, 1))
    assert badges(noisy) == [1]
    set_at(noisy, clock, start + 91 * MINUTE, badge=2, start_date=datetime(2030, 1, 2))
    assert badges(noisy) == [1, 2]


def test_deleting_and_returning_are_never_noise(noisy: Store, clock: Clock) -> None:
    start = clock.now
    set_at(noisy, clock, start, badge=1)
    clock.now = start + MINUTE
    noisy.load()
    set_at(noisy, clock, start + 2 * MINUTE, badge=2)
    assert badges(noisy) == [1, 2]
    assert noisy.repository.as_of("HR_Person", start + MINUTE) == []


def test_past_reads_within_a_window_give_its_last_value(noisy: Store, clock: Clock) -> None:
    start = clock.now
    for minutes, badge in ((0, 1), (30, 2), (70, 3)):
        set_at(noisy, clock, start + minutes * MINUTE, badge=badge)
    seen = [noisy.repository.as_of("HR_Person", start + minutes * MINUTE)[0]["badge"] for minutes in (0, 69, 70)]
    assert seen == [2, 2, 3]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 100),
            st.dictionaries(
                st.sampled_from(["E1", "E2"]),
                st.fixed_dictionaries(
                    {"badge": st.integers(0, 2), "last_name": st.sampled_from(["A", "B"])},
                ),
            ),
        ),
        max_size=5,
    )
)
def test_what_is_current_is_the_last_source_and_the_time_line_has_no_overlap(
    noisy: Store, clock: Clock, steps: list[tuple[int, dict[str, Any]]]
) -> None:
    for minutes, people in steps:
        clock.now += minutes * MINUTE
        wanted = {key: person(key, **values) for key, values in people.items()}
        noisy.load(persons=wanted)
        current = {row["employee_id"]: row for row in noisy.current(NOISY_PERSON)}
        assert {key: {**row, "resource_id": 0} for key, row in current.items()} == {
            key: {**row, "resource_id": 0} for key, row in wanted.items()
        }
    for key in ("E1", "E2"):
        versions = noisy.repository.history("HR_Person", key)
        spans = [(version["valid_from"], version["valid_to"]) for version in versions]
        assert spans == sorted(spans)
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
