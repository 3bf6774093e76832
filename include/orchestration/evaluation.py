"""The evaluation of a provisioning run: of all owners, or of those whom changes since the last one concern.

A complete evaluation reads the repository into ``state/`` of its run. An incremental one reads the versions
written since, and takes the rest from there; so do the steps that decide and settle orders. Where the last
evaluation left off is recorded in the transaction that loads its result.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime

from include.expressions.paths import EntityGraph
from include.model.configuration import Association, Configuration, Connector, EntityType
from include.model.environment import storage_url
from include.orchestration.run import Run
from include.policy.affected import find_affected
from include.policy.evaluate import evaluate
from include.policy.extract import OWNED, extract, extract_orders
from include.policy.past import STATE, VERSIONS, Item, Past, past, read_items
from include.policy.position import Position, rules_version, state_sha256
from include.policy.rules import next_change_at
from include.policy.touched import Clock
from include.policy.workspace import Extent
from include.repository.repository import Repository
from include.repository.system import PROVISIONING_ENTITY_TYPES
from include.storage.folder import Folder, run_folder

logger = logging.getLogger(__name__)

COOKIE = "evaluation"
"""The position of an evaluation is kept as a cookie of this name."""
MAXIMUM_SHARE, FEW = 0.2, 10_000
"""An incremental evaluation is of at most this share of all owners; of so few it always is."""


def scope(connector: str) -> str:
    """The name under which provisioning steps of a connector are loaded."""
    return f"provision:{connector}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one connector's rules may read, and when their targets were read."""

    run: Run
    repository: Repository
    configuration: Configuration
    connector: Connector
    entity_types: Sequence[EntityType]
    associations: Sequence[Association]
    target_read_at: dict[str, datetime]

    @property
    def items(self) -> list[Item]:
        """Everything of which rows are read."""
        return read_items(self.entity_types, self.associations)

    @property
    def rules(self) -> str:
        """The version of rules and mapping."""
        return rules_version(self.configuration, self.connector.resource_types, self.items)

    def export_all(self, folder: str) -> int:
        """Write all that is stored; the newest load in it."""
        target = self.run.folder.child(folder)
        self.repository.export_base(
            target,
            scope(self.connector.identifier),
            [*self.entity_types, *PROVISIONING_ENTITY_TYPES],
            self.associations,
            resource_ids=True,
        )
        return int(target.read_json("base.json")["newest_load"])

    def folder(self, run_id: str) -> Folder:
        """The folder of another run of the connector."""
        return run_folder(storage_url(), self.connector.identifier, run_id)

    def open_past(self, position: Position, own_load: int, evaluated_at: datetime) -> AbstractContextManager[Past]:
        """All that is stored, from ``state/`` of the last complete evaluation and what was written since."""
        loads = self.repository.export_versions(
            self.run.folder.child(VERSIONS), scope(self.connector.identifier), self.items, position.complete_load
        )
        self.run.folder.child("base").write_json("base.json", {"connector": scope(self.connector.identifier), **loads})
        return past(
            self.run.folder,
            self.folder(position.complete_run),
            self.folder(position.run),
            EntityGraph.of(self.configuration),
            self.items,
            load=position.load,
            own_load=own_load,
            evaluated_at=evaluated_at,
        )


def evaluate_run(reading: Reading, evaluated_at: datetime) -> Position:
    """Evaluate the connector's resource types in the mode of the run, or completely where it must be.

    Returns:
        The position to record with the load of ``changes/``; ``base/base.json`` names the base of this load.
    """
    extent, position = _prepare(reading, evaluated_at)
    if position is None:
        load = reading.export_all(STATE)
        extent = Extent("complete", extent.reason, STATE)
        state = state_sha256(reading.run.folder.child(STATE), reading.items)
        position = Position(
            complete_run=reading.run.run_id,
            complete_load=load,
            complete_at=evaluated_at,
            state=state,
            run=reading.run.run_id,
            load=load,
            evaluated_at=evaluated_at,
            target_read_at=reading.target_read_at,
            rules=reading.rules,
        )
        reading.run.folder.child("base").write_json("base.json", reading.run.folder.read_json(f"{STATE}/base.json"))
    logger.info(
        "%s: %s evaluation%s", reading.connector.identifier, extent.mode, f": {extent.reason}" if extent.reason else ""
    )
    evaluate(
        reading.configuration,
        reading.connector.resource_types,
        reading.run.folder,
        evaluated_at=evaluated_at,
        target_read_at=reading.target_read_at,
        extent=extent,
    )
    return position


