"""The predefined functions of engine.md 1.12, for every expression.

All but one are macros, so that DuckDB plans them with the rest of the query. Their meaning is that of the
re-implemented product's documentation; where it is silent, ``docs/decisions.md`` says what was decided.
Every function of NULL is NULL. Instants are TIMESTAMP in UTC; a local time zone is always an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

_LETTERS_AND_OTHERS = r"'[\p{L}\p{M}]+|[^\p{L}\p{M}]+'"
_SEVERAL_LETTERS = {
    "ä": "ae", "Ä": "AE", "ö": "oe", "Ö": "OE", "ü": "ue", "Ü": "UE", "ß": "ss", "ẞ": "SS",
    "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "š": "sh", "Š": "SH",
}  # fmt: skip
_ONE_LETTER = ("øØłŁ", "oOlL")
_SOUNDEX_CODES = ("BFPVCGJKQSXZDTLMNRAEIOUYHW", "11112222222233455600000099")
"""9 stands for H and W, which do not part two letters of one code, 0 for vowels, which do."""


def _spelled_out(text: str) -> str:
    composed = f"nfc_normalize({text})"
    for letter, letters in _SEVERAL_LETTERS.items():
        composed = f"replace({composed}, '{letter}', '{letters}')"
    return f"strip_accents(translate({composed}, '{_ONE_LETTER[0]}', '{_ONE_LETTER[1]}'))"


def _soundex(text: str) -> str:
    """The four characters of the American Soundex (as the National Archives of the USA use it).

    The list of one binds the letters, so that they are computed once.
    """
    digits = f"translate(letters, '{_SOUNDEX_CODES[0]}', '{_SOUNDEX_CODES[1]}')"
    # The first letter takes part in the collapsing with its own code, and is then replaced by itself.
    collapsed = f"left({digits}, 1) || replace(substr({digits}, 2), '9', '')"
    for code in "123456":
        collapsed = f"regexp_replace({collapsed}, '{code}+', '{code}', 'g')"
    coded = f"rpad(left(letters, 1) || left(replace(substr({collapsed}, 2), '0', ''), 3), 4, '0')"
    letters = f"regexp_replace(upper({text}), '[^A-Z]', '', 'g')"
    return f"list_transform([{letters}], lambda letters: CASE WHEN letters = '' THEN '' ELSE {coded} END)[1]"


def _distinguished_name_value(text: str) -> str:
    """RFC 4514 2.4: special characters get a backslash, a leading ``#`` or blank and a last blank too."""
    escaped = rf"""regexp_replace({text}, '(["+,;<>=\\])', '\\\1', 'g')"""
    escaped = rf"regexp_replace({escaped}, '(?s)(.) $', '\1\\ ')"
    escaped = rf"regexp_replace({escaped}, '^([ #])', '\\\1')"
    return rf"replace({escaped}, chr(0), '\00')"


def _utc(local: str, zone: str) -> str:
    return f"timezone('UTC', timezone({zone}, {local}))"


def _later(instant: str) -> str:
    return f"{instant} + to_minutes(CAST(minutes AS BIGINT))"


_LOCAL = _utc("CAST(try_strptime(text, format) AS TIMESTAMP)", "zone")
_UNIVERSAL = "CAST(try_strptime(text, format) AS TIMESTAMP)"

# ``to_title`` takes words apart at blanks only, ``to_first_name`` at everything that is no letter
# (Jean-Pierre, O'Neil).
MACROS = {
    "to_upper(text)": "upper(text)",
    "to_lower(text)": "lower(text)",
    "to_first_name(text)": f"""array_to_string(list_transform(
        regexp_extract_all(lower(text), {_LETTERS_AND_OTHERS}),
        lambda word: upper(left(word, 1)) || substr(word, 2)), '')""",
    "to_title(text)": """array_to_string(list_transform(
        string_split(lower(text), ' '), lambda word: upper(left(word, 1)) || substr(word, 2)), ' ')""",
    "remove_diacritics(text)": _spelled_out("text"),
    "simplify(text)": rf"regexp_replace(upper({_spelled_out('text')}), '[^\p{{L}}\p{{N}}]', '', 'g')",
    "to_soundex(text)": _soundex(_spelled_out("text")),
    "to_formatted_dn(text)": _distinguished_name_value("text"),
    "parse_local_date(text, zone, format)": _LOCAL,
    "parse_local_date_then_add_minutes(text, zone, format, minutes)": _later(_LOCAL),
    "parse_universal_date(text, format)": _UNIVERSAL,
    "parse_universal_date_then_add_minutes(text, format, minutes)": _later(_UNIVERSAL),
    "format_local_date(instant, zone, format)":
        "strftime(timezone(zone, timezone('UTC', CAST(instant AS TIMESTAMP))), format)",
    # No macro can hold the some hundred rules of this algorithm: a C++ library computes it, row by row.
    "to_double_metaphone(text)": f"double_metaphone_of({_spelled_out('text')})",
}  # fmt: skip
_DOUBLE_METAPHONE = "double_metaphone_of"
PREDEFINED_FUNCTIONS = frozenset(signature.partition("(")[0] for signature in MACROS)
"""Their names."""


@dataclass(frozen=True, slots=True)
class Zoned:
    """Which arguments of a function are a time zone and a format (counted from 0; None: there is none)."""

    zone: int
    parsed_format: int | None


ZONED_FUNCTIONS = {
    "parse_local_date": Zoned(1, 2),
    "parse_local_date_then_add_minutes": Zoned(1, 2),
    "format_local_date": Zoned(1, None),
}


def install_predefined(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the predefined functions in a connection."""
    connection.create_function(_DOUBLE_METAPHONE, _double_metaphone, ["VARCHAR"], "VARCHAR")
    for signature, body in MACROS.items():
        connection.execute(f"CREATE MACRO {signature} AS {body}")


@cache
def time_zones() -> frozenset[str]:
    """The time zones that DuckDB knows; it takes them in any case."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute("SELECT name FROM pg_timezone_names()").fetchall()
    return frozenset(name for (name,) in found)


def _double_metaphone(text: str) -> str:
    """The primary code; letters that are not of the Latin alphabet have none."""
    from doublemetaphone import doublemetaphone

    primary, _ = doublemetaphone(text)
    return str(primary)
