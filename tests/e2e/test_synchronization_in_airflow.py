"""A connector's life in a running Airflow: first load, a blocked run and its answers, a failed task cleared."""

from __future__ import annotations

import pytest

from include.orchestration.decisions import APPLY_ALL, APPLY_WITHOUT_DELETIONS, REJECT
from tests.e2e.conftest import PEOPLE, World, write_staff

pytestmark = pytest.mark.timeout(420)
DAG = "synchronize_Staff"
WAITING = {"awaiting_input", "deferred"}


def names(world: World) -> dict[str, str]:
    """Last name by employee id, as the repository has it now."""
    from datetime import UTC, datetime

    return {row["employee_id"]: row["last_name"] for row in world.repository.as_of("Staff_Person", datetime.now(UTC))}


@pytest.fixture(scope="module")
def loaded(world: World) -> World:
    """The world after its first load."""
    write_staff(world.files, PEOPLE)
    run = world.client.trigger(DAG, "first", {"mode": "initial"})
    assert world.client.wait_for_run(DAG, run) == "success"
    assert len(names(world)) == PEOPLE
    return world


def test_a_rejected_run_writes_nothing_and_the_record_says_who(loaded: World) -> None:
    write_staff(loaded.files, PEOPLE // 2)
    run = loaded.client.trigger(DAG, "cut-rejected")
    loaded.client.wait_for_task(DAG, run, "approve", WAITING)

    question = loaded.client.question(DAG, run, "approve")
    assert "max_percentage_deleted_lines" in question["body"]
    assert loaded.repository.run(run).state == "blocked"

    loaded.client.answer(DAG, run, "approve", REJECT, "the transfer broke")
    assert loaded.client.wait_for_run(DAG, run) == "success"
    assert loaded.client.task_states(DAG, run)["load"] == "skipped"
    assert len(names(loaded)) == PEOPLE
    rejection = next(entry for entry in loaded.repository.audit(subject=run) if entry.action == "reject")
    assert rejection.actor == "admin"
    assert rejection.detail["decision"]["reason"] == "the transfer broke"
    assert rejection.detail["change_set"]


def test_while_a_run_is_blocked_incremental_ones_skip_and_a_complete_one_takes_its_place(loaded: World) -> None:
    write_staff(loaded.files, PEOPLE // 2)
    blocked = loaded.client.trigger(DAG, "cut-again")
    loaded.client.wait_for_task(DAG, blocked, "approve", WAITING)

    second = loaded.client.trigger(DAG, "meanwhile", {"mode": "incremental"})
    loaded.client.wait_for_run(DAG, second)
    assert loaded.client.task_states(DAG, second)["open_run"] == "skipped"
    log = loaded.client.log(DAG, second, "open_run")
    assert "run cut-again is blocked" in log
    assert "max_percentage_deleted_lines exceeded" in log

    write_staff(loaded.files, PEOPLE)
    third = loaded.client.trigger(DAG, "mended")
    assert loaded.client.wait_for_run(DAG, third) == "success"
    assert loaded.repository.run(third).state == "loaded"
    assert loaded.repository.run(blocked).state == "superseded"

    loaded.client.answer(DAG, blocked, "approve", APPLY_ALL)
    assert loaded.client.wait_for_run(DAG, blocked) == "success"
    assert loaded.client.task_states(DAG, blocked)["load"] == "skipped"
    assert len(names(loaded)) == PEOPLE


def test_a_dry_run_walks_the_whole_path_and_writes_nothing(loaded: World) -> None:
    write_staff(loaded.files, PEOPLE // 2)
    run = loaded.client.trigger(DAG, "dry", {"dry_run": True})
    assert loaded.client.wait_for_run(DAG, run) == "success"
    states = loaded.client.task_states(DAG, run)
    assert (states["guard"], states["approve"], states["load"]) == ("success", "skipped", "skipped")
    assert "it would wait for an approval" in loaded.client.log(DAG, run, "load")
    assert loaded.repository.run(run) is None
    assert len(names(loaded)) == PEOPLE


def test_apply_all_but_deletions_keeps_the_missing_rows(loaded: World) -> None:
    write_staff(loaded.files, PEOPLE // 2, renamed="E0007")
    run = loaded.client.trigger(DAG, "partly")
    loaded.client.wait_for_task(DAG, run, "approve", WAITING)
    loaded.client.answer(DAG, run, "approve", APPLY_WITHOUT_DELETIONS, "a rename is fine")
    assert loaded.client.wait_for_run(DAG, run) == "success"
    assert len(names(loaded)) == PEOPLE
    assert names(loaded)["E0007"] == "Married"
    versions = loaded.repository.history("Staff_Person", "E0007")
    assert [version["values"]["last_name"] for version in versions] == ["Name 7", "Married"]
    assert versions[-1]["approver"] == "admin"


def test_a_failed_task_that_is_cleared_goes_on_to_the_right_end(loaded: World) -> None:
    (loaded.files / "staff.csv").unlink()
    run = loaded.client.trigger(DAG, "file-missing")
    assert loaded.client.wait_for_run(DAG, run) == "failed"
    log = loaded.client.log(DAG, run, "export", map_index=0)
    assert "staff.csv" in log
    assert loaded.repository.run(run).state == "failed"

    write_staff(loaded.files, PEOPLE, renamed="E0011")
    loaded.client.clear(DAG, run, "export")
    loaded.client.wait_for_task(DAG, run, "load", {"success"})
    assert loaded.client.wait_for_run(DAG, run) == "success"
    assert names(loaded)["E0011"] == "Married"
    assert names(loaded)["E0007"] == "Name 7"
    assert loaded.repository.run(run).state == "loaded"


def test_a_loaded_run_whose_load_is_cleared_changes_nothing(loaded: World) -> None:
    write_staff(loaded.files, PEOPLE, renamed="E0021")
    run = loaded.client.trigger(DAG, "once")
    assert loaded.client.wait_for_run(DAG, run) == "success"
    before = loaded.repository.history("Staff_Person", "E0021")

    loaded.client.clear(DAG, run, "load")
    loaded.client.wait_for_task(DAG, run, "load", {"success"})
    assert loaded.client.wait_for_run(DAG, run) == "success"
    assert loaded.repository.history("Staff_Person", "E0021") == before
    assert loaded.repository.run(run).state == "loaded"
    assert loaded.repository.verify_audit() == []


def test_a_file_with_a_mistake_keeps_its_dag_which_says_what_is_wrong(world: World) -> None:
    dag_id = "synchronize_Sales"
    world.client.wait_for_dag(dag_id)
    tags = {tag["name"] for tag in world.client.call("GET", f"/dags/{dag_id}")["tags"]}
    assert "config-error" in tags
    run = world.client.trigger(dag_id)
    assert world.client.wait_for_run(dag_id, run) == "failed"
    log = world.client.log(dag_id, run, "report_mistakes")
    assert "sales.yaml:10" in log
    assert "did you mean 'primary_key'?" in log
