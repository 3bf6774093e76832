"""Sending one batch: each order on its own, at most once, with a ledger that survives any death."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connectors.contract import Fulfiller, Order, OrderResult
from connectors.errors import AuthenticationFailed, ConnectionFailed, ConnectorError, Throttled, TransientError
from include.provisioning.ledger import Ledger, LedgerEntry
from include.provisioning.plan import released_batch
from include.provisioning.prerequisites import unsendable
from include.storage.folder import Folder

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]


class DispatchError(Exception):
    """A batch cannot go on, for a reason that is no order's: one line. Its ledger stands; run it again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long transient errors are tried again within a batch, in seconds.

    ``tries`` counts rounds in a row that finish no order. The wait doubles from ``first_wait`` up to
    ``longest_wait``, with jitter; a system that asks for a longer wait gets it, up to ``longest_asked``.
    """

    tries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 300.0


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What came of a batch: ``sent`` now, and the states of all its orders."""

    batch: str
    orders: int
    sent: int
    executed: int
    errored: int
    withheld: int = 0


def fulfil_batch(
    run: Folder,
    batch: str,
    fulfiller: Fulfiller,
    *,
    progress: Progress | None = None,
    patience: Patience | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
) -> BatchResult:
    """Send the orders of a batch that have no final result yet, and write ``orders/<batch>.results.json``.

    An order is written into the ledger before it is sent and after its result. On a rerun, orders with
    a final result are not sent; one that was sent without a result, or ended in a transient error,
    is sent with ``sent_before``. Transient errors are tried again after all siblings, with growing
    waits; what still fails then is errored, and is sent again by a rerun of the task.

    An order whose prerequisite was not executed is never sent, nor is one that a report has given back.

    The results file is a list, in the order of the batch, of the fields of ``OrderResult`` and ``finished_at``. Beside
    ``executed`` and ``errored`` its ``state`` may be ``withheld`` (by the prerequisite) and, where the whole batch
    stopped, ``unsent`` (never reached the connector) and ``unanswered`` (did, and nobody knows what came of it).

    Args:
        run: the run's folder.
        batch: the batch's name in ``generation.json``.
        fulfiller: the connector.
        progress: called with orders done and orders in the batch after each result.
        patience: limits of the retries.
        now: the clock, in UTC.
        sleep: how to wait.

    Raises:
        PlanError: the batch was not transmitted, or is not the one that was decided.
        AuthenticationFailed, ConnectionFailed: the connector cannot go on; results so far are kept.
        Throttled: as above, after ``patience``.
        DispatchError: the storage failed, or the connector answers out of turn.
    """
    dispatch = _open(run, batch, fulfiller, progress or (lambda *_: None), now)
    orders = run.child("orders")
    # A stale list of results must not hide what the ledger learns from here on.
    orders.remove(f"{batch}.results.json")
    try:
        _send_with_patience(dispatch, patience or Patience(), sleep)
    except ConnectorError as error:
        orders.write_json(f"{batch}.results.json", dispatch.results(error))
        raise
    orders.write_json(f"{batch}.results.json", dispatch.results())
    return dispatch.outcome(batch)


def leave_batch_unsent(run: Folder, batch: str, reason: ConnectorError) -> None:
    """Write the results of a batch that is not begun, since the connector cannot go on.

    Raises:
        PlanError: the batch was not transmitted, or is not the one that was decided.
    """
    dispatch = _open(run, batch, _Nobody(), lambda *_: None, lambda: datetime.now(UTC))
    run.child("orders").write_json(f"{batch}.results.json", dispatch.results(reason))


class _Nobody:
    """The connector of a batch that is not begun."""

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:  # noqa: ARG002  the contract's name
        raise DispatchError("this batch is not to be sent")


