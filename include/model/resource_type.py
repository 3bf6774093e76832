"""Who may own what: resource types and their rules (engine.md 1.8 to 1.11)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from include.model.base import ConnectionIdentifier, Count, Identifier, Model, Percent, Text

Confidence = Annotated[int, Field(ge=0, le=150, strict=True)]
Minutes = Annotated[int, Field(strict=True, ge=-52_596_000, le=52_596_000)]
"""Up to a hundred years, either way."""
ComparisonType = Literal["case_sensitive", "ignore_case", "ignore_diacritics", "simplified", "approximate"]


class TimeOffset(Model):
    """By how much a rule's time differs from the owner's own period (engine.md 1.11)."""

    reference: Literal["around", "before", "after"]
    """around: from the start and to the end; before: both from the start; after: both from the end."""
    before_minutes: Minutes = 0
    """Added to the instant where the time begins."""
    after_minutes: Minutes = 0
    """Added to the instant where the time ends."""


class TypeRule(Model):
    """Who gets a resource of the type: a boolean expression over the source entity type."""

    condition: Text = "true"
    type: Literal["required", "requested_automatically", "suggested"] = "required"
    """required: given; requested_automatically: given once a person has validated it; suggested: only proposed."""
    start: Text | None = None
    """An expression: the instant from which the owner should have it; at any time when left out or empty."""
    end: Text | None = None
    """An expression: the instant at which the owner should no longer have it; never when left out or empty."""
    time_offset: TimeOffset | None = None
    """Moves the time between start and end. A rule with an offset of its own that leaves this time widens it."""


class CorrelationRule(Model):
    """A resource belongs to the owner whose source expression equals its target expression."""

    source_expression: Text
    target_expression: Text
    confidence: Confidence = 100
    """From 100 on the match is automatic; below, it is proposed for review. The highest is tried first."""


class ScalarRule(Model):
    """The value of one target property, as an expression over the source entity type (engine.md 1.11)."""

    property: Identifier
    expression: Text
    is_mapped: bool = True
    """False writes the value at creation only, and never compares it."""
    comparison_type: ComparisonType = "case_sensitive"
    """How the policy's text and that of the managed system are compared; not with is_mapped: false."""
    time_offset: TimeOffset | None = None
    """When the rule holds; in the time of the type rule when left out. Several rules may feed one property at
    different times. Where they overlap, one without an offset comes first, then around, before and after."""


class NavigationRule(Model):
    """A fixed link of the target, e.g. membership of a group."""

    navigation: Identifier
    target_property: Identifier
    """A property of the linked entity type: the linked resource is the one where it equals target_value."""
    target_value: str
    condition: Text = "true"
    """Whose target gets the link: a boolean expression over the source entity type."""
    time_offset: TimeOffset | None = None
    """When the link is given; in the time of the type rule when left out."""


class QueryRule(Model):
    """A link of the target to the resource that an expression finds, e.g. the account of the manager (engine.md 1.11).

    The rules of one navigation are tried by descending confidence; the first that finds a resource wins.
    """

    navigation: Identifier
    """A navigation of the target entity type; no navigation rule may feed it too."""
    source_expression: Text
    """Over the source entity type."""
    target_expression: Text
    """Over the linked entity type: the linked resource is the one where it equals the source expression."""
    confidence: Confidence = 100
    """From 100 on the link is given; below, it is proposed for review."""


class RecordSection(Model):
    """Several contracts or positions of one owner, each with a time of its own (engine.md 1.13, 4.5).

    In expressions over the source entity type, ``record`` is then the record in force at ``evaluated_at``, such as
    ``record.title`` or ``record.organization.code``: begun, and not yet ended. Of several in force it is the one that
    began last, then the one of the highest key; of none the one that begins next, else the one that ended last.
    ``record_start`` and ``record_end`` are the earliest start and the latest end of all records.
    """

    navigation: Identifier
    """From the source entity type to its records."""
    start_property: Identifier
    """A datetime of the records: the instant from which one is in force; 1900-01-01 when empty."""
    end_property: Identifier
    """A datetime of the records: the instant from which one is no longer in force; 2079-06-06 when empty. Where the
    source gives the last day, name a computed property that adds one."""


class ProvisioningThresholds(Model):
    """Limits on the orders of one resource type, with the product's defaults (engine.md 3.7)."""

    maximum_insert: Count = 0
    maximum_update: Count = 0
    maximum_delete: Count = 0
    maximum_insert_percent: Percent = 30
    maximum_update_percent: Percent = 30
    maximum_delete_percent: Percent = 30
    percentage_floor: Count = 0
    """A percentage blocks only when there are more orders than this, too; 0 switches the floor off."""


class ResourceType(Model):
    """Owners of the source entity type may own resources of the target entity type (engine.md 1.8)."""

    identifier: Identifier
    display_name: str | None = None
    source_entity_type: Identifier
    """Of the owners."""
    target_entity_type: Identifier
    """Of what they own."""
    connection: ConnectionIdentifier
    """The connection of this connector that fulfils the orders."""
    is_provisioning_enabled: bool = True
    """False evaluates the policy and sends no order."""
    allow_add: bool = True
    """Whether orders may create resources."""
    allow_remove: bool = True
    """Whether orders may delete resources."""
    block_provisioning: bool = True
    """Whether every order waits for a review."""
    depends_on: Identifier | None = None
    """A resource type that the owner must own first, e.g. the account before the mailbox."""
    depends_on_owner_property: Identifier | None = None
    """A property of the owner that must be filled before a resource is created."""
    fulfil_hours_ahead_of_time: Count = 0
    """So many hours before it starts the resource is created already, as it is to be at its start."""
    transmitted_state_validity_period: Count = 0
    """Minutes after which what was sent and never confirmed is an error; 0 waits for ever."""
    thresholds: ProvisioningThresholds = ProvisioningThresholds()
    batch_size: Annotated[int, Field(gt=0, le=1000, strict=True)] = 200
    """Orders that one task carries out."""
    records: RecordSection | None = None
    """Where one owner has several records, such as contracts: how they are found, and when each is in force."""
    type_rule: TypeRule = TypeRule()
    correlation_rules: tuple[CorrelationRule, ...] = ()
    scalar_rules: tuple[ScalarRule, ...] = ()
    navigation_rules: tuple[NavigationRule, ...] = ()
    query_rules: tuple[QueryRule, ...] = ()
    arguments: dict[str, str] = Field(default_factory=dict)
    """Added to every order of the type, by name (engine.md 3.6)."""
