"""When a rule holds: the owner's period, the offsets of the rules, and who has what at the instant of the run.

engine.md 1.11 and 3.12. All is SQL over one row per owner with ``condition``, ``period_start`` and
``period_end`` (TIMESTAMP in UTC; ``-infinity`` and ``infinity`` where there is no bound). Every time begins
with its first instant and ends before its last: two that meet never overlap. A period that does not end
after it begins holds nothing.

The resource type is held from ``holds_from`` until ``holds_until``: the time of its own rule, widened by
the times of the rules that have an offset. Before, it may be created ahead of time, as it is to be at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from include.expressions.functions import EVALUATED_AT
from include.model.resource_type import NavigationRule, ResourceType, ScalarRule, TimeOffset
from include.policy.workspace import Workspace

NOW = f"{EVALUATED_AT}()"
EARLIEST, LATEST = "TIMESTAMP '-infinity'", "TIMESTAMP 'infinity'"
_PRECEDENCE = ("default", "around", "before", "after")
"""Rules of one property, the strongest first: engine.md applies them in the opposite order, later ones overwrite."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time as SQL: its first instant, and the one at which it is over."""

    begin: str
    end: str

    def contains(self, instant: str) -> str:
        """A SQL boolean: whether the instant lies within."""
        return f"({instant} >= {self.begin} AND {instant} < {self.end})"


def is_timed(resource_type: ResourceType) -> bool:
    """Whether owners have a period at all."""
    return resource_type.type_rule.start is not None or resource_type.type_rule.end is not None


def window(resource_type: ResourceType, offset: TimeOffset | None) -> Window:
    """The time of a rule with that offset; without one, that of the type rule."""
    offset = offset or resource_type.type_rule.time_offset
    if offset is None:
        return Window("period_start", "period_end")
    before_from = "period_end" if offset.reference == "after" else "period_start"
    after_from = "period_start" if offset.reference == "before" else "period_end"
    return Window(
        f"({before_from} + to_minutes({offset.before_minutes}))", f"({after_from} + to_minutes({offset.after_minutes}))"
    )


def by_precedence(rules: Sequence[tuple[int, ScalarRule]]) -> list[tuple[int, ScalarRule]]:
    """Scalar rules of one property with their positions, the one that wins where several hold first."""
    return sorted(rules, key=lambda item: _PRECEDENCE.index(_reference(item[1])))


def dated(resource_type: ResourceType, ruled: str) -> str:
    """SQL relation: ``ruled`` with ``included``, ``holds_from``, ``holds_until`` and ``decided_for``.

    ``ruled`` is a SQL relation with ``condition``, ``period_start``, ``period_end`` and ``condition_<n>``
    per navigation rule. ``decided_for`` is the instant whose rules count: that of the run, or the
    beginning, where the resource is created ahead of time.
    """
    if not is_timed(resource_type):
        return f"(SELECT *, condition AS included FROM {ruled})"
    begins, ends = [], []
    for item, condition in _widening(resource_type):
        holds = f"{item.begin} < {item.end} AND {condition}"
        begins.append(f"CASE WHEN {holds} THEN {item.begin} ELSE {LATEST} END")
        ends.append(f"CASE WHEN {holds} THEN {item.end} ELSE {EARLIEST} END")
    ahead = resource_type.fulfil_hours_ahead_of_time
    return f"""(
        SELECT *, greatest({NOW}, holds_from) AS decided_for,
            condition AND period_start < period_end
                AND {NOW} >= holds_from - to_hours({ahead}) AND {NOW} < holds_until AS included
        FROM (SELECT *, least({", ".join(begins)}) AS holds_from, greatest({", ".join(ends)}) AS holds_until
              FROM {ruled})
    )"""


def holds(resource_type: ResourceType, rule: ScalarRule | NavigationRule) -> str:
    """A SQL boolean over ``dated``: the rule's time is now."""
    if not is_timed(resource_type):
        # No period, no offset that could count from it: the loader says so.
        return "true" if rule.time_offset is None else "false"
    return window(resource_type, rule.time_offset).contains("decided_for")


def next_change(space: Workspace, resource_type: ResourceType, ruled: str) -> datetime | None:
    """The next instant at which time alone may change what an owner should have; None: it never does.

    ``ruled`` as for ``dated``.
    """
    if not is_timed(resource_type):
        return None
    instants = ", ".join(
        f"CASE WHEN {instant} > decided_for AND {condition} THEN {instant} ELSE {LATEST} END"
        for item, condition in [(Window("holds_until", "holds_until"), "true"), *_effective(resource_type)]
        for instant in dict.fromkeys((item.begin, item.end))
    )
    created_from = f"holds_from - to_hours({resource_type.fulfil_hours_ahead_of_time})"
    ((found,),) = space.rows(f"""
        SELECT nullif(min(CASE WHEN {NOW} < {created_from} THEN {created_from} ELSE least({instants}) END), {LATEST})
        FROM {dated(resource_type, ruled)}
        WHERE condition AND period_start < period_end AND {NOW} < holds_until
    """)
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) else None


def _reference(rule: ScalarRule) -> str:
    return rule.time_offset.reference if rule.time_offset else "default"


def _rules(resource_type: ResourceType) -> list[tuple[ScalarRule | NavigationRule, str]]:
    """The rules that have a time, and the SQL boolean of whose they are."""
    return [
        *((rule, "true") for rule in resource_type.scalar_rules),
        *((rule, f"condition_{position}") for position, rule in enumerate(resource_type.navigation_rules)),
    ]


def _widening(resource_type: ResourceType) -> list[tuple[Window, str]]:
    """The times during which the resource is held, each with whom it concerns."""
    found = {(window(resource_type, None), "true"): None}
    for rule, condition in _rules(resource_type):
        if rule.time_offset is not None:
            found[window(resource_type, rule.time_offset), condition] = None
    return list(found)


def _effective(resource_type: ResourceType) -> list[tuple[Window, str]]:
    """The times of all rules, each with whom it concerns."""
    found = {(window(resource_type, rule.time_offset), condition): None for rule, condition in _rules(resource_type)}
    return list(found)
