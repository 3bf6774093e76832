"""Hypothesis strategies for what managed systems really hold: hostile text, identifiers, dates, names.

Every suite draws from here, so that a value that once broke something is tried everywhere. No text
holds a NUL or half of a surrogate pair: the sink refuses both.
"""

from __future__ import annotations

import base64
import uuid
from datetime import datetime, timedelta

from hypothesis import HealthCheck
from hypothesis import strategies as st

from include.model.formats import LAST_TICK, NEVER

TOLERATED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
"""Health checks that say nothing of a test that writes files for each example, on a machine that has other work."""
FORMULAS = ("=1+1", "+SUM(A1)", "-2+3", '@cmd|" /C calc"!A0', '=HYPERLINK("http://x")', "\t=1")
"""Cells that a spreadsheet would compute."""
CSV_MARKS = ('"', '""', '"""', ",", ";", "\t", "\r\n", "\n", "\r", "\ufeff", " ", "  ", "'", "\\", "\\N", "#", "NULL")
UNICODE_MARKS = (
    "e\u0301",  # decomposed: equal to the next one in sight, not in bytes
    "\u00e9",
    "\u1112\u1161\u11ab",  # a Hangul syllable in its parts, and whole
    "\ud55c",
    "\u212b",  # Angstrom sign, Å, A and ring: three spellings
    "\u00c5",
    "A\u030a",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family, joined by zero-width joiners
    "\U0001f1eb\U0001f1f7",
    "\U00010348",
    "\u0645\u062d\u0645\u062f",
    "\u202eevil\u202c",
    "\u200b",
    "\u00a0",
    "\u2028",
    "\u0130\u0131",  # the Turkish i's
    "\u00df\u1e9e\u03a3\u03c3\u03c2",  # letters whose case is no pair
    "\ufb01",
    "\ufffd",
    "\U0010ffff",
)

characters = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
unicode_text = st.lists(st.sampled_from(UNICODE_MARKS) | characters, max_size=8).map("".join)
csv_text = st.lists(st.sampled_from(CSV_MARKS + FORMULAS) | characters, max_size=8).map("".join)
surrounded = st.tuples(
    st.sampled_from(["", " ", "  ", "\t", "\u00a0"]), st.text(characters, max_size=4), st.sampled_from(["", " ", "\n"])
)
huge = st.tuples(st.sampled_from(['é\n,"x', "a", "\U0001f468\u200d", '""']), st.integers(3_000, 20_000)).map(
    lambda drawn: drawn[0] * drawn[1]
)
"""Fields far beyond any buffer; draw them through ``rarely``."""


def rarely(common: st.SearchStrategy[str], rare: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Mostly the one, in one of twenty draws the other."""
    return st.integers(0, 19).flatmap(lambda chance: rare if chance == 19 else common)


text = csv_text | unicode_text | surrounded.map("".join) | st.sampled_from(FORMULAS)
"""Any text that a sink takes, the hostile kinds often."""
cells = st.none() | rarely(text, huge)
"""A cell of a raw file: NULL, empty, or any text."""
lines = text.map(lambda drawn: drawn.replace("\n", " "))
"""Text that may be one of several values in a cell."""
keys = st.sampled_from(["a", "A", "a ", " a", "é", "e\u0301", "10", "9", "0a", "b'%\\", 'q"']) | text.filter(bool)
"""Texts that name a row; few enough that two rows often share one, or nearly."""
key_cells = st.none() | st.just("") | keys
"""What stands where a key should: also nothing, in both spellings."""

ATTRIBUTE_TYPES = ("CN", "cn", "OU", "UID", "DC", "2.5.4.3", "1.3.6.1.4.1.1466.0")
DN_SPECIAL = ',+"\\<>;=#/ '


def escaped(value: str) -> str:
    """A value of a DN as RFC 4514 2.4 writes it."""
    text = "".join(f"\\{mark}" if mark in ',+"\\<>;' else mark for mark in value)
    if text.startswith(("#", " ")):
        text = f"\\{text}"
    if text.endswith(" ") and len(value) > 1:
        text = f"{text[:-1]}\\ "
    return text


rdn_values = st.text(st.sampled_from(DN_SPECIAL) | characters, min_size=1, max_size=6)
attributes = st.tuples(st.sampled_from(ATTRIBUTE_TYPES), rdn_values.map(escaped)).map("=".join)
rdns = st.lists(attributes, min_size=1, max_size=2).map("+".join)
"""A component of a DN, sometimes of two attributes."""
dns = st.lists(rdns, min_size=1, max_size=4).map(",".join)
"""Distinguished names as RFC 4514 writes them."""

uuids = st.uuids() | st.sampled_from([uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)])
guids = uuids.map(lambda value: value.hex)
"""GUIDs in their canonical form: 32 lower-case hexadecimal digits."""


def guid_spellings(value: uuid.UUID) -> list[str]:
    """The usual texts of a GUID."""
    plain = str(value)
    return [value.hex, value.hex.upper(), plain, plain.upper(), f"{{{plain}}}", f"({plain.upper()})", value.urn]


subauthorities = st.lists(st.integers(0, 2**32 - 1), max_size=15)
authorities = st.sampled_from([0, 1, 5, 2**32 - 1, 2**32, 2**48 - 1]) | st.integers(0, 2**48 - 1)


@st.composite
def sids(draw: st.DrawFn) -> tuple[str, str]:
    """A security identifier as text, and base64 of its binary form (MS-DTYP 2.4.2)."""
    authority, parts = draw(authorities), draw(subauthorities)
    named = str(authority) if authority < 2**32 else f"0x{authority:012x}"
    binary = bytes([1, len(parts)]) + authority.to_bytes(6, "big")
    binary += b"".join(part.to_bytes(4, "little") for part in parts)
    return "-".join(["S-1", named, *map(str, parts)]), base64.b64encode(binary).decode()


FIRST_DATE, LAST_DATE = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)
dates = st.datetimes() | st.sampled_from([FIRST_DATE, LAST_DATE])
"""UTC dates and times without a zone, to the microsecond, from the year 1 to 9999."""
filetimes = st.sampled_from((*NEVER, 10, LAST_TICK)) | st.integers(10, LAST_TICK)
"""Ticks since 1601 that are a date, and those that mean "never"."""


@st.composite
def generalized_times(draw: st.DrawFn) -> tuple[str, datetime]:
    """A date in one of the forms of RFC 4517 3.3.13, and the instant in UTC (to the microsecond) that it means."""
    moment = draw(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)))
    form = draw(st.sampled_from(["hour", "minute", "second", "fraction"]))
    if form != "fraction":
        moment = moment.replace(microsecond=0)
    if form in ("hour", "minute"):
        moment = moment.replace(second=0)
    if form == "hour":
        moment = moment.replace(minute=0)
    spelled = f"{moment.year:04}{moment:%m%d%H}" + ("" if form == "hour" else f"{moment:%M}")
    spelled += f"{moment:%S}" if form in ("second", "fraction") else ""
    spelled += draw(st.sampled_from(".,")) + f"{moment.microsecond:06}" if form == "fraction" else ""
    hours, minutes = draw(st.integers(-12, 14)), draw(st.sampled_from([0, 30, 45]))
    zone = draw(st.sampled_from(["Z", "", "offset", "hours"]))
    if zone == "hours":
        return f"{spelled}{hours:+03}", moment - timedelta(hours=hours)
    if zone == "offset":
        sign = -1 if hours < 0 else 1
        offset = timedelta(hours=hours, minutes=sign * minutes)
        return f"{spelled}{hours:+03}{minutes:02}", moment - offset
    return spelled + zone, moment
