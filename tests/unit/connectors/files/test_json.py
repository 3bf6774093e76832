"""Order files: their names, that each order is in one file once, and what is said of a folder that cannot be used."""

from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings

from connectors.contract import Checker, ConnectionContext, Endpoint, Exporter, Fulfiller, Order, OrderResult
from connectors.errors import ConfigurationError, ConnectionFailed, ConnectorError, PermissionDenied
from connectors.files.json_orders import JsonConnector
from connectors.order_files import DOWNLOADED, read_order_file
from connectors.registry import build, settings_model
from include.storage.folder import Folder
from tests import strategies
from tests.unit.connectors.order_samples import again, sample_order

FILES = ("per_order", "per_batch")
each_way = pytest.mark.parametrize("files", FILES)


def connector(folder: Path, extra: dict[str, Any] | None = None, **given: Any) -> JsonConnector:
    used = settings_model("json").model_validate(given)
    made: JsonConnector = build("json", ConnectionContext("Files", used, Endpoint(extra=extra or {}), folder=folder))
    return made


def fulfilled(made: JsonConnector, *orders: Order) -> list[OrderResult]:
    return list(made.fulfil(iter(orders)))


def states(results: list[OrderResult]) -> list[str]:
    return [result.state for result in results]


def written(folder: Path) -> list[str]:
    """The order ids in the files that wait and that were consumed, file by file."""
    found = []
    for file in sorted(folder.rglob("*.json")):
        found += [order.order_id for order in read_order_file(file.name, file.read_bytes())]
    return found


def consume(folder: Path) -> None:
    (folder / DOWNLOADED).mkdir(exist_ok=True)
    for file in folder.glob("*.json"):
        file.rename(folder / DOWNLOADED / file.name)


def stopped(made: JsonConnector, *orders: Order) -> tuple[ConnectorError, list[Order]]:
    """The error that ends a batch, and the orders that were taken until then; the error crosses processes."""
    taken: list[Order] = []

    def feed() -> Iterator[Order]:
        for order in orders:
            taken.append(order)
            yield order

    with pytest.raises(ConnectorError) as raised:
        list(made.fulfil(feed()))
    assert "\n" not in raised.value.message
    assert pickle.loads(pickle.dumps(raised.value)).message == raised.value.message
    return raised.value, taken


def test_it_fulfils_and_checks_and_exports_nothing(tmp_path: Path) -> None:
    made = connector(tmp_path)
    assert isinstance(made, Fulfiller)
    assert isinstance(made, Checker)
    assert not isinstance(made, Exporter)


