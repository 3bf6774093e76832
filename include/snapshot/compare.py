"""What the repository must learn from a snapshot: the difference between ``base/`` and ``clean/``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from include.difference.commands import resolve_commands
from include.difference.compare import Counts, compare, compare_pairs
from include.model.configuration import Configuration, Connector, EntityType
from include.model.remembered import MISSING_RESOURCE, REMEMBERED, WAITING_LINK
from include.snapshot.computed import Computation, compute, rejects_file
from include.snapshot.ends import Ends, find_ends
from include.snapshot.errors import SnapshotError
from include.snapshot.known import kept_rows, remaining_rows, spared_keys
from include.snapshot.preparation import AssociationCounts, EntityCounts, Preparation
from include.snapshot.work import Work, parquet
from include.storage.engine import engine, name
from include.storage.folder import Folder

FILE = "changes.json"


@dataclass(frozen=True, slots=True)
class Changes:
    """What would be loaded: counters by entity type and association, as ``changes/changes.json`` holds them.

    ``remembered`` counts the changes of what a synchronization remembers (``include.model.remembered``): no
    limit applies to them.
    ``base_load`` is the load that the comparison started from; ``sha256`` stands for the change files, so
    that an approval can say exactly what was approved.
    """

    base_load: int
    mode: str
    entity_types: Mapping[str, Mapping[str, Any]]
    associations: Mapping[str, Mapping[str, Any]]
    sha256: str
    remembered: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether there is anything to load."""
        counters = [*self.entity_types.values(), *self.associations.values(), *self.remembered.values()]
        return any(item.get(change) for item in counters for change in ("inserted", "updated", "deleted"))

    @classmethod
    def read(cls, run: Folder) -> Changes:
        """The changes of a run."""
        return cls(**run.child("changes").read_json(FILE))


def compare_snapshot(
    connector: Connector, configuration: Configuration, run: Folder, mode: str = "complete"
) -> Changes:
    """Write ``changes/`` from ``base/`` and ``clean/``; ``changes/changes.json`` is written last.

    Nothing is deleted that is missing from an incomplete table or whose line was set aside; a link goes
    with its ends, and a new link of an end that has one link only takes the place of the old one. Computed
    properties are computed last, over the rows and links as they are after the run.

    Raises:
        SnapshotError: the run is not prepared, or lacks what is stored.
        DifferenceError: what is stored or clean cannot be compared.
    """
    folder = run.child("changes")
    folder.remove(FILE)
    folder.clear()
    for item in connector.entity_types:
        folder.remove(rejects_file(item))
    preparation = _read_preparation(run)
    with engine(run) as connection:
        work = Work(connection, connector, run, preparation.entity_types)
        associations = {
            item.identifier: _compare_association(
                work, find_ends(configuration, item), preparation.associations[item.identifier]
            )
            for item in connector.associations
        }
        computed = any(item.computed_properties for item in connector.entity_types)
        computation = compute(work, configuration) if computed else None
        entity_types = {
            item.identifier: _compare_entity_type(work, item, preparation.entity_types[item.identifier], computation)
            for item in connector.entity_types
        }
        remembered = {item.identifier: _compare_remembered(work, item) for item in REMEMBERED}
    changes = Changes(
        base_load=int(run.child("base").read_json("base.json")["load_id"]),
        mode=mode,
        entity_types=entity_types,
        associations=associations,
        sha256="",
        remembered=remembered,
    )
    changes = replace(changes, sha256=fingerprint(run, changes))
    folder.write_json(FILE, asdict(changes))
    return changes


def _read_preparation(run: Folder) -> Preparation:
    try:
        return Preparation.read(run)
    except FileNotFoundError as error:
        raise SnapshotError("clean/preparation.json is missing: prepare the run before comparing it") from error


def _compare_entity_type(
    work: Work, entity_type: EntityType, counts: EntityCounts, computation: Computation | None
) -> dict[str, Any]:
    if computation is not None and entity_type.computed_properties:
        return _compare_computed(work, entity_type, counts, computation)
    after = parquet(work.clean, f"{entity_type.identifier}.parquet")
    if counts.command:
        key, columns = entity_type.primary_key.identifier, [item.identifier for item in entity_type.properties]
        after = resolve_commands(work.connection, work.stored(entity_type.identifier), after, key=key, columns=columns)
    return _counters(counts, _compare_rows(work, entity_type, counts, after))


def _counters(counts: EntityCounts, found: Counts) -> dict[str, Any]:
    """The counters of an entity type: what is missing and stays for now is told apart from what is protected."""
    # What a table of changes does not mention is there.
    missing = 0 if counts.command else counts.missing
    found = replace(found, protected=found.protected - missing)
    return {**asdict(found), "missing": counts.missing, "complete": counts.complete}


def _compare_computed(
    work: Work, entity_type: EntityType, counts: EntityCounts, computation: Computation
) -> dict[str, Any]:
    """As without computed properties, but that kept rows get their computed values too.

    The counters of kept rows say the same as ever; ``not_computed`` counts values whose expression failed.
    """
    after, failed = computation.finish(entity_type)
    found = _compare_rows(work, entity_type, counts, after)
    work.connection.execute(f"DROP TABLE {after}")
    kept = protected = 0
    if rows := kept_rows(work, entity_type):
        key, spared = name(entity_type.primary_key.identifier), spared_keys(work, entity_type)
        kept = protected = work.count(rows)
        if not counts.deletions:
            protected = work.count(f"{rows} WHERE CAST({key} AS VARCHAR) IN (SELECT key FROM {spared})")
    found = replace(found, withheld=kept - protected, protected=protected)
    return {**_counters(counts, found), "not_computed": failed}


