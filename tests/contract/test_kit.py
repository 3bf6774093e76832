"""The kit itself: a connector that keeps the contract passes, and each way of breaking it is caught."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar

import pytest

from connectors.contract import Order, OrderResult
from connectors.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidValue,
    ObjectMissing,
)
from tests.contract.exporting import assert_presentable, assert_secretless
from tests.contract.fulfilling import FulfillerContract, FulfilTarget, Held
from tests.contract.limits import Limited
from tests.contract.raw import Files

SECRET = "directory-password"


@dataclass
class Directory:
    """A managed system in memory: logins, names and states by key."""

    objects: dict[str, tuple[str, Held]] = field(default_factory=dict)
    keys: Iterator[int] = field(default_factory=lambda: count(1))

    def add(self, login: str, held: Held) -> str:
        key = f"key{next(self.keys)}"
        self.objects[key] = (login, held)
        return key

    def find(self, login: str) -> str | None:
        return next((key for key, (own, _) in self.objects.items() if own == login), None)


class DirectoryConnector:
    """Keeps the contract. ``fault`` names the one way in which it does not."""

    def __init__(self, directory: Directory | ConnectorError, fault: str = "") -> None:
        self.directory = directory
        self.fault = fault

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        if isinstance(self.directory, ConnectorError):
            raise self.directory
        for order in orders:
            try:
                yield OrderResult(order.order_id, "executed", self.carry_out(order, self.directory))
            except ConnectorError as error:
                if self.fault == "stops at a bad order":
                    raise
                message = f"{error.message} {SECRET}" if self.fault == "tells the secret" else error.message
                yield OrderResult(order.order_id, "errored", None, error.error_class, message)

    def carry_out(self, order: Order, directory: Directory) -> str:
        if order.change_type == "Added":
            return self.add(order, directory)
        key = str(order.resource["key"])
        if key not in directory.objects:
            if order.change_type == "Deleted" and self.fault != "fails on a missing deletion":
                return key
            raise ObjectMissing(f"there is no object {key}")
        login, held = directory.objects[key]
        if order.change_type == "Deleted":
            directory.objects.clear() if self.fault == "deletes too much" else directory.objects.pop(key)
        else:
            active = self.fault == "ignores deactivation" or order.changes.get("active", held.active)
            directory.objects[key] = (login, Held(order.changes.get("name", held.name), active))
        return key

    def add(self, order: Order, directory: Directory) -> str:
        name = order.changes["name"]
        if name is None:
            raise InvalidValue("an object needs a name")
        held = Held(name.strip() if self.fault == "trims" else name)
        key = directory.find(order.changes["login"])
        if key is None or self.fault == "creates twice":
            return directory.add(order.changes["login"], held)
        directory.objects[key] = (order.changes["login"], held)
        return key

    def read(self, table: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str | None] | None]:
        assert table == DirectoryTarget.table
        assert isinstance(self.directory, Directory)
        found = {key: {"name": held.name} for key, (_, held) in self.directory.objects.items()}
        return {key: found.get(key) for key in keys if key in found or self.fault != "leaves out the missing"}

    def read_links(self, table: str, column: str, keys: Sequence[str]) -> list[tuple[str, str]]:  # noqa: ARG002
        return []


class DirectoryTarget(FulfilTarget):
    table = "Directory_people"
    name_column = "name"
    secrets = (SECRET,)

    def __init__(self, fault: str = "") -> None:
        self.directory = Directory()
        self.fault = fault
        self.orders = count(1)

    def connector(self) -> DirectoryConnector:
        return DirectoryConnector(self.directory, self.fault)

    def unreachable(self) -> DirectoryConnector:
        return DirectoryConnector(ConnectionFailed("nobody there"))

    def refused(self) -> DirectoryConnector:
        return DirectoryConnector(AuthenticationFailed("wrong password"))

    def create(self, login: str, name: str) -> str:
        return self.directory.add(login, Held(name))

    def objects(self) -> Mapping[str, Held]:
        return {key: held for key, (_, held) in self.directory.objects.items()}

    def order(self, change_type: str, key: str | None = None, **changes: Any) -> Order:
        number = str(next(self.orders))
        values: dict[str, Any] = {"order_id": number, "assigned_resource_type_id": number, "change_type": change_type}
        return Order(**values, owner={}, resource_type={}, changes=changes, resource={"key": key} if key else {})

    def added(self, login: str, name: str) -> Order:
        return self.order("Added", login=login, name=name)

    def modified(self, key: str, name: str) -> Order:
        return self.order("Modified", key, name=name)

    def deactivated(self, key: str) -> Order:
        return self.order("Modified", key, active=False)

    def deleted(self, key: str) -> Order:
        return self.order("Deleted", key)

    def impossible(self) -> Order:
        return self.order("Added", login="nameless", name=None)

    def missing_key(self) -> str:
        return "key0"


class TestDirectory(FulfillerContract):
    """A connector that keeps the contract passes every test of it."""

    @pytest.fixture
    def target(self) -> FulfilTarget:
        return DirectoryTarget()


FAULTS: dict[str, Callable[[FulfillerContract, FulfilTarget], None]] = {
    "stops at a bad order": FulfillerContract.test_one_bad_order_does_not_stop_its_siblings,
    "tells the secret": FulfillerContract.test_no_secret_shows_in_any_result,
    "fails on a missing deletion": FulfillerContract.test_a_deletion_of_what_is_gone_is_executed,
    "deletes too much": FulfillerContract.test_a_deletion_removes_its_object_only,
    "ignores deactivation": FulfillerContract.test_a_deactivation_keeps_the_object,
    "trims": FulfillerContract.test_values_are_written_byte_for_byte,
    "creates twice": FulfillerContract.test_an_order_sent_again_ends_in_the_same_state,
    "leaves out the missing": FulfillerContract.test_what_was_written_is_read_back_by_key,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_way_of_breaking_the_contract_is_caught(fault: str) -> None:
    FAULTS[fault](FulfillerContract(), DirectoryTarget())
    with pytest.raises((AssertionError, ConnectorError)):
        FAULTS[fault](FulfillerContract(), DirectoryTarget(fault))


class TestLimits:
    class Kit(Limited):
        capabilities = frozenset({"fly", "swim"})
        limits: ClassVar = {"fly": "it has no wings"}

    def test_a_limit_is_an_expected_failure_with_its_reason(self) -> None:
        with pytest.raises(pytest.xfail.Exception, match="fly: it has no wings"), self.Kit().capability("fly"):
            raise AssertionError

    def test_a_limit_that_works_after_all_fails(self) -> None:
        with pytest.raises(pytest.fail.Exception, match="listed as a limit"), self.Kit().capability("fly"):
            pass

    def test_what_is_no_limit_is_an_ordinary_test(self) -> None:
        with pytest.raises(AssertionError, match="drowned"), self.Kit().capability("swim"):
            raise AssertionError("drowned")


class TestPresentable:
    def test_a_secret_in_the_message_or_behind_it_is_caught(self) -> None:
        with pytest.raises(AssertionError, match="a secret shows"):
            assert_presentable(ConfigurationError(f"cannot use {SECRET}"), [SECRET])
        error = ConnectionFailed("cannot connect")
        error.__cause__ = ValueError(f"url has {SECRET}")
        with pytest.raises(AssertionError, match="a secret shows"):
            assert_presentable(error, [SECRET])
        error.__cause__, error.__suppress_context__ = None, True
        error.__context__ = ValueError(f"url has {SECRET}")
        assert_presentable(error, [SECRET])

    def test_an_error_outside_the_two_families_is_caught(self) -> None:
        with pytest.raises(AssertionError):
            assert_presentable(ConnectorError("neither terminal nor transient"), [])

    def test_a_secret_in_bytes_is_caught(self) -> None:
        with pytest.raises(AssertionError, match="a secret shows"):
            assert_secretless([SECRET], f'"{SECRET}"'.encode())


def test_raw_files_tell_null_from_the_empty_string() -> None:
    files = Files()
    with files.sink().table("T", ["a", "b"]) as table:
        table.write_rows([(None, ""), ("NULL", "1")])
    assert files.header("T") == ["a", "b"]
    assert files.rows("T") == [(None, ""), ("NULL", "1")]
