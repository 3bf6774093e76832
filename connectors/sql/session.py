"""One reading session in a database: what the two ways in (SQLAlchemy, ODBC) have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from connectors.contract import ConnectionContext, Endpoint
from connectors.errors import ConfigurationError
from connectors.location import base_folder, existing_file
from connectors.sql.settings import SqlSettings

ROWS_PER_FETCH = 5_000
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query as they arrive: column names, and lists of at most ``ROWS_PER_FETCH`` rows."""

    columns: tuple[str, ...]
    batches: Iterator[Rows]


class Session(Protocol):
    """An open connection that reads."""

    def stream(self, sql: str) -> AbstractContextManager[Answer]:
        """Run a query and read its rows as they arrive. A block left early gives up the connection."""

    def quoted(self, name: str) -> str:
        """A table or column name as the database quotes it."""


def name_parts(name: str) -> list[str]:
    """The parts of a table name: ``dbo.users`` and ``"dbo"."users"`` are schema and table."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^."]+)', name)
    return [quoted.replace('""', '"') or plain for quoted, plain in found]


def sqlite_file(context: ConnectionContext, settings: SqlSettings) -> Path:
    """The SQLite file of a connection; one that is not there is refused, since drivers would make it.

    A file named in the settings stays under the connection's folder; one named in the Airflow
    Connection (schema, else host) may lie anywhere.

    Raises:
        ConfigurationError: no such file, or outside the folder.
    """
    if settings.database:
        return existing_file(base_folder(context), settings.database)
    named = context.endpoint.schema or context.endpoint.host
    if not named:
        raise ConfigurationError(f"connection '{context.identifier}' names no SQLite file: set 'database'")
    path = (context.folder / named).resolve()
    return existing_file(path.parent, path.name)


def driver_options(endpoint: Endpoint) -> dict[str, str]:
    """Options of the driver from the extra of the Airflow Connection; ``path`` is the base folder of files."""
    return {name: str(value) for name, value in endpoint.extra.items() if name != "path"}


def secrets(endpoint: Endpoint) -> tuple[str, ...]:
    """What must never show: the password, and every option that the Airflow Connection keeps."""
    return (
        endpoint.password or "",
        *(value for name, value in driver_options(endpoint).items() if "pass" in name.lower()),
    )
