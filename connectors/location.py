"""Where the files of file-based connections lie, kept inside one base folder."""

from __future__ import annotations

import re
from pathlib import Path

from connectors.contract import ConnectionContext
from connectors.errors import ConfigurationError, PermissionDenied


def base_folder(context: ConnectionContext) -> Path:
    """The folder that the connection may read: ``path`` of an Airflow ``fs`` connection, else ``context.folder``."""
    path = context.endpoint.extra.get("path")
    return (context.folder / str(path)).resolve() if path else context.folder.resolve()


def inside(base: Path, path: str) -> Path:
    """A path under the base folder, links followed.

    Raises:
        ConfigurationError: the path leads out of the base folder.
    """
    found = (base / path).resolve()
    if not found.is_relative_to(base):
        raise ConfigurationError(
            f"'{path}' leads out of the folder '{base}' of this connection; "
            "name a file below it, or give the connection another folder (extra 'path')"
        )
    return found


def existing_file(base: Path, path: str) -> Path:
    """A file that is there.

    Raises:
        ConfigurationError: no such file, or a folder, or outside the base folder.
    """
    file = inside(base, path)
    if file.is_dir():
        raise ConfigurationError(f"'{path}' in '{base}' is a folder, not a file")
    if not file.exists():
        raise ConfigurationError(f"there is no file '{path}' in '{base}'")
    return file


def newest_match(base: Path, pattern: str) -> Path:
    """The most recently written file whose name matches the regular expression after the last slash.

    Of files written at the same instant, the last by name is taken.

    Raises:
        ConfigurationError: no file matches, or the folder is not there.
        PermissionDenied: the folder may not be listed.
    """
    folder, _, expression = pattern.rpartition("/")
    place = inside(base, folder)
    try:
        matches = [file for file in place.iterdir() if re.fullmatch(expression, file.name) and file.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(f"there is no folder '{place}' to look for files that match '{expression}'") from None
    except PermissionError:
        raise PermissionDenied(f"the folder '{place}' may not be listed by this account") from None
    if not matches:
        raise ConfigurationError(f"no file in '{place}' matches '{expression}'")
    return inside(base, str(max(matches, key=lambda file: (file.stat().st_mtime_ns, file.name))))
