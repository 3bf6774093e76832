"""What is stored before a run: read from the repository, or carried on from the connector's previous snapshot."""

from __future__ import annotations

import logging

from include.expressions.computed import computed_sources
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.model.remembered import REMEMBERED
from include.orchestration.run import Run, previous_snapshot
from include.repository.repository import Repository
from include.snapshot.errors import SnapshotError
from include.snapshot.state import BASE, carried_items, carry_base

logger = logging.getLogger(__name__)


def load_key(run_id: str) -> str:
    """The name under which a synchronization is loaded, once for ever."""
    return f"{run_id}:load"


def write_base(run: Run, repository: Repository, configuration: Configuration, connector: Connector) -> None:
    """Write what is stored to ``base/``, and to ``base/base.json`` where it came from.

    A complete run reads the repository, whoever wrote there. An incremental one takes the state that the
    connector's previous snapshot left, where nothing has been loaded for the connector since: the same
    rows, without asking the database for all of them.
    """
    base = run.folder.child("base")
    base.remove(BASE)
    items: list[EntityType | Association] = [
        *_referenced_entity_types(configuration, connector),
        *REMEMBERED,
        *connector.associations,
        *_followed_associations(configuration, connector),
    ]
    carried = _carry_base(run, repository, connector) if run.mode == "incremental" else None
    wanted = [item for item in items if carried is None or item not in carried_items(connector)]
    load_id = _export_base(run, repository, connector, wanted)
    if carried is not None and carried[1] != load_id:
        carried, load_id = None, _export_base(run, repository, connector, items)
    source = "the repository" if carried is None else f"the snapshot of run {carried[0]}"
    base.write_json(BASE, {"connector": connector.identifier, "load_id": load_id, "source": source})
    logger.info("%s: what is stored comes from %s", connector.identifier, source)


def _export_base(run: Run, repository: Repository, connector: Connector, items: list[EntityType | Association]) -> int:
    entity_types = [item for item in items if isinstance(item, EntityType)]
    associations = [item for item in items if isinstance(item, Association)]
    base = run.folder.child("base")
    return repository.export_base(base, connector.identifier, entity_types, associations, as_stored=run.dry_run)


def _carry_base(run: Run, repository: Repository, connector: Connector) -> tuple[str, int] | None:
    """Write ``base/`` from the previous snapshot; its run and its load, None where it cannot be the base."""
    snapshot = previous_snapshot(repository, connector.identifier)
    loaded = repository.loaded(load_key(snapshot.run_id)) if snapshot else None
    if snapshot is None or loaded is None or loaded.load_id != repository.last_load(connector.identifier):
        return None
    try:
        carry_base(snapshot, connector, run.folder)
    except SnapshotError as error:
        logger.warning("%s: %s; reading the repository instead", connector.identifier, error)
        return None
    return snapshot.run_id, loaded.load_id


def _referenced_entity_types(configuration: Configuration, connector: Connector) -> list[EntityType]:
    """The connector's entity types, then those of others that its associations end in or its expressions read."""
    found = {item.identifier: item for item in connector.entity_types}
    for association in connector.associations:
        for end in (association.end1, association.end2):
            entity_type = configuration.entity_type(end.entity_type)
            if entity_type is not None:
                found.setdefault(entity_type.identifier, entity_type)
    for identifier in sorted(computed_sources(connector, configuration).entity_types):
        entity_type = configuration.entity_type(identifier)
        if entity_type is not None:
            found.setdefault(identifier, entity_type)
    return list(found.values())


def _followed_associations(configuration: Configuration, connector: Connector) -> list[Association]:
    """The associations of other connectors that the computed properties follow."""
    followed = computed_sources(connector, configuration).associations
    return [
        item
        for item in configuration.associations()
        if item.identifier in followed and item not in connector.associations
    ]
