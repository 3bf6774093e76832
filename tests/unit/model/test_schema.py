"""The JSON Schema that editors use agrees with the loader about the shape of a file."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from include.model.schema import json_schema
from tests.unit.model.samples import FOLDER


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return loaded


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("name", ["hr.yaml", "crm.yaml"])
def test_a_good_file_is_valid(name: str, validator: Draft202012Validator) -> None:
    assert list(validator.iter_errors(document(name))) == []


def test_a_bad_file_is_not(validator: Draft202012Validator) -> None:
    bad = document("hr.yaml")
    bad["entity_types"][0]["properties"][0] = {"identifier": "employee_id", "primry_key": True}
    bad["entity_types"][1]["properties"][0]["type"] = "text"
    bad["associations"][0]["end1"].pop("navigation")
    bad["thresholds"]["maximum_deleted_lines"] = -1
    bad["connections"][0]["identifier"] = "HR_People"
    found = {tuple(error.absolute_path): error.validator for error in validator.iter_errors(bad)}
    assert found == {
        ("entity_types", 0, "properties", 0): "additionalProperties",
        ("entity_types", 1, "properties", 0, "type"): "enum",
        ("associations", 0, "end1"): "required",
        ("thresholds", "maximum_deleted_lines"): "minimum",
        ("connections", 0, "identifier"): "pattern",
    }


def test_editors_find_titles_and_descriptions() -> None:
    schema = json_schema()
    assert schema["title"] == "Rollcall connector"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    definitions = schema["$defs"]
    assert definitions["Property"]["properties"]["format"]["description"].startswith("How the managed system spells")
    assert all("description" in item for item in definitions.values())
    assert all(
        "title" in field or "$ref" in field or "anyOf" in field
        for item in definitions.values()
        for field in item["properties"].values()
    )


def test_the_schema_is_plain_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