def _open(run: Folder, batch: str, fulfiller: Fulfiller, progress: Progress, now: Callable[[], datetime]) -> _Dispatch:
    """The dispatch of a batch as its ledger tells that it stands."""
    released, orders = released_batch(run, batch), run.child("orders")
    content = [Order.model_validate(item) for item in orders.read_json(released.file)["ProvisioningOrdersList"]]
    ledger = Ledger.of(run, batch)
    return _Dispatch(
        orders=content,
        settled=unsendable(run, content),
        fulfiller=fulfiller,
        ledger=ledger,
        now=now,
        progress=progress,
        entries=ledger.results(),
        sent_before=ledger.sent(),
    )


def _send_with_patience(dispatch: _Dispatch, patience: Patience, sleep: Callable[[float], None]) -> None:
    """Send in rounds until every order has a final result, or patience ends."""
    from tenacity import RetryCallState, Retrying, retry_if_result, wait_random

    jitter = wait_random(0, patience.first_wait)

    def is_over(_: RetryCallState) -> bool:
        return dispatch.stalled >= patience.tries or dispatch.asked_wait > patience.longest_asked

    def wait(state: RetryCallState) -> float:
        grown: float = min(patience.longest_wait, patience.first_wait * 2 ** max(dispatch.stalled - 1, 0))
        return max(dispatch.asked_wait, grown) + jitter(state)

    def give_up(_: RetryCallState) -> bool:
        if dispatch.interruption is not None:
            raise dispatch.interruption
        return True

    rounds = Retrying(stop=is_over, wait=wait, retry=retry_if_result(bool), sleep=sleep, retry_error_callback=give_up)
    rounds(dispatch.send_round)


@dataclass(slots=True)
class _Dispatch:
    """One worker's way through a batch."""

    orders: list[Order]
    settled: Mapping[str, Mapping[str, object]]
    """Results of orders that this batch must not send, by order id."""
    fulfiller: Fulfiller
    ledger: Ledger
    now: Callable[[], datetime]
    progress: Progress
    entries: dict[str, LedgerEntry]
    sent_before: set[str]
    sent: set[str] = field(default_factory=set)
    # Of the last round: the transient error that cut it short, the wait that was asked for, and how many
    # rounds in a row have finished no order.
    interruption: TransientError | None = None
    asked_wait: float = 0.0
    stalled: int = 0

    def send_round(self) -> bool:
        """Send every order without a final result; whether any is left to send again.

        Raises:
            AuthenticationFailed, ConnectionFailed, DispatchError: the whole batch stops.
        """
        self.interruption, self.asked_wait = None, 0.0
        waiting = deque(item for item in self.orders if not self._is_final(item))
        before = len(waiting)
        while waiting and self.interruption is None:
            self._exchange(waiting)
        left = sum(not self._is_final(item) for item in self.orders)
        self.stalled = 0 if left < before else self.stalled + 1
        return left > 0

    def results(self, stopped_by: ConnectorError | None = None) -> list[Mapping[str, object]]:
        """The results so far, in the order of the batch; with what was left undone where an error stopped it."""
        found = (self._result(item.order_id, stopped_by) for item in self.orders)
        return [item for item in found if item is not None]

    def outcome(self, batch: str) -> BatchResult:
        """The states of all orders, counted."""
        states = Counter(str(item["state"]) for item in self.results())
        return BatchResult(
            batch=batch,
            orders=len(self.orders),
            sent=len(self.sent),
            executed=states["executed"],
            errored=states["errored"],
            withheld=states["withheld"],
        )

    def _result(self, order_id: str, stopped_by: ConnectorError | None) -> Mapping[str, object] | None:
        if order_id in self.settled:
            return self.settled[order_id]
        if order_id in self.entries:
            return self.entries[order_id].to_json()
        if stopped_by is None:
            return None
        told = {"order_id": order_id, "finished_at": self.now().astimezone(UTC).isoformat()}
        if order_id in self.sent_before:
            told |= {"state": "unanswered", "error_class": stopped_by.error_class, "message": stopped_by.message}
        else:
            told |= {"state": "unsent", "message": f"not sent: {stopped_by.message}"}
        return told

    def _exchange(self, waiting: deque[Order]) -> None:
        """Feed the connector and record its answers, until it ends or one order breaks it.

        The order that broke it has its answer then; what it had taken besides goes with the next round.
        """
        taken = deque[Order]()
        answers = self.fulfiller.fulfil(self._feed(waiting, taken))
        try:
            for result in answers:
                self._answer(taken, result)
        except (AuthenticationFailed, ConnectionFailed, DispatchError):
            raise
        except Exception as error:
            if isinstance(error, TransientError):
                self.interruption = error
                self.asked_wait = max(self.asked_wait, _asked_wait(error) or 0.0)
            elif not taken:
                raise
            if taken:
                self._record(_failure(taken.popleft(), error))
        else:
            if taken or waiting:
                raise DispatchError(f"the connector left {len(taken) + len(waiting)} orders of a batch unanswered")
        finally:
            if isinstance(answers, Generator):
                answers.close()

    def _feed(self, waiting: deque[Order], taken: deque[Order]) -> Iterator[Order]:
        """The waiting orders, each written down as sent just before the connector gets it."""
        while waiting:
            order = waiting[0]
            with _storage("write down that an order is sent"):
                self.ledger.send(order.order_id, self.now())
            taken.append(waiting.popleft())
            again = order.sent_before or order.order_id in self.sent_before
            self.sent_before.add(order.order_id)
            self.sent.add(order.order_id)
            yield order.model_copy(update={"sent_before": again})

    def _answer(self, taken: deque[Order], result: OrderResult) -> None:
        if not taken or taken[0].order_id != result.order_id:
            raise DispatchError(f"the connector answered order {result.order_id} out of turn")
        self._record(_with_key(taken[0], result))
        taken.popleft()

    def _record(self, result: OrderResult) -> None:
        entry = LedgerEntry(result, self.now())
        with _storage("write down the result of an order"):
            self.ledger.record(entry)
        self.entries[result.order_id] = entry
        self.asked_wait = max(self.asked_wait, result.retry_after or 0.0)
        self.progress(sum(self._is_final(item) for item in self.orders), len(self.orders))

    def _is_final(self, order: Order) -> bool:
        entry = self.entries.get(order.order_id)
        return order.order_id in self.settled or (entry is not None and entry.is_final)


