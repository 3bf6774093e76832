"""An object as the server holds it now, beside what an order expects and wants (engine.md 7.15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.errors import Conflict, InvalidValue
from connectors.scim.columns import Column
from connectors.scim.payload import Changes
from connectors.scim.values import json_value, json_values, read_text

Document = Mapping[str, Any]


def differing(document: Document, changes: Changes) -> Changes:
    """The changes that the object does not hold yet."""
    return {column: value for column, value in changes.items() if not holds(document, column, value)}


def holds(document: Document, column: Column, value: Any) -> bool:
    """Whether the object has this value: compared by the attribute's type, and no value is the empty text, too."""
    found = read_text(document, column)
    return bool(_comparable(found, column) == _comparable(value, column))


def refuse_conflict(operation: str, document: Document, changes: Changes, expected: Changes) -> None:
    """Refuse to write over what somebody else has written since the order was decided.

    Args:
        operation: what is being done to what.
        document: the object as it is.
        changes: what the order wants.
        expected: what the object held when the order was decided; a column that is not told is not compared.

    Raises:
        Conflict: an attribute is neither as expected nor as wanted. Values stay out of the message.
    """
    changed = [
        column.name
        for column in differing(document, changes)
        if column in expected and not holds(document, column, expected[column])
    ]
    if changed:
        names = ", ".join(f"'{name}'" for name in changed)
        raise Conflict(
            f"{operation}: {names} was changed in the managed system since it was last read, and is not as wanted "
            "either: synchronize it, then decide again"
        )


def _comparable(value: Any, column: Column) -> Any:
    """Equal for equal values. What is no value of the type is only equal to the same text."""
    if value in (None, "", []):
        return None
    try:
        if column.multivalued:
            return frozenset(json_values(value, column)) or None
        return json_value(value, column)
    except InvalidValue:
        return str(value)
