"""Changes of columns as SCIM payloads: a resource to create or replace, or PATCH operations (RFC 7644 3.3-3.5).

Nothing here speaks HTTP. One function turns changes into a new state of a resource; creation applies
it to nothing, replacement to what the server holds, and PATCH takes whole lists from its outcome.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from connectors.errors import ConfigurationError, InvalidValue
from connectors.scim.columns import Column
from connectors.scim.schema import ResourceSchema
from connectors.scim.values import json_value, json_values, key_of, member_of, preferred

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MEMBERS = "members"
ADDITIONS_PER_REQUEST = 200
REMOVALS_PER_REQUEST = 50
"""Fewer than additions: each removal is an operation of its own, with a filter to evaluate."""
DESCRIPTIVE_PARTS = frozenset({"primary", "type", "display"})
"""Parts that say something of an item but are not what it is about (RFC 7643 2.4)."""

Changes = Mapping[Column, Any]
"""New values by column; ``None`` takes the value away."""


def checked(changes: Changes) -> Changes:
    """The changes, refused where a column cannot be written.

    Raises:
        InvalidValue: the server assigns a column's value itself.
        ConfigurationError: two multi-valued columns of one list, whose lines belong to no common item.
    """
    for column in changes:
        if column.read_only:
            raise InvalidValue(f"column '{column.name}' is read-only: the server assigns it")
    for _, columns in _by_place(changes):
        if len(columns) > 1 and any(column.multivalued for column in columns):
            names = ", ".join(f"'{column.name}'" for column in columns)
            raise ConfigurationError(f"columns {names} cannot be written together: map one of them")
    return changes


def creation(schema: ResourceSchema, changes: Changes) -> dict[str, Any]:
    """The body of a POST. Attributes without a value are left out (RFC 7643 2.5)."""
    return changed({"schemas": [schema.identifier]}, changes)


def changed(document: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """A copy of a resource with the changes made, and all else as it was."""
    result: dict[str, Any] = copy.deepcopy(dict(document))
    for (extension, _), columns in _by_place(changes):
        values = {column: changes[column] for column in columns}
        if extension is None:
            _change_attribute(result, values)
        else:
            _change_extension(result, extension, values)
    return result


def patch(operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The body of a PATCH."""
    return {"schemas": [PATCH_SCHEMA], "Operations": list(operations)}


def needs_current(changes: Changes) -> bool:
    """Whether operations can only be told from the present state: some attribute is a list."""
    return any(column.listed for column in changes)


def operations(changes: Changes, current: Mapping[str, Any]) -> list[dict[str, Any]]:
    """PATCH operations for the changed attributes only.

    A list is replaced as a whole with its items beside the changed one kept, because servers differ
    in how they read filters inside paths; ``current`` must hold it.
    """
    result = []
    future = changed(current, {column: value for column, value in changes.items() if column.listed})
    for _, columns in _by_place(changes):
        if columns[0].listed:
            before, after = _attribute(current, columns[0]), _attribute(future, columns[0])
            if before != after:
                result.append(_operation(columns[0].attribute_path, after))
        else:
            result.extend(_operation(column.path, json_value(changes[column], column)) for column in columns)
    return result


