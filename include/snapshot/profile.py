"""What a table looks like, in a few figures: its header, its size, and of each mapped column how it is filled.

A profile is small (about a kilobyte per column), is made in one pass, and is kept with the snapshot, so that
the next run can say how far a table has moved before anything is compared (engine.md 7 item 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from include.model.configuration import EntityType
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

FILE = "profile.json"
BUCKETS = 256
"""Distinct values fall into as many buckets by their hash; a sketch keeps one of each."""
DIGITS = 4
"""Hexadecimal digits that a sketch keeps of a hash: too few to tell the value, enough to tell two apart."""
NO_VALUE = "." * DIGITS


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One mapped property: its raw column, how many rows are empty or unparsable there, and its sketch.

    The sketch stands for the set of distinct values, however many there are (``similarity``).
    """

    column: str
    empty: int
    unparsable: int
    sketch: str


@dataclass(frozen=True, slots=True)
class TableProfile:
    """The raw table of one entity type: the whole header in order, the rows, and each property by identifier.

    ``trusted`` says that the table was exported whole, so that a later one may be held against it. ``run_id``
    is known of a published profile only. Hashes of different versions of DuckDB do not compare.
    """

    header: tuple[str, ...]
    rows: int
    trusted: bool
    duckdb_version: str
    columns: Mapping[str, ColumnProfile]
    run_id: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TableProfile:
        """The profile that ``dataclasses.asdict`` turned into plain values."""
        columns = {identifier: ColumnProfile(**column) for identifier, column in value["columns"].items()}
        return cls(**{**value, "header": tuple(value["header"]), "columns": columns})


@dataclass(frozen=True, slots=True)
class Profile:
    """The profiles of one run by entity type, and those of earlier runs that still stand.

    ``carried`` holds what the next run is compared with where this run has no trusted table to offer: it
    read changes, or not everything.
    """

    measured: Mapping[str, TableProfile] = field(default_factory=dict)
    carried: Mapping[str, TableProfile] = field(default_factory=dict)

    @classmethod
    def of(cls, measured: Mapping[str, TableProfile], last_good: Mapping[str, TableProfile]) -> Profile:
        """The profile of a run, with what it carries on from the last good one."""
        carried = {
            identifier: last_good[identifier]
            for identifier, table in measured.items()
            if not table.trusted and identifier in last_good
        }
        return cls(measured, carried)

    def write(self, run: Folder) -> None:
        """Keep it as ``clean/profile.json``."""
        run.child("clean").write_json(FILE, asdict(self))


def last_good_profiles(manifest: Mapping[str, Any]) -> dict[str, TableProfile]:
    """What a published snapshot says of each entity type: the last table that was read as a whole.

    Args:
        manifest: the content of the connector's last manifest; one without a profile knows nothing.
    """
    profile = manifest["counters"].get("profile") or {"measured": {}, "carried": {}}
    tables = {identifier: TableProfile.from_json(table) for identifier, table in profile["measured"].items()}
    run_id = manifest["facts"]["run_id"]
    found = {identifier: replace(table, run_id=run_id) for identifier, table in tables.items() if table.trusted}
    return found | {identifier: TableProfile.from_json(table) for identifier, table in profile["carried"].items()}


def measure(
    connection: duckdb.DuckDBPyConnection,
    entity_type: EntityType,
    *,
    header: Sequence[str],
    columns: Sequence[str],
    mistakes: Mapping[int, str],
    trusted: bool,
) -> TableProfile:
    """The profile of the entity type whose raw lines are in the view ``lines``, set-based.

    Args:
        connection: where ``lines`` has the columns ``v0``, ``v1`` ... (raw text, in order of the mapped properties),
            and ``suspects`` the lines that hold any mistake.
        entity_type: whose properties are measured.
        header: every column of the raw file, in order.
        columns: the raw column of each mapped property.
        mistakes: by position of a property, the SQL expression of why its text is no value.
        trusted: whether the table is whole.
    """
    import duckdb

    unparsable = _count_unparsable(connection, mistakes)
    profiles = {
        item.identifier: _measure_column(connection, position, columns[position], unparsable.get(position, 0))
        for position, item in enumerate(entity_type.mapped_properties)
    }
    row = connection.execute("SELECT count(*) FROM lines").fetchone()
    return TableProfile(tuple(header), row[0] if row else 0, trusted, duckdb.__version__, profiles)


def similarity(one: str, other: str) -> Fraction:
    """How much two sketches have in common: an estimate of |A and B| / |A or B| over their distinct values.

    One-permutation minwise hashing (Li, Owen, Zhang 2012): of the buckets that either side has filled, the
    share in which the smallest hashes agree; 0 when neither has a value. Its error is about 3 points.
    """
    pairs = [
        (one[start : start + DIGITS], other[start : start + DIGITS]) for start in range(0, BUCKETS * DIGITS, DIGITS)
    ]
    filled = [pair for pair in pairs if pair != (NO_VALUE, NO_VALUE)]
    return Fraction(sum(mine == theirs for mine, theirs in filled), len(filled)) if filled else Fraction(0)


def _measure_column(
    connection: duckdb.DuckDBPyConnection, position: int, column: str, unparsable: int
) -> ColumnProfile:
    """One pass over one column; however many rows it has, at most one row per bucket comes back."""
    buckets = connection.execute(f"""
        SELECT CASE WHEN v{position} <> '' THEN hash(v{position}) % {BUCKETS} END AS bucket,
            min(hash(v{position}) // {BUCKETS}) AS smallest, count(*) AS rows
        FROM lines GROUP BY bucket
    """).fetchall()
    smallest = {bucket: value for bucket, value, _ in buckets}
    kept = 16**DIGITS
    sketch = "".join(
        f"{smallest[bucket] % kept:0{DIGITS}x}" if bucket in smallest else NO_VALUE for bucket in range(BUCKETS)
    )
    return ColumnProfile(column, sum(rows for bucket, _, rows in buckets if bucket is None), unparsable, sketch)


def _count_unparsable(connection: duckdb.DuckDBPyConnection, mistakes: Mapping[int, str]) -> dict[int, int]:
    """By position of a property, how many values are none of its type."""
    if not mistakes:
        return {}
    counts = ", ".join(f"count(*) FILTER (WHERE ({reason}) = 'unparsable')" for reason in mistakes.values())
    row = connection.execute(f"SELECT {counts} FROM suspects").fetchone()
    return dict(zip(mistakes, row or (), strict=True))