def _compare_rows(work: Work, entity_type: EntityType, counts: EntityCounts, after: str) -> Counts:
    return compare(
        work.connection,
        work.stored(entity_type.identifier),
        after,
        key=entity_type.primary_key.identifier,
        columns=[item.identifier for item in entity_type.properties],
        output=work.run.child("changes").file(f"{entity_type.identifier}.parquet"),
        deletions=counts.deletions,
        protected=spared_keys(work, entity_type),
    )


def _compare_association(work: Work, ends: Ends, counts: AssociationCounts) -> dict[str, Any]:
    before, given = _keep_links(work, ends, counts)
    output = work.run.child("changes").file(f"{ends.association.identifier}.parquet")
    if counts.command:
        # What a table of changes does not mention stays, and is nothing to report.
        found = compare_pairs(
            work.connection, before, f"(SELECT * FROM {given} UNION SELECT * FROM kept)", output=output
        )
    else:
        found = compare_pairs(work.connection, before, given, output=output, protected="kept")
    if not counts.deletions:
        found = Counts(found.stored, found.inserted, found.updated, found.deleted, found.protected)
    return {**asdict(found), "waiting": counts.waiting, "complete": counts.complete}


def _compare_remembered(work: Work, remembered: EntityType) -> dict[str, int]:
    """What this connector remembers after the run, against what it remembered before."""
    suffix, owners = _REMEMBERED_FILES[remembered.identifier]
    before = work.remembered(remembered)
    files = [
        f"SELECT * FROM {parquet(work.clean, f'{item.identifier}.{suffix}.parquet')}"
        for item in getattr(work.connector, owners)
    ]
    columns = [item.identifier for item in remembered.properties]
    shown, key = ", ".join(name(column) for column in columns), remembered.primary_key.identifier
    none = f"SELECT {shown} FROM {before} WHERE false"
    found = compare(
        work.connection,
        before,
        f"(SELECT * FROM ({' UNION ALL '.join([none, *files])}) ORDER BY {name(key)})",
        key=key,
        columns=columns,
        output=work.run.child("changes").file(f"{remembered.identifier}.parquet"),
    )
    return {"inserted": found.inserted, "updated": found.updated, "deleted": found.deleted}


_REMEMBERED_FILES = {
    WAITING_LINK.identifier: ("waiting", "associations"),
    MISSING_RESOURCE.identifier: ("missing", "entity_types"),
}


def _keep_links(work: Work, ends: Ends, counts: AssociationCounts) -> tuple[str, str]:
    """Fill ``kept``: the stored links that stay although the clean pairs lack them.

    Returns:
        The relations of the stored pairs and of the pairs that the snapshot gives.
    """
    identifier = ends.association.identifier
    before, clean = work.stored(identifier), parquet(work.clean, f"{identifier}.parquet")
    given = f"(SELECT key1, key2 FROM {clean} WHERE command = 'insert')" if counts.command else clean
    conditions = [f"({_why(work, identifier, clean, counts)})"]
    for end in ends.both:
        key = f"key{end.number}"
        primary = end.entity_type.primary_key.identifier
        rows = remaining_rows(work, end.entity_type, [primary])
        conditions.append(f"s.{key} IN (SELECT CAST({name(primary)} AS VARCHAR) FROM {rows})")
        if not end.end.collection:
            conditions.append(f"s.{key} NOT IN (SELECT {key} FROM {given})")
    work.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE kept AS SELECT key1, key2 FROM {before} s WHERE {' AND '.join(conditions)}"
    )
    return f"(SELECT key1, key2 FROM {before})", given


def _why(work: Work, identifier: str, clean: str, counts: AssociationCounts) -> str:
    """The condition by which a stored link ``s`` stays."""
    if not counts.deletions:
        return "true"
    aside = parquet(work.clean, f"{identifier}.set_aside.parquet")
    whole = (
        f"s.{key} IN (SELECT {key} FROM {aside} WHERE {key} IS NOT NULL AND {other} IS NULL)"
        for key, other in (("key1", "key2"), ("key2", "key1"))
    )
    pair = f"EXISTS (SELECT 1 FROM {aside} a WHERE a.key1 = s.key1 AND a.key2 = s.key2)"
    protected = " OR ".join((*whole, pair))
    if not counts.command:
        return protected
    return f"""{protected} OR NOT EXISTS (
        SELECT 1 FROM {clean} c WHERE c.command = 'delete' AND c.key1 = s.key1 AND c.key2 = s.key2)"""


def fingerprint(run: Folder, changes: Changes) -> str:
    """SHA-256 over the names and hashes of the files of ``changes/``, in order of name: what a decision is about."""
    folder, digest = run.child("changes"), hashlib.sha256()
    for identifier in sorted((*changes.entity_types, *changes.associations, *changes.remembered)):
        file = f"{identifier}.parquet"
        digest.update(f"{file} {folder.sha256(file)}\n".encode())
    return digest.hexdigest()
