"""Area ``fulfilment``: orders carried out on a SCIM server, against a bare client that writes the same."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import process
from benchmarks.report import Report
from include.difference.thresholds import Verdict
from include.model.loader import load_configuration
from include.provisioning.mapping import order_resource_type
from include.provisioning.plan import TRANSMISSION_FILE, Batch, Generation, write_generation
from include.storage.folder import Folder, run_folder
from tests.servers.scim import ScimServer, scim_server

ORDERS = 1000
ORDERS_VARIABLE = "BENCH_ORDERS"
BATCH_SIZE = 200
TRIES = 3
LIMIT = 1.3
KINDS = ("Added", "Modified", "Deleted")
CONNECTOR = "Bench"
CONFIGURATION = """
identifier: Bench
connections:
  - {identifier: Bench, package: scim, connection_id: bench}
entity_types:
  - identifier: Bench_Person
    connection_table: Bench_People
    properties:
      - {identifier: id, primary_key: true}
  - identifier: Bench_User
    connection_table: Bench_Users
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: user_name, column: userName, unique_key: true}
      - {identifier: external_id, column: externalId}
      - {identifier: display_name, column: displayName}
      - {identifier: title}
      - {identifier: active, type: bool}
resource_types:
  - identifier: Bench_Account
    source_entity_type: Bench_Person
    target_entity_type: Bench_User
    connection: Bench
    scalar_rules:
      - {property: user_name, expression: id}
"""


@dataclass(frozen=True)
class Place:
    """A folder with a configuration, a storage, and a tenant of the SCIM server."""

    folder: Path
    url: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        """For the processes that are measured."""
        bench = {"conn_type": "http", "host": self.url, "password": self.token}
        return {
            "ROLLCALL_CONFIG": str(self.folder / "configuration"),
            "ROLLCALL_STORAGE": f"file://{self.folder}/storage",
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW_CONN_BENCH": json.dumps(bench),
        }


def measure(report: Report) -> None:
    """Creations, changes and deletions of one attribute each; ``BENCH_ORDERS=100`` sends fewer."""
    orders = int(os.environ.get(ORDERS_VARIABLE) or ORDERS)
    taken: dict[str, dict[str, list[float]]] = {kind: {"ours": [], "bare": []} for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder, scim_server(predictable=True) as server:
        for attempt in range(TRIES):
            for who in ("ours", "bare"):
                place = _place(Path(folder) / f"{who}-{attempt}", server)
                for kind in KINDS:
                    taken[kind][who].append(_seconds(who, place, kind, orders))
    for kind, seconds in taken.items():
        ours, bare = (statistics.median(seconds[who]) for who in ("ours", "bare"))
        report.figure(f"{kind}: orders per second", orders / ours, "1/s")
        name = f"{kind}: {orders:,} orders against a bare client, medians of {TRIES}"
        report.ratio_at_most(name, ours, bare, LIMIT)


def _place(folder: Path, server: ScimServer) -> Place:
    (folder / "configuration").mkdir(parents=True)
    (folder / "configuration" / "bench.yaml").write_text(CONFIGURATION)
    return Place(folder, server.tenant(folder.name), server.token)


def _seconds(who: str, place: Place, kind: str, orders: int) -> float:
    """What it took to send the orders of one kind, in a process of its own."""
    if who == "ours":
        _write_run(place, kind, orders)
        return process.run("benchmarks.ours_fulfilment", CONNECTOR, kind, environment=place.environment).seconds
    file = place.folder / f"{kind}.json"
    file.write_text(json.dumps([_request(kind, number) for number in range(orders)]))
    arguments = (place.url, place.token, str(file))
    return process.run("benchmarks.bare_scim", *arguments, environment={}).seconds


def _key(number: int) -> str:
    return f"User-person{number}-1"


def _changes(kind: str, number: int) -> dict[str, Any]:
    if kind == "Added":
        return {
            "user_name": f"person{number}",
            "external_id": f"E{number}",
            "display_name": f"Person {number}",
            "title": "Clerk",
            "active": True,
        }
    return {"title": "Doctor"} if kind == "Modified" else {}


def _request(kind: str, number: int) -> dict[str, Any]:
    """What an order comes down to: method, path and body."""
    changes = _changes(kind, number)
    if kind == "Added":
        names = {"user_name": "userName", "external_id": "externalId", "display_name": "displayName"}
        body = {names.get(name, name): value for name, value in changes.items()}
        schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"]
        return {"method": "POST", "path": "/Users", "body": {"schemas": schemas, **body}}
    if kind == "Modified":
        operations = [{"op": "replace", "path": name, "value": value} for name, value in changes.items()]
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}
        return {"method": "PATCH", "path": f"/Users/{_key(number)}", "body": body}
    return {"method": "DELETE", "path": f"/Users/{_key(number)}", "body": None}


def _write_run(place: Place, kind: str, orders: int) -> None:
    """A run whose orders were generated and transmitted: the fulfilment finds what it would find."""
    configuration = load_configuration(place.folder / "configuration")
    [resource_type] = configuration.connectors[0].resource_types
    described = order_resource_type(configuration, resource_type)
    run = run_folder(f"file://{place.folder}/storage", CONNECTOR, kind)
    folder = run.child("orders")
    folder.make()
    batches = tuple(_write_batches(folder, kind, orders, described))
    verdict = Verdict.from_json({"blocked": False, "lines": []})
    generation = Generation(kind, CONNECTOR, datetime.now(UTC), batches, {}, verdict)
    write_generation(folder, generation)
    folder.write_json(TRANSMISSION_FILE, {"plan": generation.plan, "decision": None})


def _write_batches(folder: Folder, kind: str, orders: int, described: dict[str, Any]) -> Iterator[Batch]:
    for number, first in enumerate(range(0, orders, BATCH_SIZE), start=1):
        wanted = range(first, min(first + BATCH_SIZE, orders))
        text = json.dumps({"ProvisioningOrdersList": [_order(kind, one, described) for one in wanted]})
        name = f"{number:04d}-Bench_Account"
        folder.write_text(f"{name}.json", text)
        yield Batch(name, "Bench_Account", len(wanted), hashlib.sha256(text.encode()).hexdigest())


def _order(kind: str, number: int, described: dict[str, Any]) -> dict[str, Any]:
    resource = {} if kind == "Added" else {"Resource": {"id": _key(number), "title": "Clerk"}}
    changes = {} if kind == "Deleted" else {"Changes": _changes(kind, number)}
    return {
        "OrderId": f"{kind}-{number}",
        "AssignedResourceTypeId": str(number),
        "ChangeType": kind,
        "Owner": {"Id": str(number), "InternalDisplayName": f"Person {number}"},
        "ResourceType": described,
        **resource,
        **changes,
    }
