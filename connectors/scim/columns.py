"""Columns of a connection table as paths into a resource: ``userName``, ``name:givenName``, ``urn:...:attr``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from connectors.errors import ConfigurationError
from connectors.scim.schema import Attribute, ResourceSchema

DEFAULT_PART = "value"
MOST_PARTS = 2
URN = re.compile(r"(?P<urn>urn:.+:\d+(?:\.\d+)*:[^:]+):(?P<path>[^:]+(?::[^:]+)?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """Where a column's value lies in a resource.

    ``multivalued``: the column holds all values, one to a line; else the primary or first one.
    ``listed``: the attribute is a list of values in the resource. ``has_primary``: its items can be
    marked primary. ``type`` is the SCIM type of the value itself.
    """

    name: str
    attribute: str
    part: str | None = None
    extension: str | None = None
    type: str = "string"
    multivalued: bool = False
    listed: bool = False
    has_primary: bool = False
    read_only: bool = False

    @property
    def place(self) -> tuple[str | None, str]:
        """The attribute that the column belongs to: its extension, and its name without case."""
        return self.extension, self.attribute.casefold()

    @property
    def attribute_path(self) -> str:
        """The attribute in PATCH paths and filters (RFC 7644 3.5.2)."""
        return f"{self.extension}:{self.attribute}" if self.extension else self.attribute

    @property
    def path(self) -> str:
        """The value itself in PATCH paths."""
        return f"{self.attribute_path}.{self.part}" if self.part else self.attribute_path


def resolve(name: str, schema: ResourceSchema, *, multivalued: bool = False) -> Column:
    """A column name as a path, checked against what the server says of its resources.

    Raises:
        ConfigurationError: no such attribute, with the nearest name; or a path that names no single value.
    """
    extension, steps = _split(name, schema)
    attribute = schema.within(extension).get(steps[0].casefold())
    checked = schema.is_told(extension)
    if attribute is None:
        if checked:
            raise _unknown(name, schema)
        attribute = Attribute(steps[0], multivalued=multivalued)
    part = _part(name, attribute, steps[1] if len(steps) == MOST_PARTS else None, schema, checked=checked)
    return Column(
        name=name,
        attribute=attribute.name,
        part=part.name if part else None,
        extension=extension,
        type=(part or attribute).type,
        multivalued=multivalued and attribute.multivalued,
        listed=attribute.multivalued,
        has_primary="primary" in attribute.parts,
        read_only=attribute.read_only or bool(part and part.read_only),
    )


def _split(name: str, schema: ResourceSchema) -> tuple[str | None, list[str]]:
    extension, path = None, name
    if name.casefold().startswith("urn:"):
        known = sorted((schema.identifier, *schema.extensions), key=len, reverse=True)
        extension = next((urn for urn in known if name.casefold().startswith(f"{urn.casefold()}:")), None)
        if extension:
            path = name[len(extension) + 1 :]
        elif (found := URN.fullmatch(name)) is not None:
            extension, path = found["urn"], found["path"]
        else:
            raise ConfigurationError(f"column '{name}': cannot tell schema from attribute; name it in 'schemas'")
    steps = path.split(":")
    if len(steps) > MOST_PARTS or not all(steps):
        raise ConfigurationError(f"column '{name}' is not of the form attribute, attribute:part or urn:...:attribute")
    return (None if extension == schema.identifier else extension), steps


def _part(
    name: str, attribute: Attribute, step: str | None, schema: ResourceSchema, *, checked: bool
) -> Attribute | None:
    if step is not None:
        part = attribute.parts.get(step.casefold())
        if part is None and checked:
            raise _unknown(name, schema)
        return part or Attribute(step)
    if attribute.type != "complex":
        return None
    part = attribute.parts.get(DEFAULT_PART)
    if part is None:
        parts = ", ".join(f"{attribute.name}:{one.name}" for one in attribute.parts.values())
        raise ConfigurationError(f"column '{name}' holds several values; map one of {parts}")
    return part


def _unknown(name: str, schema: ResourceSchema) -> ConfigurationError:
    names = {known.casefold(): known for known in schema.names()}
    near = difflib.get_close_matches(name.casefold(), names, n=1)
    hint = f"; did you mean '{names[near[0]]}'?" if near else ""
    return ConfigurationError(f"column '{name}': the server's schemas know no such attribute{hint}")
