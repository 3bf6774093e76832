"""How the text of a raw column becomes a typed value: one SQL expression per property type and format.

Every expression is NULL for a NULL, and NULL for a text that is not a value of the type; ``mistake``
tells the two apart. Strings without a format pass byte for byte. For other types the empty string is no
value. What the formats mean stands in ``include.model.formats``; here is how they are read.
"""

from __future__ import annotations

from include.model.base import DUCKDB_TYPES
from include.model.configuration import Property
from include.model.formats import (
    EPOCH_TICKS,
    INTEGERS,
    LAST_TICK,
    NEVER,
    PATTERN,
    TICKS_PER_MICROSECOND,
    Format,
    format_of,
)
from include.storage.engine import literal

INTEGER = "[+-]?[0-9]+"
NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
GUID = r"(?i)(urn:uuid:)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
GUID_BYTES = "[A-Za-z0-9+/]{21}[AQgw]=="
ISO_8601 = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
ZONE = r"(Z|[+-](?:[01][0-9]|2[0-3])(?:[0-5][0-9])?)?"
GENERALIZED_TIME = (
    (rf"(\d{{4}})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:[.,](\d+))?{ZONE}", r"\1-\2-\3 \4:\5:\6.\70\8"),
    (rf"(\d{{4}})(\d\d)(\d\d)(\d\d)(\d\d){ZONE}", r"\1-\2-\3 \4:\5:00\6"),
    (rf"(\d{{4}})(\d\d)(\d\d)(\d\d){ZONE}", r"\1-\2-\3 \4:00:00\5"),
)
"""RFC 4517 3.3.13, and how each form reads as ISO 8601; a fraction of an hour or a minute is not read."""
DAY = r"\d{4}-?\d{2}-?\d{2}"
ATTRIBUTE = r"([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)*)"
ATTRIBUTE_VALUE = r"""([^\x00,+"\\<>;]|\\[0-9A-Fa-f]{2}|\\[ "#+,;<=>\\])*"""
RDN = rf"{ATTRIBUTE}={ATTRIBUTE_VALUE}(\+{ATTRIBUTE}={ATTRIBUTE_VALUE})*"
"""The first component of a distinguished name (RFC 4514 3)."""
SID = r"S-1-(0|[1-9][0-9]{0,9}|0x[0-9a-fA-F]{12})(-(0|[1-9][0-9]{0,9})){0,15}"
"""A security identifier as text (MS-DTYP 2.4.2.1)."""
MAXIMUM_32_BITS = 4_294_967_295
BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
TRUE, FALSE = "('true', '1', 'yes')", "('false', '0', 'no')"


def parsed(item: Property, raw: str) -> str:
    """A SQL expression: the typed value of the text expression ``raw``."""
    return _read(item, format_of(item.format), raw)


def mistake(item: Property, raw: str) -> str | None:
    """A SQL expression: why the text is no value of the property, else NULL; None when it cannot fail."""
    found = format_of(item.format)
    fails = item.type != "string" or (found is not None and found.separator is None)
    reasons = []
    if fails:
        unread = f"{raw} <> '' AND {_read(item, found, raw)} IS NULL"
        if found is not None and found.name == "1601Date":
            unread += f" AND NOT coalesce({_is_never(raw)}, false)"
        reasons.append(f"WHEN {unread} THEN 'unparsable'")
    if item.max_length is not None:
        stored = _read(item, found, raw) if item.type == "string" else raw
        reasons.insert(0, f"WHEN length({stored}) > {item.max_length} THEN 'too_long'")
    return f"CASE {' '.join(reasons)} END" if reasons else None


def canonical(item: Property, value: str) -> str:
    """A SQL expression: a typed value as reading would give it, so that the order of several values is no change.

    ``value`` is an expression of the property's type.
    """
    found = format_of(item.format)
    return canonical_lines(value, "\n") if found is not None and found.separator else value


def canonical_lines(text: str, separator: str) -> str:
    """A SQL expression: the distinct values between separators as lines, in canonical order.

    Ordinal without case first, then ordinal. Empty values are none; nothing is trimmed.
    """
    split = f"string_split({text}, {literal(separator)})"
    values = f"list_distinct(list_filter({split}, lambda value: value <> ''))"
    return f"CASE WHEN contains({text}, {literal(separator)}) THEN {joined(in_order(values))} ELSE {text} END"


