"""The tables of the repository, computed from the configuration.

One table per entity type and one per association, each row a version: ``valid_from`` (inclusive) to
``valid_to`` (exclusive; open end 9999-12-31), the load that wrote it and the load that closed it.
Instants are UTC without a zone, in microseconds (``instants.VersionInstant``). Identifiers are the tables' and
columns' names, always quoted; because SQLite ignores case in names and PostgreSQL does not, two that differ
only in case are refused on both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from include.model.base import PropertyType
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.repository.errors import SchemaMismatch
from include.repository.instants import OpenEnd, VersionInstant
from include.repository.ledger import LEDGER
from include.repository.system import SYSTEM_ENTITY_TYPES

VERSION_COLUMNS = ("valid_from", "valid_to", "load_id", "closed_by_load_id")
# Names that PostgreSQL keeps for itself in every table, and those of the versions.
RESERVED_COLUMNS = frozenset(
    {"resource_id", *VERSION_COLUMNS, "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "rowid"}
)
RESERVED_PREFIXES = ("rollcall_", "sqlite_", "pg_")

Versions = sa.FromClause


class ExactDouble(sa.types.TypeDecorator[float]):
    """A double that comes back bit for bit: SQLite's own loses the sign of zero and turns NaN to NULL."""

    impl = sa.Double
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Text on SQLite (Python's shortest form that reads back equal), a double elsewhere."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.Double())

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> Any:
        """A Python float as it is stored."""
        return repr(float(value)) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> float | None:  # noqa: ARG002
        """What is stored as a Python float."""
        return None if value is None else float(value)


COLUMN_TYPES: dict[PropertyType, type[sa.types.TypeEngine[Any]]] = {
    "string": sa.Text,
    "bytes": sa.LargeBinary,
    "int32": sa.Integer,
    "int64": sa.BigInteger,
    "datetime": sa.DateTime,
    "bool": sa.Boolean,
    "guid": sa.Text,
    "double": ExactDouble,
    "binary": sa.LargeBinary,
    "byte": sa.SmallInteger,
    "int16": sa.SmallInteger,
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables that a configuration needs, and the items they were computed from."""

    metadata: sa.MetaData
    entity_types: dict[str, EntityType]
    associations: dict[str, Association]

    def table(self, item: EntityType | Association) -> sa.Table:
        """The table of an entity type or association.

        Raises:
            SchemaMismatch: the configuration does not declare it.
        """
        try:
            return self.metadata.tables[item.identifier]
        except KeyError:
            raise SchemaMismatch(f"{item.identifier}: not in the configuration that the repository was given") from None

    def entity_type(self, identifier: str) -> EntityType:
        """The entity type of that identifier.

        Raises:
            SchemaMismatch: the configuration does not declare it.
        """
        try:
            return self.entity_types[identifier]
        except KeyError:
            raise SchemaMismatch(f"{identifier}: no entity type of the configuration has this identifier") from None

    def association(self, identifier: str) -> Association:
        """The association of that identifier.

        Raises:
            SchemaMismatch: the configuration does not declare it.
        """
        try:
            return self.associations[identifier]
        except KeyError:
            raise SchemaMismatch(f"{identifier}: no association of the configuration has this identifier") from None

    def ends(self, association: Association) -> tuple[EntityType, EntityType]:
        """The entity types of both ends."""
        return self.entity_type(association.end1.entity_type), self.entity_type(association.end2.entity_type)

    def associations_of(self, entity_type: EntityType) -> list[Association]:
        """Every association with an end of that entity type, whichever connector declares it."""
        return [
            item
            for item in self.associations.values()
            if entity_type.identifier in (item.end1.entity_type, item.end2.entity_type)
        ]


def is_current(table: Versions) -> sa.ColumnElement[bool]:
    """Rows that are true now."""
    return table.c.valid_to == OpenEnd()


def is_closed(table: Versions) -> sa.ColumnElement[bool]:
    """Rows of the past, in the words of the partial index over them."""
    return table.c.valid_to < OpenEnd()


def is_valid_at(table: Versions, instant: datetime) -> sa.ColumnElement[bool]:
    """Rows that were true at an instant."""
    return sa.and_(table.c.valid_from <= instant, table.c.valid_to > instant)


def holds(table: Versions, instant: datetime | None) -> sa.ColumnElement[bool]:
    """Rows that are true now (None), or were at an instant."""
    return is_current(table) if instant is None else is_valid_at(table, instant)


def select_links(schema: Schema, association: Association, instant: datetime | None) -> sa.Select[Any]:
    """``resource1_id, resource2_id, key1, key2`` of the links that hold now (None), or did at an instant."""
    table = schema.table(association)
    first, second = schema.ends(association)
    table1, table2 = sa.alias(schema.table(first), "end1"), sa.alias(schema.table(second), "end2")
    return (
        sa.select(
            table.c.resource1_id,
            table.c.resource2_id,
            table1.c[first.primary_key.identifier].label("key1"),
            table2.c[second.primary_key.identifier].label("key2"),
        )
        .select_from(table)
        .join(table1, sa.and_(table1.c.resource_id == table.c.resource1_id, holds(table1, instant)))
        .join(table2, sa.and_(table2.c.resource_id == table.c.resource2_id, holds(table2, instant)))
        .where(holds(table, instant))
    )


def build_schema(configuration: Configuration) -> Schema:
    """The tables that a configuration needs: its own, the system's and the ledger.

    Raises:
        SchemaMismatch: an identifier is reserved, or two differ only in case.
    """
    entity_types = [
        *SYSTEM_ENTITY_TYPES,
        *(entity for item in configuration.connectors for entity in item.entity_types),
    ]
    associations = list(configuration.associations())
    names = [*(item.identifier for item in entity_types), *(item.identifier for item in associations)]
    _check_names("the configuration", names)
    metadata = sa.MetaData()
    for table in LEDGER.sorted_tables:
        table.to_metadata(metadata)
    for entity in entity_types:
        _entity_table(metadata, entity)
    for association in associations:
        _association_table(metadata, association)
    return Schema(
        metadata,
        {item.identifier: item for item in entity_types},
        {item.identifier: item for item in associations},
    )


def _entity_table(metadata: sa.MetaData, entity: EntityType) -> sa.Table:
    names = [item.identifier for item in entity.properties]
    _check_names(entity.identifier, names)
    for identifier in names:
        if identifier.lower() in RESERVED_COLUMNS:
            raise SchemaMismatch(
                f"{entity.identifier}.{identifier}: the repository keeps this name for itself; choose another"
            )
    columns = [sa.Column(item.identifier, COLUMN_TYPES[item.type](), quote=True) for item in entity.properties]
    table = sa.Table(
        entity.identifier,
        metadata,
        sa.Column("resource_id", sa.BigInteger, primary_key=True, autoincrement=False),
        *columns,
        *_version_columns(),
        quote=True,
    )
    key = table.c[entity.primary_key.identifier]
    # At most one current version per key; and a key that returns is looked up among the closed ones.
    _partial_index(table, "current", [key], is_current(table), unique=True)
    _partial_index(table, "closed", [key], is_closed(table))
    _load_indexes(table)
    return table


def _association_table(metadata: sa.MetaData, association: Association) -> sa.Table:
    table = sa.Table(
        association.identifier,
        metadata,
        sa.Column("resource1_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("resource2_id", sa.BigInteger, primary_key=True, autoincrement=False),
        *_version_columns(),
        quote=True,
    )
    _partial_index(table, "current", [table.c.resource2_id], is_current(table))
    _load_indexes(table)
    return table


def _load_indexes(table: sa.Table) -> None:
    """What the loads since one have written and closed is found without reading the table."""
    sa.Index(index_name(table.name, "written"), table.c.load_id)
    _partial_index(table, "ended", [table.c.closed_by_load_id], is_closed(table))


def _version_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("valid_from", VersionInstant, primary_key=True),
        sa.Column("valid_to", VersionInstant, nullable=False),
        sa.Column("load_id", sa.BigInteger, nullable=False),
        sa.Column("closed_by_load_id", sa.BigInteger),
    ]


def index_name(table: str, purpose: str) -> str:
    """A name within PostgreSQL's 63 bytes, and its own for every table."""
    return f"ix_{table[:40]}_{hashlib.sha256(table.encode()).hexdigest()[:6]}_{purpose}"


def _partial_index(
    table: sa.Table,
    purpose: str,
    columns: list[sa.Column[Any]],
    condition: sa.ColumnElement[bool],
    *,
    unique: bool = False,
) -> None:
    sa.Index(
        index_name(table.name, purpose), *columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )


def naming_mistakes(connector: Connector) -> Iterator[tuple[str, str]]:
    """Identifiers of a connector that no table or column of the repository can have: (path of the field, message)."""
    own = {item.identifier for item in SYSTEM_ENTITY_TYPES}
    for position, entity in enumerate(connector.entity_types):
        path = f"entity_types[{position}]"
        if entity.identifier.lower() in own or entity.identifier.lower().startswith(RESERVED_PREFIXES):
            yield f"{path}.identifier", f"'{entity.identifier}' names a table of Rollcall's own; choose another"
        for number, item in enumerate(entity.properties):
            if item.identifier.lower() in RESERVED_COLUMNS or item.identifier.lower().startswith(RESERVED_PREFIXES):
                where = f"{path}.properties[{number}].identifier"
                yield where, f"'{item.identifier}' names a column of Rollcall's own; choose another"
    for position, association in enumerate(connector.associations):
        if association.identifier.lower() in own or association.identifier.lower().startswith(RESERVED_PREFIXES):
            path = f"associations[{position}].identifier"
            yield path, f"'{association.identifier}' names a table of Rollcall's own; choose another"


def _check_names(where: str, names: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    for identifier in names:
        if identifier.lower().startswith(RESERVED_PREFIXES):
            raise SchemaMismatch(f"{where}: the identifier {identifier} begins with a reserved prefix; choose another")
        other = seen.setdefault(identifier.lower(), identifier)
        if other is not identifier:
            raise SchemaMismatch(
                f"{where}: the identifiers {other} and {identifier} are one name to the repository; rename one of them"
            )
