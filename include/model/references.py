"""Names that one part of the configuration uses and another declares, in this file or another."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from include.model.catalogue import Catalogue, has_unreadable_names
from include.model.configuration import AssociationEnd, Connector, EntityType
from include.model.connector_file import ConnectorFile, Finding
from include.model.formats import mask_of
from include.model.inbound import inbound_mistakes
from include.model.mending import PLACEHOLDER
from include.model.names import suggestion
from include.model.positions import FieldPath
from include.model.records import record_mistakes
from include.model.resource_type import NavigationRule, QueryRule, ResourceType


def reference_mistakes(connector: Connector, catalogue: Catalogue) -> Iterator[Finding]:
    """Names that nobody declares, and names used for what they are not."""
    for path, kind, name in _foreign_names(connector):
        known: Collection[str] = catalogue.entity_types if kind == "entity type" else catalogue.resource_types
        if name not in known and not has_unreadable_names(connector):
            yield path, _unknown(kind, name, known) + _unless_unreadable(catalogue)
    for path, end in _ends(connector):
        yield from _key_mistakes(end, path, catalogue)
    yield from inbound_mistakes(connector, catalogue)
    for index, resource_type in enumerate(connector.resource_types):
        path = ("resource_types", index)
        yield from _connection_mistakes(resource_type, path, connector)
        yield from _cycle_mistakes(resource_type, path, catalogue)
        yield from record_mistakes(resource_type, path, catalogue)
        target = catalogue.entity_types.get(resource_type.target_entity_type)
        if target is not None:
            yield from _scalar_mistakes(resource_type, path, target[0], catalogue)
            yield from _navigation_mistakes(resource_type, path, target[0], catalogue)
        source = catalogue.entity_types.get(resource_type.source_entity_type)
        if source is not None:
            yield from _owner_property_mistakes(resource_type, path, source[0])


def broken_references(connector: Connector, catalogue: Catalogue, broken: Collection[str]) -> Iterator[Finding]:
    """Names that this connector uses of one of the broken files."""
    for path, kind, name in _foreign_names(connector):
        declared = (catalogue.entity_types if kind == "entity type" else catalogue.resource_types).get(name)
        if declared and declared[1].name in broken:
            yield path, _broken(kind, name, declared[1])
    for index, resource_type in enumerate(connector.resource_types):
        navigations = catalogue.navigations.get(resource_type.target_entity_type, {})
        yield from _broken_records(resource_type, ("resource_types", index), catalogue, broken)
        for field, position, rule in _link_rules(resource_type):
            used = navigations.get(rule.navigation)
            if used and used.file.name in broken:
                path = ("resource_types", index, field, position, "navigation")
                yield path, _broken("navigation", rule.navigation, used.file)


def _broken_records(
    resource_type: ResourceType, path: FieldPath, catalogue: Catalogue, broken: Collection[str]
) -> Iterator[Finding]:
    of_source = catalogue.navigations.get(resource_type.source_entity_type, {})
    used = of_source.get(resource_type.records.navigation) if resource_type.records else None
    if used and used.file.name in broken:
        yield (*path, "records", "navigation"), _broken("navigation", used.name, used.file)


def _broken(kind: str, name: str, file: ConnectorFile) -> str:
    return f"{kind} '{name}' belongs to connector '{file.identifier}', which is broken: mend {file.name} first"


def _unknown(kind: str, name: str, known: Collection[str], of: str = "") -> str:
    return f"unknown {kind} '{name}'{of}{suggestion(name, [item for item in known if item != PLACEHOLDER])}"


def _unless_unreadable(catalogue: Catalogue) -> str:
    files = catalogue.unreadable
    return f" (or it stands in {', '.join(files)}, which cannot be read)" if files else ""


def _ends(connector: Connector) -> Iterator[tuple[FieldPath, AssociationEnd]]:
    for index, association in enumerate(connector.associations):
        yield ("associations", index, "end1"), association.end1
        yield ("associations", index, "end2"), association.end2


def _foreign_names(connector: Connector) -> Iterator[tuple[FieldPath, str, str]]:
    """Path, kind and name of everything that another file may declare."""
    for path, end in _ends(connector):
        yield (*path, "entity_type"), "entity type", end.entity_type
    for index, resource_type in enumerate(connector.resource_types):
        path = ("resource_types", index)
        yield (*path, "source_entity_type"), "entity type", resource_type.source_entity_type
        yield (*path, "target_entity_type"), "entity type", resource_type.target_entity_type
        if resource_type.depends_on is not None:
            yield (*path, "depends_on"), "resource type", resource_type.depends_on


def _key_mistakes(end: AssociationEnd, path: FieldPath, catalogue: Catalogue) -> Iterator[Finding]:
    declared = catalogue.entity_types.get(end.entity_type)
    if declared is None or end.key is None:
        return
    keys = [item.identifier for item in declared[0].properties if item.primary_key or item.unique_key]
    if end.key in keys:
        return
    if declared[0].find(end.key):
        message = f"'{end.key}' of {end.entity_type} is neither a primary nor a unique key; keys: {', '.join(keys)}"
        yield (*path, "key"), message
    else:
        yield (*path, "key"), _unknown("property", end.key, keys, f" of {end.entity_type}")


def _connection_mistakes(resource_type: ResourceType, path: FieldPath, connector: Connector) -> Iterator[Finding]:
    known = [item.identifier for item in connector.connections]
    if resource_type.connection not in known and PLACEHOLDER not in known:
        yield (*path, "connection"), _unknown("connection", resource_type.connection, known)


def _cycle_mistakes(resource_type: ResourceType, path: FieldPath, catalogue: Catalogue) -> Iterator[Finding]:
    chain = [resource_type.identifier]
    following = resource_type.depends_on
    while following is not None and following not in chain:
        chain.append(following)
        declared = catalogue.resource_types.get(following)
        following = declared[0].depends_on if declared else None
    # A chain that runs into a cycle further on is reported where the cycle is.
    if following == resource_type.identifier:
        yield (*path, "depends_on"), f"depends on itself: {' -> '.join([*chain, following])}"


def _owner_property_mistakes(resource_type: ResourceType, path: FieldPath, source: EntityType) -> Iterator[Finding]:
    wanted = resource_type.depends_on_owner_property
    if wanted is not None and not source.find(wanted):
        names = [item.identifier for item in source.properties]
        yield (*path, "depends_on_owner_property"), _unknown("property", wanted, names, f" of {source.identifier}")


def _scalar_mistakes(
    resource_type: ResourceType, path: FieldPath, target: EntityType, catalogue: Catalogue
) -> Iterator[Finding]:
    linked = {rule.navigation: "navigation" for rule in resource_type.navigation_rules}
    linked |= {rule.navigation: "query" for rule in resource_type.query_rules}
    navigations = catalogue.navigations.get(target.identifier, {})
    written = {rule.property for rule in resource_type.scalar_rules}
    for index, rule in enumerate(resource_type.scalar_rules):
        place: FieldPath = (*path, "scalar_rules", index, "property")
        found = target.find(rule.property)
        if rule.property in linked:
            kind = linked[rule.property]
            yield place, f"'{rule.property}' is fed by a {kind} rule too: one kind of rule feeds a property"
        elif rule.property in navigations:
            yield place, f"'{rule.property}' is a navigation of {target.identifier}: feed it with navigation_rules"
        elif found is None:
            names = [item.identifier for item in target.properties]
            yield place, _unknown("property", rule.property, names, f" of {target.identifier}")
        elif rule.property in [item.identifier for item in target.computed_properties]:
            yield place, f"'{rule.property}' of {target.identifier} is computed: the managed system has no such value"
        elif found.type != "string" and rule.comparison_type != "case_sensitive":
            message = f"'{rule.comparison_type}' compares texts, and '{rule.property}' is {found.type}: leave this out"
            yield (*place[:-1], "comparison_type"), message
        mask = mask_of(found)
        if mask is not None and mask in written:
            message = f"'{rule.property}' is a flag of '{mask}', which a rule writes too: write the mask or its flags"
            yield place, message


def _navigation_mistakes(
    resource_type: ResourceType, path: FieldPath, target: EntityType, catalogue: Catalogue
) -> Iterator[Finding]:
    navigations = catalogue.navigations.get(target.identifier, {})
    given = {rule.navigation for rule in resource_type.navigation_rules}
    for field, index, rule in _link_rules(resource_type):
        place: FieldPath = (*path, field, index)
        used = navigations.get(rule.navigation)
        if isinstance(rule, QueryRule) and rule.navigation in given:
            message = f"'{rule.navigation}' is fed by a navigation rule too: one kind of rule feeds a navigation"
            yield (*place, "navigation"), message
        elif used is not None:
            if isinstance(rule, NavigationRule):
                yield from _linked_property_mistakes(rule.target_property, used.linked, place, catalogue)
        elif target.find(rule.navigation):
            message = f"'{rule.navigation}' is a property of {target.identifier}: feed it with scalar_rules"
            yield (*place, "navigation"), message
        else:
            message = _unknown("navigation", rule.navigation, navigations, f" of {target.identifier}")
            yield (*place, "navigation"), message + _unless_unreadable(catalogue)


def _link_rules(resource_type: ResourceType) -> Iterator[tuple[str, int, NavigationRule | QueryRule]]:
    """The rules that give links, with their field and position."""
    for position, rule in enumerate(resource_type.navigation_rules):
        yield "navigation_rules", position, rule
    for position, query in enumerate(resource_type.query_rules):
        yield "query_rules", position, query


def _linked_property_mistakes(name: str, linked: str, place: FieldPath, catalogue: Catalogue) -> Iterator[Finding]:
    declared = catalogue.entity_types.get(linked)
    if declared is not None and not declared[0].find(name):
        names = [item.identifier for item in declared[0].properties]
        yield (*place, "target_property"), _unknown("property", name, names, f" of {linked}")
