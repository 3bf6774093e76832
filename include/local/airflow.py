"""The processes of a local Airflow: API server, scheduler and DAG processor over one SQLite file."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from include.model.environment import project_root

logger = logging.getLogger(__name__)

COMPONENTS = ("api-server", "scheduler", "dag-processor")
START_TIMEOUT = 180.0
STOP_TIMEOUT = 20.0
LOCK_TIMEOUT = 60
"""Seconds that a process waits for the metadata database; after SQLite's own five, a busy machine answers HTTP 500."""
LAST_LINES = 15


class LocalAirflowError(RuntimeError):
    """The local Airflow did not start; the message says which process, and where its log lies."""


def _port_is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind((host, port))
            return True
    return False


def free_port(preferred: int, host: str = "127.0.0.1") -> int:
    """The preferred port where it is free, else one that the system picks."""
    if _port_is_free(host, preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class LocalAirflow:
    """One local Airflow in its own home folder; a context manager that stops what it started.

    ``environment`` is added to every process, tasks included.
    """

    home: Path
    port: int = 8080
    host: str = "127.0.0.1"
    environment: Mapping[str, str] = field(default_factory=dict)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)

    @property
    def url(self) -> str:
        """Where people and programs find it."""
        return f"http://localhost:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        root = project_root()
        given = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout={LOCK_TIMEOUT}",
            "AIRFLOW__CORE__DAGS_FOLDER": str(root / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{self.host}:{self.port}/execution/",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret("jwt.secret"),
            "AIRFLOW__API__SECRET_KEY": self._secret("api.secret"),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": str(root),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        # Airflow and Great Expectations take ten seconds to import in every process without byte code.
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**inherited, **given, **self.environment}

    def _secret(self, name: str) -> str:
        file = self.home / name
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(32))
        return file.read_text()

    def credentials(self) -> tuple[str, str]:
        """User and password that Airflow generated for its administrator."""
        file = self.home / "simple_auth_manager_passwords.json.generated"
        passwords: dict[str, str] = json.loads(file.read_text())
        return "admin", passwords["admin"]

    def start(self) -> None:
        """Migrate the metadata database, start the processes, and wait until all are healthy.

        Raises:
            LocalAirflowError: the port is taken, a process ended, or the time ran out.
        """
        if not _port_is_free(self.host, self.port):
            raise LocalAirflowError(f"port {self.port} is taken; stop what listens there, or choose another port")
        self.home.mkdir(parents=True, exist_ok=True)
        self._run("db", "migrate")
        for component in COMPONENTS:
            arguments = ["--host", self.host, "--port", str(self.port), "--workers", "1"]
            self._start(component, *(arguments if component == "api-server" else ()))
        self._wait_until_healthy()

    def stop(self) -> None:
        """Stop the processes and all their children."""
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def wait(self) -> None:
        """Wait until a process ends; that is an error, for they run until they are stopped."""
        while True:
            self._check_alive()
            time.sleep(1)

    def __enter__(self) -> LocalAirflow:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _log(self, component: str) -> Path:
        return self.home / f"{component}.log"

    def _run(self, *arguments: str) -> None:
        log = self._log("-".join(arguments))
        with log.open("wb") as stream:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *arguments],
                env=self.variables,
                cwd=project_root(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise LocalAirflowError(f"airflow {' '.join(arguments)} failed: {self._tail(log)}")

    def _start(self, component: str, *arguments: str) -> None:
        with self._log(component).open("wb") as stream:
            self._processes[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", component, *arguments],
                env=self.variables,
                cwd=project_root(),
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _tail(self, log: Path) -> str:
        lines = log.read_text(errors="replace").strip().splitlines()
        return f"see {log}: " + " / ".join(lines[-LAST_LINES:])

    def _check_alive(self) -> None:
        for component, process in self._processes.items():
            if process.poll() is not None:
                raise LocalAirflowError(f"airflow {component} ended by itself; {self._tail(self._log(component))}")

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            self._check_alive()
            with suppress(httpx.HTTPError, KeyError):
                health = httpx.get(f"http://{self.host}:{self.port}/api/v2/monitor/health", timeout=5).json()
                if all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")):
                    return
            time.sleep(0.5)
        raise LocalAirflowError(f"Airflow was not healthy after {START_TIMEOUT:.0f} s; logs lie in {self.home}")
