"""An HTTP proxy in front of a real server that fails on demand, so that payloads stay the server's own."""

from __future__ import annotations

import http.client
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

TOKEN_PATH = "/token"


@dataclass(slots=True)
class Exchange:
    """One request on its way to the server; a fault may change it, or set ``answer`` instead."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.path).query))

    def requery(self, **changes: str | None) -> None:
        """Change parameters of the query; ``None`` takes one away."""
        parts = urlsplit(self.path)
        query = {name: value for name, value in {**self.query, **changes}.items() if value is not None}
        self.path = f"{parts.path}?{urlencode(query)}"


@dataclass(slots=True)
class Reply:
    """One answer on its way to the client. ``cut``: only that share of the body is sent, then the line drops."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: float | None = None

    @classmethod
    def error(cls, status: int, detail: str = "on purpose", **headers: str) -> Reply:
        """An error as SCIM words it; header names are given with underscores."""
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": str(status),
            "detail": detail,
        }
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"Content-Type": "application/scim+json", **named}, json.dumps(body).encode())

    def json(self) -> Any:
        return json.loads(self.body)

    def rewrite(self, **changes: Any) -> None:
        """Change fields of the JSON body."""
        self.body = json.dumps({**self.json(), **changes}).encode()


Before = Callable[[Exchange], Reply | None]
After = Callable[[Exchange, Reply], None]


class Dropped(Exception):
    """Close the line without a word."""


@dataclass(slots=True)
class Fault:
    """What happens to requests of a method whose path matches a pattern.

    ``before`` runs before the server is asked and may answer in its place; ``after`` may change the
    server's answer. Both may raise ``Dropped``. The fault spares the first ``skip`` requests and ends
    after ``times``.
    """

    method: str
    pattern: str
    before: Before | None = None
    after: After | None = None
    skip: int = 0
    times: int | None = None

    def takes(self, exchange: Exchange) -> bool:
        if exchange.method != self.method or not re.search(self.pattern, exchange.path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            if self.times == 0:
                return False
            self.times -= 1
        return True


@dataclass(slots=True)
class FaultyProxy:
    """A running proxy. ``asked`` lists the requests that arrived, in order."""

    upstream: str
    port: int
    faults: list[Fault] = field(default_factory=list)
    asked: list[Exchange] = field(default_factory=list)
    tokens_given: int = 0
    tokens_of: Mapping[str, str] | None = None
    """Headers for the server in place of an issued token; ``None``: clients bring their own."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{urlsplit(self.upstream).path}"

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{TOKEN_PATH}"

    def fail(self, method: str, pattern: str, **options: Any) -> None:
        """Add a fault; the earliest one that matches is applied."""
        self.faults.append(Fault(method, pattern, **options))

    def count(self, method: str, pattern: str) -> int:
        """How many such requests arrived."""
        return sum(1 for one in self.asked if one.method == method and re.search(pattern, one.path))

    def expire_token(self) -> None:
        """From now on only a newer token is accepted."""
        self.tokens_given += 1

    def handle(self, exchange: Exchange) -> Reply:
        """Answer one request: by a fault, by the server, or by both."""
        self.asked.append(exchange)
        if exchange.path == TOKEN_PATH:
            self.tokens_given += 1
            return Reply(200, {"Content-Type": "application/json"}, self._token_answer())
        refused = self._swap_token(exchange)
        if refused is not None:
            return refused
        fault = next((one for one in self.faults if one.takes(exchange)), None)
        if fault and fault.before and (reply := fault.before(exchange)) is not None:
            return reply
        reply = self._forward(exchange)
        if fault and fault.after:
            fault.after(exchange, reply)
        return reply

    def _token_answer(self) -> bytes:
        token = {"access_token": f"issued-{self.tokens_given}", "token_type": "Bearer", "expires_in": 3600}
        return json.dumps(token).encode()

    def _swap_token(self, exchange: Exchange) -> Reply | None:
        if self.tokens_of is None:
            return None
        if exchange.headers.get("Authorization") != f"Bearer issued-{self.tokens_given}":
            return Reply.error(401, "the token has expired")
        exchange.headers.update(self.tokens_of)
        return None

    def _forward(self, exchange: Exchange) -> Reply:
        target = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        try:
            connection.request(exchange.method, exchange.path, exchange.body or None, exchange.headers)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name.lower() in KEPT}
            return Reply(response.status, kept, response.read())
        finally:
            connection.close()


KEPT = {"content-type", "etag", "location", "date", "retry-after"}


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """Run a proxy in front of a base URL."""
    server = _Server(("127.0.0.1", 0), _Handler)
    proxy = server.proxy = FaultyProxy(upstream, server.server_address[1])  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def silent_for(seconds: float) -> After:
    """Let the server act, then keep its answer back for longer than the client waits."""

    def keep_back(_exchange: Exchange, _reply: Reply) -> None:
        time.sleep(seconds)
        raise Dropped

    return keep_back


def drop(*_: Any) -> None:
    """Close the line: as ``before``, the server never heard; as ``after``, it has acted."""
    raise Dropped


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away (it was killed) is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _exchange(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        exchange = Exchange(self.command, self.path, headers, self.rfile.read(length))
        try:
            reply = self.server.proxy.handle(exchange)  # type: ignore[attr-defined]
        except Dropped:
            self.close_connection = True
            return
        self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        shown = reply.body if reply.cut is None else reply.body[: int(len(reply.body) * reply.cut)]
        if reply.status != 204:
            self.wfile.write(shown)
        if reply.cut is not None:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _exchange  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Keep the test output quiet."""
