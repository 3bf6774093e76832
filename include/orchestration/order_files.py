"""Order files that a connection left, fulfilled by another one: what the DAG ``fulfil_files_<connector>`` does."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from connectors.contract import FileFulfiller
from connectors.errors import ConfigurationError, TransientError
from connectors.registry import connector_class
from include.model.configuration import Connector
from include.orchestration.connections import open_connection
from include.orchestration.project import find_connector, load_project
from include.orchestration.run import StepFailed

logger = logging.getLogger(__name__)

FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class FilesFulfilled:
    """What came of the files of one connection: files moved to ``Downloaded``, and their orders."""

    files: int = 0
    executed: int = 0
    errored: int = 0


def file_connections(connector: Connector) -> list[str]:
    """Identifiers of the connections that fulfil order files (setting ``source: folder``)."""
    return [
        item.identifier
        for item in connector.connections
        if item.settings.get("source") == FOLDER and hasattr(connector_class(item.package), "fulfil_files")
    ]


def fulfil_files(connector_identifier: str, connection: str) -> FilesFulfilled:
    """Fulfil the order files that wait for one connection; again, it changes nothing more.

    Raises:
        ConfigurationError: the connection fulfils no files.
        ConnectorError: the folder or the system cannot be reached.
        TransientError: a file waits for something that may pass; the others are done.
        StepFailed: a file cannot be used; the others are done.
    """
    connector = find_connector(load_project(), connector_identifier)
    if connection not in file_connections(connector):
        raise ConfigurationError(f"{connector_identifier}: connection '{connection}' fulfils no files")
    door = open_connection(connector, connection)
    if not isinstance(door, FileFulfiller):
        raise ConfigurationError(f"{connector_identifier}: the package of '{connection}' fulfils no files")
    if connector.is_deactivated:
        logger.info("%s is deactivated: its order files wait", connector_identifier)
        return FilesFulfilled()
    done = FilesFulfilled()
    unusable, passing = list[str](), list[str]()
    for found in door.fulfil_files():
        if found.waits is not None:
            (passing if found.transient else unusable).append(found.waits)
            continue
        executed = sum(result.state == "executed" for result in found.results)
        done = FilesFulfilled(done.files + 1, done.executed + executed, done.errored + len(found.results) - executed)
        logger.info("%s: %s executed, %s errored", found.file, executed, len(found.results) - executed)
    logger.info("%s, %s: %s", connector_identifier, connection, summary(done))
    if unusable:
        raise StepFailed(f"{connection}: {len(unusable)} files cannot be used: {'; '.join(unusable)}")
    if passing:
        raise TransientError(f"{connection}: {len(passing)} files wait: {'; '.join(passing)}")
    return done


def summary(done: FilesFulfilled) -> str:
    """One line for logs and for the command."""
    return f"{done.files} files, {done.executed} orders executed, {done.errored} errored"


def as_counters(done: FilesFulfilled) -> dict[str, Any]:
    """For XCom."""
    return asdict(done)
