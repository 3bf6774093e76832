"""Legal holds, and the record of what retention removed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.repository.errors import RepositoryError
from include.repository.instants import now
from include.repository.repository import Repository
from tests.integration.repository.organisation import Store, person


@pytest.fixture
def snapshots(store: Store) -> Repository:
    """A repository with three snapshots, of the runs r1 to r3."""
    for number in (1, 2, 3):
        changes = store.changes_to(persons={f"E{number}": person(f"E{number}")})
        store.repository.load(store.request(changes, run_id=f"r{number}", manifest=str(number).__str__))
    return store.repository


def test_a_removal_is_recorded_once_and_its_manifest_stays(snapshots: Repository) -> None:
    record = snapshots.snapshot("r1")
    assert record is not None
    removed = snapshots.remove_snapshot("r1", reason="old", by="alice")
    assert snapshots.remove_snapshot("r1", reason="again", by="bob") == removed
    assert snapshots.removed_snapshots("HR") == {"r1": removed}
    assert (removed.sha256, removed.actor, removed.reason) == (record.sha256, "alice", "old")
    assert snapshots.snapshot("r1") == record
    [entry] = [entry for entry in snapshots.audit(subject="r1") if entry.action == "remove snapshot"]
    assert (entry.actor, entry.detail["sha256"], entry.detail["reason"]) == ("alice", record.sha256, "old")


def test_the_newest_snapshot_and_an_unknown_one_are_never_removed(snapshots: Repository) -> None:
    with pytest.raises(RepositoryError, match="r3 is the newest"):
        snapshots.remove_snapshot("r3", reason="old", by="alice")
    with pytest.raises(RepositoryError, match="has published no snapshot"):
        snapshots.remove_snapshot("r9", reason="old", by="alice")
    assert snapshots.removed_snapshots("HR") == {}


@pytest.mark.parametrize("run", [None, "r1"])
def test_what_is_on_hold_stays_until_it_is_released(snapshots: Repository, run: str | None) -> None:
    hold = snapshots.place_hold("HR", run, reason="case 7", by="lawyer")
    with pytest.raises(RepositoryError, match=f"on legal hold {hold.hold_id}"):
        snapshots.remove_snapshot("r1", reason="old", by="alice")
    if run is None:
        with pytest.raises(RepositoryError, match="on legal hold"):
            snapshots.record_files_removed("HR", "failed", reason="old", by="alice")
    else:
        snapshots.remove_snapshot("r2", reason="old", by="alice")
    snapshots.release_hold(hold.hold_id, reason="closed", by="judge")
    snapshots.remove_snapshot("r1", reason="old", by="alice")
    [kept] = snapshots.holds("HR")
    assert (kept.placed_by, kept.reason, kept.released_by, kept.release_reason) == (
        "lawyer",
        "case 7",
        "judge",
        "closed",
    )
    assert snapshots.holds("HR", active=True) == []
    actions = [entry.action for entry in snapshots.audit(subject=run or "HR")]
    assert {"place hold", "release hold"} <= set(actions)
    assert snapshots.verify_audit() == []


def test_a_hold_whose_time_is_over_holds_nothing(snapshots: Repository) -> None:
    hold = snapshots.place_hold("HR", reason="case 7", until=now() + timedelta(days=1), by="lawyer")
    assert hold.is_active(now())
    assert not hold.is_active(now() + timedelta(days=1))


def test_mistakes_with_holds_are_one_line(snapshots: Repository) -> None:
    snapshots.remove_snapshot("r1", reason="old", by="alice")
    for call, line in (
        (lambda: snapshots.place_hold("HR", reason=" ", by="x"), "needs a reason"),
        (lambda: snapshots.place_hold("HR", reason="y", until=now(), by="x"), "would be over already"),
        (lambda: snapshots.place_hold("HR", "r1", reason="y", by="x"), "were removed on"),
        (lambda: snapshots.place_hold("CRM", "r2", reason="y", by="x"), "no snapshot of CRM"),
        (lambda: snapshots.release_hold(9, reason="y", by="x"), "there is no hold 9"),
    ):
        with pytest.raises(RepositoryError, match=line):
            call()
    hold = snapshots.place_hold("HR", reason="y", by="x")
    snapshots.release_hold(hold.hold_id, reason="z", by="x")
    with pytest.raises(RepositoryError, match="was released by x"):
        snapshots.release_hold(hold.hold_id, reason="z", by="x")


def test_files_that_go_are_recorded_once_until_the_run_writes_again(snapshots: Repository) -> None:
    for _ in range(2):
        snapshots.record_files_removed("HR", "failed", reason="old", by="alice")
    assert len(snapshots.audit(subject="failed")) == 1
    snapshots.record("bob", "open run", "failed", {})
    snapshots.record_files_removed("HR", "failed", reason="old", by="alice")
    assert len(snapshots.audit(subject="failed")) == 3


@pytest.mark.parametrize(
    "statement", ["UPDATE rollcall_removed_snapshot SET actor = 'bob'", "DELETE FROM rollcall_removed_snapshot"]
)
def test_the_record_of_a_removal_cannot_be_changed(snapshots: Repository, statement: str) -> None:
    snapshots.remove_snapshot("r1", reason="old", by="alice")
    with pytest.raises(RepositoryError, match="append-only"), snapshots._database.write() as session:
        session.connection.exec_driver_sql(statement)


def test_the_snapshot_of_an_instant_is_the_newest_published_by_then(snapshots: Repository) -> None:
    second = snapshots.snapshot("r2")
    assert second is not None
    at = second.published_at
    assert snapshots.last_snapshot_at("HR", at) == second
    before = snapshots.last_snapshot_at("HR", at - timedelta(microseconds=1))
    assert before is not None
    assert before.run_id == "r1"
    assert snapshots.last_snapshot_at("HR", at - timedelta(days=1)) is None
    assert list(snapshots.snapshot_runs("HR")) == ["r1", "r2", "r3"]
