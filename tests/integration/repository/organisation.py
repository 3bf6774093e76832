"""A small organisation, and a store of it that tests fill by saying what shall be there."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.model.configuration import (
    Association,
    AssociationEnd,
    Configuration,
    Connection,
    Connector,
    EntityType,
    Property,
)
from include.repository.load import LoadRequest, LoadResult
from include.repository.repository import Repository
from include.storage.folder import Folder

ARROW_TYPES = {
    "string": pa.string(),
    "guid": pa.string(),
    "bytes": pa.binary(),
    "binary": pa.binary(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "byte": pa.uint8(),
    "bool": pa.bool_(),
    "double": pa.float64(),
    "datetime": pa.timestamp("us"),
}

PERSON = EntityType(
    identifier="HR_Person",
    connection_table="people",
    properties=(
        Property(identifier="employee_id", primary_key=True),
        Property(identifier="last_name"),
        Property(identifier="photo", type="binary"),
        Property(identifier="badge", type="int32"),
        Property(identifier="serial", type="int64"),
        Property(identifier="floor", type="int16"),
        Property(identifier="level", type="byte"),
        Property(identifier="active", type="bool"),
        Property(identifier="rate", type="double"),
        Property(identifier="start_date", type="datetime"),
        Property(identifier="guid", type="guid"),
    ),
)
# A key that is no text, and names that SQL would take for words of its own.
GROUP = EntityType(
    identifier="Group",
    connection_table="groups",
    properties=(
        Property(identifier="number", type="int64", primary_key=True),
        Property(identifier="order"),
        Property(identifier="Select"),
    ),
)
MANAGER = Association(
    identifier="HR_Manager",
    connection_table="people",
    end1=AssociationEnd(entity_type="HR_Person", navigation="manager", column="employee_id"),
    end2=AssociationEnd(entity_type="HR_Person", navigation="reports", column="manager", collection=True),
)
MEMBER = Association(
    identifier="Group_Member",
    connection_table="members",
    end1=AssociationEnd(entity_type="Group", navigation="members", column="group", collection=True),
    end2=AssociationEnd(entity_type="HR_Person", navigation="groups", column="person", collection=True),
)


def configuration(*entity_types: EntityType, associations: Iterable[Association] = ()) -> Configuration:
    """One connector with these entity types."""
    return Configuration(
        connectors=(
            Connector(
                identifier="HR",
                connections=(Connection(identifier="Files", package="csv"),),
                entity_types=entity_types,
                associations=tuple(associations),
            ),
        )
    )


ORGANISATION = configuration(PERSON, GROUP, associations=(MANAGER, MEMBER))


def person(employee_id: str, **values: Any) -> dict[str, Any]:
    """A person; what is not said is NULL."""
    return {item.identifier: None for item in PERSON.properties} | {"employee_id": employee_id} | values


def group(number: int, **values: Any) -> dict[str, Any]:
    """A group; what is not said is NULL."""
    return {item.identifier: None for item in GROUP.properties} | {"number": number} | values


def write_resource_changes(folder: Folder, entity: EntityType, changes: Iterable[Mapping[str, Any]]) -> None:
    """A changes file of ``command, key, changed_columns, old, new``, in order of key."""
    values = pa.struct([(item.identifier, ARROW_TYPES[item.type]) for item in entity.properties])
    schema = pa.schema(
        {
            "command": pa.string(),
            "key": pa.string(),
            "changed_columns": pa.list_(pa.string()),
            "old": values,
            "new": values,
        }
    )
    rows = sorted(({"changed_columns": None, "old": None, "new": None} | dict(item) for item in changes), key=_key)
    folder.make()
    pq.write_table(pa.Table.from_pylist(rows, schema), folder.file(f"{entity.identifier}.parquet"))


def _key(row: Mapping[str, Any]) -> str:
    return str(row["key"])


def write_link_changes(folder: Folder, association: Association, changes: Iterable[tuple[str, str, str]]) -> None:
    """A changes file of ``command, key1, key2``."""
    rows = [dict(zip(("command", "key1", "key2"), item, strict=True)) for item in changes]
    schema = pa.schema({"command": pa.string(), "key1": pa.string(), "key2": pa.string()})
    folder.make()
    pq.write_table(pa.Table.from_pylist(rows, schema), folder.file(f"{association.identifier}.parquet"))


Resources = Mapping[str, dict[str, Any]]
Links = Set[tuple[str, str]]
NONE: Resources = MappingProxyType({})
NO_LINKS: Links = frozenset()


def _resource_changes(
    entity: EntityType, rows: Iterable[dict[str, Any]], wanted: Resources
) -> Iterable[dict[str, Any]]:
    stored = {str(row[entity.primary_key.identifier]): row for row in rows}
    for key in stored.keys() | wanted.keys():
        old, new = dict(stored.get(key, {})), wanted.get(key)
        command = "insert" if not old else "delete" if new is None else "update"
        changed = [column for column in old if new is not None and old[column] != new[column]]
        if old != new:
            yield {"command": command, "key": key, "changed_columns": changed, "old": old or None, "new": new}


@dataclass
class Store:
    """A repository, and the state that was last loaded into it."""

    repository: Repository
    path: Path
    numbers: Iterable[int] = field(default_factory=itertools.count)
    entity_types: tuple[EntityType, ...] = (PERSON, GROUP)
    associations: tuple[Association, ...] = (MANAGER, MEMBER)

    def folder(self, name: str = "scratch") -> Folder:
        """A folder of the test."""
        return Folder(f"file://{self.path}/{name}")

    def new_folder(self) -> Folder:
        """A folder that nobody has used."""
        return self.folder(f"run{next(iter(self.numbers))}")

    def current(self, item: EntityType | Association) -> list[dict[str, Any]]:
        """The current rows, as exported."""
        folder = self.new_folder()
        self.repository.export_current(item, folder, "rows.parquet")
        return pq.read_table(folder.file("rows.parquet")).to_pylist()

    def base(self) -> dict[str, list[dict[str, Any]]]:
        """The current rows of everything, as exported."""
        folder = self.new_folder()
        self.repository.export_base(folder, "HR", self.entity_types, self.associations)
        items: tuple[EntityType | Association, ...] = (*self.entity_types, *self.associations)
        return {item.identifier: pq.read_table(folder.file(f"{item.identifier}.parquet")).to_pylist() for item in items}

    def request(self, folder: Folder, **values: Any) -> LoadRequest:
        """A request for the whole organisation."""
        defaults: dict[str, Any] = {
            "load_key": folder.url,
            "run_id": folder.url,
            "connector": "HR",
            "entity_types": self.entity_types,
            "associations": self.associations,
            "base_load": None,
        }
        return LoadRequest(**(defaults | values), changes=folder)

    def changes_to(
        self,
        *,
        persons: Resources = NONE,
        groups: Resources = NONE,
        managers: Links = NO_LINKS,
        members: Links = NO_LINKS,
    ) -> Folder:
        """Changes that lead from what is stored to this state."""
        folder = self.new_folder()
        base = self.base()
        for entity, wanted in zip(self.entity_types, (persons, groups), strict=False):
            write_resource_changes(folder, entity, _resource_changes(entity, base[entity.identifier], wanted))
        for association, links in zip(self.associations, (managers, members), strict=False):
            there = {(row["key1"], row["key2"]) for row in base[association.identifier]}
            changes = [("delete", *pair) for pair in there - links] + [("insert", *pair) for pair in links - there]
            write_link_changes(folder, association, sorted(changes))
        return folder

    def load(self, **state: Any) -> LoadResult:
        """Load the changes that lead to this state."""
        return self.repository.load(self.request(self.changes_to(**state)))