def _prepare(reading: Reading, evaluated_at: datetime) -> tuple[Extent, Position | None]:
    """Bring together what an incremental evaluation reads, or say why it must be complete."""
    run = reading.run
    if run.requested_mode != "incremental":
        return Extent("complete", "asked for"), None
    known = reading.repository.position(scope(reading.connector.identifier), COOKIE)
    if known is None:
        return Extent("complete", "nothing was evaluated before"), None
    position, own_load = Position.from_text(known[0]), known[1]
    if reason := _obstacle(reading, position):
        return Extent("complete", reason), None
    clock = Clock(position.evaluated_at, evaluated_at, dict(position.target_read_at), reading.target_read_at)
    with reading.open_past(position, own_load, evaluated_at) as opened:
        rules = find_affected(opened, reading.configuration, reading.connector.resource_types, clock)
        if reason := _too_many(opened, reading):
            return Extent("complete", reason), None
        extract(opened, rules)
        changes = {item.resource_type.identifier: next_change_at(opened.present, item) for item in rules}
    load = int(run.folder.read_json("base/base.json")["newest_load"])
    position = replace(
        position, run=run.run_id, load=load, evaluated_at=evaluated_at, target_read_at=reading.target_read_at
    )
    return Extent("incremental", next_change_at=changes), position


def _obstacle(reading: Reading, position: Position) -> str | None:
    """Why the last evaluation cannot be built upon."""
    if position.rules != reading.rules:
        return "the rules or the mapping have changed since the last evaluation"
    state = reading.folder(position.complete_run).child(STATE)
    files = [state.exists(f"{item.identifier}.parquet") for item in reading.items]
    if not all(files) or not reading.folder(position.run).exists("changes/findings.parquet"):
        return f"the files of run {position.run}, or those of the complete run {position.complete_run}, are gone"
    if reading.repository.has_lost_history(position.complete_at):
        return "history was purged or thinned since the last complete evaluation"
    written = reading.repository.rows_written(position.complete_load)
    for item in reading.items:
        changed = written.get(item.identifier, 0)
        if changed > FEW and changed > MAXIMUM_SHARE * _rows(state, item.identifier):
            return f"{changed} rows of {item.identifier} were written since the last complete evaluation"
    if state_sha256(state, reading.items) != position.state:
        return f"the files in state/ of run {position.complete_run} are not those that it wrote"
    return None


def _rows(folder: Folder, identifier: str) -> int:
    """The number of rows of a Parquet file, from its end."""
    from pyarrow import parquet

    with folder.filesystem.open(f"{folder.path}/{identifier}.parquet", "rb") as file:
        return int(parquet.ParquetFile(file).metadata.num_rows)


def _too_many(opened: Past, reading: Reading) -> str | None:
    for item in reading.connector.resource_types:
        concerned = opened.count(f"(FROM affected_owner WHERE resource_type = '{item.identifier}')")
        if concerned > FEW and concerned > MAXIMUM_SHARE * opened.count(opened.now(item.source_entity_type)):
            return f"changes concern {concerned} owners of {item.identifier}"
    return None


def write_order_base(reading: Reading, instant: datetime) -> None:
    """Write to ``base/`` what orders are decided, sent and settled with."""
    known = reading.repository.position(scope(reading.connector.identifier), COOKIE)
    position = Position.from_text(known[0]) if known else None
    if known and position and reading.folder(position.complete_run).child(STATE).exists("base.json"):
        with reading.open_past(position, known[1], instant) as opened:
            extract_orders(opened, reading.connector.resource_types, reading.run.run_id)
    else:
        reading.run.folder.child("base").remove(OWNED)
        reading.export_all("base")


def to_cookies(position: Position) -> dict[str, str]:
    """A position as the cookies of a load."""
    return {COOKIE: position.to_text()}
