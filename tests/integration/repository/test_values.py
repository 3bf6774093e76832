"""A value comes back as it was stored, whichever way it is read."""

from __future__ import annotations

import math
import struct
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from include.model.base import DUCKDB_TYPES
from include.repository.bulk import BATCH_ROWS
from include.storage.engine import engine
from include.storage.folder import Folder
from tests.integration.repository.organisation import (
    GROUP,
    MANAGER,
    MEMBER,
    PERSON,
    Store,
    group,
    person,
    write_resource_changes,
)

HOSTILE = [
    "",
    " ",
    " leading and trailing ",
    "quote ' double \" back ` slash \\ percent % %s %(x)s {x} $1 ? :name",
    "line\nfeed\r\ntab\t",
    "emoji 👩‍🚀 and ﷽",
    "e\u0301 is not é",
    "NULL",
    "\\N",
    "1e5",
    "007",
    '\'); DROP TABLE "HR_Person"; --',
    "x" * 100_000,
    "\ufeffmark",
    "\u200b",
]
VALUES: list[tuple[str, list[Any]]] = [
    ("last_name", HOSTILE),
    ("guid", ["0f1e2d3c-0000-0000-0000-00000000000A"]),
    ("photo", [b"", b"\x00\xff'\"\\", bytes(range(256)), b"x" * 100_000]),
    ("badge", [0, -(2**31), 2**31 - 1]),
    ("serial", [0, -(2**63), 2**63 - 1, 2**53 + 1]),
    ("floor", [-(2**15), 2**15 - 1]),
    ("level", [0, 255]),
    ("active", [True, False]),
    ("rate", [0.0, -0.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 1e22, 3.0]),
    (
        "start_date",
        [
            datetime(1, 1, 1),
            datetime(1899, 12, 31, 23, 59, 59, 999999),
            datetime(9999, 12, 31),
            datetime(2026, 3, 29, 2, 30),
        ],
    ),
]


def exact(value: Any) -> Any:
    """A form in which every bit counts: -0.0 is not 0.0, and NaN is itself."""
    return struct.pack("d", value) if isinstance(value, float) else value


def test_every_value_survives_both_ways_of_reading(store: Store) -> None:
    rows = {
        f"{column}{number}": person(f"{column}{number}", **{column: value})
        for column, values in VALUES
        for number, value in enumerate(values)
    }
    loaded = store.load(persons=rows)
    exported = {row["employee_id"]: row for row in store.current(PERSON)}
    read = {row["employee_id"]: row for row in store.repository.as_of(PERSON, loaded.loaded_at)}
    assert exported.keys() == read.keys() == rows.keys()
    for key, row in rows.items():
        for column, value in row.items():
            assert exact(exported[key][column]) == exact(value), (key, column)
            assert exact(read[key][column]) == exact(value), (key, column)


def test_hostile_keys_are_keys_like_others(store: Store) -> None:
    keys = [text for text in HOSTILE if len(text) < 1000]
    store.load(persons={key: person(key) for key in keys}, managers={(key, "007") for key in keys})
    store.load(persons={key: person(key, badge=1) for key in keys}, managers={("007", key) for key in keys})
    for key in keys:
        assert [version["values"]["badge"] for version in store.repository.history(PERSON, key)] == [None, 1]
    assert {(row["key1"], row["key2"]) for row in store.current(MANAGER)} == {("007", key) for key in keys}
    store.load()
    store.load(persons={key: person(key) for key in keys})
    assert all(len(store.repository.history(PERSON, key)) == 3 for key in keys)


def test_column_may_be_empty_for_longer_than_a_batch(store: Store) -> None:
    count = BATCH_ROWS + 2
    folder = store.new_folder()
    rows = [person(f"{number:06}") for number in range(count)]
    rows[-1] |= {"last_name": "last", "photo": b"\x01", "rate": 1.5, "active": True, "start_date": datetime(2026, 1, 1)}
    write_resource_changes(
        folder, PERSON, [{"command": "insert", "key": row["employee_id"], "new": row} for row in rows]
    )
    store.repository.load(store.request(folder))
    exported = store.current(PERSON)
    assert len(exported) == count
    assert {name: value for name, value in exported[-1].items() if name != "resource_id"} == rows[-1]
    assert exported[0]["last_name"] is None


def test_exported_types_are_those_of_the_configuration(store: Store) -> None:
    for state in ({}, {"persons": {"E1": person("E1")}, "groups": {"7": group(7)}, "members": {("7", "E1")}}):
        store.load(**state)
        folder = store.new_folder()
        ids: dict[str, list[tuple[str, str]]] = {"resource": [], "ends": []}
        for with_ids in (False, True):
            store.repository.export_base(folder, "HR", (PERSON, GROUP), (MANAGER, MEMBER), resource_ids=with_ids)
            for entity in (PERSON, GROUP):
                wanted = [(item.identifier, DUCKDB_TYPES[item.type]) for item in entity.properties]
                assert exported_types(folder, entity.identifier) == [*ids["resource"], *wanted]
            keys = [("key1", "VARCHAR"), ("key2", "VARCHAR")]
            assert exported_types(folder, "Group_Member") == [*keys, *ids["ends"]]
            ids = {
                "resource": [("resource_id", "BIGINT")],
                "ends": [("resource1_id", "BIGINT"), ("resource2_id", "BIGINT")],
            }


def exported_types(folder: Folder, identifier: str) -> list[tuple[str, str]]:
    with engine(folder) as connection:
        file = folder.file(f"{identifier}.parquet")
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{file}')").fetchall()
    return [(row[0], row[1]) for row in described]


def test_rows_are_exported_in_order_of_their_key_and_of_its_bytes(store: Store) -> None:
    keys = ["a", "B", "ä", "Z", "-a", "A b", "10", "9", "_"]
    store.load(persons={key: person(key) for key in keys}, groups={str(key): group(key) for key in (10, 9, -1)})
    assert [row["employee_id"] for row in store.current(PERSON)] == sorted(keys, key=str.encode)
    assert [row["number"] for row in store.current(GROUP)] == [-1, 9, 10]


def test_base_says_which_load_it_shows(store: Store) -> None:
    folder = store.folder("base")
    assert store.repository.export_base(folder, "HR", (PERSON,), ()) == 0
    loaded = store.load(persons={"E1": person("E1")})
    assert store.repository.export_base(folder, "HR", (PERSON,), ()) == loaded.load_id
    shown = {"connector": "HR", "load_id": loaded.load_id, "newest_load": loaded.load_id}
    assert folder.read_json("base.json") == shown
    assert folder.names() == ["HR_Person.parquet", "base.json"]


def test_files_may_lie_in_another_storage(store: Store) -> None:
    store.load(persons={"E1": person("E1"), "E2": person("E2")})
    elsewhere = Folder(f"memory://{store.path.name}/base")
    assert store.repository.export_current(PERSON, elsewhere, "rows.parquet") == 2
    with elsewhere.open("rows.parquet") as stream:
        assert pq.read_table(stream).num_rows == 2
    changes, remote = store.changes_to(persons={"E1": person("E1")}), Folder(f"memory://{store.path.name}/changes")
    for name in changes.names():
        with changes.open(name) as source, remote.write(name) as target:
            target.write(source.read())
    assert store.repository.load(store.request(remote)).entity_types["HR_Person"]["deleted"] == 1
