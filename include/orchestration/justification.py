"""What the policy says of a resource: its assignments, the rules behind each value, orders, states and decisions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.model.configuration import Configuration, EntityType
from include.model.resource_type import ResourceType
from include.orchestration.inputs import InputReader, InputValue
from include.orchestration.origins import Origin, versions_until
from include.policy.states import ProvisioningState, WorkflowState
from include.provisioning.causes import RuleName, rule_names
from include.repository.origins import Role
from include.repository.repository import AuditEntry, Repository
from include.repository.system import ASSIGNED_RESOURCE_NAVIGATION, ASSIGNED_RESOURCE_SCALAR, ASSIGNED_RESOURCE_TYPE

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, what it says, and what its expression reads of the owner."""

    rule: str
    definition: str
    inputs: tuple[InputValue, ...]


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order as it stood: what it asked for, how far it came, when, and what the managed system said."""

    order_id: str
    run_id: str
    change_type: str
    state: str
    asked: Any
    """The value, or the keys of links added and removed; None where it is about the resource as a whole."""
    error_class: str | None
    message: str | None
    decided_at: datetime | None
    executed_at: datetime | None
    verified_at: datetime | None


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """What a person did, as the audit trail has it."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Any


@dataclass(frozen=True, slots=True)
class Transition:
    """One state of an assignment or of a value of it, from when on, and the run that brought it."""

    at: datetime
    provisioning_state: str
    workflow_state: str
    policy_value: Any
    current_value: Any
    run_id: str | None
    by: str | None
    """The person who let the load through, where there was one."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the policy says of one property or link of a target, beside what was found in the managed system.

    ``written_by`` is the last order carried out that wrote what is there now; None where no order did.
    """

    resource_type: str
    assignment: str
    subject: str
    linked_id: int | None
    linked_key: str | None
    policy_value: Any
    current_value: Any
    agrees: bool
    provisioning_state: str
    workflow_state: str
    rules: tuple[Rule, ...]
    written_by: str | None
    orders: tuple[OrderRecord, ...]
    states: tuple[Transition, ...]
    decisions: tuple[DecisionRecord, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who owns what by which resource type, and why; ``correlation`` names the rules of its confidence."""

    assignment: str
    resource_type: str
    owner_entity_type: str
    owner_id: int
    owner_key: str | None
    target_entity_type: str
    target_id: int | None
    target_key: str | None
    provisioning_state: str
    workflow_state: str
    confidence: int | None
    since: datetime
    origin: Origin
    type_rule: Rule | None
    correlation: tuple[str, ...]
    orders: tuple[OrderRecord, ...]
    states: tuple[Transition, ...]
    decisions: tuple[DecisionRecord, ...]


def state_name(number: int | None) -> str:
    """A provisioning state in words, with its number: ``Verified (4)``."""
    return _word(ProvisioningState, number)


def _word(states: type[ProvisioningState] | type[WorkflowState], number: int | None) -> str:
    if number is None:
        return ""
    known = {int(state): state.name.replace("_", " ").title() for state in states}
    return f"{known.get(number, 'Unknown')} ({number})"


@dataclass(frozen=True, slots=True)
class Justifier:
    """Reads what the policy holds of resources as they were at the reader's instant.

    Orders, states and decisions are those until ``until``: a deletion is verified when its target is gone.
    """

    repository: Repository
    configuration: Configuration
    reader: InputReader
    until: datetime

    @property
    def at(self) -> datetime:
        """The instant."""
        return self.reader.at

    def assignments(self, resource_id: int, role: Role) -> list[Assignment]:
        """The assignments of which a resource is the owner or the target."""
        rows = self.repository.assignments_of(resource_id, role, self.at)
        orders = self._orders([row["assignment"] for row in rows])
        return [self._assignment(row, orders.get(row["assignment"], [])) for row in rows]

    def _assignment(self, row: Row, orders: Sequence[Row]) -> Assignment:
        item = self._resource_type(row["resource_type"])
        identifier = row["assignment"]
        source = self.configuration.entity_type(item.source_entity_type) if item else None
        owner = self.repository.resource_at(source, row["owner_id"], self.at) if source else None
        correlation = [
            f"correlation_rules[{place}] {rule.source_expression} = {rule.target_expression}"
            for place, rule in enumerate(item.correlation_rules if item else ())
            if rule.confidence == row["confidence"]
        ]
        type_rule = None
        if item is not None:
            condition = item.type_rule.condition
            inputs = self.reader.values(condition, item.source_entity_type, row["owner_id"])
            type_rule = Rule("type_rule", condition, inputs)
        subjects = [identifier, *(order["order_id"] for order in orders), *(order["run_id"] for order in orders)]
        return Assignment(
            assignment=identifier,
            resource_type=row["resource_type"],
            owner_entity_type=item.source_entity_type if item else "",
            owner_id=row["owner_id"],
            owner_key=str(owner[source.primary_key.identifier]) if owner and source else None,
            target_entity_type=item.target_entity_type if item else "",
            target_id=row["target_id"],
            target_key=row["target_key"],
            provisioning_state=state_name(row["provisioning_state"]),
            workflow_state=_word(WorkflowState, row["workflow_state"]),
            confidence=row["confidence"],
            since=row["valid_from"],
            origin=self.reader.origins.of_load(row["load_id"]),
            type_rule=type_rule,
            correlation=tuple(correlation),
            orders=tuple(_order(order, None) for order in orders),
            states=tuple(self._states(ASSIGNED_RESOURCE_TYPE, identifier)),
            decisions=self._decisions(subjects),
        )

    def values(self, assignments: Sequence[Assignment], subject: str | None) -> list[Expectation]:
        """What the policy says of the properties of the assignments' target."""
        rows = self._parts(ASSIGNED_RESOURCE_SCALAR, assignments, "property", subject)
        return [self._value(row, assignment) for row, assignment in rows]

    def links(self, assignments: Sequence[Assignment], subject: str | None) -> list[Expectation]:
        """What the policy says of the links of the assignments' target."""
        rows = self._parts(ASSIGNED_RESOURCE_NAVIGATION, assignments, "navigation", subject)
        return [self._link(row, assignment) for row, assignment in rows]

    def _parts(
        self, entity: EntityType, assignments: Sequence[Assignment], column: str, subject: str | None
    ) -> Iterator[tuple[Row, Assignment]]:
        known = {item.assignment: item for item in assignments}
        for row in self.repository.parts_of(entity, list(known), self.at) if known else ():
            if subject in (None, row[column]):
                yield row, known[row["assignment"]]

    def _value(self, row: Row, assignment: Assignment) -> Expectation:
        item = self._resource_type(assignment.resource_type)
        rules = [rule for rule in self._rules(item, row["property"]) if rule.target is None] if item else []
        asked = [
            (order, found[row["property"]]) for order, found in self._asked(assignment) if row["property"] in found
        ]
        written = next((order for order, value in asked if _carried_out(order) and value == row["current_value"]), None)
        return self._expectation(
            row,
            assignment,
            rules,
            asked,
            key=row["assigned_scalar"],
            subject=row["property"],
            policy_value=row["policy_value"],
            current_value=row["current_value"],
            agrees=row["policy_value"] == row["current_value"],
            written_by=written["order_id"] if written else None,
        )

    def _link(self, row: Row, assignment: Assignment) -> Expectation:
        navigation, linked_id = row["navigation"], row["linked_id"]
        item = self._resource_type(assignment.resource_type)
        key, values = self._linked(item, navigation, linked_id)
        rules = [
            rule
            for rule in (self._rules(item, navigation) if item else [])
            if rule.target is None or (rule.target[0] in values and str(values[rule.target[0]]) == rule.target[1])
        ]
        asked = [
            (order, change)
            for order, found in self._asked(assignment)
            for change in ("add", "remove")
            if linked_id in found.get(f"{navigation}_{change}", ())
        ]
        there = key is not None and self._is_linked(item, navigation, assignment, linked_id)
        written = next((order for order, change in asked if _carried_out(order) and (change == "add") == there), None)
        return self._expectation(
            row,
            assignment,
            rules,
            asked,
            key=row["assigned_navigation"],
            subject=navigation,
            policy_value="linked" if row["expected"] else "not linked",
            current_value="linked" if there else "not linked",
            agrees=bool(row["expected"]) == there,
            written_by=written["order_id"] if written else None,
            linked_id=linked_id,
            linked_key=key,
        )

    def _expectation(
        self,
        row: Row,
        assignment: Assignment,
        rules: Sequence[RuleName],
        asked: Sequence[tuple[Row, Any]],
        *,
        key: str,
        linked_id: int | None = None,
        linked_key: str | None = None,
        **values: Any,
    ) -> Expectation:
        """An expectation with what stands around it: rules, orders, states and decisions."""
        entity = ASSIGNED_RESOURCE_SCALAR if "policy_value" in row else ASSIGNED_RESOURCE_NAVIGATION
        return Expectation(
            resource_type=assignment.resource_type,
            assignment=assignment.assignment,
            linked_id=linked_id,
            linked_key=linked_key,
            provisioning_state=state_name(row["provisioning_state"]),
            workflow_state=_word(WorkflowState, row["workflow_state"]),
            rules=tuple(self._rule(rule, assignment) for rule in rules),
            orders=tuple(_order(order, value) for order, value in asked),
            states=tuple(self._states(entity, key)),
            decisions=self._decisions([key]),
            **values,
        )

    def _rule(self, rule: RuleName, assignment: Assignment) -> Rule:
        """A rule with what its expressions read of the owner, each thing once."""
        read: dict[str, InputValue] = {}
        for expression in rule.expressions:
            for value in self.reader.values(expression, assignment.owner_entity_type, assignment.owner_id):
                read.setdefault(value.path, value)
        return Rule(rule.rule, rule.definition, tuple(read.values()))

    def _rules(self, item: ResourceType, subject: str) -> list[RuleName]:
        return [rule for rule in rule_names(item, None, gone="") if rule.subject == subject]

    def _resource_type(self, identifier: str) -> ResourceType | None:
        """The resource type as it is configured now; None where it is not any more."""
        for connector in self.configuration.connectors:
            for item in connector.resource_types:
                if item.identifier == identifier:
                    return item
        return None

    def _linked(self, item: ResourceType | None, navigation: str, linked_id: int) -> tuple[str | None, Row]:
        """The key and the properties of a linked resource; nothing of one that is gone."""
        link = self.reader.graph.links.get(item.target_entity_type, {}).get(navigation) if item else None
        if link is None:
            return None, {}
        entity = self.reader.graph.entity_types[link.entity_type]
        values = self.repository.resource_at(entity, linked_id, self.at) or {}
        key = values.get(entity.primary_key.identifier)
        return (None if key is None else str(key)), values

    def _is_linked(self, item: ResourceType | None, navigation: str, assignment: Assignment, linked_id: int) -> bool:
        """Whether the repository holds a link of the assignment's target."""
        if item is None or assignment.target_id is None:
            return False
        link = self.reader.graph.links[item.target_entity_type][navigation]
        found = self.repository.links_of(
            link.association,
            end=link.from_column,
            resource_id=assignment.target_id,
            other_id=linked_id,
            instant=self.at,
            limit=1,
        )
        return bool(found)

    def _orders(self, assignments: Collection[str]) -> dict[str, list[Row]]:
        """The orders of assignments, the newest first, by assignment."""
        found: dict[str, list[Row]] = {assignment: [] for assignment in assignments}
        for order in self.repository.orders_of(list(found), self.until) if found else ():
            found[order["assignment"]].append(order)
        return found

    def _asked(self, assignment: Assignment) -> list[tuple[Row, dict[str, Any]]]:
        """The orders of an assignment, each with what it asks for: values as text, links as resource ids."""
        return [(order, _changes(order)) for order in self._orders([assignment.assignment])[assignment.assignment]]

    def _states(self, entity: EntityType, key: str) -> Iterator[Transition]:
        """Every state that a row of the policy had by the instant, the newest first."""
        for version in reversed(versions_until(self.repository.history(entity, key), self.until)):
            values = version["values"]
            yield Transition(
                at=version["valid_from"],
                provisioning_state=state_name(values["provisioning_state"]),
                workflow_state=_word(WorkflowState, values["workflow_state"]),
                policy_value=values.get("policy_value", values.get("expected")),
                current_value=values.get("current_value"),
                run_id=version["run_id"],
                by=version["approver"],
            )

    def _decisions(self, subjects: Sequence[str]) -> tuple[DecisionRecord, ...]:
        return tuple(_decision(entry) for entry in self.repository.decisions_on(subjects, self.until))


def _changes(order: Row) -> dict[str, Any]:
    """What an order asks for: a value as the text that assignments hold, links as a list of resource ids."""
    changes: dict[str, Any] = json.loads(order["changes"]) if order["changes"] else {}
    return {
        name: [int(item["Id"]) for item in value] if isinstance(value, list) else _text(value)
        for name, value in changes.items()
    }


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _carried_out(order: Row) -> bool:
    return order["provisioning_state"] in (ProvisioningState.EXECUTED, ProvisioningState.VERIFIED)


def _order(order: Row, asked: Any) -> OrderRecord:
    names = ("order_id", "run_id", "change_type", "error_class", "message", "decided_at", "executed_at", "verified_at")
    known = {name: order[name] for name in names}
    return OrderRecord(**known, state=state_name(order["provisioning_state"]), asked=asked)


def _decision(entry: AuditEntry) -> DecisionRecord:
    return DecisionRecord(entry.sequence, entry.at, entry.actor, entry.action, entry.subject, entry.detail)