def in_order(values: str) -> str:
    """A SQL expression: a list of texts, ordinal without case first, then ordinal."""
    keyed = f"list_transform({values}, lambda value: {{'folded': lower(value), 'value': value}})"
    return f"list_transform(list_sort({keyed}), lambda pair: pair.value)"


def joined(values: str, separator: str = "\n") -> str:
    """A SQL expression: a list of texts as one."""
    return f"array_to_string({values}, {literal(separator)})"


def _read(item: Property, found: Format | None, raw: str) -> str:
    if found is not None and found.separator is not None:
        return canonical_lines(raw, found.separator)
    if found is not None and found.name in _FORMATS:
        return _FORMATS[found.name](item, found, raw)
    if item.type == "string":
        return raw
    if item.type in INTEGERS:
        return _integer(raw, DUCKDB_TYPES[item.type])
    return _TYPES[item.type](raw)


def _integer(raw: str, kind: str) -> str:
    return f"CASE WHEN regexp_full_match({raw}, '{INTEGER}') THEN TRY_CAST({raw} AS {kind}) END"


def _double(raw: str) -> str:
    value = f"TRY_CAST({raw} AS DOUBLE)"
    return f"CASE WHEN regexp_full_match({raw}, '{NUMBER}') AND isfinite({value}) THEN {value} END"


def _bool(raw: str) -> str:
    return f"CASE WHEN lower({raw}) IN {TRUE} THEN true WHEN lower({raw}) IN {FALSE} THEN false END"


def _guid(raw: str) -> str:
    """Any usual spelling (hyphens, braces, urn:uuid:) as 32 lower-case hexadecimal digits."""
    spelled = " OR ".join(
        f"regexp_full_match({raw}, '{pattern}')" for pattern in (GUID, rf"\{{{GUID}\}}", rf"\({GUID}\)")
    )
    return f"CASE WHEN {spelled} THEN regexp_replace(replace(lower({raw}), 'urn:uuid:', ''), '[^0-9a-f]', '', 'g') END"


def _guid_or_bytes(_item: Property, found: Format, raw: str) -> str:
    """The same, or base64 of the 16 bytes; base64 of 16 bytes has 24 characters, which no spelling has."""
    digits = f"lower(hex(TRY(from_base64({raw}))))"
    if found.argument != "big_endian":
        # The first three fields are numbers, the rest are bytes (RFC 4122 4.1.2, uuid.UUID(bytes_le=...)).
        order = (7, 5, 3, 1, 11, 9, 15, 13)
        pairs = ", ".join(f"substr({digits}, {start}, 2)" for start in order)
        digits = f"concat({pairs}, substr({digits}, 17))"
    return f"CASE WHEN regexp_full_match({raw}, '{GUID_BYTES}') THEN {digits} ELSE {_guid(raw)} END"


def _datetime(raw: str) -> str:
    """UTC; a text without an offset is read as UTC."""
    moment = f"CAST(TRY_CAST({raw} AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"CASE WHEN regexp_full_match({raw}, '{ISO_8601}') THEN {moment} END"


def _pattern(_item: Property, found: Format, raw: str) -> str:
    return f"CAST(try_strptime({raw}, {literal(found.argument)}) AS TIMESTAMP)"


def _generalized_time(_item: Property, _found: Format, raw: str) -> str:
    """Generalized time, else ISO 8601."""
    forms = " ".join(
        f"WHEN regexp_full_match({raw}, '{form}') THEN regexp_replace({raw}, '^{form}$', '{spelled}')"
        for form, spelled in GENERALIZED_TIME
    )
    moment = f"CAST(TRY_CAST(CASE {forms} END AS TIMESTAMPTZ) AS TIMESTAMP)"
    return f"coalesce({moment}, {_datetime(raw)})"


