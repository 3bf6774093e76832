"""Whom changes concern: the owners and targets whose assignments may be decided otherwise than the last time.

First those that a change touches (``include.policy.touched``), then, until nobody is left, those whom an
evaluation would look at together with them: who holds a target, who is free and shares a correlation key, old
or new, who depends on whom. Everybody else would be decided as before, because evaluating again what an
evaluation has decided changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from include.expressions.functions import EVALUATED_AT, timestamp
from include.expressions.paths import Scope
from include.model.configuration import Configuration
from include.model.resource_type import ResourceType
from include.policy.past import Past
from include.policy.periods import dated
from include.policy.rules import Rules, owners, resolve, time_fields
from include.policy.states import ProvisioningState as Provisioning
from include.policy.states import WorkflowState as Workflow
from include.policy.touched import ASSIGNED, OWNER_QUERIES, TARGET_QUERIES, Clock, Touching
from include.storage.engine import literal, name

_TABLES = (
    "CREATE TEMP TABLE affected_owner (resource_type VARCHAR, owner_id BIGINT)",
    "CREATE TEMP TABLE affected_target (entity_type VARCHAR, target_id BIGINT)",
    "CREATE TEMP TABLE sought (resource_type VARCHAR, rule INTEGER, value VARCHAR)",
)
_HOLDING = f"""
    CREATE TEMP TABLE holding AS
    SELECT resource_type, owner_id, target_id, target_key,
        provisioning_state = {Provisioning.AWAITING_APPROVAL:d} AND coalesce(confidence < 100, false)
            AND workflow_state NOT IN ({Workflow.CANCELLATION:d}, {Workflow.DECLINED:d}) AS proposed
    FROM $assigned WHERE resource_type IN ($resource_types)
