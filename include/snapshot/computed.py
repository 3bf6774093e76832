"""Computed properties of the rows as they are once this run is loaded (engine.md 1.4).

They are computed for every row, kept ones too, over the links after the run, so that a value and its cause
stand in one version. What an expression reads of other connectors is what is stored of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from include.expressions.compilation import compile_expressions
from include.expressions.computed import Name, computed_levels
from include.expressions.errors import ExpressionMistake, first_line
from include.expressions.functions import install
from include.expressions.paths import EntityGraph, Scope
from include.model.base import DUCKDB_TYPES
from include.model.configuration import Configuration, EntityType, Property
from include.snapshot.errors import SnapshotError
from include.snapshot.known import remaining_rows
from include.snapshot.work import REJECT_COLUMNS, Work, parquet
from include.storage.engine import confine, literal, name

FAILED = "expression_failed"
"""The reason by which a value that could not be computed stands among the rejects of a run."""


def rejects_file(entity_type: EntityType) -> str:
    """The file of ``changes/`` that names the values that could not be computed."""
    return f"{entity_type.identifier}.rejects.csv"


def compute(work: Work, configuration: Configuration) -> Computation:
    """Compute every computed property of the connector; its associations are compared already.

    Expressions come from configuration files: from here on the engine reaches the run's files and no others.

    Raises:
        SnapshotError: an expression cannot be used, or what it reads has not been exported into the run.
    """
    install(work.connection)
    confine(work.connection, *(work.run.child(folder) for folder in ("base", "clean", "changes")))
    computation = Computation(work, configuration, EntityGraph.of(configuration, work.connector))
    for level in computed_levels(work.connector, computation.graph):
        computation.add(level)
    return computation


@dataclass(frozen=True, slots=True)
class _Step:
    """A temporary table: ``resource_id`` (the key as text), a column per property, and ``failed``, a list of names."""

    table: str
    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Computation:
    """What is computed so far, by entity type."""

    work: Work
    configuration: Configuration
    graph: EntityGraph
    steps: dict[str, list[_Step]] = field(default_factory=lambda: defaultdict(list))

    def add(self, level: list[Name]) -> None:
        """Compute properties that read only what is known so far."""
        wanted = set(level)
        found: list[tuple[str, _Step]] = []
        for entity_type in self.work.connector.entity_types:
            properties = [
                item for item in entity_type.computed_properties if (entity_type.identifier, item.identifier) in wanted
            ]
            if properties:
                found.append((entity_type.identifier, self._step(entity_type, properties)))
        for identifier, step in found:
            self.steps[identifier].append(step)

    def rows(self, entity_type: EntityType) -> str:
        """The rows of an entity type after the run, ``resource_id`` and every property known so far."""
        identifier = entity_type.identifier
        own = identifier in self.work.entity_types
        stated = entity_type.mapped_properties if own else entity_type.properties
        rows = remaining_rows(self.work, entity_type, [item.identifier for item in stated])
        steps = list(enumerate(self.steps.get(identifier, [])))
        fields = "".join(f", c{number}.{name(item)}" for number, step in steps for item in step.properties)
        joins = " ".join(
            f"LEFT JOIN {step.table} AS c{number} ON c{number}.resource_id = r.resource_id" for number, step in steps
        )
        key = name(entity_type.primary_key.identifier)
        return f"(SELECT r.*{fields} FROM (SELECT CAST({key} AS VARCHAR) AS resource_id, * FROM {rows}) AS r {joins})"

    def finish(self, entity_type: EntityType) -> tuple[str, int]:
        """A temporary table of the rows after the run in order of their key, and how many values failed.

        Writes the failed values to ``changes/``.
        """
        table = name(f"after {entity_type.identifier}")
        fields = ", ".join(name(item.identifier) for item in entity_type.properties)
        key = name(entity_type.primary_key.identifier)
        self.work.connection.execute(
            f"CREATE TEMP TABLE {table} AS SELECT {fields} FROM {self.rows(entity_type)} ORDER BY {key}"
        )
        failed = " UNION ALL ".join(
            f"SELECT resource_id, unnest(failed) AS property FROM {step.table}"
            for step in self.steps[entity_type.identifier]
        )
        shown = {"key": "resource_id", "column": "property", "reason": literal(FAILED)}
        columns = ", ".join(f"{shown.get(column, literal(''))} AS {name(column)}" for column in REJECT_COLUMNS)
        count = self.work.copy_csv(
            f"SELECT {columns} FROM ({failed}) ORDER BY ALL",
            rejects_file(entity_type),
            folder=self.work.run.child("changes"),
        )
        for step in self.steps.pop(entity_type.identifier):
            self.work.connection.execute(f"DROP TABLE {step.table}")
        return table, count

    def _step(self, entity_type: EntityType, properties: list[Property]) -> _Step:
        """Compute some properties of an entity type; a value that fails is NULL, and named in ``failed``."""
        import duckdb

        connection, scope = self.work.connection, Scope(self.graph, entity_type.identifier, timeless=True)
        compiled = compile_expressions(connection, [(item.expression or "", scope) for item in properties])
        tried, values, failed = [], [], []
        for position, (item, sql) in enumerate(zip(properties, compiled, strict=True)):
            if isinstance(sql, ExpressionMistake):
                raise SnapshotError(f"{entity_type.identifier}.{item.identifier}: {sql}")
            # A struct is never NULL: where TRY gives NULL, the expression failed.
            tried.append(f"TRY(struct_pack(v := CAST({sql} AS {DUCKDB_TYPES[item.type]}))) AS v{position}")
            values.append(f"v{position}.v AS {name(item.identifier)}")
            failed.append(f"CASE WHEN v{position} IS NULL THEN {literal(item.identifier)} END")
        number = len(self.steps.get(entity_type.identifier, []))
        table = name(f"computed {entity_type.identifier} {number}")
        try:
            connection.execute(f"""
                CREATE TEMP TABLE {table} AS
                SELECT resource_id, {", ".join(values)},
                    list_filter([{", ".join(failed)}], lambda property: property IS NOT NULL) AS failed
                FROM (SELECT source.resource_id, {", ".join(tried)} FROM {scope.from_clause(self._relation)})
            """)
        except duckdb.BinderException as error:
            raise SnapshotError(f"{entity_type.identifier}: cannot be computed: {first_line(error)}") from error
        return _Step(table, tuple(item.identifier for item in properties))

    def _relation(self, identifier: str) -> str:
        """An entity type or association after the run, under the names that paths over links use."""
        if entity_type := self.graph.entity_types.get(identifier):
            return self.rows(entity_type)
        return self._pairs(identifier)

    def _pairs(self, identifier: str) -> str:
        """The links of an association after the run: those of another connector end with this one's resources."""
        stored = self.work.stored(identifier)
        pair = "key1 AS resource1_id, key2 AS resource2_id"
        if any(item.identifier == identifier for item in self.work.connector.associations):
            changes = parquet(self.work.run.child("changes"), f"{identifier}.parquet")
            return f"""(
                SELECT {pair} FROM {stored} s WHERE NOT EXISTS (
                    SELECT 1 FROM {changes} c WHERE c.command = 'delete' AND c.key1 = s.key1 AND c.key2 = s.key2)
                UNION ALL SELECT {pair} FROM {changes} WHERE command = 'insert')"""
        association = next(item for item in self.configuration.associations() if item.identifier == identifier)
        conditions = ["true"]
        for key, end in (("key1", association.end1), ("key2", association.end2)):
            entity_type = self.graph.entity_types[end.entity_type]
            if end.entity_type in self.work.entity_types:
                primary = entity_type.primary_key.identifier
                rows = remaining_rows(self.work, entity_type, [primary])
                conditions.append(f"{key} IN (SELECT CAST({name(primary)} AS VARCHAR) FROM {rows})")
        return f"(SELECT {pair} FROM {stored} WHERE {' AND '.join(conditions)})"
