"""Evaluate the policy: from what the repository holds to the assignments that should be.

The eight steps of engine.md 3.2 as far as they apply without roles: owners by type rule, existing
assignments, correlation, expected values, comparison with what was last read, states. In: ``base/`` of a
run. Out: ``changes/assigned_*.parquet`` in the form of the one difference, ``changes/findings.parquet``
and ``changes/evaluation.json``. Evaluating again what it has written changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from include.difference.compare import Counts, compare
from include.expressions.functions import timestamp
from include.expressions.paths import EntityGraph
from include.model.configuration import Configuration
from include.model.resource_type import ResourceType
from include.policy import assignments, findings, navigations, queries, scalars
from include.policy.dependency import by_dependency
from include.policy.rules import Rules, compute, next_change_at, resolve
from include.policy.workspace import COMPLETE, Extent, Workspace, whole_file, workspace
from include.repository.system import ASSIGNED_RESOURCE_NAVIGATION, ASSIGNED_RESOURCE_SCALAR, ASSIGNED_RESOURCE_TYPE
from include.storage.engine import literal, name
from include.storage.folder import Folder


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found: figures by resource type, and changes by system entity type."""

    counters: Mapping[str, Mapping[str, int]]
    changes: Mapping[str, Counts]
    next_change_at: Mapping[str, datetime | None] = field(default_factory=dict)
    """By resource type, when time alone may change its outcome next (UTC); None: never."""

    @property
    def changed(self) -> int:
        """How many rows the repository must learn."""
        return sum(item.inserted + item.updated + item.deleted for item in self.changes.values())


def evaluate(
    configuration: Configuration,
    resource_types: Sequence[ResourceType],
    run: Folder,
    *,
    evaluated_at: datetime,
    target_read_at: Mapping[str, datetime],
    retry_errored: bool = False,
    extent: Extent = COMPLETE,
) -> Evaluation:
    """Evaluate resource types over the files in ``base/`` of a run.

    Assignments of other resource types are neither changed nor forgotten: what they hold is taken.

    Args:
        configuration: all connectors: a rule may follow links into another connector's entity types.
        resource_types: what to evaluate; a resource type comes after the one it depends on.
        run: the run's folder.
        evaluated_at: the instant that ``evaluated_at`` stands for in expressions.
        target_read_at: by target entity type, when the export of its last load started; what was
            carried out since then cannot be seen yet. Absent: never read.
        retry_errored: ask again for what failed.
        extent: all owners, or those whom changes concern.

    Raises:
        PolicyError: a file is missing, or a rule cannot be used or fails on the data.
    """
    ordered = by_dependency(resource_types)
    graph = EntityGraph.of(configuration)
    with workspace(run, graph, evaluated_at, extent) as space:
        _prepare(space)
        figures: dict[str, dict[str, int]] = {}
        next_changes: dict[str, datetime | None] = {}
        resolved = [resolve(space, item) for item in ordered]
        done: list[str] = []
        for rules in resolved:
            read_at = timestamp(target_read_at.get(rules.resource_type.target_entity_type))
            sharing = _sharing(configuration, rules.resource_type)
            _evaluate_one(space, rules, read_at, sharing=sharing, done=done, retry=retry_errored)
            done.append(rules.resource_type.identifier)
            figures[done[-1]] = {"evaluated": space.count("situation"), **findings.counters(space, rules)}
            next_changes[done[-1]] = _next_change(space, rules, extent)
        for rules in resolved:
            sharing = [*_sharing(configuration, rules.resource_type), rules.resource_type.identifier]
            figures[rules.resource_type.identifier]["orphans"] = findings.list_orphans(space, rules, sharing, done)
        findings.keep_others(space)
        changes = _write(space, run, done)
    evaluation = Evaluation(figures, changes, next_changes)
    _write_summary(run, evaluation, evaluated_at, target_read_at, ordered, extent=extent)
    return evaluation


def _prepare(space: Workspace) -> None:
    """The stored assignments under short names, and empty tables for those to come."""
    for table, entity_type in _TABLES.items():
        space.execute(f"CREATE TEMP VIEW stored_{table} AS SELECT * FROM {space.relation(entity_type.identifier)}")
    space.execute(
        assignments.ASSIGNMENT_TABLE,
        scalars.SCALAR_TABLE,
        navigations.NAVIGATION_TABLE,
        findings.FINDING_TABLE,
        "CREATE TEMP TABLE disputed (entity_type VARCHAR, target_id BIGINT)",
    )


