"""Where the files of runs lie: a URL (``file://``, ``s3://``, ``memory://`` ...) reached through fsspec.

Layout: ``<base>/<connector>/<run id>/{raw,clean,base,validation,changes,orders}/`` and
``manifest.json``. Files appear whole or not at all: writers write beside and rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import fsspec
from fsspec import AbstractFileSystem

CHUNK = 1 << 20
READ_ONLY = 0o444


def run_folder_name(run_id: str) -> str:
    """A run id as a folder name: Airflow's run ids hold colons and plus signs."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", run_id)


def text_sha256(text: str) -> str:
    """SHA-256 of a text as a UTF-8 file, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of a storage URL. ``path`` is the file system's own path, without the protocol."""

    url: str

    @property
    def filesystem(self) -> AbstractFileSystem:
        """The file system behind the URL."""
        return fsspec.core.url_to_fs(self.url)[0]

    @property
    def path(self) -> str:
        """The path inside the file system."""
        path: str = fsspec.core.url_to_fs(self.url)[1]
        return path

    @property
    def is_local(self) -> bool:
        """Whether DuckDB can open the files by itself."""
        return "file" in self.filesystem.protocol

    def child(self, *names: str) -> Folder:
        """A folder below this one."""
        return Folder("/".join([self.url.rstrip("/"), *names]))

    def file(self, name: str) -> str:
        """The path of a file as DuckDB names it: plain when local, else ``protocol://path``."""
        if self.is_local:
            return f"{self.path}/{name}"
        return f"{self.url.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        found: bool = self.filesystem.exists(f"{self.path}/{name}")
        return found

    def names(self, pattern: str = "*") -> list[str]:
        """Names below this folder that match a glob pattern (``**`` descends), files only, sorted."""
        prefix = self.path.rstrip("/") + "/"
        found = self.filesystem.glob(f"{prefix}{pattern}")
        return sorted(str(item).removeprefix(prefix) for item in found if not self.filesystem.isdir(item))

    def sizes(self) -> dict[str, int]:
        """The bytes of every file below this folder, by name; from one listing. No folder has no files."""
        prefix = self.path.rstrip("/") + "/"
        try:
            found = self.filesystem.find(self.path, detail=True)
        except FileNotFoundError:
            return {}
        return {path.removeprefix(prefix): int(item["size"]) for path, item in found.items()}

    def folders(self) -> list[str]:
        """The names of the folders in this folder, sorted."""
        prefix = self.path.rstrip("/") + "/"
        try:
            found = self.filesystem.ls(self.path, detail=True)
        except FileNotFoundError:
            return []
        directories = [str(item["name"]).rstrip("/") for item in found if item["type"] == "directory"]
        return sorted(path.removeprefix(prefix) for path in directories)

    def make(self) -> None:
        """Create the folder where the file system knows folders."""
        self.filesystem.makedirs(self.path, exist_ok=True)

    def clear(self) -> None:
        """Make the folder, empty: a step that begins leaves nothing of one that died under way."""
        if self.filesystem.exists(self.path):
            self.filesystem.rm(self.path, recursive=True)
        self.make()

    @contextmanager
    def write(self, name: str) -> Iterator[IO[bytes]]:
        """Write a file; it appears under its name only when the block ends without an error.

        Raises:
            PermissionError: the file is there and was set read-only (``protect``); renaming would not mind.
        """
        filesystem, target = self.filesystem, f"{self.path}/{name}"
        if self.is_local and Path(target).exists() and not Path(target).stat().st_mode & stat.S_IWUSR:
            raise PermissionError(f"{target} is read-only: a published snapshot is never modified")
        beside = f"{target}.{uuid.uuid4().hex}.part"
        filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        try:
            with filesystem.open(beside, "wb") as stream:
                yield stream
        except BaseException:
            if filesystem.exists(beside):
                filesystem.rm(beside)
            raise
        filesystem.mv(beside, target)

    def open(self, name: str) -> IO[bytes]:
        """Read a file as bytes."""
        stream: IO[bytes] = self.filesystem.open(f"{self.path}/{name}", "rb")
        return stream

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file, whole or not at all."""
        with self.write(name) as stream:
            stream.write(text.encode())

    def read_text(self, name: str) -> str:
        """Read a UTF-8 text file."""
        with self.open(name) as stream:
            return stream.read().decode()

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file with sorted keys, whole or not at all."""
        self.write_text(name, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file."""
        return json.loads(self.read_text(name))

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is fine."""
        if self.exists(name):
            self.filesystem.rm(f"{self.path}/{name}")

    def remove_all(self) -> None:
        """Remove the folder with everything in it; a missing one is fine."""
        if self.filesystem.exists(self.path):
            self.filesystem.rm(self.path, recursive=True)

    def modified(self) -> datetime | None:
        """When the newest file below this folder was written (UTC); None when there is no file."""
        return max((self._modified(name) for name in self.sizes()), default=None)

    def _modified(self, name: str) -> datetime:
        found: datetime = self.filesystem.modified(f"{self.path}/{name}")
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def protect(self, names: Iterable[str]) -> None:
        """Set files read-only, where the file system is a local one and lets us; for accidents, not for attackers."""
        if self.is_local:
            for name in names:
                with contextlib.suppress(OSError):
                    Path(self.file(name)).chmod(READ_ONLY)

    def size(self, name: str) -> int:
        """Bytes of a file."""
        return int(self.filesystem.size(f"{self.path}/{name}"))

    def sha256(self, name: str) -> str:
        """SHA-256 of a file's bytes, in hexadecimal."""
        with self.open(name) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def run_folder(base_url: str, connector: str, run_id: str) -> Folder:
    """The folder of one run of one connector."""
    return Folder(base_url.rstrip("/")).child(connector, run_folder_name(run_id))
