"""The configuration of one connector, as an integrator writes it in YAML.

Names are those of the re-implemented product in snake_case (``reference/engine.md`` section 1).
Every model refuses unknown fields and is frozen. Rules that cross models (a column that no table
has, an association to an unknown entity type, an expression that does not bind) are checked by
``include.model.checks``, which knows the position of every field in its file.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

IDENTIFIER = r"^[A-Za-z][A-Za-z0-9_]*$"
CONNECTION_IDENTIFIER = r"^[A-Za-z][A-Za-z0-9.\-]*$"
MAXIMUM_PERCENT = 100

Identifier = Annotated[str, Field(pattern=IDENTIFIER, max_length=63)]
ConnectionIdentifier = Annotated[str, Field(pattern=CONNECTION_IDENTIFIER, max_length=442)]
Count = Annotated[int, Field(ge=0)]
Percent = Annotated[float, Field(ge=0, le=MAXIMUM_PERCENT)]
PropertyType = Literal[
    "string", "bytes", "int32", "int64", "datetime", "bool", "guid", "double", "binary", "byte", "int16"
]
Severity = Literal["critical", "warning"]

DUCKDB_TYPES: dict[PropertyType, str] = {
    "string": "VARCHAR",
    "bytes": "BLOB",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "datetime": "TIMESTAMP",
    "bool": "BOOLEAN",
    "guid": "VARCHAR",
    "double": "DOUBLE",
    "binary": "BLOB",
    "byte": "UTINYINT",
    "int16": "SMALLINT",
}


class Model(BaseModel):
    """Base of every configuration model: frozen, and closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ResourceThresholds(Model):
    """Limits on resource changes of one synchronization; 0 switches a limit off (engine.md 2.6)."""

    maximum_deleted_lines: Count = 0
    maximum_inserted_lines: Count = 0
    maximum_updated_lines: Count = 0
    max_percentage_deleted_lines: Percent = 0
    max_percentage_inserted_lines: Percent = 0
    max_percentage_updated_lines: Percent = 0


class LinkThresholds(Model):
    """Limits on link changes of one association; 0 switches a limit off (engine.md 2.6)."""

    maximum_deleted_lines: Count = 0
    maximum_inserted_lines: Count = 0
    max_percentage_deleted_lines: Percent = 0
    max_percentage_inserted_lines: Percent = 0


class ConnectorThresholds(Model):
    """Limits over all entity types and associations of a connector, with the product's defaults."""

    maximum_deleted_lines: Count = 100
    maximum_inserted_lines: Count = 100
    maximum_updated_lines: Count = 100
    max_percentage_deleted_lines: Percent = 5
    max_percentage_inserted_lines: Percent = 5
    max_percentage_updated_lines: Percent = 5
    maximum_link_deleted_lines: Count = 1000
    maximum_link_inserted_lines: Count = 1000
    max_link_percentage_deleted_lines: Percent = 5
    max_link_percentage_inserted_lines: Percent = 5


class Schedules(Model):
    """Cron expressions (UTC), or null to run only when asked."""

    complete: str | None = None
    incremental: str | None = None


class Connection(Model):
    """One technical access to the managed system: a package, its settings, and an Airflow Connection.

    ``connection_id`` names the Airflow Connection that holds address and credentials; secrets never
    stand in ``settings``. ``settings`` is typed by the package's own ``Settings`` model.
    """

    identifier: ConnectionIdentifier
    package: str
    connection_id: str | None = None
    settings: dict[str, Any] = {}


class Expectation(Model):
    """One expectation of an integrator, run by Great Expectations on the clean table.

    ``expectation`` is the Great Expectations type in snake_case
    (``expect_column_values_to_be_in_set``), ``arguments`` its keyword arguments.
    """

    expectation: str
    arguments: dict[str, Any] = {}
    severity: Severity = "warning"


class Property(Model):
    """One property of an entity type and the column of the connection table that feeds it.

    ``format`` is a strptime pattern for ``datetime`` (default ISO 8601); ``max_length`` counts
    characters. ``column`` defaults to the identifier.
    """

    identifier: Identifier
    type: PropertyType = "string"
    column: str | None = None
    format: str | None = None
    primary_key: bool = False
    unique_key: bool = False
    max_length: Annotated[int, Field(gt=0)] | None = None
    allowed_values: tuple[str, ...] | None = None
    severity: Severity = "warning"

    @property
    def source_column(self) -> str:
        """The column of the connection table."""
        return self.column or self.identifier


class EntityType(Model):
    """What is stored of one kind of object, and the connection table it comes from."""

    identifier: Identifier
    display_name: str | None = None
    connection_table: str
    properties: Annotated[tuple[Property, ...], Field(min_length=1)]
    thresholds: ResourceThresholds = ResourceThresholds()
    expectations: tuple[Expectation, ...] = ()

    @property
    def primary_key(self) -> Property:
        """The mapping key; the loader guarantees exactly one."""
        return next(item for item in self.properties if item.primary_key)

    def find(self, identifier: str) -> Property | None:
        """The property of that identifier."""
        return next((item for item in self.properties if item.identifier == identifier), None)


