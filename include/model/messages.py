"""What pydantic found wrong, as one plain sentence that never repeats the value."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from include.model.base import CONNECTION_IDENTIFIER, CONNECTION_TABLE, IDENTIFIER
from include.model.names import nearest, suggestion
from include.model.positions import FieldPath

PATTERNS = {
    IDENTIFIER: "must begin with a letter and hold only letters, digits and underscores",
    CONNECTION_IDENTIFIER: "must begin with a letter and hold only letters, digits, dots and hyphens",
    CONNECTION_TABLE: 'must not be empty nor hold any of < > : " / \\ | ? *, for it names a file',
}


def _pattern(error: ErrorDetails) -> str:
    pattern = error["ctx"]["pattern"]
    return PATTERNS.get(pattern, f"must match {pattern}")


def _text(error: ErrorDetails) -> str:
    return "must be text" if isinstance(error["input"], list | dict) else "must be text; put it in quotes"


def _literal(error: ErrorDetails) -> str:
    expected = literal_values(error)
    near = nearest(str(error["input"]), expected)
    return f"must be one of {', '.join(expected) or error['ctx']['expected']}" + (
        f"; did you mean '{near}'?" if near else ""
    )


def _few(error: ErrorDetails) -> str:
    minimum = error["ctx"]["min_length"]
    return "must not be an empty list" if minimum == 1 else f"must have {minimum} items or more"


SENTENCES: dict[str, Callable[[ErrorDetails], str]] = {
    "bool_parsing": lambda _: "must be true or false",
    "bool_type": lambda _: "must be true or false",
    "dict_type": lambda _: "must be a mapping of names to values",
    "float_parsing": lambda _: "must be a number",
    "float_type": lambda _: "must be a number",
    "greater_than": lambda error: f"must be more than {error['ctx']['gt']:g}",
    "greater_than_equal": lambda error: f"must be {error['ctx']['ge']:g} or more",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_type": lambda _: "must be a whole number",
    "less_than": lambda error: f"must be less than {error['ctx']['lt']:g}",
    "less_than_equal": lambda error: f"must be {error['ctx']['le']:g} or less",
    "list_type": lambda _: "must be a list",
    "literal_error": _literal,
    "model_attributes_type": lambda _: "must be a mapping of fields",
    "model_type": lambda _: "must be a mapping of fields",
    "string_pattern_mismatch": _pattern,
    "string_too_long": lambda error: f"must have {error['ctx']['max_length']} characters or fewer",
    "string_too_short": lambda _: "must not be empty",
    "string_type": _text,
    "too_short": _few,
    "tuple_type": lambda _: "must be a list",
    "union_tag_invalid": lambda error: (
        f"{error['ctx']['discriminator']} must be one of {error['ctx']['expected_tags']}"
    ),
}
OWN_WORDS = frozenset({"value_error", "assertion_error"})
"""Errors that a model's own validator raised, in its own words."""
LONG_VALUE = 4
"""A shorter value is only hidden where it stands as a word, or in quotes."""


def mistakes_of(
    error: ValidationError, model: type[BaseModel], data: Any, *, noun: str = "field", of: str = ""
) -> Iterator[tuple[FieldPath, str]]:
    """Path and sentence of everything wrong with ``data``, one per path.

    A missing field that is there under a misspelt name is reported once, as the unknown name.
    """
    sentences: dict[FieldPath, list[str]] = {}
    misspelt: set[FieldPath] = set()
    for details in errors_of(error):
        path = path_in(data, details)
        if details["type"] == "extra_forbidden":
            name, known = str(path[-1]), known_names(model, path[:-1])
            message = f"unknown {noun} '{name}'{of}{suggestion(name, known)}"
            meant = nearest(name, known)
            if meant and meant not in value_at(data, path[:-1]):
                misspelt.add((*path[:-1], meant))
        elif details["type"] == "missing":
            message = f"missing {noun} '{path[-1]}'{of}"
        else:
            message = _sentence(details, data)
        if message not in sentences.setdefault(path, []):
            sentences[path].append(message)
    yield from ((path, " or ".join(found)) for path, found in sentences.items() if path not in misspelt)


def errors_of(error: ValidationError) -> list[ErrorDetails]:
    """Pydantic's errors; it calls a list too short whose items are all wrong, which is left out."""
    return [
        details
        for details in error.errors(include_url=False)
        if details["type"] != "too_short" or len(details["input"]) < details["ctx"]["min_length"]
    ]


def _sentence(details: ErrorDetails, data: Any) -> str:
    if details["input"] is None:
        return "has no value: give it one, or leave it out"
    write = SENTENCES.get(details["type"])
    if write:
        return write(details)
    words = str(details["ctx"]["error"]) if details["type"] in OWN_WORDS else details["msg"]
    return _without_values(words.replace("Input should be", "must be"), data)


def _without_values(message: str, data: Any) -> str:
    """A message in somebody else's words, without the values that it may repeat."""
    for text in sorted(set(_texts(data)), key=len, reverse=True):
        for form in (text, repr(text)[1:-1]):
            message = message.replace(f"'{form}'", "'…'").replace(f'"{form}"', '"…"')
            if len(form) >= LONG_VALUE:
                message = message.replace(form, "…")
            elif form.isalnum():
                message = re.sub(rf"(?<!\w){form}(?!\w)", "…", message)
    return message


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping | list):
        for item in data.values() if isinstance(data, Mapping) else data:
            yield from _texts(item)
    elif data is not None and not isinstance(data, bool):
        yield str(data)


def literal_values(error: ErrorDetails) -> list[str]:
    """The values that a ``literal_error`` would have accepted."""
    return re.findall("'([^']*)'", error["ctx"]["expected"])


def path_in(data: Any, details: ErrorDetails) -> FieldPath:
    """Where in the document an error lies: pydantic adds steps of its own, such as members of unions."""
    path: list[str | int] = []
    for step in details["loc"]:
        if isinstance(data, Mapping):
            inside = step in data
        else:
            inside = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if inside:
            data = data[step]
            path.append(step)
    return (*path, details["loc"][-1]) if details["type"] == "missing" else tuple(path)


def value_at(data: Any, path: FieldPath) -> Any:
    """The part of a document at a path that is there."""
    for step in path:
        data = data[step]
    return data


def known_names(model: type[BaseModel], path: FieldPath) -> tuple[str, ...]:
    """The names that a mapping at the path may hold, in the order of their declaration."""
    models = [model]
    for step in path:
        if isinstance(step, str):
            fields = [info for item in models for name, info in item.model_fields.items() if step in (name, info.alias)]
            models = [found for info in fields for found in _models(info.annotation)]
    return tuple(dict.fromkeys(info.alias or name for item in models for name, info in item.model_fields.items()))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)
