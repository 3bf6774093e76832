"""A small organisation in DuckDB tables, its base files, and a managed system that keeps objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from include.model.resource_type import ProvisioningThresholds, ResourceType
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.orders import generate_orders
from include.provisioning.plan import Generation
from include.repository.system import PROVISIONING_ENTITY_TYPES
from include.storage.engine import engine
from include.storage.folder import Folder, run_folder

DECIDED_AT = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
RUN_ID = "manual__2024-05-01"

PERSON = EntityType(
    identifier="HR_Person",
    connection_table="people",
    properties=(
        Property(identifier="employee_id", primary_key=True),
        Property(identifier="last_name"),
        Property(identifier="start_date", type="datetime"),
    ),
)
USER = EntityType(
    identifier="CRM_User",
    connection_table="CRM_Users",
    properties=(
        Property(identifier="id", primary_key=True),
        Property(identifier="user_name", column="userName", unique_key=True),
        Property(identifier="family_name", column="name.familyName"),
        Property(identifier="title"),
        Property(identifier="active", type="bool"),
        Property(identifier="level", type="int32"),
        Property(identifier="hired", type="datetime", format="%d/%m/%Y"),
    ),
)
GROUP = EntityType(
    identifier="CRM_Group",
    connection_table="CRM_Groups",
    properties=(Property(identifier="id", primary_key=True), Property(identifier="display_name", unique_key=True)),
)
MEMBERS = Association(
    identifier="CRM_GroupMember",
    connection_table="CRM_members_Groups",
    end1=AssociationEnd(entity_type="CRM_Group", navigation="members", collection=True, column="value"),
    end2=AssociationEnd(entity_type="CRM_User", navigation="groups", collection=True, column="MemberId"),
)
NOMINATIVE = ResourceType(
    identifier="CRM_User_Nominative",
    source_entity_type="HR_Person",
    target_entity_type="CRM_User",
    connection="crm",
    batch_size=2,
    thresholds=ProvisioningThresholds(maximum_insert_percent=0, maximum_update_percent=0, maximum_delete_percent=0),
)


def configuration(*resource_types: ResourceType, **connector: Any) -> tuple[Configuration, Connector]:
    crm = Connector(
        identifier="CRM",
        connections=(Connection(identifier="crm", package="scim"),),
        entity_types=(USER, GROUP),
        associations=(MEMBERS,),
        resource_types=resource_types or (NOMINATIVE,),
        **connector,
    )
    people = Connector(
        identifier="HR", connections=(Connection(identifier="hr", package="csv"),), entity_types=(PERSON,)
    )
    return Configuration(connectors=(crm, people)), crm


@dataclass
class World:
    """Rows of every entity type; ``export`` writes them as the repository would."""

    run: Folder
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, entity: str, **values: Any) -> int:
        rows = self.rows.setdefault(entity, [])
        identifier = int(values.pop("resource_id", 1000 * (1 + list(ENTITIES).index(entity)) + len(rows) + 1))
        rows.append({"resource_id": identifier, **values})
        return identifier

    def assign(
        self,
        owner: int,
        *,
        resource_type: str = "CRM_User_Nominative",
        state: ProvisioningState = ProvisioningState.PENDING,
        workflow: WorkflowState = WorkflowState.CALCULATED,
        **values: Any,
    ) -> str:
        assignment = f"{resource_type}|{owner}"
        self.add(
            "assigned_resource_type",
            assignment=assignment,
            resource_type=resource_type,
            owner_id=owner,
            provisioning_state=int(state),
            workflow_state=int(workflow),
            **values,
        )
        return assignment

    def scalar(
        self,
        assignment: str,
        identifier: str,
        value: str | None,
        state: ProvisioningState = ProvisioningState.PENDING,
        workflow: WorkflowState = WorkflowState.CALCULATED,
        **values: Any,
    ) -> None:
        self.add(
            "assigned_resource_scalar",
            assigned_scalar=f"{assignment}|{identifier}",
            assignment=assignment,
            property=identifier,
            policy_value=value,
            provisioning_state=int(state),
            workflow_state=int(workflow),
            **values,
        )

    def link(
        self,
        assignment: str,
        linked: int,
        state: ProvisioningState = ProvisioningState.PENDING,
        *,
        navigation: str = "groups",
        expected: bool = True,
    ) -> None:
        self.add(
            "assigned_resource_navigation",
            assigned_navigation=f"{assignment}|{navigation}|{linked}",
            assignment=assignment,
            navigation=navigation,
            linked_id=linked,
            expected=expected,
            provisioning_state=int(state),
            workflow_state=int(WorkflowState.CALCULATED),
        )

    def export(self) -> None:
        base = self.run.child("base")
        base.make()
        with engine(base) as connection:
            for entity in ENTITIES.values():
                columns = ["resource_id BIGINT"]
                columns += [f'"{item.identifier}" {DUCKDB_TYPES[item.type]}' for item in entity.properties]
                connection.execute(f"CREATE TABLE t ({', '.join(columns)})")
                names = ["resource_id", *(item.identifier for item in entity.properties)]
                for row in self.rows.get(entity.identifier, []):
                    assert set(row) <= set(names), (entity.identifier, row)
                    marks = ", ".join("?" for _ in names)
                    connection.execute(f"INSERT INTO t VALUES ({marks})", [row.get(item) for item in names])
                order = f'ORDER BY "{entity.primary_key.identifier}"'
                target = base.file(f"{entity.identifier}.parquet")
                connection.execute(f"COPY (SELECT * FROM t {order}) TO '{target}' (FORMAT parquet)")
                connection.execute("DROP TABLE t")
        base.write_json("base.json", {"connector": "CRM", "load_id": 7})

    def load(self, changes: Folder) -> None:
        """Do with changes what the repository does, and export the outcome."""
        for entity in PROVISIONING_ENTITY_TYPES:
            key = entity.primary_key.identifier
            rows = {row[key]: row for row in self.rows.get(entity.identifier, [])}
            path = changes.file(f"{entity.identifier}.parquet")
            with engine(changes) as connection:
                found = connection.execute(f"SELECT command, key, new FROM '{path}'").fetchall()
            for command, identifier, new in found:
                if command == "insert":
                    assert identifier not in rows
                    self.add(entity.identifier, **new)
                elif command == "update":
                    rows[identifier].update(new)
                else:
                    raise AssertionError(f"provisioning never deletes an assignment or an order: {identifier}")
        self.export()

    def states(self, entity: str) -> dict[str, ProvisioningState]:
        key = ENTITIES[entity].primary_key.identifier
        return {row[key]: ProvisioningState(row["provisioning_state"]) for row in self.rows.get(entity, [])}

    def orders(self) -> list[dict[str, Any]]:
        """Every order of the generation, in the order in which it is sent."""
        found: list[dict[str, Any]] = []
        for batch in self.run.child("orders").read_json("generation.json")["batches"]:
            found += self.run.child("orders").read_json(f"{batch['batch']}.json")["ProvisioningOrdersList"]
        return found


ENTITIES = {entity.identifier: entity for entity in (PERSON, USER, GROUP, *PROVISIONING_ENTITY_TYPES)}


def world(folder: Path) -> World:
    return World(run_folder(folder.as_uri(), "CRM", RUN_ID))


def generate(world: World, *resource_types: ResourceType, **connector: Any) -> Generation:
    known, crm = configuration(*resource_types, **connector)
    return generate_orders(known, crm, world.run, run_id=RUN_ID, decided_at=DECIDED_AT)
