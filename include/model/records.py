"""Whether the records of a resource type's owners can be found, and when each is in force."""

from __future__ import annotations

from collections.abc import Iterator

from include.model.catalogue import Catalogue
from include.model.connector_file import Finding
from include.model.names import suggestion
from include.model.positions import FieldPath
from include.model.resource_type import ResourceType

NAMES = ("record", "record_start", "record_end")
"""What expressions call the record in force, and the start and end over all records."""


def record_mistakes(resource_type: ResourceType, path: FieldPath, catalogue: Catalogue) -> Iterator[Finding]:
    """What speaks against the ``records`` of a resource type."""
    section, source = resource_type.records, catalogue.entity_types.get(resource_type.source_entity_type)
    if section is None or source is None:
        return
    place: FieldPath = (*path, "records")
    navigations = catalogue.navigations.get(resource_type.source_entity_type, {})
    taken = [item for item in NAMES if item in navigations or source[0].find(item)]
    if taken:
        message = (
            f"{source[0].identifier} has a '{taken[0]}' of its own, which expressions could not tell from the record"
        )
        yield place, message
    used = navigations.get(section.navigation)
    if used is None:
        hint = suggestion(section.navigation, navigations)
        yield (*place, "navigation"), f"unknown navigation '{section.navigation}' of {source[0].identifier}{hint}"
        return
    linked = catalogue.entity_types.get(used.linked)
    for field in ("start_property", "end_property"):
        wanted = getattr(section, field)
        found = linked[0].find(wanted) if linked else None
        if linked is not None and found is None:
            hint = suggestion(wanted, [item.identifier for item in linked[0].properties])
            yield (*place, field), f"unknown property '{wanted}' of {used.linked}{hint}"
        elif found is not None and found.type != "datetime":
            yield (
                (*place, field),
                f"'{wanted}' of {used.linked} is {found.type}: a datetime tells when a record is in force",
            )
