"""Settings of two packages, as a connector would declare them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class CsvSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    path: str
    separator: str = ","
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    columns: list[str] | str = []

    @field_validator("separator")
    @classmethod
    def one_character(cls, value: str) -> str:
        if len(value) != 1:
            raise ValueError(f"'{value}' is not one character,\nbut {value} is")
        return value


class Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = Field(default=100, gt=0)


class ScimSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    page_size: int = Field(default=100, gt=0)
    token_url: str | None = None
    use_token: bool = False
    paging: Paging = Paging()


def settings_model(package: str) -> type[BaseModel]:
    models: dict[str, type[BaseModel]] = {"csv": CsvSettings, "scim": ScimSettings}
    if package not in models:
        raise LookupError(f"unknown package '{package}'; packages are csv, scim")
    return models[package]
