"""A locked DuckDB over the files of one run: it reads ``base/``, writes ``changes/``, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from include.expressions import functions
from include.expressions.paths import EntityGraph
from include.model.resource_type import ResourceType
from include.policy import comparison, decisions
from include.policy.errors import PolicyError
from include.storage.engine import confine, engine, literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

AFFECTED_OWNER, AFFECTED_TARGET = "affected_owner.parquet", "affected_target.parquet"
OTHER_FINDINGS = "other_findings.parquet"
"""The owners and targets that an incremental evaluation is about, and the findings that stand of all others."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Of whom an evaluation is: of all owners, or of those whom changes concern.

    ``reason`` says why it is complete; ``base`` is the folder of the run that holds what is stored. An incremental
    one is told when time alone may change the outcome of each resource type next: it does not see all owners.
    """

    mode: Literal["complete", "incremental"] = "complete"
    reason: str | None = None
    base: str = "base"
    next_change_at: Mapping[str, datetime | None] = field(default_factory=dict)


COMPLETE = Extent()


@dataclass(frozen=True, slots=True)
class Workspace:
    """The connection, and how the stored rows of the repository are called in it.

    In an incremental one ``base`` holds the ids of the owners and targets to evaluate, too.
    """

    connection: duckdb.DuckDBPyConnection
    base: Folder
    graph: EntityGraph
    is_incremental: bool = False

    def owners(self, resource_type: ResourceType) -> str:
        """The SQL relation of the owners to evaluate."""
        chosen = f"SELECT owner_id FROM {{}} WHERE resource_type = {literal(resource_type.identifier)}"
        return self._chosen(resource_type.source_entity_type, AFFECTED_OWNER, chosen)

    def targets(self, resource_type: ResourceType) -> str:
        """The SQL relation of the targets to evaluate."""
        chosen = f"SELECT target_id FROM {{}} WHERE entity_type = {literal(resource_type.target_entity_type)}"
        return self._chosen(resource_type.target_entity_type, AFFECTED_TARGET, chosen)

    def _chosen(self, entity_type: str, file: str, chosen: str) -> str:
        rows = self.relation(entity_type)
        if not self.is_incremental:
            return rows
        return f"(FROM {rows} WHERE resource_id IN ({chosen.format(f'read_parquet({literal(self.base.file(file))})')}))"

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

    def count(self, relation: str) -> int:
        """The number of rows of a relation."""
        ((count,),) = self.rows(f"SELECT count(*) FROM {relation}")
        return int(count)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        return self.connection.execute(query).fetchall()


@contextmanager
def workspace(
    run: Folder, graph: EntityGraph, evaluated_at: datetime, extent: Extent = COMPLETE
) -> Iterator[Workspace]:
    """Open the workspace of a run.

    Expressions come from configuration files. The allow-list of functions keeps them from reading
    anything; should one slip through, this DuckDB still cannot leave the two folders or be reconfigured.
    """
    base, changes = run.child(extent.base), run.child("changes")
    changes.make()
    with engine(run) as connection:
        functions.install(connection, evaluated_at)
        for function in (*decisions.FUNCTIONS, *comparison.FUNCTIONS):
            connection.execute(function)
        confine(connection, base, changes)
        yield Workspace(connection, base, graph, extent.mode == "incremental")


@contextmanager
def whole_file(folder: Folder, file: str) -> Iterator[str]:
    """The path to write a file under; it gets its name only when the block ends without an error."""
    beside = f"{file}.part"
    folder.remove(beside)
    yield folder.file(beside)
    folder.filesystem.mv(f"{folder.path}/{beside}", f"{folder.path}/{file}")
