"""One entity type: its lines parsed, the bad ones set aside with their reasons, the clean ones sorted.

The steps are those of engine.md 2.4, with one addition: the key of every line that is set aside is kept,
so that what is stored under it is never read as missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.difference.commands import EMPTIED
from include.model.base import DUCKDB_TYPES
from include.model.configuration import EntityType, Property
from include.snapshot.delta import collapse
from include.snapshot.errors import PreparationError
from include.snapshot.preparation import EntityCounts
from include.snapshot.profile import measure
from include.snapshot.raw import COMMAND, RawTable
from include.snapshot.values import mistake, parsed
from include.snapshot.work import Work, parquet
from include.storage.engine import literal, name

if TYPE_CHECKING:
    import duckdb

SHOWN = 200
"""Characters of a rejected value that a report shows."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The raw lines of an entity type as the temporary view ``lines``.

    Its columns: ``position`` (0 is the first line after the header), ``key`` (the primary key as text, the
    raw text where it cannot be parsed), ``v0``, ``v1`` ... (the raw text of each property), and, of a table
    of changes, ``command``. ``columns`` holds the raw column of each property.
    """

    entity_type: EntityType
    raw: RawTable
    columns: tuple[str, ...]

    @property
    def key_value(self) -> str:
        """The view's column that holds the raw text of the primary key."""
        return f"v{self.entity_type.mapped_properties.index(self.entity_type.primary_key)}"

    @property
    def values(self) -> list[str]:
        """The view's columns that hold raw text."""
        return [f"v{position}" for position in range(len(self.columns))]

    @property
    def kept(self) -> str:
        """The raw columns that reports of whole lines show, under their own names, with the line first."""
        wanted = dict.fromkeys(self.columns)
        if self.raw.state.command:
            wanted[self.raw.column(COMMAND, "the changes")] = None
        shown = [f"r.{column} AS {name(self.raw.label(column))}" for column in wanted]
        return ", ".join(["l.position + 2 AS line", *shown])


def mapped_columns(entity_type: EntityType) -> dict[str, str]:
    """The raw columns that an entity type reads, each with what it is for."""
    return {
        item.source_column: f"property '{item.identifier}' of {entity_type.identifier}"
        for item in entity_type.mapped_properties
    }


def prepare_entity_type(work: Work, entity_type: EntityType, raw: RawTable) -> EntityCounts:
    """Write the clean files of one entity type, and what was set aside.

    Raises:
        PreparationError: a mapped column is missing, or a format is not one.
    """
    import duckdb

    connection, stored = work.connection, work.count(work.stored(entity_type.identifier))
    lines = _read_lines(connection, entity_type, raw)
    try:
        _find_duplicates(connection, lines)
        _find_mistakes(connection, lines)
    except duckdb.InvalidInputException as error:
        if "format specifier" not in str(error):
            raise
        raise PreparationError(
            f"{entity_type.identifier}: a datetime format is wrong: {str(error).splitlines()[0]}"
        ) from error
    _write_set_aside(work, lines)
    rows = _write_clean(work, lines)
    counts = _counts(connection, lines, rows, stored)
    work.profiles[entity_type.identifier] = measure(
        connection,
        entity_type,
        header=raw.header,
        columns=[raw.label(column) for column in lines.columns],
        mistakes=_mistakes(lines),
        trusted=counts.complete and not counts.command,
    )
    return counts


def _read_lines(connection: duckdb.DuckDBPyConnection, entity_type: EntityType, raw: RawTable) -> Lines:
    purposes = mapped_columns(entity_type)
    sources = [item.source_column for item in entity_type.mapped_properties]
    columns = tuple(raw.column(source, purposes[source]) for source in sources)
    lines = Lines(entity_type, raw, columns)
    key = raw.column(entity_type.primary_key.source_column, "the primary key")
    fields = [
        "rowid AS position",
        f"coalesce(CAST({parsed(entity_type.primary_key, key)} AS VARCHAR), {key}) AS key",
        *(f"{column} AS {value}" for column, value in zip(columns, lines.values, strict=True)),
    ]
    if raw.state.command:
        if entity_type.find(COMMAND) or entity_type.find(EMPTIED):
            raise PreparationError(
                f"{entity_type.identifier}: a table of changes cannot feed a property '{COMMAND}' or '{EMPTIED}'"
            )
        fields.append(f"{raw.column(COMMAND, 'the changes')} AS command")
    connection.execute(f"CREATE OR REPLACE TEMP VIEW lines AS SELECT {', '.join(fields)} FROM {raw.kept}")
    return lines


