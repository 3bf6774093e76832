"""The rules of a resource type as a plan names them, each with what became of it in the other configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from include.model.base import Model
from include.model.resource_type import ResourceType

Status = Literal["", "new", "changed", "removed", "unchanged"]

TYPE_RULE = "type_rule"
CORRELATION_RULES = "correlation_rules"
WHOLE = "resource type"
"""The cause of every order of a resource type that only one configuration has."""

_VALUE_FIELDS = frozenset({"identifier", "display_name", "scalar_rules", "navigation_rules", "query_rules"})
_SENT_FIELDS = frozenset({"thresholds", "batch_size", "connection", "arguments", "transmitted_state_validity_period"})
"""How orders are sent; which orders there are does not depend on it."""


@dataclass(frozen=True, slots=True)
class RuleName:
    """One rule, or all of one kind that write the same.

    ``subject`` is the property or navigation that it writes, empty where it is about whole orders; ``target`` is
    what a navigation rule seeks: (property, value) of the linked entity type. ``expressions`` are those over the
    source entity type.
    """

    resource_type: str
    subject: str
    rule: str
    definition: str
    status: Status
    expressions: tuple[str, ...]
    target: tuple[str, str] | None = None


def rule_names(item: ResourceType, other: ResourceType | None, *, gone: Status) -> list[RuleName]:
    """The rules of a resource type.

    Args:
        item: the resource type in one configuration.
        other: the same in the other configuration; None where there is no other one, or it has no such type.
        gone: what a rule is that the other one lacks: ``new`` or ``removed``, empty where nothing is compared.
    """
    correlation = tuple(rule.source_expression for rule in item.correlation_rules)
    pairs = "; ".join(f"{rule.source_expression} = {rule.target_expression}" for rule in item.correlation_rules)
    type_status = _status([item.type_rule], [other.type_rule] if other else None, gone)
    correlation_status = _status(item.correlation_rules, other.correlation_rules if other else None, gone)
    condition = item.type_rule.condition
    return [
        RuleName(item.identifier, "", TYPE_RULE, condition, type_status, (condition,)),
        RuleName(item.identifier, "", CORRELATION_RULES, pairs, correlation_status, correlation),
        *_scalars(item, other, gone),
        *_navigations(item, other, gone),
        *_queries(item, other, gone),
    ]


def _scalars(item: ResourceType, other: ResourceType | None, gone: Status) -> Iterator[RuleName]:
    for subject in dict.fromkeys(rule.property for rule in item.scalar_rules):
        own = [(place, rule) for place, rule in enumerate(item.scalar_rules) if rule.property == subject]
        theirs = [rule for rule in other.scalar_rules if rule.property == subject] if other else []
        yield RuleName(
            item.identifier,
            subject,
            ", ".join(f"scalar_rules[{place}]" for place, _ in own),
            "; ".join(f"{subject}: {rule.expression}" for _, rule in own),
            _status([rule for _, rule in own], theirs, gone),
            tuple(rule.expression for _, rule in own),
        )


def _navigations(item: ResourceType, other: ResourceType | None, gone: Status) -> Iterator[RuleName]:
    for place, rule in enumerate(item.navigation_rules):
        theirs = [
            found
            for found in (other.navigation_rules if other else ())
            if (found.navigation, found.target_property, found.target_value)
            == (rule.navigation, rule.target_property, rule.target_value)
        ]
        yield RuleName(
            item.identifier,
            rule.navigation,
            f"navigation_rules[{place}]",
            f"{rule.navigation}: {rule.target_property} = {rule.target_value} where {rule.condition}",
            "unchanged" if rule in theirs else _status([rule], theirs, gone),
            (rule.condition,),
            (rule.target_property, rule.target_value),
        )


def _queries(item: ResourceType, other: ResourceType | None, gone: Status) -> Iterator[RuleName]:
    for subject in dict.fromkeys(rule.navigation for rule in item.query_rules):
        own = [(place, rule) for place, rule in enumerate(item.query_rules) if rule.navigation == subject]
        theirs = [rule for rule in other.query_rules if rule.navigation == subject] if other else []
        yield RuleName(
            item.identifier,
            subject,
            ", ".join(f"query_rules[{place}]" for place, _ in own),
            "; ".join(f"{subject}: {rule.source_expression} = {rule.target_expression}" for _, rule in own),
            _status([rule for _, rule in own], theirs, gone),
            tuple(rule.source_expression for _, rule in own),
        )


def _status(own: Sequence[Model], theirs: Sequence[Model] | None, gone: Status) -> Status:
    """What became of rules of one kind; ``theirs`` is None where nothing is compared."""
    if theirs is not None and list(own) == list(theirs):
        return "unchanged"
    return "changed" if own and theirs else gone


def changed_fields(item: ResourceType, other: ResourceType) -> list[str]:
    """The fields of a resource type that say who is to have what, and that the other configuration has otherwise."""
    return [
        field
        for field in type(item).model_fields
        if field not in _VALUE_FIELDS | _SENT_FIELDS and getattr(item, field) != getattr(other, field)
    ]
