"""The past can be removed and thinned; the present, and who was there when, cannot."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.model.configuration import (
    Association,
    AssociationEnd,
    BrokenConnector,
    Configuration,
    Connection,
    Connector,
    EntityType,
    Property,
)
from include.model.resource_type import ResourceType
from include.repository.disposable import disposable
from include.repository.errors import RepositoryError
from include.repository.repository import Repository
from include.repository.system import ASSIGNED_RESOURCE_SCALAR, ASSIGNED_RESOURCE_TYPE, PROVISIONING_ORDER
from include.repository.tables import build_schema
from tests.integration.repository.clock import Clock
from tests.integration.repository.organisation import (
    ORGANISATION,
    PERSON,
    Store,
    group,
    person,
    write_resource_changes,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, START)


def load_at(store: Store, clock: Clock, instant: datetime, **state: Any) -> None:
    clock.now = instant
    store.load(**state)


def name_at(store: Store, clock: Clock, instant: datetime, last_name: str) -> None:
    load_at(store, clock, instant, persons={"E1": person("E1", last_name=last_name)})


def spans(store: Store, key: str = "E1") -> list[tuple[str, datetime, datetime]]:
    versions = store.repository.history("HR_Person", key)
    return [(item["values"]["last_name"], item["valid_from"], item["valid_to"]) for item in versions]


def names(store: Store) -> list[str]:
    return [span[0] for span in spans(store)]


def audited(store: Store, action: str) -> list[tuple[str, str, int]]:
    entries = [entry for entry in store.repository.audit() if entry.action == action]
    return sorted((entry.subject, entry.actor, entry.detail["rows"]) for entry in entries)


def test_purge_removes_what_ended_before_the_cut_off_and_nothing_else(store: Store, clock: Clock) -> None:
    anna, staff = {"E1": person("E1", last_name="a")}, {"7": group(7)}
    load_at(store, clock, START, persons=anna | {"E2": person("E2")}, groups=staff, members={("7", "E1"), ("7", "E2")})
    load_at(store, clock, START + DAY, persons=anna, groups=staff, members={("7", "E1")})
    name_at(store, clock, START + 2 * DAY, "b")
    name_at(store, clock, START + 3 * DAY, "c")
    removed = store.repository.purge_before(START + 2 * DAY, by="alice")
    assert removed == dict.fromkeys(removed, 0) | {"HR_Person": 2, "Group": 1, "Group_Member": 2}
    assert names(store) == ["b", "c"]
    assert store.repository.history("HR_Person", "E2") == []
    assert audited(store, "purge history") == [
        ("Group", "alice", 1),
        ("Group_Member", "alice", 2),
        ("HR_Person", "alice", 2),
    ]
    assert store.repository.audit(1)[0].detail["cut_off"] == "2020-01-03T00:00:00"
    assert store.repository.purged_before("HR_Person") == START + 2 * DAY
    assert store.repository.purged_before("HR_Manager") is None
    assert store.repository.verify_audit() == []


def test_purging_again_removes_and_records_nothing_more(store: Store, clock: Clock) -> None:
    name_at(store, clock, START, "a")
    name_at(store, clock, START + DAY, "b")
    assert store.repository.purge_before(START + DAY, by="alice")["HR_Person"] == 1
    entries = len(store.repository.audit())
    assert sum(store.repository.purge_before(START + DAY, by="alice").values()) == 0
    assert len(store.repository.audit()) == entries
    assert names(store) == ["b"]


def test_purge_up_to_the_future_is_refused(store: Store) -> None:
    store.load(persons={"E1": person("E1")})
    with pytest.raises(RepositoryError, match="that is in the future, all history would go"):
        store.repository.purge_before(datetime.now(UTC) + DAY, by="alice")


def test_a_purged_key_that_returns_is_loaded_like_any_other(store: Store, clock: Clock) -> None:
    load_at(store, clock, START, persons={"E1": person("E1")})
    load_at(store, clock, START + DAY)
    store.repository.purge_before(START + DAY, by="alice")
    load_at(store, clock, START + 2 * DAY, persons={"E1": person("E1", last_name="back")})
    assert names(store) == ["back"]


def test_thinning_keeps_the_first_version_of_each_window_and_the_ends(store: Store, clock: Clock) -> None:
    hours = (0, 1, 2, 30, 49, 50, 51, 73, 74, 75)
    for hour in hours:
        name_at(store, clock, START + hour * HOUR, f"h{hour}")
    now = START + 76 * HOUR
    # Two windows of a day: from hour 52 and from hour 28; before them only the oldest.
    removed = store.repository.thin("1440:2", now, by="alice")
    assert removed["HR_Person"] == len(hours) - 4
    assert spans(store) == [
        ("h0", START, START + 30 * HOUR),
        ("h30", START + 30 * HOUR, START + 73 * HOUR),
        ("h73", START + 73 * HOUR, START + 75 * HOUR),
        ("h75", START + 75 * HOUR, datetime(9999, 12, 31, tzinfo=UTC)),
    ]
    assert audited(store, "thin history") == [("HR_Person", "alice", 6)]
    assert store.repository.audit(1)[0].detail["ranges"] == "1440:2"
    assert sum(store.repository.thin("1440:2", now, by="alice").values()) == 0


def test_successive_ranges_follow_each_other_into_the_past(store: Store, clock: Clock) -> None:
    hours = (0, 10, 11, 12, 13, 14, 15, 16, 17, 18)
    for hour in hours:
        name_at(store, clock, START + hour * HOUR, f"h{hour}")
    store.repository.thin("60:2 240:1", START + 19 * HOUR, by="alice")
    # Hours 18, 17, then 13 to 16, then nothing but the oldest.
    assert names(store) == ["h0", "h13", "h17", "h18"]


def test_thinning_every_hour_keeps_the_same_versions(store: Store, clock: Clock) -> None:
    for hour in range(17):
        name_at(store, clock, START + hour * HOUR, f"h{hour}")
        store.repository.thin("300:3", START + hour * HOUR, by="alice")
    assert names(store) == ["h0", "h5", "h10", "h15", "h16"]


def test_a_version_says_which_load_ended_the_span_that_it_took_over(store: Store, clock: Clock) -> None:
    for hour in range(4):
        name_at(store, clock, START + hour * HOUR, f"h{hour}")
    store.repository.thin("60:1", START + 9 * HOUR, by="alice")
    first, last = store.repository.history("HR_Person", "E1")
    assert (first["load_id"], first["closed_by_load_id"], last["load_id"]) == (1, 4, 4)


def test_a_gap_stays_a_gap(store: Store, clock: Clock) -> None:
    for hour, name in enumerate("ab-cd-ef"):
        if name == "-":
            load_at(store, clock, START + hour * HOUR)
        else:
            name_at(store, clock, START + hour * HOUR, name)
    store.repository.thin("60:1", START + 99 * HOUR, by="alice")
    assert [(name, (start - START) // HOUR, (end - START) // HOUR) for name, start, end in spans(store)[:2]] == [
        ("a", 0, 2),
        ("c", 3, 5),
    ]
    assert names(store) == ["a", "c", "e", "f"]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ("", "no range is given: write minutes:count pairs, such as 1440:7 43920:6 525960:2"),
        ("1440", "range '1440': write minutes:count"),
        ("1440:7 0:6", "range '0:6': write minutes:count with whole numbers above 0"),
        ("1440:-1", "range '1440:-1'"),
        ("a:b", "range 'a:b'"),
        ("1:10001", "more than 10000 windows"),
        ("525960000:9", "further back than the year 1"),
        ("9999999999999999:1", "further back than the year 1"),
    ],
)
def test_ranges_that_are_none_are_refused_in_one_line(store: Store, ranges: str, message: str) -> None:
    with pytest.raises(RepositoryError) as raised:
        store.repository.thin(ranges, START, by="alice")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_duplicates_go_into_the_version_before(store: Store, clock: Clock) -> None:
    for hour, (badge, last_name) in enumerate([(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "b"), (6, "b")]):
        load_at(store, clock, START + hour * HOUR, persons={"E1": person("E1", badge=badge, last_name=last_name)})
    assert store.repository.remove_duplicates("HR_Person", ["badge"], by="alice") == 3
    assert [(name, (start - START) // HOUR) for name, start, _ in spans(store)] == [("a", 0), ("b", 2), ("b", 5)]
    assert store.current(PERSON)[0]["badge"] == 6
    assert store.repository.remove_duplicates("HR_Person", ["badge"], by="alice") == 0
    assert audited(store, "remove duplicate versions") == [("HR_Person", "alice", 3)]


def test_a_double_is_compared_to_the_last_bit_and_a_gap_is_no_duplicate(store: Store, clock: Clock) -> None:
    for hour, rate in enumerate([0.0, -0.0, None, 1.5]):
        load_at(store, clock, START + hour * HOUR, persons={"E1": person("E1", rate=rate)})
    load_at(store, clock, START + 4 * HOUR)
    load_at(store, clock, START + 5 * HOUR, persons={"E1": person("E1", rate=1.5)})
    assert store.repository.remove_duplicates(PERSON, [], by="alice") == 0


def test_unknown_property_is_refused(store: Store) -> None:
    with pytest.raises(RepositoryError, match="HR_Person: no property shoe_size"):
        store.repository.remove_duplicates("HR_Person", ["badge", "shoe_size"], by="alice")


def test_held_connectors_are_left_out(store: Store, clock: Clock) -> None:
    for hour in range(4):
        name_at(store, clock, START + hour * HOUR, f"h{hour}")
    assert sum(store.repository.purge_before(START + DAY, by="alice", held=["HR"]).values()) == 0
    assert sum(store.repository.thin("60:1", START + DAY, by="alice", held=["HR"]).values()) == 0
    with pytest.raises(RepositoryError, match="HR_Person: its history is on legal hold; nothing was removed"):
        store.repository.remove_duplicates("HR_Person", ["badge"], by="alice", held=["HR"])
    assert names(store) == ["h0", "h1", "h2", "h3"]
    assert store.repository.purge_before(START + DAY, by="alice", held=["CRM"])["HR_Person"] == 3


STATE = st.dictionaries(st.sampled_from(["E1", "E2"]), st.sampled_from("ab"))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.integers(1, 90), STATE), min_size=1, max_size=7),
    ranges=st.sampled_from(["60:1", "30:3", "45:1 120:2", "1:1"]),
)
def test_thinning_changes_neither_the_present_nor_who_was_there_when(
    store: Store, clock: Clock, steps: list[tuple[int, dict[str, str]]], ranges: str
) -> None:
    store.load()  # a gap between the examples
    instants = []
    for minutes, people in steps:
        clock.now += timedelta(minutes=minutes)
        result = store.load(persons={key: person(key, last_name=name) for key, name in people.items()})
        instants.append(result.loaded_at)
    before = {instant: rows_at(store, instant) for instant in instants}
    present = store.current(PERSON)
    store.repository.thin(ranges, clock.now, by="alice")
    assert store.current(PERSON) == present
    for instant in instants:
        rows = rows_at(store, instant)
        assert rows.keys() == before[instant].keys()
        for key, name in rows.items():
            assert name in {before[other].get(key) for other in instants if other <= instant}
    for key in ("E1", "E2"):
        found = spans(store, key)
        assert all(first[2] <= second[1] for first, second in itertools.pairwise(found))
    assert sum(store.repository.thin(ranges, clock.now, by="alice").values()) == 0


def rows_at(store: Store, instant: datetime) -> dict[str, str]:
    return {row["employee_id"]: row["last_name"] for row in store.repository.as_of("HR_Person", instant)}


def test_removing_history_waits_for_a_load(store: Store, clock: Clock) -> None:
    from include.repository.errors import RepositoryLocked
    from include.repository.session import take

    name_at(store, clock, START, "a")
    impatient = Repository(str(store.repository._database.url.render_as_string(False)), ORGANISATION, lock_timeout=0.5)
    if store.repository._database.is_sqlite:
        pytest.skip("SQLite has one writer at a time anyway (test_crash)")
    with store.repository._database.write() as session:
        take(session, "load")
        with pytest.raises(RepositoryLocked):
            impatient.purge_before(START + DAY, by="alice")


def connector(identifier: str, *, links_to: str | None = None) -> Connector:
    """A connector with one entity type, and an association and a resource type that lead to another's."""
    entity = f"{identifier}_User"
    end1 = AssociationEnd(entity_type=entity, navigation="owner", column="a")
    end2 = AssociationEnd(entity_type=links_to or entity, navigation="accounts", column="b", collection=True)
    return Connector(
        identifier=identifier,
        connections=(Connection(identifier="Files", package="csv"),),
        entity_types=(
            EntityType(
                identifier=entity, connection_table="t", properties=(Property(identifier="id", primary_key=True),)
            ),
        ),
        associations=(Association(identifier=f"{identifier}_Owner", connection_table="t", end1=end1, end2=end2),),
        resource_types=(
            ResourceType(
                identifier=f"{identifier}_account",
                connection="Files",
                source_entity_type=links_to or entity,
                target_entity_type=entity,
            ),
        ),
    )


