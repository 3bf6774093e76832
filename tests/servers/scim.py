"""A SCIM 2.0 server (RFC 7643, RFC 7644) that keeps its resources in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers.process import data_folder, free_port, serving

TOKEN = "scim-bearer-token-of-the-tests"


@dataclass(frozen=True, slots=True)
class ScimServer:
    """A running server. Every tenant is a service of its own, made by its first request."""

    port: int
    host: str = "127.0.0.1"
    token: str = TOKEN

    @property
    def url(self) -> str:
        """Base URL of the service that the tests of a session share."""
        return self.tenant("shared")

    def tenant(self, name: str) -> str:
        """Base URL of a service that holds nothing before its first use."""
        return f"http://{self.host}:{self.port}/{name}/v2"

    @property
    def headers(self) -> dict[str, str]:
        """What a client sends to be let in."""
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def scim_server(*options: str, predictable: bool = False) -> Iterator[ScimServer]:
    """Run a SCIM server, with further command-line options; its resources go away with it.

    A ``predictable`` one gives ids that follow from names (``predictable_scim``).
    """
    server = ScimServer(free_port())
    command = [
        sys.executable,
        str(
            Path(__file__).with_name("predictable_scim.py")
            if predictable
            else Path(sys.executable).with_name("scim2-server")
        ),
        "--hostname=127.0.0.1",
        f"--port={server.port}",
        f"--bearer-token={TOKEN}",
        "--dynamic-tenants",
        *options,
    ]

    def ready() -> None:
        httpx.get(f"{server.url}/ServiceProviderConfig", headers=server.headers).raise_for_status()

    with data_folder("scim", None) as folder, serving(command, folder=folder, ready=ready):
        yield server
