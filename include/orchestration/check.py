"""Whether the connections of a connector work ("check connection" of the product)."""

from __future__ import annotations

from connectors.contract import Checker, CheckResult
from connectors.errors import ConnectorError
from include.orchestration.connections import open_connection
from include.orchestration.project import find_connector, load_project


def check_connections(connector_identifier: str, connection: str | None = None) -> dict[str, list[CheckResult]]:
    """The verdicts of each connection's package, by connection."""
    connector = find_connector(load_project(), connector_identifier)
    wanted = [item.identifier for item in connector.connections if connection in {None, item.identifier}]
    verdicts: dict[str, list[CheckResult]] = {}
    for identifier in wanted:
        try:
            door = open_connection(connector, identifier)
            verdicts[identifier] = (
                list(door.check())
                if isinstance(door, Checker)
                else [CheckResult("connection", True, "its package has no check")]
            )
        except ConnectorError as error:
            verdicts[identifier] = [CheckResult("connection", False, error.message)]
    return verdicts
