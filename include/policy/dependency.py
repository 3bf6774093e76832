"""The order in which resource types are evaluated and provisioned."""

from __future__ import annotations

from collections.abc import Sequence

from include.model.resource_type import ResourceType


def by_dependency(resource_types: Sequence[ResourceType]) -> tuple[ResourceType, ...]:
    """Resource types with what they depend on first, otherwise in the order given.

    A dependency on a resource type that is not among them imposes no order; of a circle, the first goes
    first.
    """
    remaining, ordered = list(resource_types), list[ResourceType]()
    while remaining:
        waiting = {item.identifier for item in remaining}
        ready = [item for item in remaining if item.depends_on not in waiting - {item.identifier}] or remaining[:1]
        ordered += ready
        remaining = [item for item in remaining if item not in ready]
    return tuple(ordered)


def depth(resource_type: ResourceType, resource_types: Sequence[ResourceType]) -> int:
    """1 for a resource type that depends on none of ``resource_types``, else one more than the one it depends on."""
    known = {item.identifier: item for item in resource_types}
    chain = [resource_type.identifier]
    while (item := known.get(known[chain[-1]].depends_on or "")) is not None and item.identifier not in chain:
        chain.append(item.identifier)
    return len(chain)