def member_operations(additions: Iterable[str], removals: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
    """PATCH operations on a group, in portions that a server can take; additions come first."""
    for portion in _portions(additions, ADDITIONS_PER_REQUEST):
        yield [{"op": "add", "path": MEMBERS, "value": [{"value": member} for member in portion]}]
    for portion in _portions(removals, REMOVALS_PER_REQUEST):
        yield [{"op": "remove", "path": f"{MEMBERS}[value eq {quoted(member)}]"} for member in portion]


def with_members(group: Mapping[str, Any], additions: Iterable[str], removals: Iterable[str]) -> dict[str, Any]:
    """A copy of a group with members added and removed, the others untouched."""
    result = dict(group)
    key = key_of(result, MEMBERS) or MEMBERS
    leaving, present = set(removals), members_of(group)
    kept = [member for member, name in zip(result.get(key) or [], present, strict=True) if name not in leaving]
    staying = set(present) - leaving
    result[key] = kept + [{"value": member} for member in dict.fromkeys(additions) if member not in staying]
    return result


def members_of(group: Mapping[str, Any]) -> list[Any]:
    """The ids of a group's members; anything but text stands for a member that names nobody."""
    members = member_of(group, MEMBERS)
    return [
        member_of(member, "value") if isinstance(member, Mapping) else member
        for member in (members if isinstance(members, list) else [])
    ]


def quoted(text: str) -> str:
    """Text as a value of a filter: a JSON string (RFC 7644 3.4.2.2)."""
    return json.dumps(text, ensure_ascii=False)


def _by_place(changes: Changes) -> Iterator[tuple[tuple[str | None, str], list[Column]]]:
    ordered = sorted(changes, key=lambda column: (column.extension or "", column.attribute.casefold()))
    for place, columns in groupby(ordered, key=lambda column: column.place):
        yield place, list(columns)


def _portions(members: Iterable[str], size: int) -> Iterator[list[str]]:
    distinct = list(dict.fromkeys(members))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


def _operation(path: str, value: Any) -> dict[str, Any]:
    if value is None or value == []:
        return {"op": "remove", "path": path}
    return {"op": "replace", "path": path, "value": value}


def _attribute(document: Mapping[str, Any], column: Column) -> Any:
    container = document if column.extension is None else member_of(document, column.extension) or {}
    return member_of(container, column.attribute)


def _put(container: dict[str, Any], name: str, value: Any) -> None:
    """Set a value under a name without case; no value takes the key away."""
    key = key_of(container, name) or name
    if value is None or value in ([], {}):
        container.pop(key, None)
    else:
        container[key] = value


def _change_extension(document: dict[str, Any], extension: str, values: Changes) -> None:
    attributes = dict(member_of(document, extension) or {})
    _change_attribute(attributes, values)
    _put(document, extension, attributes)
    others = [urn for urn in document.get("schemas", []) if urn.casefold() != extension.casefold()]
    document["schemas"] = [*others, extension] if attributes else others


def _change_attribute(container: dict[str, Any], values: Changes) -> None:
    column, value = next(iter(values.items()))
    present = member_of(container, column.attribute)
    future: Any
    if column.multivalued:
        future = _change_list(present, column, value)
    elif column.listed:
        future = _change_item(present, values)
    elif column.part is not None:
        future = _change_parts(present, values)
    else:
        future = json_value(value, column)
    _put(container, column.attribute, future)


def _change_parts(present: Any, values: Changes) -> dict[str, Any]:
    result = dict(present) if isinstance(present, Mapping) else {}
    for column, value in values.items():
        _put(result, column.part or "value", json_value(value, column))
    return result


def _change_item(present: Any, values: Changes) -> list[Any]:
    """The list with its preferred item changed, added or taken away; other items stay as they are."""
    items = list(present or [])
    old = preferred(items)
    position = next((index for index, item in enumerate(items) if item is old), len(items))
    column, value = next(iter(values.items()))
    if column.part is None:
        future: Any = json_value(value, column)
        empty = future is None
    else:
        future = _change_parts(old, values)
        left = {name.casefold() for name in future}
        empty = not left or (left <= DESCRIPTIVE_PARTS and all(value is None for value in values.values()))
        if column.has_primary and not any(key_of(item, "primary") for item in items if isinstance(item, Mapping)):
            future["primary"] = True
    return [*items[:position], *([] if empty else [future]), *items[position + 1 :]]


def _change_list(present: Any, column: Column, value: Any) -> list[Any]:
    """The list with exactly the given values; items that stay keep their other parts and their order."""
    wanted = json_values(value, column)
    if column.part is None:
        return wanted
    part = column.part
    items = [item if isinstance(item, Mapping) else {part: item} for item in present or []]
    kept = [item for item in items if member_of(item, part) in wanted]
    there = [member_of(item, part) for item in kept]
    return [*kept, *({part: one} for one in wanted if one not in there)]
