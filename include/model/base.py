"""What every model of the configuration is made of: the closed base class, and the types of its fields."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

IDENTIFIER = r"^[A-Za-z][A-Za-z0-9_]*$"
CONNECTION_IDENTIFIER = r"^[A-Za-z][A-Za-z0-9.\-]*$"
CONNECTION_TABLE = r"""^[^<>:"/\\|?*\x00-\x1f]+$"""
MAXIMUM_PERCENT = 100

Identifier = Annotated[str, Field(pattern=IDENTIFIER, max_length=63)]
ConnectionIdentifier = Annotated[str, Field(pattern=CONNECTION_IDENTIFIER, max_length=442)]
ConnectionTable = Annotated[str, Field(pattern=CONNECTION_TABLE)]
Text = Annotated[str, Field(min_length=1)]
# Strict: YAML reads "yes" as true, and true would count as 1.
Count = Annotated[int, Field(ge=0, strict=True)]
Percent = Annotated[float, Field(ge=0, le=MAXIMUM_PERCENT, strict=True)]
PropertyType = Literal[
    "string", "bytes", "int32", "int64", "datetime", "bool", "guid", "double", "binary", "byte", "int16"
]
Severity = Literal["critical", "warning"]

DUCKDB_TYPES: dict[PropertyType, str] = {
    "string": "VARCHAR",
    "bytes": "BLOB",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "datetime": "TIMESTAMP",
    "bool": "BOOLEAN",
    "guid": "VARCHAR",
    "double": "DOUBLE",
    "binary": "BLOB",
    "byte": "UTINYINT",
    "int16": "SMALLINT",
}


class Model(BaseModel):
    """Base of every configuration model: frozen, and closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
