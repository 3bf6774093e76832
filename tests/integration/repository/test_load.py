"""What a load does to versions, links, ids, cookies and snapshots."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from include.repository.errors import RepositoryError, RunEnded, StaleBase
from include.repository.runs import RunRecord
from tests.integration.repository.organisation import (
    GROUP,
    MANAGER,
    MEMBER,
    PERSON,
    Store,
    group,
    person,
    write_link_changes,
    write_resource_changes,
)

ANNA = {"E1": person("E1", last_name="Anna")}
BERT = {"E2": person("E2", last_name="Bert")}
STAFF = {"7": group(7, order="staff")}


def test_first_load_inserts_and_numbers_resources_in_order_of_key(store: Store) -> None:
    result = store.load(persons=ANNA | BERT, groups=STAFF, managers={("E2", "E1")}, members={("7", "E1")})
    assert result.entity_types == {
        "HR_Person": {"inserted": 2, "updated": 0, "overwritten": 0, "deleted": 0},
        "Group": {"inserted": 1, "updated": 0, "overwritten": 0, "deleted": 0},
    }
    assert result.associations == {
        "HR_Manager": {"inserted": 1, "deleted": 0},
        "Group_Member": {"inserted": 1, "deleted": 0},
    }
    assert store.current(PERSON) == [
        {"resource_id": 1, **ANNA["E1"]},
        {"resource_id": 2, **BERT["E2"]},
    ]
    assert store.current(MEMBER) == [{"key1": "7", "key2": "E1", "resource1_id": 3, "resource2_id": 1}]
    assert store.current(MANAGER) == [{"key1": "E2", "key2": "E1", "resource1_id": 2, "resource2_id": 1}]


def test_update_closes_the_version_and_opens_another_of_the_same_resource(store: Store) -> None:
    first = store.load(persons=ANNA)
    second = store.load(persons={"E1": person("E1", last_name="Anne")})
    assert second.entity_types["HR_Person"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 0}
    old, new = store.repository.history("HR_Person", "E1")
    assert (old["values"]["last_name"], new["values"]["last_name"]) == ("Anna", "Anne")
    assert old["resource_id"] == new["resource_id"]
    assert (old["valid_from"], old["valid_to"]) == (first.loaded_at, second.loaded_at)
    assert (new["valid_from"], new["valid_to"]) == (second.loaded_at, datetime(9999, 12, 31, tzinfo=UTC))
    assert (old["load_id"], old["closed_by_load_id"], new["load_id"]) == (first.load_id, second.load_id, second.load_id)


def test_deleting_a_resource_ends_its_links_at_either_end(store: Store) -> None:
    store.load(persons=ANNA | BERT, groups=STAFF, managers={("E2", "E1")}, members={("7", "E1"), ("7", "E2")})
    folder = store.new_folder()
    write_resource_changes(folder, PERSON, [{"command": "delete", "key": "E1", "old": ANNA["E1"]}])
    write_link_changes(folder, MEMBER, [("delete", "7", "E1")])
    result = store.repository.load(store.request(folder))
    assert result.entity_types["HR_Person"]["deleted"] == 1
    assert result.associations == {
        "HR_Manager": {"inserted": 0, "deleted": 1},
        "Group_Member": {"inserted": 0, "deleted": 1},
    }
    assert [row["employee_id"] for row in store.current(PERSON)] == ["E2"]
    assert store.current(MANAGER) == []
    assert [row["key2"] for row in store.current(MEMBER)] == ["E2"]


def test_links_of_a_deleted_resource_end_even_in_associations_that_are_not_loaded(store: Store) -> None:
    store.load(persons=ANNA, groups=STAFF, members={("7", "E1")})
    folder = store.new_folder()
    write_resource_changes(folder, PERSON, [{"command": "delete", "key": "E1", "old": ANNA["E1"]}])
    result = store.repository.load(store.request(folder, entity_types=(PERSON,), associations=()))
    assert result.associations == {"Group_Member": {"inserted": 0, "deleted": 1}}
    assert store.current(MEMBER) == []


def test_key_that_returns_gets_its_id_back(store: Store) -> None:
    store.load(persons=ANNA | BERT, groups=STAFF)
    store.load(persons=BERT)
    store.load(persons=BERT | {"E0": person("E0")})
    store.load(persons=ANNA | BERT | {"E3": person("E3")})
    assert [(row["employee_id"], row["resource_id"]) for row in store.current(PERSON)] == [
        ("E1", 1),
        ("E2", 2),
        ("E3", 6),
    ]
    assert [version["load_id"] for version in store.repository.history("HR_Person", "E1")] == [1, 4]


def test_key_that_is_no_text_returns_under_its_id(store: Store) -> None:
    store.load(groups={"7": group(7), "10": group(10)})
    store.load(groups={"10": group(10)})
    store.load(groups={"7": group(7, order="again"), "10": group(10)})
    first, second = store.repository.history("Group", "7")
    assert first["resource_id"] == second["resource_id"]


def test_link_whose_end_is_missing_is_not_made(store: Store) -> None:
    store.load(persons=ANNA)
    folder = store.new_folder()
    write_link_changes(folder, MEMBER, [("insert", "7", "E1")])
    result = store.repository.load(store.request(folder))
    assert result.associations["Group_Member"] == {"inserted": 0, "deleted": 0}


def test_link_that_is_there_already_is_left(store: Store) -> None:
    store.load(persons=ANNA, groups=STAFF, members={("7", "E1")})
    folder = store.new_folder()
    write_link_changes(folder, MEMBER, [("insert", "7", "E1"), ("insert", "7", "E1")])
    assert store.repository.load(store.request(folder)).associations["Group_Member"]["inserted"] == 0
    assert len(store.current(MEMBER)) == 1


def test_same_load_key_is_loaded_once(store: Store) -> None:
    folder = store.changes_to(persons=ANNA | BERT)
    first = store.repository.load(store.request(folder))
    second = store.repository.load(store.request(folder))
    assert not first.already_loaded
    assert second.already_loaded
    assert (second.load_id, second.loaded_at) == (first.load_id, first.loaded_at)
    assert (second.entity_types, second.associations) == (first.entity_types, first.associations)
    assert store.repository.last_load("HR") == first.load_id
    assert len(store.repository.history("HR_Person", "E1")) == 1
    assert len(store.repository.audit()) == 1
    assert store.repository.loaded(folder.url) == second
    assert store.repository.loaded("another") is None
    assert store.repository.loads_of(folder.url) == [folder.url]


def test_stale_base_is_refused_and_changes_nothing(store: Store) -> None:
    first = store.load(persons=ANNA)
    folder = store.changes_to(persons=ANNA | BERT)
    other = store.load(persons=ANNA)
    message = rf"HR: the repository has moved on since this run compared \(load {first.load_id}, now {other.load_id}\)"
    with pytest.raises(StaleBase, match=message):
        store.repository.load(store.request(folder, base_load=first.load_id))
    assert [row["employee_id"] for row in store.current(PERSON)] == ["E1"]
    assert store.repository.last_load("HR") == other.load_id
    assert store.repository.load(store.request(folder, base_load=other.load_id)).entity_types["HR_Person"]["inserted"]


def test_base_of_another_connector_does_not_matter(store: Store) -> None:
    first = store.load(persons=ANNA)
    folder = store.changes_to(persons=ANNA)
    store.repository.load(store.request(folder, connector="provision:HR"))
    assert store.repository.last_load("HR") == first.load_id
    store.repository.load(store.request(store.changes_to(persons=ANNA | BERT), base_load=first.load_id))


def test_update_of_what_is_no_longer_current_is_refused(store: Store) -> None:
    store.load(persons=ANNA | BERT)
    folder = store.changes_to(persons={"E2": person("E2", last_name="B")})
    store.load(persons=BERT)
    with pytest.raises(StaleBase, match="HR_Person: 1 of 2 resources to update or delete are no longer current"):
        store.repository.load(store.request(folder))
    assert store.current(PERSON)[0]["last_name"] == "Bert"


def test_insert_of_a_current_key_is_refused(store: Store) -> None:
    folder = store.changes_to(persons=ANNA)
    store.load(persons=ANNA)
    with pytest.raises(StaleBase, match="HR_Person: 1 of 1 resources to insert are current already: start a new run"):
        store.repository.load(store.request(folder))
    assert len(store.repository.history("HR_Person", "E1")) == 1


def test_deletions_can_be_left_out(store: Store) -> None:
    store.load(persons=ANNA | BERT, groups=STAFF, members={("7", "E1"), ("7", "E2")})
    folder = store.changes_to(persons={"E1": person("E1", last_name="Anne")}, groups=STAFF, managers={("E1", "E1")})
    result = store.repository.load(store.request(folder, skip_deletions=True))
    assert result.entity_types["HR_Person"] == {"inserted": 0, "updated": 1, "overwritten": 0, "deleted": 0}
    assert result.associations == {
        "HR_Manager": {"inserted": 1, "deleted": 0},
        "Group_Member": {"inserted": 0, "deleted": 0},
    }
    assert [row["last_name"] for row in store.current(PERSON)] == ["Anne", "Bert"]
    assert len(store.current(MEMBER)) == 2


def test_folder_without_changes_is_an_error(store: Store) -> None:
    with pytest.raises(RepositoryError, match="no changes of HR there"):
        store.repository.load(store.request(store.new_folder()))
    assert store.repository.last_load("HR") == 0


def test_changes_of_another_configuration_are_refused_in_one_line(store: Store) -> None:
    folder = store.new_folder()
    narrow = GROUP.model_copy(update={"properties": GROUP.properties[:2]})
    write_resource_changes(folder, narrow, [{"command": "insert", "key": "7", "new": {"number": 7, "order": "staff"}}])
    with pytest.raises(RepositoryError, match=r"the changes cannot be read: .*select") as raised:
        store.repository.load(store.request(folder))
    assert "\n" not in str(raised.value)
    assert store.repository.last_load("HR") == 0


def test_cookies_move_with_their_load_only(store: Store) -> None:
    cookie = "opaque\\'\"%s 🍪"
    folder = store.changes_to(persons=ANNA)
    store.repository.load(store.request(folder, cookies={"Files": cookie, "Directory": "1"}))
    assert store.repository.cookies("HR") == {"Files": cookie, "Directory": "1"}
    with pytest.raises(StaleBase):
        store.repository.load(store.request(store.changes_to(persons=ANNA), base_load=0, cookies={"Files": "lost"}))
    assert store.repository.cookies("HR")["Files"] == cookie
    store.repository.load(store.request(store.changes_to(persons=ANNA), cookies={"Files": "next"}))
    assert store.repository.cookies("HR") == {"Files": "next", "Directory": "1"}
    assert store.repository.cookies("CRM") == {}


def test_snapshots_are_numbered_and_chained(store: Store) -> None:
    for run_id, manifest in (("run1", '{"n": "é\\"%"}'), ("run2", '{"n": 2}')):
        store.repository.load(store.request(store.changes_to(persons=ANNA), run_id=run_id, manifest=manifest.__str__))
    first, second = store.repository.snapshot("run1"), store.repository.last_snapshot("HR")
    assert first is not None
    assert second is not None
    assert (first.sequence, first.manifest, first.previous_sha256) == (1, '{"n": "é\\"%"}', None)
    assert (second.sequence, second.run_id, second.previous_sha256) == (2, "run2", first.sha256)
    assert second.sha256 == hashlib.sha256(b'{"n": 2}').hexdigest()
    assert store.repository.snapshot("run3") is None


def test_load_ends_a_synchronization_but_not_a_provisioning_run(store: Store) -> None:
    store.repository.open_run(RunRecord("s", "HR", "synchronize", "complete", "complete"))
    store.repository.open_run(RunRecord("p", "HR", "provision", "complete", "complete"))
    for run_id in ("s", "p"):
        store.repository.load(store.request(store.changes_to(persons=ANNA), run_id=run_id))
    synchronization, provisioning = store.repository.run("s"), store.repository.run("p")
    assert synchronization is not None
    assert provisioning is not None
    assert synchronization.state == "loaded"
    assert synchronization.counters["entity_types"]["HR_Person"]["inserted"] == 1
    assert synchronization.closed_at is not None
    assert provisioning.state == "running"


def test_run_that_has_ended_loads_nothing(store: Store) -> None:
    store.repository.open_run(RunRecord("s", "HR", "synchronize", "complete", "complete"))
    folder = store.changes_to(persons=ANNA)
    store.repository.supersede("s", "t")
    with pytest.raises(RunEnded, match=r"HR: run s is superseded \(superseded by run t\); nothing was written"):
        store.repository.load(store.request(folder, run_id="s", cookies={"Files": "1"}, manifest=lambda: "{}"))
    assert store.current(PERSON) == []
    assert store.repository.last_load("HR") == 0
    assert store.repository.cookies("HR") == {}
    assert store.repository.last_snapshot("HR") is None


def test_load_of_a_run_that_it_ended_itself_is_found_again(store: Store) -> None:
    store.repository.open_run(RunRecord("s", "HR", "synchronize", "complete", "complete"))
    request = store.request(store.changes_to(persons=ANNA), run_id="s")
    first = store.repository.load(request)
    assert store.repository.load(request) == replace(first, already_loaded=True)


def test_history_names_run_mode_and_approver(store: Store) -> None:
    store.repository.open_run(RunRecord("r", "HR", "synchronize", "initial", "complete"))
    store.repository.load(store.request(store.changes_to(persons=ANNA), run_id="r", actor="alice"))
    store.load(persons={"E1": person("E1", last_name="Anne")})
    approved, unattended = store.repository.history(PERSON, "E1")
    assert (approved["run_id"], approved["mode"], approved["approver"]) == ("r", "initial", "alice")
    assert (unattended["mode"], unattended["approver"]) == (None, None)
    assert store.repository.history(PERSON, "E9") == []


def test_instants_increase_even_when_the_clock_stands_still(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    monkeypatch.setattr("include.repository.load.now", lambda: noon)
    loaded = [store.load(persons={"E1": person("E1", badge=badge)}).loaded_at for badge in range(3)]
    assert loaded == [noon + timedelta(microseconds=count) for count in range(3)]
    assert [version["values"]["badge"] for version in store.repository.history(PERSON, "E1")] == [0, 1, 2]


def test_first_load_refuses_what_it_cannot_know_and_a_key_that_stands_twice(store: Store) -> None:
    folder = store.new_folder()
    update = {"command": "update", "key": "E1", "old": ANNA["E1"], "new": ANNA["E1"]}
    write_resource_changes(folder, PERSON, [update])
    with pytest.raises(StaleBase, match="HR_Person: 1 of 1 resources to update or delete are no longer current"):
        store.repository.load(store.request(folder))
    twice = store.new_folder()
    insert = {"command": "insert", "key": "E1", "new": ANNA["E1"]}
    write_resource_changes(twice, PERSON, [insert, insert])
    with pytest.raises(RepositoryError):
        store.repository.load(store.request(twice))
    assert store.current(PERSON) == []
    assert store.load(persons=ANNA).entity_types["HR_Person"]["inserted"] == 1


def test_first_load_asks_for_no_key(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a lookup")

    folder = store.changes_to(persons=ANNA | BERT)
    monkeypatch.setattr("include.repository.resources.known_keys", refuse)
    assert store.repository.load(store.request(folder)).entity_types["HR_Person"]["inserted"] == 2
