"""A locked DuckDB over the files of one run: it reads ``base/``, writes ``changes/``, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.expressions import functions
from include.expressions.paths import EntityGraph
from include.policy import comparison, decisions
from include.policy.errors import PolicyError
from include.storage.engine import confine, engine, literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Workspace:
    """The connection, and how the stored rows of the repository are called in it."""

    connection: duckdb.DuckDBPyConnection
    base: Folder
    graph: EntityGraph

    def relation(self, identifier: str) -> str:
        """The SQL relation of an entity type or association as the repository holds it.

        Raises:
            PolicyError: it was not exported into the run.
        """
        file = f"{identifier}.parquet"
        if not self.base.exists(file):
            raise PolicyError(f"base/{file} is missing in {self.base.url}: export the repository before evaluating")
        return f"read_parquet({literal(self.base.file(file))})"

    def execute(self, *statements: str) -> None:
        """Run statements for their effect."""
        for statement in statements:
            self.connection.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        return self.connection.execute(query).fetchall()


@contextmanager
def workspace(run: Folder, graph: EntityGraph, evaluated_at: datetime) -> Iterator[Workspace]:
    """Open the workspace of a run.

    Expressions come from configuration files. The allow-list of functions keeps them from reading
    anything; should one slip through, this DuckDB still cannot leave the two folders or be reconfigured.
    """
    base, changes = run.child("base"), run.child("changes")
    changes.make()
    with engine(run) as connection:
        functions.install(connection, evaluated_at)
        for function in (*decisions.FUNCTIONS, *comparison.FUNCTIONS):
            connection.execute(function)
        confine(connection, base, changes)
        yield Workspace(connection, base, graph)


@contextmanager
def whole_file(folder: Folder, file: str) -> Iterator[str]:
    """The path to write a file under; it gets its name only when the block ends without an error."""
    beside = f"{file}.part"
    folder.remove(beside)
    yield folder.file(beside)
    folder.filesystem.mv(f"{folder.path}/{beside}", f"{folder.path}/{file}")
