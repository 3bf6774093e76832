"""The configuration in use, checked by every room that has a say in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from connectors.registry import settings_model
from include.model.configuration import Configuration, Connector
from include.model.environment import configuration_folder, repository_url
from include.model.loader import load_configuration
from include.repository.ranges import range_mistakes
from include.repository.repository import Repository
from include.repository.tables import naming_mistakes


class UnknownConnector(LookupError):
    """A connector that the configuration does not have, or that its file's mistakes keep out."""


def _room_checks(connector: Connector, configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What the rooms above the model say of a connector: (path of the field, message)."""
    yield from naming_mistakes(connector)
    yield from range_mistakes(connector)
    if any(entity_type.computed_properties for entity_type in connector.entity_types):
        from include.expressions.computed import computed_mistakes

        yield from computed_mistakes(connector, configuration)
    if connector.resource_types:
        from include.policy.expressions import expression_mistakes

        yield from expression_mistakes(connector, configuration)
    if any(entity_type.expectations for entity_type in connector.entity_types):
        from include.snapshot.expectation_names import expectation_mistakes

        yield from expectation_mistakes(connector)


@lru_cache(maxsize=4)
def _load(folder: Path, _state: tuple[tuple[str, int, int], ...]) -> Configuration:
    return load_configuration(folder, settings_model=settings_model, extra_checks=_room_checks)


def load_project(folder: Path | None = None) -> Configuration:
    """The configuration of ``ROLLCALL_CONFIG``, read again only when a file of it has changed.

    Raises:
        NotADirectoryError: the folder does not exist.
    """
    folder = folder or configuration_folder()
    if not folder.is_dir():
        raise NotADirectoryError(
            f"{folder}: no such configuration folder; set ROLLCALL_CONFIG to the folder of the YAML files"
        )
    files = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    state = tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _load(folder, state)


def find_connector(configuration: Configuration, identifier: str) -> Connector:
    """The usable connector of that identifier.

    Raises:
        UnknownConnector: there is none, or its file has mistakes; one line each.
    """
    connector = configuration.connector(identifier)
    if connector is not None:
        return connector
    for broken in configuration.broken:
        if broken.identifier == identifier:
            raise UnknownConnector("; ".join(str(mistake) for mistake in broken.mistakes))
    known = ", ".join(item.identifier for item in configuration.connectors) or "none"
    raise UnknownConnector(f"no connector '{identifier}' in {configuration.folder}; there are: {known}")


def open_repository(configuration: Configuration, *, migrate: bool = True) -> Repository:
    """The identity repository of ``ROLLCALL_REPOSITORY``, with tables for this configuration.

    Without ``migrate`` nothing is written, and tables or columns that are not there yet hold nothing.
    """
    repository = Repository(repository_url(), configuration)
    if migrate:
        repository.migrate(configuration)
    elif not repository.is_there:
        return _empty_repository(configuration)
    return repository


def _empty_repository(configuration: Configuration) -> Repository:
    """A repository that holds nothing, in a folder that goes with this process."""
    folder = TemporaryDirectory(prefix="rollcall-empty-")
    _EMPTY.append(folder)
    repository = Repository(f"sqlite:///{folder.name}/repository.db", configuration)
    repository.migrate(configuration)
    return repository


_EMPTY: list[TemporaryDirectory[str]] = []
