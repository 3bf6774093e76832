"""Three days of the demo organisation, played without a person as real Airflow DAG runs.

Day 1 loads everything, and provisions the directory and the CRM. Day 2 brings joiners, movers, leavers and a rename. On
day 3 the HR file was cut by a broken transfer: the run is blocked, shown, and rejected. What Rollcall
did is compared with figures that the generator counted from its own lists.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from include.command.up import start_airflow
from include.demo.crm import Crm, count, crm_server
from include.demo.facts import CrmFigures, DayFacts
from include.demo.organisation import write_day
from include.demo.outcome import Ledger, print_day, print_places
from include.demo.story import CUT, FIRST, SECOND, Day
from include.local.airflow import LocalAirflow, free_port
from include.local.client import AirflowClient
from include.local.settings import connection_body, read_settings, settings_file
from include.model.environment import project_root, repository_url, storage_url
from include.orchestration.decisions import REJECT

MARKER = "made-by-the-demo"
QUIET_SECONDS = 1.5
RUN_TIMEOUT = 900.0
PREFERRED_PORT = 8080
PROVISIONING = ("provision_Directory", "provision_CRM")

console = Console()


class DemoError(RuntimeError):
    """The demo cannot start, or did not do what it should; one line."""


def clean_slate() -> None:
    """Remove what an earlier demo left: its repository, snapshots and Airflow; nothing that is not its own.

    Raises:
        DemoError: the folders hold something that no demo made, or the environment names other places.
    """
    root = project_root()
    for variable in ("ROLLCALL_CONFIG", "ROLLCALL_STORAGE", "ROLLCALL_REPOSITORY"):
        if os.environ.get(variable):
            raise DemoError(
                f"{variable} is set; unset it: the demo plays in its own folders under {root / '.rollcall'}"
            )
    for folder in (root / ".rollcall", root / ".airflow"):
        if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
            raise DemoError(f"{folder} holds files that the demo did not make; move it away, then run the demo again")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / MARKER).touch()
    os.environ["AIRFLOW_HOME"] = str(root / ".airflow")


def _crm_address() -> tuple[int, str]:
    """Port and token of the CRM, as ``airflow_settings.yaml`` has them."""
    for entry in read_settings(settings_file())["connections"]:
        if entry.get("conn_id") == "rollcall_crm":
            body = connection_body(entry)
            return int(body["host"].rsplit(":", 1)[1].split("/")[0]), str(body["password"])
    raise DemoError(f"{settings_file()} has no connection rollcall_crm")


class Player:
    """Triggers the DAGs of each day and waits for them."""

    def __init__(self, airflow: AirflowClient, crm: Crm) -> None:
        self.airflow = airflow
        self.crm = crm
        self.ledger = Ledger()

    def play(self, data: Path) -> None:
        """All three days."""
        for day in (FIRST, SECOND, CUT):
            facts = write_day(data, day)
            started = time.monotonic()
            console.rule(f"[bold]Day {day}[/bold]")
            if day == CUT:
                self._cut_day(facts)
            else:
                self._day(facts)
            console.print(f"day {day} took {time.monotonic() - started:.0f} s")

    def _day(self, facts: DayFacts) -> None:
        day = facts.day
        mode = "initial" if day == FIRST else "complete"
        first = ("HR", "CRM") if day == FIRST else ("HR",)
        runs = {connector: self._synchronize(connector, day, mode) for connector in first}
        self._expect_success(runs)
        runs |= {"Badge": self._synchronize("Badge", day, mode)}
        self._expect_success({"Badge": runs["Badge"]})
        self._wait_for_provisioning()
        runs |= {"CRM": self._synchronize("CRM", day, mode, "-after")}
        self._expect_success({"CRM": runs["CRM"]})
        self._wait_for_provisioning()
        print_day(console, self.ledger, facts, runs, count(self.crm))

    def _cut_day(self, facts: DayFacts) -> None:
        before: CrmFigures = count(self.crm)
        run_id = self._synchronize("HR", facts.day, "complete")
        dag_id = "synchronize_HR"
        self.airflow.wait_for_task(dag_id, run_id, "approve", {"awaiting_input", "deferred"}, RUN_TIMEOUT)
        question = self.airflow.question(dag_id, run_id, "approve")
        console.print(f"[yellow]blocked[/yellow]: {question['subject']}")
        self.airflow.answer(dag_id, run_id, "approve", REJECT, "the file ends in the middle of the alphabet")
        self._expect_success({"HR": run_id})
        self._wait_for_provisioning()
        self.ledger.same("CRM untouched by the cut file", count(self.crm), before)
        print_day(console, self.ledger, facts, {"HR": run_id}, count(self.crm))

    def _synchronize(self, connector: str, day: Day, mode: str, suffix: str = "") -> str:
        run_id = f"day-{day}-{connector}{suffix}"
        console.print(f"triggering synchronize_{connector} ({mode}) as {run_id}")
        return self.airflow.trigger(f"synchronize_{connector}", run_id, {"mode": mode})

    def _expect_success(self, runs: dict[str, str]) -> None:
        for connector, run_id in runs.items():
            dag_id = f"synchronize_{connector}"
            with console.status(f"{dag_id} {run_id}"):
                state = self.airflow.wait_for_run(dag_id, run_id, RUN_TIMEOUT)
            if state != "success":
                raise DemoError(f"{dag_id} {run_id} ended as {state}: {self.airflow.task_states(dag_id, run_id)}")

    def _wait_for_provisioning(self) -> None:
        """Wait until no asset event waits for provisioning and no run of it is open."""

        def is_quiet() -> bool:
            if not all(self._is_idle(dag_id) for dag_id in PROVISIONING):
                return False
            time.sleep(QUIET_SECONDS)
            return all(self._is_idle(dag_id) for dag_id in PROVISIONING)

        with console.status("provisioning"):
            self.airflow.wait_for("provisioning to be idle", is_quiet, RUN_TIMEOUT)
        for dag_id in PROVISIONING:
            failed = [run["dag_run_id"] for run in self.airflow.runs(dag_id) if run["state"] == "failed"]
            if failed:
                raise DemoError(f"{dag_id} failed: {', '.join(failed)}")

    def _is_idle(self, dag_id: str) -> bool:
        queued: dict[str, Any] = self.airflow.queued_asset_events(dag_id)
        return not queued["total_entries"] and all(
            run["state"] in {"success", "failed"} for run in self.airflow.runs(dag_id)
        )


def play() -> bool:
    """Play all days; whether everything came out as the generator counted.

    Raises:
        DemoError: the demo could not be played to its end.
    """
    started = time.monotonic()
    clean_slate()
    data = project_root() / "include" / "demo" / "data"
    write_day(data, FIRST)
    port, token = _crm_address()
    with ExitStack() as stack:
        with console.status("starting the CRM (a SCIM 2.0 server) and Airflow"):
            crm = stack.enter_context(crm_server(port, token))
            airflow: LocalAirflow
            airflow, client = start_airflow(stack, Path(os.environ["AIRFLOW_HOME"]), free_port(PREFERRED_PORT))
            for dag_id in ("synchronize_HR", "synchronize_Badge", "synchronize_CRM", *PROVISIONING):
                client.wait_for_dag(dag_id)
        console.print(
            f"Airflow runs at {airflow.url}, the CRM at {crm.url} (started in {time.monotonic() - started:.0f} s)"
        )
        player = Player(client, crm)
        player.play(data)
        print_places(console, player.ledger, storage_url(), repository_url())
    console.print(f"the demo took {time.monotonic() - started:.0f} s")
    return player.ledger.all_agree
