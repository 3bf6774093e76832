"""The versions that loads since one have written or closed, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from tests.integration.repository.organisation import GROUP, MANAGER, MEMBER, PERSON, Store, group, person


def versions(store: Store, item: Any, since: int) -> list[tuple[Any, ...]]:
    """Key or ids, load and closing load of the versions since a load."""
    folder = store.new_folder()
    store.repository.export_versions(folder, "HR", [item], since)
    key = [item.primary_key.identifier] if item in (PERSON, GROUP) else ["resource1_id", "resource2_id"]
    rows = pq.read_table(folder.file(f"{item.identifier}.parquet")).to_pylist()
    found = [tuple(row[column] for column in [*key, "load_id", "closed_by_load_id"]) for row in rows]
    return sorted(found, key=str)


def test_what_later_loads_wrote_and_closed_is_told_with_the_loads(store: Store) -> None:
    first = {"A": person("A", last_name="Old"), "B": person("B"), "C": person("C")}
    store.load(persons=first, groups={"1": group(1)}, managers={("B", "A")})
    later = {"A": person("A", last_name="New", rate=-0.0, active=True), "B": person("B"), "D": person("D")}
    store.load(persons=later, groups={"1": group(1)}, managers={("B", "D")})
    assert versions(store, PERSON, 1) == [("A", 1, 2), ("A", 2, None), ("C", 1, 2), ("D", 2, None)]
    assert len(versions(store, MANAGER, 1)) == 2
    assert versions(store, GROUP, 1) == []
    assert versions(store, MEMBER, 0) == []
    assert versions(store, PERSON, 2) == []
    assert store.repository.rows_written(1)["HR_Person"] == 3
    assert store.repository.rows_written(2) == {}


def test_values_come_as_they_are_typed(store: Store) -> None:
    store.load(persons={"A": person("A")})
    instant = datetime(2026, 1, 2, 3, 4, 5)
    store.load(persons={"A": person("A", badge=7, active=True, rate=0.1, start_date=instant, photo=b"\x00\xff")})
    folder = store.new_folder()
    loads = store.repository.export_versions(folder, "HR", [PERSON], 1)
    new = next(row for row in pq.read_table(folder.file("HR_Person.parquet")).to_pylist() if row["load_id"] == 2)
    assert (new["badge"], new["active"], new["rate"], new["start_date"], new["photo"]) == (
        7, True, 0.1, instant, b"\x00\xff",
    )  # fmt: skip
    assert loads == {"load_id": 2, "newest_load": 2}


def test_removed_history_is_noticed(store: Store) -> None:
    before = datetime.now(UTC)
    store.load(persons={"A": person("A", last_name="Old")})
    store.load(persons={"A": person("A", last_name="New")})
    assert not store.repository.has_lost_history(before)
    store.repository.purge_before(datetime.now(UTC), by="Ada Auditor")
    assert store.repository.has_lost_history(before)
    assert not store.repository.has_lost_history(datetime.now(UTC))
