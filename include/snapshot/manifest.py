"""The manifest of a published snapshot: what it holds, byte for byte, and where it came from.

``manifest.json`` is written once. Every file of the run stands in it with its size, rows and SHA-256, and
the hash of the connector's manifest before it, so that neither a file nor a snapshot can be exchanged
unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.model.configuration import Connector
from include.snapshot.errors import SnapshotError
from include.snapshot.raw import csv_relation, numbered, read_header, read_reports
from include.storage.engine import engine, literal
from include.storage.folder import Folder

if TYPE_CHECKING:
    import duckdb

FILE = "manifest.json"
FOLDERS = ("raw", "base", "clean", "validation", "changes")
"""What a snapshot is made of; orders have a life of their own."""
ORDERS = "orders"
LOADING = "loading.json"
"""Stands in the run's folder from the beginning of a load until its snapshot is published."""
PART = ".part"
SORTED = ".sorted.csv"
HASHERS = 2


def build_manifest(
    connector: Connector,
    configuration_version: str,
    run: Folder,
    *,
    previous_sha256: str | None,
    counters: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> str:
    """The manifest of a run as canonical JSON: the same files and arguments give the same text.

    Args:
        connector: whose snapshot it is.
        configuration_version: the version of the configuration in use.
        run: the folder of the run.
        previous_sha256: SHA-256 of the connector's previous manifest; None for its first.
        counters: what was prepared and what changed.
        facts: what else should be on record (run id, mode ...).
    """
    reports = _reports(run)
    return canonical(
        {
            "connector": connector.identifier,
            "source": [
                {
                    "connection": report.get("connection"),
                    "started_at": report.get("started_at"),
                    "tables": report.get("tables"),
                }
                for report in reports
            ],
            "code_version": code_version(),
            "configuration_version": configuration_version,
            "previous_sha256": previous_sha256,
            "counters": counters,
            "facts": facts,
            "files": _files(run),
        }
    )


def canonical(value: Any) -> str:
    """JSON with sorted keys and fixed spacing, so that equal values have equal hashes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, default=str) + "\n"


def publish(run: Folder, manifest: str) -> None:
    """Write ``manifest.json`` and set the snapshot's files read-only; the same content a second time is fine.

    Raises:
        SnapshotError: the run was published with another content.
    """
    if published(run):
        if run.read_text(FILE) != manifest:
            raise SnapshotError(f"{FILE} exists and differs: a published snapshot is never modified; start another run")
    else:
        run.write_text(FILE, manifest)
    # From here on nothing writes them any more; where something does, it shall show at once.
    run.protect([FILE, *_names(run)])


def published(run: Folder) -> bool:
    """Whether the run's snapshot is published."""
    return run.exists(FILE)


def code_version() -> str:
    """SHA-256 over the source of the rooms that make a snapshot: two snapshots with one version were made alike."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[2]
    rooms = ("difference", "expressions", "model", "snapshot", "storage")
    for room in ("connectors", *(f"include/{room}" for room in rooms)):
        for file in sorted((root / room).rglob("*.py")):
            digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _reports(run: Folder) -> list[dict[str, Any]]:
    raw = run.child("raw")
    return [raw.read_json(file) for file in raw.names("*.report.json")]


def _names(run: Folder) -> list[str]:
    return sorted(
        f"{folder}/{file}" for folder in FOLDERS for file in run.child(folder).names("**") if not file.endswith(PART)
    )


def _files(run: Folder) -> list[dict[str, Any]]:
    reported = {f"raw/{table}.csv": state.rows for table, state in read_reports(run).items()}
    found = []
    # Hashing leaves Python's lock, so that files are hashed side by side while DuckDB counts.
    with engine(run) as connection, ThreadPoolExecutor(HASHERS) as pool:
        paths = _names(run)
        for path, sha256 in zip(paths, pool.map(run.sha256, paths), strict=True):
            rows = reported[path] if path in reported else _rows(connection, run, path)
            item: dict[str, Any] = {"path": path, "size": run.size(path), "sha256": sha256}
            found.append(item if rows is None else item | {"rows": rows})
    return found


def _rows(connection: duckdb.DuckDBPyConnection, run: Folder, path: str) -> int | None:
    """Rows of a Parquet or CSV file; None for any other."""
    if path.endswith(SORTED) and run.exists(path.removesuffix(SORTED) + ".parquet"):
        # Written from the Parquet file beside it, which knows its rows without being read.
        path = path.removesuffix(SORTED) + ".parquet"
    if path.endswith(".parquet"):
        relation = f"read_parquet({literal(run.file(path))})"
    elif path.endswith(".csv"):
        relation = csv_relation(run.file(path), numbered(read_header(run, path)))
    else:
        return None
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(row[0]) if row else None
