"""A document with its mistakes mended, so that the mistakes behind them are found in the same pass.

A mended document is only looked at, never used: its file is broken all the same.
"""

from __future__ import annotations

import copy
import uuid
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from include.model.messages import errors_of, known_names, literal_values, path_in, value_at
from include.model.names import nearest
from include.model.positions import FieldPath

M = TypeVar("M", bound=BaseModel)
PLACEHOLDER = f"x{uuid.uuid4().hex}"
"""Stands for a name that is missing or wrong; like no name that anybody writes, and never shown."""
PASSES = 3
"""One for what stands wrong, one for what is then missing, one for what the placeholders uncover."""


def mend(data: Any, model: type[M]) -> M | None:
    """The nearest thing to ``data`` that the model accepts, or None when too little of it is readable.

    A misspelt field or value becomes the one that was probably meant, any other wrong field is taken
    away, and a missing text becomes a placeholder.
    """
    data = copy.deepcopy(data)
    for _ in range(PASSES):
        try:
            return model.model_validate(data)
        except ValidationError as error:
            wrong = [(path_in(data, details), details) for details in errors_of(error)]
            # What is missing may be there under a misspelt name, which is mended first.
            for path, details in sorted(wrong, key=lambda item: item[1]["type"] == "missing"):
                if path:
                    _mend_one(data, path, details, model)
    return None


def _mend_one(data: Any, path: FieldPath, details: ErrorDetails, model: type[BaseModel]) -> None:
    holder, name = value_at(data, path[:-1]), path[-1]
    near: str | None
    match details["type"]:
        case "missing":
            holder.setdefault(name, PLACEHOLDER)
        case "extra_forbidden":
            near = nearest(str(name), known_names(model, path[:-1]))
            value = holder.pop(name, None)
            if near and near not in holder:
                holder[near] = value
        case "literal_error" if near := nearest(str(details["input"]), literal_values(details)):
            holder[name] = near
        case _ if isinstance(name, int):
            holder[name] = PLACEHOLDER
        case _:
            holder.pop(name, None)
