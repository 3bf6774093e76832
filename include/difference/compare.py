"""The one comparison: what must change so that ``before`` becomes ``after``.

Synchronization, provisioning, verification and simulation all call it. Rows are matched by the exact
text of their key and compared column by column with ``IS DISTINCT FROM``: exact, no hashes. Only rows
that differ are built and written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.storage.engine import literal, name

if TYPE_CHECKING:
    import duckdb


class DifferenceError(ValueError):
    """Two relations that cannot be compared: one line, what and where."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows stored before, and what becomes of them.

    ``withheld`` are rows missing from ``after`` that stay because deletions are held back;
    ``protected`` are those that stay because their key is protected.
    """

    stored: int
    inserted: int
    updated: int
    deleted: int
    withheld: int
    protected: int = 0


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two relations and how their rows match. ``keys`` pairs a key column with its name in the output."""

    before: str
    after: str
    keys: tuple[tuple[str, str], ...]
    columns: tuple[str, ...] = ()

    @property
    def present(self) -> str:
        """The key column whose NULL tells that a side is missing."""
        return name(self.keys[0][0])

    def text(self, side: str, column: str) -> str:
        """A key column of one side as text."""
        return f"CAST({side}.{name(column)} AS VARCHAR)"

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns that can differ once the keys are equal."""
        keys = {column for column, _ in self.keys}
        return tuple(column for column in self.columns if column not in keys)

    @property
    def matching(self) -> str:
        """When a row before and a row after are the same row."""
        return " AND ".join(f"{self.text('b', column)} = {self.text('a', column)}" for column, _ in self.keys)


def compare(
    connection: duckdb.DuckDBPyConnection,
    before: str,
    after: str,
    *,
    key: str,
    columns: Sequence[str],
    output: str,
    deletions: bool = True,
    protected: str | None = None,
) -> Counts:
    """Write the changes that turn ``before`` into ``after`` to a Parquet file, sorted by key.

    The file holds ``command`` (insert, update or delete), ``key`` (the key as text), ``changed_columns`` (of
    an update; else empty), and ``old`` and ``new`` as structs of ``columns`` (NULL where there is no such row).

    Args:
        connection: an engine that reads both relations and writes the output.
        before: a SQL relation, e.g. ``read_parquet('...')``, with ``key`` and ``columns``.
        after: a SQL relation of the same.
        key: the column that identifies a row on both sides.
        columns: the columns to compare, the key among them where it is a property.
        output: path of the Parquet file.
        deletions: false withholds every deletion.
        protected: a SQL relation with a column ``key``: these keys are never deleted.

    Raises:
        DifferenceError: a key is NULL or stands twice on one side, or a column is missing.
    """
    comparison = _Comparison(before, after, ((key, "key"),), tuple(columns))
    return _write(connection, comparison, output, deletions=deletions, protected=protected)


def compare_pairs(
    connection: duckdb.DuckDBPyConnection,
    before: str,
    after: str,
    *,
    output: str,
    deletions: bool = True,
    protected: str | None = None,
) -> Counts:
    """As ``compare``, for relations of pairs ``key1``, ``key2``: a pair is there or not.

    The file holds ``command`` (insert or delete), ``key1`` and ``key2``; ``protected`` is a relation of
    pairs.

    Raises:
        DifferenceError: a pair is incomplete or stands twice on one side.
    """
    comparison = _Comparison(before, after, (("key1", "key1"), ("key2", "key2")))
    return _write(connection, comparison, output, deletions=deletions, protected=protected)


def _write(
    connection: duckdb.DuckDBPyConnection,
    comparison: _Comparison,
    output: str,
    *,
    deletions: bool,
    protected: str | None,
) -> Counts:
    import duckdb

    try:
        stored, arriving, in_order = _count(connection, comparison)
        if stored:
            query = _changes(comparison, deletions=deletions, protected=protected)
        else:
            query = _insertions(comparison, in_order=in_order)
        connection.execute(f"COPY ({query}) TO {literal(output)} (FORMAT parquet)")
        written = dict(
            connection.execute(
                f"SELECT command, count(*) FROM read_parquet({literal(output)}) GROUP BY command"
            ).fetchall()
        )
        inserted, deleted = written.get("insert", 0), written.get("delete", 0)
        # Keys are unique on both sides, so arithmetic tells how many stored rows are missing.
        kept = stored - (arriving - inserted) - deleted
        shielded = _count_protected(connection, comparison, protected) if protected and not deletions else kept
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        raise DifferenceError(f"cannot compare: {_one_line(error)}") from error
    protected_rows = shielded if protected else 0
    return Counts(
        stored=stored,
        inserted=inserted,
        updated=written.get("update", 0),
        deleted=deleted,
        withheld=kept - protected_rows,
        protected=protected_rows,
    )


def _count(connection: duckdb.DuckDBPyConnection, comparison: _Comparison) -> tuple[int, int, bool]:
    """Rows before and after, and whether those after come in order of their keys.

    A key that is NULL or stands twice is an error, never a cross product.
    """
    sides = (("before", comparison.before), ("after", comparison.after))
    counted = dict[str, tuple[int, int]]()
    # One statement, so that both sides are read at the same time.
    for side, total, ascending in connection.execute(
        " UNION ALL ".join(_ascent(comparison, side, relation) for side, relation in sides)
    ).fetchall():
        counted[side] = (total, ascending)
    for side, relation in sides:
        total, ascending = counted[side]
        if total == 1 or ascending < total - 1:
            _refuse_bad_keys(connection, comparison, side, relation)
    arriving, ascending = counted["after"]
    return counted["before"][0], arriving, ascending >= arriving - 1


def _ascent(comparison: _Comparison, side: str, relation: str) -> str:
    """Counts the rows of a side, and those whose key is greater than that of the row before.

    Strictly ascending keys, as every prepared file has, prove in one pass without a hash table that none
    stands twice. A NULL compares as unknown, and so never as ascending.
    """
    columns = [name(column) for column, _ in comparison.keys]
    previous = [f"previous{position}" for position in range(len(columns))]
    ascends = f"{columns[-1]} > {previous[-1]}"
    for column, before in zip(reversed(columns[:-1]), reversed(previous[:-1]), strict=True):
        ascends = f"{column} > {before} OR ({column} = {before} AND ({ascends}))"
    lagged = ", ".join(f"lag({column}) OVER () AS {before}" for column, before in zip(columns, previous, strict=True))
    return f"""
        SELECT {literal(side)}, count(*), count(*) FILTER ({ascends})
        FROM (SELECT {", ".join(columns)}, {lagged} FROM {relation})
    """


def _refuse_bad_keys(connection: duckdb.DuckDBPyConnection, comparison: _Comparison, side: str, relation: str) -> None:
    keys = [name(column) for column, _ in comparison.keys]
    empty = " OR ".join(f"{key} IS NULL" for key in keys)
    nameless = _one_row(connection, f"SELECT count(*) FROM {relation} WHERE {empty}")[0]
    if nameless:
        raise DifferenceError(f"cannot compare: {nameless} rows of '{side}' have no {_key_label(comparison)}")
    texts = ", ".join(comparison.text("r", column) for column, _ in comparison.keys)
    twice = connection.execute(
        f"SELECT {texts}, count(*) FROM {relation} r GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchone()
    if twice:
        *values, times = twice
        key = ", ".join(repr(value) for value in values)
        raise DifferenceError(f"cannot compare: {_key_label(comparison)} {key} stands {times} times in '{side}'")


def _key_label(comparison: _Comparison) -> str:
    return "key " + ", ".join(f"'{column}'" for column, _ in comparison.keys)


def _changes(comparison: _Comparison, *, deletions: bool, protected: str | None) -> str:
    """The query of the changes, in order of their keys."""
    differs = [f"b.{name(column)} IS DISTINCT FROM a.{name(column)}" for column in comparison.compared]
    missing = f"a.{comparison.present} IS NULL"
    new = f"b.{comparison.present} IS NULL"
    conditions = [f"({' OR '.join([new, missing, *differs])})"]
    if not deletions:
        conditions.append(f"NOT {missing}")
    if protected:
        same = " AND ".join(f"p.{name(label)} = {comparison.text('b', column)}" for column, label in comparison.keys)
        conditions.append(f"NOT ({missing} AND EXISTS (SELECT 1 FROM {protected} p WHERE {same}))")
    fields = [
        f"CASE WHEN {new} THEN 'insert' WHEN {missing} THEN 'delete' ELSE 'update' END AS command",
        *(
            f"coalesce({comparison.text('b', column)}, {comparison.text('a', column)}) AS {name(label)}"
            for column, label in comparison.keys
        ),
    ]
    if comparison.columns:
        fields += [
            _changed_columns(comparison.compared, differs, f"{new} OR {missing}"),
            _struct("b", new, "old", comparison.columns),
            _struct("a", missing, "new", comparison.columns),
        ]
    return f"""
        SELECT {", ".join(fields)}
        FROM {comparison.before} b FULL OUTER JOIN {comparison.after} a ON {comparison.matching}
        WHERE {" AND ".join(conditions)}
        ORDER BY {", ".join(name(label) for _, label in comparison.keys)}
    """


def _insertions(comparison: _Comparison, *, in_order: bool) -> str:
    """The query of the changes where nothing is stored: no join, and no hash table of all that arrives."""
    fields = [
        "'insert' AS command",
        *(f"{comparison.text('a', column)} AS {name(label)}" for column, label in comparison.keys),
    ]
    if comparison.columns:
        new = _struct("a", "false", "new", comparison.columns)
        fields += [_changed_columns((), (), "true"), _struct("a", "true", "old", comparison.columns), new]
    order = "" if in_order else f"ORDER BY {', '.join(name(label) for _, label in comparison.keys)}"
    return f"SELECT {', '.join(fields)} FROM {comparison.after} a {order}"


def _changed_columns(columns: Sequence[str], differs: Sequence[str], alone: str) -> str:
    named = ", ".join(
        f"CASE WHEN {different} THEN {literal(column)} END" for column, different in zip(columns, differs, strict=True)
    )
    differing = f"list_filter([{named}], lambda column_name: column_name IS NOT NULL)"
    return f"CASE WHEN {alone} THEN CAST([] AS VARCHAR[]) ELSE {differing} END AS changed_columns"


def _struct(side: str, absent: str, label: str, columns: Sequence[str]) -> str:
    packed = ", ".join(f"{name(column)} := {side}.{name(column)}" for column in columns)
    return f"CASE WHEN NOT {absent} THEN struct_pack({packed}) END AS {name(label)}"


def _count_protected(connection: duckdb.DuckDBPyConnection, comparison: _Comparison, protected: str) -> int:
    """Stored rows that are missing and protected, where all deletions are withheld anyway."""
    columns = [column for column, _ in comparison.keys]
    shown = " AND ".join(f"{comparison.text('a', column)} = {comparison.text('b', column)}" for column in columns)
    same = " AND ".join(f"p.{name(label)} = {comparison.text('b', column)}" for column, label in comparison.keys)
    counted = _one_row(
        connection,
        f"""
        SELECT count(*) FROM {comparison.before} b
        WHERE EXISTS (SELECT 1 FROM {protected} p WHERE {same})
          AND NOT EXISTS (SELECT 1 FROM {comparison.after} a WHERE {shown})
        """,
    )
    return int(counted[0])


def _one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    if row is None:
        raise DifferenceError("cannot compare: a count returned nothing")
    return row


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0]