"""


def find_affected(
    past: Past, configuration: Configuration, resource_types: Sequence[ResourceType], clock: Clock
) -> list[Rules]:
    """Create ``affected_owner`` (resource_type, owner_id) and ``affected_target`` (entity_type, target_id).

    Returns:
        The rules of each resource type.

    Raises:
        PolicyError: a rule cannot be used.
    """
    every = [item for connector in configuration.connectors for item in connector.resource_types]
    types = [
        Touching(past, resolve(past.present, item), [
            other.identifier for other in every
            if other.target_entity_type == item.target_entity_type and other.identifier != item.identifier
        ], clock)
        for item in resource_types
    ]  # fmt: skip
    known = {item.identifier for item in resource_types} | {other for item in types for other in item.sharing}
    for table in _TABLES:
        past.connection.execute(table)
    past.connection.execute(
        _HOLDING.replace("$assigned", past.now(ASSIGNED)).replace(
            "$resource_types", ", ".join(literal(item) for item in sorted(known))
        )
    )
    for item in types:
        for find_owners in OWNER_QUERIES:
            for query in find_owners(item):
                _add_owners(past, item.resource_type, query)
        for find_targets in TARGET_QUERIES:
            for query in find_targets(item):
                _add_targets(past, item.resource_type.target_entity_type, query)
    while sum(_grow(item, types) for item in types):
        pass
    return [item.rules for item in types]


def _add_owners(past: Past, resource_type: ResourceType, query: str) -> int:
    """Add the owners of a query that are not there yet; how many."""
    identifier = literal(resource_type.identifier)
    return past.insert(f"""
        INSERT INTO affected_owner
        SELECT DISTINCT {identifier}, id FROM ({query}) AS found (id)
        WHERE id IS NOT NULL AND id NOT IN (SELECT owner_id FROM affected_owner WHERE resource_type = {identifier})
    """)


def _add_targets(past: Past, entity_type: str, query: str) -> int:
    """Add the targets of a query that are not there yet; how many."""
    identifier = literal(entity_type)
    return past.insert(f"""
        INSERT INTO affected_target
        SELECT DISTINCT {identifier}, id FROM ({query}) AS found (id)
        WHERE id IS NOT NULL AND id NOT IN (SELECT target_id FROM affected_target WHERE entity_type = {identifier})
    """)


def _grow(touching: Touching, types: Sequence[Touching]) -> int:
    """Add those next to the affected ones of one resource type; how many."""
    past, resource_type = touching.past, touching.resource_type
    grown = _add_targets(past, resource_type.target_entity_type, _held_targets(touching))
    grown += _add_owners(past, resource_type, _holders(touching))
    for other in types:
        pair = resource_type, other.resource_type
        if resource_type.depends_on == other.resource_type.identifier:
            for one, two in (pair, pair[::-1]):
                grown += _add_owners(past, one, _owners(two))
    return grown + _add_sharers(touching)


def _owners(resource_type: ResourceType) -> str:
    return f"SELECT owner_id FROM affected_owner WHERE resource_type = {literal(resource_type.identifier)}"


def _targets(resource_type: ResourceType) -> str:
    return f"SELECT target_id FROM affected_target WHERE entity_type = {literal(resource_type.target_entity_type)}"


def _keys(touching: Touching) -> str:
    """Relation of all targets: ``resource_id`` and the key as text."""
    entity_type = touching.resource_type.target_entity_type
    key = name(touching.past.graph.entity_types[entity_type].primary_key.identifier)
    return f"(SELECT resource_id, CAST({key} AS VARCHAR) AS key FROM {touching.past.now(entity_type)})"


def _held(touching: Touching) -> str:
    return f"(FROM holding WHERE resource_type = {literal(touching.resource_type.identifier)})"


def _held_targets(touching: Touching) -> str:
    """Query: the targets of affected owners; one that is not there under its id is looked for under its key."""
    mine = f"(FROM {_held(touching)} WHERE owner_id IN ({_owners(touching.resource_type)}))"
    there = f"SELECT resource_id FROM {touching.past.now(touching.resource_type.target_entity_type)}"
    return f"""
        SELECT target_id FROM {mine}
        UNION
        SELECT resource_id FROM {_keys(touching)} WHERE key IN (
            SELECT target_key FROM {mine}
            WHERE target_key IS NOT NULL AND (target_id IS NULL OR target_id NOT IN ({there}))
        )
    """


def _holders(touching: Touching) -> str:
    """Query: the owners of affected targets, by id or by key."""
    targets = _targets(touching.resource_type)
    return f"""
        SELECT owner_id FROM {_held(touching)} WHERE target_id IN ({targets})
        UNION
        SELECT owner_id FROM {_held(touching)}
        WHERE target_key IN (SELECT key FROM {_keys(touching)} WHERE resource_id IN ({targets}))
    """


def _settled(touching: Touching) -> str:
    """Relation ``owner_id``, ``target_id``: who has a target that is there, and was not only proposed."""
    target = touching.past.now(touching.resource_type.target_entity_type)
    return f"(FROM {_held(touching)} WHERE NOT proposed AND target_id IN (SELECT resource_id FROM {target}))"


def _included(touching: Touching, chosen: str, *, before: bool) -> str:
    """Query: those owners whom the type rule includes, now or at the last evaluation."""
    past, rules = touching.past, touching.rules
    space = past.former if before else past.present
    limited = f"(FROM {space.relation(rules.source.entity_type)} WHERE resource_id IN ({chosen}))"
    ruled = dated(rules.resource_type, owners(space, rules, time_fields(rules), limited))
    if before:
        ruled = ruled.replace(f"{EVALUATED_AT}()", timestamp(touching.clock.before))
    return f"SELECT owner_id FROM {ruled} WHERE included"


def _add_sharers(touching: Touching) -> int:
    """Add the free owners and targets that share a correlation key with affected ones that are, or were, free."""
    past, identifier = touching.past, literal(touching.resource_type.identifier)
    if not touching.resource_type.correlation_rules:
        return 0
    _find_bound(touching)
    free = {side.column: f"{side.affected} EXCEPT SELECT {side.bound} FROM bound" for side in _sides(touching)}
    if not any(past.count(f"({query})") for query in free.values()):
        return 0
    past.connection.execute(f"CREATE OR REPLACE TEMP TABLE new_key AS {_free_keys(touching, free)}")
    past.connection.execute(f"""
        DELETE FROM new_key WHERE (rule, value) IN (SELECT (rule, value) FROM sought WHERE resource_type = {identifier})
    """)
    if not past.count("new_key"):
        return 0
    past.insert(f"INSERT INTO sought SELECT {identifier}, rule, value FROM new_key")
    return _add_free(touching)


def _find_bound(touching: Touching) -> None:
    """Create ``bound``: who of the affected owners took no part in correlation the last time, and takes none now.

    Who is settled does not; whose owner is not included any more does, and so does everyone whose assignment
    somebody has changed.
    """
    past, resource_type = touching.past, touching.resource_type
    affected = _owners(resource_type)
    changed = f"""
        SELECT owner_id FROM {past.changed(ASSIGNED)}
        WHERE owner_id IS NOT NULL AND resource_type = {literal(resource_type.identifier)}
    """
    past.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE bound AS
        SELECT owner_id, target_id FROM {_settled(touching)}
        WHERE owner_id IN ({affected}) AND owner_id NOT IN ({changed})
            AND owner_id IN ({_included(touching, affected, before=False)})
            AND owner_id IN ({_included(touching, affected, before=True)})
    """)


