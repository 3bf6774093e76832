"""Computed properties from the source file to the repository and the command, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from include.command.main import application
from include.orchestration.decisions import APPLY_ALL, Decision
from include.orchestration.verification import verify
from tests.integration.orchestration.conftest import Pipeline, person

DISPLAYED = """      - {identifier: name}
      - {identifier: internal_display_name, expression: "upper(name) || coalesce(' of ' || team.code, '')"}
      - {identifier: badge_number, expression: "badge.number"}
      - {identifier: initial, expression: "left(internal_display_name, 1)"}
"""
BADGES = """
identifier: Badges
connections:
  - {identifier: Cards, package: csv, connection_id: staff_files, settings: {path: cards.csv}}
entity_types:
  - identifier: Badge
    connection_table: Cards
    properties:
      - {identifier: number, primary_key: true}
associations:
  - identifier: Badge_Holder
    connection_table: Cards
    end1: {entity_type: Badge, navigation: holder, column: number}
    end2: {entity_type: Staff_Person, navigation: badge, column: holder}
"""


def applied() -> Decision:
    return Decision(APPLY_ALL, "Ada Auditor", datetime.now(UTC).isoformat(), "seen")


def changed(result: dict[str, Any]) -> dict[str, int]:
    return {name: sum(counts.values()) for name, counts in result["entity_types"].items()}


def rollcall(*arguments: str) -> str:
    result = CliRunner().invoke(application, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def declare(pipeline: Pipeline) -> None:
    """Give the people of the pipeline computed properties, one of them over a link of another connector."""
    configuration = pipeline.files.parent / "configuration"
    staff = (configuration / "staff.yaml").read_text()
    (configuration / "staff.yaml").write_text(staff.replace("      - {identifier: name}\n", DISPLAYED))
    (configuration / "badges.yaml").write_text(BADGES)
    (pipeline.files / "cards.csv").write_text("number,holder\nB7,P001\n")


def values(pipeline: Pipeline, key: str) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.repository.history("Staff_Person", key)[-1]["values"]
    return found


def test_a_new_computed_property_is_guarded_loaded_and_then_at_rest(pipeline: Pipeline) -> None:
    declare(pipeline)
    run, result = pipeline.synchronize()
    assert result["state"] == "blocked"
    pipeline.close(run)
    run, result = pipeline.synchronize(decision=applied())
    assert changed(result) == {"Staff_Person": 60, "Staff_Team": 0}
    assert verify(run_id=run.run_id).lines == []
    assert values(pipeline, "P001")["internal_display_name"] == "NAME 1 of T1"
    for mode in ("complete", "incremental", "initial"):
        assert changed(pipeline.synchronize(mode)[1]) == {"Staff_Person": 0, "Staff_Team": 0}


def test_an_incremental_run_after_the_configuration_has_changed_reads_the_repository(pipeline: Pipeline) -> None:
    pipeline.synchronize()
    declare(pipeline)
    _, result = pipeline.synchronize("incremental", decision=applied())
    assert changed(result) == {"Staff_Person": 60, "Staff_Team": 0}


def test_value_and_cause_stand_in_one_version(pipeline: Pipeline) -> None:
    declare(pipeline)
    pipeline.synchronize("initial")
    pipeline.write(*(person(number, "Renamed" if number == 1 else None) for number in range(60)))
    pipeline.synchronize()
    before, after = (item["values"] for item in pipeline.repository.history("Staff_Person", "P001")[-2:])
    assert {name for name in after if after[name] != before[name]} == {"name", "internal_display_name", "initial"}
    assert (after["name"], after["internal_display_name"], after["initial"]) == ("Renamed", "RENAMED of T1", "R")


def test_what_another_connector_changes_shows_at_the_next_run(pipeline: Pipeline) -> None:
    declare(pipeline)
    pipeline.synchronize("initial")
    assert values(pipeline, "P001")["badge_number"] is None
    rollcall("synchronize", "Badges", "--mode", "initial")
    assert values(pipeline, "P001")["badge_number"] is None
    assert changed(pipeline.synchronize()[1]) == {"Staff_Person": 1, "Staff_Team": 0}
    assert values(pipeline, "P001")["badge_number"] == "B7"


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_a_person_reads_the_internal_display_name_beside_the_key(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "Staff_Person P001 (Name 1)" in rollcall("history", "Staff_Person", "P001")
    declare(pipeline)
    pipeline.synchronize("initial")
    assert "Staff_Person P001 (NAME 1 of T1)" in rollcall("history", "Staff_Person", "P001")
    pipeline.write(person(1, "Renamed"), *(person(number) for number in range(2, 60)))
    pipeline.synchronize()
    shown = rollcall("show", "changes", "Staff")
    assert "RENAMED of T1" in shown
    assert "NAME 0 of T0" in shown


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)
def test_a_value_that_cannot_be_computed_is_reported_and_stops_nothing(pipeline: Pipeline) -> None:
    configuration = pipeline.files.parent / "configuration" / "staff.yaml"
    number = (
        "      - {identifier: name}\n      - {identifier: number, type: int32, expression: 'CAST(name AS INTEGER)'}\n"
    )
    configuration.write_text(configuration.read_text().replace("      - {identifier: name}\n", number))
    pipeline.write(*(person(index, "17" if index == 1 else None) for index in range(60)))
    run, _ = pipeline.synchronize("initial")
    assert values(pipeline, "P001")["number"] == 17
    counters = json.loads(run.folder.read_text("changes/changes.json"))["entity_types"]["Staff_Person"]
    assert counters["not_computed"] == 59
    assert "expression_failed" in rollcall("show", "rejects", "Staff")
