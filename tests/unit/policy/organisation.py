"""A small organisation in memory, written as the files of a run, and the repository's part played by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from include.model.base import DUCKDB_TYPES
from include.model.configuration import (
    Association,
    AssociationEnd,
    Configuration,
    Connection,
    Connector,
    EntityType,
    Property,
)
from include.model.resource_type import CorrelationRule, NavigationRule, ResourceType, ScalarRule, TypeRule
from include.policy.evaluate import Evaluation, evaluate
from include.repository.system import SYSTEM_ENTITY_TYPES
from include.storage.folder import Folder

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)
EARLIER = datetime(2024, 6, 1, 10, 0, tzinfo=UTC)
LATER = datetime(2024, 6, 1, 14, 0, tzinfo=UTC)

PERSON = EntityType(
    identifier="HR_Person",
    connection_table="people",
    properties=(
        Property(identifier="employee_id", primary_key=True),
        Property(identifier="last_name"),
        Property(identifier="first_name"),
        Property(identifier="mail"),
        Property(identifier="title"),
        Property(identifier="start_date", type="datetime"),
        Property(identifier="end_date", type="datetime"),
        Property(identifier="status"),
    ),
)
ORGANIZATION = EntityType(
    identifier="HR_Organization",
    connection_table="organisations",
    properties=(Property(identifier="code", primary_key=True), Property(identifier="name")),
)
USER = EntityType(
    identifier="CRM_User",
    connection_table="users",
    properties=(
        Property(identifier="id", primary_key=True),
        Property(identifier="external_id"),
        Property(identifier="user_name"),
        Property(identifier="title"),
        Property(identifier="mail"),
        Property(identifier="active", type="bool"),
        Property(identifier="since", type="datetime"),
        Property(identifier="level", type="int32"),
        Property(identifier="skills", format="MultivaluedText"),
    ),
)
GROUP = EntityType(
    identifier="CRM_Group",
    connection_table="groups",
    properties=(Property(identifier="id", primary_key=True), Property(identifier="display_name")),
)


def association(identifier: str, first: tuple[str, str, bool], second: tuple[str, str, bool]) -> Association:
    """An association from (entity type, navigation, collection) of its two ends."""
    ends = [
        AssociationEnd(entity_type=entity_type, navigation=navigation, collection=collection, column="c")
        for entity_type, navigation, collection in (first, second)
    ]
    return Association(identifier=identifier, connection_table="links", end1=ends[0], end2=ends[1])


ASSOCIATIONS = (
    association("HR_PersonOrganization", ("HR_Person", "organization", False), ("HR_Organization", "members", True)),
    association("HR_PersonManager", ("HR_Person", "manager", False), ("HR_Person", "reports", True)),
    association("CRM_UserManager", ("CRM_User", "manager", False), ("CRM_User", "reports", True)),
    association("CRM_GroupMember", ("CRM_Group", "members", True), ("CRM_User", "groups", True)),
)

NOMINATIVE = ResourceType(
    identifier="CRM_User_Nominative",
    source_entity_type="HR_Person",
    target_entity_type="CRM_User",
    connection="CRM",
    block_provisioning=False,
    type_rule=TypeRule(condition="status = 'active'"),
    correlation_rules=(CorrelationRule(source_expression="employee_id", target_expression="external_id"),),
    scalar_rules=(ScalarRule(property="title", expression="title"),),
    navigation_rules=(
        NavigationRule(
            navigation="groups",
            target_property="display_name",
            target_value="Sales",
            condition="organization.code = 'SAL'",
        ),
    ),
)


def nominative(**changes: Any) -> ResourceType:
    """The resource type of most tests, with some fields replaced."""
    return NOMINATIVE.model_copy(update=changes)


def configuration(*resource_types: ResourceType) -> Configuration:
    """One connector that holds everything."""
    connector = Connector(
        identifier="All",
        connections=(Connection(identifier="CRM", package="p"),),
        entity_types=(PERSON, ORGANIZATION, USER, GROUP),
        associations=ASSOCIATIONS,
        resource_types=resource_types,
    )
    return Configuration(connectors=(connector,))


Row = dict[str, Any]
ARROW_TYPES = {
    "VARCHAR": pyarrow.string(),
    "BOOLEAN": pyarrow.bool_(),
    "INTEGER": pyarrow.int32(),
    "BIGINT": pyarrow.int64(),
    "TIMESTAMP": pyarrow.timestamp("us"),
}


@dataclass
class Organisation:
    """Rows by entity type, each with its ``resource_id``; links as pairs of resource ids.

    The last read of ``CRM_User`` started at ``read_at`` (None: never).
    """

    folder: Path
    resource_types: tuple[ResourceType, ...] = (NOMINATIVE,)
    read_at: datetime | None = EARLIER
    rows: dict[str, list[Row]] = field(default_factory=dict)
    links: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    last_id: int = 50_000
    """Of the rows that loads have added."""

    def person(self, resource_id: int, employee_id: str | None = None, **values: Any) -> None:
        """Add an active person."""
        row = {"employee_id": employee_id or f"E{resource_id}", "title": "Clerk", "status": "active", **values}
        self.rows.setdefault("HR_Person", []).append({"resource_id": resource_id, **row})

    def user(self, resource_id: int, external_id: str | None = None, **values: Any) -> None:
        """Add an account."""
        row = {"resource_id": resource_id, "id": f"u{resource_id}", "external_id": external_id, "title": "Clerk"}
        self.rows.setdefault("CRM_User", []).append({**row, **values})

    def organization(self, resource_id: int, code: str, name: str | None = None) -> None:
        """Add an organisation."""
        self.rows.setdefault("HR_Organization", []).append({"resource_id": resource_id, "code": code, "name": name})

    def group(self, resource_id: int, display_name: str) -> None:
        """Add a group."""
        row = {"resource_id": resource_id, "id": f"g{resource_id}", "display_name": display_name}
        self.rows.setdefault("CRM_Group", []).append(row)

    def link(self, identifier: str, first: int, second: int) -> None:
        """Link two resources."""
        self.links.setdefault(identifier, set()).add((first, second))

    def remove(self, entity_type: str, resource_id: int) -> None:
        """Take a resource away, and its links."""
        self.rows[entity_type] = [row for row in self.rows[entity_type] if row["resource_id"] != resource_id]
        for item in ASSOCIATIONS:
            for position, end in enumerate((item.end1, item.end2)):
                if end.entity_type == entity_type:
                    pairs = self.links.get(item.identifier, set())
                    self.links[item.identifier] = {pair for pair in pairs if pair[position] != resource_id}

    def find(self, entity_type: str, resource_id: int) -> Row:
        """The row of a resource, to change it."""
        return next(row for row in self.rows[entity_type] if row["resource_id"] == resource_id)

    def stored(self, entity_type: str, **values: Any) -> None:
        """Add a row of a system entity type."""
        rows = self.rows.setdefault(entity_type, [])
        rows.append({"resource_id": 1000 + len(rows), **values})

    def evaluate(self, **options: Any) -> Evaluation:
        """Write the base files, evaluate, and load the changes as the repository would."""
        run = Folder(self.folder.as_uri())
        self._write(run)
        target_read_at = {"CRM_User": self.read_at} if self.read_at else {}
        self.evaluation = evaluate(
            configuration(*self.resource_types),
            options.pop("resource_types", self.resource_types),
            run,
            evaluated_at=options.pop("evaluated_at", NOW),
            target_read_at=target_read_at,
            **options,
        )
        self.load_changes()
        return self.evaluation

    def table(self, entity_type: str) -> dict[str, Row]:
        """The stored rows of a system entity type by key, without their resource ids."""
        declared = next(item for item in SYSTEM_ENTITY_TYPES if item.identifier == entity_type)
        names = [item.identifier for item in declared.properties]
        return {row[names[0]]: {item: row.get(item) for item in names} for row in self.rows.get(entity_type, [])}

    @property
    def assignments(self) -> dict[str, Row]:
        """Assigned resource types by key."""
        return self.table("assigned_resource_type")

    @property
    def scalars(self) -> dict[str, Row]:
        """Assigned scalars by key."""
        return self.table("assigned_resource_scalar")

    @property
    def navigations(self) -> dict[str, Row]:
        """Assigned navigations by key."""
        return self.table("assigned_resource_navigation")

    def findings(self, kind: str | None = None) -> list[Row]:
        """The findings of the last evaluation."""
        rows = self._changes("findings")
        return [row for row in rows if kind in {None, row["kind"]}]

    def _changes(self, file: str) -> list[Row]:
        rows: list[Row] = parquet.read_table(self.folder / "changes" / f"{file}.parquet").to_pylist()
        return rows

    def _write(self, run: Folder) -> None:
        run.child("base").make()
        for entity_type in (PERSON, ORGANIZATION, USER, GROUP, *SYSTEM_ENTITY_TYPES):
            kinds = {item.identifier: ARROW_TYPES[DUCKDB_TYPES[item.type]] for item in entity_type.properties}
            self._table(entity_type.identifier, {"resource_id": pyarrow.int64(), **kinds})
        for item in ASSOCIATIONS:
            pairs = sorted(self.links.get(item.identifier, set()))
            self.rows[item.identifier] = [
                {"key1": str(first), "key2": str(second), "resource1_id": first, "resource2_id": second}
                for first, second in pairs
            ]
            text, number = pyarrow.string(), pyarrow.int64()
            columns = {"key1": text, "key2": text, "resource1_id": number, "resource2_id": number}
            self._table(item.identifier, columns)

    def _table(self, identifier: str, columns: Mapping[str, pyarrow.DataType]) -> None:
        rows = [{column: row.get(column) for column in columns} for row in self.rows.get(identifier, [])]
        table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(list(columns.items())))
        parquet.write_table(table, self.folder / "base" / f"{identifier}.parquet")

    def load_changes(self) -> None:
        """Apply the changes of an evaluation, as the repository's load would."""
        for entity_type in SYSTEM_ENTITY_TYPES[:3]:
            key = entity_type.primary_key.identifier
            rows = {row[key]: row for row in self.rows.get(entity_type.identifier, [])}
            for change in self._changes(entity_type.identifier):
                if change["command"] == "delete":
                    del rows[change["key"]]
                else:
                    assert (change["command"] == "update") == (change["key"] in rows)
                    self.last_id += 1
                    before = rows.get(change["key"], {"resource_id": self.last_id})
                    rows[change["key"]] = {**before, **change["new"]}
            self.rows[entity_type.identifier] = list(rows.values())
