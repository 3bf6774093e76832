"""What the demo did, in tables, beside the figures that the generator counted from its own lists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from include.demo.facts import CrmFigures, DayFacts
from include.model.environment import storage_url
from include.orchestration.project import load_project, open_repository
from include.orchestration.run import Run
from include.policy.states import ProvisioningState
from include.storage.folder import Folder, run_folder

ALL_ORDERS = 1_000_000
KINDS = ("entity_types", "associations")


@dataclass
class Ledger:
    """Every figure that was compared, and the orders that were shown already."""

    compared: list[tuple[str, Any, Any]] = field(default_factory=list)
    shown_orders: set[str] = field(default_factory=set)

    def same(self, what: str, found: Any, expected: Any) -> None:
        """Compare one figure with what the generator expects."""
        self.compared.append((what, found, expected))

    @property
    def all_agree(self) -> bool:
        """Whether everything came out as the generator counted."""
        return all(found == expected for _, found, expected in self.compared)


def _print(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)


def _folder(connector: str, run_id: str) -> Folder:
    return run_folder(storage_url(), connector, run_id)


def _table_rows(connector: str, run_id: str) -> list[list[Any]]:
    folder = _folder(connector, run_id)
    prepared, changes = folder.read_json("clean/preparation.json"), folder.read_json("changes/changes.json")
    rows = []
    for kind in KINDS:
        for table, counters in changes[kind].items():
            before = prepared[kind].get(table, {})
            reasons = ("null_keys", "duplicates", "rejected")
            aside = ", ".join(
                f"{before[reason]} {reason.replace('_', ' ')}" for reason in reasons if before.get(reason)
            )
            figures = [counters.get(name, "") for name in ("inserted", "updated", "deleted")]
            rows.append([run_id, table, before.get("exported"), aside, *figures])
    return rows


def _order_rows(ledger: Ledger, connector: str) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """New orders of a connector by change type and state, and memberships in them."""
    counted: Counter[tuple[str, str]] = Counter()
    memberships: Counter[str] = Counter()
    for order in open_repository(load_project()).orders(connector, limit=ALL_ORDERS):
        if order["order_id"] in ledger.shown_orders:
            continue
        ledger.shown_orders.add(order["order_id"])
        counted[order["change_type"], ProvisioningState(order["provisioning_state"]).name] += 1
        for name, value in json.loads(order["changes"] or "{}").items():
            if name in {"groups_add", "groups_remove"}:
                memberships[name] += len(value)
    return counted, memberships


def _check_hr(ledger: Ledger, facts: DayFacts, run_id: str) -> None:
    folder = _folder("HR", run_id)
    prepared, changes = folder.read_json("clean/preparation.json"), folder.read_json("changes/changes.json")
    day, aside = f"day {facts.day}", facts.set_aside
    people = prepared["entity_types"]["HR_Person"]
    ledger.same(f"{day}: people in the file", people["exported"], facts.people_rows)
    ledger.same(f"{day}: empty keys", people["null_keys"], aside.empty_keys)
    ledger.same(f"{day}: bad dates", people["rejected"], aside.bad_dates)
    for table, expected in (("HR_Person", facts.people), ("HR_Organization", facts.organisations)):
        found = {name: changes["entity_types"][table][name] for name in ("inserted", "updated", "deleted")}
        ledger.same(f"{day}: {table}", found, asdict(expected))
    for table, links in (
        ("HR_PersonOrganization", facts.organisation_links),
        ("HR_PersonManager", facts.manager_links),
    ):
        counters = changes["associations"][table]
        ledger.same(f"{day}: {table}", {name: counters[name] for name in ("inserted", "deleted")}, asdict(links))


def _check_identities(ledger: Ledger, facts: DayFacts, orders: Mapping[tuple[str, str], int]) -> None:
    asked = facts.identity_orders
    expected = {("Added", "VERIFIED"): asked.inserted, ("Modified", "VERIFIED"): asked.updated}
    wanted = {what: count for what, count in expected.items() if count}
    ledger.same(f"day {facts.day}: orders for the directory", dict(orders), wanted)
    now = datetime.now(UTC)
    found = len(open_repository(load_project()).as_of("Directory_User", now, limit=None))
    ledger.same(f"day {facts.day}: identities", found, facts.identities)


def _check_orders(
    ledger: Ledger, facts: DayFacts, orders: Mapping[tuple[str, str], int], memberships: Mapping[str, int]
) -> None:
    expected, day = facts.orders, f"day {facts.day}"
    by_type: Counter[str] = Counter()
    for (change_type, _), count in orders.items():
        by_type[change_type] += count
    for change_type, count in (
        ("Added", expected.created),
        ("Modified", expected.changed),
        ("Deleted", expected.deleted),
    ):
        ledger.same(f"{day}: orders {change_type}", by_type[change_type], count)
        ledger.same(f"{day}: verified {change_type}", orders.get((change_type, "VERIFIED"), 0), count)
    ledger.same(f"{day}: memberships added", memberships.get("groups_add", 0), expected.membership_adds)
    ledger.same(f"{day}: memberships removed", memberships.get("groups_remove", 0), expected.membership_removes)


def print_day(console: Console, ledger: Ledger, facts: DayFacts, runs: Mapping[str, str], crm: CrmFigures) -> None:
    """The tables of one day, and its figures into the ledger; ``runs`` is the day's last run of each connector."""
    rows = [row for connector, run_id in runs.items() for row in _table_rows(connector, run_id)]
    columns = ("run", "table", "exported", "set aside", "inserted", "updated", "deleted")
    _print(console, f"day {facts.day}: what the exports held, and what the repository learned", columns, rows)
    orders, memberships = _order_rows(ledger, "CRM")
    inbound, _ = _order_rows(ledger, "Directory")
    _print(
        console,
        f"day {facts.day}: orders for the directory and for the CRM",
        ("of", "change", "state", "orders"),
        [
            (connector, change_type, state.capitalize(), count)
            for connector, counted in (("Directory", inbound), ("CRM", orders))
            for (change_type, state), count in sorted(counted.items())
        ],
    )
    _check_hr(ledger, facts, runs["HR"])
    if facts.blocked:
        _print_blocked(console, ledger, facts, runs["HR"])
        return
    _check_identities(ledger, facts, inbound)
    _check_orders(ledger, facts, orders, memberships)
    ledger.same(f"day {facts.day}: what is in the CRM", crm, facts.crm)


