"""The configuration of one connector, as an integrator writes it in YAML.

Names are those of the re-implemented product in snake_case (``reference/engine.md`` section 1).
Every model refuses unknown fields and is frozen. Rules that one model cannot see (an association to
an unknown entity type, two primary keys, a secret among settings) are checked by
``include.model.loader``, which knows the line of every field in its file.

Attribute docstrings are what editors show beside a field (``include.model.schema``).
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field, field_validator

from include.model.base import (
    ConnectionIdentifier,
    ConnectionTable,
    Count,
    Identifier,
    Model,
    Percent,
    PropertyType,
    Severity,
    Text,
)
from include.model.formats import with_mask_columns
from include.model.resource_type import ResourceType
from include.model.transformation import Transformation

IDENTITY_REPOSITORY = "identity_repository"
"""The package of a connection whose resources stand in the identity repository alone (engine.md 3.8, own database)."""


class ResourceThresholds(Model):
    """Limits on resource changes of one synchronization; 0 switches a limit off (engine.md 2.6)."""

    maximum_deleted_lines: Count = 0
    maximum_inserted_lines: Count = 0
    maximum_updated_lines: Count = 0
    max_percentage_deleted_lines: Percent = 0
    max_percentage_inserted_lines: Percent = 0
    max_percentage_updated_lines: Percent = 0
    percentage_floor: Count = 2
    """A percentage blocks only when more lines than this change, too; 0 switches the floor off."""


class LinkThresholds(Model):
    """Limits on link changes of one association; 0 switches a limit off (engine.md 2.6)."""

    maximum_deleted_lines: Count = 0
    maximum_inserted_lines: Count = 0
    max_percentage_deleted_lines: Percent = 0
    max_percentage_inserted_lines: Percent = 0
    percentage_floor: Count = 2
    """A percentage blocks only when more lines than this change, too; 0 switches the floor off."""


class Gates(Model):
    """How far a table may differ from the last run that was loaded; 0 switches a gate off (engine.md 7 item 3).

    Known before the comparison; what exceeds a gate blocks the run as a threshold does. Of a table of changes, only
    unparsable values are looked at.
    """

    max_percentage_fewer_rows: Percent = 30
    """Rows that are gone, in percent of the rows of the last run."""
    max_percentage_more_rows: Percent = 0
    """Rows that came, in percent of the rows of the last run; off, because a system that is provisioned grows."""
    max_points_more_empty_values: Percent = 20
    """Rise of the share of empty values of one column, in percentage points."""
    max_points_more_unparsable_values: Percent = 5
    """Rise of the share of values of one column that are no value of its type, in percentage points."""
    max_points_swapped_columns: Percent = 30
    """By how much two columns may resemble each other's last values more than their own, in percentage points."""
    percentage_floor: Count = 2
    """A gate blocks only when more rows than this are concerned, too; 0 switches the floor off."""


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
    percentage_floor: Count = 2
    """A percentage blocks only when more lines than this change, too; 0 switches the floor off."""


class Schedules(Model):
    """When the connector runs by itself; without an expression it runs only when asked."""

    complete: str | None = None
    """Cron expression of five fields, in UTC, or a preset such as @daily."""
    incremental: str | None = None
    """Cron expression of five fields, in UTC, or a preset such as @hourly."""
    order_files: str | None = None
    """When order files in a folder are fulfilled (connections with source: folder); as above."""


class HistoryRetention(Model):
    """How long the repository keeps what is no longer true; what is true now never goes (engine.md 2.11)."""

    purge_after_days: Count = 0
    """Versions that ended so many days ago are removed; 0 keeps them for ever."""
    thin: str | None = None
    """Ranges of minutes:count such as 1440:7 43920:6 525960:2 (7 daily, 6 monthly, 2 yearly versions of each
    resource); keeps every version when left out."""


class Retention(Model):
    """How long the files of runs are kept. A legal hold suspends all of it (rollcall hold)."""

    snapshots_days: Count = 0
    """A snapshot's files go so many days after its publication; 0 keeps them for ever. The manifest stays."""
    snapshots_count: Annotated[int, Field(ge=1, strict=True)] = 1
    """So many of the newest snapshots stay, however old they are."""
    unpublished_days: Count = 30
    """The files of dry runs and of runs that were never loaded go so many days after their end; 0 keeps them."""
    history: HistoryRetention = HistoryRetention()


class Connection(Model):
    """One technical access to the managed system: a package, its settings, and an Airflow Connection."""

    identifier: ConnectionIdentifier
    """Unique in the connector, whatever the case; begins the name of every table it exports."""
    package: Text
    """The technology, e.g. csv, sql, scim; identity_repository where the resources stand in Rollcall's own database: it
    exports nothing, and its orders are carried out there."""
    connection_id: str | None = None
    """The Airflow Connection that holds address and credentials."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What the package needs beyond address and credentials; a secret never stands here."""
    transformations: tuple[Transformation, ...] = ()
    """Of file exports: what is done to the raw tables before they are prepared, in this order."""


class Expectation(Model):
    """One expectation of an integrator, run by Great Expectations on the clean table."""

    expectation: Text
    """The type in snake_case, e.g. expect_column_values_to_be_in_set."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Its keyword arguments."""
    severity: Severity = "warning"
    """A critical failure stops the run before anything is compared; a warning is kept with the snapshot."""


