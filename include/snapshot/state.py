"""What the repository held of a connector once a snapshot's run was loaded, from the files of that run alone.

That is the run's ``base/`` with its ``changes/`` applied. ``clean/`` would not do: it may hold only
changes, and lacks the rows that were set aside and kept.
"""

from __future__ import annotations

from include.model.configuration import Association, Connector, EntityType
from include.snapshot.errors import SnapshotError
from include.snapshot.previous import PublishedSnapshot
from include.snapshot.work import parquet
from include.storage.engine import engine, literal, name
from include.storage.folder import Folder

BASE = "base.json"


def entity_type_state(run: Folder, entity_type: EntityType, *, deletions: bool) -> str:
    """A SQL relation of the entity type's properties after a run, in order of the primary key.

    Args:
        run: the folder of a loaded run.
        entity_type: one of its connector.
        deletions: whether the deletions among the run's changes were applied.
    """
    file, key = f"{entity_type.identifier}.parquet", name(entity_type.primary_key.identifier)
    before, changes = parquet(run.child("base"), file), parquet(run.child("changes"), file)
    columns = [name(item.identifier) for item in entity_type.properties]
    kept, gone = ", ".join(columns), "('update', 'delete')" if deletions else "('update')"
    given = ", ".join(f"new.{column} AS {column}" for column in columns)
    return f"""(
        SELECT {kept} FROM {before}
        WHERE {key} NOT IN (SELECT old.{key} FROM {changes} WHERE command IN {gone})
        UNION ALL
        SELECT {given} FROM {changes} WHERE command IN ('insert', 'update')
        ORDER BY {key}
    )"""


def association_state(run: Folder, association: Association, *, deletions: bool) -> str:
    """A SQL relation ``key1, key2`` of the association's pairs after a run, sorted; as ``entity_type_state``."""
    file = f"{association.identifier}.parquet"
    before, changes = parquet(run.child("base"), file), parquet(run.child("changes"), file)
    gone = f"EXCEPT SELECT key1, key2 FROM {changes} WHERE command = 'delete'" if deletions else ""
    return f"""(
        (SELECT key1, key2 FROM {before} {gone})
        UNION SELECT key1, key2 FROM {changes} WHERE command = 'insert'
        ORDER BY key1, key2
    )"""


def carried_items(connector: Connector) -> list[EntityType | Association]:
    """What only this connector's own runs change: its entity types, and the associations among them.

    A link to a resource of another connector ends when that connector deletes the resource, so that the
    repository alone knows which of those stand.
    """
    own = {item.identifier for item in connector.entity_types}
    inner = [item for item in connector.associations if {item.end1.entity_type, item.end2.entity_type} <= own]
    return [*connector.entity_types, *inner]


def carry_base(snapshot: PublishedSnapshot, connector: Connector, run: Folder) -> None:
    """Write the ``base/`` files of ``carried_items`` from the connector's previous snapshot.

    Raises:
        SnapshotError: a file of the snapshot is missing or is not what was published, or the configuration has
            changed the properties since.
    """
    import duckdb

    target, deletions = run.child("base"), snapshot.deletions_applied
    target.make()
    with engine(snapshot.folder, run) as connection:
        for item in carried_items(connector):
            file = f"{item.identifier}.parquet"
            for part in ("base", "changes"):
                snapshot.prove(f"{part}/{file}")
            if isinstance(item, EntityType):
                state = entity_type_state(snapshot.folder, item, deletions=deletions)
            else:
                state = association_state(snapshot.folder, item, deletions=deletions)
            target.remove(file)
            part_file = f"{file}.part"
            try:
                connection.execute(f"COPY {state} TO {literal(target.file(part_file))} (FORMAT parquet)")
            except duckdb.BinderException as error:
                raise SnapshotError(f"base/{file}: the snapshot has not the properties of today") from error
            target.filesystem.mv(f"{target.path}/{part_file}", f"{target.path}/{file}")
