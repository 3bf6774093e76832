"""What a person may answer when a run is above its thresholds, and how the answer is kept."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

APPLY_ALL = "Apply all"
APPLY_WITHOUT_DELETIONS = "Apply all but deletions"
REJECT = "Reject"
DECISIONS = (APPLY_ALL, APPLY_WITHOUT_DELETIONS, REJECT)
NOBODY = "nobody (the time to answer ran out)"

FAILED_STATES = {"failed", "upstream_failed"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person, or the end of the time to answer, said of a blocked run."""

    choice: str
    actor: str
    at: str
    reason: str = ""


def command_decision(choice: str, reason: str = "") -> Decision:
    """A decision taken on the command line by the user of this process."""
    return Decision(choice, getpass.getuser(), datetime.now(UTC).isoformat(), reason)


def airflow_decision(answer: Mapping[str, Any] | None) -> Decision | None:
    """The decision in the answer of a human-in-the-loop task, None when the task did not run.

    An answer that Airflow gave itself, because the time to answer ran out, has no user; the record
    says so.
    """
    if answer is None:
        return None
    user = answer.get("responded_by_user")
    actor = user["name"] if user else NOBODY
    at = answer["responded_at"]
    return Decision(
        choice=answer["chosen_options"][0],
        actor=actor,
        at=at.isoformat() if isinstance(at, datetime) else str(at),
        reason=(answer.get("params_input") or {}).get("reason", ""),
    )


def outcome_of(task_instance: Any) -> Literal["succeeded", "failed"]:
    """Whether any task of the task instance's DAG run has failed."""
    states = task_instance.get_task_states(dag_id=task_instance.dag_id, run_ids=[task_instance.run_id])
    found = {state for task_states in states.values() for state in task_states.values()}
    return "failed" if found & FAILED_STATES else "succeeded"