_TABLES = {
    "assignment": ASSIGNED_RESOURCE_TYPE,
    "scalar": ASSIGNED_RESOURCE_SCALAR,
    "navigation": ASSIGNED_RESOURCE_NAVIGATION,
}


def _evaluate_one(
    space: Workspace, rules: Rules, read_at: str, *, sharing: Sequence[str], done: Sequence[str], retry: bool
) -> None:
    resource_type = rules.resource_type
    compute(space, rules)
    navigations.expect_links(space, rules)
    assignments.link(space, rules, sharing, done, read_at)
    space.execute("CREATE OR REPLACE TEMP TABLE changed_assignment (assignment VARCHAR)")
    scalars.note_changes(space, rules)
    navigations.note_link_changes(space)
    assignments.assign(space, rules, depended_on_done=resource_type.depends_on in done, retry=retry)
    scalars.decide_scalars(space, rules, read_at, retry=retry)
    navigations.decide_navigations(space, rules, read_at, retry=retry)
    findings.list_findings(space, rules)
    queries.list_query_findings(space, rules)
    space.execute(f"""
        INSERT INTO disputed
        SELECT DISTINCT {literal(resource_type.target_entity_type)}, target_id FROM conflict WHERE target_id IS NOT NULL
    """)


def _next_change(space: Workspace, rules: Rules, extent: Extent) -> datetime | None:
    """Of all owners, those too whom this evaluation is not about."""
    if extent.mode == "incremental":
        return extent.next_change_at[rules.resource_type.identifier]
    return next_change_at(space, rules)


def _sharing(configuration: Configuration, resource_type: ResourceType) -> list[str]:
    """Other resource types with the same target entity type."""
    return [
        item.identifier
        for connector in configuration.connectors
        for item in connector.resource_types
        if item.target_entity_type == resource_type.target_entity_type and item.identifier != resource_type.identifier
    ]


def _write(space: Workspace, run: Folder, evaluated: Sequence[str]) -> dict[str, Counts]:
    """Compare the assignments with those stored, and write what differs; files appear whole."""
    listed = ", ".join(literal(item) for item in evaluated) or "NULL"
    written = {}
    for table, entity_type in _TABLES.items():
        columns = [item.identifier for item in entity_type.properties]
        fields = ", ".join(name(column) for column in columns)
        mine = f"split_part(assignment, '|', 1) IN ({listed})"
        before = f"(SELECT {fields} FROM stored_{table} WHERE {mine})"
        after = f"(SELECT {fields} FROM {table})"
        with whole_file(run.child("changes"), f"{entity_type.identifier}.parquet") as output:
            written[entity_type.identifier] = compare(
                space.connection, before, after, key=columns[0], columns=columns, output=output
            )
    with whole_file(run.child("changes"), "findings.parquet") as output:
        space.execute(f"COPY (SELECT * FROM finding ORDER BY ALL) TO {literal(output)} (FORMAT parquet)")
    return written


def _write_summary(
    run: Folder,
    evaluation: Evaluation,
    evaluated_at: datetime,
    target_read_at: Mapping[str, datetime],
    resource_types: Sequence[ResourceType],
    *,
    extent: Extent,
) -> None:
    """Write ``changes/evaluation.json``; it comes last, and tells that the other files are whole."""
    reads = {item.identifier: target_read_at.get(item.target_entity_type) for item in resource_types}
    run.child("changes").write_json(
        "evaluation.json",
        {
            "evaluated_at": evaluated_at.isoformat(),
            "mode": extent.mode,
            "reason": extent.reason,
            "owners_evaluated": sum(figures["evaluated"] for figures in evaluation.counters.values()),
            "resource_types": {
                identifier: {
                    **figures,
                    "target_read_at": _iso(reads[identifier]),
                    "next_change_at": _iso(evaluation.next_change_at[identifier]),
                }
                for identifier, figures in evaluation.counters.items()
            },
            "entity_types": {
                identifier: {
                    "stored": counts.stored,
                    "inserted": counts.inserted,
                    "updated": counts.updated,
                    "deleted": counts.deleted,
                }
                for identifier, counts in evaluation.changes.items()
            },
        },
    )


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
