"""What every fulfiller owes. A test module gives the fixture ``target``: a real system to write to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.contract import Fulfiller, Order, OrderResult, Reader
from connectors.errors import AuthenticationFailed, ConnectionFailed, ObjectMissing
from tests.contract.exporting import assert_presentable, assert_secretless
from tests.contract.hostile import NAMES
from tests.contract.limits import Limited


@dataclass(frozen=True, slots=True)
class Held:
    """One object as the managed system holds it, read without the connector."""

    name: str
    active: bool = True


class FulfilTarget(ABC):
    """A real managed system that holds named objects which can be deactivated.

    Orders are built by the target, since the resource type and its mapping are the system's own. An
    object is correlated by ``login``, its own unique name; ``name`` is free text.
    """

    table: str
    """Name of the exported table of these objects, for read-back."""
    name_column: str
    """Its column that holds the name."""
    secrets: tuple[str, ...] = ()
    """Texts that no output may hold."""

    @abstractmethod
    def connector(self) -> Any:
        """The connector on a connection that works."""

    @abstractmethod
    def unreachable(self) -> Any:
        """The connector on an address where nobody answers."""

    @abstractmethod
    def refused(self) -> Any:
        """The connector with credentials that the system refuses."""

    def key(self, result: OrderResult, login: str) -> str:  # noqa: ARG002
        """The primary key of what an order created: the system's own, or ``login`` where orders bring it along."""
        assert result.key is not None
        return result.key

    @abstractmethod
    def create(self, login: str, name: str) -> str:
        """Make an object without the connector; its primary key."""

    @abstractmethod
    def objects(self) -> Mapping[str, Held]:
        """Every object by primary key, read without the connector."""

    @abstractmethod
    def added(self, login: str, name: str) -> Order:
        """An order that creates an object."""

    @abstractmethod
    def modified(self, key: str, name: str) -> Order:
        """An order that changes the name of an object."""

    @abstractmethod
    def deactivated(self, key: str) -> Order:
        """An order that deactivates an object."""

    @abstractmethod
    def deleted(self, key: str) -> Order:
        """An order that deletes an object."""

    @abstractmethod
    def impossible(self) -> Order:
        """An order that the system refuses for what it asks."""

    @abstractmethod
    def missing_key(self) -> str:
        """A primary key, in the system's own form, that no object has."""


def fulfilled(connector: Any, orders: Sequence[Order]) -> list[OrderResult]:
    """The results of orders: one each, in their order, and well formed."""
    results = list(connector.fulfil(iter(orders)))
    assert [result.order_id for result in results] == [order.order_id for order in orders]
    for result in results:
        assert result.seconds >= 0
        if result.state == "errored":
            assert result.error_class
            assert result.message
            assert "\n" not in result.message
        else:
            assert (result.error_class, result.transient) == (None, False)
    return results


def states(results: Iterable[OrderResult]) -> list[str]:
    """The states of results."""
    return [result.state for result in results]


