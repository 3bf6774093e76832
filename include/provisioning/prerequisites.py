"""Orders of a batch that must not go out: those whose prerequisite failed, and those that were given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from connectors.contract import Order
from include.provisioning.ledger import Ledger
from include.storage.folder import Folder

GIVEN_BACK_FILE = "given_back.json"
"""Results, by order id, of the orders whose assignments a report has made Pending again: the next run decides anew."""


def unsendable(run: Folder, orders: Sequence[Order]) -> dict[str, Mapping[str, object]]:
    """The results of orders that this batch does not send, by order id.

    An order goes out only when its prerequisite, an order of an earlier batch of the same run, was executed;
    else it is ``withheld`` (engine.md 3.6, 7.16). What a report has given back keeps the result it had then: the
    repository may have decided it again, in another run.
    """
    given_back = _given_back(run)
    executed: dict[str, set[str]] = {}
    found: dict[str, Mapping[str, object]] = {}
    for order in orders:
        if order.order_id in given_back:
            found[order.order_id] = given_back[order.order_id]
        elif (needed := order.prerequisite) is not None:
            if needed.batch not in executed:
                executed[needed.batch] = _executed(run, needed.batch)
            if needed.order_id not in executed[needed.batch]:
                found[order.order_id] = _withheld(order.order_id, needed.order_id, needed.batch)
    return found


def _given_back(run: Folder) -> dict[str, Mapping[str, object]]:
    orders = run.child("orders")
    return dict(orders.read_json(GIVEN_BACK_FILE)) if orders.exists(GIVEN_BACK_FILE) else {}


def _executed(run: Folder, batch: str) -> set[str]:
    entries = Ledger.of(run, batch).results()
    return {order_id for order_id, entry in entries.items() if entry.result.state == "executed"}


def _withheld(order_id: str, needed: str, batch: str) -> dict[str, object]:
    return {
        "order_id": order_id,
        "state": "withheld",
        "message": f"not sent: order {needed} of {batch}, which it depends on, was not executed",
        "finished_at": datetime.now(UTC).isoformat(),
    }
