"""What a resource is made of (RFC 7643 section 7): told by the server, else the RFC's own schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_SCHEMA = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute; ``parts`` are the sub-attributes of a complex one, by their names without case."""

    name: str
    type: str = "string"
    multivalued: bool = False
    read_only: bool = False
    parts: Mapping[str, Attribute] = field(default_factory=dict)


Attributes = Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class ResourceSchema:
    """The attributes of one kind of resource: core ones, and those of each extension by its URN.

    ``told`` is true when the server itself described them: only then is an unknown name a mistake. An
    extension without attributes is one that is known by its URN only.
    """

    identifier: str
    attributes: Attributes
    extensions: Mapping[str, Attributes] = field(default_factory=dict)
    told: bool = False

    def within(self, extension: str | None) -> Attributes:
        """The attributes of one extension, or of the core for ``None``."""
        return self.attributes if extension is None else self.extensions.get(extension, {})

    def is_told(self, extension: str | None) -> bool:
        """Whether an unknown name in this part is a mistake."""
        return self.told and (extension is None or self.extensions.get(extension) != {})

    def names(self) -> Iterable[str]:
        """Every column name that this schema allows."""
        for extension in (None, *self.extensions):
            prefix = "" if extension is None else f"{extension}:"
            for attribute in self.within(extension).values():
                if attribute.parts:
                    yield from (f"{prefix}{attribute.name}:{part.name}" for part in attribute.parts.values())
                else:
                    yield f"{prefix}{attribute.name}"


def attributes_of(descriptions: Iterable[Mapping[str, Any]]) -> dict[str, Attribute]:
    """Attributes from the ``attributes`` or ``subAttributes`` of a schema document."""
    return by_name(
        Attribute(
            name=description["name"],
            type=description.get("type", "string"),
            multivalued=bool(description.get("multiValued", False)),
            read_only=description.get("mutability") == "readOnly",
            parts=attributes_of(description.get("subAttributes") or ()),
        )
        for description in descriptions
        if description.get("name")
    )


def by_name(attributes: Iterable[Attribute]) -> dict[str, Attribute]:
    """Attributes by their names without case (RFC 7643 2.1)."""
    return {attribute.name.casefold(): attribute for attribute in attributes}


def _plain(names: str, *, kind: str = "string", read_only: bool = False) -> dict[str, Attribute]:
    return by_name(Attribute(name, kind, read_only=read_only) for name in names.split())


def _list(name: str, parts: str, *, read_only: bool = False) -> Attribute:
    subs = _plain(parts) | (_plain("primary", kind="boolean") if not read_only and name != "members" else {})
    return Attribute(name, "complex", multivalued=True, read_only=read_only, parts=subs)


COMMON: Attributes = MappingProxyType(
    by_name(
        [
            Attribute("id", read_only=True),
            Attribute("externalId"),
            Attribute(
                "meta",
                "complex",
                read_only=True,
                parts=_plain("resourceType created lastModified location version", read_only=True),
            ),
        ]
    )
)
"""Attributes that every resource has, and that schemas do not list (RFC 7643 3.1)."""

USER_ATTRIBUTES: Attributes = MappingProxyType(
    _plain("userName displayName nickName profileUrl title userType preferredLanguage locale timezone")
    | _plain("active", kind="boolean")
    | by_name(
        [
            Attribute(
                "name",
                "complex",
                parts=_plain("formatted familyName givenName middleName honorificPrefix honorificSuffix"),
            ),
            *(
                _list(name, "value display type")
                for name in ("emails", "phoneNumbers", "ims", "photos", "entitlements", "roles", "x509Certificates")
            ),
            _list("addresses", "formatted streetAddress locality region postalCode country type"),
            _list("groups", "value $ref display type", read_only=True),
        ]
    )
)
GROUP_ATTRIBUTES: Attributes = MappingProxyType(
    _plain("displayName") | by_name([_list("members", "value $ref type display")])
)
ENTERPRISE_ATTRIBUTES: Attributes = MappingProxyType(
    _plain("employeeNumber costCenter organization division department")
    | by_name([Attribute("manager", "complex", parts=_plain("value $ref displayName"))])
)


def standard_schema(resource: str, extensions: Iterable[str] = ()) -> ResourceSchema:
    """The RFC's schema of ``Users`` or ``Groups``, and an open one for any other resource."""
    core: dict[str, tuple[str, Attributes]] = {
        "users": (USER_SCHEMA, USER_ATTRIBUTES),
        "groups": (GROUP_SCHEMA, GROUP_ATTRIBUTES),
    }
    identifier, attributes = core.get(resource.casefold(), (resource, {}))
    known: dict[str, Attributes] = {ENTERPRISE_SCHEMA: ENTERPRISE_ATTRIBUTES} if identifier == USER_SCHEMA else {}
    announced: dict[str, Attributes] = {urn: {} for urn in extensions}
    return ResourceSchema(identifier, {**COMMON, **attributes}, {**announced, **known})
