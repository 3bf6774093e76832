"""What the steps of one snapshot share: an engine, the run, its connector, and what is known of each table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.model.configuration import Connector, EntityType
from include.snapshot.errors import PreparationError
from include.snapshot.preparation import EntityCounts
from include.snapshot.profile import TableProfile
from include.storage.engine import literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb


REJECT_COLUMNS = ("file", "line", "key", "column", "value", "reason")
"""Columns of every ``.rejects.csv``."""


def parquet(folder: Folder, file: str) -> str:
    """A Parquet file as a SQL relation."""
    return f"read_parquet({literal(folder.file(file))})"


@dataclass(frozen=True, slots=True)
class Work:
    """One run of one connector in one engine. ``entity_types`` and ``profiles`` hold what was prepared so far.

    ``read_at`` (UTC, without a zone) is when the run's first export began; ``run_id`` names the run in what
    is remembered of it.
    """

    connection: duckdb.DuckDBPyConnection
    connector: Connector
    run: Folder
    entity_types: dict[str, EntityCounts] = field(default_factory=dict)
    profiles: dict[str, TableProfile] = field(default_factory=dict)
    run_id: str = ""
    read_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(tzinfo=None))

    @property
    def clean(self) -> Folder:
        """The folder of the clean files."""
        return self.run.child("clean")

    def stored(self, identifier: str) -> str:
        """What is stored of an entity type or association, as a SQL relation.

        Raises:
            PreparationError: the run has no copy of it.
        """
        folder, file = self.run.child("base"), f"{identifier}.parquet"
        if not folder.exists(file):
            raise PreparationError(
                f"base/{file} is missing: export the repository's rows of {identifier} into the run first"
            )
        return parquet(folder, file)

    def remembered(self, entity_type: EntityType) -> str:
        """What is stored for this connector of what a synchronization remembers, as a SQL relation.

        Raises:
            PreparationError: the run has no copy of it.
        """
        connector = literal(self.connector.identifier)
        return f"(SELECT * FROM {self.stored(entity_type.identifier)} WHERE connector = {connector})"

    @property
    def first_seen(self) -> str:
        """The columns of something that this run sees for the first time, as SQL: ``since`` and ``run_id``."""
        return f"CAST({literal(self.read_at.isoformat())} AS TIMESTAMP), {literal(self.run_id)}"

    def count(self, relation: str) -> int:
        """Rows of a relation."""
        row = self.connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
        return int(row[0]) if row else 0

    def copy(self, query: str, file: str) -> int:
        """Write a query as Parquet; the number of rows."""
        row = self.connection.execute(f"COPY ({query}) TO {literal(self.clean.file(file))} (FORMAT parquet)").fetchone()
        return int(row[0]) if row else 0

    def copy_csv(self, query: str, file: str, folder: Folder | None = None) -> int:
        """Write a query as CSV in the form of the raw files: values quoted, NULL an empty field; the rows."""
        target = literal((folder or self.clean).file(file))
        row = self.connection.execute(f"COPY ({query}) TO {target} (FORMAT csv, HEADER, FORCE_QUOTE *)").fetchone()
        return int(row[0]) if row else 0
