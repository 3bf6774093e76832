"""A managed system in memory, with its door: it keeps objects and links, and can misbehave on demand."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.contract import Order, OrderResult
from connectors.errors import ConnectorError, Throttled, TransientError


class Killed(BaseException):
    """The worker is gone: nothing of it runs any more."""


@dataclass
class System:
    """Objects by key and links, and a count of real writes by object.

    ``faults`` holds by user name (or key) what happens on each try in turn: a ``ConnectorError`` to
    answer with, an exception to raise inside ``Raise``, or ``None`` to do as asked.
    """

    objects: dict[str, dict[str, str | None]] = field(default_factory=dict)
    links: set[tuple[str, str]] = field(default_factory=set)
    writes: Counter[str] = field(default_factory=Counter)
    asked: list[Order] = field(default_factory=list)
    faults: dict[str, list[Any]] = field(default_factory=dict)
    overwrite: dict[str, str | None] = field(default_factory=dict)

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        for order in orders:
            self.asked.append(order)
            name = str(order.changes.get("user_name") or order.resource.get("id"))
            fault = self.faults[name].pop(0) if self.faults.get(name) else None
            if isinstance(fault, Raise):
                raise fault.error
            if isinstance(fault, ConnectorError):
                yield OrderResult(
                    order.order_id,
                    "errored",
                    error_class=fault.error_class,
                    message=fault.message,
                    transient=isinstance(fault, TransientError),
                    retry_after=fault.retry_after if isinstance(fault, Throttled) else None,
                )
                continue
            key = self._write(order)
            if isinstance(fault, AfterWrite):
                raise fault.error
            yield OrderResult(order.order_id, "executed", key=key)

    def _write(self, order: Order) -> str:
        mapping = order.resource_type["Mapping"]
        changes = {
            mapping["Columns"][name]: None if value is None else value if isinstance(value, str) else json.dumps(value)
            for name, value in order.changes.items()
            if name in mapping["Columns"]
        }
        if order.change_type == "Added":
            found = [key for key, item in self.objects.items() if item["userName"] == changes["userName"]]
            assert not found or order.sent_before, "sent twice without a word"
            key = found[0] if found else f"key-{changes['userName']}"
            if not found:
                self.objects[key] = {}
                self.writes[key] += 1
            self.objects[key] |= changes | {"id": key} | self.overwrite
            self._link(order, key)
            return key
        key = str(order.resource["id"])
        if order.change_type == "Deleted":
            if self.objects.pop(key, None) is not None:
                self.writes[key] += 1
            return key
        before = (dict(self.objects[key]), set(self.links))
        self.objects[key] |= changes | self.overwrite
        self._link(order, key)
        if before != (self.objects[key], self.links):
            self.writes[key] += 1
        return key

    def _link(self, order: Order, key: str) -> None:
        self.links |= {(item["id"], key) for item in order.changes.get("groups_add", ())}
        self.links -= {(item["id"], key) for item in order.changes.get("groups_remove", ())}

    def read(self, table: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str | None] | None]:
        assert table == "CRM_Users"
        return {key: self.objects.get(key) for key in keys}

    def read_links(self, table: str, column: str, keys: Sequence[str]) -> Collection[tuple[str, str]]:
        assert (table, column) == ("CRM_members_Groups", "MemberId")
        return [pair for pair in self.links if pair[1] in keys]


@dataclass
class Raise:
    """Raise before anything is written."""

    error: BaseException


@dataclass
class AfterWrite:
    """Raise when the object is written, and the answer is not yet given."""

    error: BaseException
