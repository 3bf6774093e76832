"""Whether a table still looks like itself: gates between an export and its comparison (engine.md 7 item 3).

They catch what thresholds notice late or not at all: a changed date format, a blank column, two swapped headers,
half a file. Each entity type is held against the last run of its connector that was loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import combinations

from include.difference.thresholds import HUNDRED, LimitLine, figure
from include.model.configuration import Connector, EntityType
from include.snapshot.errors import SnapshotError
from include.snapshot.preparation import EntityCounts, Preparation
from include.snapshot.profile import ColumnProfile, TableProfile, similarity
from include.storage.folder import Folder

FILE = "gates.json"
HEADER = "header"
"""The line that notes a header that moved; columns are mapped by name, so that it never blocks."""
NAMED = 5
"""Columns of a header that a note names."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """A table now and at the last good run, with its entity type."""

    entity_type: EntityType
    now: TableProfile
    then: TableProfile

    @property
    def columns(self) -> dict[str, tuple[ColumnProfile, ColumnProfile]]:
        """Each property that reads the same raw column as it did then: now, and then."""
        return {
            identifier: (column, self.then.columns[identifier])
            for identifier, column in self.now.columns.items()
            if identifier in self.then.columns
            and column.column.casefold() == self.then.columns[identifier].column.casefold()
        }

    def line(self, limit: str, column: str | None, *, share: Fraction, rows: Fraction | int, note: str) -> LimitLine:
        """The line of one gate: exceeded when a share is above it, and more rows are concerned than the floor."""
        gates = self.entity_type.gates
        value: float = getattr(gates, limit)
        found = max(share * HUNDRED, Fraction(0))
        above = found > Fraction(str(value))
        held = above and rows <= gates.percentage_floor
        unit = "points" if "points" in limit else "%"
        floor = f", floor {gates.percentage_floor} rows" if held else ""
        return LimitLine(
            "table" if column is None else "column",
            self.entity_type.identifier + (f".{column}" if column else ""),
            limit,
            value,
            round(float(found), 2),
            above and not held,
            f"{note} (run {self.then.run_id}), limit {figure(value)} {unit}{floor}",
            unit,
        )

    def noted(self, limit: str, found: int, note: str) -> LimitLine:
        """A line that says something and never blocks."""
        return LimitLine("table", self.entity_type.identifier, limit, 0, found, exceeded=False, note=note)


def check_gates(
    connector: Connector,
    preparation: Preparation,
    measured: Mapping[str, TableProfile],
    last_good: Mapping[str, TableProfile],
) -> tuple[LimitLine, ...]:
    """A line for every gate of every entity type that an earlier run can be compared with.

    A gate over columns gives a line for each column that exceeds it, or else one for the column that moved most.
    A first load has nothing to be compared with: no line.
    """
    lines: list[LimitLine] = []
    for entity_type in connector.entity_types:
        identifier = entity_type.identifier
        if identifier in last_good:
            pair = _Pair(entity_type, measured[identifier], last_good[identifier])
            lines += _check_table(pair, preparation.entity_types[identifier])
    return tuple(lines)


def write_gates(run: Folder, lines: Iterable[LimitLine]) -> None:
    """Keep the lines as ``clean/gates.json``."""
    run.child("clean").write_json(FILE, {"lines": [asdict(line) for line in lines]})


def read_gates(run: Folder) -> tuple[LimitLine, ...]:
    """The lines of a run.

    Raises:
        SnapshotError: the run is not prepared.
    """
    try:
        content = run.child("clean").read_json(FILE)
    except FileNotFoundError as error:
        raise SnapshotError(f"clean/{FILE} is missing: prepare the run again") from error
    return tuple(LimitLine(**line) for line in content["lines"])


def _check_table(pair: _Pair, counts: EntityCounts) -> Iterator[LimitLine]:
    if not counts.command:
        yield from _header(pair)
        yield from _rows(pair)
    if not pair.now.rows or not pair.then.rows:
        return
    if not counts.command:
        yield from _rise(pair, "max_points_more_empty_values", "empty", lambda column: column.empty)
    yield from _rise(pair, "max_points_more_unparsable_values", "unparsable", lambda column: column.unparsable)
    if not counts.command:
        yield from _swapped(pair)


def _header(pair: _Pair) -> Iterator[LimitLine]:
    """What became of the columns, mapped or not, as a note."""
    now, then = Counter(pair.now.header), Counter(pair.then.header)
    came, gone = list((now - then).elements()), list((then - now).elements())
    order = zip(
        (column for column in pair.now.header if column in then),
        (column for column in pair.then.header if column in now),
        strict=False,
    )
    moved = sum(mine != theirs for mine, theirs in order)
    notes = [f"{word} {_named(columns)}" for word, columns in (("new", came), ("gone", gone)) if columns]
    if moved:
        notes.append(f"{moved} in another order")
    if notes:
        note = f"columns: {'; '.join(notes)} (run {pair.then.run_id}); they are mapped by name"
        yield pair.noted(HEADER, len(came) + len(gone) + moved, note)


def _rows(pair: _Pair) -> Iterator[LimitLine]:
    came = pair.now.rows - pair.then.rows
    note = f"{pair.now.rows} rows after {pair.then.rows}"
    for limit, rows in (("max_percentage_fewer_rows", -came), ("max_percentage_more_rows", came)):
        if getattr(pair.entity_type.gates, limit) and pair.then.rows:
            yield pair.line(limit, None, share=Fraction(rows, pair.then.rows), rows=rows, note=note)


def _rise(pair: _Pair, limit: str, word: str, count: Callable[[ColumnProfile], int]) -> Iterator[LimitLine]:
    """The rise of a share; the rows concerned are those beyond the share that was usual."""
    if not getattr(pair.entity_type.gates, limit):
        return
    lines = []
    for identifier, (now, then) in pair.columns.items():
        before, after = Fraction(count(then), pair.then.rows), Fraction(count(now), pair.now.rows)
        rise = after - before
        note = f"{_percent(after)} {word} after {_percent(before)}"
        lines.append(pair.line(limit, identifier, share=rise, rows=rise * pair.now.rows, note=note))
    yield from _worst(lines)


def _swapped(pair: _Pair) -> Iterator[LimitLine]:
    """Pairs of columns of which each looks like the other did, by more than either still looks like itself.

    Columns that were always alike (two flags, a mail address and a login) cannot be told apart this way.
    """
    limit = "max_points_swapped_columns"
    points = getattr(pair.entity_type.gates, limit)
    if not points:
        return
    versions = pair.now.duckdb_version, pair.then.duckdb_version
    if versions[0] != versions[1]:
        note = f"not looked at: the sketches were made by DuckDB {versions[0]} and {versions[1]}"
        yield pair.noted(limit, 0, note)
        return
    alike = {identifier: similarity(now.sketch, then.sketch) for identifier, (now, then) in pair.columns.items()}
    changed = [name for name in alike if (1 - alike[name]) * HUNDRED > Fraction(str(points))]
    lines = [_crossed(pair, limit, one, other, alike) for one, other in combinations(changed, 2)]
    nothing = pair.line(
        limit, None, share=Fraction(0), rows=0, note="no two columns look like each other's last values"
    )
    yield from _worst(lines) if lines else (nothing,)


def _crossed(pair: _Pair, limit: str, one: str, other: str, alike: Mapping[str, Fraction]) -> LimitLine:
    (one_now, one_then), (other_now, other_then) = pair.columns[one], pair.columns[other]
    crossed = min(
        similarity(one_now.sketch, other_then.sketch),
        similarity(other_now.sketch, one_then.sketch),
    )
    straight = max(alike[one], alike[other])
    note = f"{_percent(crossed)} like each other's last values, {_percent(straight)} like their own"
    rows = pair.now.rows - max(one_now.empty, other_now.empty)
    return pair.line(limit, f"{one}, {other}", share=crossed - straight, rows=rows, note=note)


def _worst(lines: Sequence[LimitLine]) -> list[LimitLine]:
    """The lines that block; where none does, the one that came nearest."""
    return [line for line in lines if line.exceeded] or sorted(lines, key=lambda line: -line.found)[:1]


def _named(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return ", ".join(columns[:NAMED]) + more


def _percent(share: Fraction) -> str:
    return f"{figure(float(share * HUNDRED))} %"
