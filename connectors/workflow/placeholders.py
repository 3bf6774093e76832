"""Texts with placeholders: ``$Changes:<property>$`` and ``$Resource:<property>$``, with dotted paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.contract import Order
from connectors.errors import ConfigurationError

CHANGES, RESOURCE = "Changes", "Resource"
ADD, REMOVE = "_add", "_remove"
_PLACEHOLDER = re.compile(r"\$(\w+):([^$\s]+)\$")


def checked_template(text: str) -> str:
    """A text whose placeholders are known ones.

    Raises:
        ValueError: a placeholder of another kind, or a path with an empty step.
    """
    for kind, path in _PLACEHOLDER.findall(text):
        if kind not in {CHANGES, RESOURCE}:
            raise ValueError(f"'${kind}:{path}$': a placeholder is $Changes:<property>$ or $Resource:<property>$")
        if not all(path.split(".")):
            raise ValueError(f"'${kind}:{path}$': a path is property names with single dots between them")
    return text


def filled(text: str, order: Order) -> str:
    """A text with the values of an order in place of its placeholders; no value is the empty text.

    ``$Changes:p$`` is the new value, or that of ``Resource`` where the order leaves ``p`` as it is. Of
    several linked objects, the values stand side by side with commas; a link is looked for as ``p`` and as ``p_add``.

    Raises:
        ConfigurationError: the order tells the properties of its entity type, and ``p`` is none.
    """
    return _PLACEHOLDER.sub(lambda found: _text(order, found[1], found[2]), text)


def _text(order: Order, kind: str, path: str) -> str:
    first, *steps = path.split(".")
    for place in (order.changes, order.resource) if kind == CHANGES else (order.resource,):
        for name in (first, f"{first}{ADD}") if place is order.changes else (first,):
            if name in place:
                return ", ".join(_words(place[name], steps))
    _require_known(order, kind, path, first)
    return ""


def _words(value: Any, steps: list[str]) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _words(item, steps)
    elif steps:
        if isinstance(value, Mapping) and value.get(steps[0]) is not None:
            yield from _words(value[steps[0]], steps[1:])
    elif isinstance(value, Mapping):
        yield str(value.get("InternalDisplayName") or value.get("Identifier") or value.get("Id") or "")
    elif isinstance(value, bool):
        yield str(value).lower()
    elif value is not None:
        yield str(value)


def _require_known(order: Order, kind: str, path: str, first: str) -> None:
    """Tell a property that has no value from one that is misspelt, where the order says what there is."""
    mapping = order.resource_type.get("Mapping")
    if not isinstance(mapping, Mapping) or (kind == RESOURCE and order.change_type == "Added"):
        return
    known = {*mapping.get("Columns", ()), *mapping.get("Links", ())}
    removed = first.removesuffix(ADD).removesuffix(REMOVE)
    if known and first not in known and removed not in known:
        target = (order.resource_type.get("TargetEntityType") or {}).get("Identifier") or "the target entity type"
        raise ConfigurationError(
            f"placeholder '${kind}:{path}$' names no property of {target}; correct it in the settings"
        )