class Property(Model):
    """One property of an entity type, and the column of the connection table or the expression that feeds it."""

    identifier: Identifier
    type: PropertyType = "string"
    column: Text | None = None
    """The column of the connection table; the identifier when left out."""
    expression: Text | None = None
    """Computes the value from other properties and links to one, such as manager.mail; it then has no column."""
    format: Text | None = None
    """How the managed system spells the value: for datetime a strptime pattern such as %d/%m/%Y (ISO 8601 when left
    out), or a named format: Bool, Byte, Int16, Int32, Int64, Double, Guid, Guid:big_endian, Bytes, Binary, DateTime,
    Date, 1601Date, RDN, SID, Concat:<separator>, Bit:<property>:<bit>, MultivaluedText."""
    primary_key: bool = False
    """The mapping key: exactly one per entity type, unique and immutable in the source."""
    unique_key: bool = False
    """Unique in the source, so that associations may use it; at most three per entity type."""
    max_length: Annotated[int, Field(gt=0, strict=True)] | None = None
    """In characters; a longer value is rejected."""
    allowed_values: tuple[str, ...] | None = None
    """Any other value is rejected."""
    history_precision: Annotated[int, Field(ge=0, le=52_596_000, strict=True)] = 0
    """Minutes. For a value that changes all the time, such as a last logon: while only such values change, at most one
    version is kept per so many minutes, and later values are written over it. 0 keeps every value."""
    severity: Severity = "warning"
    """What a value that breaks these rules is: a warning, or critical for the whole run."""

    @property
    def source_column(self) -> str:
        """The column of the connection table; a computed property has none."""
        return self.column or self.identifier


class OnMissing(Model):
    """What becomes of a stored row that a complete extract lacks (engine.md 7, item 5)."""

    keep_runs: Count = 0
    """How many runs in a row may lack it before the next one deletes it; 0 deletes at once."""


class EntityType(Model):
    """What is stored of one kind of object, and the connection table it comes from."""

    identifier: Identifier
    display_name: str | None = None
    connection_table: ConnectionTable
    """<connection>, or <connection>_<suffix>."""
    properties: Annotated[tuple[Property, ...], Field(min_length=1)]
    on_missing: OnMissing = OnMissing()
    """A row that an extract lacks: deleted at once, or kept for some runs first. A delete command always deletes."""
    thresholds: ResourceThresholds = ResourceThresholds()
    gates: Gates = Gates()
    expectations: tuple[Expectation, ...] = ()

    @field_validator("properties")
    @classmethod
    def _read_flags_from_their_mask(cls, properties: tuple[Property, ...]) -> tuple[Property, ...]:
        return with_mask_columns(properties)

    @property
    def mapped_properties(self) -> tuple[Property, ...]:
        """The properties that the connection table feeds."""
        return tuple(item for item in self.properties if item.expression is None)

    @property
    def computed_properties(self) -> tuple[Property, ...]:
        """The properties that an expression feeds, once a run's rows and links are known."""
        return tuple(item for item in self.properties if item.expression is not None)

    @property
    def display_name_property(self) -> Property:
        """What a person is shown of a resource (engine.md 1.4, InternalDisplayName).

        ``internal_display_name``, else the first property whose identifier contains "name", else the first.
        """
        named = (item for item in self.properties if "name" in item.identifier.casefold())
        return self.find("internal_display_name") or next(named, self.properties[0])

    @property
    def primary_key(self) -> Property:
        """The mapping key; the loader guarantees exactly one."""
        return next(item for item in self.properties if item.primary_key)

    def find(self, identifier: str) -> Property | None:
        """The property of that identifier."""
        return next((item for item in self.properties if item.identifier == identifier), None)


class AssociationEnd(Model):
    """One end of an association: an entity type, and the column of the connection table that names its resource."""

    entity_type: Identifier
    navigation: Identifier
    """The name under which this entity type reaches the other end."""
    collection: bool = False
    """Whether one resource of this entity type may have several links."""
    column: Text
    """The column that holds values of the key."""
    key: Identifier | None = None
    """A primary or unique key of the entity type; its primary key when left out."""


class Association(Model):
    """A link between two entity types, one row per pair in a connection table (engine.md 1.5, 1.6)."""

    identifier: Identifier
    connection_table: ConnectionTable
    """<connection>, or <connection>_<suffix>."""
    end1: AssociationEnd
    end2: AssociationEnd
    thresholds: LinkThresholds = LinkThresholds()


class Connector(Model):
    """One managed system: its connections, what is stored of it, and what it should hold."""

    identifier: Identifier
    display_name: str | None = None
    agent: Text = "default"
    """The queue of the workers that reach the managed system."""
    pool: Text = "default_pool"
    """The Airflow pool whose slots limit what the managed system has to do at once."""
    is_deactivated: bool = False
    """True switches export and provisioning off."""
    schedules: Schedules = Schedules()
    thresholds: ConnectorThresholds = ConnectorThresholds()
    retention: Retention = Retention()
    connections: Annotated[tuple[Connection, ...], Field(min_length=1)]
    entity_types: tuple[EntityType, ...] = ()
    associations: tuple[Association, ...] = ()
    resource_types: tuple[ResourceType, ...] = ()

    @property
    def mapping_version(self) -> str:
        """SHA-256 over what decides how the system's data becomes rows and links; names and limits do not."""
        aside = {"display_name": True, "thresholds": True, "gates": True, "expectations": True}
        mapping = self.model_dump(
            mode="json",
            include={"connections", "entity_types", "associations"},
            exclude={"entity_types": {"__all__": aside}, "associations": {"__all__": {"thresholds": True}}},
        )
        return hashlib.sha256(json.dumps(mapping, sort_keys=True).encode()).hexdigest()

    @property
    def is_inbound(self) -> bool:
        """Whether its resources stand in the identity repository alone: no export reads them, orders write them."""
        return any(item.package == IDENTITY_REPOSITORY for item in self.connections)

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
    """SHA-256 over the files' names and bytes, in order of name."""
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
