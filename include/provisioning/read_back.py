"""Reading what was written: an order is verified by a read that is later than its write."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Order, Reader
from include.model.base import DUCKDB_TYPES, PropertyType
from include.model.configuration import Property
from include.provisioning.ledger import Ledger
from include.provisioning.plan import released_batch
from include.snapshot.values import mistake, parsed
from include.storage.engine import engine, literal
from include.storage.folder import Folder

SHOWN = 60
"""Characters of a value that a read-back shows."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """How many executed orders of a batch were read, and how many of them were found as written."""

    batch: str
    read: int
    verified: int


def read_back_batch(
    run: Folder,
    batch: str,
    reader: object,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ReadBack | None:
    """Read the object of every executed order of a batch, and compare it with what was asked.

    Writes ``orders/<batch>.read_back.json``: ``read_at`` (the instant before the first read) and for each
    order ``found``, ``verified`` and ``differing`` (``name``, ``linked_id`` for a link, and the beginnings
    of what was ``expected`` and ``found``). A value is compared by the property's type, as an export of the
    same object would be read in the property's format: booleans, numbers and dates by value, all else
    exactly; NULL is a missing value and differs from the empty string. A deletion is verified by absence.

    Returns:
        The counts, or ``None`` for a connector that is no ``Reader``: the next synchronization verifies.

    Raises:
        ConnectorError: the system cannot be read; nothing is written, and the task may be run again.
    """
    if not isinstance(reader, Reader):
        return None
    released, orders = released_batch(run, batch), run.child("orders")
    executed = {
        order_id: entry.result.key
        for order_id, entry in Ledger.of(run, batch).results().items()
        if entry.result.state == "executed" and entry.result.key is not None
    }
    content = orders.read_json(released.file)["ProvisioningOrdersList"]
    written = [Order.model_validate(item) for item in content if item["OrderId"] in executed]
    read_at = now().astimezone(UTC)
    verdicts = _verdicts(reader, written, executed) if written else []
    orders.write_json(f"{batch}.read_back.json", {"batch": batch, "read_at": read_at.isoformat(), "orders": verdicts})
    return ReadBack(batch, len(verdicts), sum(item["verified"] for item in verdicts))


def _verdicts(reader: Reader, written: list[Order], keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """What was found of each order, in the order of the batch; a batch is of one resource type."""
    mapping = written[0].resource_type["Mapping"]
    answers = reader.read(mapping["Table"], sorted({keys[item.order_id] for item in written}))
    objects = {item.order_id: columns for item in written if (columns := answers.get(keys[item.order_id])) is not None}
    kept = [item for item in written if item.change_type != "Deleted" and item.order_id in objects]
    differing = _differing([row for item in kept for row in _scalars(item, mapping, objects[item.order_id])])
    for order_id, difference in _links(reader, kept, mapping, objects):
        differing[order_id].append(difference)
    return [
        {
            "order_id": item.order_id,
            "found": item.order_id in objects,
            "verified": (item.order_id not in objects)
            if item.change_type == "Deleted"
            else item.order_id in objects and not differing[item.order_id],
            "differing": differing[item.order_id],
        }
        for item in written
    ]


def _scalars(
    order: Order, mapping: Mapping[str, Any], columns: Mapping[str, str | None]
) -> Iterator[dict[str, str | None]]:
    """Each scalar that an order asks for, beside the text that was read."""
    for property_name, value in order.changes.items():
        if property_name in mapping["Columns"]:
            yield {
                "order_id": order.order_id,
                "name": property_name,
                "type": mapping["Types"][property_name],
                "format": mapping["Formats"].get(property_name),
                "expected": _text(value),
                "found": columns.get(mapping["Columns"][property_name]),
            }


def _links(
    reader: Reader, written: list[Order], mapping: Mapping[str, Any], objects: Mapping[str, Mapping[str, str | None]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The links that are not as asked, with their order id; each pair table is read once."""
    for navigation, link in mapping["Links"].items():
        asking = [item for item in written if item.order_id in objects and _asks_for(item, navigation)]
        if not asking:
            continue
        column = mapping["Columns"][link["OwnerKey"]]
        owners = {item.order_id: objects[item.order_id].get(column) for item in asking}
        keys = sorted({owner for owner in owners.values() if owner is not None})
        readings = _oriented(reader.read_links(link["Table"], link["OwnerColumn"], keys), set(keys))
        for order in asking:
            for suffix, expected in (("_add", True), ("_remove", False)):
                for linked in order.changes.get(f"{navigation}{suffix}", ()):
                    pair = (owners[order.order_id], _text(linked[link["LinkedKey"]]))
                    if any((pair in reading) != expected for reading in readings):
                        yield order.order_id, _difference(f"{navigation}{suffix}", linked["Id"], expected, not expected)


