"""An organisation with a past: every load is kept, so that an incremental evaluation finds what it needs."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from include.expressions.paths import EntityGraph
from include.model.base import DUCKDB_TYPES
from include.model.configuration import EntityType
from include.policy.affected import find_affected
from include.policy.evaluate import Evaluation, evaluate
from include.policy.extract import extract
from include.policy.past import past, read_items
from include.policy.rules import next_change_at
from include.policy.touched import Clock
from include.policy.workspace import Extent
from include.storage.folder import Folder
from tests.unit.policy.organisation import (
    ARROW_TYPES,
    ASSOCIATIONS,
    GROUP,
    NOW,
    ORGANIZATION,
    PERSON,
    USER,
    Organisation,
    Row,
    configuration,
)

ENTITY_TYPES = (PERSON, ORGANIZATION, USER, GROUP)
ITEMS = read_items(ENTITY_TYPES, ASSOCIATIONS)
Image = dict[str, dict[Any, Row]]
"""By entity type or association, its rows by resource id, or by the pair of them."""


@dataclass
class History:
    """What an organisation held after each load; the first image is what the complete evaluation read."""

    organisation: Organisation
    images: list[Image] = field(default_factory=list)
    read: int = 0
    """The number of the load that the last evaluation read."""
    own: int = 0
    """The number of the load of its result."""
    evaluated_at: datetime = NOW
    read_at: datetime | None = None

    @classmethod
    def begin(cls, organisation: Organisation) -> History:
        """Evaluate an organisation completely."""
        history = cls(organisation)
        history.read = history.load()
        history.read_at = organisation.read_at
        organisation.evaluate(evaluated_at=NOW)
        copy_files(organisation.folder, "base", "state")
        history.own = history.load()
        return history

    def load(self) -> int:
        """What is there now is what a load has left; its number."""
        self.images.append(image(self.organisation))
        return len(self.images)

    def evaluate(self, evaluated_at: datetime) -> Evaluation:
        """An incremental evaluation of what changed since the last one, and its load."""
        organisation = self.organisation
        read = self.load()
        self._write_versions()
        run = Folder(organisation.folder.as_uri())
        project = configuration(*organisation.resource_types)
        reads = [{"CRM_User": item} if item else {} for item in (self.read_at, organisation.read_at)]
        clock = Clock(self.evaluated_at, evaluated_at, *reads)
        window = {"load": self.read, "own_load": self.own, "evaluated_at": evaluated_at}
        with past(run, run, run, EntityGraph.of(project), ITEMS, **window) as opened:
            rules = find_affected(opened, project, organisation.resource_types, clock)
            extract(opened, rules)
            changes = {item.resource_type.identifier: next_change_at(opened.present, item) for item in rules}
        evaluation = evaluate(
            project,
            organisation.resource_types,
            run,
            evaluated_at=evaluated_at,
            target_read_at=reads[1],
            extent=Extent("incremental", next_change_at=changes),
        )
        organisation.load_changes()
        self.read, self.own = read, self.load()
        self.evaluated_at, self.read_at = evaluated_at, organisation.read_at
        return evaluation

    def _write_versions(self) -> None:
        folder = self.organisation.folder / "versions"
        folder.mkdir(exist_ok=True)
        for item in ITEMS:
            rows: list[Row] = []
            current = {key: {**row, "load_id": 1} for key, row in self.images[0][item.identifier].items()}
            for load, later in enumerate(self.images[1:], start=2):
                found = later[item.identifier]
                ended = [
                    key for key, row in current.items() if row != {**found.get(key, {}), "load_id": row["load_id"]}
                ]
                rows += [{**current.pop(key), "closed_by_load_id": load} for key in ended]
                for key in found.keys() - current.keys():
                    current[key] = {**found[key], "load_id": load}
            rows += [row for row in current.values() if row["load_id"] > 1]
            columns = {"load_id": pyarrow.int64(), "closed_by_load_id": pyarrow.int64()}
            if isinstance(item, EntityType):
                kinds = {entry.identifier: ARROW_TYPES[DUCKDB_TYPES[entry.type]] for entry in item.properties}
                columns = {"resource_id": pyarrow.int64(), **kinds, **columns}
            else:
                columns = {"resource1_id": pyarrow.int64(), "resource2_id": pyarrow.int64(), **columns}
            filled = [{column: row.get(column) for column in columns} for row in rows]
            table = pyarrow.Table.from_pylist(filled, schema=pyarrow.schema(list(columns.items())))
            parquet.write_table(table, folder / f"{item.identifier}.parquet")


def copy_files(folder: Path, source: str, target: str) -> None:
    """Copy the files of a folder to one beside it."""
    (folder / target).mkdir(exist_ok=True)
    for file in (folder / source).iterdir():
        (folder / target / file.name).write_bytes(file.read_bytes())


def image(organisation: Organisation) -> Image:
    """Everything that an organisation holds."""
    found: Image = {}
    for item in ITEMS:
        if isinstance(item, EntityType):
            rows = organisation.rows.get(item.identifier, [])
            names = ["resource_id", *(entry.identifier for entry in item.properties)]
            found[item.identifier] = {row["resource_id"]: {key: row.get(key) for key in names} for row in rows}
        else:
            pairs = organisation.links.get(item.identifier, set())
            found[item.identifier] = {pair: {"resource1_id": pair[0], "resource2_id": pair[1]} for pair in pairs}
    return copy.deepcopy(found)
