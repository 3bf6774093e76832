"""SQL that renders resources and values as the JSON of an order.

Scalars are JSON strings, except booleans (``true``/``false``) and numbers, by the property's type.
A ``datetime`` is ``YYYY-MM-DD HH:MM:SS[.ffffff]`` in UTC, ``bytes`` and ``binary`` are base64. A number that JSON
cannot say (an infinity) stays a string. Nothing is trimmed, folded or rounded.
"""

from __future__ import annotations

from include.model.base import DUCKDB_TYPES
from include.model.configuration import EntityType, Property
from include.storage.engine import literal, name


def json_value(item: Property, value: str) -> str:
    """SQL for the JSON of one typed value; NULL becomes ``null``."""
    rendered = {
        "BLOB": f"to_json(base64({value}))",
        "DOUBLE": f"CASE WHEN isfinite({value}) THEN to_json({value}) ELSE to_json({value}::VARCHAR) END",
    }.get(DUCKDB_TYPES[item.type], f"to_json({value})")
    return f"coalesce({rendered}, 'null'::JSON)"


def json_of_text(item: Property, text: str) -> str:
    """SQL for the JSON of a value held as text, as assignments hold it; NULL becomes ``null``.

    Text that is no value of the property's type stays a string: the managed system judges it.
    """
    kind = DUCKDB_TYPES[item.type]
    if kind in {"VARCHAR", "TIMESTAMP"}:
        return f"coalesce(to_json({text}), 'null'::JSON)"
    typed = f"TRY_CAST({text} AS {kind})"
    return f"CASE WHEN {typed} IS NULL THEN coalesce(to_json({text}), 'null'::JSON) ELSE {json_value(item, typed)} END"


def resource_object(entity: EntityType, alias: str, *, owner: bool = False, over: str | None = None) -> str:
    """SQL for a resource of ``alias`` as a JSON object: ``Id``, then every property.

    ``over`` is the SQL of a JSON object whose values go before those of the resource.
    An owner also has ``InternalDisplayName``: the value of its ``display_name_property``, or its primary
    key where that is empty. A property of the entity type that bears one of these names wins.
    """
    fields = {"Id": f"{alias}.resource_id::VARCHAR"}
    if owner:
        shown, key = (
            f"{alias}.{name(item.identifier)}::VARCHAR" for item in (entity.display_name_property, entity.primary_key)
        )
        fields["InternalDisplayName"] = f"coalesce(nullif({shown}, ''), {key})"
    for item in entity.properties:
        value = json_value(item, f"{alias}.{name(item.identifier)}")
        fields[item.identifier] = f"coalesce(({over})::JSON -> {literal(item.identifier)}, {value})" if over else value
    return "json_object(" + ", ".join(f"{literal(key)}, {value}" for key, value in fields.items()) + ")"


def key_object(entity: EntityType, key: str) -> str:
    """SQL for a target of which only the key is known (it was added, and not read since)."""
    return f"json_object({literal(entity.primary_key.identifier)}, {json_of_text(entity.primary_key, key)})"
