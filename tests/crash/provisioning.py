"""Go through the days of provisioning in one world, against a SCIM server that is asked how often it was written to."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from include.orchestration.decisions import APPLY_ALL
from tests.crash import provisioning_scenario as scenario
from tests.crash.export import export_repository
from tests.crash.play import Killer, StepBroke, World, decision_of
from tests.crash.provisioning_scenario import Day
from tests.servers.scim import ScimServer
from tests.simulators.faulty_proxy import Exchange, FaultyProxy, Reply, faulty_proxy

WRITES = ("POST", "PUT", "PATCH", "DELETE")
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
REST_SECONDS = 10.0
# The clock stands still during a step, and goes on between them: what is read back is read later than it was written.
HOURS = {"synchronize": 1, "fulfil": 12, "read_back": 13, "report": 14, "close_run": 15}


@dataclass
class ManagedSystem:
    """The SCIM server of one world, behind a proxy that counts what was written."""

    proxy: FaultyProxy
    token: str
    writes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    under_way: int = 0

    def count(self) -> None:
        """Count every write that the server carries out (method, path and body), and hold its clock."""

        def before(_exchange: Exchange) -> None:
            self.under_way += 1

        def after(exchange: Exchange, reply: Reply) -> None:
            if reply.status < httpx.codes.MULTIPLE_CHOICES:
                path = urlsplit(exchange.path).path.partition("/v2/")[2]
                self.writes[exchange.method, path, exchange.body.decode()] += 1
            self.under_way -= 1

        def at_one_instant(_exchange: Exchange, reply: Reply) -> None:
            """The position from which an incremental export would go on is the server's clock."""
            reply.headers.update(dict.fromkeys([name for name in reply.headers if name.lower() == "date"], DATE))

        for method in WRITES:
            self.proxy.fail(method, "/", before=before, after=after)
        self.proxy.fail("GET", "/", after=at_one_instant)

    def rest(self) -> None:
        """Wait until the server has done what a process asked for before it was killed."""
        until = time.monotonic() + REST_SECONDS
        while self.under_way:
            if time.monotonic() > until:
                raise StepBroke("the SCIM server has not answered")
            time.sleep(0.01)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the server behind the proxy."""
        answer = httpx.request(
            method, f"{self.proxy.upstream}{path}", json=body, headers={"Authorization": f"Bearer {self.token}"}
        )
        answer.raise_for_status()
        return answer.json()

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """Every user and group, without what tells when it was written."""
        found: dict[str, list[dict[str, Any]]] = {}
        for path in ("/Users", "/Groups"):
            resources = self.call("GET", f"{path}?count=1000")["Resources"]
            for item in resources:
                del item["meta"]
                for member in item.get("members", ()):
                    member.pop("$ref", None)
                for group in item.get("groups", ()):
                    group.pop("$ref", None)
            found[path] = sorted(resources, key=lambda item: str(item["id"]))
        return found


@contextmanager
def managed_system(server: ScimServer, tenant: str) -> Iterator[ManagedSystem]:
    """A tenant of the server that holds the groups of the scenario, and a counting proxy before it."""
    with faulty_proxy(server.tenant(tenant)) as proxy:
        system = ManagedSystem(proxy, server.token)
        for name in scenario.GROUPS:
            system.call("POST", "/Groups", {"schemas": [GROUP], "displayName": name})
        system.count()
        yield system


@dataclass
class ProvisioningWorld(World):
    """One installation with a managed system. Synchronizations are left alone, provisioning is killed."""

    days: Sequence[Day]
    system: ManagedSystem = field(kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        """What the steps find in their environment."""
        rooms = {"conn_type": "http", "host": self.system.proxy.url, "password": self.system.token}
        return super().environment | {"AIRFLOW_CONN_ROOMS": json.dumps(rooms)}

    @property
    def connectors(self) -> tuple[str, ...]:
        """Whose runs there are."""
        return (scenario.SOURCE, scenario.TARGET)

    def expected(self) -> dict[str, str]:
        """The state in which each run ends."""
        return {f"{day.name} provision": "done" for day in self.days}

    def make(self) -> None:
        """Make the folders and the configuration."""
        super().make()
        (self.folder / "configuration" / "crew.yaml").write_text(scenario.SOURCE_CONFIGURATION)
        (self.folder / "configuration" / "rooms.yaml").write_text(scenario.TARGET_CONFIGURATION)

    def play(self, killer: Killer | None = None) -> None:
        """Go through the days."""
        for day in self.days:
            (self.folder / "files" / "people.csv").write_text(day.people)
            for connector in self.connectors:
                opening = {
                    "connector": connector,
                    "run_id": f"{day.name} {connector}",
                    "decision": decision_of(APPLY_ALL),
                }
                self.walk(day.name, ["synchronize"], lambda _, given=opening: given, lambda *_: True)
            self._provision(day, killer)

    def _provision(self, day: Day, killer: Killer | None) -> None:
        opening = {"connector": scenario.TARGET, "run_id": f"{day.name} provision"}
        arguments: dict[str, Any] = {"run": None, "decision": None, "shown": None}
        steps = ["open_provisioning", "evaluate", "generate_orders", "transmit", "report", "close_run"]

        def given(step: str) -> dict[str, Any]:
            self.system.rest()
            return opening if step == "open_provisioning" else arguments

        def after(step: str, result: Any) -> bool:
            if step == "open_provisioning":
                arguments["run"] = result
            elif step == "generate_orders":
                # Generated again once it was handed over, a plan waits for nobody; the answer stays what it was.
                if result["blocked"]:
                    arguments["decision"] = decision_of(day.answer)
                arguments["shown"] = result["plan"]
            elif step == "transmit":
                sent = [f"{kind} {batch}" for batch in result for kind in ("fulfil", "read_back")]
                steps[4:] = [*sent, "report", "close_run"]
            return True

        self.walk(day.name, steps, given, after, killer=killer)

    def clock(self, day: str, step: str) -> str:
        """The instant at which the clock stands still during a step."""
        number = [item.name for item in self.days].index(day)
        return f"2026-01-{number + 1:02d}T{HOURS.get(step.partition(' ')[0], 10):02d}:00:00+00:00"

    def export(self, folder: Path) -> None:
        """Write the repository, what the managed system holds, and what was written to it how often."""
        export_repository(self.repository, folder)
        (folder / "scim.json").write_text(json.dumps(self.system.content(), indent=1, sort_keys=True))
        with (folder / "writes.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(
                [*written, count] for written, count in sorted(self.system.writes.items())
            )
