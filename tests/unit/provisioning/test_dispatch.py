"""Each order on its own, at most once, whatever dies: invariants 7 and 9."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import AuthenticationFailed, ConnectionFailed, InvalidValue, Throttled, TransientError
from include.provisioning.dispatch import BatchResult, DispatchError, Patience, fulfil_batch, leave_batch_unsent
from include.provisioning.plan import PlanError
from include.provisioning.transmission import transmit
from include.storage.folder import Folder
from tests.unit.provisioning.system import AfterWrite, Killed, Raise, System
from tests.unit.provisioning.world import DECIDED_AT, NOMINATIVE, World, generate, world

BATCH = "0001-CRM_User_Nominative"
ALL = ["a", "b", "c", "d"]


@pytest.fixture
def creations(empty: World) -> World:
    """Four accounts to create, in one batch that is on its way."""
    return prepare(empty)


def prepare(place: World) -> World:
    for name in ALL:
        owner = place.add("HR_Person", employee_id=name)
        place.scalar(place.assign(owner), "user_name", name)
    place.export()
    generate(place, NOMINATIVE.model_copy(update={"batch_size": 10}))
    place.load(transmit(place.run).changes)
    return place


class Clock:
    """Moves on by a second with every look, and by what is slept."""

    def __init__(self) -> None:
        self.instant = DECIDED_AT
        self.slept: list[float] = []

    def now(self) -> datetime:
        self.instant += timedelta(seconds=1)
        return self.instant

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.instant += timedelta(seconds=seconds)


def send(place: World, system: System, clock: Clock | None = None, **limits: Any) -> BatchResult:
    clock = clock or Clock()
    return fulfil_batch(place.run, BATCH, system, patience=Patience(**limits), now=clock.now, sleep=clock.sleep)


def results(place: World) -> dict[str, tuple[str, str | None]]:
    """User name to state and error class."""
    names = {order["OrderId"]: order["Changes"]["user_name"] for order in place.orders()}
    found = place.run.child("orders").read_json(f"{BATCH}.results.json")
    assert [item["order_id"] for item in found] == [order for order in names if order in {x["order_id"] for x in found}]
    return {names[item["order_id"]]: (item["state"], item.get("error_class")) for item in found}


def names_asked(system: System) -> list[str]:
    return [order.changes["user_name"] for order in system.asked]


def test_every_order_is_sent_once(creations: World) -> None:
    system, seen = System(), list[tuple[int, int]]()
    outcome = fulfil_batch(creations.run, BATCH, system, progress=lambda done, total: seen.append((done, total)))
    assert outcome == BatchResult(BATCH, orders=4, sent=4, executed=4, errored=0)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert not any(order.sent_before for order in system.asked)
    assert send(creations, system) == BatchResult(BATCH, orders=4, sent=0, executed=4, errored=0)
    assert names_asked(system) == ALL


def test_the_ledger_tells_of_an_order_before_the_connector_has_it(creations: World) -> None:
    ledger = creations.run.child("orders", "ledger", BATCH)

    class Watching(System):
        def fulfil(self, orders: Any) -> Any:
            def watched() -> Any:
                for position, order in enumerate(orders):
                    assert ledger.exists(f"{order.order_id}.sent.json")
                    assert len(ledger.names("*.sent.json")) == position + 1
                    assert len(ledger.names("*.result.json")) == position
                    yield order

            return super().fulfil(watched())

    assert send(creations, Watching()).executed == 4


def test_one_bad_order_never_stops_its_siblings(creations: World) -> None:
    system = System(faults={"b": [InvalidValue("no such title")]})
    assert send(creations, system).errored == 1
    assert results(creations)["b"] == ("errored", "InvalidValue")
    assert sorted(system.objects) == ["key-a", "key-c", "key-d"]
    send(creations, system)
    assert names_asked(system) == ALL, "a terminal error is not sent again"


@pytest.mark.parametrize("error", [InvalidValue("refused"), KeyError("a bug")])
def test_an_exception_of_one_order_is_its_result(creations: World, error: Exception) -> None:
    system = System(faults={"b": [Raise(error)]})
    assert send(creations, system) == BatchResult(BATCH, orders=4, sent=4, executed=3, errored=1)
    assert results(creations)["b"] == ("errored", type(error).__name__)


def test_an_unknown_exception_shows_nothing_of_its_text(creations: World, caplog: pytest.LogCaptureFixture) -> None:
    send(creations, System(faults={"b": [Raise(ValueError("password hunter2"))]}))
    written = "".join(
        creations.run.read_text(f"orders/{item}") for item in creations.run.child("orders").names("**/*.json")
    )
    assert "hunter2" not in written + caplog.text
    assert "ValueError" in caplog.text


def test_a_transient_error_is_tried_again_after_the_siblings(creations: World) -> None:
    clock, system = Clock(), System(faults={"b": [TransientError("busy"), TransientError("busy")]})
    assert send(creations, system, clock).executed == 4
    assert names_asked(system) == ["a", "b", "c", "d", "b", "b"]
    assert [order.sent_before for order in system.asked] == [False] * 4 + [True] * 2
    assert len(clock.slept) == 2
    assert clock.slept[0] >= 1


def test_what_stays_transient_is_errored_and_sent_again_by_a_rerun(creations: World) -> None:
    clock, system = Clock(), System(faults={"b": [TransientError("busy")] * 4})
    assert send(creations, system, clock, tries=3).errored == 1
    assert results(creations)["b"] == ("errored", "TransientError")
    assert len(clock.slept) == 3
    assert send(creations, system) == BatchResult(BATCH, orders=4, sent=1, executed=4, errored=0)
    assert names_asked(system)[4:] == ["b"] * 4
    assert system.asked[-1].sent_before


def test_waits_grow_up_to_their_limit(creations: World) -> None:
    clock, system = Clock(), System(faults={"b": [TransientError("busy")] * 20})
    send(creations, system, clock, tries=6, first_wait=1, longest_wait=4)
    grown = [1, 1, 2, 4, 4, 4]
    assert all(least <= wait <= least + 1 for wait, least in zip(clock.slept, grown, strict=True))


def test_a_throttled_connector_waits_as_long_as_it_is_asked(creations: World) -> None:
    clock, system = Clock(), System(faults={"b": [Raise(Throttled("slow down", retry_after=42))]})
    assert send(creations, system, clock).executed == 4
    assert names_asked(system) == ["a", "b", "b", "c", "d"]
    assert [42 <= wait <= 44 for wait in clock.slept] == [True]


def test_an_order_that_is_refused_for_a_while_waits_as_long_as_its_result_says(creations: World) -> None:
    clock, system = Clock(), System(faults={"b": [Throttled("slow down", retry_after=42)]})
    assert send(creations, system, clock).executed == 4
    assert names_asked(system) == ["a", "b", "c", "d", "b"]
    assert [42 <= wait <= 44 for wait in clock.slept] == [True]


def test_a_batch_that_is_not_begun_says_so_of_every_order(creations: World) -> None:
    leave_batch_unsent(creations.run, BATCH, AuthenticationFailed("refused"))
    assert results(creations) == dict.fromkeys(ALL, ("unsent", None))
    assert not creations.run.child("orders", "ledger", BATCH).names()
    assert send(creations, System()).executed == 4


def test_a_wait_that_is_too_long_stops_the_batch(creations: World) -> None:
    clock, system = Clock(), System(faults={"b": [Raise(Throttled("come back later", retry_after=3600))]})
    with pytest.raises(Throttled, match="come back later"):
        send(creations, system, clock)
    assert clock.slept == []
    assert results(creations) == {
        "a": ("executed", None),
        "b": ("errored", "Throttled"),
        "c": ("unsent", None),
        "d": ("unsent", None),
    }
    assert send(creations, system).executed == 4


@pytest.mark.parametrize("error", [AuthenticationFailed("refused"), ConnectionFailed("gone")])
@pytest.mark.parametrize("fault", [Raise, AfterWrite])
def test_a_connector_that_cannot_go_on_stops_the_batch_and_keeps_what_is_done(
    creations: World, fault: Callable[[BaseException], Any], error: Exception
) -> None:
    system = System(faults={"c": [fault(error)]})
    with pytest.raises(type(error), match=str(error)):
        send(creations, system)
    assert results(creations) == {
        "a": ("executed", None),
        "b": ("executed", None),
        "c": ("unanswered", type(error).__name__),
        "d": ("unsent", None),
    }
    assert send(creations, system) == BatchResult(BATCH, orders=4, sent=2, executed=4, errored=0)
    assert [(order.changes["user_name"], order.sent_before) for order in system.asked[3:]] == [
        ("c", True),
        ("d", False),
    ]
    assert set(system.writes.values()) == {1}


def test_answers_out_of_turn_stop_the_batch(creations: World) -> None:
    class Backwards(System):
        def fulfil(self, orders: Any) -> Any:
            yield from reversed(list(super().fulfil(orders)))

    with pytest.raises(DispatchError, match="out of turn"):
        send(creations, Backwards())


def test_a_connector_that_takes_several_orders_at_once_is_fine(creations: World) -> None:
    class Greedy(System):
        def fulfil(self, orders: Any) -> Any:
            yield from super().fulfil(iter(list(orders)))

    system = Greedy(faults={"b": [Raise(InvalidValue("no"))]})
    assert send(creations, system) == BatchResult(BATCH, orders=4, sent=4, executed=3, errored=1)
    assert [order.sent_before for order in system.asked] == [False, False, True, True]
    assert set(system.writes.values()) == {1}


def test_missing_answers_stop_the_batch(creations: World) -> None:
    class Lazy(System):
        def fulfil(self, orders: Any) -> Any:
            yield next(iter(super().fulfil(orders)))

    with pytest.raises(DispatchError, match="left 3 orders of a batch unanswered"):
        send(creations, Lazy())


def test_a_batch_that_was_not_transmitted_is_not_sent(empty: World) -> None:
    empty.scalar(empty.assign(empty.add("HR_Person", employee_id="x")), "user_name", "x")
    empty.export()
    generate(empty)
    with pytest.raises(PlanError, match="was not transmitted"):
        send(empty, System())
    with pytest.raises(PlanError, match=r"batch nonsense is not in generation.json"):
        fulfil_batch(empty.run, "nonsense", System())


def test_an_order_file_that_was_changed_is_not_sent(creations: World) -> None:
    orders = creations.run.child("orders")
    orders.write_text(f"{BATCH}.json", orders.read_text(f"{BATCH}.json").replace('"a"', '"root"'))
    system = System()
    with pytest.raises(PlanError, match="is not the file that was decided"):
        send(creations, system)
    assert system.asked == []


class Executioner:
    """Kills the worker at the n-th write of a file, before or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, moment: int, *, after: bool) -> None:
        self.count = 0
        original = Folder.write_text

        def write_text(folder: Folder, name: str, text: str) -> None:
            self.count += 1
            if self.count == moment and not after:
                raise Killed
            original(folder, name, text)
            if self.count == moment and after:
                raise Killed

        monkeypatch.setattr(Folder, "write_text", write_text)


