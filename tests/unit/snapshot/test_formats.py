"""Formats in both directions: what the snapshot reads (SQL), and what a connector writes (per value)."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.errors import InvalidValue
from connectors.formats import flag_of, system_text, system_values, with_flags
from include.model.base import DUCKDB_TYPES, PropertyType
from include.model.configuration import EntityType, Property
from include.snapshot.values import canonical, mistake, parsed
from include.storage.engine import engine
from tests import strategies

UNREADABLE = "is unparsable"


@contextmanager
def table(texts: Iterable[str | None]) -> Iterator[duckdb.DuckDBPyConnection]:
    with engine() as connection:
        connection.execute("CREATE TABLE raw (position INTEGER, text VARCHAR)")
        rows = list(enumerate(texts))
        if rows:
            connection.executemany("INSERT INTO raw VALUES (?, ?)", rows)
        yield connection


def read(kind: PropertyType, spelling: str | None, *texts: str | None, **fields: Any) -> list[Any]:
    """What each text is read as: a value, None, or the reason why it is none."""
    item = Property(identifier="v", type=kind, format=spelling, **fields)
    reason = mistake(item, "text") or "NULL"
    with table(texts) as connection:
        rows = connection.execute(f"SELECT {parsed(item, 'text')}, {reason} FROM raw ORDER BY position").fetchall()
    return [value if why is None else f"is {why}" for value, why in rows]


def as_ordered(kind: PropertyType, value: Any) -> Any:
    """A typed value as the JSON of an order holds it."""
    if value is None or kind == "string":
        return value
    if DUCKDB_TYPES[kind] == "BLOB":
        return base64.b64encode(value).decode()
    return str(value) if kind in ("datetime", "guid") else json.loads(json.dumps(value))


PATTERNS = ("%Y-%m-%d %H:%M:%S.%f", "%A %d %B %Y %I:%M:%S.%f %p %z", "%j/%Y %T,%f", "%-d.%-m.%Y %-H:%-M:%-S %f%%")
VALUES: dict[tuple[PropertyType, str], st.SearchStrategy[Any]] = {
    ("bool", "Bool"): st.booleans(),
    ("byte", "byte"): st.integers(0, 255),
    ("int16", "INT16"): st.integers(-(2**15), 2**15 - 1),
    ("int32", "Int32"): st.integers(-(2**31), 2**31 - 1),
    ("int64", "Int64"): st.integers(-(2**63), 2**63 - 1),
    ("double", "Double"): st.floats(allow_nan=False, allow_infinity=False),
    ("guid", "Guid"): strategies.guids,
    ("guid", "Guid:little_endian"): strategies.guids,
    ("guid", "Guid:Big_Endian"): strategies.guids,
    ("bytes", "Bytes"): st.binary(min_size=1, max_size=40),
    ("binary", "Binary"): st.binary(min_size=1, max_size=40),
    ("datetime", "DateTime"): strategies.dates,
    ("datetime", "Date"): st.dates().map(lambda day: datetime(day.year, day.month, day.day)),
    ("datetime", "1601Date"): st.datetimes(datetime(1601, 1, 1, 0, 0, 0, 1)),
    ("string", "RDN"): strategies.rdns,
    ("string", "SID"): strategies.sids().map(lambda pair: pair[0]),
    **{("datetime", pattern): strategies.dates for pattern in PATTERNS},
}


@pytest.mark.parametrize(("kind", "spelling"), VALUES, ids=[spelling for _, spelling in VALUES])
@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_every_value_of_a_type_is_read_back_as_it_was_written(
    kind: PropertyType, spelling: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(VALUES[kind, spelling], min_size=1, max_size=12))
    texts = [system_text(kind, spelling, as_ordered(kind, value)) for value in values]
    found = read(kind, spelling, *texts, None)
    assert found == [*values, None]
    again = [system_text(kind, spelling, as_ordered(kind, value)) for value in found[:-1]]
    assert again == texts


LISTS = {"MultivaluedText": "\n", "Concat:;": ";", "concat: | ": " | ", "Concat::": ":"}


@pytest.mark.parametrize("spelling", LISTS)
@given(values=st.lists(strategies.lines, max_size=6), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_the_order_and_repetition_of_several_values_is_no_change(spelling: str, values: list[str], seed: int) -> None:
    separator = LISTS[spelling]
    values = [
        value
        for value in values
        if separator not in value and not any(value.endswith(separator[:end]) for end in range(1, len(separator)))
    ]
    shuffled = values + values[:2]
    random.Random(seed).shuffle(shuffled)
    found = read("string", spelling, separator.join(values), separator.join(shuffled))
    lines = [line for line in found[0].split("\n") if line]
    assert found[0] == found[1]
    assert sorted(lines) == sorted({value for value in values if value})
    written = system_text("string", spelling, found[0])
    assert read("string", spelling, written) == [found[0]]
    assert system_values(spelling, found[0]) == lines


CASES: list[tuple[PropertyType, str, str, Any]] = [
    ("datetime", "DateTime", "20260115093000.0Z", datetime(2026, 1, 15, 9, 30)),
    ("datetime", "DateTime", "20260115093000Z", datetime(2026, 1, 15, 9, 30)),
    ("datetime", "DateTime", "20260115093000.25+0130", datetime(2026, 1, 15, 8, 0, 0, 250_000)),
    ("datetime", "DateTime", "20260115093000-05", datetime(2026, 1, 15, 14, 30)),
    ("datetime", "DateTime", "20260115093000,123456789Z", datetime(2026, 1, 15, 9, 30, 0, 123_456)),
    ("datetime", "DateTime", "202601150930Z", datetime(2026, 1, 15, 9, 30)),
    ("datetime", "DateTime", "2026011509Z", datetime(2026, 1, 15, 9)),
    ("datetime", "DateTime", "2026-01-15 09:30:00", datetime(2026, 1, 15, 9, 30)),
    ("datetime", "DateTime", "20260115093000+2500", UNREADABLE),
    ("datetime", "DateTime", "20260230093000Z", UNREADABLE),
    ("datetime", "DateTime", "2026011509.5Z", UNREADABLE),
    ("datetime", "DateTime", "133000000000000000", UNREADABLE),
    ("datetime", "Date", "2026-01-15", datetime(2026, 1, 15)),
    ("datetime", "date", "20260115", datetime(2026, 1, 15)),
    ("datetime", "Date", "2026-01-15 10:00", UNREADABLE),
    ("datetime", "1601Date", "0", None),
    ("datetime", "1601Date", "9223372036854775807", None),
    ("datetime", "1601date", "9223372032559808511", None),
    ("datetime", "1601Date", "116444736000000000", datetime(1970, 1, 1)),
    ("datetime", "1601Date", "10", datetime(1601, 1, 1, 0, 0, 0, 1)),
    ("datetime", "1601Date", "2650467743999999999", strategies.LAST_DATE),
    ("datetime", "1601Date", "2650467744000000000", UNREADABLE),
    ("datetime", "1601Date", "9", UNREADABLE),
    ("datetime", "1601Date", "-9223372036854775808", UNREADABLE),
    ("datetime", "1601Date", "9223372036854775808", UNREADABLE),
    ("datetime", "1601Date", "20260115093000Z", UNREADABLE),
    ("string", "RDN", r"CN=Smith\, John,OU=x", r"CN=Smith\, John"),
    ("string", "RDN", r"CN=a\\,OU=x", r"CN=a\\"),
    ("string", "RDN", r"CN=Lu\C4\8Di\C4\87+UID=7,DC=x", r"CN=Lu\C4\8Di\C4\87+UID=7"),
    ("string", "RDN", "CN=Person", "CN=Person"),
    ("string", "rdn", "CN=a\nb,OU=x", "CN=a\nb"),
    ("string", "RDN", "CN=a\\", UNREADABLE),
    ("string", "RDN", 'CN=a"b,OU=x', UNREADABLE),
    ("string", "RDN", "Smith, John", UNREADABLE),
    ("string", "SID", "S-1-5-21-1-2-3-500", "S-1-5-21-1-2-3-500"),
    ("string", "SID", "AQUAAAAAAAUVAAAAAQAAAAIAAAADAAAA9AEAAA==", "S-1-5-21-1-2-3-500"),
    ("string", "SID", "AQUAAAAAAAUVAAAA", UNREADABLE),
    ("string", "SID", "AgAAAAAAAAU=", UNREADABLE),
    ("string", "SID", "S-1-5-4294967296", UNREADABLE),
    ("string", "SID", "S-1-05", UNREADABLE),
    ("string", "SID", "everyone", UNREADABLE),
    ("string", "Concat:;", "b;a;;A;b", "A\na\nb"),
    ("string", "Concat:;", " b; a", " a\n b"),
    ("string", "Concat:;", ";", ""),
    ("string", "MultivaluedText", "b\nB\na\nb\n", "a\nB\nb"),
    ("string", "MultivaluedText", "one", "one"),
    ("bool", "Bool", "TRUE", True),
    ("bool", "Bool", "FALSE", False),
    ("bool", "Bool", "wahr", UNREADABLE),
    ("bool", "Bit:mask:2", "514", True),
    ("bool", "bit:mask:2", "512", False),
    ("int32", "Bit:mask:32", "-2147483646", 1),
    ("string", "Bit:mask:1", "2", "0"),
    ("int64", "Bit:mask:64", "-1", 1),
    ("bool", "Bit:mask:2", "x", UNREADABLE),
    ("int16", "Int16", "32768", UNREADABLE),
    ("byte", "Byte", "256", UNREADABLE),
    ("int32", "Int32", "2147483648", UNREADABLE),
    ("int64", "Int64", "9223372036854775808", UNREADABLE),
    ("guid", "Guid", "AAAAAAAAAAAAAAAAAAAAAB==", UNREADABLE),
    ("guid", "Guid", "no guid", UNREADABLE),
]


@pytest.mark.parametrize(("kind", "spelling", "text", "value"), CASES)
def test_a_text_is_read_in_its_format_or_set_aside(kind: PropertyType, spelling: str, text: str, value: Any) -> None:
    assert read(kind, spelling, text) == [value]


@pytest.mark.parametrize(("kind", "spelling"), [*VALUES, ("bool", "Bit:mask:3"), ("string", "Bit:mask:3")])
def test_nothing_is_no_value_and_never_a_mistake(kind: PropertyType, spelling: str) -> None:
    assert read(kind, spelling, None, "") == [None, None]


def test_of_several_values_null_and_the_empty_text_stay_what_they_are() -> None:
    assert read("string", "MultivaluedText", None, "") == [None, ""]


@given(value=strategies.uuids)
@settings(max_examples=30, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_a_guid_is_read_in_any_spelling_and_in_the_byte_order_that_is_told(value: Any) -> None:
    little, big = (base64.b64encode(octets).decode() for octets in (value.bytes_le, value.bytes))
    spellings = strategies.guid_spellings(value)
    assert set(read("guid", "Guid", little, *spellings)) == {value.hex}
    assert set(read("guid", "Guid:little_endian", little, *spellings)) == {value.hex}
    assert set(read("guid", "Guid:big_endian", big, *spellings)) == {value.hex}
    assert system_text("guid", "Guid:little_endian", value.hex) == little
    assert system_text("guid", "Guid:big_endian", value.hex) == big


@given(pair=strategies.sids())
@example(pair=("S-1-0x000100000000-7", "AQEAAQAAAAAHAAAA"))
@settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_a_binary_sid_is_read_as_its_text(pair: tuple[str, str]) -> None:
    text, binary = pair
    assert read("string", "SID", text, binary) == [text, text]


@given(dn=strategies.dns)
@settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_the_first_component_of_a_dn_is_kept_as_it_is_written(dn: str) -> None:
    [component] = read("string", "RDN", dn)
    assert dn == component or dn.startswith(f"{component},")
    assert read("string", "RDN", component) == [component]
    # An escaped comma stands inside a component, any other one ends it.
    assert "," not in component.replace("\\\\", "").replace("\\,", "")


@given(pair=strategies.generalized_times())
@settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_every_form_of_generalized_time_is_its_instant_in_utc(pair: tuple[str, datetime]) -> None:
    text, instant = pair
    assert read("datetime", "DateTime", text) == [instant]


@given(ticks=strategies.filetimes)
@settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_ticks_lose_no_microsecond(ticks: int) -> None:
    [value] = read("datetime", "1601Date", str(ticks))
    written = system_text("datetime", "1601Date", None if value is None else str(value))
    assert value == (None if written == "0" else datetime(1601, 1, 1) + timedelta(microseconds=ticks // 10))
    assert written == ("0" if value is None else str(ticks - ticks % 10))


def test_a_length_is_that_of_the_value_not_of_the_text_it_is_read_from() -> None:
    assert read("string", "RDN", "CN=a,OU=far,OU=too,OU=long", max_length=5) == ["CN=a"]
    assert read("string", "RDN", "CN=abcdef", max_length=5) == ["is too_long"]


@given(text=strategies.text)
@settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_a_string_without_a_format_passes_byte_for_byte(text: str) -> None:
    assert read("string", None, text) == [text]


@given(mask=st.integers(-(2**31), 2**31 - 1), flags=st.dictionaries(st.integers(1, 32), st.booleans(), max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=strategies.TOLERATED)
def test_a_flag_is_written_without_touching_the_others(mask: int, flags: dict[int, bool]) -> None:
    written = with_flags(mask, flags, "int32")
    assert -(2**31) <= written < 2**31
    for bit in range(1, 33):
        expected = flags.get(bit, bool(mask >> (bit - 1) & 1))
        assert bool(written >> (bit - 1) & 1) == expected
    assert read("bool", "Bit:m:32", str(written)) == [flags.get(32, mask < 0)]


def test_what_a_format_cannot_carry_is_refused_without_being_shown() -> None:
    for kind, spelling, value in (
        ("datetime", "Date", "2026-01-15 10:00:00"),
        ("datetime", "1601Date", "1601-01-01 00:00:00"),
        ("datetime", "DateTime", "secret"),
        ("string", "Concat:;", "secret;1\nb"),
        ("guid", "Guid:big_endian", "secret"),
        ("int32", "Int32", "secret"),
        ("bool", "Bool", "secret"),
        ("bool", "Bit:m:1", True),
    ):
        with pytest.raises(InvalidValue, match=f"a value of type {kind} cannot be written as") as caught:
            system_text(kind, spelling, value)
        assert "secret" not in str(caught.value)
    with pytest.raises(InvalidValue, match="of type int16 has no bit 17"):
        with_flags(0, {17: True}, "int16")
    with pytest.raises(InvalidValue, match="neither true nor false"):
        flag_of("perhaps")


def test_a_date_with_an_offset_is_written_in_utc() -> None:
    ordered = datetime(2026, 1, 15, 9, 30, tzinfo=UTC).isoformat()
    assert system_text("datetime", "DateTime", ordered) == "20260115093000.0Z"
    assert system_text("datetime", None, "2026-01-15 09:30:00") == "2026-01-15T09:30:00Z"
    assert system_text("datetime", "%d/%m/%Y", "0005-01-15 00:00:00") == "15/01/0005"
    assert system_text("bool", "Bool", True) == "TRUE"
    assert system_text("bool", None, False) == "false"
    assert system_text("int64", None, 7) == "7"
    assert system_text("string", None, " a ") == " a "
    assert system_text("guid", "Guid", "0F8FAD5B-D9CB-469F-A165-70867728950E") == "0f8fad5bd9cb469fa16570867728950e"


def test_a_computed_value_is_compared_in_canonical_order() -> None:
    with table(["b\na"]) as connection:
        listed = canonical(Property(identifier="v", format="Concat:;"), "text")
        plain = canonical(Property(identifier="v"), "text")
        assert connection.execute(f"SELECT {listed}, {plain} FROM raw").fetchone() == ("a\nb", "b\na")


def test_a_flag_reads_the_column_of_its_mask() -> None:
    entity_type = EntityType(
        identifier="T",
        connection_table="t",
        properties=(
            Property(identifier="id", primary_key=True),
            Property(identifier="control", column="userAccountControl", type="int32"),
            Property(identifier="disabled", type="bool", column="bit_control_2", format="Bit:control:2"),
            Property(identifier="other", type="bool", format="Bit:rawMask:1"),
        ),
    )
    columns = [item.source_column for item in entity_type.properties]
    assert columns == ["id", "userAccountControl", "userAccountControl", "rawMask"]
