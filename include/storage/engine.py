"""A DuckDB that works within a memory limit, spills to disk, and reads the storage's file system."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "ROLLCALL_DUCKDB_MEMORY"
DEFAULT_MEMORY_LIMIT = "1GB"


@contextmanager
def engine(*folders: Folder) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that can read and write the given folders.

    Its memory limit is ``ROLLCALL_DUCKDB_MEMORY`` (default 1GB); beyond it, DuckDB spills to a
    temporary folder that goes away with the connection.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="rollcall-duckdb-") as spill:
        connection = duckdb.connect(
            config={
                "memory_limit": os.environ.get(MEMORY_LIMIT, DEFAULT_MEMORY_LIMIT),
                "temp_directory": spill,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            remote = {id(folder.filesystem): folder.filesystem for folder in folders if not folder.is_local}
            for filesystem in remote.values():
                connection.register_filesystem(filesystem)
            yield connection
        finally:
            connection.close()


def confine(connection: duckdb.DuckDBPyConnection, *folders: Folder) -> None:
    """Let a DuckDB read and write nothing but these folders, for good: its settings are locked."""
    allowed = ", ".join(literal(folder.file("")) for folder in folders)
    connection.execute(f"SET allowed_directories = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def literal(text: str) -> str:
    """Text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def name(identifier: str) -> str:
    """An identifier quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'
