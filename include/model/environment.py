"""Where this installation keeps its configuration, the files of its runs, and its repository; when it maintains them.

Environment variables; without them, the demo organisation and a folder of the project.
"""

from __future__ import annotations

import os
from pathlib import Path

CONFIGURATION_VARIABLE = "ROLLCALL_CONFIG"
STORAGE_VARIABLE = "ROLLCALL_STORAGE"
REPOSITORY_VARIABLE = "ROLLCALL_REPOSITORY"
MAINTENANCE_VARIABLE = "ROLLCALL_MAINTENANCE"


def project_root() -> Path:
    """The folder that holds ``dags``, ``include`` and ``connectors``."""
    return Path(__file__).resolve().parents[2]


def configuration_folder() -> Path:
    """The folder of connector files: ``ROLLCALL_CONFIG``, relative to the project, else the demo's."""
    stated = os.environ.get(CONFIGURATION_VARIABLE)
    if stated:
        return project_root() / Path(stated).expanduser()
    return project_root() / "include" / "demo" / "configuration"


def storage_url() -> str:
    """Where the files of runs lie: ``ROLLCALL_STORAGE``, an fsspec URL, else ``.rollcall/storage``."""
    return os.environ.get(STORAGE_VARIABLE) or f"file://{project_root()}/.rollcall/storage"


def repository_url() -> str:
    """The repository: ``ROLLCALL_REPOSITORY``, an SQLAlchemy URL that may hold a secret, else an SQLite file."""
    return os.environ.get(REPOSITORY_VARIABLE) or f"sqlite:///{project_root()}/.rollcall/repository.db"


def maintenance_schedule() -> str | None:
    """When maintenance runs: ``ROLLCALL_MAINTENANCE``, a cron expression in UTC or a preset; daily without it.

    ``none`` leaves it to people.
    """
    stated = os.environ.get(MAINTENANCE_VARIABLE) or "@daily"
    return None if stated.lower() == "none" else stated
