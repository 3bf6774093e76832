"""What an export that is byte for byte the one before needs no work for: its clean tables and their validation.

Cleaning and validation follow from the raw file, the mapping, the expectations and the code alone. Where all
of these are those of the connector's previous snapshot, its files are taken over, each proved against the
manifest in the repository while it is copied. What depends on the repository (links, the comparison) is made
anew in every run.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from include.model.configuration import Connector, EntityType
from include.snapshot.errors import SnapshotError
from include.snapshot.expectations import checked_tables, checks_version
from include.snapshot.preparation import EntityCounts
from include.snapshot.previous import PublishedSnapshot
from include.snapshot.raw import TableState, read_reports
from include.storage.folder import CHUNK, Folder

logger = logging.getLogger(__name__)

RESULTS = "validation/results.json"
CLEAN_FILES = (".parquet", ".sorted.csv", ".nullpk.csv", ".duplicates.csv", ".rejects.csv", ".set_aside.parquet")
"""What ``prepare_entity_type`` writes."""


def same_origin(snapshot: PublishedSnapshot | None, connector: Connector) -> PublishedSnapshot | None:
    """The snapshot, where the same code made it from the same mapping; else None."""
    if snapshot is None or not snapshot.is_of_this_code or snapshot.mapping_version != connector.mapping_version:
        return None
    return snapshot


def take_over_tables(connector: Connector, run: Folder, snapshot: PublishedSnapshot | None) -> dict[str, EntityCounts]:
    """Take the clean files of every entity type whose raw file is that of a snapshot of ``same_origin``.

    Returns:
        The counters by entity type, with what the repository held then. Missing are those of another raw
        file, and those that cannot be proved.
    """
    if snapshot is None:
        return {}
    states = read_reports(run)
    found = {
        item.identifier: _take_over(run, item, states.get(item.connection_table, TableState()), snapshot)
        for item in connector.entity_types
    }
    return {identifier: counts for identifier, counts in found.items() if counts is not None}


def _take_over(
    run: Folder, entity_type: EntityType, state: TableState, snapshot: PublishedSnapshot
) -> EntityCounts | None:
    raw, recorded = f"raw/{entity_type.connection_table}.csv", _counts(snapshot, entity_type)
    if recorded is None or state.command or not state.complete or not recorded.clean:
        return None
    if snapshot.sha256(raw) is None or run.sha256(raw) != snapshot.sha256(raw):
        return None
    try:
        for suffix in CLEAN_FILES:
            copy_proved(snapshot, f"clean/{entity_type.identifier}{suffix}", run)
    except SnapshotError as error:
        logger.warning("%s; preparing %s anew", error, entity_type.identifier)
        return None
    return recorded


def take_over_validation(connector: Connector, run: Folder, snapshot: PublishedSnapshot) -> bool:
    """Take over the results and pages of a validation, where the same checks ran over the same clean files.

    Args:
        connector: whose run it is.
        run: the folder of a prepared run.
        snapshot: one of ``same_origin``.

    Returns:
        Whether ``validation/`` is there now.
    """
    checked = [f"clean/{table.file}" for table in checked_tables(connector)]
    if any(snapshot.sha256(path) is None or run.sha256(path) != snapshot.sha256(path) for path in checked):
        return False
    paths = [path for path in snapshot.paths if path.startswith("validation/")]
    try:
        for path in paths:
            # The results appear last, under their own name: with them, the validation is whole.
            if path != RESULTS:
                copy_proved(snapshot, path, run)
        snapshot.prove(RESULTS)
        if snapshot.folder.read_json(RESULTS).get("checks_version") != checks_version(connector):
            return False
        copy_proved(snapshot, RESULTS, run)
    except SnapshotError as error:
        logger.warning("%s; validating anew", error)
        return False
    return True


def copy_proved(snapshot: PublishedSnapshot, path: str, run: Folder) -> None:
    """Copy one file of a snapshot into a run; it appears only when it is the file that was published.

    Raises:
        SnapshotError: it is missing, or not that file.
    """
    wanted, digest = snapshot.sha256(path), hashlib.sha256()
    if wanted is None or not snapshot.folder.exists(path):
        raise SnapshotError(f"snapshot {snapshot.run_id} has no file {path}")
    with snapshot.folder.open(path) as source, run.write(path) as target:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
        if digest.hexdigest() != wanted:
            raise SnapshotError(
                f"{path} of snapshot {snapshot.run_id} is not the file that was published: run 'rollcall verify'"
            )


def _counts(snapshot: PublishedSnapshot, entity_type: EntityType) -> EntityCounts | None:
    found: dict[str, Any] | None = snapshot.content["counters"]["preparation"]["entity_types"].get(
        entity_type.identifier
    )
    counts = EntityCounts(**found) if found else None
    return counts if counts and counts.complete and not counts.command else None
