"""What a service provider says of itself (RFC 7644 section 4), with the RFC's own schemas where it says nothing."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from connectors.errors import ConfigurationError
from connectors.scim.answers import NOT_OFFERED, Answer
from connectors.scim.client import ScimClient
from connectors.scim.payload import MEMBERS
from connectors.scim.schema import COMMON, Attributes, ResourceSchema, attributes_of, standard_schema
from connectors.scim.settings import ScimSettings

DEFAULT_RESOURCES = ("Users", "Groups")
SILENT = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, *NOT_OFFERED})


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of resource: ``name`` is its path below the base address (``Users``)."""

    name: str
    schema: ResourceSchema

    @property
    def has_members(self) -> bool:
        """Whether objects of this kind hold members."""
        return MEMBERS in self.schema.attributes


@dataclass(frozen=True, slots=True)
class Service:
    """What the server offers. ``resources`` by name without case; ``told`` when the server listed them."""

    resources: Mapping[str, Resource]
    told: bool
    patch: bool = True
    filter: bool = True
    sort: bool = False
    extensions: tuple[str, ...] = field(default=())

    def resource(self, name: str) -> Resource:
        """A resource by name without case.

        Raises:
            ConfigurationError: the server lists its resources and this is none of them.
        """
        found = self.resources.get(name.casefold())
        if found is not None:
            return found
        if self.told:
            near = difflib.get_close_matches(name.casefold(), self.resources, n=1)
            hint = f"; did you mean '{self.resources[near[0]].name}'?" if near else ""
            raise ConfigurationError(f"the server has no resource '{name}'{hint}")
        return Resource(name, standard_schema(name, self.extensions))


def discover(client: ScimClient, settings: ScimSettings) -> Service:
    """Ask the three discovery endpoints; a server that offers none of them is taken as the RFC describes.

    Raises:
        ConnectorError: the server cannot be reached or refuses the credentials.
    """
    features = _document(client, "ServiceProviderConfig")
    schemas = {str(one.get("id")): attributes_of(one.get("attributes") or ()) for one in _list(client, "Schemas")}
    types = _list(client, "ResourceTypes")
    resources = [_resource(one, schemas, settings) for one in types if one.get("endpoint")]
    told = bool(resources)
    if not told:
        resources = [Resource(name, standard_schema(name, settings.schemas)) for name in DEFAULT_RESOURCES]
    return Service(
        resources={resource.name.casefold(): resource for resource in resources},
        told=told,
        patch=_supported(features, "patch", default=True),
        filter=_supported(features, "filter", default=True),
        sort=_supported(features, "sort", default=False),
        extensions=settings.schemas,
    )


def _resource(described: Mapping[str, Any], schemas: Mapping[str, Attributes], settings: ScimSettings) -> Resource:
    name = str(described["endpoint"]).rstrip("/").rsplit("/", 1)[-1]
    identifier = str(described.get("schema") or "")
    announced = (str(one.get("schema")) for one in described.get("schemaExtensions") or () if one.get("schema"))
    extensions = (*settings.schemas, *announced)
    if identifier not in schemas:
        return Resource(name, standard_schema(name, extensions))
    attributes = {**COMMON, **schemas[identifier]}
    described_extensions = {urn: schemas.get(urn, {}) for urn in extensions}
    return Resource(name, ResourceSchema(identifier, attributes, described_extensions, told=True))


def _document(client: ScimClient, name: str) -> Mapping[str, Any]:
    answer = client.get(f"read {name}", name)
    return _content(answer)


def _list(client: ScimClient, name: str) -> list[Mapping[str, Any]]:
    found = _document(client, name).get("Resources")
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _content(answer: Answer) -> Mapping[str, Any]:
    if answer.ok:
        return answer.body
    if answer.status in SILENT:
        return {}
    raise answer.failure()


def _supported(features: Mapping[str, Any], name: str, *, default: bool) -> bool:
    feature = features.get(name)
    return bool(feature.get("supported", default)) if isinstance(feature, Mapping) else default
