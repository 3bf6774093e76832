"""Whatever stops a load, nothing of it stays; and writers wait for each other."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.repository.bulk import Bulk
from include.repository.errors import ConcurrentUse, RepositoryError, RepositoryLocked, StaleBase
from include.repository.repository import Repository
from include.repository.runs import RunRecord
from include.repository.session import take
from include.storage.folder import Folder
from tests.integration.repository.organisation import ORGANISATION, PERSON, Store, group, person

BEFORE: dict[str, Any] = {
    "persons": {"E1": person("E1"), "E2": person("E2")},
    "groups": {"7": group(7)},
    "members": {("7", "E1"), ("7", "E2")},
}
AFTER: dict[str, Any] = {
    "persons": {"E2": person("E2", last_name="B"), "E3": person("E3")},
    "groups": {"7": group(7)},
    "managers": {("E3", "E2")},
    "members": {("7", "E3")},
}
STEPS = ("run", "append", "stage", "temporary", "command")


class Crash(Exception):
    pass


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int, crash: Callable[[], None]) -> list[int]:
    """Crash right after the step-th statement of a load; gives the number of statements seen."""
    seen = [0]

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            result = original(*arguments)
            seen[0] += 1
            if seen[0] == step:
                crash()
            return result

        return call

    for name in STEPS:
        monkeypatch.setattr(Bulk, name, wrapped(getattr(Bulk, name)))
    return seen


def everything(repository: Repository) -> dict[str, list[Any]]:
    """Every row of every table."""
    with repository._database.read() as session:
        tables = repository._schema.metadata.sorted_tables
        return {table.name: sorted(session.rows(sa.select(table)), key=repr) for table in tables}


def raise_crash() -> None:
    raise Crash


def test_crash_between_any_two_statements_leaves_nothing(store: Store) -> None:
    first = store.load(**BEFORE)
    stored = everything(store.repository)
    request = store.request(
        store.changes_to(**AFTER), cookies={"Files": "1"}, manifest=lambda: "{}", base_load=first.load_id, run_id="r"
    )
    step = 0
    while True:
        step += 1
        with pytest.MonkeyPatch.context() as monkeypatch:
            seen = crash_at(monkeypatch, step, raise_crash)
            try:
                result = store.repository.load(request)
                break
            except Crash:
                pass
        assert everything(store.repository) == stored
    assert step > 15
    assert seen == [step - 1]
    assert result.already_loaded is False
    assert [row["employee_id"] for row in store.current(PERSON)] == ["E2", "E3"]
    assert store.repository.verify_audit() == []


def test_crash_of_a_first_load_leaves_an_empty_table_with_its_indexes(store: Store) -> None:
    request = store.request(store.changes_to(**BEFORE))
    stored, indexes = everything(store.repository), index_names(store.repository)
    assert len(indexes["HR_Person"]) == 4
    for step in itertools.count(1):
        with pytest.MonkeyPatch.context() as monkeypatch:
            crash_at(monkeypatch, step, raise_crash)
            try:
                store.repository.load(request)
                break
            except Crash:
                pass
        assert everything(store.repository) == stored
        assert index_names(store.repository) == indexes
    assert step > 10
    assert index_names(store.repository) == indexes
    with pytest.raises(StaleBase, match="2 of 2 resources to insert are current already"):
        store.repository.load(replace(request, load_key="again"))


def index_names(repository: Repository) -> dict[str, list[str]]:
    """The indexes of every table."""
    with repository._database.read() as session:
        inspector = sa.inspect(session.connection)
        tables = [table.name for table in repository._schema.metadata.sorted_tables]
        return {name: sorted(str(index["name"]) for index in inspector.get_indexes(name)) for name in tables}


def _load_and_die(url: str, path: str, folder: str) -> None:
    """Die like a killed process, with the whole load written and nothing committed."""
    Bulk.run = _dying(Bulk.run)  # type: ignore[method-assign]
    store = Store(Repository(url, ORGANISATION), Path(path))
    store.repository.load(store.request(Folder(folder)))


def _dying(original: Callable[..., int]) -> Callable[..., int]:
    def call(self: Bulk, clause: Any) -> int:
        result = original(self, clause)
        if getattr(clause.table, "name", "") == "rollcall_audit":
            os._exit(9)
        return result

    return call


def test_killed_process_leaves_nothing_and_the_load_can_be_run_again(store: Store, repository_url: str) -> None:
    store.load(**BEFORE)
    stored, folder = everything(store.repository), store.changes_to(**AFTER)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_load_and_die, args=(repository_url, str(store.path), folder.url))
    process.start()
    process.join(120)
    assert process.exitcode == 9
    assert everything(store.repository) == stored
    assert store.repository.load(store.request(folder)).already_loaded is False


def test_loads_that_meet_are_loaded_one_after_the_other(store: Store) -> None:
    folders = [store.changes_to(persons={"E1": person("E1")}), store.changes_to(groups={"7": group(7)})]
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda each=folder: results.append(store.repository.load(store.request(each))))
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(result.load_id for result in results) == [1, 2]
    one, two = sorted(results, key=lambda result: result.load_id)
    assert one.loaded_at < two.loaded_at


def test_run_that_is_being_loaded_is_loaded_before_it_could_be_superseded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.repository.open_run(RunRecord("s", "HR", "synchronize", "complete", "complete"))
    request = store.request(store.changes_to(persons={"E1": person("E1")}), run_id="s")
    loading, append = threading.Event(), Bulk.append

    def slow(*arguments: Any) -> int:
        loading.set()
        time.sleep(1)
        return append(*arguments)

    monkeypatch.setattr(Bulk, "append", slow)
    thread = threading.Thread(target=store.repository.load, args=(request,))
    thread.start()
    assert loading.wait(60)
    assert store.repository.supersede("s", "t") is False
    thread.join(60)
    loaded = store.repository.run("s")
    assert loaded is not None
    assert loaded.state == "loaded"


def hold(repository: Repository, locked: threading.Event, release: threading.Event) -> None:
    """Hold the repository as a load does that takes long."""
    with repository._database.bulk(writes=True) as bulk:
        take(bulk, "load")
        locked.set()
        release.wait(60)
        bulk.rollback()


@pytest.fixture
def held(store: Store, repository_url: str) -> Any:
    """A repository held by another thread, and the store on it that waits for half a second."""
    locked, release = threading.Event(), threading.Event()
    folder = store.changes_to(persons={"E1": person("E1")})
    thread = threading.Thread(target=hold, args=(store.repository, locked, release))
    thread.start()
    locked.wait(60)
    yield Store(Repository(repository_url, ORGANISATION, lock_timeout=0.5), store.path), folder
    release.set()
    thread.join(60)


def test_load_that_waits_too_long_says_so(held: tuple[Store, Folder]) -> None:
    store, folder = held
    with pytest.raises(RepositoryLocked, match=r"another writer has held the repository for 0\.5 s; try again later"):
        store.repository.load(store.request(folder))


def test_sqlite_file_is_never_open_in_both_libraries(held: tuple[Store, Folder]) -> None:
    store, _ = held
    if not store.repository._database.is_sqlite:
        assert store.repository.last_load("HR") == 0
        return
    with pytest.raises(RepositoryLocked, match="another thread of this process held it"):
        store.repository.last_load("HR")


def test_sqlite_file_is_refused_to_the_other_library_in_one_thread(store: Store) -> None:
    database = store.repository._database
    with database.bulk(writes=False) as bulk:
        if database.is_sqlite:
            with pytest.raises(ConcurrentUse, match="already open here through ADBC"):
                store.repository.last_load("HR")
        else:
            assert store.repository.last_load("HR") == 0
        bulk.rollback()
    assert store.repository.last_load("HR") == 0


def test_reader_is_not_kept_by_a_writer(held: tuple[Store, Folder]) -> None:
    store, _ = held
    assert store.current(PERSON) == []


@pytest.mark.parametrize("password", ["s3cret word", "p@ss/word:%"])
def test_no_password_in_any_error_or_name(password: str) -> None:
    url = sa.URL.create("postgresql", "rollcall", password, "127.0.0.1", 1, "none").render_as_string(False)
    repository = Repository(url, ORGANISATION)
    texts = [repr(repository), repr(repository._database)]
    folder = Folder("memory://nowhere")
    for call in (lambda: repository.last_load("HR"), lambda: repository.export_current(PERSON, folder, "x.parquet")):
        with pytest.raises(RepositoryError) as raised:
            call()
        texts += [str(raised.value), repr(raised.value)]
        assert raised.value.__cause__ is None
    assert not any(secret in text for text in texts for secret in (password, "s3cret", "ss/word", "ss%2Fword"))
    for wrong in ("mysql://u:s3cret@h/d", "not a url s3cret", "sqlite://"):
        with pytest.raises(RepositoryError) as raised:
            Repository(wrong)
        assert "s3cret" not in str(raised.value)