LANDSCAPE = Configuration(
    connectors=(connector("HR"), connector("CRM", links_to="HR_User"), connector("Badge"), connector("badge2"))
)


@pytest.mark.parametrize(
    ("held", "tables"),
    [
        ([], {"HR_User", "HR_Owner", "CRM_User", "CRM_Owner", "Badge_User", "Badge_Owner"}),
        (["Badge"], {"HR_User", "HR_Owner", "CRM_User", "CRM_Owner"}),
        (["CRM"], {"HR_Owner", "Badge_User", "Badge_Owner"}),
        (["HR"], {"CRM_User", "Badge_User", "Badge_Owner"}),
        (["gone"], {"HR_User", "HR_Owner", "CRM_User", "CRM_Owner", "Badge_User", "Badge_Owner"}),
    ],
)
def test_a_hold_keeps_what_its_connector_has_and_what_that_leads_to(held: list[str], tables: set[str]) -> None:
    found = {item.identifier for item, _ in disposable(build_schema(LANDSCAPE), LANDSCAPE, held)}
    assert {name for name in found if name.split("_")[0] in {"HR", "CRM", "Badge"}} == tables


def test_a_hold_on_a_connector_that_cannot_be_read_stops_every_removal() -> None:
    broken = BrokenConnector(identifier="SAP", file="sap.yaml", mistakes=())
    landscape = LANDSCAPE.model_copy(update={"broken": (broken,)})
    with pytest.raises(RepositoryError, match=r"SAP: on legal hold, and sap\.yaml has mistakes: mend it first"):
        list(disposable(build_schema(landscape), landscape, ["SAP"]))
    assert list(disposable(build_schema(landscape), landscape, ["HR"]))


