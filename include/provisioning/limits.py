"""The provisioning thresholds of resource types (engine.md 3.7), through the limits that synchronization uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.difference.thresholds import Subject, Tally, Verdict, check
from include.model.configuration import Connector
from include.model.resource_type import ResourceType


def judge(connector: Connector, counters: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """Whether the orders of a connector stay within the limits of each resource type.

    Percentages are of the resources that owners hold of the type. While none is owned, a percentage of
    insertions says nothing and is not applied: the first provisioning of a system would always block.
    ``maximum_insert`` is there to limit it.
    """
    return check([_subject(item, counters[item.identifier]) for item in connector.resource_types])


def _subject(item: ResourceType, counted: Mapping[str, Any]) -> Subject:
    tally = Tally(
        stored=counted["owned"], inserted=counted["Added"], updated=counted["Modified"], deleted=counted["Deleted"]
    )
    limits = item.thresholds if tally.stored else item.thresholds.model_copy(update={"maximum_insert_percent": 0})
    return Subject("resource_type", item.identifier, tally, limits)
