"""The proof of one published snapshot: every file as its manifest says, none missing, none added.

The manifest that counts is the one in the repository; ``manifest.json`` in the storage must be the same to
the byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from include.snapshot.manifest import FILE, HASHERS, LOADING, ORDERS, PART
from include.snapshot.previous import PublishedSnapshot
from include.storage.folder import CHUNK, Folder, text_sha256

Progress = Callable[[int], None]
"""Called with the number of bytes that were read since the last call."""


@dataclass(frozen=True, slots=True)
class FilesProof:
    """What was found of a snapshot: how many files and bytes it has, and one line per fault."""

    files: int
    bytes: int
    faults: tuple[str, ...]


def prove_files(snapshot: PublishedSnapshot, progress: Progress = lambda _count: None) -> FilesProof:
    """Check the files of a snapshot, ``manifest.json`` among them, against the manifest in the repository."""
    present = {path: size for path, size in snapshot.folder.sizes().items() if _belongs(path)}
    faults = tuple(_faults(snapshot, present, progress))
    return FilesProof(len(present), sum(present.values()), faults)


def _belongs(path: str) -> bool:
    """Whether a file of the run is part of its snapshot: not its orders, not what a dead writer or load left."""
    return not path.startswith(f"{ORDERS}/") and not path.endswith(PART) and path != LOADING


def _faults(snapshot: PublishedSnapshot, present: dict[str, int], progress: Progress) -> Iterator[str]:
    wanted = {path: (snapshot.size(path), snapshot.sha256(path)) for path in snapshot.paths}
    wanted[FILE] = (len(snapshot.manifest.encode()), text_sha256(snapshot.manifest))
    if not present:
        yield "all of its files are gone, and nothing says that retention removed them"
        return
    read = [path for path, (size, _) in sorted(wanted.items()) if present.get(path) == size]
    with ThreadPoolExecutor(HASHERS) as pool:
        hashes = dict(zip(read, pool.map(lambda path: _sha256(snapshot.folder, path, progress), read), strict=True))
    for path in sorted(present.keys() | wanted.keys()):
        if path not in wanted:
            yield f"{path}: not in the manifest"
            continue
        size, sha256 = wanted[path]
        if path not in present:
            why = " (clear the load of its run to publish it)" if path == FILE else ""
            yield f"{path}: missing{why}"
        elif present[path] != size:
            yield f"{path}: changed, {present[path]} bytes instead of {size}"
        elif hashes[path] != sha256:
            yield f"{path}: changed, its SHA-256 differs"


def _sha256(folder: Folder, path: str, progress: Progress) -> str | None:
    """The hash of a file; None when it has gone since the folder was listed."""
    digest = hashlib.sha256()
    try:
        with folder.open(path) as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                progress(len(chunk))
    except FileNotFoundError:
        return None
    return digest.hexdigest()