class AssociationEnd(Model):
    """One end: the entity type, the navigation property it gains, and the key its column holds.

    ``column`` holds values of ``key`` (a primary or unique key of the entity type; its primary key by
    default). ``collection`` says whether one resource of this entity type may have several links.
    """

    entity_type: Identifier
    navigation: Identifier
    collection: bool = False
    column: str
    key: Identifier | None = None


class Association(Model):
    """A link between two entity types, one row per pair in a connection table (engine.md 1.5, 1.6)."""

    identifier: Identifier
    connection_table: str
    end1: AssociationEnd
    end2: AssociationEnd
    thresholds: LinkThresholds = LinkThresholds()


class TypeRule(Model):
    """Who gets a resource of the type: a boolean expression over the source entity type."""

    condition: str = "true"


class CorrelationRule(Model):
    """A resource belongs to the owner whose source expression equals its target expression."""

    source_expression: str
    target_expression: str
    confidence: Annotated[int, Field(ge=0, le=150)] = 100


class ScalarRule(Model):
    """The value of one target property, as an expression over the source entity type.

    ``is_mapped`` false writes the value at creation only and never compares it (engine.md 1.11).
    """

    property: Identifier
    expression: str
    is_mapped: bool = True


class NavigationRule(Model):
    """A fixed link of the target, e.g. membership of a group.

    The linked resource is the one whose ``target_property`` equals ``target_value``.
    """

    navigation: Identifier
    target_property: Identifier
    target_value: str
    condition: str = "true"


class ProvisioningThresholds(Model):
    """Limits on the orders of one resource type, with the product's defaults (engine.md 3.7)."""

    maximum_insert: Count = 0
    maximum_update: Count = 0
    maximum_delete: Count = 0
    maximum_insert_percent: Percent = 30
    maximum_update_percent: Percent = 30
    maximum_delete_percent: Percent = 30


class ResourceType(Model):
    """Owners of the source entity type may own resources of the target entity type (engine.md 1.8)."""

    identifier: Identifier
    display_name: str | None = None
    source_entity_type: Identifier
    target_entity_type: Identifier
    connection: ConnectionIdentifier
    allow_add: bool = True
    allow_remove: bool = True
    block_provisioning: bool = True
    depends_on: Identifier | None = None
    thresholds: ProvisioningThresholds = ProvisioningThresholds()
    batch_size: Annotated[int, Field(gt=0, le=1000)] = 200
    type_rule: TypeRule = TypeRule()
    correlation_rules: tuple[CorrelationRule, ...] = ()
    scalar_rules: tuple[ScalarRule, ...] = ()
    navigation_rules: tuple[NavigationRule, ...] = ()
    arguments: dict[str, str] = {}


class Connector(Model):
    """One managed system: its connections, what is stored of it, and what it should hold."""

    identifier: Identifier
    display_name: str | None = None
    agent: str = "default"
    pool: str = "default_pool"
    is_deactivated: bool = False
    schedules: Schedules = Schedules()
    thresholds: ConnectorThresholds = ConnectorThresholds()
    connections: Annotated[tuple[Connection, ...], Field(min_length=1)]
    entity_types: tuple[EntityType, ...] = ()
    associations: tuple[Association, ...] = ()
    resource_types: tuple[ResourceType, ...] = ()

    def connection(self, identifier: str) -> Connection:
        """The connection of that identifier.

        Raises:
            KeyError: there is none; the loader refuses such a configuration.
        """
        for item in self.connections:
            if item.identifier == identifier:
                return item
        raise KeyError(identifier)


class ConfigurationMistake(Model):
    """One mistake in one file: rendered as ``file:line: field: message``."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        """One clear line: where, which field, what to do."""
        return f"{self.file}:{self.line}: {self.field}: {self.message}"


class BrokenConnector(Model):
    """A file that could not be used, kept under the name its DAGs would have had."""

    identifier: str
    file: str
    mistakes: tuple[ConfigurationMistake, ...]


class Configuration(Model):
    """All connectors of one folder: those that can be used, and those that cannot, with the reason."""

    connectors: tuple[Connector, ...] = ()
    broken: tuple[BrokenConnector, ...] = ()
    version: str = ""
    """SHA-256 over the files' bytes, in order of name."""
    folder: str = ""

    def connector(self, identifier: str) -> Connector | None:
        """The usable connector of that identifier."""
        return next((item for item in self.connectors if item.identifier == identifier), None)

    def entity_type(self, identifier: str) -> EntityType | None:
        """The entity type of that identifier, whichever connector declares it."""
        return next(
            (entity for item in self.connectors for entity in item.entity_types if entity.identifier == identifier),
            None,
        )

    def connector_of(self, entity_type: str) -> Connector | None:
        """The connector that declares the entity type."""
        return next(
            (item for item in self.connectors if any(entity.identifier == entity_type for entity in item.entity_types)),
            None,
        )

    def associations(self) -> tuple[Association, ...]:
        """Every association of every connector."""
        return tuple(association for item in self.connectors for association in item.associations)