class TestFiles:
    def test_an_order_has_a_file_of_its_own_named_for_its_resource_type_and_id(self, tmp_path: Path) -> None:
        orders = [sample_order(1), sample_order(2, "Modified"), sample_order(3, "Deleted")]
        assert states(fulfilled(connector(tmp_path), *orders)) == ["executed"] * 3
        names = [f"CRM_User-o{number}.json" for number in (1, 2, 3)]
        assert sorted(file.name for file in tmp_path.iterdir()) == names
        for name, order in zip(names, orders, strict=True):
            content = json.loads((tmp_path / name).read_text(encoding="utf-8"))
            assert content == {"ProvisioningOrdersList": [order.model_dump(by_alias=True, exclude_unset=True)]}

    def test_a_batch_is_one_file_with_the_orders_as_they_are_to_be_carried_out(self, tmp_path: Path) -> None:
        orders = [sample_order(number) for number in (3, 1, 2)]
        assert states(fulfilled(connector(tmp_path, files="per_batch"), *orders)) == ["executed"] * 3
        (file,) = tmp_path.iterdir()
        assert file.name.startswith("CRM_User-batch-")
        assert [order.order_id for order in read_order_file(file.name, file.read_bytes())] == ["o3", "o1", "o2"]

    def test_files_lie_in_the_folder_of_the_connection(self, tmp_path: Path) -> None:
        (tmp_path / "share" / "orders").mkdir(parents=True)
        fulfilled(connector(tmp_path, {"path": "share"}, path="orders"), sample_order())
        assert written(tmp_path / "share" / "orders") == ["o1"]

    def test_files_lie_below_the_url_of_the_connection(self) -> None:
        url = f"memory://{uuid4().hex}"
        made = connector(Path("/nowhere"), {"url": url}, path="crm/orders")
        assert states(fulfilled(made, sample_order())) == ["executed"]
        folder = Folder(url).child("crm", "orders")
        assert folder.names() == ["CRM_User-o1.json"]
        folder.write_text("CRM_User-o1.json", "kept")
        assert states(fulfilled(made, *again(sample_order()))) == ["executed"]
        assert folder.read_text("CRM_User-o1.json") == "kept"
        assert [verdict.passed for verdict in made.check()] == [True]

    @each_way
    @settings(max_examples=25, suppress_health_check=strategies.TOLERATED, deadline=None)
    @given(name=strategies.unicode_text | strategies.csv_text)
    def test_any_text_is_written_byte_for_byte(self, tmp_path: Path, files: str, name: str) -> None:
        folder = tmp_path / uuid4().hex
        folder.mkdir()
        fulfilled(connector(folder, files=files), sample_order(Changes={"name": name}))
        (file,) = folder.iterdir()
        (order,) = read_order_file(file.name, file.read_bytes())
        assert order.changes == {"name": name}

    @each_way
    @pytest.mark.parametrize(
        "bad",
        [
            sample_order("/../../x"),
            sample_order("x" * 101),
            sample_order("bad", ResourceType={}),
            sample_order("bad", ResourceType={"Identifier": "../x"}),
            sample_order("bad", Changes={"name": "\ud800"}),
            sample_order("bad", Changes={"level": float("inf")}),
        ],
        ids=["id is a path", "id is long", "no resource type", "resource type is a path", "surrogate", "infinity"],
    )
    def test_an_order_that_no_file_can_hold_is_errored_and_its_siblings_are_not(
        self, tmp_path: Path, files: str, bad: Order
    ) -> None:
        results = fulfilled(connector(tmp_path, files=files), sample_order(1), bad, sample_order(2))
        assert states(results) == ["executed", "errored", "executed"]
        assert (results[1].error_class, results[1].transient) == ("InvalidValue", False)
        assert written(tmp_path) == ["o1", "o2"]


class TestOnce:
    @each_way
    def test_an_order_that_is_sent_again_leaves_its_file_as_it_is(self, tmp_path: Path, files: str) -> None:
        orders = [sample_order(1), sample_order(2)]
        fulfilled(connector(tmp_path, files=files), *orders)
        for file in tmp_path.iterdir():
            file.write_bytes(file.read_bytes() + b" ")
        before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
        assert states(fulfilled(connector(tmp_path, files=files), *again(*orders))) == ["executed"] * 2
        assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()} == before

    @each_way
    def test_an_order_that_was_consumed_is_not_written_again(self, tmp_path: Path, files: str) -> None:
        orders = [sample_order(1), sample_order(2)]
        fulfilled(connector(tmp_path, files=files), *orders)
        consume(tmp_path)
        assert states(fulfilled(connector(tmp_path, files=files), *again(*orders))) == ["executed"] * 2
        assert list(tmp_path.glob("*.json")) == []

    def test_the_rest_of_a_batch_that_has_its_file_gets_no_second_one(self, tmp_path: Path) -> None:
        """A worker died after the file was there, and after the first result was on record."""
        orders = [sample_order(number) for number in (1, 2, 3)]
        made = connector(tmp_path, files="per_batch")
        fulfilled(made, *orders)
        assert states(fulfilled(made, *again(*orders[1:]), sample_order(4))) == ["executed"] * 3
        assert sorted(written(tmp_path)) == ["o1", "o2", "o3", "o4"]

    @pytest.mark.parametrize(("first", "second"), [FILES, FILES[::-1]])
    def test_a_setting_that_was_changed_meanwhile_writes_no_order_twice(
        self, tmp_path: Path, first: str, second: str
    ) -> None:
        orders = [sample_order(1), sample_order(2)]
        fulfilled(connector(tmp_path, files=first), *orders)
        fulfilled(connector(tmp_path, files=second), *again(*orders))
        assert sorted(written(tmp_path)) == ["o1", "o2"]

    @each_way
    @pytest.mark.parametrize("step", range(9))
    def test_a_worker_killed_at_any_step_leaves_whole_files_only_and_its_rerun_completes_them(
        self, tmp_path: Path, files: str, step: int
    ) -> None:
        orders = [sample_order(number) for number in (1, 2, 3)]
        killed_at(step, connector(tmp_path, files=files), orders)
        before = written(tmp_path)
        assert len(set(before)) == len(before)
        assert states(fulfilled(connector(tmp_path, files=files), *again(*orders))) == ["executed"] * 3
        assert sorted(written(tmp_path)) == ["o1", "o2", "o3"]
        assert all(file.suffix == ".json" for file in tmp_path.iterdir())


