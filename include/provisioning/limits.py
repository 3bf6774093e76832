"""The provisioning thresholds of resource types (engine.md 3.7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from include.model.configuration import Connector, ResourceType
from include.provisioning.plan import Verdict


def judge(connector: Connector, counters: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Whether the orders of a connector stay within the limits of each resource type.

    A limit of 0 is off, and reaching a limit is still allowed: only more than it blocks. Percentages
    are of the resources that owners hold of the type; while none is owned, a percentage of insertions says nothing
    and is not applied (the first provisioning of a system would always block).
    """
    lines = tuple(line for item in connector.resource_types for line in _exceeded(item, counters[item.identifier]))
    return Verdict(bool(lines), lines)


def _exceeded(item: ResourceType, counted: Mapping[str, Any]) -> Iterator[str]:
    limits, owned = item.thresholds, counted["owned"]
    for change_type, maximum, percent, word in (
        ("Added", limits.maximum_insert, limits.maximum_insert_percent, "insert"),
        ("Modified", limits.maximum_update, limits.maximum_update_percent, "update"),
        ("Deleted", limits.maximum_delete, limits.maximum_delete_percent, "delete"),
    ):
        count = counted[change_type]
        if maximum and count > maximum:
            yield f"{item.identifier}: {count} orders {change_type}, maximum_{word} is {maximum}"
        if percent and owned and count * 100 > percent * owned:
            share = f"maximum_{word}_percent is {percent:g} of {owned} owned"
            yield f"{item.identifier}: {count} orders {change_type}, {share}"
