"""Orders carried out one by one: looked up, written, linked, and told apart in their results."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from connectors.contract import ConnectionContext, Order, OrderResult
from connectors.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ConnectorError,
    InvalidValue,
    ObjectExists,
    ObjectMissing,
    Throttled,
    TransientError,
)
from connectors.scim.answers import Answer
from connectors.scim.client import ScimClient
from connectors.scim.discovery import Service
from connectors.scim.orders import Write, read_order
from connectors.scim.writing import Writer

CREATION_TRIES = 3

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """How far an order has come: the key of its object, and what has been done to it."""

    key: str | None = None
    done: list[str] = field(default_factory=list)


class Fulfilment:
    """Carries out orders on one service provider."""

    def __init__(
        self, client: ScimClient, service: Service, context: ConnectionContext, *, check_current_values: bool | None
    ) -> None:
        self._client = client
        self._service = service
        self._context = context
        self._writer = Writer(client, service, check_current_values=check_current_values)

    def run(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        """See ``ScimConnector.fulfil``."""
        for order in orders:
            progress, started = Progress(), time.monotonic()
            try:
                self._fulfil(read_order(order, self._context, self._service), progress)
            except (AuthenticationFailed, ConnectionFailed) as error:
                # One object may upset a server that is well otherwise; only a server that is down stops the batch.
                stops = isinstance(error, AuthenticationFailed) or not self._client.reachable()
                if progress.done or not stops:
                    yield self._errored(order, error, progress, started)
                if stops:
                    raise
            except ConnectorError as error:
                yield self._errored(order, error, progress, started)
            else:
                logger.info("order %s (%s): executed on '%s'", order.order_id, order.change_type, progress.key)
                yield OrderResult(order.order_id, "executed", progress.key, seconds=time.monotonic() - started)

    def _fulfil(self, write: Write, progress: Progress) -> None:
        if write.change_type == "Added":
            self._add(write, progress)
            return
        key = progress.key = write.key
        if key is None:
            raise InvalidValue("the order names no object to change")
        if write.change_type == "Modified":
            self._modify(write, key, progress)
        else:
            self._change_links(write, key, progress, look=write.sent_before)
            self._writer.delete(write.resource, key, look=write.sent_before)

    def _add(self, write: Write, progress: Progress) -> None:
        found = self._writer.find(write) if write.sent_before else None
        key = self._change_found(write, found, progress) if found else self._create(write, progress)
        self._change_links(write, key, progress, look=write.sent_before)

    def _modify(self, write: Write, key: str, progress: Progress) -> None:
        self._writer.change(write.resource, key, write.changes, expected=write.expected, look=write.sent_before)
        if write.changes:
            progress.done.append(f"changed '{key}'")
        self._change_links(write, key, progress, look=write.sent_before)

    def _create(self, write: Write, progress: Progress) -> str:
        """Create, with every doubt settled by a look: an answer that got lost, an object that was there."""
        for attempt in range(CREATION_TRIES):
            try:
                answer = self._writer.create(write)
            except ConnectionFailed:
                found = self._writer.find(write) if write.identity() else None
                if found:
                    return self._change_found(write, found, progress)
                if not write.identity() or attempt + 1 == CREATION_TRIES:
                    raise
                continue
            if answer.status == HTTPStatus.CONFLICT:
                return self._change_existing(write, answer, progress)
            if not answer.ok:
                raise answer.failure()
            return self._created(write, answer, progress)
        raise ConnectionFailed(f"create {write.resource.name}: no try was made")

    def _created(self, write: Write, answer: Answer, progress: Progress) -> str:
        key = answer.body.get("id") or (answer.location or "").rstrip("/").rsplit("/", 1)[-1]
        if not isinstance(key, str) or not key:
            key = self._writer.find(write) or ""
        if not key:
            raise ObjectMissing(f"{answer.operation}: the server tells no id of what it created")
        progress.key = key
        progress.done.append(f"created '{key}'")
        return key

    def _change_existing(self, write: Write, refusal: Answer, progress: Progress) -> str:
        try:
            found = self._writer.find(write)
        except InvalidValue as error:
            raise ObjectExists(f"{refusal.failure().message}; and {error.message}") from None
        if found is None:
            raise ObjectExists(f"{refusal.failure().message} (it belongs to another object)")
        return self._change_found(write, found, progress)

    def _change_found(self, write: Write, key: str, progress: Progress) -> str:
        progress.key = key
        self._writer.change(write.resource, key, write.changes, look=True)
        progress.done.append(f"found '{key}' and brought it up to date")
        return key

    def _change_links(self, write: Write, key: str, progress: Progress, *, look: bool) -> None:
        for change in write.group_changes(key):
            self._writer.change_members(change, look=look)
            progress.done.append(f"changed the members of '{change.group}'")

    @staticmethod
    def _errored(order: Order, error: ConnectorError, progress: Progress, started: float) -> OrderResult:
        message = error.message
        if progress.done:
            message += f" (done before: {', '.join(progress.done)}; sending the order again finishes it)"
        logger.warning("order %s (%s): %s", order.order_id, order.change_type, message)
        return OrderResult(
            order.order_id,
            "errored",
            key=progress.key,
            error_class=error.error_class,
            message=message,
            transient=isinstance(error, TransientError),
            retry_after=error.retry_after if isinstance(error, Throttled) else None,
            seconds=time.monotonic() - started,
        )
