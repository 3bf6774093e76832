"""Column names as paths into a resource."""

from __future__ import annotations

import pytest

from connectors.errors import ConfigurationError
from connectors.scim.columns import resolve
from connectors.scim.schema import (
    ENTERPRISE_SCHEMA,
    USER_SCHEMA,
    Attribute,
    ResourceSchema,
    attributes_of,
    by_name,
    standard_schema,
)

TOLD = ResourceSchema(
    USER_SCHEMA,
    standard_schema("Users").attributes,
    {ENTERPRISE_SCHEMA: by_name([Attribute("department")]), "urn:x:undescribed": {}},
    told=True,
)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("userName", "userName"),
        ("USERNAME", "userName"),
        ("Name:FamilyName", "name.familyName"),
        ("emails", "emails.value"),
        ("emails:type", "emails.type"),
        (f"{USER_SCHEMA}:userName", "userName"),
        (f"{ENTERPRISE_SCHEMA}:department", f"{ENTERPRISE_SCHEMA}:department"),
        (f"{ENTERPRISE_SCHEMA.upper()}:DEPARTMENT", f"{ENTERPRISE_SCHEMA}:department"),
        ("urn:x:undescribed:badge", "urn:x:undescribed:badge"),
        ("urn:x:undescribed:badge:number", "urn:x:undescribed:badge.number"),
        ("urn:example:params:2.0:Device:serial", "urn:example:params:2.0:Device:serial"),
    ],
)
def test_names_lead_to_attributes_without_regard_to_case(name: str, path: str) -> None:
    schema = TOLD if "Device" not in name else standard_schema("Devices")
    assert resolve(name, schema).path == path


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("usernme", "did you mean 'userName'"),
        ("name:firstName", "no such attribute"),
        (f"{ENTERPRISE_SCHEMA}:departement", f"did you mean '{ENTERPRISE_SCHEMA}:department'"),
        ("userName:part", "no such attribute"),
        ("name", "map one of name:formatted"),
        ("a:b:c", "not of the form"),
        ("name:", "not of the form"),
        ("urn:nothing", "name it in 'schemas'"),
    ],
)
def test_mistakes_are_named(name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=f"column '{name}'.*{hint}"):
        resolve(name, TOLD)


def test_without_a_told_schema_any_name_goes() -> None:
    assert resolve("shoeSize:left", standard_schema("Users")).path == "shoeSize.left"


def test_a_column_of_many_values_needs_an_attribute_of_many() -> None:
    assert resolve("emails:value", TOLD, multivalued=True).multivalued
    assert not resolve("userName", TOLD, multivalued=True).multivalued


def test_a_schema_document_tells_types_lists_and_what_is_read_only() -> None:
    [attribute] = attributes_of(
        [
            {
                "name": "Devices",
                "type": "complex",
                "multiValued": True,
                "mutability": "readOnly",
                "subAttributes": [{"name": "active", "type": "boolean"}],
            },
            {"type": "nameless"},
        ]
    ).values()
    assert (attribute.name, attribute.multivalued, attribute.read_only) == ("Devices", True, True)
    assert attribute.parts["active"].type == "boolean"
