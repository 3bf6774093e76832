"""People of HR with their contracts, and a directory of them that stands in the repository alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from include.orchestration import provision, synchronize
from include.orchestration.connections import exporting_connections
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run, open_run
from include.policy.states import ProvisioningState
from include.repository.repository import Repository
from include.repository.system import PROVISIONING_ENTITY_TYPES

HR = """
identifier: HR
connections:
  - {identifier: People, package: csv, connection_id: hr_files, settings: {path: people.csv}}
  - {identifier: Contracts, package: csv, connection_id: hr_files, settings: {path: contracts.csv}}
entity_types:
  - identifier: HR_Person
    connection_table: People
    properties:
      - {identifier: number, primary_key: true}
      - {identifier: name}
      - {identifier: login}
  - identifier: HR_Contract
    connection_table: Contracts
    properties:
      - {identifier: id, primary_key: true}
      - {identifier: title}
      - {identifier: team}
      - {identifier: starts, type: datetime, format: "%Y-%m-%d"}
      - {identifier: ends, type: datetime, format: "%Y-%m-%d"}
associations:
  - identifier: HR_PersonContract
    connection_table: Contracts
    end1: {entity_type: HR_Contract, navigation: person, column: id}
    end2: {entity_type: HR_Person, navigation: contracts, collection: true, column: number}
"""
DIRECTORY = """
identifier: Directory
connections:
  - {identifier: Directory, package: identity_repository}
entity_types:
  - identifier: Directory_User
    connection_table: Directory_User
    properties:
      - {identifier: number, primary_key: true}
      - {identifier: login, unique_key: true, max_length: 8}
      - {identifier: name}
      - {identifier: title}
      - {identifier: starts, type: datetime}
  - identifier: Directory_Team
    connection_table: Directory_Team
    properties:
      - {identifier: code, primary_key: true}
associations:
  - identifier: Directory_UserTeam
    connection_table: Directory_UserTeam
    end1: {entity_type: Directory_User, navigation: team, column: number}
    end2: {entity_type: Directory_Team, navigation: users, collection: true, column: code}
resource_types:
  - identifier: Directory_Team_Contract
    source_entity_type: HR_Contract
    target_entity_type: Directory_Team
    connection: Directory
    block_provisioning: false
    type_rule: {condition: "title = 'Head'"}
    correlation_rules: [{source_expression: team, target_expression: code}]
    scalar_rules: [{property: code, expression: team, is_mapped: false}]
  - identifier: Directory_User_Person
    source_entity_type: HR_Person
    target_entity_type: Directory_User
    connection: Directory
    block_provisioning: false
    records: {navigation: contracts, start_property: starts, end_property: ends}
    thresholds:
      {maximum_insert: 10, maximum_insert_percent: 0, maximum_delete: 10, maximum_delete_percent: 0,
       maximum_update: 10, maximum_update_percent: 0}
    correlation_rules: [{source_expression: number, target_expression: number}]
    scalar_rules:
      - {property: number, expression: number, is_mapped: false}
      - {property: login, expression: login}
      - {property: name, expression: name}
      - {property: title, expression: record.title}
      - {property: starts, expression: record_start}
    navigation_rules:
      - {navigation: team, target_property: code, target_value: T0, condition: record.team = 'T0'}
      - {navigation: team, target_property: code, target_value: T1, condition: record.team = 'T1'}
"""
HEADS = ("H0,P0,Head,T0,2020-01-01,", "H1,P1,Head,T1,2020-01-01,")
LONG_AGO, FAR_AHEAD = "2021-01-01", "2099-01-01"


@dataclass
class Directory:
    """The files of HR, and the steps that bring them into the directory."""

    files: Path
    count: int = 0

    @property
    def repository(self) -> Repository:
        """The repository that the steps write."""
        return open_repository(load_project())

    def hr(self, *people: str, contracts: tuple[str, ...] = HEADS) -> None:
        """Write both files and load them, whatever the thresholds say."""
        self.count += 1
        everybody = ("P0,Ada Zero,ada", "P1,Ben One,ben", *people)
        (self.files / "people.csv").write_text("\n".join(["number,name,login", *everybody]) + "\n")
        (self.files / "contracts.csv").write_text("\n".join(["id,number,title,team,starts,ends", *contracts]) + "\n")
        run = open_run("HR", f"hr-{self.count}", "synchronize", "initial")
        for connection in exporting_connections(find_connector(load_project(), "HR")):
            synchronize.export(run, connection)
        synchronize.prepare(run)
        synchronize.validate(run)
        synchronize.compare(run)
        synchronize.guard(run)
        assert synchronize.load(run)["state"] == "loaded"

    def decide(self) -> Run:
        """A provisioning run up to its orders."""
        self.count += 1
        run = provision.open_run("Directory", f"directory-{self.count}")
        provision.evaluate(run)
        assert not provision.generate_orders(run)["blocked"]
        return run

    def provision(self) -> tuple[dict[str, dict[str, int]], Run]:
        """A whole provisioning run: the states of its orders by resource type, and the run."""
        run = self.decide()
        for batch in provision.transmit(run):
            provision.fulfil(run, batch)
            provision.read_back(run, batch)
        report = provision.report(run)
        return report["states"], run

    def users(self) -> dict[str, dict[str, Any]]:
        """The users that are there now, by number."""
        rows = self.repository.as_of("Directory_User", datetime.now(UTC), limit=None)
        return {row["number"]: row for row in rows}

    def teams(self) -> dict[str, str]:
        """The team of every user that has one."""
        links = self.repository.link_keys_as_of("Directory_UserTeam", datetime.now(UTC), limit=None)
        return {row["key1"]: row["key2"] for row in links}

    def orders(self, run: Run) -> dict[str, tuple[str, str | None]]:
        """State and message of the orders of a run, by the key or else the assignment that they are for."""
        return {
            order["target_key"] or order["assignment"]: (
                ProvisioningState(order["provisioning_state"]).name,
                order["message"],
            )
            for order in self.repository.orders("Directory", run.run_id)
        }

    def content(self) -> str:
        """Users, their teams, assignments and orders as one text, but for the instants at which they were made."""
        rows: list[Any] = [self.users(), self.teams()]
        for entity_type in PROVISIONING_ENTITY_TYPES:
            found = self.repository.as_of(entity_type, datetime.now(UTC), limit=None)
            rows.append([{name: row[name] for name in row if not name.endswith("_at")} for row in found])
        return json.dumps(rows, default=str, sort_keys=True)
