"""What the repository holds, and what it held at the last evaluation, as relations of a DuckDB.

Both come from two folders: ``state/`` of the last complete evaluation, with all rows as they were, and
``versions/`` of this run, with every version that a load since then has written or closed. Of an incremental
run only what it needs is brought together, and nothing is read twice from the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from include.expressions import functions
from include.expressions.paths import EntityGraph
from include.model.configuration import Association, EntityType
from include.policy import comparison, decisions
from include.policy.workspace import Workspace
from include.repository.system import PROVISIONING_ENTITY_TYPES
from include.storage.engine import confine, engine, literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

STATE, VERSIONS = "state", "versions"
SMALL = 100_000
Item = EntityType | Association


@dataclass(frozen=True, slots=True, kw_only=True)
class PastWorkspace(Workspace):
    """A workspace over relations instead of files."""

    relations: Callable[[str], str]

    def relation(self, identifier: str) -> str:
        """The relation of an entity type or association."""
        return self.relations(identifier)


@dataclass(frozen=True, slots=True)
class Past:
    """The relations of ``items`` in a DuckDB: ``now``, ``before``, and what changed between the two.

    ``last`` is the folder ``changes/`` of the last evaluation, ``load`` the newest load that it read, ``own_load``
    the one that wrote its result.
    """

    connection: duckdb.DuckDBPyConnection
    graph: EntityGraph
    base: Folder
    state: Folder
    versions: Folder
    last: Folder
    load: int
    own_load: int
    items: dict[str, Item] = field(default_factory=dict)

    @property
    def present(self) -> Workspace:
        """What is stored now, for what evaluates rules over it."""
        return PastWorkspace(self.connection, self.base, self.graph, relations=self.now)

    @property
    def former(self) -> Workspace:
        """What was stored when the last evaluation read it."""
        return PastWorkspace(self.connection, self.base, self.graph, relations=self.before)

    def now(self, identifier: str) -> str:
        """The relation of the rows that are current."""
        return name(f"now {identifier}")

    def before(self, identifier: str) -> str:
        """The relation of the rows that were current when the last evaluation read them."""
        return name(f"before {identifier}")

    def changed(self, identifier: str) -> str:
        """The relation of all versions written or closed since the last evaluation, but for those it wrote itself."""
        return name(f"changed {identifier}")

    def written(self, identifier: str) -> str:
        """The relation of all versions written or closed since the last complete evaluation."""
        return name(f"written {identifier}")

    def columns(self, identifier: str) -> tuple[str, ...]:
        """The columns of an item's relations."""
        return _columns(self.items[identifier])

    def insert(self, statement: str) -> int:
        """Run an INSERT; how many rows it added."""
        ((count,),) = self.connection.execute(statement).fetchall()
        return int(count)

    def has_changed(self, identifier: str) -> bool:
        """Whether a load since the last evaluation touched it, that of its own result left out."""
        return self.count(self.changed(identifier)) > 0

    def count(self, relation: str) -> int:
        """The number of its rows."""
        ((count,),) = self.connection.execute(f"SELECT count(*) FROM {relation}").fetchall()
        return int(count)


def _columns(item: Item) -> tuple[str, ...]:
    if isinstance(item, EntityType):
        return "resource_id", *(entry.identifier for entry in item.properties)
    return "resource1_id", "resource2_id"


def _identity(item: Item) -> str:
    return "resource_id" if isinstance(item, EntityType) else "resource1_id, resource2_id"


def read_items(entity_types: Sequence[EntityType], associations: Sequence[Association]) -> list[Item]:
    """What rules may read, and the assignments and orders."""
    return [*entity_types, *PROVISIONING_ENTITY_TYPES, *associations]


@contextmanager
def past(
    run: Folder,
    complete: Folder,
    last: Folder,
    graph: EntityGraph,
    items: Sequence[Item],
    *,
    load: int,
    own_load: int,
    evaluated_at: datetime,
) -> Iterator[Past]:
    """Open both folders in a DuckDB that can write to ``base/`` of the run.

    Args:
        run: the run's folder.
        complete: the folder of the run of the last complete evaluation.
        last: the folder of the run of the last evaluation.
        graph: all entity types and links.
        items: what is there, in ``state/`` and in ``versions/``.
        load: the newest load that the last evaluation read.
        own_load: the load that wrote its result.
        evaluated_at: the instant that ``evaluated_at`` stands for in expressions.
    """
    base, state, versions = run.child("base"), complete.child(STATE), run.child(VERSIONS)
    changes = last.child("changes")
    base.make()
    with engine(run) as connection:
        functions.install(connection, evaluated_at)
        for function in (*decisions.FUNCTIONS, *comparison.FUNCTIONS):
            connection.execute(function)
        confine(connection, base, state, versions, changes)
        named = {item.identifier: item for item in items}
        opened = Past(connection, graph, base, state, versions, changes, load, own_load, named)
        for item in items:
            _create(opened, item)
        yield opened


def _create(opened: Past, item: Item) -> None:
    """The four relations of one item."""
    identifier, identity = item.identifier, _identity(item)
    fields = ", ".join(name(column) for column in _columns(item))
    file = f"{identifier}.parquet"
    stored = f"read_parquet({literal(opened.state.file(file))})"
    written = opened.written(identifier)
    since = f"> {opened.load} AND {{}} <> {opened.own_load}"
    connection = opened.connection
    connection.execute(f"CREATE TEMP TABLE {written} AS FROM read_parquet({literal(opened.versions.file(file))})")
    touched = f"(SELECT DISTINCT {identity} FROM {written})"
    untouched = f"SELECT {fields} FROM {stored} ANTI JOIN {touched} USING ({identity})"
    if not opened.count(written):
        untouched = f"SELECT {fields} FROM {stored}"
    # A view of a table is quicker to use than one of a file; what is large stays where it is.
    if opened.count(stored) <= SMALL:
        connection.execute(f"CREATE TEMP TABLE {name(f'state {identifier}')} AS SELECT {fields} FROM {stored}")
        untouched = untouched.replace(stored, name(f"state {identifier}"))
    connection.execute(f"""
        CREATE TEMP VIEW {opened.now(identifier)} AS
        {untouched} UNION ALL SELECT {fields} FROM {written} WHERE closed_by_load_id IS NULL
    """)
    connection.execute(f"""
        CREATE TEMP VIEW {opened.before(identifier)} AS
        {untouched} UNION ALL SELECT {fields} FROM {written}
        WHERE load_id <= {opened.load} AND (closed_by_load_id IS NULL OR closed_by_load_id > {opened.load})
    """)
    connection.execute(f"""
        CREATE TEMP TABLE {opened.changed(identifier)} AS
        SELECT {fields}, load_id > {opened.load} AND load_id <> {opened.own_load} AS is_new,
            load_id <= {opened.load} OR load_id = {opened.own_load} AS was_there,
            closed_by_load_id IS NULL AS is_there
        FROM {written}
        WHERE load_id {since.format("load_id")} OR closed_by_load_id {since.format("closed_by_load_id")}
    """)
