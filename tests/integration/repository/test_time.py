"""The repository as of any past instant is what it was then."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.repository.organisation import MANAGER, MEMBER, PERSON, Store, group, person

TICK = timedelta(microseconds=1)
State = dict[str, Any]


@st.composite
def states(draw: st.DrawFn) -> State:
    """Some people, some groups, and links between those that are there."""
    names = draw(st.lists(st.sampled_from(["a", "A", "é", "10", "9", "b'%"]), unique=True))
    numbers = draw(st.lists(st.sampled_from([1, 2, 10]), unique=True))
    value = st.one_of(st.none(), st.sampled_from(["x", "X", "", "'%\\"]))
    return {
        "persons": {
            name: person(name, last_name=draw(value), active=draw(st.sampled_from([None, True, False])))
            for name in names
        },
        "groups": {str(number): group(number, order=draw(value)) for number in numbers},
        "managers": draw(subset(list(itertools.product(names, names)))),
        "members": draw(subset(list(itertools.product(map(str, numbers), names)))),
    }


def subset(pairs: list[tuple[str, str]]) -> st.SearchStrategy[frozenset[tuple[str, str]]]:
    return st.frozensets(st.sampled_from(pairs), max_size=5) if pairs else st.just(frozenset())


def state_at(store: Store, instant: datetime, ids: dict[tuple[str, str], int]) -> State:
    """The state at an instant as the repository tells it; checks that a key never changes its id."""
    found: State = {"managers": frozenset(), "members": frozenset()}
    keys: dict[int, str] = {}
    for name, entity, key in (("persons", "HR_Person", "employee_id"), ("groups", "Group", "number")):
        found[name] = {}
        for row in store.repository.as_of(entity, instant):
            resource_id, text = row.pop("resource_id"), str(row[key])
            assert ids.setdefault((entity, text), resource_id) == resource_id
            keys[resource_id] = text
            found[name][text] = row
    for name, association in (("managers", MANAGER), ("members", MEMBER)):
        pairs = store.repository.links_as_of(association, instant)
        found[name] = frozenset((keys[first], keys[second]) for first, second in pairs)
        by_key = store.repository.link_keys_as_of(association.identifier, instant)
        assert sorted((row["resource1_id"], row["resource2_id"]) for row in by_key) == pairs
        assert frozenset((str(row["key1"]), row["key2"]) for row in by_key) == found[name]
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=st.lists(states(), min_size=1, max_size=3))
def test_every_past_state_can_be_read_again(store: Store, sequence: list[State]) -> None:
    ids: dict[tuple[str, str], int] = {}
    empty: State = {"persons": {}, "groups": {}, "managers": frozenset(), "members": frozenset()}
    history = [(store.load(**state).loaded_at, state) for state in (empty, *sequence)]
    for (instant, state), (following, _) in itertools.pairwise([*history, (history[-1][0] + 2 * TICK, empty)]):
        assert state_at(store, instant, ids) == state
        assert state_at(store, following - TICK, ids) == state
    current = {row["employee_id"]: row["last_name"] for row in store.current(PERSON)}
    assert current == {key: row["last_name"] for key, row in sequence[-1]["persons"].items()}


def test_past_rows_and_links_can_be_exported(store: Store) -> None:
    before = store.load(persons={"E1": person("E1")}, groups={"7": group(7)}, members={("7", "E1")}).loaded_at
    store.load()
    folder = store.new_folder()
    assert store.repository.export_as_of(PERSON, before, folder, "people.parquet") == 1
    assert store.repository.export_as_of(MEMBER, before, folder, "members.parquet") == 1
    assert pq.read_table(folder.file("members.parquet")).to_pylist()[0]["key2"] == "E1"
    assert store.repository.export_as_of(PERSON, before - TICK, folder, "earlier.parquet") == 0
    assert store.repository.export_current(MEMBER, folder, "now.parquet") == 0


def test_instants_may_be_given_in_any_zone(store: Store) -> None:
    from zoneinfo import ZoneInfo

    loaded = store.load(persons={"E1": person("E1")}).loaded_at
    elsewhere = loaded.astimezone(ZoneInfo("America/New_York"))
    assert len(store.repository.as_of(PERSON, elsewhere)) == 1
    assert store.repository.as_of(PERSON, elsewhere - TICK) == []
    assert len(store.repository.as_of(PERSON, loaded.replace(tzinfo=None))) == 1
