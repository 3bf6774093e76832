"""The repository as several configurations would read it: one export, one state, for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from include.model.base import DUCKDB_TYPES
from include.model.configuration import Association, Configuration, Connector, EntityType, Property
from include.orchestration.evaluation import scope
from include.orchestration.provision import read_associations, read_entity_types
from include.orchestration.run import StepFailed
from include.repository.repository import Repository
from include.repository.system import PROVISIONING_ENTITY_TYPES
from include.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class Reader:
    """A configuration that reads the repository, and the folder to put ``base/`` into."""

    configuration: Configuration
    connector: Connector
    folder: Folder

    @property
    def entity_types(self) -> list[EntityType]:
        """What the rules of the connector may read."""
        return read_entity_types(self.configuration, self.connector)

    @property
    def associations(self) -> list[Association]:
        """Every association among them."""
        return read_associations(self.configuration, self.entity_types)

    @property
    def tables(self) -> list[str]:
        """The identifiers of all that an evaluation reads."""
        entity_types = [*self.entity_types, *PROVISIONING_ENTITY_TYPES]
        return [item.identifier for item in entity_types] + [item.identifier for item in self.associations]


def joint_configuration(readers: Sequence[Reader]) -> Configuration:
    """One made-up connector that declares everything that any reader reads; the configuration in use comes first.

    Raises:
        StepFailed: a configuration gives something stored another type or key: it could not be taken into use.
    """
    associations = {item.identifier: item for reader in reversed(readers) for item in reader.associations}
    connector = Connector.model_construct(
        identifier=readers[0].connector.identifier,
        connections=(),
        entity_types=tuple(_merged(readers)),
        associations=tuple(associations.values()),
    )
    return Configuration.model_construct(connectors=(connector,))


def export_once(scratch: Folder, repository: Repository, joint: Configuration, readers: Sequence[Reader]) -> list[str]:
    """Write ``base/`` of every reader from one state of the repository, and nothing to the repository.

    What the repository does not hold yet reads as empty. The files are shared: a reader replaces one by
    renaming another over it.

    Args:
        scratch: a local folder.
        repository: opened with the joint configuration.
        joint: the joint configuration.
        readers: whom it joins.

    Returns:
        One line per table or property that the repository does not hold.
    """
    [connector] = joint.connectors
    stored = scratch.child("stored")
    items: list[EntityType | Association] = [*connector.entity_types, *connector.associations]
    repository.export_base(
        stored,
        scope(connector.identifier),
        [*connector.entity_types, *PROVISIONING_ENTITY_TYPES],
        connector.associations,
        resource_ids=True,
        as_stored=True,
    )
    for reader in readers:
        base = reader.folder.child("base")
        base.make()
        for identifier in reader.tables:
            os.link(stored.file(f"{identifier}.parquet"), base.file(f"{identifier}.parquet"))
    return [_absence(identifier, missing) for identifier, missing in repository.lacking(items).items()]


def _absence(identifier: str, missing: list[str] | None) -> str:
    if missing is None:
        return f"{identifier}: the repository does not hold it yet: read as empty"
    listed = ", ".join(f"{identifier}.{item}" for item in missing)
    return f"{listed}: the repository does not hold {'it' if len(missing) == 1 else 'them'} yet: read as NULL"


def _merged(readers: Sequence[Reader]) -> list[EntityType]:
    """Every entity type that a reader reads, with the properties that any of them gives it.

    Raises:
        StepFailed: two of them do not agree on a type, or on the primary key.
    """
    merged: dict[str, EntityType] = {}
    for reader in readers:
        for entity in reader.entity_types:
            known = merged.get(entity.identifier) or readers[0].configuration.entity_type(entity.identifier)
            if known is None:
                merged[entity.identifier] = entity
                continue
            if mistake := next(_conflicts(known, entity), None):
                raise StepFailed(f"{reader.configuration.folder}: {mistake}")
            added = tuple(item for item in entity.properties if known.find(item.identifier) is None)
            merged[entity.identifier] = known.model_copy(update={"properties": (*known.properties, *added)})
    return list(merged.values())


def _conflicts(known: EntityType, entity: EntityType) -> Iterator[str]:
    """Why what is stored of an entity type cannot serve as another one, as the repository's migration judges."""
    if known.primary_key.identifier != entity.primary_key.identifier:
        yield (
            f"{entity.identifier}: the primary key of a stored entity type cannot change from "
            f"{known.primary_key.identifier} to {entity.primary_key.identifier}"
        )
    for item in entity.properties:
        stored = known.find(item.identifier)
        if stored is not None and DUCKDB_TYPES[stored.type] != DUCKDB_TYPES[item.type]:
            yield (
                f"{entity.identifier}.{item.identifier}: the type of a stored property cannot change "
                f"from {stored.type} to {item.type}"
            )


def remapped(present: Configuration, reader: Reader) -> list[str]:
    """One line per stored property that a reader's configuration would fill in another way than the one in use."""
    lines = []
    for entity in reader.entity_types:
        known = present.entity_type(entity.identifier)
        changed = known is not None and known.connection_table != entity.connection_table
        for item in entity.properties:
            stored = known.find(item.identifier) if known else None
            if stored is not None and (changed or _filling(stored) != _filling(item)):
                lines.append(
                    f"{entity.identifier}.{item.identifier}: mapped or computed in another way: "
                    "read as it is stored, until a synchronization fills it anew"
                )
    return lines


def _filling(item: Property) -> tuple[str, str | None, str | None]:
    return item.source_column, item.expression, item.format
