"""A repository as canonical CSV: one file per table, so that two repositories are equal where their bytes are.

Tables and columns are read from the database, so that whatever is added to it is compared too, and a
staging table that a dead load left behind shows. Instants become the ordinal of the load that wrote them.
What else differs from run to run by its nature is left out, and named here with the reason.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from include.repository.instants import EPOCH, MICROSECOND, OPEN_END, naive

OMITTED_COLUMNS: Mapping[tuple[str, str], str] = {
    ("rollcall_run", "opened_at"): "the clock at the opening",
    ("rollcall_audit", "at"): "the clock at the entry",
    ("rollcall_audit", "hash"): "covers the clock; the chain is verified by itself",
    ("rollcall_audit", "previous_hash"): "covers the clock; the chain is verified by itself",
    ("rollcall_migration", "applied_at"): "the clock at the migration",
    ("rollcall_snapshot", "manifest"): "written to a file of its own, see _manifest",
    ("rollcall_snapshot", "sha256"): "covers pages drawn by the clock; each snapshot is verified by itself",
    ("rollcall_snapshot", "previous_sha256"): "covers pages drawn by the clock",
}
# SQLite stores these as numbers, and a reflected table does not tell.
VERSION_INSTANTS = ("valid_from", "valid_to")
# A run that was not loaded ended when the clock said so; that it ended is compared.
ENDED = ("rollcall_run", "closed_at")
# The lock of the table of runs: it counts how often it was taken, and numbers nothing.
LOCK_ONLY_COUNTERS = ("run",)
# In a manifest: the hash of the manifest before, which covers that of pages drawn by the clock; and the source of this
# program, which may be edited while a long trial runs.
OMITTED_CONTENT = ("previous_sha256", "code_version")
# In an entry of the audit trail: the hash of a manifest, which covers the same.
OMITTED_DETAIL = ("manifest_sha256",)
# Files of a snapshot that hold the clock: pages that Great Expectations drew.
FILES_WITH_INSTANTS = (".html",)


def export_repository(url: str, folder: Path) -> None:
    """Write ``<table>.csv`` of every table of a repository, rows sorted, and every manifest."""
    folder.mkdir(parents=True)
    engine = sa.create_engine(_driver(url), poolclass=sa.NullPool)
    metadata = sa.MetaData()
    with engine.begin() as connection:
        metadata.reflect(connection)
        loads = _loads(connection, metadata)
        _write_manifests(connection, metadata.tables["rollcall_snapshot"], folder)
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if (table.name, column.name) not in OMITTED_COLUMNS]
            rows = [_row(table.name, columns, row, loads) for row in connection.execute(sa.select(*columns))]
            kept = sorted(row for row in rows if not _is_lock(table.name, row))
            with (folder / f"{table.name}.csv").open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow([column.name for column in columns])
                writer.writerows(kept)


def _driver(url: str) -> sa.URL:
    parsed = sa.make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.get_backend_name() == "postgresql" else parsed


def _loads(connection: sa.Connection, metadata: sa.MetaData) -> dict[datetime, str]:
    """The name of every instant that a load wrote."""
    table = metadata.tables["rollcall_load"]
    query = sa.select(table.c.loaded_at, table.c.load_id)
    return {instant: f"load {load_id}" for instant, load_id in connection.execute(query)} | {naive(OPEN_END): "open"}


def _row(table: str, columns: Sequence[sa.Column[Any]], row: Sequence[Any], loads: Mapping[datetime, str]) -> list[str]:
    return [_text(table, column.name, value, loads) for column, value in zip(columns, row, strict=True)]


def _text(table: str, column: str, value: Any, loads: Mapping[datetime, str]) -> str:
    if value is None:
        return "NULL"
    if column in VERSION_INSTANTS and isinstance(value, int):
        value = naive(EPOCH) + value * MICROSECOND
    if isinstance(value, datetime):
        ended = "ended" if (table, column) == ENDED else value.isoformat()
        return loads.get(value, ended)
    if (table, column) == ("rollcall_audit", "detail"):
        detail = json.loads(value)
        return json.dumps({name: item for name, item in detail.items() if name not in OMITTED_DETAIL}, sort_keys=True)
    return value.hex() if isinstance(value, bytes) else f"={value}"


def _write_manifests(connection: sa.Connection, table: sa.Table, folder: Path) -> None:
    """One file per snapshot, so that a difference is a line of it."""
    for run_id, text in connection.execute(sa.select(table.c.run_id, table.c.manifest)):
        (folder / f"{table.name} {run_id}.json").write_text(_manifest(text))


def _manifest(text: str) -> str:
    """A manifest without the clock and without the hashes that cover it; a line per file."""
    content = json.loads(text)
    for name in OMITTED_CONTENT:
        del content[name]
    for file in content["files"]:
        if file["path"].endswith(FILES_WITH_INSTANTS):
            del file["sha256"]
    files = [json.dumps(file, sort_keys=True) for file in content.pop("files")]
    return "\n".join([json.dumps(content, indent=1, sort_keys=True), *files]) + "\n"


def _is_lock(table: str, row: Sequence[str]) -> bool:
    return table == "rollcall_counter" and row[0].removeprefix("=") in LOCK_ONLY_COUNTERS


def differences(expected: Path, found: Path, lines: int = 40) -> list[str]:
    """What differs between two exports byte for byte, as a unified diff of at most ``lines`` lines per table."""
    result: list[str] = []
    for name in sorted({file.name for folder in (expected, found) for file in folder.iterdir()}):
        contents = [_bytes(folder / name) for folder in (expected, found)]
        if contents[0] == contents[1]:
            continue
        one, other = ([] if content is None else content.decode().splitlines() for content in contents)
        diff = difflib.unified_diff(one, other, f"undisturbed/{name}", f"disturbed/{name}", lineterm="", n=0)
        result += list(diff)[:lines] or [f"{name}: the bytes differ"]
    return result


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None
