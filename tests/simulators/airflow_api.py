"""As much of Airflow's REST API as starting DAG runs needs, over HTTP, with faults on demand.

It keeps what Airflow keeps: a run id once per DAG (409), unknown DAGs (404), tokens that end (401).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LOGIN, PASSWORD = "starter", "s3cret-of-the-starter"


class Silence(Exception):
    """Close the line without an answer."""


@dataclass
class AirflowApi:
    """The state of the simulator. ``runs`` is in the order of their start."""

    url: str = ""
    dags: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    on_start: Callable[[dict[str, Any]], None] = lambda _: None
    """Called with each run that is created."""
    before: Callable[[str, str], tuple[int, Any] | None] = lambda *_: None
    """May answer a request in the server's place, or raise ``Silence``."""
    after: Callable[[str, str], None] = lambda *_: None
    """Called once a request was carried out; may raise ``Silence``."""

    def answer(self, method: str, path: str, query: dict[str, list[str]], token: str, body: Any) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if (instead := self.before(method, path)) is not None:
            return instead
        answered = self._answer(method, path, query, token, body)
        self.after(method, path)
        return answered

    def _answer(self, method: str, path: str, query: dict[str, list[str]], token: str, body: Any) -> tuple[int, Any]:
        if path == "/auth/token":
            return self._give_token(body)
        if path == "/api/v2/version":
            return 200, {"version": "3"}
        if token not in self.tokens:
            return 401, {"detail": "Invalid JWT token"}
        steps = [unquote(step) for step in path.removeprefix("/api/v2/dags").split("/")[1:]]
        return self._runs(method, steps, query, body) if "dagRuns" in steps else self._dags(steps)

    def _give_token(self, body: Any) -> tuple[int, Any]:
        if body != {"username": LOGIN, "password": PASSWORD}:
            return 401, {"detail": "Invalid credentials"}
        self.tokens.append(f"token-{len(self.tokens)}-of-{LOGIN}")
        return 201, {"access_token": self.tokens[-1]}

    def _dags(self, steps: list[str]) -> tuple[int, Any]:
        if not steps:
            return 200, {"dags": []}
        if steps[0] not in self.dags:
            return 404, {"detail": f"The Dag with ID: `{steps[0]}` was not found"}
        return 200, {"dag_id": steps[0], "is_paused": False, "has_import_errors": False} | self.dags[steps[0]]

    def _runs(self, method: str, steps: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        dag_id = steps[0]
        if dag_id == "~":
            prefix = query["run_id_prefix_pattern"][0]
            return 200, {"dag_runs": [run for run in self.runs if run["dag_run_id"].startswith(prefix)]}
        if dag_id not in self.dags:
            return 404, {"detail": f"Dag with dag_id: '{dag_id}' not found"}
        run_id = steps[2] if method == "GET" else body["dag_run_id"]
        found = next((run for run in self.runs if (run["dag_id"], run["dag_run_id"]) == (dag_id, run_id)), None)
        if method == "GET":
            return (200, found) if found else (404, {"detail": "not found"})
        if found:
            return 409, {"detail": {"reason": "Unique constraint violation"}}
        self.runs.append({"dag_id": dag_id, **body})
        self.on_start(self.runs[-1])
        return 200, self.runs[-1]


@contextmanager
def airflow_api() -> Iterator[AirflowApi]:
    """A running simulator on a free port."""
    api = AirflowApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            try:
                status, content = api.answer(self.command, parts.path, parse_qs(parts.query), token, body)
            except Silence:
                self.close_connection = True
                return
            payload = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
