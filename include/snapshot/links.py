"""One association: the ends of its pairs resolved to primary keys, the bad ones set aside (engine.md 1.5, 1.6, 2.5).

An association's lines may stand in a table of their own (one line per pair), or in the table of one of its
entity types (a person's line names the organization): that end is then the *owner* of the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.model.configuration import Association, AssociationEnd, Configuration, EntityType, Property
from include.snapshot.delta import EMPTY_IT, command
from include.snapshot.entities import SHOWN
from include.snapshot.errors import PreparationError
from include.snapshot.known import remaining_rows
from include.snapshot.preparation import AssociationCounts
from include.snapshot.raw import COMMAND, RawTable, TableState
from include.snapshot.values import parsed
from include.snapshot.work import Work, parquet
from include.storage.engine import literal, name

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class End:
    """One end with its entity type and the key that its column holds. ``number`` is 1 or 2."""

    number: int
    end: AssociationEnd
    entity_type: EntityType
    key: Property


@dataclass(frozen=True, slots=True)
class Ends:
    """An association and its two ends; ``owner`` is the end whose entity type has the same lines."""

    association: Association
    first: End
    second: End

    @property
    def both(self) -> tuple[End, End]:
        """The two ends in order."""
        return self.first, self.second

    @property
    def owner(self) -> End | None:
        """The end whose lines these are, where the pairs have no table of their own."""
        for end in self.both:
            same_table = end.entity_type.connection_table == self.association.connection_table
            if same_table and end.end.column.casefold() == end.key.source_column.casefold():
                return end
        return None

    @property
    def pairs(self) -> str:
        """The temporary table of the raw pairs."""
        return name(f"pairs {self.association.identifier}")


def find_ends(configuration: Configuration, association: Association) -> Ends:
    """The two ends of an association.

    Raises:
        PreparationError: an end names what no connector declares.
    """
    found = []
    for number, end in enumerate((association.end1, association.end2), start=1):
        entity_type = configuration.entity_type(end.entity_type)
        if entity_type is None:
            raise PreparationError(f"{association.identifier}: no connector declares entity type '{end.entity_type}'")
        key = entity_type.find(end.key) if end.key else entity_type.primary_key
        if key is None:
            raise PreparationError(f"{association.identifier}: {end.entity_type} has no property '{end.key}'")
        found.append(End(number, end, entity_type, key))
    return Ends(association, *found)


def link_columns(association: Association) -> dict[str, str]:
    """The raw columns that an association reads, each with what it is for."""
    return {end.column: f"association {association.identifier}" for end in (association.end1, association.end2)}


def keep_pairs(connection: duckdb.DuckDBPyConnection, ends: Ends, raw: RawTable) -> None:
    """Keep the pairs of a loaded raw table until every entity type is prepared."""
    purposes = link_columns(ends.association)
    first, second = (raw.column(end.end.column, purposes[end.end.column]) for end in ends.both)
    done = command(raw.column(COMMAND, "the changes")) if raw.state.command else "'insert'"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE {ends.pairs} AS
        SELECT rowid AS position, {first} AS raw1, {second} AS raw2, {done} AS command
        FROM {raw.kept} AND ({first} <> '' OR {second} <> '')
    """)


def prepare_association(work: Work, ends: Ends, state: TableState) -> AssociationCounts:
    """Write the clean pairs of one association, and what was set aside.

    Raises:
        PreparationError: what is stored of an end has not been exported into the run.
    """
    stored = work.stored(ends.association.identifier)
    _resolve(work, ends)
    _judge(work, ends, state)
    _protect(work, ends)
    clean = _write(work, ends, state, stored)
    return _counts(work, ends, state, clean, work.count(stored))


