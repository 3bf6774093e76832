"""A plan: which orders today's repository and a configuration would give, against the configuration in use.

Nothing is recorded, opened or kept: the repository is read once, and everything else happens in a scratch
folder that goes away.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.model.configuration import Configuration, Connector
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.provision import last_reads
from include.orchestration.run import StepFailed
from include.orchestration.scratch import Reader, export_once, joint_configuration, remapped
from include.policy.evaluate import Evaluation, evaluate
from include.provisioning.planning import Decided, Difference, Side, decide_side, write_difference
from include.repository.repository import Repository
from include.storage.csv_output import copy_to_csv
from include.storage.engine import engine, literal
from include.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one configuration would order; ``warnings`` say where that is less than certain."""

    configuration: Configuration
    connector: Connector
    evaluation: Evaluation
    decided: Decided
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """The differences that one rule makes: lines of the CSV by what becomes of them, and how many owners they touch."""

    resource_type: str
    rule: str
    definition: str
    status: str
    created: int
    updated: int
    removed: int
    owners: int


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One line that differs, as the CSV has it (``planning.write_difference``)."""

    resource_type: str
    rule: str
    change: str
    order_type: str
    owner_key: str | None
    owner_id: int | None
    target_key: str | None
    subject: str
    before: str | None
    after: str | None

    @property
    def owner(self) -> str:
        """The owner as a person knows it: the key, or the resource id of one who is gone."""
        return self.owner_key or f"resource {self.owner_id}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The comparison of two outcomes; its files last as long as the ``plan`` block.

    ``present`` is None where the planned orders are those of the configuration in use, compared with none.
    """

    connector: str
    planned_at: datetime
    present: Outcome | None
    planned: Outcome
    warnings: tuple[str, ...]
    seconds: float
    difference: Difference
    scratch: Folder

    def groups(self) -> list[RuleGroup]:
        """The differences by resource type and rule."""
        return [RuleGroup(*row) for row in self._rows(_GROUPS)]

    def samples(self, limit: int) -> list[PlannedChange]:
        """The first lines of each rule, change and type of order, ``limit`` of each."""
        return [PlannedChange(*row) for row in self._rows(_SAMPLES.replace("$limit", str(limit)))]

    def write_csv(self, target: Path) -> int:
        """Write every line that differs to a CSV file, whole or not at all; how many.

        Raises:
            NotADirectoryError: the folder of the file does not exist.
        """
        with engine(self.scratch) as connection:
            return copy_to_csv(connection, f"FROM {self._lines}", target.absolute())

    @property
    def _lines(self) -> str:
        return f"read_parquet({literal(self.difference.file)})"

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with engine(self.scratch) as connection:
            connection.execute(f"CREATE VIEW difference AS FROM {self._lines}")
            return connection.execute(query).fetchall()


_GROUPS = """
    SELECT resource_type, rule, definition, status, count(*) FILTER (change = 'created'),
        count(*) FILTER (change = 'updated'), count(*) FILTER (change = 'removed'), count(DISTINCT owner_id)
    FROM difference GROUP BY ALL ORDER BY ALL
"""
_SAMPLES = """
    SELECT resource_type, rule, change, order_type, owner_key, owner_id, target_key, property, "from", "to"
    FROM difference
    QUALIFY row_number() OVER (
        PARTITION BY resource_type, rule, definition, change, order_type
        ORDER BY owner_key, owner_id, target_key, property, "from", "to"
    ) <= $limit
    ORDER BY ALL
"""


@contextmanager
def plan(connector_identifier: str, other: Path | None = None) -> Iterator[Plan]:
    """Evaluate the repository as it is today, and compare the orders that would follow.

    Args:
        connector_identifier: whose resource types.
        other: the folder of another configuration, compared with the one in use; without it the orders that the
            next run with the one in use would create are compared with none.

    Raises:
        UnknownConnector: the planned configuration has no such connector, or its file has mistakes.
        StepFailed: there is no such folder, or what is stored does not fit the planned configuration.
        PolicyError: a rule fails on the data; it names the rule.
    """
    if other is not None and not other.is_dir():
        raise StepFailed(f"{other}: no such configuration folder")
    present = load_project()
    planned = load_project(other.absolute()) if other else present
    now, started = datetime.now(UTC), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rollcall-plan-") as temporary:
        scratch = Folder(Path(temporary).as_uri())
        readers = [Reader(planned, find_connector(planned, connector_identifier), scratch.child("planned"))]
        if other is not None:
            connector = _present_connector(present, connector_identifier)
            readers.insert(0, Reader(present, connector, scratch.child("present")))
        joint = joint_configuration(readers)
        repository = open_repository(joint, migrate=False)
        warnings = export_once(scratch, repository, joint, readers)
        warnings += remapped(present, readers[-1])
        outcomes = [_evaluate(reader, repository, now) for reader in readers]
        warnings += outcomes[-1].warnings
        sides = [Side(reader.configuration, reader.connector, reader.folder) for reader in readers]
        difference = write_difference(sides[0] if other else None, sides[-1], scratch.child("difference"))
        yield Plan(
            connector_identifier,
            now,
            outcomes[0] if other else None,
            outcomes[-1],
            tuple(warnings),
            time.monotonic() - started,
            difference,
            scratch,
        )


def _evaluate(reader: Reader, repository: Repository, evaluated_at: datetime) -> Outcome:
    """Evaluate one configuration, and decide its orders."""
    reads = last_reads(repository, reader.configuration, reader.connector)
    resource_types = reader.connector.resource_types
    evaluation = evaluate(
        reader.configuration, resource_types, reader.folder, evaluated_at=evaluated_at, target_read_at=reads
    )
    decided = decide_side(Side(reader.configuration, reader.connector, reader.folder))
    never = sorted({item.target_entity_type for item in resource_types} - set(reads))
    warnings = [
        f"{item}: never synchronized: planned as if the managed system held nothing of it; "
        "until it is, no order is sent"
        for item in never
    ]
    if reader.connector.is_deactivated:
        warnings.append(f"{reader.connector.identifier}: deactivated: no order is sent")
    return Outcome(reader.configuration, reader.connector, evaluation, decided, warnings)


def _present_connector(configuration: Configuration, identifier: str) -> Connector:
    """The connector in use; one without resource types where there is none yet.

    Raises:
        UnknownConnector: there is one, and its file has mistakes.
    """
    if any(item.identifier == identifier for item in configuration.broken):
        return find_connector(configuration, identifier)
    return configuration.connector(identifier) or Connector.model_construct(identifier=identifier, connections=())