def _print_blocked(console: Console, ledger: Ledger, facts: DayFacts, run_id: str) -> None:
    folder = _folder("HR", run_id)
    verdict, decision = folder.read_json("changes/verdict.json"), folder.read_json("changes/decision.json")
    exceeded = [line for line in verdict["lines"] if line["exceeded"]]
    rows = [(f"{line['level']} {line['name']}", line["limit"], line["value"], line["found"]) for line in exceeded]
    _print(console, f"day {facts.day}: blocked, nothing was written", ("of", "limit", "value", "found"), rows)
    console.print(f"{decision['choice']} by {decision['actor']} at {decision['at']}: {decision['reason']}")
    record = open_repository(load_project()).run(run_id)
    ledger.same("day 3: state of the cut run", record.state if record else None, "rejected")


def print_places(console: Console, ledger: Ledger, storage: str, repository: str) -> None:
    """The comparison with the generator's figures, and where everything lies."""
    different = [(what, found, expected) for what, found, expected in ledger.compared if found != expected]
    if different:
        _print(console, "not as the generator counted", ("figure", "found", "expected"), different)
    agreeing = len(ledger.compared) - len(different)
    colour = "red" if different else "green"
    console.print(f"[{colour}]{agreeing} of {len(ledger.compared)} figures are as the generator counted[/{colour}]")
    runs = [run for run in open_repository(load_project()).runs("HR") if run.state == "loaded"]
    console.print(f"snapshots:  {storage}/<connector>/<run>/")
    if runs:
        newest = Run("HR", runs[0].run_id, "synchronize").folder
        console.print(f"Data Docs:  {newest.child('validation', 'data_docs').file('index.html')}")
    console.print(f"repository: {repository}")
    console.print(
        "look around: rollcall show runs, rollcall show rejects HR, rollcall history HR_Person KEY; or: make up"
    )