def killed_at(step: int, made: JsonConnector, orders: list[Order]) -> None:
    """Fulfil in a process that dies, without any clean-up, instead of making that durable or visible."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    calls = iter(range(step))
    fsync, rename = os.fsync, os.rename

    def die_or(go_on: Any) -> Any:
        return lambda *arguments: go_on(*arguments) if next(calls, None) is not None else os._exit(9)

    os.fsync, os.rename = die_or(fsync), die_or(rename)
    fulfilled(made, *orders)
    os._exit(0)


class TestFolder:
    @each_way
    def test_a_folder_that_is_not_there_stops_the_batch_before_an_order_is_taken(
        self, tmp_path: Path, files: str
    ) -> None:
        error, taken = stopped(connector(tmp_path, files=files, path="orders"), sample_order())
        assert isinstance(error, ConnectionFailed)
        assert f"there is no folder '{tmp_path}/orders'" in error.message
        assert (taken, list(tmp_path.iterdir())) == ([], [])

    @pytest.mark.parametrize(("extra", "path"), [({}, "../x"), ({}, "/etc"), ({"url": "memory://x"}, "a/../../x")])
    def test_a_folder_outside_that_of_the_connection_is_refused(
        self, tmp_path: Path, extra: dict[str, str], path: str
    ) -> None:
        error, taken = stopped(connector(tmp_path, extra, path=path), sample_order())
        assert isinstance(error, ConfigurationError)
        assert "leads out of" in error.message
        assert taken == []

    def test_a_link_that_leads_out_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "inner").mkdir()
        (tmp_path / "outer").mkdir()
        (tmp_path / "inner" / "orders").symlink_to(tmp_path / "outer")
        error, _ = stopped(connector(tmp_path, {"path": "inner"}, path="orders"), sample_order())
        assert isinstance(error, ConfigurationError)

    def test_a_protocol_that_is_not_installed_is_one_line(self, tmp_path: Path) -> None:
        error, _ = stopped(connector(tmp_path, {"url": "nosuch://bucket"}), sample_order())
        assert isinstance(error, ConfigurationError)
        assert "protocol 'nosuch'" in error.message

    @each_way
    @pytest.mark.parametrize(
        "fault",
        [
            (errno.EACCES, PermissionDenied, "this account may not"),
            (errno.EROFS, PermissionDenied, "it is read-only"),
            (errno.ENOSPC, ConnectionFailed, "the device is full"),
            (errno.ESTALE, ConnectionFailed, "Stale file handle"),
        ],
        ids=lambda fault: errno.errorcode[fault[0]],
    )
    def test_a_folder_that_takes_no_file_stops_the_batch_before_an_order_is_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: str, fault: tuple[int, type, str]
    ) -> None:
        number, kind, words = fault
        break_opening(monkeypatch, number, after=0)
        made = connector(tmp_path, files=files)
        error, taken = stopped(made, sample_order())
        assert type(error) is kind
        assert words in error.message
        assert str(tmp_path) in error.message
        assert taken == []
        (verdict,) = made.check()
        assert (verdict.passed, verdict.detail) == (False, error.message)

    @each_way
    def test_a_folder_that_fills_up_stops_the_batch_and_leaves_no_part(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: str
    ) -> None:
        with monkeypatch.context() as broken:
            fill_up(broken, after=0 if files == "per_batch" else 1)
            error, _ = stopped(connector(tmp_path, files=files), sample_order(1), sample_order(2))
            assert type(error) is ConnectionFailed
            assert "the device is full" in error.message
        assert written(tmp_path) == ([] if files == "per_batch" else ["o1"])
        assert all(file.suffix == ".json" for file in tmp_path.iterdir())
        fulfilled(connector(tmp_path, files=files), *again(sample_order(1), sample_order(2)))
        assert sorted(written(tmp_path)) == ["o1", "o2"]

    @each_way
    def test_a_right_that_is_lost_on_the_way_is_an_error_of_each_order(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: str
    ) -> None:
        break_opening(monkeypatch, errno.EACCES, after=1)
        results = fulfilled(connector(tmp_path, files=files), sample_order(1), sample_order(2))
        assert states(results) == ["errored", "errored"]
        assert {(result.error_class, result.transient) for result in results} == {("PermissionDenied", False)}

    def test_the_check_tells_how_many_files_wait(self, tmp_path: Path) -> None:
        fulfilled(connector(tmp_path), sample_order(1), sample_order(2))
        (verdict,) = connector(tmp_path).check()
        assert (verdict.passed, verdict.detail) == (True, f"2 files wait in {tmp_path}")
        assert len(list(tmp_path.iterdir())) == 2


def break_opening(monkeypatch: pytest.MonkeyPatch, number: int, *, after: int) -> None:
    """No file can be opened for writing, once so many were; an account that may everything meets this only so."""
    from fsspec.implementations.local import LocalFileSystem

    left = iter(range(after))
    works = LocalFileSystem._open

    def fails(self: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        if "w" in mode and next(left, None) is None:
            raise OSError(number, os.strerror(number))
        return works(self, path, mode, **options)

    monkeypatch.setattr(LocalFileSystem, "_open", fails)


def fill_up(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Nothing more can be made durable, once so many files and renames were."""
    left = iter(range(2 * after))
    works = os.fsync

    def fails(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        works(descriptor)

    monkeypatch.setattr(os, "fsync", fails)


class TestReading:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"{", "x.json, line 1: not a JSON file"),
            (b"\xff", "not a JSON file"),
            (b"[]", "it holds no list 'ProvisioningOrdersList'"),
            (b'{"ProvisioningOrdersList":[{"OrderId":"a"}]}', "order 1: AssignedResourceTypeId: Field required"),
            (b'{"ProvisioningOrdersList":[1]}', "order 1: the order"),
        ],
    )
    def test_a_file_that_is_none_is_refused_with_its_place(self, content: bytes, words: str) -> None:
        with pytest.raises(ConnectorError, match="x.json") as raised:
            read_order_file("x.json", content)
        assert words in raised.value.message

    def test_an_order_that_comes_twice_is_refused(self) -> None:
        item = sample_order().model_dump(by_alias=True, exclude_unset=True)
        with pytest.raises(ConnectorError, match="comes twice"):
            read_order_file("x.json", json.dumps({"ProvisioningOrdersList": [item, item]}).encode())

    def test_a_file_cannot_say_that_it_was_sent_before(self) -> None:
        item = sample_order().model_dump(by_alias=True, exclude_unset=True) | {"SentBefore": True}
        (order,) = read_order_file("x.json", json.dumps({"ProvisioningOrdersList": [item]}).encode())
        assert not order.sent_before
