"""How the text of a raw column becomes a typed value: one SQL expression per property type.

Every expression is NULL for a NULL, and NULL for a text that is not a value of the type; ``mistake``
tells the two apart. Strings pass byte for byte. For other types the empty string is no value.
"""

from __future__ import annotations

from include.model.configuration import DUCKDB_TYPES, Property
from include.storage.engine import literal

INTEGERS = frozenset({"byte", "int16", "int32", "int64"})
INTEGER = "[+-]?[0-9]+"
NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
GUID = r"(?i)(urn:uuid:)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
ISO_8601 = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
TRUE, FALSE = "('true', '1', 'yes')", "('false', '0', 'no')"


def parsed(item: Property, raw: str) -> str:
    """A SQL expression: the typed value of the text expression ``raw``."""
    if item.type == "string":
        return raw
    if item.type in INTEGERS:
        return f"CASE WHEN regexp_full_match({raw}, '{INTEGER}') THEN TRY_CAST({raw} AS {DUCKDB_TYPES[item.type]}) END"
    return _SPELLINGS[item.type](item, raw)


def mistake(item: Property, raw: str) -> str | None:
    """A SQL expression: why the text is no value of the property, else NULL; None when it cannot fail."""
    reasons = []
    if item.max_length is not None:
        reasons.append(f"WHEN length({raw}) > {item.max_length} THEN 'too_long'")
    if item.type != "string":
        reasons.append(f"WHEN {raw} <> '' AND {parsed(item, raw)} IS NULL THEN 'unparsable'")
    return f"CASE {' '.join(reasons)} END" if reasons else None


def _double(_item: Property, raw: str) -> str:
    value = f"TRY_CAST({raw} AS DOUBLE)"
    return f"CASE WHEN regexp_full_match({raw}, '{NUMBER}') AND isfinite({value}) THEN {value} END"


def _bool(_item: Property, raw: str) -> str:
    return f"CASE WHEN lower({raw}) IN {TRUE} THEN true WHEN lower({raw}) IN {FALSE} THEN false END"


def _guid(_item: Property, raw: str) -> str:
    """Any usual spelling (hyphens, braces, urn:uuid:) as 32 lower-case hexadecimal digits."""
    spelled = " OR ".join(
        f"regexp_full_match({raw}, '{pattern}')" for pattern in (GUID, rf"\{{{GUID}\}}", rf"\({GUID}\)")
    )
    return f"CASE WHEN {spelled} THEN regexp_replace(replace(lower({raw}), 'urn:uuid:', ''), '[^0-9a-f]', '', 'g') END"


def _datetime(item: Property, raw: str) -> str:
    """UTC; a text without an offset is read as UTC."""
    if item.format:
        return f"CAST(try_strptime({raw}, {literal(item.format)}) AS TIMESTAMP)"
    moment = f"CAST(TRY_CAST({raw} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"CASE WHEN regexp_full_match({raw}, '{ISO_8601}') THEN {moment} END"


def _bytes(_item: Property, raw: str) -> str:
    return f"CASE WHEN {raw} <> '' THEN TRY(from_base64({raw})) END"


_SPELLINGS = {
    "double": _double,
    "bool": _bool,
    "guid": _guid,
    "datetime": _datetime,
    "bytes": _bytes,
    "binary": _bytes,
}
