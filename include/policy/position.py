"""Where an evaluation left off: what the next one compares the repository with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.model.configuration import Association, Configuration, EntityType
from include.model.resource_type import ResourceType
from include.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class Position:
    """The last evaluation of a connector's resource types, and the complete one that it builds on.

    Attributes:
        complete_run: the run of the last complete evaluation, whose ``state/`` holds all that was stored.
        complete_load: the newest load that ``state/`` holds.
        complete_at: the instant that it evaluated at.
        state: SHA-256 over the files of ``state/`` (``state_sha256``).
        run: the run of the last evaluation.
        load: the newest load that the last evaluation read.
        evaluated_at: the instant that it evaluated at.
        target_read_at: by target entity type, when the export of its last load began, as it took it.
        rules: the version of rules and mapping (``rules_version``).
    """

    complete_run: str
    complete_load: int
    complete_at: datetime
    state: str
    run: str
    load: int
    evaluated_at: datetime
    target_read_at: Mapping[str, datetime]
    rules: str

    def to_text(self) -> str:
        """As JSON text."""
        return json.dumps(
            {
                "complete_run": self.complete_run,
                "complete_load": self.complete_load,
                "complete_at": self.complete_at.isoformat(),
                "state": self.state,
                "run": self.run,
                "load": self.load,
                "evaluated_at": self.evaluated_at.isoformat(),
                "target_read_at": {key: value.isoformat() for key, value in sorted(self.target_read_at.items())},
                "rules": self.rules,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Position:
        """From its JSON text."""
        content = json.loads(text)
        read = content["target_read_at"]
        content["target_read_at"] = {key: datetime.fromisoformat(value) for key, value in read.items()}
        for key in ("complete_at", "evaluated_at"):
            content[key] = datetime.fromisoformat(content[key])
        return cls(**content)


def state_sha256(state: Folder, items: Sequence[EntityType | Association]) -> str:
    """SHA-256 over the files of what was stored, by name."""
    digest = hashlib.sha256()
    for file in sorted(f"{item.identifier}.parquet" for item in items):
        digest.update(f"{file} {state.sha256(file)}\n".encode())
    return digest.hexdigest()


def rules_version(
    configuration: Configuration, resource_types: Sequence[ResourceType], items: Sequence[EntityType | Association]
) -> str:
    """SHA-256 over the resource types, those that share a target with them, and what their rules may read."""
    targets = {item.target_entity_type for item in resource_types}
    sharing = [
        item.identifier
        for connector in configuration.connectors
        for item in connector.resource_types
        if item.target_entity_type in targets
    ]
    texts = [item.model_dump_json() for item in [*resource_types, *sorted(items, key=lambda item: item.identifier)]]
    return hashlib.sha256(json.dumps([texts, sorted(sharing)]).encode()).hexdigest()
