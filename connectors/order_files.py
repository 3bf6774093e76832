"""Order files in a folder: the JSON of engine.md 3.6, written whole, found again by order id, and consumed.

A consumer moves what it has read into the folder ``Downloaded`` beside it (engine.md 0.3).
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from connectors.contract import CheckResult, ConnectionContext, Order
from connectors.errors import ConfigurationError, ConnectionFailed, ConnectorError, InvalidValue, PermissionDenied
from connectors.location import base_folder, inside
from include.storage.folder import Folder

DOWNLOADED = "Downloaded"
ORDERS = "ProvisioningOrdersList"
SUFFIX = ".json"
PART = ".part"
PROBE = f".probe{PART}"
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
KEYS = ("OrderId", "AssignedResourceTypeId", "ChangeType", "WorkflowInstanceId", "Owner", "ResourceType")
"""In this order, before ``Resource``, ``Changes``, ``Arguments`` and whatever else an order holds."""
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def order_json(order: Order) -> dict[str, Any]:
    """One element of ``ProvisioningOrdersList``: what the order was read from, without ``sent_before``."""
    content = order.model_dump(by_alias=True, exclude_unset=True, exclude={"sent_before"})
    first = (*KEYS, "Resource", "Changes", "Arguments")
    return {key: content[key] for key in first if key in content} | content


def order_file(orders: Sequence[Order]) -> bytes:
    """An order file: one object with one list, one line per order, UTF-8.

    Raises:
        InvalidValue: a text that UTF-8 cannot carry, or a number that JSON has no word for.
    """
    try:
        lines = [
            json.dumps(order_json(order), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            for order in orders
        ]
        body = ",\n".join(lines)
        return f'{{"{ORDERS}":[\n{body}\n]}}\n'.encode()
    except UnicodeEncodeError:
        raise InvalidValue("a value holds half of a surrogate pair, which text cannot carry") from None
    except ValueError:
        raise InvalidValue("a value is no number that JSON can say (an infinity)") from None


def read_order_file(name: str, content: bytes) -> list[Order]:
    """The orders of a file, in its order.

    Raises:
        InvalidValue: not JSON, not of the shape of engine.md 3.6, or an order twice; with file and place.
    """
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidValue(f"{name}{where}: not a JSON file in UTF-8") from None
    items = document.get(ORDERS) if isinstance(document, Mapping) else None
    if not isinstance(items, list):
        raise InvalidValue(f"{name}: no order file: it holds no list '{ORDERS}'")
    orders = []
    for number, item in enumerate(items, 1):
        try:
            order = Order.model_validate(item)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(step) for step in first["loc"])
            raise InvalidValue(f"{name}, order {number}: {place or 'the order'}: {first['msg']}") from None
        orders.append(order.model_copy(update={"sent_before": False}))
    if len({order.order_id for order in orders}) < len(orders):
        raise InvalidValue(f"{name}: an OrderId comes twice; every order has one of its own")
    return orders


def safe_name(what: str, text: str) -> str:
    """A text that becomes part of a file name or an address.

    Raises:
        InvalidValue: it holds other marks than letters, digits, ``_``, ``.`` and ``-``, or more than 100.
    """
    if not SAFE_NAME.fullmatch(text):
        raise InvalidValue(f"{what} of the order is no name: letters, digits, '_', '.' and '-' only, 100 at most")
    return text


def resource_type_of(order: Order) -> str:
    """The identifier of an order's resource type; empty where it has none."""
    return str(order.resource_type.get("Identifier") or "")


def order_folder(context: ConnectionContext, path: str) -> OrderFolder:
    """The folder ``path`` of a connection: below its base folder, or below ``extra.url`` (an fsspec URL).

    Raises:
        ConfigurationError: the path leads out of it, or the URL has a protocol that is not installed.
    """
    url = context.endpoint.extra.get("url")
    if not url:
        return OrderFolder(Folder(str(inside(base_folder(context), path))))
    steps = PurePosixPath(path).parts
    if ".." in steps or path.startswith("/"):
        raise ConfigurationError(f"'{path}' leads out of the URL of this connection; name a folder below it")
    folder = Folder(str(url)).child(*steps)
    try:
        folder.filesystem  # noqa: B018 - asks fsspec for the protocol
    except (ImportError, ValueError):
        protocol = str(url).partition("://")[0]
        raise ConfigurationError(
            f"connection '{context.identifier}': extra 'url' has the protocol '{protocol}', which is not "
            "installed; install its fsspec package, or use another"
        ) from None
    return OrderFolder(folder)


def folder_verdict(context: ConnectionContext, path: str) -> CheckResult:
    """Whether the folder ``path`` of a connection is there and can be written; how many files wait in it."""
    title = f"folder {path}"
    try:
        folder = order_folder(context, path)
        folder.require_writable()
        waiting = len(folder.waiting())
    except ConnectorError as error:
        return CheckResult(title, passed=False, detail=error.message)
    return CheckResult(title, passed=True, detail=f"{waiting} files wait in {folder.place}")


