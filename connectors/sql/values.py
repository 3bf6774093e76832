"""Values of database drivers as canonical text, a column at a time.

======================  =========================================================================
boolean                 ``true``, ``false``
integer, decimal        digits, all decimal places, never an exponent
float                   the shortest text that reads back to the same float
date, time, timestamp   ISO 8601; with a time zone in UTC and ``Z``, without one unchanged
time span               ``[-]hours:minutes:seconds``, hours without limit
binary                  base64
array                   one line per element, sorted without regard to case
JSON                    compact JSON, keys in their order
anything else           the text that Python gives it (a UUID with hyphens)
======================  =========================================================================

A type that a database lacks arrives as what it stores instead: booleans of SQLite and MariaDB are
``0`` and ``1``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from connectors.sink import text_array

if TYPE_CHECKING:
    import pyarrow


def text_column(values: Sequence[Any], *, table: str, column: str, first_row: int) -> pyarrow.Array:
    """A column of driver values as an Arrow string array; ``None`` stays NULL.

    Raises:
        InvalidValue: text that is no Unicode, with its row and column.
    """
    import pyarrow

    kinds = set(map(type, values)) - {type(None)}
    if kinds in ({int}, {bool}):
        try:
            return pyarrow.array(values).cast(pyarrow.string())
        except OverflowError:
            pass
    if not kinds <= {str}:
        convert = as_text.dispatch(kinds.pop()) if len(kinds) == 1 else as_text
        values = [None if value is None else convert(value) for value in values]
    return text_array(values, table=table, column=column, first_row=first_row)


@singledispatch
def as_text(value: Any) -> str:
    """One value as canonical text."""
    return str(value)


@as_text.register
def _(value: bool) -> str:
    return "true" if value else "false"


@as_text.register
def _(value: float) -> str:
    return repr(value)


@as_text.register
def _(value: Decimal) -> str:
    return format(value, "f")


@as_text.register
def _(value: datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


@as_text.register(date)
@as_text.register(time)
def _(value: date | time) -> str:
    return value.isoformat()


@as_text.register
def _(value: timedelta) -> str:
    sign = "-" if value < timedelta() else ""
    span = abs(value)
    minutes, seconds = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{span.microseconds:06}" if span.microseconds else ""
    return f"{sign}{span.days * 24 + hours:02}:{minutes:02}:{seconds:02}{fraction}"


@as_text.register(bytes)
@as_text.register(bytearray)
@as_text.register(memoryview)
def _(value: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(value).decode("ascii")


@as_text.register
def _(value: list) -> str:  # type: ignore[type-arg]  # singledispatch takes classes, not generic aliases
    texts = [as_text(element) for element in value if element is not None]
    return "\n".join(sorted(texts, key=lambda text: (text.casefold(), text)))


@as_text.register
def _(value: dict) -> str:  # type: ignore[type-arg]  # as above
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=as_text)
