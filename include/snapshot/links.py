"""One association: the ends of its pairs resolved to primary keys, the bad ones set aside (engine.md 1.5, 1.6, 2.5).

An association's lines may stand in a table of their own (one line per pair), or in the table of one of its
entity types (a person's line names the organization): that end is then the *owner* of the line.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from include.model.configuration import Association
from include.snapshot.delta import EMPTY_IT, command
from include.snapshot.ends import End, Ends
from include.snapshot.entities import SHOWN
from include.snapshot.known import keys_by_value, spared_keys
from include.snapshot.preparation import AssociationCounts
from include.snapshot.raw import COMMAND, RawTable, TableState
from include.snapshot.values import parsed
from include.snapshot.waiting import missing_keys, recall_pairs, waiting_pairs, write_waiting
from include.snapshot.work import Work, parquet
from include.storage.engine import literal

if TYPE_CHECKING:
    import duckdb


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
    counts = _counts(work, ends, state, work.count(stored))
    recall_pairs(work, ends, counts, _touched_values(ends.owner, state) if ends.owner else None)
    _protect(work, ends, state, stored)
    clean = _write(work, ends, state, stored)
    return replace(counts, clean=clean, waiting=write_waiting(work, ends))


def _resolve(work: Work, ends: Ends) -> None:
    """Fill ``resolved``: every pair with the primary keys of its ends, NULL where there is no such row."""
    known1, known2 = (keys_by_value(work, end.entity_type, end.key) for end in ends.both)
    value1, value2 = (f"CAST({parsed(end.key, f'raw{end.number}')} AS VARCHAR)" for end in ends.both)
    work.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE resolved AS
        WITH pairs AS (SELECT *, {value1} AS value1, {value2} AS value2 FROM {ends.pairs})
        SELECT pairs.*, k1.key AS key1, k1.times AS times1, k2.key AS key2, k2.times AS times2
        FROM pairs
        LEFT JOIN {known1} k1 ON k1.value = pairs.value1
        LEFT JOIN {known2} k2 ON k2.value = pairs.value2
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
        WITH links AS ({_links(owner, state)})
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


def _links(owner: End | None, state: TableState) -> str:
    """The lines that hold a link. Of several changes of an owner, or of a pair, the last one counts."""
    holding = "SELECT * FROM resolved WHERE raw1 <> '' AND raw2 <> ''"
    if not state.command:
        return holding
    if owner is None:
        return f"""{holding} AND position IN (
            SELECT max(position) FROM resolved GROUP BY coalesce(value1, raw1), coalesce(value2, raw2))"""
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


def _touched_values(owner: End, state: TableState) -> str:
    """A query of the owners whose links the lines replace, by value."""
    value = f"value{owner.number}"
    return _touching(owner, value) if state.command else f"SELECT {value} FROM judged WHERE {value} IS NOT NULL"


def _aside(work: Work, end: End) -> str:
    return parquet(work.clean, f"{end.entity_type.identifier}.set_aside.parquet")


def _kept_by_unresolved(work: Work, end: End, other: End, stored: str) -> list[str]:
    """Queries of what the unresolved references of one end keep: ``key1`` and ``key2``, one of them or both.

    An end that takes one link keeps it until its reference resolves. One that takes many keeps a link only
    while the reference may mean its other end: that is a row which was set aside, by a key that may be
    among what could not be read. The primary key of a row set aside is known, so a reference by it does
    not mean that row.
    """
    unresolved = f"judged WHERE reason = 'unresolved_reference' AND key{end.number} IS NOT NULL"
    counts = work.entity_types.get(other.entity_type.identifier)
    if not end.end.collection or (counts and counts.unreadable_keys and not other.key.primary_key):
        return [f"SELECT {_SHOWN_KEY[end.number].format(key=f'key{end.number}')} FROM {unresolved}"]
    if counts is None or other.key.primary_key:
        return []
    return [
        f"""SELECT s.key1, s.key2 FROM {stored} s WHERE s.key{end.number} IN (SELECT key{end.number} FROM {unresolved})
            AND s.key{other.number} IN (SELECT key FROM {_aside(work, other)})"""
    ]


_SHOWN_KEY = {1: "{key} AS key1, CAST(NULL AS VARCHAR) AS key2", 2: "CAST(NULL AS VARCHAR) AS key1, {key} AS key2"}


def _protect(work: Work, ends: Ends, state: TableState, stored: str) -> None:
    """Write which stored links are kept: those of ``key1``, those to ``key2``, or, with both, that pair."""
    identifier, owner = ends.association.identifier, ends.owner
    rows = [
        f"""SELECT {_SHOWN_KEY[number].format(key=f"key{number}")} FROM judged
            WHERE reason NOT IN ('unresolved_reference', 'row_set_aside') AND key{number} IS NOT NULL"""
        for number in (1, 2)
    ]
    rows += _kept_by_unresolved(work, ends.first, ends.second, stored)
    rows += _kept_by_unresolved(work, ends.second, ends.first, stored)
    # A row that stays as it was keeps its links: those that its own line says, or that a table of pairs lacks with it.
    if owner is not None:
        rows.append(f"SELECT {_SHOWN_KEY[owner.number].format(key='key')} FROM {spared_keys(work, owner.entity_type)}")
    elif not state.command:
        rows += [
            f"SELECT {_SHOWN_KEY[end.number].format(key='key')} FROM {missing_keys(work, end)}"
            for end in ends.both
            if end.entity_type.identifier in work.entity_types
        ]
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
        pairs = _pair_changes(work, ends, stored)
    else:
        pairs = _GIVEN
    clean = work.copy(f"SELECT * FROM ({pairs}) ORDER BY key1, key2", f"{identifier}.parquet")
    work.copy_csv(f"SELECT * FROM {parquet(work.clean, f'{identifier}.parquet')}", f"{identifier}.sorted.csv")
    return clean


_GIVEN = """
    SELECT key1, key2 FROM judged WHERE reason IS NULL
    UNION SELECT key1, key2 FROM recalled WHERE reason IS NULL"""
"""The links that there are now: those of lines, and those of pairs that waited."""


def _pair_changes(work: Work, ends: Ends, stored: str) -> str:
    """The links that the lines give and take; a pair that waited and is taken takes the link that it replaced along."""
    replaced = "".join(
        f"""
        UNION ALL
        SELECT s.key1, s.key2, 'delete' FROM {stored} s WHERE s.key{end.number} IN (
            SELECT j.key{end.number} FROM judged j JOIN {waiting_pairs(work, ends.association)} w USING (value1, value2)
            WHERE j.command = 'delete')"""
        for end in ends.single
    )
    return f"""
        WITH given AS (
            SELECT key1, key2 FROM judged WHERE reason IS NULL AND command <> 'delete'
            UNION SELECT key1, key2 FROM recalled WHERE reason IS NULL
        )
        SELECT key1, key2, 'insert' AS command FROM given
        UNION
        SELECT key1, key2, command FROM (
            SELECT key1, key2, command FROM judged
            WHERE command = 'delete' AND key1 IS NOT NULL AND key2 IS NOT NULL {replaced}
        ) taken WHERE NOT EXISTS (SELECT 1 FROM given g WHERE g.key1 = taken.key1 AND g.key2 = taken.key2)
    """


def _owned_changes(owner: End, stored: str) -> str:
    """The links that an owner's last line gives, and the end of those that it had before."""
    key, touched = f"key{owner.number}", _touching(owner, f"any_value(key{owner.number})")
    return f"""
        WITH given AS ({_GIVEN})
        SELECT key1, key2, 'insert' AS command FROM given
        UNION ALL
        SELECT key1, key2, 'delete' FROM {stored} s
        WHERE {key} IN (SELECT * FROM ({touched}))
          AND {key} NOT IN (SELECT {key} FROM judged WHERE reason IS NOT NULL AND {key} IS NOT NULL)
          AND NOT EXISTS (SELECT 1 FROM given g WHERE g.key1 = s.key1 AND g.key2 = s.key2)
    """


def _counts(work: Work, ends: Ends, state: TableState, stored: int) -> AssociationCounts:
    row = work.connection.execute(
        "SELECT count(*), count(reason), count(*) FILTER (reason = 'unparsable') FROM judged"
    ).fetchone()
    exported, rejected, unreadable = row or (0, 0, 0)
    complete, reason = state.complete, None if state.complete else state.reason
    owner_counts = work.entity_types.get(ends.owner.entity_type.identifier) if ends.owner else None
    if owner_counts:
        complete, reason = owner_counts.complete, owner_counts.reason
        unreadable += owner_counts.unreadable_keys
    elif complete and stored and exported == rejected and not state.command:
        complete, reason = False, "no usable line" if exported else "empty export"
    return AssociationCounts(
        exported=exported,
        rejected=rejected,
        complete=complete,
        command=state.command,
        stored=stored,
        unreadable_keys=unreadable,
        reason=reason,
    )
