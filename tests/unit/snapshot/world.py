"""A run's folder with the files that come before a snapshot: exports, reports, and what is stored."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from connectors.contract import TableReport
from connectors.sink import CsvSink
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
from include.model.remembered import REMEMBERED
from include.snapshot.compare import Changes, compare_snapshot
from include.snapshot.preparation import Preparation
from include.snapshot.prepare import prepare
from include.snapshot.profile import TableProfile
from include.storage.engine import engine, literal
from include.storage.folder import Folder

ARROW_TYPES = {
    "VARCHAR": pyarrow.string(),
    "BLOB": pyarrow.binary(),
    "BIGINT": pyarrow.int64(),
    "INTEGER": pyarrow.int32(),
    "SMALLINT": pyarrow.int16(),
    "UTINYINT": pyarrow.uint8(),
    "DOUBLE": pyarrow.float64(),
    "BOOLEAN": pyarrow.bool_(),
    "TIMESTAMP": pyarrow.timestamp("us"),
}
Cell = str | None
Rows = Sequence[Sequence[Cell]]

PERSON = EntityType(
    identifier="Person",
    connection_table="people",
    properties=(
        Property(identifier="id", column="employee_id", primary_key=True),
        Property(identifier="name", max_length=20),
        Property(identifier="mail", unique_key=True),
        Property(identifier="age", type="int32"),
    ),
)
ORGANIZATION = EntityType(
    identifier="Organization",
    connection_table="organizations",
    properties=(Property(identifier="code", primary_key=True), Property(identifier="label", unique_key=True)),
)
GROUP = EntityType(
    identifier="Team", connection_table="teams", properties=(Property(identifier="code", primary_key=True),)
)


def end(
    entity_type: str, column: str, *, collection: bool = False, key: str | None = None, navigation: str | None = None
) -> AssociationEnd:
    """One end, its navigation named for the column where it has no name."""
    return AssociationEnd(
        entity_type=entity_type,
        navigation=navigation or f"by_{column}",
        column=column,
        collection=collection,
        key=key,
    )


WORKS_IN = Association(
    identifier="WorksIn",
    connection_table="people",
    end1=end("Person", "employee_id"),
    end2=end("Organization", "org", collection=True),
)
MANAGER = Association(
    identifier="Manager",
    connection_table="people",
    end1=end("Person", "employee_id"),
    end2=end("Person", "manager", collection=True),
)
MEMBER = Association(
    identifier="Member",
    connection_table="members",
    end1=end("Team", "team", collection=True),
    end2=end("Person", "person", collection=True),
)


def connector(
    *entity_types: EntityType, associations: Iterable[Association] = (), identifier: str = "HR", **fields: Any
) -> Connector:
    """A connector over the given types."""
    return Connector(
        identifier=identifier,
        connections=(Connection(identifier=f"{identifier}Files", package="csv"),),
        entity_types=entity_types,
        associations=tuple(associations),
        **fields,
    )


@dataclass
class World:
    """One run of one connector: fill its files, then walk the steps."""

    folder: Folder
    connector: Connector
    others: tuple[Connector, ...] = ()
    tables: list[TableReport] = field(default_factory=list)

    @classmethod
    def at(cls, path: Path, used: Connector, *others: Connector) -> World:
        """A run below a path of the test, with nothing stored."""
        world = cls(Folder(path.as_uri()), used, others)
        for item in (*used.entity_types, *(entity for other in others for entity in other.entity_types)):
            world.store(item)
        for association in used.associations:
            world.store_links(association)
        for remembered in REMEMBERED:
            world.store(remembered)
        world.folder.child("base").write_json("base.json", {"connector": used.identifier, "load_id": 7})
        return world

    @property
    def configuration(self) -> Configuration:
        """The connector and the others."""
        return Configuration(connectors=(self.connector, *self.others))

    def export(
        self, table: str, columns: Sequence[str], rows: Rows, *, complete: bool = True, command: bool = False
    ) -> World:
        """Write a raw file through the sink that the connectors use, and report it."""
        sink = CsvSink(lambda file: self.folder.write(f"raw/{file}"))
        with sink.table(table, columns) as writer:
            writer.write_rows(rows)
        reason = None if complete else "the source stopped"
        return self.report(TableReport(table, len(rows), complete, command=command, reason=reason))

    def report(self, table: TableReport) -> World:
        """Report one table, in place of an earlier report of it."""
        self.tables = [item for item in self.tables if item.table != table.table] + [table]
        content = {
            "connection": "HRFiles",
            "started_at": "2026-01-01T00:00:00+00:00",
            "cookie": None,
            "tables": [asdict(item) for item in self.tables],
        }
        self.folder.write_json("raw/HRFiles.report.json", content)
        return self

    def raw(self, table: str, content: bytes, rows: int) -> World:
        """Write the bytes of a raw file, and report it complete."""
        with self.folder.write(f"raw/{table}.csv") as stream:
            stream.write(content)
        return self.report(TableReport(table, rows, complete=True))

    def store(self, entity_type: EntityType, *rows: Sequence[Any]) -> World:
        """What the repository holds of an entity type."""
        columns = {item.identifier: DUCKDB_TYPES[item.type] for item in entity_type.properties}
        return self._base(entity_type.identifier, columns, rows)

    def store_links(self, association: Association, *pairs: tuple[str, str]) -> World:
        """What the repository holds of an association."""
        return self._base(association.identifier, {"key1": "VARCHAR", "key2": "VARCHAR"}, sorted(pairs))

    def _base(self, identifier: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> World:
        folder = self.folder.child("base")
        folder.make()
        fields = [(column, ARROW_TYPES[kind]) for column, kind in columns.items()]
        values = list(zip(*rows, strict=True)) if rows else [()] * len(fields)
        arrays = [pyarrow.array(column, kind) for column, (_, kind) in zip(values, fields, strict=True)]
        parquet.write_table(pyarrow.table(arrays, pyarrow.schema(fields)), f"{folder.path}/{identifier}.parquet")
        return self

    def prepare(self, run_id: str = "this run", last_good: Mapping[str, TableProfile] | None = None) -> Preparation:
        """Prepare the run, held against the profiles of an earlier one."""
        return prepare(self.connector, self.configuration, self.folder, run_id=run_id, last_good=last_good)

    def compare(self, mode: str = "complete", run_id: str = "this run") -> Changes:
        """Prepare and compare the run."""
        self.prepare(run_id)
        return compare_snapshot(self.connector, self.configuration, self.folder, mode)

    def rows(self, file: str) -> list[tuple[Any, ...]]:
        """The rows of a Parquet file of the run, in its order."""
        with engine(self.folder) as duck:
            return duck.execute(f"SELECT * FROM read_parquet({literal(self.folder.file(file))})").fetchall()

    def lines(self, file: str) -> list[dict[str, str]]:
        """The lines of a CSV file of the run."""
        text = self.folder.open(file).read().decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def commands(self, identifier: str) -> list[tuple[Any, ...]]:
        """The command and key of every change of an entity type, or command and pair of an association."""
        with engine(self.folder) as duck:
            relation = f"read_parquet({literal(self.folder.file(f'changes/{identifier}.parquet'))})"
            return duck.execute(
                f"SELECT COLUMNS(c -> c IN ('command', 'key', 'key1', 'key2')) FROM {relation}"
            ).fetchall()
