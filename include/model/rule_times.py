"""What is wrong with the times of rules, and with several rules of one property (engine.md 1.11)."""

from __future__ import annotations

from collections.abc import Iterator

from include.model.configuration import Connector
from include.model.connector_file import Finding
from include.model.positions import FieldPath
from include.model.resource_type import ResourceType, ScalarRule, TimeOffset, TypeRule


def rule_time_mistakes(connector: Connector) -> Iterator[Finding]:
    """Times that count from what is not there, are over before they begin, or overlap within a property."""
    for index, resource_type in enumerate(connector.resource_types):
        path: FieldPath = ("resource_types", index)
        type_rule = resource_type.type_rule
        for place, offset in _offsets(resource_type, path):
            yield from _offset_mistakes(offset, place, type_rule)
        if resource_type.fulfil_hours_ahead_of_time and type_rule.start is None:
            message = "nothing starts, so nothing can be sent ahead of it: set type_rule.start, or leave this out"
            yield (*path, "fulfil_hours_ahead_of_time"), message
        yield from _property_mistakes(resource_type, path)


def _offsets(resource_type: ResourceType, path: FieldPath) -> Iterator[tuple[FieldPath, TimeOffset]]:
    if resource_type.type_rule.time_offset:
        yield (*path, "type_rule", "time_offset"), resource_type.type_rule.time_offset
    for position, scalar in enumerate(resource_type.scalar_rules):
        if scalar.time_offset:
            yield (*path, "scalar_rules", position, "time_offset"), scalar.time_offset
    for position, navigation in enumerate(resource_type.navigation_rules):
        if navigation.time_offset:
            yield (*path, "navigation_rules", position, "time_offset"), navigation.time_offset


def _offset_mistakes(offset: TimeOffset, place: FieldPath, type_rule: TypeRule) -> Iterator[Finding]:
    wanted = {"before": ("start",), "after": ("end",), "around": ("start", "end")}[offset.reference]
    if all(getattr(type_rule, end) is None for end in wanted):
        names = " or ".join(f"type_rule.{end}" for end in wanted)
        yield (*place, "reference"), f"'{offset.reference}' counts from {names}, which is not set"
    if offset.reference != "around" and offset.after_minutes <= offset.before_minutes:
        message = (
            f"the time ends ({offset.after_minutes}) before it begins ({offset.before_minutes}):"
            " after_minutes must be more than before_minutes"
        )
        yield (*place, "after_minutes"), message


def _property_mistakes(resource_type: ResourceType, path: FieldPath) -> Iterator[Finding]:
    """Rules of one property at one time, or rules that do not agree on what holds for all of them."""
    rules = resource_type.scalar_rules
    for index, rule in enumerate(rules):
        place: FieldPath = (*path, "scalar_rules", index)
        if not rule.is_mapped and rule.comparison_type != "case_sensitive":
            yield (*place, "comparison_type"), "with is_mapped: false the value is never compared: leave this out"
        earlier = [(number, item) for number, item in enumerate(rules[:index]) if item.property == rule.property]
        clashes = [message for number, item in earlier if (message := _clash(item, rule, number))]
        if clashes:
            yield (*place, "property" if rule.time_offset is None else "time_offset"), clashes[0]
            continue
        for field in ("is_mapped", "comparison_type"):
            if earlier and getattr(earlier[0][1], field) != getattr(rule, field):
                number = earlier[0][0]
                yield (*place, field), f"scalar_rules[{number}] of '{rule.property}' says otherwise: {field} must agree"


def _clash(first: ScalarRule, second: ScalarRule, number: int) -> str | None:
    """Why two rules of one property cannot both be; rules of different references overwrite each other."""
    one, other = first.time_offset, second.time_offset
    if one is None and other is None:
        return f"a second rule for '{second.property}': scalar_rules[{number}] feeds it already"
    if one is None or other is None or one.reference != other.reference:
        return None
    if other.reference == "around":
        # However they are moved: in a long enough period they meet.
        return f"a second rule around the period for '{second.property}': scalar_rules[{number}] is one already"
    if one.before_minutes < other.after_minutes and other.before_minutes < one.after_minutes:
        return f"its time overlaps that of scalar_rules[{number}] of '{second.property}'"
    return None
