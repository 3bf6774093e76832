"""``rollcall up``: a local Airflow over the configuration in use, and how to log in."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from include.command.console import console
from include.local.airflow import LocalAirflow
from include.local.client import AirflowClient
from include.local.settings import apply_settings, settings_file


def start_airflow(stack: ExitStack, home: Path, port: int) -> tuple[LocalAirflow, AirflowClient]:
    """Start Airflow for the life of the stack, give it ``airflow_settings.yaml``; it and a client of it."""
    airflow = stack.enter_context(LocalAirflow(home, port))
    client = AirflowClient(airflow.url, *airflow.credentials())
    if settings_file().exists():
        apply_settings(client, settings_file())
    return airflow, client


def up(port: int) -> None:
    """Start Airflow in the foreground until Ctrl-C."""
    home = Path(os.environ["AIRFLOW_HOME"])
    with ExitStack() as stack:
        with console.status("starting Airflow ..."):
            airflow, _ = start_airflow(stack, home, port)
        user, password = airflow.credentials()
        console.print(
            f"Airflow: [bold]{airflow.url}[/bold]  user [bold]{user}[/bold]  password [bold]{password}[/bold]"
        )
        console.print(f"Logs of its processes: {home}. Ctrl-C stops it.")
        try:
            airflow.wait()
        except KeyboardInterrupt:
            console.print("stopping ...")
