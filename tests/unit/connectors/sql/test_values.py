from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import InvalidValue
from connectors.sql.values import as_text, text_column


def column(*values: Any) -> list[str | None]:
    texts: list[str | None] = text_column(values, table="T", column="c", first_row=1).to_pylist()
    return texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(10**30), "-1" + "0" * 30),
        (0.1, "0.1"),
        (1e300, "1e+300"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-10"), "0.0000000000"),
        (Decimal("-0.000000001"), "-0.000000001"),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
        (date(2024, 2, 29), "2024-02-29"),
        (time(7, 5), "07:05:00"),
        (datetime(2024, 2, 29, 7, 5), "2024-02-29T07:05:00"),  # noqa: DTZ001  naive on purpose
        (datetime(2024, 2, 29, 7, 5, 1, 20, tzinfo=UTC), "2024-02-29T07:05:01.000020Z"),
        (datetime(2024, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))), "2024-02-29T22:30:00Z"),
        (timedelta(hours=26, seconds=1), "26:00:01"),
        (-timedelta(minutes=1, microseconds=5), "-00:01:00.000005"),
        (b"\x00\xff", "AP8="),
        (bytearray(b"ab"), "YWI="),
        (memoryview(b"ab"), "YWI="),
        (b"", ""),
        (uuid.UUID("12345678-1234-5678-1234-567812345678"), "12345678-1234-5678-1234-567812345678"),
        (["b", "A", None, "a"], "A\na\nb"),
        ([3, Decimal("1.0")], "1.0\n3"),
        ({"b": "é", "a": Decimal("1.0")}, '{"b":"é","a":"1.0"}'),
        ("  text ", "  text "),
        ("", ""),
    ],
)
def test_a_value_has_one_canonical_text(value: Any, text: str) -> None:
    assert as_text(value) == text
    assert column(value, None, value) == [text, None, text]


def test_a_column_of_several_types_is_converted_value_by_value() -> None:
    assert column(1, "x", None, 2.5, True, b"\x00") == ["1", "x", None, "2.5", "true", "AA=="]


def test_null_is_not_the_empty_string() -> None:
    assert column(None, "") == [None, ""]
    assert column(None, None) == [None, None]


def test_a_subclass_of_a_known_type_is_converted_like_it() -> None:
    class Stamp(datetime):
        pass

    assert column(Stamp(2024, 1, 2)) == ["2024-01-02T00:00:00"]


def test_a_lone_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidValue, match="table 'T', row 9, column 'c'"):
        text_column(["x", None, "\ud83d"], table="T", column="c", first_row=7)


@given(st.lists(st.none() | st.integers()))
def test_integers_keep_every_digit(values: list[int | None]) -> None:
    assert [None if text is None else int(str(text)) for text in column(*values)] == values


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimals_are_exact_and_have_no_exponent(value: Decimal) -> None:
    text = as_text(value)
    assert Decimal(text) == value
    assert "E" not in text.upper()


@given(st.floats(allow_nan=False))
def test_floats_read_back_to_the_same_float(value: float) -> None:
    assert float(as_text(value)) == value


@given(st.datetimes(timezones=st.timezones()))
def test_instants_are_the_same_instant_in_utc(value: datetime) -> None:
    try:
        expected = value.astimezone(UTC)
    except OverflowError:
        return
    assert datetime.fromisoformat(as_text(value)) == expected
