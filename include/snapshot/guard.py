"""Whether the changes of a snapshot may be loaded without asking: thresholds, gates, completeness (engine.md 2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import add
from typing import Any

from include.difference.thresholds import COMPLETE_EXPORT, LimitLine, Subject, Tally, Verdict, check
from include.model.configuration import Association, Connector, EntityType
from include.snapshot.compare import Changes
from include.snapshot.errors import SnapshotError
from include.snapshot.gates import read_gates
from include.snapshot.preparation import Preparation
from include.storage.folder import Folder

FILE = "verdict.json"


def check_thresholds(connector: Connector, run: Folder, mode: str) -> Verdict:
    """Check every limit of the connector over the changes of a run, and write ``changes/verdict.json``.

    The gates that ``prepare`` looked at belong to the verdict. A table that is incomplete or empty while the
    repository holds rows of it blocks too, in every mode; the mode ``initial`` lifts thresholds and gates.
    The file also holds the ``sha256`` of the changes judged.

    Raises:
        SnapshotError: the run is not compared.
    """
    try:
        changes, preparation = Changes.read(run), Preparation.read(run)
    except FileNotFoundError as error:
        raise SnapshotError(
            "changes/changes.json is missing: compare the run before checking its thresholds"
        ) from error
    lifted = mode == "initial"
    gates = read_gates(run)
    limits = check(_subjects(connector, changes), lifted=lifted)
    lines = (
        *_incomplete_tables(connector, preparation),
        *([line.lift() for line in gates] if lifted else gates),
        *limits.lines,
    )
    verdict = Verdict(any(line.exceeded for line in lines), lines)
    run.child("changes").write_json(FILE, {**verdict.to_json(), "mode": mode, "sha256": changes.sha256})
    return verdict


def read_verdict(run: Folder) -> Verdict:
    """The verdict of a run, as ``check_thresholds`` wrote it."""
    return Verdict.from_json(run.child("changes").read_json(FILE))


def _subjects(connector: Connector, changes: Changes) -> Iterable[Subject]:
    resources, links = changes.entity_types, changes.associations
    yield Subject("connector", connector.identifier, _total(resources), connector.thresholds, links=False)
    yield Subject("connector", connector.identifier, _total(links), connector.thresholds, links=True)
    for entity_type in connector.entity_types:
        tally = Tally.of(resources[entity_type.identifier])
        yield Subject("entity_type", entity_type.identifier, tally, entity_type.thresholds)
    for association in connector.associations:
        tally = Tally.of(links[association.identifier])
        yield Subject("association", association.identifier, tally, association.thresholds)


def _total(counters: Mapping[str, Mapping[str, Any]]) -> Tally:
    return reduce(add, (Tally.of(item) for item in counters.values()), Tally(0))


def _incomplete_tables(connector: Connector, preparation: Preparation) -> Iterable[LimitLine]:
    """A blocking line for every table that may not be read as the whole of what is stored."""
    seen = set[str]()
    items: tuple[EntityType | Association, ...] = (*connector.entity_types, *connector.associations)
    for item in items:
        counts = preparation.counts(item.identifier)
        if counts.complete or not counts.stored or item.connection_table in seen:
            continue
        seen.add(item.connection_table)
        note = f"{counts.reason}; {counts.stored} rows of {item.identifier} are stored, none is deleted"
        yield LimitLine("table", item.connection_table, COMPLETE_EXPORT, 0, counts.stored, True, note)
