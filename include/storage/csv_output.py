"""The rows of a query as a CSV file for people."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from include.storage.engine import literal

if TYPE_CHECKING:
    import duckdb


def copy_to_csv(connection: duckdb.DuckDBPyConnection, query: str, target: Path) -> int:
    """Write a query's rows to a file, which appears whole or not at all; the number of rows.

    Raises:
        NotADirectoryError: the folder of the file does not exist.
    """
    if not target.parent.is_dir():
        raise NotADirectoryError(f"{target}: the folder {target.parent} does not exist")
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        [(count,)] = connection.execute(
            f"COPY ({query}) TO {literal(str(part))} (FORMAT csv, HEADER, FORCE_QUOTE *)"
        ).fetchall()
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return int(count)