def _resolve(work: Work, ends: Ends) -> None:
    """Fill ``resolved``: every pair with the primary keys of its ends, NULL where there is no such row."""
    known = []
    for end in ends.both:
        key, primary = end.key.identifier, end.entity_type.primary_key.identifier
        rows = remaining_rows(work, end.entity_type, list(dict.fromkeys((key, primary))))
        known.append(f"""(
            SELECT CAST({name(key)} AS VARCHAR) AS value, min(CAST({name(primary)} AS VARCHAR)) AS key,
                count(*) AS times
            FROM {rows} GROUP BY value
        )""")
    value1, value2 = (f"CAST({parsed(end.key, f'raw{end.number}')} AS VARCHAR)" for end in ends.both)
    work.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE resolved AS
        WITH pairs AS (SELECT *, {value1} AS value1, {value2} AS value2 FROM {ends.pairs})
        SELECT pairs.*, k1.key AS key1, k1.times AS times1, k2.key AS key2, k2.times AS times2
        FROM pairs
        LEFT JOIN {known[0]} k1 ON k1.value = pairs.value1
        LEFT JOIN {known[1]} k2 ON k2.value = pairs.value2
    """)
    work.connection.execute(f"DROP TABLE {ends.pairs}")


def _judge(work: Work, ends: Ends, state: TableState) -> None:
    """Fill ``judged``: the lines that give or take a link, with the reason where they are rejected."""
    crowds = [
        f"""WHEN key{end.number} IN (
            SELECT key{end.number} FROM links WHERE command <> 'delete'
            GROUP BY key{end.number} HAVING count(DISTINCT coalesce(key{3 - end.number}, raw{3 - end.number})) > 1
        ) THEN 'too_many_links'"""
        for end in ends.both
        if not end.end.collection
    ]
    owner = ends.owner
    aside = f"WHEN key{owner.number} IN (SELECT key FROM {_aside(work, owner)}) THEN 'row_set_aside'" if owner else ""
    work.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        WITH links AS ({_links(owner if state.command else None)})
        SELECT *, CASE
            WHEN command = 'delete' THEN NULL
            {aside}
            WHEN command IS NULL THEN 'unknown_command'
            WHEN value1 IS NULL OR value2 IS NULL THEN 'unparsable'
            WHEN key1 IS NULL OR key2 IS NULL THEN 'unresolved_reference'
            WHEN times1 > 1 OR times2 > 1 THEN 'ambiguous_reference'
            {" ".join(crowds)}
        END AS reason
        FROM links
    """)


def _links(owner: End | None) -> str:
    """The lines that hold a link. Of an owner's several changes the last one counts."""
    holding = "SELECT * FROM resolved WHERE raw1 <> '' AND raw2 <> ''"
    if owner is None:
        return holding
    other = f"raw{3 - owner.number}"
    return f"""{holding}
        AND command IS DISTINCT FROM 'delete' AND NOT (command = 'merge' AND {other} = '{EMPTY_IT}')
        AND position IN ({_touching(owner, "max(position)")})"""


def _touching(owner: End, what: str) -> str:
    """Of each owner that the changes touch: its value, or the position of the last line that does."""
    value, other = f"value{owner.number}", f"raw{3 - owner.number}"
    return f"""
        SELECT {what} FROM resolved
        WHERE {value} IS NOT NULL AND (command IS DISTINCT FROM 'merge' OR {other} <> '') GROUP BY {value}
    """


def _aside(work: Work, end: End) -> str:
    return parquet(work.clean, f"{end.entity_type.identifier}.set_aside.parquet")


def _dangles(work: Work, ends: Ends, end: End) -> str:
    """Whether a line only names what is not there: it replaces no stored link of this end, so it protects none.

    That is so where this end may have many links, and no row of the other end was set aside: were one, the
    reference might mean it, and a link to it might be among those stored.
    """
    other = ends.both[2 - end.number]
    counts = work.entity_types.get(other.entity_type.identifier)
    other_is_whole = counts is None or not (
        counts.null_keys or counts.unreadable_keys or work.count(_aside(work, other))
    )
    if end.end.collection and other_is_whole:
        return "(reason = 'unresolved_reference')"
    return "false"


