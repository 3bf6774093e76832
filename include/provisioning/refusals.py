"""Which orders the repository cannot carry out, and why: the table ``refused``, one line for each.

Each question is one SQL statement over all orders. Refusing an order leaves its resource as it was, which may
stand in the way of others, so keys and dependencies are asked again until nobody more is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from include.expressions.paths import Link
from include.model.configuration import Property
from include.model.resource_type import ResourceType
from include.provisioning.changes import base_relation
from include.provisioning.wanted import Target, is_changed, text, typed
from include.storage.engine import literal, name
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

SHOWN = 60
"""Characters of a value that a message shows."""


def refuse(
    connection: duckdb.DuckDBPyConnection,
    run: Folder,
    targets: Sequence[Target],
    resource_types: Sequence[ResourceType],
) -> None:
    """Create ``refused`` (order_id, error_class, message), and the view ``standing`` of each target entity type.

    Needs ``ordered``, ``ordered_link``, and of each target ``current`` and ``wanted``.
    """
    connection.execute("CREATE TABLE refused (order_id VARCHAR, error_class VARCHAR, message VARCHAR)")
    for target in targets:
        connection.execute(f"CREATE VIEW {target.standing} AS FROM {target.wanted} ANTI JOIN refused USING (order_id)")
        for question in (*_values(target), _resource(target), _key(target), *_links(run, target)):
            _add(connection, question)
    again = [*(question for target in targets for question in _taken(target)), *_dependencies(resource_types)]
    while sum(_add(connection, question) for question in again):
        pass


def _add(connection: duckdb.DuckDBPyConnection, question: str) -> int:
    """Refuse the orders of a query of order_id, error_class and message that stand still; how many."""
    counted = connection.execute(f"""
        INSERT INTO refused
        SELECT order_id, any_value(error_class), min(message) FROM ({question})
        ANTI JOIN refused USING (order_id) GROUP BY order_id
    """).fetchall()
    return int(counted[0][0])


def _values(target: Target) -> Iterator[str]:
    """Values that their properties do not take."""
    for item in target.entity_type.properties:
        label, shown = literal(item.identifier), f"left({text(item, 'w')}, {SHOWN})"
        complaints = [
            f"WHEN {typed(item, 'w')} IS NULL THEN format('{{}}: ''{{}}'' is no {item.type}', {label}, {shown})"
        ]
        if item.max_length is not None:
            complaints.append(
                f"WHEN length({text(item, 'w')}) > {item.max_length}"
                f" THEN format('{{}}: ''{{}}'' is longer than {item.max_length} characters', {label}, {shown})"
            )
        if item.allowed_values is not None:
            allowed = ", ".join(literal(value) for value in item.allowed_values) or "NULL"
            complaints.append(
                f"WHEN coalesce({text(item, 'w')} NOT IN ({allowed}), true)"
                f" THEN format('{{}}: ''{{}}'' is none of its allowed values', {label}, {shown})"
            )
        yield f"""
            SELECT * FROM (
                SELECT order_id, 'InvalidValue' AS error_class, CASE {" ".join(complaints)} END AS message
                FROM {target.wanted} AS w WHERE {is_changed(item, "w")} AND {text(item, "w")} IS NOT NULL
            ) WHERE message IS NOT NULL
        """


def _resource(target: Target) -> str:
    """Changes of what is not there any more, and two orders for one resource."""
    what = literal(target.identifier)
    return f"""
        SELECT order_id, 'ObjectMissing' AS error_class,
            format('{{}} {{}} is not in the repository any more', {what}, coalesce(target_key, '')) AS message
        FROM {target.wanted} WHERE change_type = 'Modified' AND resource_id IS NULL
        UNION ALL
        SELECT order_id, 'Conflict', format('{{}} {{}}: {{}} orders mean it at once', {what}, current_key, orders)
        FROM (SELECT *, count(*) OVER (PARTITION BY resource_id) AS orders FROM {target.wanted}
              WHERE resource_id IS NOT NULL)
        WHERE orders > 1
    """


def _key(target: Target) -> str:
    """Keys that are empty, and keys that would change."""
    key = f"CAST({name(target.key)} AS VARCHAR)"
    return f"""
        SELECT order_id, 'InvalidValue' AS error_class, CASE
            WHEN coalesce({key}, '') = '' THEN format('{{}}: the key of a {{}} is empty', {literal(target.key)},
                {literal(target.identifier)})
            ELSE format('{{}}: ''{{}}'' would become ''{{}}'', and keys never change: set is_mapped: false on its rule',
                {literal(target.key)}, left(current_key, {SHOWN}), left({key}, {SHOWN})) END AS message
        FROM {target.wanted}
        WHERE change_type = 'Added' AND coalesce({key}, '') = ''
            OR change_type = 'Modified' AND {key} IS DISTINCT FROM current_key
    """


def _links(run: Folder, target: Target) -> Iterator[str]:
    """Links to what is not there, and a second link where one is allowed."""
    for navigation, link in target.links.items():
        mine = f"ordered_link AS l JOIN {target.wanted} AS w USING (order_id)"
        yield f"""
            SELECT order_id, 'ObjectMissing' AS error_class, format('{{}}: resource {{}} of {{}} is not there any more',
                {literal(navigation)}, linked_id, {literal(link.entity_type)}) AS message
            FROM (SELECT order_id, linked_id FROM {mine} WHERE l.adds AND l.navigation = {literal(navigation)})
            ANTI JOIN {base_relation(run, link.entity_type)} AS linked ON linked.resource_id = linked_id
        """
        if not link.collection:
            yield _crowded(run, target, navigation, link)


def _crowded(run: Folder, target: Target, navigation: str, link: Link) -> str:
    return f"""
        WITH asked AS (
            SELECT w.order_id, w.resource_id, l.linked_id, l.adds
            FROM ordered_link AS l JOIN {target.wanted} AS w USING (order_id)
            WHERE l.navigation = {literal(navigation)}
        ),
        there AS (
            SELECT a.order_id, pair.{link.to_column} AS linked_id
            FROM (SELECT DISTINCT order_id, resource_id FROM asked WHERE adds) AS a
            JOIN {base_relation(run, link.association)} AS pair ON pair.{link.from_column} = a.resource_id
        ),
        after AS (
            SELECT order_id, linked_id FROM asked WHERE adds
            UNION
            SELECT order_id, linked_id FROM there
            ANTI JOIN (SELECT * FROM asked WHERE NOT adds) AS gone USING (order_id, linked_id)
        )
        SELECT order_id, 'Conflict' AS error_class,
            format('{{}} leads to one {{}}, and would to {{}}', {literal(navigation)}, {literal(link.entity_type)},
                count(*)) AS message
        FROM after GROUP BY order_id HAVING count(*) > 1
    """


def _taken(target: Target) -> Iterator[str]:
    """Keys and unique keys that would stand twice once the orders that stand are carried out."""
    for item in target.entity_type.properties:
        if item.primary_key or item.unique_key:
            yield _taken_value(target, item)


def _taken_value(target: Target, item: Property) -> str:
    value, key = name(item.identifier), f"CAST({name(target.key)} AS VARCHAR)"
    label, what = literal(item.identifier), literal(target.identifier)
    error_class = literal("ObjectExists" if item.primary_key else "Conflict")
    return f"""
        WITH future AS (
            SELECT s.order_id, {key} AS key, s.{value} AS value,
                s.change_type = 'Added' OR {is_changed(item, "s")} AND s.{value} IS DISTINCT FROM c.value AS moves
            FROM {target.standing} AS s
            LEFT JOIN (SELECT resource_id, {value} AS value FROM {target.current}) AS c USING (resource_id)
            WHERE s.change_type <> 'Deleted'
            UNION ALL
            SELECT NULL, {key}, {value}, false FROM {target.current} ANTI JOIN {target.standing} USING (resource_id)
        ),
        crowded AS (
            SELECT value, count(*) AS resources, min(key) FILTER (NOT moves) AS holder
            FROM future WHERE CAST(value AS VARCHAR) <> '' GROUP BY value HAVING count(*) > 1 AND bool_or(moves)
        )
        SELECT f.order_id, {error_class} AS error_class,
            format('{{}}: ''{{}}'' {{}}', {label}, left(CAST(value AS VARCHAR), {SHOWN}), CASE
                WHEN holder IS NULL THEN format('is asked for by {{}} orders at once', resources)
                ELSE format('is that of {{}} {{}} already', {what}, holder) END) AS message
        FROM future AS f JOIN crowded USING (value) WHERE f.moves
    """


def _dependencies(resource_types: Sequence[ResourceType]) -> Iterator[str]:
    """Creations that need one which was refused."""
    for item in resource_types:
        if item.depends_on is not None:
            yield f"""
                SELECT o.order_id, 'NotFulfilled' AS error_class,
                    format('the {{}} of the same owner could not be created', {literal(item.depends_on)}) AS message
                FROM ordered AS o
                JOIN ordered AS needed ON needed.resource_type = {literal(item.depends_on)}
                    AND needed.owner_id = o.owner_id AND needed.change_type = 'Added'
                JOIN refused AS r ON r.order_id = needed.order_id
                WHERE o.resource_type = {literal(item.identifier)} AND o.change_type = 'Added'
            """