def _oriented(pairs: Collection[tuple[str, str]], owners: set[str]) -> list[set[tuple[str | None, str | None]]]:
    """The pairs as (owner, linked), in each way in which every row belongs to one of the owners.

    Where keys of both ends look alike, both ways stand, and a link counts only where both tell it.
    """
    ways: list[set[tuple[str | None, str | None]]] = [set(pairs), {(second, first) for first, second in pairs}]
    return [way for way in ways if all(owner in owners for owner, _ in way)] or [set()]


def _asks_for(order: Order, navigation: str) -> bool:
    return f"{navigation}_add" in order.changes or f"{navigation}_remove" in order.changes


def _text(value: Any) -> str | None:
    """A JSON value as the text that an export holds."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _difference(name: str, linked_id: str | None, expected: Any, found: Any) -> dict[str, Any]:
    return {"name": name, "linked_id": linked_id, "expected": expected, "found": found}


def _differing(comparisons: list[dict[str, Any]]) -> defaultdict[str, list[dict[str, Any]]]:
    """The scalars that are not as asked, by order id."""
    formats = sorted({(item["type"], item["format"]) for item in comparisons if item["format"] is not None})
    cases = [_as_exported(kind, spelling) for kind, spelling in formats]
    query = _DIFFERING.format(
        read=" ".join(f"WHEN {which} THEN {text}" for which, text, _ in cases),
        unread=" ".join(f"WHEN {which} THEN ({reason}) IS NOT NULL" for which, _, reason in cases),
    )
    with engine() as connection:
        rows = connection.execute(query, {"comparisons": json.dumps(comparisons), "shown": SHOWN}).fetchall()
    differing = defaultdict[str, list[dict[str, Any]]](list)
    for order_id, property_name, expected, found in rows:
        differing[order_id].append(_difference(property_name, None, expected, found))
    return differing


def _as_exported(kind: PropertyType, spelling: str) -> tuple[str, str, str]:
    """SQL for the values of one format: which they are, how their text reads, and why it does not."""
    item = Property(identifier="found", type=kind, format=spelling)
    value = parsed(item, "found")
    text = f"base64({value})" if DUCKDB_TYPES[kind] == "BLOB" else f"CAST({value} AS VARCHAR)"
    return f"type = {literal(kind)} AND format = {literal(spelling)}", text, mistake(item, "found") or "NULL"


# Text is read as the preparation of an export reads it. Where either side is no value of the type, the
# texts themselves are compared.
_DIFFERING = """
    WITH compared AS (
        SELECT unnest(from_json($comparisons::JSON, '[{{
            "order_id": "VARCHAR", "name": "VARCHAR", "type": "VARCHAR", "format": "VARCHAR",
            "expected": "VARCHAR", "found": "VARCHAR"
        }}]'), recursive := true)
    ),
    reading AS (
        SELECT *, CASE {read} WHEN true THEN found END AS value, CASE {unread} WHEN true THEN false END AS unread
        FROM compared
    ),
    typed AS (
        SELECT *, CASE
            WHEN unread THEN expected = found
            WHEN expected IS NULL OR value IS NULL THEN expected IS NOT DISTINCT FROM value
            WHEN type = 'bool' THEN TRY_CAST(expected AS BOOLEAN) = TRY_CAST(value AS BOOLEAN)
            WHEN type IN ('int16', 'int32', 'int64', 'byte')
                THEN TRY_CAST(expected AS BIGINT) = TRY_CAST(value AS BIGINT)
            WHEN type = 'double' THEN TRY_CAST(expected AS DOUBLE) = TRY_CAST(value AS DOUBLE)
            WHEN type = 'datetime' THEN TRY_CAST(expected AS TIMESTAMP) = TRY_CAST(value AS TIMESTAMP)
            ELSE expected = value END AS same
        FROM reading
    )
    SELECT order_id, name, left(expected, $shown), left(found, $shown) FROM typed
    WHERE NOT coalesce(same, expected = found)
    ORDER BY order_id, name
"""
