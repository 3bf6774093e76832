"""A client of Airflow's public REST API, with the few calls that operating Rollcall by program needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

POLL_SECONDS = 0.3
RUN_END_STATES = {"success", "failed"}


class AirflowTimeoutError(TimeoutError):
    """Something did not come about in time; the message says what."""


class DagImportError(RuntimeError):
    """A DAG file cannot be imported; the message is the last line of its trace."""


class AirflowClient:
    """Airflow's REST API as one user.

    Source: Airflow 3 stable REST API (``/api/v2``), token from ``/auth/token``.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        token = httpx.post(f"{url}/auth/token", json={"username": user, "password": password}, timeout=30)
        token.raise_for_status()
        self._http = httpx.Client(
            base_url=f"{url}/api/v2",
            headers={"Authorization": f"Bearer {token.json()['access_token']}"},
            timeout=60,
        )

    def close(self) -> None:
        """Close the connections that are kept open between calls."""
        self._http.close()

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """One call; the decoded JSON answer.

        Raises:
            httpx.HTTPStatusError: the API refused.
        """
        response = self._http.request(method, path, **arguments)
        response.raise_for_status()
        return response.json() if response.content else None

    def wait_for(self, what: str, probe: Callable[[], Any], timeout: float) -> Any:
        """Poll until the probe returns something true; that.

        Raises:
            AirflowTimeoutError: it did not within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if found := probe():
                return found
            time.sleep(POLL_SECONDS)
        raise AirflowTimeoutError(f"{what}: not within {timeout:.0f} s")

    def wait_for_dag(self, dag_id: str, timeout: float = 120) -> None:
        """Wait until the DAG processor has read the DAG.

        Raises:
            DagImportError: the DAG file cannot be imported.
        """

        def probe() -> bool:
            errors = self.call("GET", "/importErrors")["import_errors"]
            if errors:
                raise DagImportError(f"{errors[0]['filename']}: {errors[0]['stack_trace'].strip().splitlines()[-1]}")
            return self._http.get(f"/dags/{dag_id}").is_success

        self.wait_for(f"DAG {dag_id}", probe, timeout)

    def trigger(self, dag_id: str, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        """Start a DAG run; its run id."""
        body: dict[str, Any] = {"logical_date": None, "conf": dict(conf or {})}
        if run_id is not None:
            body["dag_run_id"] = run_id
        answer = self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)
        return str(answer["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """The state of a DAG run."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The DAG's runs, oldest first."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100, "order_by": "run_after"})
        return list(found["dag_runs"])

    def queued_asset_events(self, dag_id: str) -> dict[str, Any]:
        """Asset events that wait for the scheduler to start a run of the DAG."""
        response = self._http.get(f"/dags/{dag_id}/assets/queuedEvents")
        if response.status_code == httpx.codes.NOT_FOUND:
            return {"queued_events": [], "total_entries": 0}
        response.raise_for_status()
        return dict(response.json())

    def task_states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """State by task id; a mapped task's instances are ``task[0]``, ``task[1]`` ..."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", params={"limit": 500})
        return {
            item["task_id"] + (f"[{item['map_index']}]" if item["map_index"] >= 0 else ""): item["state"]
            for item in found["task_instances"]
        }

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 300) -> str:
        """Wait until the run has ended; its final state."""

        def probe() -> str | None:
            state = self.run_state(dag_id, run_id)
            return state if state in RUN_END_STATES else None

        return str(self.wait_for(f"{dag_id} {run_id}", probe, timeout))

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, states: set[str], timeout: float = 180) -> str:
        """Wait until a task is in one of the states; which."""

        def probe() -> str | None:
            state = self.task_states(dag_id, run_id).get(task_id)
            return state if state in states else None

        return str(self.wait_for(f"{dag_id} {run_id} {task_id} {'|'.join(sorted(states))}", probe, timeout))

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """What a waiting human-in-the-loop task asks: subject, body, options."""
        return dict(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"))

    def answer(self, dag_id: str, run_id: str, task_id: str, choice: str, reason: str = "") -> None:
        """Answer a waiting human-in-the-loop task."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self.call("PATCH", path, json={"chosen_options": [choice], "params_input": {"reason": reason}})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task and what follows it, so that Airflow runs them again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def result(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned (its XCom), None when it returned nothing."""
        response = self._http.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}")
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        response.raise_for_status()
        return response.json()["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1, map_index: int = -1) -> str:
        """The log of one attempt of a task as text."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        response = self._http.get(path, params={"map_index": map_index, "full_content": True})
        response.raise_for_status()
        return response.text