def _protect(work: Work, ends: Ends) -> None:
    """Write whose stored links are kept: those of ``key1``, or, where it is NULL, those to ``key2``."""
    identifier, owner = ends.association.identifier, ends.owner
    first_dangles, second_dangles = (_dangles(work, ends, end) for end in ends.both)
    rows = [
        f"""SELECT key1, CAST(NULL AS VARCHAR) AS key2 FROM judged
            WHERE reason IS NOT NULL AND key1 IS NOT NULL AND NOT {first_dangles}""",
        f"""SELECT NULL, key2 FROM judged WHERE reason IS NOT NULL AND key2 IS NOT NULL
            AND (key1 IS NULL OR reason <> 'unresolved_reference') AND NOT {second_dangles}""",
    ]
    if owner is not None:
        shown = "key, NULL" if owner.number == 1 else "NULL, key"
        rows.append(f"SELECT {shown} FROM {_aside(work, owner)}")
    work.copy(f"SELECT DISTINCT * FROM ({' UNION ALL '.join(rows)}) ORDER BY ALL", f"{identifier}.set_aside.parquet")
    first, second = (literal(end.end.column) for end in ends.both)
    # The end to look at: the command, the first end where that one is not found once, else the second.
    work.copy_csv(
        f"""
        SELECT {literal(f"raw/{ends.association.connection_table}.csv")} AS file, position + 2 AS line,
            coalesce(key1, raw1) AS key,
            CASE blamed WHEN 0 THEN '{COMMAND}' WHEN 1 THEN {first} ELSE {second} END AS "column",
            left(CASE blamed WHEN 1 THEN raw1 WHEN 2 THEN raw2 END, {SHOWN}) AS value,
            reason
        FROM (
            SELECT *, CASE WHEN command IS NULL THEN 0 WHEN key1 IS NULL OR times1 > 1 THEN 1 ELSE 2 END AS blamed
            FROM judged WHERE reason IS NOT NULL
        ) ORDER BY line
        """,
        f"{identifier}.rejects.csv",
    )


def _write(work: Work, ends: Ends, state: TableState, stored: str) -> int:
    """Write the clean pairs, sorted; of a table of changes, with the command that is to be done."""
    identifier = ends.association.identifier
    if state.command and ends.owner:
        pairs = _owned_changes(ends.owner, stored)
    elif state.command:
        pairs = """
            SELECT key1, key2,
                CASE WHEN arg_max(command, position) = 'delete' THEN 'delete' ELSE 'insert' END AS command
            FROM judged WHERE reason IS NULL AND key1 IS NOT NULL AND key2 IS NOT NULL GROUP BY key1, key2
        """
    else:
        pairs = "SELECT DISTINCT key1, key2 FROM judged WHERE reason IS NULL"
    clean = work.copy(f"SELECT * FROM ({pairs}) ORDER BY key1, key2", f"{identifier}.parquet")
    work.copy_csv(f"SELECT * FROM {parquet(work.clean, f'{identifier}.parquet')}", f"{identifier}.sorted.csv")
    return clean


def _owned_changes(owner: End, stored: str) -> str:
    """The links that an owner's last line gives, and the end of those that it had before."""
    key, touched = f"key{owner.number}", _touching(owner, f"any_value(key{owner.number})")
    return f"""
        WITH given AS (SELECT DISTINCT key1, key2 FROM judged WHERE reason IS NULL)
        SELECT key1, key2, 'insert' AS command FROM given
        UNION ALL
        SELECT key1, key2, 'delete' FROM {stored} s
        WHERE {key} IN (SELECT * FROM ({touched}))
          AND {key} NOT IN (SELECT {key} FROM judged WHERE reason IS NOT NULL AND {key} IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM given g WHERE g.key1 = s.key1 AND g.key2 = s.key2)
    """


def _counts(work: Work, ends: Ends, state: TableState, clean: int, stored: int) -> AssociationCounts:
    row = work.connection.execute(
        "SELECT count(*), count(reason), count(*) FILTER (reason = 'unparsable') FROM judged"
    ).fetchone()
    exported, rejected, unreadable = row or (0, 0, 0)
    complete, reason = state.complete, None if state.complete else state.reason
    owner_counts = work.entity_types.get(ends.owner.entity_type.identifier) if ends.owner else None
    if owner_counts:
        complete, reason = owner_counts.complete, owner_counts.reason
        unreadable += owner_counts.unreadable_keys
    elif complete and stored and not clean and not state.command:
        complete, reason = False, "no usable line" if exported else "empty export"
    return AssociationCounts(
        exported=exported,
        clean=clean,
        rejected=rejected,
        complete=complete,
        command=state.command,
        stored=stored,
        unreadable_keys=unreadable,
        reason=reason,
    )
