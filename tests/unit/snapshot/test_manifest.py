from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from include.snapshot import manifest
from include.snapshot.errors import SnapshotError
from tests.unit.snapshot.world import PERSON, World, connector

ROWS = [("1", 'Ann\r\n,"', "", "30"), ("2", "Bob", None, "x")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.at(tmp_path / "run", connector(PERSON)).export("people", ("employee_id", "name", "mail", "age"), ROWS)
    world.compare()
    return world


def built(world: World, **changed: Any) -> str:
    arguments: dict[str, Any] = {"previous_sha256": None, "counters": {"a": 1}, "facts": {"run_id": "r"}} | changed
    return manifest.build_manifest(world.connector, "version", world.folder, **arguments)


def test_it_names_every_file_with_size_rows_and_hash(world: World) -> None:
    content = json.loads(built(world))
    files = {item["path"]: item for item in content["files"]}
    assert set(files) == set(world.folder.names("*/*"))
    for path, item in files.items():
        data = world.folder.open(path).read()
        assert (item["size"], item["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert {path: item["rows"] for path, item in files.items() if "rows" in item} == {
        "raw/people.csv": 2,
        "base/Person.parquet": 0,
        "clean/Person.parquet": 1,
        "clean/Person.sorted.csv": 1,
        "clean/Person.nullpk.csv": 0,
        "clean/Person.duplicates.csv": 0,
        "clean/Person.rejects.csv": 1,
        "clean/Person.set_aside.parquet": 1,
        "clean/Person.missing.parquet": 0,
        "changes/Person.parquet": 1,
        "base/waiting_link.parquet": 0,
        "base/missing_resource.parquet": 0,
        "changes/waiting_link.parquet": 0,
        "changes/missing_resource.parquet": 0,
    }


def test_it_says_where_the_snapshot_came_from(world: World) -> None:
    content = json.loads(built(world, previous_sha256="before"))
    assert content["connector"] == "HR"
    assert content["configuration_version"] == "version"
    assert content["previous_sha256"] == "before"
    assert (content["counters"], content["facts"]) == ({"a": 1}, {"run_id": "r"})
    assert content["source"][0]["connection"] == "HRFiles"
    assert content["source"][0]["started_at"] == "2026-01-01T00:00:00+00:00"
    assert len(content["code_version"]) == 64


def test_the_same_run_gives_the_same_text(world: World) -> None:
    assert built(world) == built(world)
    assert built(world) != built(world, previous_sha256="other")


def test_a_published_snapshot_is_never_modified(world: World) -> None:
    text = built(world)
    assert not manifest.published(world.folder)
    manifest.publish(world.folder, text)
    manifest.publish(world.folder, text)
    assert manifest.published(world.folder)
    assert world.folder.read_text("manifest.json") == text
    with pytest.raises(SnapshotError, match="a published snapshot is never modified"):
        manifest.publish(world.folder, built(world, facts={}))
    assert world.folder.read_text("manifest.json") == text
