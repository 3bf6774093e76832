"""``rollcall explain``: the answer as text that reads from top to bottom, or as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from include.command.console import console
from include.orchestration.explanation import Explanation, StoredLink, StoredValue, explain, to_json
from include.orchestration.inputs import InputValue
from include.orchestration.justification import (
    Assignment,
    DecisionRecord,
    Expectation,
    OrderRecord,
    Rule,
    Transition,
)
from include.orchestration.origins import Origin

Line = tuple[int, str]
"""How far a line is indented, and what it says."""


def print_explanation(entity_type: str, key: str, subject: str | None, at: datetime | None, *, as_json: bool) -> None:
    """Explain a resource, or one property or navigation of it."""
    found = explain(entity_type, key, subject, at)
    if as_json:
        sys.stdout.write(to_json(found) + "\n")
        return
    for depth, text in explanation_lines(found):
        console.print("  " * depth + text, markup=False, highlight=False, soft_wrap=True)


def explanation_lines(found: Explanation) -> Iterator[Line]:
    """The answer. Asked for one property it tells its former states, else the orders of the resource as a whole."""
    detailed = found.subject is not None
    yield 0, f"{found.entity_type} {found.key}, as of {_time(found.at)}: {found.state}, since {_time(found.since)}"
    if found.gone_by is not None:
        yield 1, f"went at {_time(found.gone_at)}, {_origin(found.gone_by)}"
    for note in found.notes:
        yield 1, f"note: {note}"
    for value in found.values:
        yield from _value_lines(value, detailed=detailed)
    expected = {(item.subject, item.linked_key): item for item in found.expected_links}
    for link in found.links:
        yield from _link_lines(link)
        if link.until is None and (item := expected.pop((link.navigation, link.key), None)):
            yield from _expectation_lines(item, detailed=detailed)
    for item in expected.values():
        yield 0, f"link {item.subject} to {item.linked_key or f'resource {item.linked_id}'}: not there"
        yield from _expectation_lines(item, detailed=detailed)
    for title, assignments in (("owned", found.owned_by), ("owns", found.owns)):
        for assignment in assignments:
            yield from _assignment_lines(title, assignment, detailed=not detailed)


def _value_lines(value: StoredValue, *, detailed: bool) -> Iterator[Line]:
    yield 0, f"{value.property} = {_shown(value.value)}"
    before = "" if value.previous is None else f"; before it was {_shown(value.previous)}"
    yield 1, f"since {_time(value.since)}, {_origin(value.origin)}{before}"
    if value.expression is not None:
        yield 1, f"computed: {value.expression}"
        yield from _input_lines(value.inputs, 2)
    for expected in value.expectations:
        yield from _expectation_lines(expected, detailed=detailed)


def _link_lines(link: StoredLink) -> Iterator[Line]:
    yield 0, f"link {link.navigation} to {link.entity_type} {link.key}" + ("" if link.until is None else " (ended)")
    yield 1, f"since {_time(link.since)}, {_origin(link.origin)}"
    if link.ended_by is not None:
        yield 1, f"until {_time(link.until)}, {_origin(link.ended_by)}"


def _expectation_lines(expected: Expectation, *, detailed: bool) -> Iterator[Line]:
    states = f"{expected.provisioning_state}, {expected.workflow_state}"
    verdict = "as found" if expected.agrees else f"found is {_shown(expected.current_value)}"
    yield 1, f"policy ({expected.resource_type}): {_shown(expected.policy_value)}, {verdict}; {states}"
    if not expected.rules:
        yield 2, "no rule of the configuration in use says so any more"
    for rule in expected.rules:
        yield from _rule_lines(rule)
    if expected.written_by is not None:
        yield 2, f"what is there was written by order {expected.written_by}"
    elif expected.current_value is not None:
        yield 2, "what is there was written by no order"
    yield from _record_lines(expected.orders, expected.states if detailed else (), expected.decisions)


def _assignment_lines(title: str, item: Assignment, *, detailed: bool) -> Iterator[Line]:
    owner = f"{item.owner_entity_type} {item.owner_key or f'resource {item.owner_id}'}"
    target = f"{item.target_entity_type} {item.target_key or '(not created yet)'}"
    about = f"owned by {owner}" if title == "owned" else f"owns {target}"
    states = f"{item.provisioning_state}, {item.workflow_state}"
    yield 0, f"{about} as {item.resource_type}: {states}, since {_time(item.since)}, {_origin(item.origin)}"
    if item.type_rule is not None:
        yield from _rule_lines(item.type_rule, 1)
    if item.confidence is not None:
        named = "; ".join(item.correlation) or "no rule of the configuration in use has this confidence"
        yield 1, f"correlated with confidence {item.confidence}: {named}"
    former = item.states if detailed else ()
    yield from _record_lines(item.orders if detailed else (), former, item.decisions, depth=1)


def _rule_lines(rule: Rule, depth: int = 2) -> Iterator[Line]:
    yield depth, f"{rule.rule}: {rule.definition}"
    yield from _input_lines(rule.inputs, depth + 1)


def _input_lines(inputs: tuple[InputValue, ...], depth: int) -> Iterator[Line]:
    for item in inputs:
        where = f" of {item.entity_type} {item.key}" if item.key is not None else f" ({item.note})"
        yield depth, f"{item.path} = {_shown(item.value)}{where}"
        if item.origin is not None:
            yield depth + 1, f"since {_time(item.since)}, {_origin(item.origin)}"
        for step in item.via:
            came = f"since {_time(step.since)}, {_origin(step.origin)}"
            yield depth + 1, f"over {step.navigation} to {step.entity_type} {step.key}, {came}"


def _record_lines(
    orders: tuple[OrderRecord, ...],
    states: tuple[Transition, ...],
    decisions: tuple[DecisionRecord, ...],
    *,
    depth: int = 2,
) -> Iterator[Line]:
    for order in orders:
        asked = "" if order.asked is None else f" {_shown(order.asked)}"
        failed = f"; {order.error_class}: {order.message}" if order.error_class else ""
        times = ", ".join(
            f"{word} {_time(instant)}"
            for word, instant in (
                ("decided", order.decided_at), ("executed", order.executed_at), ("verified", order.verified_at),
            )
            if instant is not None
        )  # fmt: skip
        yield (
            depth,
            f"order {order.order_id} of run {order.run_id}: {order.change_type}{asked}, {order.state}; {times}{failed}",
        )
    for decision in decisions:
        yield depth, f"{_time(decision.at)}: {decision.action} of {decision.subject} by {decision.actor}"
    for state in states:
        by = f" by {state.by}" if state.by else ""
        yield depth, f"{_time(state.at)}: {state.provisioning_state}, {state.workflow_state} (run {state.run_id}{by})"


def _origin(origin: Origin) -> str:
    if origin.run_id is None:
        return f"load {origin.load_id}: {origin.note}"
    mode = f", {origin.mode}" if origin.mode else ""
    parts = [f"by load {origin.load_id} of run {origin.run_id} ({origin.connector}{mode})"]
    if origin.approver:
        parts.append(f"approved by {origin.approver}")
    if origin.line is not None:
        parts.append(f"{origin.file} line {origin.line}")
    if origin.note:
        parts.append(origin.note)
    return ", ".join(parts)


def _time(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S}"


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    return f"'{value}'" if isinstance(value, str) else str(value)
