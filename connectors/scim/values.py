"""Values between a resource's JSON and the text of a table, by SCIM type (RFC 7643 2.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.errors import InvalidValue
from connectors.scim.columns import Column

SEPARATOR = "\n"
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def key_of(container: Mapping[str, Any], name: str) -> str | None:
    """The key under which a name stands in an object: exactly, else without case (RFC 7643 2.1)."""
    if name in container:
        return name
    folded = name.casefold()
    return next((key for key in container if key.casefold() == folded), None)


def member_of(container: Mapping[str, Any], name: str) -> Any:
    """The value under a name without case, ``None`` where there is none."""
    if name in container:
        return container[name]
    key = key_of(container, name)
    return None if key is None else container[key]


def read_text(document: Mapping[str, Any], column: Column) -> str | None:
    """The text of one column of a resource.

    Missing, null and the empty list are all "no value" (RFC 7643 2.5): ``None``. Several values
    become lines in canonical order; a value that holds a line feed itself stays exact only in a
    column that is not multi-valued.
    """
    container = document if column.extension is None else member_of(document, column.extension)
    value = member_of(container, column.attribute) if isinstance(container, Mapping) else None
    items = value if isinstance(value, list) else [] if value is None else [value]
    if column.multivalued:
        return joined(text for item in items if (text := _item_text(item, column)) is not None)
    chosen = preferred(items)
    return None if chosen is None else _item_text(chosen, column)


def preferred(items: Iterable[Any]) -> Any:
    """The item marked primary, else the first one, else ``None``."""
    candidates = list(items)
    primary = (item for item in candidates if isinstance(item, Mapping) and member_of(item, "primary") is True)
    return next(primary, candidates[0] if candidates else None)


def joined(texts: Iterable[str]) -> str | None:
    """Distinct values as lines, sorted without case first: the same set is always the same text."""
    distinct = sorted(set(texts), key=lambda text: (text.casefold(), text))
    return SEPARATOR.join(distinct) if distinct else None


def text_of(value: Any) -> str | None:
    """One JSON value as text; booleans are ``true`` and ``false``."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def json_value(value: Any, column: Column) -> Any:
    """The value of an order as the JSON that the attribute's type asks for.

    Raises:
        InvalidValue: the value is not of that type.
    """
    text = text_of(value)
    if text is None:
        return None
    try:
        match column.type:
            case "boolean":
                return BOOLEANS[text.strip().casefold()]
            case "integer":
                return int(text)
            case "decimal":
                return float(text)
            case "dateTime":
                return _instant(text)
            case _:
                return text
    except (KeyError, ValueError):
        raise InvalidValue(f"column '{column.name}': the value is not a valid {column.type}") from None


def json_values(value: Any, column: Column) -> list[Any]:
    """The values of a multi-valued column: a list, or text with one value to a line."""
    texts = value if isinstance(value, list | tuple) else [] if value is None else str(value).split(SEPARATOR)
    return list(dict.fromkeys(json_value(text, column) for text in texts if text is not None))


def _item_text(item: Any, column: Column) -> str | None:
    if column.part is None or not isinstance(item, Mapping):
        # A list of plain values stands for a list of their "value" parts (RFC 7643 2.4).
        return text_of(item)
    return text_of(member_of(item, column.part))


def _instant(text: str) -> str:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