# Four orders: each is written down as sent and as answered, then comes the list of results.
@pytest.mark.parametrize("moment", range(1, 10))
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_write_and_run_again_each_object_is_written_once(
    creations: World, monkeypatch: pytest.MonkeyPatch, moment: int, after: bool
) -> None:
    system = System()
    with monkeypatch.context() as patch:
        Executioner(patch, moment, after=after)
        with pytest.raises(Killed):
            send(creations, system)
    outcome = send(creations, system)
    assert (outcome.executed, outcome.errored) == (4, 0)
    assert system.writes == {f"key-{name}": 1 for name in ALL}
    assert results(creations) == dict.fromkeys(ALL, ("executed", None))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("fault", [Raise, AfterWrite])
def test_killed_inside_the_connector_and_run_again_each_object_is_written_once(
    creations: World, name: str, fault: Callable[[BaseException], Any]
) -> None:
    system = System(faults={name: [fault(Killed())]})
    with pytest.raises(Killed):
        send(creations, system)
    assert not creations.run.exists(f"orders/{BATCH}.results.json")
    assert send(creations, system).executed == 4
    assert system.writes == {f"key-{item}": 1 for item in ALL}


FAULTS = st.one_of(
    st.builds(Raise, st.sampled_from([Killed(), ConnectionFailed("x"), Throttled("x", 1), AuthenticationFailed("x")])),
    st.builds(AfterWrite, st.sampled_from([Killed(), ConnectionFailed("x")])),
    st.just(TransientError("x")),
    st.none(),
)


@given(faults=st.fixed_dictionaries({name: st.lists(FAULTS, max_size=4) for name in ALL}))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_in_whatever_order_the_end_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, faults: dict[str, list[Any]]
) -> None:
    """Invariant 7: reruns until it is through end as an undisturbed run does."""
    place = prepared(tmp_path_factory)
    orders = place.run.child("orders")
    for item in [*orders.names("ledger/*/*"), f"{BATCH}.results.json"]:
        orders.remove(item)
    system = System(faults=faults)
    for _ in range(1 + sum(len(items) for items in faults.values())):
        try:
            outcome = send(place, system)
        except (Killed, ConnectionFailed, AuthenticationFailed):
            continue
        if outcome.executed == len(ALL):
            break
    assert system.writes == {f"key-{name}": 1 for name in ALL}
    assert results(place) == dict.fromkeys(ALL, ("executed", None))
    assert {key: item["userName"] for key, item in system.objects.items()} == {f"key-{name}": name for name in ALL}


PREPARED: list[World] = []


def prepared(factory: pytest.TempPathFactory) -> World:
    """One organisation for all examples: only the ledger and the results change."""
    if not PREPARED:
        PREPARED.append(prepare(world(Path(factory.mktemp("law")))))
    return PREPARED[0]