def _find_duplicates(connection: duckdb.DuckDBPyConnection, lines: Lines) -> None:
    """Fill ``duplicates`` (position, key, reason) and define ``candidates``: one line per key that is left."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW keyed AS SELECT * FROM lines WHERE {lines.key_value} <> ''")
    if lines.raw.state.command:
        collapse(connection, lines.values, keep=lines.key_value)
        connection.execute("""
            CREATE OR REPLACE TEMP TABLE duplicates AS
            SELECT position, key, 'superseded_line' AS reason
            FROM keyed WHERE position NOT IN (SELECT position FROM collapsed)
        """)
        connection.execute("CREATE OR REPLACE TEMP VIEW candidates AS SELECT * FROM collapsed")
        return
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE duplicates AS
        WITH twice AS (SELECT key FROM keyed GROUP BY key HAVING count(*) > 1),
        numbered AS (
            SELECT position, key,
                row_number() OVER (PARTITION BY key, {", ".join(lines.values)} ORDER BY position) AS nth
            FROM keyed WHERE key IN (SELECT key FROM twice)
        ),
        contradicting AS (SELECT key FROM numbered WHERE nth = 1 GROUP BY key HAVING count(*) > 1)
        SELECT position, key,
            CASE WHEN key IN (SELECT key FROM contradicting) THEN 'contradicting_lines' ELSE 'repeated_line' END
                AS reason
        FROM numbered
        WHERE nth > 1 OR key IN (SELECT key FROM contradicting)
    """)
    connection.execute("""
        CREATE OR REPLACE TEMP VIEW candidates AS
        SELECT * FROM keyed WHERE position NOT IN (SELECT position FROM duplicates)
    """)


def _mistakes(lines: Lines) -> dict[int, str]:
    """Why each property's text is no value, by position of the property; of a deletion, only the key matters."""
    found: dict[int, str] = {}
    for position, item in enumerate(lines.entity_type.mapped_properties):
        reason = mistake(item, f"v{position}")
        if reason and lines.raw.state.command and not item.primary_key:
            reason = f"CASE WHEN command <> 'delete' THEN {reason} END"
        if reason:
            found[position] = reason
    return found


def _find_mistakes(connection: duckdb.DuckDBPyConnection, lines: Lines) -> None:
    """Fill ``mistakes``: one row per value that is none, with position, key, column, value and reason."""
    reasons = _mistakes(lines)
    wrong = [f"({reason}) IS NOT NULL" for reason in reasons.values()]
    if lines.raw.state.command:
        wrong.append("command IS NULL")
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE suspects AS SELECT * FROM candidates WHERE {" OR ".join(wrong) or "false"}
    """)
    queries = ["SELECT position, key, '' AS column_name, '' AS value, '' AS reason FROM suspects WHERE false"]
    for position, reason in reasons.items():
        column = literal(lines.raw.label(lines.columns[position]))
        queries.append(f"SELECT position, key, {column}, v{position}, {reason} FROM suspects")
    if lines.raw.state.command:
        queries.append(
            f"SELECT position, key, '{COMMAND}', asked, 'unknown_command' FROM suspects WHERE command IS NULL"
        )
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE mistakes AS
        SELECT * FROM ({" UNION ALL ".join(queries)}) WHERE reason IS NOT NULL
    """)


