"""The bare comparison: a full outer join of two Parquet files in DuckDB, changes written to a third."""

from __future__ import annotations

import sys

import duckdb

from benchmarks.data import COLUMNS, KEY
from benchmarks.process import measure_here


def main() -> None:
    """Compare ``before`` with ``after`` and write what differs."""
    before, after, output = sys.argv[1:]
    differs = " OR ".join(f"b.{column} IS DISTINCT FROM a.{column}" for column in COLUMNS)
    shown = ", ".join(f"b.{column} AS old_{column}, a.{column} AS new_{column}" for column in COLUMNS)

    def piece() -> None:
        with duckdb.connect() as connection:
            connection.execute(
                f"""
                COPY (
                    SELECT
                        CASE WHEN b.{KEY} IS NULL THEN 'insert' WHEN a.{KEY} IS NULL THEN 'delete' ELSE 'update' END
                            AS command,
                        coalesce(a.{KEY}, b.{KEY}) AS key, {shown}
                    FROM read_parquet('{before}') b FULL JOIN read_parquet('{after}') a ON b.{KEY} = a.{KEY}
                    WHERE b.{KEY} IS NULL OR a.{KEY} IS NULL OR {differs}
                    ORDER BY key
                ) TO '{output}' (FORMAT parquet)
                """
            )

    measure_here(piece)


if __name__ == "__main__":
    main()