@contextmanager
def _storage(what: str) -> Iterator[None]:
    """Tell the storage's failures from the connector's: they stop the batch, not one order."""
    try:
        yield
    except Exception as error:
        raise DispatchError(f"cannot {what}: {type(error).__name__}; the run's storage must be writable") from error


def _with_key(order: Order, result: OrderResult) -> OrderResult:
    """The result with the key of its object, where the connector gave none and the order tells it."""
    primary_key = order.resource_type["Mapping"]["PrimaryKey"]
    known = order.changes.get(primary_key, order.resource.get(primary_key))
    if result.key is not None or result.state != "executed" or known is None:
        return result
    return replace(result, key=known if isinstance(known, str) else json.dumps(known))


def _asked_wait(error: Exception) -> float | None:
    """Seconds that the managed system asks to be left alone."""
    return error.retry_after if isinstance(error, Throttled) else None


def _failure(order: Order, error: Exception) -> OrderResult:
    """The result of an order on which the connector raised, against its contract or to ask for a pause."""
    if isinstance(error, ConnectorError):
        transient = isinstance(error, TransientError)
        return OrderResult(
            order.order_id,
            "errored",
            error_class=error.error_class,
            message=error.message,
            transient=transient,
            retry_after=_asked_wait(error),
        )
    # The text of an unknown error may hold anything, a credential included: only where it arose is shown.
    places = "".join(traceback.format_tb(error.__traceback__))
    logger.error("order %s: the connector raised %s at\n%s", order.order_id, type(error).__name__, places)
    message = f"the connector failed on this order with {type(error).__name__}: see the log of the task"
    return OrderResult(order.order_id, "errored", error_class=type(error).__name__, message=message)
