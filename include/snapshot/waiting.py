"""The waiting room: pairs whose end is not there yet, tried again by every run (engine.md 7, item 10).

A pair waits by the values of its ends' keys, as the source says them. A table that says all of its pairs
says again which of them lack an end; a table of changes does not, so what it leaves alone is recalled.
A link whose end goes is recalled too: its source still says it until it says otherwise, and so the link
returns when its end does.
"""

from __future__ import annotations

from include.model.configuration import Association
from include.model.remembered import WAITING_LINK
from include.snapshot.ends import End, Ends
from include.snapshot.known import keys_by_value, remaining_rows, spared_keys
from include.snapshot.preparation import AssociationCounts
from include.snapshot.work import Work, parquet
from include.storage.engine import literal, name


def waiting_pairs(work: Work, association: Association) -> str:
    """The pairs of an association that waited before this run, as a SQL relation."""
    identifier = literal(association.identifier)
    return f"(SELECT * FROM {work.remembered(WAITING_LINK)} WHERE association = {identifier})"


def recall_pairs(work: Work, ends: Ends, counts: AssociationCounts, touched: str | None) -> None:
    """Fill ``recalled``: pairs of earlier runs that still hold, with their ends' keys and why they still wait.

    ``reason`` is NULL where both ends are there now: those are links. The tables ``resolved`` and
    ``judged`` hold the lines of this run.

    Args:
        work: the run.
        ends: the association.
        counts: what was made of its lines; where they are not all of its pairs, those they leave alone hold.
        touched: of an owner, a query of the values whose pairs are replaced; None for a table of pairs.
    """
    stays = counts.command or not counts.deletions
    work.connection.execute("CREATE OR REPLACE TEMP TABLE held (value1 VARCHAR, value2 VARCHAR)")
    if condition := _holding(work, ends, counts, touched, stays=stays):
        work.connection.execute(f"""
            INSERT INTO held
            SELECT DISTINCT c.value1, c.value2
            FROM (SELECT value1, value2 FROM {waiting_pairs(work, ends.association)}
                  UNION ALL {_ended_links(work, ends)}) c
            WHERE {condition}
        """)
    known1, known2 = (
        keys_by_value(work, end.entity_type, end.key, f"SELECT value{end.number} FROM held") for end in ends.both
    )
    work.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE recalled AS
        WITH met AS (
            SELECT c.*, k1.key AS key1, k2.key AS key2, greatest(k1.times, k2.times) AS times
            FROM held c LEFT JOIN {known1} k1 ON k1.value = c.value1 LEFT JOIN {known2} k2 ON k2.value = c.value2
        )
        SELECT value1, value2, key1, key2, CASE
            WHEN key1 IS NULL OR key2 IS NULL THEN 'unresolved_reference'
            WHEN times > 1 THEN 'ambiguous_reference'
            {" ".join(_crowd(end) for end in ends.both if not end.end.collection)}
        END AS reason
        FROM met
    """)


def write_waiting(work: Work, ends: Ends) -> int:
    """Write ``<association>.waiting.parquet``: the pairs that wait from now on, as rows of ``WAITING_LINK``.

    Returns:
        How many there are.
    """
    association = ends.association.identifier
    columns = ", ".join(name(item.identifier) for item in WAITING_LINK.properties)
    return work.copy(
        f"""
        WITH waits AS (
            SELECT value1, value2, min(reason) AS reason FROM (
                SELECT value1, value2, reason FROM judged WHERE reason = 'unresolved_reference'
                UNION ALL SELECT value1, value2, reason FROM recalled WHERE reason IS NOT NULL
            ) GROUP BY value1, value2
        ),
        rows AS (
            SELECT sha256({literal(association)} || '|' || length(value1) || '|' || value1 || '|' || value2) AS link,
                {literal(work.connector.identifier)} AS connector, {literal(association)} AS association,
                value1, value2, waits.reason,
                coalesce(before.since, first.since) AS since, coalesce(before.run_id, first.run_id) AS run_id
            FROM waits LEFT JOIN {waiting_pairs(work, ends.association)} before USING (value1, value2),
                (SELECT {work.first_seen}) AS first(since, run_id)
        )
        SELECT {columns} FROM rows ORDER BY link
        """,
        f"{association}.waiting.parquet",
    )


def _holding(work: Work, ends: Ends, counts: AssociationCounts, touched: str | None, *, stays: bool) -> str | None:
    """The condition by which a pair ``c`` of an earlier run still holds; None where none does."""
    if ends.owner is not None:
        value = f"c.value{ends.owner.number}"
        as_it_was = f"{value} IN ({_spared_values(work, ends.owner)})"
        return f"({as_it_was} OR {value} NOT IN ({touched}))" if stays else as_it_was
    missing = [] if counts.command else [end for end in ends.both if _missing(work, end)]
    if not stays and not missing:
        return None
    given = "EXISTS (SELECT 1 FROM resolved r WHERE r.value1 = c.value1 AND r.value2 = c.value2)"
    conditions = [f"NOT {given}"]
    if not stays:
        kept = (f"c.value{end.number} IN ({_spared_values(work, end, missing_only=True)})" for end in missing)
        conditions.append(f"({' OR '.join(kept)})")
    conditions += [
        f"""c.value{end.number} NOT IN (
            SELECT value{end.number} FROM judged
            WHERE command IS DISTINCT FROM 'delete' AND value{end.number} IS NOT NULL)"""
        for end in ends.single
    ]
    return " AND ".join(conditions)


def _missing(work: Work, end: End) -> int:
    counts = work.entity_types.get(end.entity_type.identifier)
    return counts.missing if counts else 0


def missing_keys(work: Work, end: End) -> str:
    """The keys of the rows of an end that are missing and kept, as a SQL relation of ``key``."""
    return parquet(work.clean, f"{end.entity_type.identifier}.missing.parquet")


def _spared_values(work: Work, end: End, *, missing_only: bool = False) -> str:
    """A query of what an association calls the stored rows that stay as they were."""
    spared = missing_keys(work, end) if missing_only else spared_keys(work, end.entity_type)
    key, primary = name(end.key.identifier), name(end.entity_type.primary_key.identifier)
    return f"""
        SELECT CAST({key} AS VARCHAR) FROM {work.stored(end.entity_type.identifier)}
        WHERE {key} IS NOT NULL AND CAST({primary} AS VARCHAR) IN (SELECT key FROM {spared})
    """


def _ended_links(work: Work, ends: Ends) -> str:
    """A query of the stored links that lose an end, by the values of their ends.

    A link goes with its owner, whose line said it. A single link that a waiting pair was to replace is
    no longer what the source says.
    """
    gone = {end.number: f"s.key{end.number} NOT IN ({_remaining(work, end)})" for end in ends.both}
    conditions = [f"({' OR '.join(gone.values())})"]
    if ends.owner is not None:
        conditions.append(f"NOT ({gone[ends.owner.number]})")
    waiting = waiting_pairs(work, ends.association)
    conditions += [f"value{end.number} NOT IN (SELECT value{end.number} FROM {waiting})" for end in ends.single]
    joins, values = [], []
    for end in ends.both:
        if end.key.primary_key:
            values.append(f"s.key{end.number} AS value{end.number}")
        else:
            joins.append(f"JOIN {_values_by_key(work, end)} v{end.number} ON v{end.number}.key = s.key{end.number}")
            values.append(f"v{end.number}.value AS value{end.number}")
    return f"""
        SELECT {", ".join(values)} FROM {work.stored(ends.association.identifier)} s {" ".join(joins)}
        WHERE {" AND ".join(conditions)}
    """


def _remaining(work: Work, end: End) -> str:
    primary = end.entity_type.primary_key.identifier
    return f"SELECT CAST({name(primary)} AS VARCHAR) FROM {remaining_rows(work, end.entity_type, [primary])}"


def _values_by_key(work: Work, end: End) -> str:
    """What the association's lines call each row: as it is after this run, or was before it went."""
    primary, key = end.entity_type.primary_key.identifier, end.key.identifier
    shown = f"CAST({name(primary)} AS VARCHAR) AS key, CAST({name(key)} AS VARCHAR) AS value"
    after = remaining_rows(work, end.entity_type, [primary, key])
    return f"""(
        SELECT {shown} FROM {after} WHERE {name(key)} IS NOT NULL
        UNION ALL
        SELECT {shown} FROM {work.stored(end.entity_type.identifier)}
        WHERE {name(key)} IS NOT NULL AND CAST({name(primary)} AS VARCHAR) NOT IN ({_remaining(work, end)})
    )"""


def _crowd(end: End) -> str:
    """Why a pair cannot become the single link of an end: a line of this run, or another pair, gives one too."""
    key, other = f"key{end.number}", f"key{3 - end.number}"
    return f"""
        WHEN {key} IN (SELECT {key} FROM judged WHERE reason IS NULL AND command <> 'delete' AND {key} IS NOT NULL)
            OR {key} IN (SELECT {key} FROM met WHERE {key} IS NOT NULL AND {other} IS NOT NULL
                         GROUP BY {key} HAVING count(DISTINCT {other}) > 1)
        THEN 'too_many_links'"""
