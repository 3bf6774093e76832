"""Rules that the models of one connector cannot see alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from include.model.base import Model
from include.model.configuration import Association, Connection, Connector, ConnectorThresholds, EntityType, Property
from include.model.connector_file import Finding
from include.model.formats import format_mistake, mask_mistake
from include.model.mending import PLACEHOLDER
from include.model.names import suggestion
from include.model.positions import FieldPath
from include.model.rule_times import rule_time_mistakes
from include.model.transformations import transformation_mistakes

OWN_COLUMNS = frozenset({"resource_id", "valid_from", "valid_to", "load_id", "command"})
"""Columns that every table of the repository, or of a run, has beside the properties."""
MAXIMUM_UNIQUE_KEYS = 3
_OF_A_COLUMN = {
    "column": "it has no column; leave out one of the two",
    "format": "it reads no text; leave the format out",
    "primary_key": "a key comes from the source and never changes; choose a property with a column",
    "unique_key": "links are found before it is computed; choose a property with a column",
    "max_length": "no line is rejected for it; cut the value in the expression, such as left(..., 100)",
    "allowed_values": "no line is rejected for it; decide in the expression, such as CASE WHEN ... THEN ... END",
    "severity": "no line is rejected for it; leave the severity out",
}
CRON_FIELDS = 5


def connector_mistakes(connector: Connector) -> Iterator[Finding]:
    """Everything that can be told from one connector alone."""
    yield from _schedule_mistakes(connector)
    yield from _threshold_mistakes(connector)
    yield from transformation_mistakes(connector)
    yield from rule_time_mistakes(connector)
    for index, entity_type in enumerate(connector.entity_types):
        path: FieldPath = ("entity_types", index)
        yield from _table_mistakes(entity_type.connection_table, connector.connections, path)
        yield from _key_mistakes(entity_type, (*path, "properties"))
        for position, item in enumerate(entity_type.properties):
            yield from _property_mistakes(item, entity_type.properties, (*path, "properties", position))
    for index, association in enumerate(connector.associations):
        yield from _table_mistakes(association.connection_table, connector.connections, ("associations", index))


def _schedule_mistakes(connector: Connector) -> Iterator[Finding]:
    for name in ("complete", "incremental"):
        expression = getattr(connector.schedules, name)
        if expression is not None and (mistake := _cron_mistake(expression)):
            yield ("schedules", name), mistake


def _cron_mistake(expression: str) -> str | None:
    # With Airflow, which reads the expression in the end; imported only where a schedule is set.
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    fields = expression.split()
    is_preset = len(fields) == 1 and fields[0].startswith("@")
    # croniter also takes seconds, years and random values ("R").
    if not is_preset and (len(fields) != CRON_FIELDS or any(field[0] in "rR" for field in fields)):
        return "not a cron expression: five fields are needed (minute, hour, day, month, weekday)"
    try:
        croniter(expression, datetime(2024, 1, 1, tzinfo=UTC)).get_next(datetime)
    except CroniterBadDateError:
        return "a cron expression of a date that never comes"
    except (CroniterBadCronError, ValueError):
        return "not a cron expression: a field is out of range or unreadable"
    return None


def _table_mistakes(table: str, connections: tuple[Connection, ...], path: FieldPath) -> Iterator[Finding]:
    names = [connection.identifier for connection in connections]
    # A connection identifier holds no underscore, so the first one ends it.
    prefix, underscore, suffix = table.partition("_")
    if (prefix in names and bool(underscore) == bool(suffix)) or PLACEHOLDER in names:
        return
    hint = suggestion(prefix, names)
    yield (
        (*path, "connection_table"),
        f"no connection has a table '{table}': a table is named <connection> or <connection>_<suffix>{hint}",
    )


def _key_mistakes(entity_type: EntityType, path: FieldPath) -> Iterator[Finding]:
    primary = [index for index, item in enumerate(entity_type.properties) if item.primary_key]
    unique = [index for index, item in enumerate(entity_type.properties) if item.unique_key]
    if not primary:
        yield path, "no primary key: set primary_key: true on exactly one property"
    for index in primary[1:]:
        first = entity_type.properties[primary[0]].identifier
        yield (*path, index, "primary_key"), f"a second primary key: '{first}' is the primary key already"
    for index in unique[MAXIMUM_UNIQUE_KEYS:]:
        yield (*path, index, "unique_key"), f"too many unique keys: at most {MAXIMUM_UNIQUE_KEYS} are allowed"


def _property_mistakes(item: Property, properties: tuple[Property, ...], path: FieldPath) -> Iterator[Finding]:
    if item.identifier.casefold() in OWN_COLUMNS:
        yield (*path, "identifier"), f"'{item.identifier}' is a column of the repository: choose another name"
    if item.primary_key and item.history_precision:
        yield (*path, "history_precision"), "a primary key never changes: leave history_precision out"
    if item.expression is not None:
        yield from _computed_mistakes(item, path)
    elif item.format is not None and (
        mistake := format_mistake(item.type, item.format) or mask_mistake(item, properties)
    ):
        yield (*path, "format"), mistake


def _computed_mistakes(item: Property, path: FieldPath) -> Iterator[Finding]:
    """What says how a column is read says nothing of a value that is computed."""
    for field, why in _OF_A_COLUMN.items():
        if getattr(item, field) != Property.model_fields[field].default:
            yield (*path, field), f"'{item.identifier}' has an expression: {why}"


def _threshold_mistakes(connector: Connector) -> Iterator[Finding]:
    """Each action must be guarded by at least one limit (engine.md 2.6)."""
    for verb in ("deleted", "inserted", "updated"):
        limits = (f"maximum_{verb}_lines", f"max_percentage_{verb}_lines")
        yield from _unguarded(f"{verb} resources", connector.thresholds, limits, connector.entity_types, limits)
    for verb in ("deleted", "inserted"):
        limits = (f"maximum_{verb}_lines", f"max_percentage_{verb}_lines")
        link_limits = (f"maximum_link_{verb}_lines", f"max_link_percentage_{verb}_lines")
        yield from _unguarded(f"{verb} links", connector.thresholds, link_limits, connector.associations, limits)


def _unguarded(
    what: str,
    overall: ConnectorThresholds,
    overall_limits: tuple[str, str],
    items: Sequence[EntityType | Association],
    item_limits: tuple[str, str],
) -> Iterator[Finding]:
    unguarded = [item.identifier for item in items if not _any_on(item.thresholds, item_limits)]
    if unguarded and not _any_on(overall, overall_limits):
        count, percentage = overall_limits
        message = f"nothing limits {what} of {', '.join(unguarded)}: set {count} or {percentage} above 0"
        yield ("thresholds", count), message


def _any_on(thresholds: Model, limits: tuple[str, str]) -> bool:
    return any(getattr(thresholds, name) > 0 for name in limits)
