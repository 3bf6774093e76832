"""Package names and the connector classes behind them, imported only where they are used."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

from connectors.contract import ConnectionContext, ConnectorSettings
from connectors.errors import ConfigurationError

PACKAGES: dict[str, str] = {
    "csv": "connectors.files.csv:CsvConnector",
    "internal_workflow": "connectors.workflow.connector:InternalWorkflowConnector",
    "json": "connectors.files.json_orders:JsonConnector",
    "identity_repository": "connectors.identity_repository:IdentityRepository",
    "scim": "connectors.scim.connector:ScimConnector",
    "sql": "connectors.sql.connector:SqlConnector",
}


def connector_class(package: str) -> Any:
    """The connector class of a package.

    Raises:
        ConfigurationError: no such package, with the nearest name.
    """
    path = PACKAGES.get(package)
    if path is None:
        near = difflib.get_close_matches(package, PACKAGES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else f"; packages are {', '.join(sorted(PACKAGES))}"
        raise ConfigurationError(f"unknown package '{package}'{hint}")
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def settings_model(package: str) -> type[ConnectorSettings]:
    """The settings model of a package.

    Raises:
        ConfigurationError: no such package.
    """
    model: type[ConnectorSettings] = connector_class(package).Settings
    return model


def build(package: str, context: ConnectionContext) -> Any:
    """A connector of a package, ready to use on one connection.

    Raises:
        ConfigurationError: no such package, or settings that the package refuses.
    """
    return connector_class(package)(context)
