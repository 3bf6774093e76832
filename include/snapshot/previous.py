"""The connector's previous snapshot, as the next run may use it: proved file by file against its manifest.

The manifest comes from the repository and not from the folder, so that a file which somebody changed, or
a run that was never loaded, cannot become the base of anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from include.snapshot.errors import SnapshotError
from include.snapshot.manifest import code_version, published
from include.storage.folder import Folder


@dataclass(frozen=True)
class PublishedSnapshot:
    """A snapshot: where its files lie, the run that made it, and its manifest as the repository holds it."""

    folder: Folder
    run_id: str
    manifest: str = field(repr=False)

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """The manifest, read."""
        content: Mapping[str, Any] = json.loads(self.manifest)
        return content

    @property
    def is_there(self) -> bool:
        """Whether its files still lie in the storage."""
        return published(self.folder)

    @property
    def mapping_version(self) -> str | None:
        """The version of the connector's mapping that made it (``Connector.mapping_version``)."""
        version: str | None = self.content["facts"].get("mapping_version")
        return version

    @property
    def deletions_applied(self) -> bool:
        """Whether the deletions among its changes were loaded with the rest."""
        return bool(self.content["facts"].get("deletions_applied", False))

    @property
    def is_of_this_code(self) -> bool:
        """Whether the same code made it that runs now."""
        return bool(self.content["code_version"] == code_version())

    @cached_property
    def _files(self) -> Mapping[str, Mapping[str, Any]]:
        return {file["path"]: file for file in self.content["files"]}

    @property
    def paths(self) -> list[str]:
        """Every file of the snapshot, sorted."""
        return sorted(self._files)

    def sha256(self, path: str) -> str | None:
        """The recorded hash of a file; None when the snapshot has no such file."""
        file = self._files.get(path)
        return str(file["sha256"]) if file else None

    def size(self, path: str) -> int:
        """The recorded bytes of one of ``paths``."""
        return int(self._files[path]["size"])

    @property
    def bytes(self) -> int:
        """The recorded bytes of all of ``paths``."""
        return sum(self.size(path) for path in self._files)

    def prove(self, path: str) -> None:
        """Check one file against the manifest.

        Raises:
            SnapshotError: it is missing, or not the file that was published.
        """
        file = self._files.get(path)
        if file is None or not self.folder.exists(path):
            raise SnapshotError(f"snapshot {self.run_id} has no file {path}")
        if self.folder.size(path) != file["size"] or self.folder.sha256(path) != file["sha256"]:
            raise SnapshotError(
                f"{path} of snapshot {self.run_id} is not the file that was published: run 'rollcall verify'"
            )