def _day(_item: Property, _found: Format, raw: str) -> str:
    day = f"regexp_replace({raw}, '^(....)-?(..)-?(..)$', '\\1-\\2-\\3')"
    return f"CASE WHEN regexp_full_match({raw}, '{DAY}') THEN CAST(TRY_CAST({day} AS DATE) AS TIMESTAMP) END"


def _since_1601(_item: Property, _found: Format, raw: str) -> str:
    """Whole microseconds, in integers only; fewer than ten ticks would be written as "never"."""
    ticks = _integer(raw, "BIGINT")
    return f"""CASE WHEN {ticks} BETWEEN {TICKS_PER_MICROSECOND} AND {LAST_TICK}
        THEN make_timestamp({ticks} // {TICKS_PER_MICROSECOND} - {EPOCH_TICKS // TICKS_PER_MICROSECOND}) END"""


def _is_never(raw: str) -> str:
    return f"{_integer(raw, 'BIGINT')} IN ({', '.join(map(str, NEVER))})"


def _bytes(raw: str) -> str:
    return f"CASE WHEN {raw} <> '' THEN TRY(from_base64({raw})) END"


def _rdn(_item: Property, _found: Format, raw: str) -> str:
    """The first component as it is written, with its attribute type and its escapes."""
    form = literal(f"(?s)^({RDN})(,.*)?$")
    return f"CASE WHEN regexp_matches({raw}, {form}) THEN regexp_extract({raw}, {form}, 1) END"


def _sid(_item: Property, _found: Format, raw: str) -> str:
    parts = f"list_transform(string_split({raw}, '-')[4:], lambda part: TRY_CAST(part AS UBIGINT))"
    authority = f"split_part({raw}, '-', 3)"
    return f"""CASE
        WHEN regexp_full_match({raw}, '{SID}')
            AND coalesce(list_max({parts}), 0) <= {MAXIMUM_32_BITS}
            AND (TRY_CAST({authority} AS UBIGINT) > {MAXIMUM_32_BITS}) = starts_with({authority}, '0x')
            THEN 'S' || lower(substr({raw}, 2))
        WHEN regexp_full_match({raw}, '{BASE64}') THEN {_sid_of_bytes(raw)} END"""


def _sid_of_bytes(raw: str) -> str:
    """The text of a binary SID (MS-DTYP 2.4.2.2): revision, count, authority, then the count's little-endian parts.

    The list of one binds the digits and the count, so that they are computed once.
    """
    reverse = ", ".join(f"substr(digits, 17 + 8 * part + {start}, 2)" for start in (6, 4, 2, 0))
    part = f"'-' || CAST(CAST(concat('0x', {reverse}) AS UBIGINT) AS VARCHAR)"
    authority = "CAST('0x' || substr(digits, 5, 12) AS UBIGINT)"
    text = f"""CASE WHEN starts_with(digits, '01') AND length(digits) >= 16
            AND ascii(substr(digits, 3, 1)) = {ord("0")}
            AND length(digits) = 16 + 8 * CAST('0x' || substr(digits, 3, 2) AS INTEGER)
        THEN 'S-1-' || CASE WHEN substr(digits, 5, 4) <> '0000' THEN '0x' || lower(substr(digits, 5, 12))
                ELSE CAST({authority} AS VARCHAR) END
            || array_to_string(list_transform(range((length(digits) - 16) // 8), lambda part: {part}), '') END"""
    return f"list_transform([hex(TRY(from_base64({raw})))], lambda digits: {text})[1]"


def _bit(item: Property, found: Format, raw: str) -> str:
    flag = f"({_integer(raw, 'BIGINT')} & CAST({found.mask} AS BIGINT)) <> 0"
    if item.type == "bool":
        return flag
    return f"CAST(CAST({flag} AS INTEGER) AS {DUCKDB_TYPES[item.type]})"


_TYPES = {
    "double": _double,
    "bool": _bool,
    "guid": _guid,
    "datetime": _datetime,
    "bytes": _bytes,
    "binary": _bytes,
}
_FORMATS = {
    PATTERN: _pattern,
    "Guid": _guid_or_bytes,
    "DateTime": _generalized_time,
    "Date": _day,
    "1601Date": _since_1601,
    "RDN": _rdn,
    "SID": _sid,
    "Bit": _bit,
}
