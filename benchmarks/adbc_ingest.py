"""The bare ingest of a Parquet file's rows by ADBC: ``python -m benchmarks.adbc_ingest PARQUET URL``.

One transaction into one new table without a key, an index or a version column: the least that storing these
rows in that database can cost.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.process import measure_here

BATCH = 16_384


def main() -> None:
    """Ingest the file."""
    file, url = sys.argv[1:]

    def piece() -> None:
        import pyarrow
        import pyarrow.parquet

        rows = pyarrow.parquet.ParquetFile(file)
        reader = pyarrow.RecordBatchReader.from_batches(rows.schema_arrow, rows.iter_batches(BATCH))
        with _connect(url) as connection:
            with connection.cursor() as cursor:
                cursor.adbc_ingest("bare", reader, mode="create")
            connection.commit()

    measure_here(piece)


def _connect(url: str) -> Any:
    if url.startswith("sqlite"):
        import sqlite3

        from adbc_driver_sqlite import dbapi

        file = url.removeprefix("sqlite:///")
        # As a repository keeps its file, so that both pay for the same durability.
        sqlite3.connect(file).execute("PRAGMA journal_mode = WAL")
        return dbapi.connect(file)
    from adbc_driver_postgresql import dbapi as postgresql

    return postgresql.connect(url)


if __name__ == "__main__":
    main()
