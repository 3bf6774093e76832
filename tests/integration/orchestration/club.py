"""A managed system in files beside Staff: exported like any other, and written by a door over the same files."""

from __future__ import annotations

import csv
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Order, OrderResult
from include.model.environment import storage_url
from include.orchestration import provision
from include.orchestration.decisions import Decision
from include.orchestration.project import load_project
from include.orchestration.run import Run
from include.storage.folder import Folder
from tests.integration.orchestration.conftest import Pipeline, start_pipeline

CLUB = """
identifier: Club
connections:
  - {identifier: Members, package: csv, connection_id: staff_files, settings: {path: Members.csv}}
  - {identifier: Groups, package: csv, connection_id: staff_files, settings: {path: Groups.csv}}
  - {identifier: Memberships, package: csv, connection_id: staff_files, settings: {path: Memberships.csv}}
entity_types:
  - identifier: Club_Member
    connection_table: Members
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: staff_id}
      - {identifier: login}
      - {identifier: title}
  - identifier: Club_Group
    connection_table: Groups
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: name}
associations:
  - identifier: Club_Membership
    connection_table: Memberships
    end1: {entity_type: Club_Group, navigation: members, collection: true, column: group}
    end2: {entity_type: Club_Member, navigation: groups, collection: true, column: member}
resource_types:
  - identifier: Club_Member_Staff
    source_entity_type: Staff_Person
    target_entity_type: Club_Member
    connection: Members
    block_provisioning: false
    type_rule: {condition: "team.code <> 'T9'"}
    correlation_rules:
      - {source_expression: id, target_expression: staff_id, confidence: 100}
    scalar_rules:
      - {property: staff_id, expression: id}
      - {property: login, expression: "split_part(mail, '@', 1)"}
      - {property: title, expression: name}
    navigation_rules:
      - {navigation: groups, target_property: name, target_value: Red, condition: "team.code = 'T0'"}
"""
EMPTY = {
    "Members": "id,staff_id,login,title\n",
    "Groups": "id,name\nG1,Red\nG2,Blue\n",
    "Memberships": "group,member\n",
}


@dataclass
class FileDoor:
    """Writes Members.csv and Memberships.csv; a member's key is its login."""

    files: Path

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        for order in orders:
            members = {row["id"]: row for row in self.read("Members")}
            links = {(row["group"], row["member"]) for row in self.read("Memberships")}
            key = str(order.changes["login"] if order.change_type == "Added" else order.resource["id"])
            if order.change_type == "Deleted":
                members.pop(key, None)
                links = {link for link in links if link[1] != key}
            else:
                row = members.setdefault(key, {"id": key, "staff_id": "", "login": "", "title": ""})
                row |= {name: value or "" for name, value in order.changes.items() if name in row}
                links |= {(item["id"], key) for item in order.changes.get("groups_add", ())}
                links -= {(item["id"], key) for item in order.changes.get("groups_remove", ())}
            self.write("Members", members.values())
            self.write("Memberships", ({"group": group, "member": member} for group, member in sorted(links)))
            yield OrderResult(order.order_id, "executed", key=key)

    def read(self, table: str) -> list[dict[str, str]]:
        with (self.files / f"{table}.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    def write(self, table: str, rows: Iterable[dict[str, str]]) -> None:
        header = EMPTY[table].splitlines()[0].split(",")
        with (self.files / f"{table}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, header)
            writer.writeheader()
            writer.writerows(rows)


@dataclass
class Club:
    """The pipeline of Staff, and the club that its people are to be members of."""

    pipeline: Pipeline
    door: FileDoor

    @property
    def configuration(self) -> Path:
        """The configuration in use."""
        return self.pipeline.files.parent / "configuration"

    def other(self, *changes: tuple[str, str]) -> Path:
        """Another configuration folder: the one in use with texts of club.yaml replaced."""
        folder = self.pipeline.files.parent / "other"
        folder.mkdir(exist_ok=True)
        for file in self.configuration.iterdir():
            text = file.read_text()
            for old, new in changes if file.name == "club.yaml" else ():
                assert old in text, old
                text = text.replace(old, new)
            (folder / file.name).write_text(text)
        return folder

    def provision(self, decision: Decision | None = None) -> tuple[Run, dict[str, Any]]:
        """A whole provisioning run; the run and its report, or its verdict where it is blocked and undecided."""
        self.pipeline.count += 1
        run = provision.open_run("Club", f"run-{self.pipeline.count}")
        provision.evaluate(run)
        verdict = provision.generate_orders(run)
        if verdict["blocked"] and decision is None:
            return run, verdict
        for batch in provision.transmit(run, decision):
            provision.fulfil(run, batch)
            provision.read_back(run, batch)
        return run, provision.report(run)

    def settle(self) -> None:
        """Synchronize the club, so that what was ordered is proved."""
        self.pipeline.synchronize("initial", connector="Club")
        self.provision()


def trace() -> str:
    """Everything that is stored anywhere, as one hash: the rows of every table, and every file with its bytes."""
    import sqlalchemy as sa

    from include.model.environment import repository_url

    digest = hashlib.sha256()
    engine = sa.create_engine(repository_url().replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        for table in sorted(sa.inspect(connection).get_table_names()):
            rows = sorted(repr(tuple(row)) for row in connection.execute(sa.text(f'SELECT * FROM "{table}"')))
            digest.update(f"{table} {rows}".encode())
    engine.dispose()
    storage = Folder(storage_url())
    for file in storage.sizes():
        digest.update(f"{file} {storage.sha256(file)}".encode())
    return digest.hexdigest()


def start_club(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Club:
    """The club when everybody of Staff has become a member, and the next export has proved it."""
    pipeline = start_pipeline(folder, url, monkeypatch)
    pipeline.add_connector("club", CLUB, **EMPTY)
    door = FileDoor(pipeline.files)
    monkeypatch.setattr(provision, "open_connection", lambda *_: door)
    pipeline.repository.migrate(load_project())
    pipeline.synchronize("initial", connector="Club")
    club = Club(pipeline, door)
    club.provision()
    club.settle()
    return club


@contextmanager
def club_on(kind: str, request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Iterator[Club]:
    """A club that several tests look at, with its repository on SQLite or PostgreSQL."""
    folder, name = factory.mktemp("club"), f"club_{uuid.uuid4().hex}"
    server = request.getfixturevalue("postgresql") if kind == "postgresql" else None
    url = server.create_database(name) if server else f"sqlite:///{folder / 'repository.db'}"
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield start_club(folder, url, monkeypatch)
    if server:
        server.drop_database(name)