@dataclass(frozen=True, slots=True)
class OrderFolder:
    """A folder of order files, and the folder of those that were consumed."""

    folder: Folder

    @property
    def place(self) -> str:
        """The folder as messages name it."""
        return self.folder.path

    @property
    def downloaded(self) -> Folder:
        """The folder of consumed files."""
        return self.folder.child(DOWNLOADED)

    def require_writable(self) -> None:
        """Make sure that files can be written, by writing an empty one that no consumer looks at.

        Raises:
            ConnectionFailed: the folder is not there, full, or cannot be reached.
            PermissionDenied: this account may not write in it.
        """
        self.require()
        probe = f"{self.place}/{PROBE}"
        with self._told("write in"):
            self.folder.filesystem.pipe_file(probe, b"")
            # Another worker that looks at the same instant may have removed it.
            with suppress(FileNotFoundError):
                self.folder.filesystem.rm_file(probe)

    def require(self) -> None:
        """Make sure that the folder is there, where its file system knows folders.

        Raises:
            ConnectionFailed: it is not; a share that is not mounted looks like this.
        """
        if self.folder.is_local and not Path(self.place).is_dir():
            raise ConnectionFailed(f"there is no folder '{self.place}'; mount or create it, or correct 'path'")

    def holds(self, name: str) -> bool:
        """Whether a file waits here or was consumed. A file that is just being moved is seen at one of both."""
        with self._told("look into"):
            return self.folder.exists(name) or self.downloaded.exists(name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all, and durably where the file system is a local one.

        Raises:
            ConnectionFailed: the folder is full, gone or out of reach.
            PermissionDenied: this account may not write in it.
        """
        self.require()
        with self._told("write in"):
            with self.folder.write(name) as stream:
                stream.write(content)
                if self.folder.is_local:
                    stream.flush()
                    os.fsync(stream.fileno())
            self._settle()

    def waiting(self) -> list[str]:
        """Order files that nobody has consumed, those written first first."""
        self.require()
        with self._told("list"):
            return [name for _, name in sorted(self._listed(self.folder))]

    def read(self, name: str) -> bytes:
        """The bytes of a file that waits."""
        with self._told("read from"), self.folder.open(name) as stream:
            return stream.read()

    def order_ids(self, prefix: str, wanted: Collection[str]) -> set[str]:
        """Which of the wanted orders stand in a file whose name begins so, waiting or consumed."""
        with self._told("list"):
            # In this order, so that a file that is moved meanwhile is met at least once.
            names = dict.fromkeys(name for place in self._places() for _, name in self._listed(place))
        found = set[str]()
        for name in names:
            if name.startswith(prefix) and not found.issuperset(wanted):
                found.update(order.order_id for order in self._orders(name))
        return found.intersection(wanted)

    def remove_parts(self, prefix: str) -> None:
        """Remove what a writer that died left of files whose name begins so."""
        with self._told("write in"):
            for name in self.folder.names(f"*{PART}"):
                if name.startswith(prefix):
                    self.folder.remove(name)

    def consume(self, name: str, results: Sequence[Mapping[str, Any]]) -> None:
        """Move a file to ``Downloaded``, with ``<name>.results.json`` beside it; results first."""
        with self._told("write in"):
            self.downloaded.make()
            self.downloaded.write_json(f"{name.removesuffix(SUFFIX)}.results{SUFFIX}", list(results))
            self.folder.filesystem.mv(f"{self.place}/{name}", f"{self.downloaded.path}/{name}")
            self._settle()

    def _places(self) -> tuple[Folder, Folder]:
        return self.folder, self.downloaded

    def _orders(self, name: str) -> list[Order]:
        for place in self._places():
            # A file is moved by its consumer, or was written by somebody else: neither is ours to judge.
            with self._told("read from"), suppress(FileNotFoundError, InvalidValue), place.open(name) as stream:
                return read_order_file(name, stream.read())
        return []

    def _listed(self, folder: Folder) -> Iterator[tuple[Any, str]]:
        """Order files of a folder with the time at which they were written, in the file system's own form."""
        try:
            found = folder.filesystem.ls(folder.path, detail=True)
        except FileNotFoundError:
            return
        for item in found:
            name = str(item["name"]).rstrip("/").rpartition("/")[2]
            if item["type"] == "file" and name.endswith(SUFFIX) and not name.endswith(f".results{SUFFIX}"):
                yield item.get("mtime", item.get("LastModified", item.get("created", 0))), name

    def _settle(self) -> None:
        """Make a rename durable."""
        if self.folder.is_local:
            descriptor = os.open(self.place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except ConnectorError:
            raise
        except Exception as error:  # noqa: BLE001 - every protocol of fsspec has errors of its own
            raise _failure(what, self.place, error) from None


def _failure(what: str, place: str, error: Exception) -> ConnectorError:
    """The error for a folder that the storage refuses: the account's rights, or something that may pass."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, PermissionError) or number in REFUSED:
        why = "it is read-only" if number == errno.EROFS else "this account may not"
        return PermissionDenied(f"cannot {what} the folder '{place}': {why}; give the account the right to")
    if number in FULL:
        return ConnectionFailed(f"cannot {what} the folder '{place}': the device is full; make room")
    reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return ConnectionFailed(f"cannot {what} the folder '{place}': {reason}")
