"""The data of the benchmarks: rows of ten text columns, or pairs of a link, and the same with changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb

ROWS = 1_000_000
UPDATED_EVERY, INSERTED_EVERY, DELETED_EVERY = 100, 200, 200
"""Of the changed rows: one in so many."""
GROUPS_OF_A_PERSON = 10
COLUMNS = tuple(f"c{number}" for number in range(1, 10))
KEY = "id"

CONNECTOR = """
identifier: Bench
thresholds:
  maximum_inserted_lines: 0
  maximum_updated_lines: 0
  maximum_deleted_lines: 0
connections:
  - {{identifier: People, package: csv, settings: {{path: people.csv}}}}
entity_types:
  - identifier: Bench_Person
    connection_table: People
    properties:
      - {{identifier: id, primary_key: true}}
{properties}
"""


LINKED_CONNECTOR = """
identifier: Bench
thresholds: {maximum_link_inserted_lines: 0, maximum_link_deleted_lines: 0}
connections:
  - {identifier: People, package: csv, settings: {path: people.csv}}
  - {identifier: Groups, package: csv, settings: {path: groups.csv}}
  - {identifier: Members, package: csv, settings: {path: members.csv}}
entity_types:
  - {identifier: Bench_Person, connection_table: People, properties: [{identifier: id, primary_key: true}]}
  - {identifier: Bench_Group, connection_table: Groups, properties: [{identifier: id, primary_key: true}]}
associations:
  - identifier: Bench_Member
    connection_table: Members
    end1: {entity_type: Bench_Group, navigation: members, collection: true, column: group}
    end2: {entity_type: Bench_Person, navigation: groups, collection: true, column: person}
"""


def write_configuration(folder: Path, *, linked: bool = False) -> None:
    """The connector that the rows, or the pairs, belong to."""
    folder.mkdir(parents=True)
    properties = "\n".join(f"      - {{identifier: {column}}}" for column in COLUMNS)
    text = LINKED_CONNECTOR if linked else CONNECTOR.format(properties=properties)
    (folder / "bench.yaml").write_text(text)


def _rows(count: int) -> str:
    values = ", ".join(
        f"left(md5({number} || '-' || i), {8 + number}) AS {column}" for number, column in enumerate(COLUMNS)
    )
    return f"SELECT printf('E%08d', i) AS {KEY}, {values} FROM range({count}) t(i)"


def _changed_rows(count: int) -> str:
    """Every hundredth row updated in one column, the last rows gone, as many new ones."""
    rest = ", ".join(COLUMNS[1:])
    return f"""
        SELECT {KEY}, CASE WHEN i % {UPDATED_EVERY} = 0 THEN 'changed ' || c1 ELSE c1 END AS c1, {rest}
        FROM (SELECT CAST(substr({KEY}, 2) AS BIGINT) AS i, * FROM ({_rows(count)}))
        WHERE i < {count - count // DELETED_EVERY}
        UNION ALL
        SELECT printf('N%08d', i), {", ".join(["left(md5('new' || i), 12)"] * len(COLUMNS))}
        FROM range({count // INSERTED_EVERY}) t(i)
    """


def write_raw(folder: Path, *, changed: bool, rows: int = ROWS) -> None:
    """One raw export as the csv connector would have written it, and the same rows as Parquet for the peers."""
    query = _changed_rows(rows) if changed else _rows(rows)
    write_table(folder, "People", query)
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query} ORDER BY {KEY}) TO '{folder}/rows.parquet' (FORMAT parquet)")


def write_linked_raw(folder: Path, *, changed: bool, links: int) -> None:
    """Raw exports of people, groups and ``links`` memberships; changed: one in a hundred is another one."""
    people, groups = links // GROUPS_OF_A_PERSON, max(links // 1000, 2 * GROUPS_OF_A_PERSON)
    moved = f"CASE WHEN (p + g) % {UPDATED_EVERY} = 0 THEN {GROUPS_OF_A_PERSON} ELSE 0 END" if changed else "0"
    write_table(folder, "People", f"SELECT printf('E%08d', i) AS id FROM range({people}) t(i)")
    write_table(folder, "Groups", f"SELECT printf('G%06d', i) AS id FROM range({groups}) t(i)")
    write_table(
        folder,
        "Members",
        f"""SELECT printf('G%06d', (p + g + {moved}) % {groups}) AS "group", printf('E%08d', p) AS person
            FROM range({people}) a(p), range({GROUPS_OF_A_PERSON}) b(g)""",
    )


def write_table(folder: Path, table: str, query: str) -> None:
    """One raw table with its report."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        target = f"'{folder}/raw/{table}.csv' (HEADER, FORCE_QUOTE *)"
        [(count,)] = connection.execute(f"COPY ({query}) TO {target}").fetchall()
    report = {
        "connection": table,
        "started_at": datetime.now(UTC).isoformat(),
        "cookie": None,
        "fallback": None,
        "tables": [
            {"table": table, "rows": count, "complete": True, "expected": None, "command": False, "reason": None}
        ],
    }
    (folder / "raw" / f"{table}.report.json").write_text(json.dumps(report))
