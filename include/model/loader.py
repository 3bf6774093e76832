"""From a folder of YAML files, one connector each, to the configuration that everything else reads.

A mistake breaks its own file, and the files that build on it; all others stay usable.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from include.model.catalogue import Catalogue
from include.model.checks import connector_mistakes
from include.model.configuration import BrokenConnector, Configuration, Connector
from include.model.connector_file import ConnectorFile, identifier_from
from include.model.positions import parse_path
from include.model.references import broken_references, reference_mistakes
from include.model.settings import SettingsModel, settings_mistakes

SUFFIXES = frozenset({".yaml", ".yml"})
ExtraChecks = Callable[[Connector, Configuration], Iterable[tuple[str, str]]]
"""Further mistakes of a connector: field (``resource_types[0].connection``) and message."""


def load_configuration(
    folder: Path,
    *,
    settings_model: SettingsModel | None = None,
    extra_checks: ExtraChecks | None = None,
) -> Configuration:
    """Load every ``*.yaml`` and ``*.yml`` file of a folder, in order of name.

    Args:
        folder: where the files lie; files whose name begins with a dot are left alone.
        settings_model: the settings model of a package; without it settings are only searched for secrets.
        extra_checks: called once per connector without a mistake, with the configuration of all of them.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"no configuration folder {folder}: create it, or name another in ROLLCALL_CONFIG")
    contents = {path.name: _content(path) for path in sorted(folder.iterdir()) if _is_configuration(path)}
    files = [ConnectorFile.of(name, content) for name, content in contents.items()]
    catalogue = Catalogue.of(files)
    _check(catalogue, cache(settings_model) if settings_model else None)
    configuration = Configuration(
        connectors=_usable(files), broken=_broken(files), version=_version(contents), folder=str(folder)
    )
    if extra_checks is not None:
        _check_further(catalogue, configuration, extra_checks)
        update = {"connectors": _usable(files), "broken": _broken(files)}
        configuration = configuration.model_copy(update=update)
    return configuration


def _is_configuration(path: Path) -> bool:
    return path.suffix in SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def _content(path: Path) -> bytes | OSError:
    try:
        return path.read_bytes()
    except OSError as error:
        return error


def _check(catalogue: Catalogue, settings_model: SettingsModel | None) -> None:
    catalogue.report_duplicates()
    for file in catalogue.files:
        if file.connector is not None:
            file.report(connector_mistakes(file.connector))
            file.report(settings_mistakes(file.connector, settings_model))
            file.report(reference_mistakes(file.connector, catalogue))
    _spread(catalogue)


def _check_further(catalogue: Catalogue, configuration: Configuration, extra_checks: ExtraChecks) -> None:
    for file in catalogue.files:
        if file.connector is not None and not file.mistakes:
            findings = extra_checks(file.connector, configuration)
            file.report((parse_path(name), message) for name, message in findings)
    _spread(catalogue)


def _spread(catalogue: Catalogue) -> None:
    """Break the connectors that build on broken ones, and those that build on these."""
    known: set[str] = set()
    while known != (broken := {file.name for file in catalogue.files if file.mistakes}):
        for file in catalogue.files:
            if file.connector is not None and file.name not in broken:
                file.report(broken_references(file.connector, catalogue, broken))
        known = broken


def _usable(files: Sequence[ConnectorFile]) -> tuple[Connector, ...]:
    return tuple(file.connector for file in files if file.connector is not None and not file.mistakes)


def _broken(files: Sequence[ConnectorFile]) -> tuple[BrokenConnector, ...]:
    taken = {connector.identifier.casefold() for connector in _usable(files)}
    broken = []
    for file in files:
        if file.mistakes:
            identifier = _free_identifier(file, taken)
            taken.add(identifier.casefold())
            mistakes = tuple(sorted(file.mistakes, key=lambda mistake: mistake.line))
            broken.append(BrokenConnector(identifier=identifier, file=file.name, mistakes=mistakes))
    return tuple(broken)


def _free_identifier(file: ConnectorFile, taken: set[str]) -> str:
    """An identifier that no other connector has: DAGs are named after it."""
    derived = identifier_from(file.name)
    candidates = [file.identifier, derived, *(f"{derived}_{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate.casefold() not in taken)


def _version(contents: Mapping[str, bytes | OSError]) -> str:
    digest = hashlib.sha256()
    for name, content in contents.items():
        data = b"" if isinstance(content, OSError) else content
        digest.update(os.fsencode(name) + b"\0" + str(len(data)).encode() + b"\0" + data)
    return digest.hexdigest()
