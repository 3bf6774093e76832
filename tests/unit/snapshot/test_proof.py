"""The proof of one snapshot: whatever happens to one of its files is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.snapshot import manifest
from include.snapshot.previous import PublishedSnapshot
from include.snapshot.proof import prove_files
from tests.unit.snapshot.world import PERSON, World, connector

FILES = (
    "raw/people.csv",
    "raw/HRFiles.report.json",
    "base/base.json",
    "base/Person.parquet",
    "clean/Person.parquet",
    "clean/Person.sorted.csv",
    "clean/Person.rejects.csv",
    "clean/preparation.json",
    "changes/Person.parquet",
    "changes/changes.json",
    "manifest.json",
)


@pytest.fixture
def snapshot(tmp_path: Path) -> PublishedSnapshot:
    rows = [("1", "Ann", "", "30"), ("2", "Bob", None, "x")]
    world = World.at(tmp_path / "run", connector(PERSON)).export("people", ("employee_id", "name", "mail", "age"), rows)
    world.compare()
    text = manifest.build_manifest(
        world.connector, "version", world.folder, previous_sha256=None, counters={}, facts={"run_id": "r"}
    )
    manifest.publish(world.folder, text)
    return PublishedSnapshot(world.folder, "r", text)


def faults(snapshot: PublishedSnapshot) -> list[str]:
    return list(prove_files(snapshot).faults)


def test_a_snapshot_as_it_was_published_has_no_fault(snapshot: PublishedSnapshot) -> None:
    read: list[int] = []
    found = prove_files(snapshot, read.append)
    assert found.faults == ()
    assert found.files == len(snapshot.paths) + 1
    assert found.bytes == sum(read) == snapshot.bytes + len(snapshot.manifest.encode())


@pytest.mark.parametrize("path", FILES)
def test_one_flipped_bit_shows(snapshot: PublishedSnapshot, path: str) -> None:
    file = Path(snapshot.folder.file(path))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x80
    file.write_bytes(content)
    assert faults(snapshot) == [f"{path}: changed, its SHA-256 differs"]


@pytest.mark.parametrize("path", FILES)
def test_another_size_a_missing_and_an_added_file_show(snapshot: PublishedSnapshot, path: str) -> None:
    file = Path(snapshot.folder.file(path))
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    assert faults(snapshot) == [f"{path}: changed, {len(content) + 1} bytes instead of {len(content)}"]
    file.rename(file.with_name("added"))
    added = path.rpartition("/")[0]
    added = f"{added}/added" if added else "added"
    lines = faults(snapshot)
    assert [line.split(" (")[0] for line in sorted(lines)] == sorted(
        [f"{path}: missing", f"{added}: not in the manifest"]
    )


def test_folders_that_no_step_knows_are_looked_at_too(snapshot: PublishedSnapshot) -> None:
    snapshot.folder.write_text("raw/below/smuggled.csv", "x")
    snapshot.folder.write_text(".hidden/smuggled.csv", "x")
    assert faults(snapshot) == [
        ".hidden/smuggled.csv: not in the manifest",
        "raw/below/smuggled.csv: not in the manifest",
    ]


def test_what_a_dead_writer_left_is_no_part_of_a_snapshot(snapshot: PublishedSnapshot) -> None:
    snapshot.folder.write_text("raw/people.csv.0123.part", "x")
    snapshot.folder.write_text("loading.json", "{}")
    assert faults(snapshot) == []


def test_a_folder_that_is_gone_is_one_fault(snapshot: PublishedSnapshot) -> None:
    snapshot.folder.filesystem.rm(snapshot.folder.path, recursive=True)
    assert faults(snapshot) == ["all of its files are gone, and nothing says that retention removed them"]
