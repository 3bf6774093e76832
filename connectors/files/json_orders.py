"""Package ``json``: every order becomes a file for whoever consumes it (scripts, workflows). Fulfil only."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from connectors.contract import CheckResult, ConnectionContext, ConnectorSettings, Order, OrderResult
from connectors.errors import ConfigurationError, ConnectionFailed, ConnectorError
from connectors.order_files import (
    SUFFIX,
    OrderFolder,
    folder_verdict,
    order_file,
    order_folder,
    resource_type_of,
    safe_name,
)

logger = logging.getLogger(__name__)


class JsonSettings(ConnectorSettings):
    """Where the files go, and how many there are.

    ``path`` is a folder below that of the connection; it must be there. ``files`` writes one for each
    order, ``<resource type>-<order id>.json``, or one for each batch, ``<resource type>-batch-<digits>.json``,
    in which the orders stand as they are to be carried out.
    """

    path: str = "."
    files: Literal["per_order", "per_batch"] = "per_order"


class JsonConnector:
    """Writes order files in the JSON of engine.md 3.6. An order is executed once its file is durably there.

    A file appears whole or not at all, and an order is never written twice: one that was sent before is
    looked for among the files that wait and those that their consumer moved to ``Downloaded``.
    """

    Settings = JsonSettings

    def __init__(self, context: ConnectionContext) -> None:
        settings = context.settings
        if not isinstance(settings, JsonSettings):
            raise ConfigurationError(f"connection '{context.identifier}' has no settings of package 'json'")
        self._context = context
        self._settings = settings

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        """Write the order files; one result per order, in order.

        Raises:
            ConnectionFailed: the folder is not there, full, or out of reach.
            PermissionDenied: this account may not write in it; found before the first order is taken.
        """
        folder = order_folder(self._context, self._settings.path)
        folder.require_writable()
        yield from _one_file(folder, orders) if self._settings.files == "per_batch" else _file_each(folder, orders)

    def check(self) -> Sequence[CheckResult]:
        """Whether the folder is there and can be written."""
        return (folder_verdict(self._context, self._settings.path),)


def _file_each(folder: OrderFolder, orders: Iterable[Order]) -> Iterator[OrderResult]:
    """One file per order, written as its order comes."""
    for order in orders:
        started = time.monotonic()
        try:
            _write_order(folder, order)
        except ConnectionFailed:
            raise
        except ConnectorError as error:
            yield _errored(order, error, started)
        else:
            yield OrderResult(order.order_id, "executed", seconds=time.monotonic() - started)


def _write_order(folder: OrderFolder, order: Order) -> None:
    stem = _stem(order)
    if folder.holds(f"{stem}{SUFFIX}"):
        return
    if order.sent_before:
        folder.remove_parts(f"{stem}{SUFFIX}.")
        # The setting may have been another one when the order was sent first.
        if folder.order_ids(_batch_prefix(order), {order.order_id}):
            return
    folder.write(f"{stem}{SUFFIX}", order_file([order]))


def _one_file(folder: OrderFolder, orders: Iterable[Order]) -> Iterator[OrderResult]:
    """One file of every order that can be written and is in none yet; results once it is there."""
    started = time.monotonic()
    taken, refused = [], dict[str, ConnectorError]()
    for order in orders:
        taken.append(order)
        try:
            _stem(order)
            order_file([order])
        except ConnectorError as error:
            refused[order.order_id] = error
    written = [order for order in taken if order.order_id not in refused]
    try:
        if written:
            _write_batch(folder, written)
    except ConnectionFailed:
        raise
    except ConnectorError as error:
        refused |= {order.order_id: error for order in written}
    for order in taken:
        if order.order_id in refused:
            yield _errored(order, refused[order.order_id], started)
        else:
            yield OrderResult(order.order_id, "executed", seconds=time.monotonic() - started)


def _write_batch(folder: OrderFolder, orders: Sequence[Order]) -> None:
    prefix = _batch_prefix(orders[0])
    known = set[str]()
    if again := {order.order_id for order in orders if order.sent_before}:
        folder.remove_parts(prefix)
        known = folder.order_ids(f"{resource_type_of(orders[0])}-", again)
    left = {order.order_id: order for order in orders if order.order_id not in known}
    digest = hashlib.sha256("\n".join(left).encode()).hexdigest()
    name = f"{prefix}{digest[:32]}{SUFFIX}"
    if left and not folder.holds(name):
        folder.write(name, order_file(list(left.values())))


def _stem(order: Order) -> str:
    """The name of an order's own file, without its suffix; the same for every try.

    Raises:
        InvalidValue: the order's id or resource type is no name.
    """
    resource_type = safe_name("the resource type", resource_type_of(order))
    return f"{resource_type}-{safe_name('the OrderId', order.order_id)}"


def _batch_prefix(order: Order) -> str:
    return f"{resource_type_of(order)}-batch-"


def _errored(order: Order, error: ConnectorError, started: float) -> OrderResult:
    logger.warning("order %s (%s): %s", order.order_id, order.change_type, error.message)
    return OrderResult(
        order.order_id,
        "errored",
        error_class=error.error_class,
        message=error.message,
        seconds=time.monotonic() - started,
    )
