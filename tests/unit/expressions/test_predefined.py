"""The predefined functions, each against the description of the re-implemented product."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.expressions.compilation import compile_expression
from include.expressions.errors import ExpressionMistake
from include.expressions.functions import install, scalar_functions
from include.expressions.paths import EntityGraph, Scope
from include.expressions.predefined import PREDEFINED_FUNCTIONS
from include.storage.engine import engine
from tests.unit.policy.organisation import NOW, configuration


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with engine() as opened:
        install(opened, NOW)
        opened.execute("SET enable_external_access = false")
        opened.execute("SET lock_configuration = true")
        yield opened


def value(connection: duckdb.DuckDBPyConnection, call: str) -> object:
    (found,) = connection.execute(f"SELECT {call}").fetchone() or (None,)
    return found


def test_all_of_them_may_stand_in_an_expression() -> None:
    names = {
        "to_upper", "to_lower", "to_first_name", "to_title", "simplify", "remove_diacritics", "to_double_metaphone",
        "to_soundex", "to_formatted_dn", "parse_local_date", "parse_local_date_then_add_minutes",
        "parse_universal_date", "parse_universal_date_then_add_minutes", "format_local_date",
    }  # fmt: skip
    assert names == PREDEFINED_FUNCTIONS
    assert names <= scalar_functions()


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("to_upper('Éa')", "ÉA"),
        ("to_lower('ÉA')", "éa"),
        ("to_first_name('jean-PIERRE o''neil  éva')", "Jean-Pierre O'Neil  Éva"),
        ("to_first_name('')", ""),
        ("to_title('HEAD of jean-pierre''s desk')", "Head Of Jean-pierre's Desk"),
        ("remove_diacritics('éèçàù')", "eecau"),
        ("remove_diacritics('äÄöÖüÜ')", "aeAEoeOEueUE"),
        ("remove_diacritics('čČøØłŁßæÆœŒšŠ')", "cCoOlLssaeAEoeOEshSH"),
        ("remove_diacritics('Ångström ñ')", "Angstroem n"),
        ("remove_diacritics('u' || chr(776))", "ue"),  # the letter and its diaeresis as two characters
        ("remove_diacritics('Иван 王')", "Иван 王"),
        ("simplify('O''Neil-Éva 2')", "ONEILEVA2"),
        ("simplify('Müller, Łódź')", "MUELLERLODZ"),
        ("simplify('-- ')", ""),
    ],
)
def test_texts(connection: duckdb.DuckDBPyConnection, call: str, expected: str) -> None:
    assert value(connection, call) == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Robert", "R163"),
        ("rupert", "R163"),
        ("Ashcraft", "A261"),  # H does not part S and C
        ("Tymczak", "T522"),  # a vowel does part two letters of one code
        ("Pfister", "P236"),  # the first letter takes those of its code with it
        ("Honeyman", "H555"),
        ("Lee", "L000"),
        ("O'Hara", "O600"),
        ("Éloïse", "E420"),
        ("王", ""),
        ("", ""),
    ],
)
def test_soundex(connection: duckdb.DuckDBPyConnection, name: str, code: str) -> None:
    found = connection.execute("SELECT to_soundex(CAST($1 AS VARCHAR))", [name]).fetchone()
    assert found == (code,)


@given(name=st.text(alphabet=st.characters(categories=["L", "M", "P", "Zs"]), max_size=12))
def test_a_soundex_code_is_a_letter_and_three_digits_or_nothing(
    connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    found = connection.execute(
        "SELECT regexp_full_match(to_soundex(CAST($1 AS VARCHAR)), '([A-Z][0-6]{3})?')", [name]
    ).fetchone()
    assert found == (True,)


@pytest.mark.parametrize(
    ("name", "code"), [("Schmidt", "XMT"), ("Smith", "SM0"), ("Éric", "ARK"), ("ERIC", "ARK"), ("Иван", ""), ("", "")]
)
def test_double_metaphone_gives_the_primary_code(connection: duckdb.DuckDBPyConnection, name: str, code: str) -> None:
    assert value(connection, f"to_double_metaphone('{name}')") == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lamarr, Hedy", r"Lamarr\, Hedy"),
        (r'a+b"c\d<e>f;g=h', r"a\+b\"c\\d\<e\>f\;g\=h"),
        ("#1", r"\#1"),
        (" x ", r"\ x\ "),
        (" ", r"\ "),
        ("  ", r"\ \ "),
        ("x\\ ", r"x\\\ "),
        ("a\x00b", r"a\00b"),
        ("Ångström", "Ångström"),
        ("", ""),
    ],
)
def test_a_value_for_a_distinguished_name(connection: duckdb.DuckDBPyConnection, text: str, expected: str) -> None:
    found = connection.execute("SELECT to_formatted_dn(CAST($1 AS VARCHAR))", [text]).fetchone()
    assert found == (expected,)


DATES = [
    ("parse_local_date('15/01/2024', 'Europe/Paris', '%d/%m/%Y')", datetime(2024, 1, 14, 23)),
    ("parse_local_date('15/07/2024 10:00', 'Europe/Paris', '%d/%m/%Y %H:%M')", datetime(2024, 7, 15, 8)),
    # In a gap of daylight saving time the clock is put forward; of the hour that comes twice it is the later.
    ("parse_local_date('31/03/2024 02:30', 'Europe/Paris', '%d/%m/%Y %H:%M')", datetime(2024, 3, 31, 1, 30)),
    ("parse_local_date('27/10/2024 02:30', 'Europe/Paris', '%d/%m/%Y %H:%M')", datetime(2024, 10, 27, 1, 30)),
    ("parse_local_date('31/02/2024', 'Europe/Paris', '%d/%m/%Y')", None),
    ("parse_local_date('', 'Europe/Paris', '%d/%m/%Y')", None),
    ("parse_local_date('15/01/2024 and more', 'Europe/Paris', '%d/%m/%Y')", None),
    # Minutes that pass, not those of the clock on the wall.
    (
        "parse_local_date_then_add_minutes('31/03/2024', 'Europe/Paris', '%d/%m/%Y', 1440)",
        datetime(2024, 3, 31, 23),
    ),
    ("parse_local_date_then_add_minutes('15/01/2024', 'UTC', '%d/%m/%Y', -1)", datetime(2024, 1, 14, 23, 59)),
    ("parse_universal_date('2024-01-15 10:00', '%Y-%m-%d %H:%M')", datetime(2024, 1, 15, 10)),
    ("parse_universal_date('2024-01-15 10:00 +0200', '%Y-%m-%d %H:%M %z')", datetime(2024, 1, 15, 8)),
    ("parse_universal_date('soon', '%Y-%m-%d')", None),
    ("parse_universal_date_then_add_minutes('2024-01-15', '%Y-%m-%d', 90)", datetime(2024, 1, 15, 1, 30)),
    ("format_local_date(TIMESTAMP '2024-07-14 22:30:00', 'Europe/Paris', '%d/%m/%Y %H:%M')", "15/07/2024 00:30"),
    ("format_local_date(DATE '2024-07-15', 'America/New_York', '%Y-%m-%d %H:%M')", "2024-07-14 20:00"),
    ("format_local_date(NULL, 'Europe/Paris', '%Y')", None),
]


@pytest.mark.parametrize(("call", "expected"), DATES)
def test_dates(connection: duckdb.DuckDBPyConnection, call: str, expected: object) -> None:
    assert value(connection, call) == expected


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_the_time_zone_of_the_session_does_not_matter(zone: str) -> None:
    with engine() as connection:
        install(connection, NOW)
        connection.execute(f"SET TimeZone = '{zone}'")
        for call, expected in DATES:
            if "%z" not in call:
                assert value(connection, call) == expected


@pytest.mark.parametrize("function", sorted(PREDEFINED_FUNCTIONS))
def test_what_is_made_of_nothing_is_nothing(connection: duckdb.DuckDBPyConnection, function: str) -> None:
    rest = {
        "parse_local_date": ", 'UTC', '%Y'",
        "parse_local_date_then_add_minutes": ", 'UTC', '%Y', 1",
        "parse_universal_date": ", '%Y'",
        "parse_universal_date_then_add_minutes": ", '%Y', 1",
        "format_local_date": ", 'UTC', '%Y'",
    }.get(function, "")
    assert value(connection, f"{function}(NULL{rest})") is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "parse_local_date(title, 'Europe/Pari', '%d/%m/%Y')",
            "there is no time zone 'Europe/Pari': write one such as Europe/Paris (did you mean 'Europe/Paris'?)",
        ),
        (
            "format_local_date(start_date, 'Mars', '%d/%m/%Y')",
            "there is no time zone 'Mars': write one such as Europe/Paris",
        ),
        (
            "parse_local_date(title, 'Europe/Paris', '%Y-%m-%d %z')",
            "a text with an offset (%Y-%m-%d %z) needs no time zone: use parse_universal_date",
        ),
    ],
)
def test_a_zone_or_format_that_cannot_work_is_refused_before_there_is_data(
    connection: duckdb.DuckDBPyConnection, expression: str, message: str
) -> None:
    scope = Scope(EntityGraph.of(configuration()), "HR_Person")
    with pytest.raises(ExpressionMistake) as caught:
        compile_expression(connection, expression, scope)
    assert str(caught.value) == message


def test_a_zone_may_come_from_a_property(connection: duckdb.DuckDBPyConnection) -> None:
    scope = Scope(EntityGraph.of(configuration()), "HR_Person")
    assert "parse_local_date" in compile_expression(connection, "parse_local_date(title, status, '%Y')", scope)