def test_a_hold_keeps_the_assignments_and_orders_of_its_connector(
    repository_url: str, tmp_path: Path, clock: Clock
) -> None:
    repository = Repository(repository_url, LANDSCAPE)
    repository.migrate()
    types = ["HR_account", "CRM_account", "Badge_account", "badge2_account", "left_account"]
    system = (ASSIGNED_RESOURCE_TYPE, ASSIGNED_RESOURCE_SCALAR, PROVISIONING_ORDER)
    store = Store(repository, tmp_path, entity_types=system, associations=())
    for hour in range(3):
        clock.now = START + hour * HOUR
        folder = store.new_folder()
        for entity in system:
            write_resource_changes(folder, entity, [system_change(entity, kind, hour) for kind in types])
        repository.load(store.request(folder))
    removed = repository.purge_before(START + DAY, by="alice", held=["CRM"])
    # CRM's resource type concerns HR's people, but HR's own does not concern CRM.
    kept = {"CRM_account", "left_account"}
    assert {name: count for name, count in removed.items() if count} == {
        entity.identifier: 2 * (len(types) - len(kept)) for entity in system
    }
    for entity in system:
        for kind in types:
            versions = repository.history(entity, system_key(entity, kind))
            assert len(versions) == (3 if kind in kept else 1)


def system_key(entity: EntityType, kind: str) -> str:
    return {"assigned_resource_scalar": f"{kind}|1|mail"}.get(entity.identifier, f"{kind}|1")


def system_change(entity: EntityType, kind: str, hour: int) -> dict[str, Any]:
    values = {item.identifier: None for item in entity.properties}
    connector = kind.removesuffix("_account")
    known = {"resource_type": kind, "assignment": f"{kind}|1", "provisioning_state": hour, "connector": connector}
    new = values | {name: value for name, value in known.items() if name in values}
    new |= {entity.primary_key.identifier: system_key(entity, kind)}
    return {"command": "update" if hour else "insert", "key": system_key(entity, kind), "new": new}
