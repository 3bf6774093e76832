"""``airflow_settings.yaml`` (connections, pools, variables), as the Astro CLI reads it, for a local Airflow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import yaml

from include.local.client import AirflowClient
from include.model.environment import project_root


class SettingsError(ValueError):
    """The settings file is not what the Astro CLI expects; one line."""


def settings_file() -> Path:
    """The project's own settings file."""
    return project_root() / "airflow_settings.yaml"


def read_settings(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Connections, pools and variables of the file.

    Raises:
        SettingsError: unreadable, or not the Astro CLI's layout.
    """
    try:
        content = yaml.safe_load(file.read_text())["airflow"]
        return {kind: list(content.get(kind) or []) for kind in ("connections", "pools", "variables")}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{file}: not Astro settings (airflow: connections, pools, variables): {error}") from error


def connection_body(entry: dict[str, Any]) -> dict[str, Any]:
    """One connection of the file in the shape of Airflow's API; without the fields left empty."""
    extra = entry.get("conn_extra")
    body = {
        "connection_id": entry["conn_id"],
        "conn_type": entry["conn_type"],
        "host": entry.get("conn_host"),
        "schema": entry.get("conn_schema"),
        "login": entry.get("conn_login"),
        "password": entry.get("conn_password"),
        "port": entry.get("conn_port"),
        "extra": json.dumps(extra) if isinstance(extra, dict) else extra,
    }
    return {name: value for name, value in body.items() if value not in {None, ""}}


def connection_environment(file: Path) -> dict[str, str]:
    """``AIRFLOW_CONN_<ID>`` for each connection of the file that the environment does not set already."""
    found: dict[str, str] = {}
    for entry in read_settings(file)["connections"]:
        if not entry.get("conn_id"):
            continue
        name = f"AIRFLOW_CONN_{entry['conn_id'].upper()}"
        if name not in os.environ:
            body = connection_body(entry)
            found[name] = json.dumps({key: value for key, value in body.items() if key != "connection_id"})
    return found


def apply_settings(client: AirflowClient, file: Path) -> dict[str, int]:
    """Create or replace the file's connections, pools and variables in a running Airflow; how many of each."""
    settings = read_settings(file)
    for entry in settings["connections"]:
        if entry.get("conn_id"):
            _put(client, "/connections", connection_body(entry), "connection_id")
    for entry in settings["pools"]:
        if entry.get("pool_name"):
            body = {
                "name": entry["pool_name"],
                "slots": entry["pool_slot"],
                "description": entry.get("pool_description") or "",
                "include_deferred": False,
            }
            _put(client, "/pools", body, "name")
    for entry in settings["variables"]:
        if entry.get("variable_name"):
            _put(client, "/variables", {"key": entry["variable_name"], "value": entry["variable_value"]}, "key")
    return {kind: len(entries) for kind, entries in settings.items()}


def _put(client: AirflowClient, path: str, body: dict[str, Any], key: str) -> None:
    try:
        client.call("POST", path, json=body)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        client.call("PATCH", f"{path}/{body[key]}", json=body)