class FulfillerContract(Limited):
    """Subclass it, name it ``Test...``, and override ``target``."""

    capabilities = frozenset(
        {"hostile values", "line breaks", "deactivate", "delete", "missing objects", "read back", "credentials"}
    )

    @pytest.fixture
    def target(self) -> FulfilTarget:
        raise NotImplementedError("give the fixture 'target'")

    def test_it_is_a_fulfiller(self, target: FulfilTarget) -> None:
        assert isinstance(target.connector(), Fulfiller)

    def test_an_addition_creates_the_object_and_tells_its_key(self, target: FulfilTarget) -> None:
        (result,) = fulfilled(target.connector(), [target.added("anne", "Anne")])
        assert result.state == "executed", result
        assert target.objects() == {target.key(result, "anne"): Held("Anne")}

    def test_a_change_touches_its_object_only(self, target: FulfilTarget) -> None:
        anne, bert = target.create("anne", "Anne"), target.create("bert", "Bert")
        assert states(fulfilled(target.connector(), [target.modified(anne, "Anna")])) == ["executed"]
        assert target.objects() == {anne: Held("Anna"), bert: Held("Bert")}

    def test_a_deactivation_keeps_the_object(self, target: FulfilTarget) -> None:
        with self.capability("deactivate"):
            anne = target.create("anne", "Anne")
            assert states(fulfilled(target.connector(), [target.deactivated(anne)])) == ["executed"]
            assert target.objects() == {anne: Held("Anne", active=False)}

    def test_a_deletion_removes_its_object_only(self, target: FulfilTarget) -> None:
        with self.capability("delete"):
            anne, bert = target.create("anne", "Anne"), target.create("bert", "Bert")
            assert states(fulfilled(target.connector(), [target.deleted(anne)])) == ["executed"]
            assert target.objects() == {bert: Held("Bert")}

    def test_values_are_written_byte_for_byte(self, target: FulfilTarget) -> None:
        with self.capability("hostile values"):
            self.write_names(target, {title: name for title, name in NAMES.items() if not has_line_break(name)})

    def test_line_breaks_are_written_byte_for_byte(self, target: FulfilTarget) -> None:
        with self.capability("line breaks"):
            self.write_names(target, {title: name for title, name in NAMES.items() if has_line_break(name)})

    def test_one_bad_order_does_not_stop_its_siblings(self, target: FulfilTarget) -> None:
        orders = [target.added("anne", "Anne"), target.impossible(), target.added("bert", "Bert")]
        results = fulfilled(target.connector(), orders)
        assert states(results) == ["executed", "errored", "executed"]
        assert not results[1].transient
        assert sorted(held.name for held in target.objects().values()) == ["Anne", "Bert"]

    def test_an_addition_of_what_is_there_becomes_a_change(self, target: FulfilTarget) -> None:
        anne = target.create("anne", "Old name")
        (result,) = fulfilled(target.connector(), [target.added("anne", "Anne")])
        assert (result.state, target.key(result, "anne")) == ("executed", anne)
        assert target.objects() == {anne: Held("Anne")}

    def test_an_order_sent_again_ends_in_the_same_state(self, target: FulfilTarget) -> None:
        order = target.added("anne", "Anne")
        first = fulfilled(target.connector(), [order])
        again = fulfilled(target.connector(), [order.model_copy(update={"sent_before": True})])
        assert states(first + again) == ["executed", "executed"]
        assert again[0].key == first[0].key
        assert target.objects() == {target.key(first[0], "anne"): Held("Anne")}

    def test_a_deletion_of_what_is_gone_is_executed(self, target: FulfilTarget) -> None:
        with self.capability("delete"):
            order = target.deleted(target.create("anne", "Anne"))
            assert states(fulfilled(target.connector(), [order, order])) == ["executed", "executed"]
            assert target.objects() == {}

    def test_a_change_of_what_is_gone_is_an_error_of_that_order(self, target: FulfilTarget) -> None:
        with self.capability("missing objects"):
            (result,) = fulfilled(target.connector(), [target.modified(target.missing_key(), "Anna")])
            assert (result.state, result.error_class, result.transient) == ("errored", ObjectMissing.__name__, False)

    def test_no_order_is_no_result(self, target: FulfilTarget) -> None:
        assert fulfilled(target.connector(), []) == []

    def test_refused_credentials_stop_the_batch(self, target: FulfilTarget) -> None:
        with self.capability("credentials"):
            with pytest.raises(AuthenticationFailed) as raised:
                list(target.refused().fulfil([target.added("anne", "Anne")]))
            assert_presentable(raised.value, target.secrets)
            assert target.objects() == {}

    def test_a_system_that_cannot_be_reached_stops_the_batch(self, target: FulfilTarget) -> None:
        with pytest.raises(ConnectionFailed) as raised:
            list(target.unreachable().fulfil([target.added("anne", "Anne")]))
        assert_presentable(raised.value, target.secrets)

    def test_what_was_written_is_read_back_by_key(self, target: FulfilTarget) -> None:
        with self.capability("read back"):
            connector = target.connector()
            assert isinstance(connector, Reader)
            missing = target.missing_key()
            (result,) = fulfilled(connector, [target.added("anne", "Anne")])
            assert result.key is not None
            read = connector.read(target.table, [result.key, missing])
            assert set(read) == {result.key, missing}
            assert read[missing] is None
            columns = read[result.key]
            assert columns is not None
            assert columns[target.name_column] == "Anne"

    def test_no_secret_shows_in_any_result(self, target: FulfilTarget) -> None:
        connector = target.connector()
        results = fulfilled(connector, [target.added("anne", "Anne"), target.impossible()])
        assert_secretless(target.secrets, connector, *results)

    def write_names(self, target: FulfilTarget, names: Mapping[str, str]) -> None:
        """Create an object for each name, and compare what the system holds."""
        orders = [target.added(f"login{number}", name) for number, name in enumerate(names.values())]
        results = fulfilled(target.connector(), orders)
        refused = {title: result.message for title, result in zip(names, results, strict=True) if result.message}
        assert refused == {}
        held = target.objects()
        keys = [target.key(result, f"login{number}") for number, result in enumerate(results)]
        assert {title: held[key].name for title, key in zip(names, keys, strict=True)} == names


def has_line_break(text: str) -> bool:
    """Whether a single-line attribute may refuse the text."""
    return any(mark in text for mark in "\n\r")
