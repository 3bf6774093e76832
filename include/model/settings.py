"""Settings of connections: what the package takes, and no secret among them.

No message of this module holds a value of a setting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from include.model.configuration import Connection, Connector
from include.model.connector_file import Finding
from include.model.messages import mistakes_of
from include.model.positions import FieldPath

SettingsModel = Callable[[str], type[BaseModel]]
"""The settings model of a package; raises with one line for a package that is not known."""

SECRET_ENDINGS = ("apikey", "credential", "passcode", "passphrase", "passwd", "password", "pwd", "secret", "token")
KEY_OWNERS = frozenset(
    {"access", "account", "admin", "api", "app", "application", "auth", "client", "encryption", "function", "master"}
    | {"private", "secret", "service", "shared", "signing", "ssh", "storage", "subscription", "symmetric"}
)
"""Words before "key" that make it a secret; a primary key or a sort key is none."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_IN_VALUE = re.compile(r"://[^/\s@]*:[^/\s@]+@|(?:^|;)\s*(?:password|pwd)\s*=", re.IGNORECASE)


def settings_mistakes(connector: Connector, settings_model: SettingsModel | None) -> Iterator[Finding]:
    """Secrets, unknown packages, and settings that their package does not take."""
    for index, connection in enumerate(connector.connections):
        path: FieldPath = ("connections", index)
        secrets = list(_secrets(connection.settings, (*path, "settings"), set()))
        for place in secrets:
            yield place, f"a secret must not stand in a file: {_advice(connection)}"
        if settings_model is not None:
            for place, message in _package_mistakes(connection, path, settings_model):
                if place not in secrets:
                    yield place, message


def _advice(connection: Connection) -> str:
    if connection.connection_id:
        return f"put it in the Airflow Connection '{connection.connection_id}'"
    return "put it in an Airflow Connection, and name that in connection_id"


def _secrets(value: Any, path: FieldPath, seen: set[int]) -> Iterator[FieldPath]:
    if isinstance(value, str) and _SECRET_IN_VALUE.search(value):
        yield path
    if not isinstance(value, dict | list) or id(value) in seen:
        return
    seen.add(id(value))
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        # true and false choose something about a secret; they are none.
        if isinstance(name, str) and names_secret(name) and item is not None and not isinstance(item, bool):
            yield (*path, name)
        else:
            yield from _secrets(item, (*path, name), seen)


def names_secret(name: str) -> bool:
    """Whether a setting of that name would hold a secret: ``client_secret`` does, ``token_url`` does not."""
    words: list[str] = [word.lower() for word in _WORD.findall(name)]
    if words and words[-1] in {"value", "text", "plain"}:
        words.pop()
    if not words:
        return False
    last = words[-1].removesuffix("s")
    if last == "key":
        return len(words) > 1 and words[-2] in KEY_OWNERS
    return last.endswith(SECRET_ENDINGS) or words[-1] == "pass"


def _package_mistakes(connection: Connection, path: FieldPath, settings_model: SettingsModel) -> Iterator[Finding]:
    try:
        model = settings_model(connection.package)
    except Exception as error:  # noqa: BLE001 - whatever keeps a package from loading is a mistake of this connection
        yield (*path, "package"), str(error) or type(error).__name__
        return
    try:
        model.model_validate(connection.settings)
    except ValidationError as error:
        of = f" of package '{connection.package}'"
        for place, message in mistakes_of(error, model, connection.settings, noun="setting", of=of):
            yield (*path, "settings", *place), message
