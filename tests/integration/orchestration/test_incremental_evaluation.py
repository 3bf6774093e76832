"""Provisioning runs that evaluate those whom changes concern: from both databases, and the same as complete ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.orchestration import provision
from include.orchestration.decisions import APPLY_ALL, Decision
from include.orchestration.run import Run, close_run
from tests.integration.orchestration.conftest import Pipeline, person

DOORS = """
identifier: Doors
connections:
  - {identifier: Badges, package: csv, connection_id: staff_files, settings: {path: badges.csv}}
entity_types:
  - identifier: Door_Badge
    connection_table: Badges
    properties:
      - {identifier: number, primary_key: true}
      - {identifier: holder}
      - {identifier: name}
      - {identifier: team}
resource_types:
  - identifier: Door_Badge_Staff
    source_entity_type: Staff_Person
    target_entity_type: Door_Badge
    connection: Badges
    block_provisioning: false
    thresholds:
      maximum_insert_percent: 0
      maximum_update_percent: 0
      maximum_delete_percent: 0
    correlation_rules:
      - {source_expression: id, target_expression: holder}
    scalar_rules:
      - {property: holder, expression: id}
      - {property: name, expression: name}
      - {property: team, expression: team.code}
"""
APPROVED = Decision(APPLY_ALL, "Ada Auditor", datetime.now(UTC).isoformat(), "seen")
COUNT = 60


def badge(number: int) -> str:
    return f"B{number},P{number:03d},Name {number},T{number % 3}"


def start(pipeline: Pipeline) -> None:
    """Everybody has a badge, and the policy has found that it is so."""
    badges = "\n".join(["number,holder,name,team", *(badge(number) for number in range(COUNT))])
    pipeline.add_connector("doors", DOORS, badges=badges)
    pipeline.people(COUNT)
    pipeline.synchronize(decision=APPROVED)
    pipeline.synchronize("initial", connector="Doors")


def provide(pipeline: Pipeline, mode: Any = "incremental") -> tuple[Run, dict[str, Any], dict[str, Any]]:
    """Evaluate and generate orders; the run, the evaluation's counters and the verdict."""
    pipeline.count += 1
    run = provision.open_run("Doors", f"provide-{pipeline.count}", mode)
    counters = provision.evaluate(run)
    verdict = provision.generate_orders(run)
    close_run(run, "failed", "nothing is fulfilled here")
    return run, counters, verdict


def changes(counters: dict[str, Any]) -> dict[str, int]:
    """How many rows of each kind an evaluation inserted, updated or deleted."""
    return {
        identifier: counts["inserted"] + counts["updated"] + counts["deleted"]
        for identifier, counts in counters["entity_types"].items()
    }


def test_only_those_whom_changes_concern_are_evaluated_and_the_rest_stands(pipeline: Pipeline) -> None:
    start(pipeline)
    _, counters, _ = provide(pipeline)
    assert (counters["mode"], counters["reason"]) == ("complete", "nothing was evaluated before")
    assert counters["owners_evaluated"] == COUNT
    _, counters, _ = provide(pipeline)
    assert (counters["mode"], counters["owners_evaluated"]) == ("incremental", 0)
    pipeline.write(*(person(number, {7: "Renamed"}.get(number)) for number in range(COUNT)))
    pipeline.synchronize()
    run, counters, _ = provide(pipeline)
    assert (counters["mode"], counters["owners_evaluated"]) == ("incremental", 1)
    assert changes(counters)["assigned_resource_scalar"] == 1
    [batch] = run.folder.child("orders").names("[0-9]*-*.json")
    [order] = run.folder.read_json(f"orders/{batch}")["ProvisioningOrdersList"]
    assert (order["ChangeType"], order["Changes"]) == ("Modified", {"name": "Renamed"})
    _, counters, _ = provide(pipeline, "complete")
    assert (counters["mode"], counters["reason"]) == ("complete", "asked for")
    assert sum(changes(counters).values()) == 0


def test_the_orders_of_an_incremental_run_are_those_of_a_complete_one(pipeline: Pipeline) -> None:
    start(pipeline)
    provide(pipeline)
    pipeline.write(
        *(person(number, f"Name {number + 1}" if number % 9 == 0 else None) for number in range(5, COUNT + 2))
    )
    pipeline.synchronize(decision=APPROVED)
    run, counters, verdict = provide(pipeline)
    assert counters["mode"] == "incremental"
    renamed = sum(number % 9 == 0 for number in range(5, COUNT))
    assert counters["owners_evaluated"] == 5 + renamed + 2
    other, _, complete = provide(pipeline, "complete")
    assert orders(run) == orders(other)
    figures = [item.folder.read_json("orders/generation.json")["counters"] for item in (run, other)]
    assert figures[0] == figures[1]
    assert figures[0]["Door_Badge_Staff"]["owned"] == COUNT
    assert verdict["lines"] == complete["lines"]


def orders(run: Run) -> list[str]:
    """The orders of a run without their ids, which name the run."""
    return [
        str({key: value for key, value in order.items() if key != "OrderId"})
        for batch in sorted(run.folder.child("orders").names("[0-9]*-*.json"))
        for order in run.folder.read_json(f"orders/{batch}")["ProvisioningOrdersList"]
    ]


def test_changed_rules_and_missing_files_make_a_run_complete_and_it_says_so(pipeline: Pipeline) -> None:
    start(pipeline)
    first, _, _ = provide(pipeline)
    file = pipeline.files.parent / "configuration" / "doors.yaml"
    file.write_text(file.read_text().replace("expression: name", "expression: upper(name)"))
    second, counters, _ = provide(pipeline)
    assert counters["reason"] == "the rules or the mapping have changed since the last evaluation"
    assert changes(counters)["assigned_resource_scalar"] == COUNT
    Path(second.folder.file("state/Staff_Team.parquet")).unlink()
    _, counters, _ = provide(pipeline)
    gone = f"the files of run {second.run_id}, or those of the complete run {second.run_id}, are gone"
    assert (counters["mode"], counters["reason"]) == ("complete", gone)
    assert first.run_id != second.run_id


def test_state_that_somebody_changed_is_not_built_upon(pipeline: Pipeline) -> None:
    start(pipeline)
    run, _, _ = provide(pipeline)
    Path(run.folder.file("state/Staff_Person.parquet")).write_bytes(b"something else")
    _, counters, _ = provide(pipeline)
    assert counters["reason"] == f"the files in state/ of run {run.run_id} are not those that it wrote"


def test_history_that_was_removed_since_makes_a_run_complete(pipeline: Pipeline) -> None:
    start(pipeline)
    provide(pipeline)
    pipeline.write(*(person(number, {7: "Renamed"}.get(number)) for number in range(COUNT)))
    pipeline.synchronize()
    pipeline.repository.purge_before(datetime.now(UTC), by="Ada Auditor")
    _, counters, _ = provide(pipeline)
    assert counters["reason"] == "history was purged or thinned since the last complete evaluation"


def test_evaluating_again_what_was_loaded_changes_neither_files_nor_rows(pipeline: Pipeline) -> None:
    start(pipeline)
    run = provision.open_run("Doors", "again")
    first = provision.evaluate(run)
    before = pipeline.repository.last_load("provision:Doors")
    assert provision.evaluate(run) == first
    assert pipeline.repository.last_load("provision:Doors") == before
