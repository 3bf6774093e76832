"""dlt's SCD2 merge of the same rows: ``python -m benchmarks.dlt_peer PARQUET URL FOLDER``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.process import measure_here

BATCH = 100_000


def main() -> None:
    """Merge the rows of a Parquet file into the destination."""
    file, url, folder = sys.argv[1:]
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    import pyarrow.parquet
    from dlt.sources.helpers.transform import add_row_hash_to_table

    disposition: Any = {"disposition": "merge", "strategy": "scd2", "row_version_column_name": "row_hash"}

    @dlt.resource(name="person", write_disposition=disposition)
    def person() -> Iterator[Any]:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(BATCH):
            yield pyarrow.Table.from_batches([batch])

    destination = dlt.destinations.postgres(url) if url.startswith("postgresql") else dlt.destinations.sqlalchemy(url)
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=folder, destination=destination, dataset_name="main" if "sqlite" in url else "bench"
    )
    measure_here(lambda: pipeline.run(person().add_map(add_row_hash_to_table("row_hash"))).raise_on_failed_jobs())


if __name__ == "__main__":
    main()
