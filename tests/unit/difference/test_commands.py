from __future__ import annotations

from typing import Any

import pytest

from include.difference.commands import resolve_commands
from include.storage.engine import engine
from tests.unit.difference.relations import relation

COLUMNS = {"id": "VARCHAR", "name": "VARCHAR", "age": "INTEGER"}
BASE = [{"id": "1", "name": "Ann", "age": 30}, {"id": "2", "name": "Bob", "age": 40}]


def resolved(*delta: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    with engine() as duck:
        base = relation(duck, "stored", COLUMNS, BASE)
        changes = relation(duck, "delta", {"command": "VARCHAR", "emptied": "VARCHAR[]"} | COLUMNS, list(delta))
        after = resolve_commands(duck, base, changes, key="id", columns=list(COLUMNS))
        return {row[0]: (row[1], row[2]) for row in duck.execute(f"SELECT * FROM {after}").fetchall()}


UNTOUCHED = {"1": ("Ann", 30), "2": ("Bob", 40)}


def test_no_command_changes_nothing() -> None:
    assert resolved() == UNTOUCHED


@pytest.mark.parametrize("command", ["insert", "update"])
@pytest.mark.parametrize("key", ["1", "3"])
def test_insert_and_update_write_the_row_as_given_known_or_not(command: str, key: str) -> None:
    after = resolved({"command": command, "id": key, "name": "", "age": None})
    assert after == UNTOUCHED | {key: ("", None)}


def test_delete_removes_and_a_second_delete_is_fine() -> None:
    assert resolved({"command": "delete", "id": "1"}, {"command": "delete", "id": "9"}) == {"2": ("Bob", 40)}


@pytest.mark.parametrize(
    ("merge", "row"),
    [
        ({"name": "Eve"}, ("Eve", 30)),
        ({"age": 31}, ("Ann", 31)),
        ({"name": ""}, ("Ann", 30)),
        ({"emptied": ["age"], "name": "Eve"}, ("Eve", None)),
        ({"emptied": ["name"]}, (None, 30)),
    ],
)
def test_merge_writes_what_is_filled_and_empties_what_is_named(merge: dict[str, Any], row: tuple[Any, Any]) -> None:
    assert resolved({"command": "merge", "id": "1"} | merge) == UNTOUCHED | {"1": row}


def test_merge_creates_a_row_that_is_not_known() -> None:
    assert resolved({"command": "merge", "id": "9", "age": 1})["9"] == (None, 1)
