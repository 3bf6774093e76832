"""The audit trail only grows, and shows every other change of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.repository.errors import RepositoryError
from include.repository.repository import Repository
from tests.integration.repository.organisation import Store, person


@pytest.fixture
def trail(repository: Repository) -> Repository:
    """A repository with five entries."""
    for number in range(5):
        repository.record("alice", "approve", f"run{number}", {"n": number, "text": "é'\"%\\", "at": datetime.now(UTC)})
    return repository


def tamper(repository: Repository, *statements: str) -> None:
    """Change the table as someone with full rights could."""
    if repository._database.is_sqlite:
        disarm = ["DROP TRIGGER rollcall_audit_no_update", "DROP TRIGGER rollcall_audit_no_delete"]
    else:
        disarm = ["ALTER TABLE rollcall_audit DISABLE TRIGGER ALL"]
    with repository._database.write() as session:
        for statement in (*disarm, *statements):
            session.connection.exec_driver_sql(statement)


def test_entries_are_kept_whole_and_chained(trail: Repository) -> None:
    newest, *older = trail.audit()
    assert (newest.sequence, newest.actor, newest.action, newest.subject) == (5, "alice", "approve", "run4")
    assert newest.detail["text"] == "é'\"%\\"
    assert newest.previous_hash == older[0].hash
    assert newest.at.tzinfo is not None
    assert [entry.subject for entry in trail.audit(limit=2)] == ["run4", "run3"]
    assert [entry.sequence for entry in trail.audit(subject="run1")] == [2]
    assert trail.verify_audit() == []


@pytest.mark.parametrize("statement", ["UPDATE rollcall_audit SET actor = 'bob'", "DELETE FROM rollcall_audit"])
def test_entries_cannot_be_changed(trail: Repository, statement: str) -> None:
    with pytest.raises(RepositoryError, match="rollcall_audit is append-only"), trail._database.write() as session:
        session.connection.exec_driver_sql(statement)
    assert trail.verify_audit() == []


def test_snapshots_cannot_be_changed(store: Store) -> None:
    store.repository.load(store.request(store.changes_to(persons={"E1": person("E1")}), manifest=lambda: "{}"))
    with pytest.raises(RepositoryError, match="append-only"), store.repository._database.write() as session:
        session.connection.exec_driver_sql("UPDATE rollcall_snapshot SET manifest = ''")


@pytest.mark.parametrize(
    ("statement", "lines"),
    [
        (
            "UPDATE rollcall_audit SET actor = 'bob' WHERE sequence = 3",
            ["audit 3: its content is not what was recorded"],
        ),
        (
            "UPDATE rollcall_audit SET detail = '{}' WHERE sequence = 5",
            ["audit 5: its content is not what was recorded"],
        ),
        (
            "UPDATE rollcall_audit SET hash = previous_hash WHERE sequence = 2",
            ["audit 2: its content is not what was recorded", "audit 3: it does not follow the entry before it"],
        ),
        ("DELETE FROM rollcall_audit WHERE sequence = 2", ["audit 3: 1 entries before it are missing"]),
        ("DELETE FROM rollcall_audit WHERE sequence >= 4", ["audit 4: 2 entries at the end are missing"]),
        ("DELETE FROM rollcall_audit", ["audit 1: 5 entries at the end are missing"]),
    ],
)
def test_tampering_shows(trail: Repository, statement: str, lines: list[str]) -> None:
    tamper(trail, statement)
    assert trail.verify_audit() == lines


def test_load_is_on_the_trail_with_who_let_it_through(store: Store) -> None:
    folder = store.changes_to(persons={"E1": person("E1")})
    store.repository.load(store.request(folder, run_id="r", actor="alice", detail={"reason": "checked"}))
    [entry] = store.repository.audit(subject="r")
    assert (entry.actor, entry.action) == ("alice", "load")
    assert entry.detail["request"] == {"reason": "checked"}
    assert entry.detail["counters"]["entity_types"]["HR_Person"]["inserted"] == 1
    assert store.repository.verify_audit() == []