def _write_set_aside(work: Work, lines: Lines) -> None:
    entity = lines.entity_type.identifier
    whole = f"SELECT {lines.kept} FROM lines l JOIN {lines.raw.relation} r ON r.rowid = l.position"
    work.copy_csv(
        f"{whole} WHERE l.{lines.key_value} IS NULL OR l.{lines.key_value} = '' ORDER BY line", f"{entity}.nullpk.csv"
    )
    work.copy_csv(
        f"SELECT w.*, d.reason FROM ({whole}) w JOIN duplicates d ON d.position + 2 = w.line ORDER BY w.line",
        f"{entity}.duplicates.csv",
    )
    work.copy_csv(
        f"""
        SELECT {literal(lines.raw.file)} AS file, position + 2 AS line, key, column_name AS "column",
            left(value, {SHOWN}) AS value, reason
        FROM mistakes ORDER BY line, "column"
        """,
        f"{entity}.rejects.csv",
    )
    work.copy(
        """
        SELECT key, min(reason) AS reason
        FROM (SELECT key, reason FROM mistakes
              UNION ALL SELECT key, reason FROM duplicates WHERE reason = 'contradicting_lines')
        GROUP BY key ORDER BY key
        """,
        f"{entity}.set_aside.parquet",
    )


def _write_clean(work: Work, lines: Lines) -> int:
    """Write the typed rows in order of their primary key, as Parquet and as CSV."""
    entity_type, changes = lines.entity_type, lines.raw.state.command
    fields = [
        f"{parsed(item, f'v{position}')} AS {name(item.identifier)}"
        for position, item in enumerate(entity_type.mapped_properties)
    ]
    shown = [_as_text(item) for item in entity_type.mapped_properties]
    if changes:
        fields += ["command", _emptied(entity_type.mapped_properties)]
        shown += ["command", EMPTIED]
    file = f"{entity_type.identifier}.parquet"
    written = work.copy(
        f"""
        SELECT {", ".join(fields)} FROM candidates WHERE position NOT IN (SELECT position FROM mistakes)
        ORDER BY {name(entity_type.primary_key.identifier)}
        """,
        file,
    )
    work.copy_csv(f"SELECT {', '.join(shown)} FROM {parquet(work.clean, file)}", f"{entity_type.identifier}.sorted.csv")
    return written


def _emptied(properties: tuple[Property, ...]) -> str:
    """The identifiers of the properties that a merge empties; ``emptied`` of a collapsed line names values."""
    names = ", ".join(
        f"CASE WHEN list_contains(emptied, 'v{position}') THEN {literal(item.identifier)} END"
        for position, item in enumerate(properties)
    )
    return f"list_filter([{names}], lambda identifier: identifier IS NOT NULL) AS {EMPTIED}"


def _as_text(item: Property) -> str:
    if DUCKDB_TYPES[item.type] == "BLOB":
        return f"base64({name(item.identifier)}) AS {name(item.identifier)}"
    return name(item.identifier)


def _counts(connection: duckdb.DuckDBPyConnection, lines: Lines, clean: int, stored: int) -> EntityCounts:
    state, key = lines.raw.state, lines.entity_type.primary_key
    row = connection.execute(f"""
        SELECT
            (SELECT count(*) FROM lines WHERE {lines.key_value} IS NULL OR {lines.key_value} = ''),
            (SELECT count(*) FROM duplicates),
            (SELECT count(*) FROM duplicates WHERE reason <> 'contradicting_lines'),
            (SELECT count(DISTINCT position) FROM mistakes),
            (SELECT count(*) FROM suspects WHERE {parsed(key, lines.key_value)} IS NULL)
    """).fetchone()
    null_keys, duplicates, repeated, rejected, unreadable = row or (0, 0, 0, 0, 0)
    empty = not clean and stored and not state.command
    return EntityCounts(
        exported=lines.raw.rows,
        clean=clean,
        null_keys=null_keys,
        duplicates=duplicates,
        rejected=rejected,
        filtered=lines.raw.filtered,
        complete=state.complete and not empty,
        command=state.command,
        repeated=repeated,
        unreadable_keys=unreadable,
        stored=stored,
        reason=_reason(state.complete, state.reason, exported=lines.raw.rows, empty=bool(empty)),
    )


def _reason(complete: bool, reported: str | None, *, exported: int, empty: bool) -> str | None:
    """Why a table is not complete."""
    if not complete:
        return reported or "the export did not reach the end of the table"
    if empty:
        return "no usable line" if exported else "empty export"
    return None
