"""The formats of a property: how the managed system spells a value (connectors digest 20, engine.md 1.6).

==============================  ==========================  ============================================
format                          property type               text of the managed system
==============================  ==========================  ============================================
a strptime pattern              datetime                    a date in that pattern
``Bool``                        bool                        ``TRUE``, ``FALSE`` (RFC 4517 3.3.3)
``Byte`` ... ``Int64``          of the same name            digits
``Double``                      double                      the shortest decimal of the same value
``Guid``                        guid                        hexadecimal digits, or base64 of 16 bytes in
                                                            the order of Active Directory (little-endian)
``Guid:little_endian``          guid                        the same; written as base64
``Guid:big_endian``             guid                        the same in network order; written as base64
``Bytes``, ``Binary``           bytes, binary               base64
``DateTime``                    datetime                    generalized time (RFC 4517 3.3.13)
``Date``                        datetime                    a day, ``YYYY-MM-DD``
``1601Date``                    datetime                    100-nanosecond ticks since 1601, UTC
``RDN``                         string                      a DN, of which the first component is kept
``SID``                         string                      ``S-1-...``, or base64 of the binary form
``Concat:<separator>``          string                      several values in one text
``MultivaluedText``             string                      several values, one per line
``Bit:<property>:<bit>``        bool, string, an integer    one flag of a bit mask, counted from 1
==============================  ==========================  ============================================

Names are compared without case. Reading is ``include.snapshot.values``, writing ``connectors.formats``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from include.model.names import suggestion

if TYPE_CHECKING:
    from include.model.configuration import Property

INTEGERS = frozenset({"byte", "int16", "int32", "int64"})
TYPES: dict[str, frozenset[str]] = {
    "Bool": frozenset({"bool"}),
    "Byte": frozenset({"byte"}),
    "Int16": frozenset({"int16"}),
    "Int32": frozenset({"int32"}),
    "Int64": frozenset({"int64"}),
    "Double": frozenset({"double"}),
    "Guid": frozenset({"guid"}),
    "Bytes": frozenset({"bytes", "binary"}),
    "Binary": frozenset({"bytes", "binary"}),
    "DateTime": frozenset({"datetime"}),
    "Date": frozenset({"datetime"}),
    "1601Date": frozenset({"datetime"}),
    "RDN": frozenset({"string"}),
    "SID": frozenset({"string"}),
    "Concat": frozenset({"string"}),
    "Bit": INTEGERS | {"bool", "string"},
    "MultivaluedText": frozenset({"string"}),
}
"""The property types that each named format goes with."""
PATTERN = "pattern"
"""The name of a format that is a strptime pattern."""
BYTE_ORDERS = ("little_endian", "big_endian")
SPECIFIERS = frozenset("aAbBdfgHIjmMpSTyYzZ%")
"""Letters of a pattern that are read and written alike; ``f`` is microseconds, ``g`` milliseconds."""
UNPADDED = frozenset("dHIjmMSy")
"""Those that may follow ``%-``."""
TIME_OF_DAY = frozenset("HIMSTfg")
MAXIMUM_BIT = 64

_NAMES = {name.casefold(): name for name in TYPES}
_SPECIFIER = re.compile(r"%(-?)(.?)", re.DOTALL)

NEVER = (0, 9_223_372_036_854_775_807, 9_223_372_032_559_808_511)
"""Ticks of ``1601Date`` that mean no date: the two spellings of "never", and what AD LDS writes."""
EPOCH_TICKS = 116_444_736_000_000_000
"""Ticks of 1970-01-01."""
TICKS_PER_MICROSECOND = 10
LAST_TICK = 2_650_467_743_999_999_999
"""The last tick of the year 9999."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format, read: its ``name`` as in ``TYPES`` (or ``PATTERN``), and what stands behind it.

    ``argument`` is the pattern, the separator, the byte order, or the property or column of the bit mask.
    """

    name: str
    argument: str = ""
    bit: int = 0

    @property
    def mask(self) -> int:
        """The value of the flag in the mask, as a signed 64-bit integer."""
        value = 1 << (self.bit - 1)
        return value - (1 << MAXIMUM_BIT) if self.bit == MAXIMUM_BIT else value

    @property
    def separator(self) -> str | None:
        """What stands between several values, None where the format holds one."""
        return {"Concat": self.argument, "MultivaluedText": "\n"}.get(self.name)


@cache
def read_format(text: str) -> Format:
    """A format from its spelling.

    Raises:
        ValueError: it is none, with one line that says why.
    """
    spelled, colon, argument = text.partition(":")
    name = _NAMES.get(spelled.casefold())
    if name is None:
        if "%" in text:
            return Format(PATTERN, text)
        raise ValueError(f"unknown format '{spelled}'{suggestion(spelled, TYPES)}")
    if name == "Bit":
        mask, _, bit = argument.rpartition(":")
        if not mask or not re.fullmatch("[0-9]{1,2}", bit) or not 1 <= int(bit) <= MAXIMUM_BIT:
            raise ValueError("write it Bit:<property>:<bit>, with a bit from 1 to 64")
        return Format(name, mask, int(bit))
    if name == "Concat":
        if not argument:
            raise ValueError("write it Concat:<separator>, such as Concat:;")
    elif name == "Guid" and colon:
        argument = argument.casefold()
        if argument not in BYTE_ORDERS:
            raise ValueError("write it Guid, Guid:little_endian or Guid:big_endian")
    elif colon:
        raise ValueError(f"format {name} takes nothing after its name")
    return Format(name, argument)


def format_of(text: str | None) -> Format | None:
    """A format from its spelling, None for none.

    Raises:
        ValueError: as ``read_format``.
    """
    return None if text is None else read_format(text)


def specifiers(pattern: str) -> Iterator[tuple[str, str]]:
    """The specifiers of a pattern in order: whether unpadded (``-`` or nothing), and the letter."""
    for found in _SPECIFIER.finditer(pattern):
        yield found[1], found[2]


def pattern_mistake(pattern: str) -> str | None:
    """Why a text is no pattern that is read and written alike, None when it is one."""
    used = list(specifiers(pattern))
    if not any(letter != "%" for _, letter in used):
        return "not a strptime pattern: write it like %Y-%m-%d %H:%M:%S"
    for unpadded, letter in used:
        if letter not in (UNPADDED if unpadded else SPECIFIERS):
            return f"pattern '{pattern}' holds '%{unpadded}{letter}', which is not understood"
    return None


def has_time_of_day(pattern: str) -> bool:
    """Whether a pattern says more than the day."""
    return any(letter in TIME_OF_DAY for _, letter in specifiers(pattern))


def format_mistake(kind: str, text: str) -> str | None:
    """Why a format does not go with a property type, None when it does."""
    try:
        found = read_format(text)
    except ValueError as error:
        if kind == "datetime" and str(error).startswith("unknown"):
            return f"not a strptime pattern: write it like %Y-%m-%d %H:%M:%S; {error}"
        return str(error)
    if found.name == PATTERN:
        return pattern_mistake(text) if kind == "datetime" else f"a strptime pattern is for datetime, not for {kind}"
    if kind not in TYPES[found.name]:
        known = [name for name, kinds in TYPES.items() if kind in kinds]
        return f"format {found.name} is not for type {kind}; its formats: {', '.join(known)}"
    return None


def flag_column(mask: str, bit: int) -> str:
    """The virtual column of one flag, e.g. ``bit_userAccountControl_2`` (connectors digest 20.3)."""
    return f"bit_{mask}_{bit}"


def with_mask_columns(properties: tuple[Property, ...]) -> tuple[Property, ...]:
    """The properties, each ``Bit`` reading the column of its mask.

    The mask is a property of the same entity type, else a column. The virtual column stands for it; any
    other column is left as it is, for the checks to find.
    """
    columns = {item.identifier: item.source_column for item in properties}
    return tuple(_reading_mask(item, columns) for item in properties)


def mask_of(item: Property | None) -> str | None:
    """The property or column of whose mask a property is a flag, None where it is none."""
    found = _flag_format(item) if item else None
    return found.argument if found else None


def _flag_format(item: Property) -> Format | None:
    try:
        found = format_of(item.format)
    except ValueError:
        return None
    return found if found is not None and found.name == "Bit" else None


def _reading_mask(item: Property, columns: dict[str, str]) -> Property:
    found = _flag_format(item)
    if found is None:
        return item
    virtual = flag_column(found.argument, found.bit).casefold()
    if item.column is not None and item.column.casefold() != virtual:
        return item
    return item.model_copy(update={"column": columns.get(found.argument, found.argument)})


def mask_mistake(item: Property, properties: tuple[Property, ...]) -> str | None:
    """Why a ``Bit`` cannot be read from its mask, None when it can or is none."""
    found = _flag_format(item)
    if found is None:
        return None
    mask = next((other for other in properties if other.identifier == found.argument), None)
    if mask is not None and mask.expression is not None:
        return f"'{mask.identifier}' is computed: a flag is read from a column; compute the flag instead"
    if mask is not None and (mask.type not in INTEGERS or _flag_format(mask)):
        return f"'{mask.identifier}' is no bit mask: its type must be an integer"
    column = mask.source_column if mask else found.argument
    if item.source_column != column:
        virtual = flag_column(found.argument, found.bit)
        return f"the flag is read from column '{column}': leave column out, or write {virtual}"
    return None
