"""The JSON Schema of a connector file, so that editors complete and check it while it is written."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from include.model.configuration import Connector


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one connector file.

    It knows the shape of a file; what ``load_configuration`` checks across fields and files it does not.
    """
    schema = Connector.model_json_schema()
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "title": "Rollcall connector"}
