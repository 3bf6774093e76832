"""From raw CSV to clean, typed, sorted files; what cannot be used is set aside with its reason (engine.md 2.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from include.model.configuration import Configuration, Connector, EntityType
from include.model.transformations import transformations_of
from include.snapshot.ends import Ends, find_ends
from include.snapshot.entities import mapped_columns, prepare_entity_type
from include.snapshot.gates import check_gates, write_gates
from include.snapshot.links import keep_pairs, link_columns, prepare_association
from include.snapshot.missing import write_missing
from include.snapshot.preparation import FILE, EntityCounts, Preparation
from include.snapshot.profile import Profile, TableProfile
from include.snapshot.raw import COMMAND, TableState, first_export, load_table, read_reports
from include.snapshot.work import Work
from include.storage.engine import engine
from include.storage.folder import Folder


def prepare(
    connector: Connector,
    configuration: Configuration,
    run: Folder,
    *,
    run_id: str = "",
    taken: Mapping[str, EntityCounts] | None = None,
    last_good: Mapping[str, TableProfile] | None = None,
) -> Preparation:
    """Write ``clean/`` from ``raw/`` and ``base/``; a rerun ends in the same files.

    Lines that cannot be used are set aside, counted, and their keys kept, so that none of them reads as a
    deletion. Each table is profiled and held against its last good profile: ``clean/profile.json`` and
    ``clean/gates.json``. ``clean/preparation.json`` is written last.

    Args:
        connector: whose run it is.
        configuration: all connectors.
        run: the folder of the run.
        run_id: names the run in what is remembered of it.
        taken: entity types whose clean files are there already, after ``begin`` (``reuse.take_over_tables``).
        last_good: what each table looked like when it was last read as a whole (``profile.last_good_profiles``).

    Raises:
        PreparationError: a raw file is missing, is not what its export reported, or lacks a mapped column;
            or what is stored has not been exported into the run.
    """
    if taken is None:
        begin(run)
    states = read_reports(run)
    ends = [find_ends(configuration, association) for association in connector.associations]
    last_good = last_good or {}
    with engine(run) as connection:
        work = Work(connection, connector, run, run_id=run_id, read_at=first_export(run))
        _prepare_tables(work, states, ends, taken or {}, last_good)
        associations = {
            item.association.identifier: prepare_association(
                work, item, states.get(item.association.connection_table, TableState())
            )
            for item in ends
        }
    preparation = Preparation(work.entity_types, associations)
    Profile.of(work.profiles, last_good).write(run)
    write_gates(run, check_gates(connector, preparation, work.profiles, last_good))
    preparation.write(run)
    return preparation


def begin(run: Folder) -> None:
    """Empty ``clean/``: nothing of a preparation that died stays."""
    run.child("clean").remove(FILE)
    run.child("clean").clear()


def _prepare_tables(
    work: Work,
    states: dict[str, TableState],
    ends: list[Ends],
    taken: Mapping[str, EntityCounts],
    last_good: Mapping[str, TableProfile],
) -> None:
    """Read every connection table once: its entity types are prepared, its pairs kept for later."""
    for table in _tables(work.connector):
        state = states.get(table, TableState())
        entity_types = [
            item
            for item in work.connector.entity_types
            if item.connection_table == table and not _was_taken(work, item, taken, last_good)
        ]
        linking = [item for item in ends if item.association.connection_table == table]
        mapped: dict[str, str] = {COMMAND: "the changes"} if state.command else {}
        for item in entity_types:
            mapped |= mapped_columns(item)
        for item_ends in linking:
            mapped |= link_columns(item_ends.association)
        if not entity_types and not linking:
            continue
        raw = load_table(
            work.connection, work.run, table, state, mapped, transformations=transformations_of(work.connector, table)
        )
        for item in entity_types:
            _keep_counts(work, item, prepare_entity_type(work, item, raw))
        for item_ends in linking:
            keep_pairs(work.connection, item_ends, raw)
        work.connection.execute(f"DROP TABLE {raw.relation}")


def _was_taken(
    work: Work, entity_type: EntityType, taken: Mapping[str, EntityCounts], last_good: Mapping[str, TableProfile]
) -> bool:
    """Whether the clean table of an entity type could be taken from the previous snapshot, with its profile."""
    identifier = entity_type.identifier
    if identifier not in taken or identifier not in last_good:
        return False
    _keep_counts(work, entity_type, replace(taken[identifier], stored=work.count(work.stored(identifier))))
    work.profiles[identifier] = replace(last_good[identifier], run_id=None)
    return True


def _keep_counts(work: Work, entity_type: EntityType, counts: EntityCounts) -> None:
    """Note what was made of an entity type, with what is missing of it: that follows from what is stored too."""
    missing = write_missing(work, entity_type, counts)
    work.entity_types[entity_type.identifier] = replace(counts, missing=missing)


def _tables(connector: Connector) -> list[str]:
    tables = [item.connection_table for item in connector.entity_types]
    tables += [item.connection_table for item in connector.associations]
    return list(dict.fromkeys(tables))
