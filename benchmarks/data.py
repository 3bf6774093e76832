"""The data of the load benchmark: a million rows of ten text columns, and the same with changes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb

ROWS = 1_000_000
UPDATES, INSERTS, DELETES = 10_000, 5_000, 5_000
COLUMNS = tuple(f"c{number}" for number in range(1, 10))
KEY = "id"

CONNECTOR = """
identifier: Bench
thresholds: {{maximum_inserted_lines: 0, max_percentage_inserted_lines: 100}}
connections:
  - {{identifier: People, package: csv, settings: {{path: people.csv}}}}
entity_types:
  - identifier: Bench_Person
    connection_table: People
    properties:
      - {{identifier: id, primary_key: true}}
{properties}
"""


def write_configuration(folder: Path) -> None:
    """The connector that the rows belong to."""
    folder.mkdir(parents=True)
    properties = "\n".join(f"      - {{identifier: {column}}}" for column in COLUMNS)
    (folder / "bench.yaml").write_text(CONNECTOR.format(properties=properties))


def _rows() -> str:
    values = ", ".join(
        f"left(md5({number} || '-' || i), {8 + number}) AS {column}" for number, column in enumerate(COLUMNS)
    )
    return f"SELECT printf('E%08d', i) AS {KEY}, {values} FROM range({ROWS}) t(i)"


def _changed_rows() -> str:
    """Every hundredth row updated in one column, the last rows gone, as many new ones."""
    step = ROWS // UPDATES
    rest = ", ".join(COLUMNS[1:])
    return f"""
        SELECT {KEY}, CASE WHEN i % {step} = 0 THEN 'changed ' || c1 ELSE c1 END AS c1, {rest}
        FROM (SELECT row_number() OVER () - 1 AS i, * FROM ({_rows()})) WHERE i < {ROWS - DELETES} AND i % {step} >= 0
        UNION ALL
        SELECT printf('N%08d', i), {", ".join(["left(md5('new' || i), 12)"] * len(COLUMNS))} FROM range({INSERTS}) t(i)
    """


def write_raw(folder: Path, *, changed: bool) -> None:
    """One raw export as the csv connector would have written it, and the same rows as Parquet for the peers."""
    (folder / "raw").mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows AS {_changed_rows() if changed else _rows()}")
        count = connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
        connection.execute(f"COPY rows TO '{folder}/raw/People.csv' (HEADER, FORCE_QUOTE *)")
        connection.execute(f"COPY (FROM rows ORDER BY {KEY}) TO '{folder}/rows.parquet' (FORMAT parquet)")
    report = {
        "connection": "People",
        "started_at": datetime.now(UTC).isoformat(),
        "cookie": None,
        "tables": [
            {"table": "People", "rows": count, "complete": True, "expected": None, "command": False, "reason": None}
        ],
    }
    (folder / "raw" / "People.report.json").write_text(json.dumps(report))