@dataclass(frozen=True, slots=True)
class _Side:
    """Owners or targets: how their correlation keys are computed, and which of them are affected."""

    column: str
    scope: Scope
    keys: tuple[str, ...]
    affected: str
    bound: str

    def rows(self, relation: Callable[[str], str], chosen: str | None, clock: Callable[[str], str]) -> str:
        """Query ``id``, ``rule``, ``value``: every key of all, or of those chosen; computed in one pass."""
        source = f"(FROM {relation(self.scope.entity_type)} WHERE resource_id IN ({chosen}))" if chosen else None
        keys = ", ".join(f"{{'rule': {rule}, 'value': {clock(sql)}}}" for rule, sql in enumerate(self.keys))
        return f"""
            SELECT id, key.rule AS rule, key.value AS value FROM (
                SELECT source.resource_id AS id, unnest([{keys}]) AS key
                FROM {clock(self.scope.from_clause(relation, source))}
            ) WHERE key.value IS NOT NULL
        """


def _sides(touching: Touching) -> tuple[_Side, _Side]:
    rules, resource_type = touching.rules, touching.resource_type
    positions = range(len(resource_type.correlation_rules))
    return (
        _Side(
            "source_key",
            rules.source,
            tuple(rules.owner_fields[f"source_key_{position}"][1] for position in positions),
            _owners(resource_type),
            "owner_id",
        ),
        _Side(
            "target_key",
            rules.target,
            tuple(rules.target_fields[f"target_key_{position}"][1] for position in positions),
            _targets(resource_type),
            "target_id",
        ),
    )


def _free_keys(touching: Touching, free: Mapping[str, str]) -> str:
    """Query ``rule``, ``value``: the keys of affected owners and targets that are not bound, now and before."""
    past, then = touching.past, timestamp(touching.clock.before)
    parts = [
        side.rows(relation, free[side.column], clock)
        for side in _sides(touching)
        for relation, clock in ((past.now, str), (past.before, lambda sql: sql.replace(f"{EVALUATED_AT}()", then)))
    ]
    return f"SELECT DISTINCT rule, value FROM ({' UNION ALL '.join(parts)})"


def _add_free(touching: Touching) -> int:
    """Add the owners and targets with a key of ``new_key`` that may be paired."""
    past, resource_type = touching.past, touching.resource_type
    free_owners, targets = (
        f"SELECT DISTINCT id FROM ({side.rows(past.now, None, str)}) SEMI JOIN new_key USING (rule, value)"
        for side in _sides(touching)
    )
    past.connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE sharing_target AS
        SELECT t.id, s.owner_id FROM ({targets}) AS t LEFT JOIN {_settled(touching)} AS s ON s.target_id = t.id
    """)
    holders = "SELECT owner_id FROM sharing_target WHERE owner_id IS NOT NULL"
    free = f"""
        SELECT id FROM sharing_target
        WHERE owner_id IS NULL OR owner_id NOT IN ({_included(touching, holders, before=False)})
    """
    grown = _add_targets(past, resource_type.target_entity_type, free)
    return grown + _add_owners(past, resource_type, f"{free_owners} EXCEPT SELECT owner_id FROM {_settled(touching)}")
