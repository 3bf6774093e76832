"""Values of an order as the managed system spells them: the inverse of how an export is read.

What the formats mean stands in ``include.model.formats``; ``order.resource_type["Mapping"]`` holds the
``Types`` and ``Formats`` of a target's properties. An order's value is what JSON says (engine.md 3.6):
booleans and numbers, a ``datetime`` as ``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC, bytes as base64.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.errors import InvalidValue
from include.model.formats import (
    EPOCH_TICKS,
    NEVER,
    PATTERN,
    TICKS_PER_MICROSECOND,
    Format,
    format_of,
    specifiers,
)

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - an order's datetime is UTC without saying so
NOON = 12
MASK_BITS = {"byte": 8, "int16": 16, "int32": 32, "int64": 64}


def system_text(kind: str, spelling: str | None, value: Any) -> str | None:
    """The text that a managed system takes for a value of an order.

    Args:
        kind: the property's type.
        spelling: its format, None for none; never ``Bit``, which is written into its mask (``with_flags``).
        value: the value of the order; None is no value.

    Returns:
        The text; None where there is none. ``1601Date`` spells no value as ``0`` ("never").

    Raises:
        InvalidValue: the value is not of the type, or the format cannot carry it. The value is not shown.
    """
    found = format_of(spelling)
    if value is None:
        return str(NEVER[0]) if found is not None and found.name == "1601Date" else None
    try:
        return _spelled(kind, found, value if isinstance(value, str) else json.dumps(value))
    except (ValueError, OverflowError) as error:
        reason = f": {error}" if isinstance(error, _Unsayable) else ""
        raise InvalidValue(f"a value of type {kind} cannot be written as {spelling or kind}{reason}") from None


def system_values(spelling: str | None, value: str | None) -> list[str]:
    """The single values of a property, for a system that holds several: those of a list format, else the one."""
    found = format_of(spelling)
    if value is None:
        return []
    return _lines(value) if found is not None and found.separator else [value]


def with_flags(mask: int, flags: Mapping[int, bool], kind: str) -> int:
    """A bit mask with some flags set or cleared, and all others as they are (connectors digest 20.3).

    Args:
        mask: what the managed system holds now.
        flags: by bit, counted from 1.
        kind: the integer type of the mask's property; systems hold masks as signed integers, a byte excepted.

    Raises:
        InvalidValue: the type has no such bit.
    """
    width = MASK_BITS[kind]
    for bit, wanted in flags.items():
        if not 1 <= bit <= width:
            raise InvalidValue(f"a bit mask of type {kind} has no bit {bit}")
        mask = mask | 1 << (bit - 1) if wanted else mask & ~(1 << (bit - 1))
    mask &= (1 << width) - 1
    return mask - (1 << width) if kind != "byte" and mask >> (width - 1) else mask


def flag_of(value: Any) -> bool:
    """Whether a value of a ``Bit`` property sets the flag.

    Raises:
        InvalidValue: it is neither true nor false, 1 nor 0.
    """
    text = str(value).lower()
    if text not in ("true", "false", "1", "0"):
        raise InvalidValue("the value of a flag is neither true nor false")
    return text in ("true", "1")


class _Unsayable(ValueError):
    """A value that a format cannot carry, with what it is about the value."""


def _spelled(kind: str, found: Format | None, text: str) -> str:
    if kind == "datetime":
        return _moment(found, _utc(text))
    if found is not None and found.name in _NAMED:
        return _NAMED[found.name](found, text)
    if kind == "double":
        return repr(float(text))
    return str(int(text)) if kind in MASK_BITS else text


def _flag(_found: Format, _text: str) -> str:
    raise _Unsayable("it is one flag of a mask; write the mask")


def _guid(found: Format, text: str) -> str:
    identifier = uuid.UUID(text)
    if not found.argument:
        return identifier.hex
    octets = identifier.bytes if found.argument == "big_endian" else identifier.bytes_le
    return base64.b64encode(octets).decode("ascii")


def _boolean(_found: Format, text: str) -> str:
    upper = text.upper()
    if upper not in ("TRUE", "FALSE"):
        raise ValueError
    return upper


def _concatenated(found: Format, text: str) -> str:
    lines = _lines(text)
    if any(found.argument in line for line in lines):
        raise _Unsayable("one of its values holds the separator")
    return found.argument.join(lines)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _moment(found: Format | None, moment: datetime) -> str:
    name = found.name if found else None
    if name == "1601Date":
        ticks = (moment - EPOCH) // timedelta(microseconds=1) * TICKS_PER_MICROSECOND + EPOCH_TICKS
        if ticks <= 0:
            raise _Unsayable("it is not later than 1601-01-01")
        return str(ticks)
    if name == "DateTime":
        # Active Directory wants the fraction, RFC 4517 allows it.
        fraction = f"{moment.microsecond:06}".rstrip("0") or "0"
        return f"{moment.year:04}{moment:%m%d%H%M%S}.{fraction}Z"
    if name == "Date":
        if moment.time().isoformat() != "00:00:00":
            raise _Unsayable("it has a time of day")
        return moment.date().isoformat()
    if found is not None and name == PATTERN:
        return written_in(found.argument, moment)
    return moment.isoformat() + "Z"


def written_in(pattern: str, moment: datetime) -> str:
    """A UTC date and time in a strptime pattern, in English whatever the locale."""
    parts = iter(specifiers(pattern))
    pieces = _pieces(moment)
    written, position = "", 0
    while (start := pattern.find("%", position)) >= 0:
        unpadded, letter = next(parts)
        piece = pieces[letter]
        written += pattern[position:start] + (piece.lstrip("0") or "0" if unpadded else piece)
        position = start + 1 + len(unpadded) + len(letter)
    return written + pattern[position:]


def _pieces(moment: datetime) -> dict[str, str]:
    day, month = DAYS[moment.weekday()], MONTHS[moment.month - 1]
    return {
        "a": day[:3],
        "A": day,
        "b": month[:3],
        "B": month,
        "d": f"{moment.day:02}",
        "f": f"{moment.microsecond:06}",
        "g": f"{moment.microsecond // 1000:03}",
        "H": f"{moment.hour:02}",
        "I": f"{moment.hour % NOON or NOON:02}",
        "j": f"{moment.timetuple().tm_yday:03}",
        "m": f"{moment.month:02}",
        "M": f"{moment.minute:02}",
        "p": "AM" if moment.hour < NOON else "PM",
        "S": f"{moment.second:02}",
        "T": f"{moment:%H:%M:%S}",
        "y": f"{moment.year % 100:02}",
        "Y": f"{moment.year:04}",
        "z": "+0000",
        "Z": "UTC",
        "%": "%",
    }


_NAMED: dict[str, Callable[[Format, str], str]] = {
    "Bit": _flag,
    "Guid": _guid,
    "Bool": _boolean,
    "Concat": _concatenated,
}
