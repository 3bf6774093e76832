from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest

from include.difference.thresholds import Subject, Tally, Verdict, check
from include.model.configuration import ConnectorThresholds
from include.model.resource_type import ProvisioningThresholds
from include.orchestration.tasks import approval_body, push_verdict
from include.orchestration.verdicts import find_verdict
from include.provisioning.plan import Generation, write_generation
from include.storage.folder import Folder

VERDICT = check([Subject("connector", "HR", Tally(1200, updated=61), ConnectorThresholds(), links=False)])


class TaskInstance:
    """What a task instance keeps, and gives to the template of an approval."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.kept[key] = value

    def xcom_pull(self, *, task_ids: str, key: str = "return_value") -> Any:
        if task_ids == "open_run":
            return {"run_id": "run-1"}
        assert task_ids == "guard"
        return self.kept[key]


def test_the_approval_shows_every_limit_what_blocks_first() -> None:
    ti = TaskInstance()
    push_verdict(ti, VERDICT.to_json() | {"change_set": "abc"})
    assert ti.kept["verdict"]["change_set"] == "abc"
    body = jinja2.Template(approval_body("guard", "changes")).render(ti=ti, run_id="run-1")
    assert body.startswith(ti.kept["limits"])
    rows = body.splitlines()[2:8]
    assert rows[0] == (
        "| **exceeded** | max_percentage_updated_lines | connector HR | 5 % | 5.08 % "
        "| 61 updated of 1200 stored, limit 5 % |"
    )
    assert all(row.startswith("| respected |") for row in rows[1:])
    assert body.endswith("\n\nLook at them with `rollcall show changes --run 'run-1'`.")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path.as_uri())


def test_the_verdict_of_a_synchronization_is_found(folder: Folder) -> None:
    folder.write_json("changes/verdict.json", VERDICT.to_json() | {"mode": "complete", "sha256": "abc"})
    assert find_verdict(folder) == VERDICT


def test_the_verdict_of_a_provisioning_is_found(folder: Folder) -> None:
    verdict = check([Subject("resource_type", "Account", Tally(10, deleted=4), ProvisioningThresholds())])
    decided_at = datetime(2026, 1, 1, tzinfo=UTC)
    write_generation(folder.child("orders"), Generation("run-1", "CRM", decided_at, (), {}, verdict))
    assert find_verdict(folder) == verdict
    assert verdict.blocked


def test_a_run_that_was_not_judged_has_no_verdict(folder: Folder) -> None:
    assert find_verdict(folder) is None
    assert Verdict.from_json({"blocked": False, "lines": []}) == Verdict(False, ())
