"""From a connection of the configuration to a connector that is ready to use."""

from __future__ import annotations

from typing import Any

from connectors.contract import ColumnRequest, ConnectionContext, Endpoint, TableRequest
from connectors.errors import ConfigurationError
from connectors.registry import build, settings_model
from include.model.configuration import Connection, Connector
from include.model.environment import project_root
from include.model.transformations import source_columns, transformations_of


def endpoint(connection_id: str | None) -> Endpoint:
    """Address and credentials of an Airflow Connection, from whichever secrets backend holds it.

    Raises:
        ConfigurationError: Airflow knows no such connection.
    """
    if connection_id is None:
        return Endpoint()
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    try:
        found = BaseHook.get_connection(connection_id)
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise ConfigurationError(
            f"Airflow has no connection '{connection_id}'; create it, or set AIRFLOW_CONN_{connection_id.upper()}"
        ) from error
    return Endpoint(
        host=found.host or None,
        port=found.port,
        schema=found.schema or None,
        login=found.login or None,
        password=found.password or None,
        extra=found.extra_dejson,
        connection_type=found.conn_type,
    )


def table_requests(connector: Connector, connection: Connection) -> tuple[TableRequest, ...]:
    """The connection tables that the connector's mappings read, each with the columns they need.

    A column that a transformation makes stands for the columns that it is made of.
    """
    columns: dict[str, dict[str, str]] = {}
    for entity_type in connector.entity_types:
        wanted = columns.setdefault(entity_type.connection_table, {})
        wanted.update(
            dict.fromkeys((item.source_column for item in entity_type.mapped_properties), entity_type.identifier)
        )
    for association in connector.associations:
        wanted = columns.setdefault(association.connection_table, {})
        wanted.update(dict.fromkeys((association.end1.column, association.end2.column), association.identifier))
    return tuple(
        TableRequest(table, tuple(map(ColumnRequest, source_columns(transformations_of(connector, table), wanted))))
        for table, wanted in columns.items()
        if connection_of_table(connector, table).identifier == connection.identifier
    )


def connection_of_table(connector: Connector, table: str) -> Connection:
    """The connection whose export writes the table: ``<connection>`` or ``<connection>_<suffix>``.

    Raises:
        ConfigurationError: no connection of the connector has such a table.
    """
    prefix = table.split("_", 1)[0].casefold()
    for connection in connector.connections:
        if connection.identifier.casefold() == prefix:
            return connection
    raise ConfigurationError(f"{connector.identifier}: no connection has a table '{table}'")


def exporting_connections(connector: Connector) -> list[str]:
    """Identifiers of the connections that a mapping reads from, in the order of the configuration."""
    return [item.identifier for item in connector.connections if table_requests(connector, item)]


def open_connection(connector: Connector, identifier: str) -> Any:
    """The connector object behind one connection, with its address resolved.

    Raises:
        ConfigurationError: unknown package, refused settings, or no such Airflow Connection.
    """
    connection = connector.connection(identifier)
    settings = settings_model(connection.package).model_validate(connection.settings)
    context = ConnectionContext(
        identifier=connection.identifier,
        settings=settings,
        endpoint=endpoint(connection.connection_id),
        tables=table_requests(connector, connection),
        folder=project_root(),
    )
    return build(connection.package, context)
