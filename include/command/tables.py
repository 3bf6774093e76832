"""What the command prints: Rich tables over read models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from connectors.contract import CheckResult
from include.command.console import console, fail
from include.difference.limit_table import COLUMNS, FIGURES, limit_rows
from include.difference.thresholds import LimitLine, Verdict
from include.model.configuration import Configuration
from include.model.environment import storage_url
from include.orchestration.project import find_connector, load_project, open_repository
from include.orchestration.run import Run
from include.storage.folder import run_folder

LAST_YEAR = 9999
STATE_COLOURS = {"loaded": "green", "done": "green", "blocked": "yellow", "rejected": "yellow", "failed": "red"}


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Collection[str] = ()
) -> int:
    """Print one table, the columns named in ``right`` read from the right; how many rows it had."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column in right else "left")
    count = 0
    for row in rows:
        table.add_row(*("" if value is None else _plain(value) for value in row))
        count += 1
    if count:
        console.print(table)
    else:
        console.print(f"{title}: none")
    return count


def _plain(value: Any) -> str:
    text = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
    return text.replace("[", "\\[")


def _state(state: str) -> str:
    colour = STATE_COLOURS.get(state)
    return f"[{colour}]{state}[/{colour}]" if colour else state


def print_configuration(configuration: Configuration) -> None:
    """The connectors that can be used, then every mistake of the others."""
    print_table(
        f"connectors of {configuration.folder}",
        ("connector", "connections", "entity types", "associations", "resource types"),
        [
            (
                item.identifier,
                ", ".join(f"{connection.identifier} ({connection.package})" for connection in item.connections),
                ", ".join(entity.identifier for entity in item.entity_types),
                len(item.associations),
                ", ".join(resource.identifier for resource in item.resource_types),
            )
            for item in configuration.connectors
        ],
    )
    for broken in configuration.broken:
        for mistake in broken.mistakes:
            console.print(f"[red]{mistake}[/red]", highlight=False, soft_wrap=True)


def print_checks(verdicts: Mapping[str, Sequence[CheckResult]]) -> bool:
    """The verdicts of connection checks; whether all passed."""
    rows = [
        (connection, item.title, "passed" if item.passed else "FAILED", item.detail)
        for connection, items in verdicts.items()
        for item in items
    ]
    print_table("connection checks", ("connection", "check", "verdict", "detail"), rows)
    return all(item.passed for items in verdicts.values() for item in items)


def print_verdict(verdict: Mapping[str, Any]) -> None:
    """The limits that were exceeded."""
    _print_limits("limits exceeded", [line for line in Verdict.from_json(verdict).lines if line.exceeded])


def print_limits_of(verdict: Verdict) -> None:
    """Every limit of a verdict, what blocks first."""
    _print_limits("limits", verdict.lines)


def _print_limits(title: str, lines: Sequence[LimitLine]) -> None:
    print_table(title, COLUMNS, [row.cells for row in limit_rows(lines)], right=FIGURES)


def print_synchronization(outcome: tuple[Run, Mapping[str, Any]]) -> None:
    """What a synchronization did, table by table."""
    run, result = outcome
    preparation = run.folder.read_json("clean/preparation.json")
    changes = run.folder.read_json("changes/changes.json")
    rows = []
    for kind in ("entity_types", "associations"):
        for table, counters in changes[kind].items():
            prepared = preparation[kind].get(table, {})
            aside = sum(prepared.get(item, 0) for item in ("null_keys", "duplicates", "rejected"))
            rows.append(
                (
                    table,
                    prepared.get("exported"),
                    prepared.get("filtered", ""),
                    aside,
                    counters["inserted"],
                    counters.get("updated", ""),
                    counters["deleted"],
                    counters["withheld"],
                    counters.get("missing", ""),
                    counters.get("waiting", ""),
                )
            )
    print_table(
        f"{run.connector}: run {run.run_id}, mode {run.mode}",
        (
            "table",
            "exported",
            "filtered",
            "set aside",
            "inserted",
            "updated",
            "deleted",
            "withheld",
            "missing",
            "waiting",
        ),
        rows,
    )
    if result["verdict"]["blocked"]:
        print_verdict(result["verdict"])
    if result["state"] == "blocked":
        fail(
            f"{run.connector}: blocked, nothing was written; look with 'rollcall show changes {run.connector}', "
            "then run again with --approve or --reject"
        )
    if run.reason:
        console.print(f"{run.connector}: asked for {run.requested_mode}, ran {run.mode}: {run.reason}")
    if run.dry_run:
        console.print(
            f"{run.connector}: a dry run, nothing was written; look with "
            f"'rollcall show changes {run.connector} --run {run.run_id}'",
            soft_wrap=True,
        )
        return
    console.print(f"{run.connector}: {_state(result['state'])}")


def print_provisioning(outcome: tuple[Run, Mapping[str, Any]]) -> None:
    """What a provisioning run decided and did."""
    run, result = outcome
    for resource_type, counters in result["evaluation"].get("resource_types", {}).items():
        print_table(f"{run.connector}: {resource_type}", ("", "count"), counters.items())
    if result["state"] == "blocked":
        print_verdict(result["verdict"])
        fail(f"{run.connector}: blocked, no order was sent; run again with --approve or --reject")
    report = {key: value for key, value in result["report"].items() if not isinstance(value, (dict, list))}
    print_table(f"{run.connector}: orders of run {run.run_id}", ("", "count"), report.items())
    console.print(f"{run.connector}: {_state(result['state'])}")


def print_runs(connector: str | None, limit: int) -> None:
    """The last runs."""
    repository = open_repository(load_project())
    rows = [
        (run.run_id, run.connector, run.purpose, run.mode, run.state, run.opened_at, run.closed_at, run.message)
        for run in repository.runs(connector, limit)
    ]
    print_table(
        "runs", ("run", "connector", "purpose", "mode", "state", "opened (UTC)", "closed (UTC)", "message"), rows
    )


def _folder_of(connector: str, run_id: str | None, purpose: str) -> tuple[str, Any]:
    if run_id is None:
        found = [item for item in open_repository(load_project()).runs(connector, 200) if item.purpose == purpose]
        if not found:
            fail(f"{connector}: no {purpose} run yet")
        run_id = found[0].run_id
    return run_id, run_folder(storage_url(), connector, run_id)


def print_limits(connector: str, run_id: str | None) -> None:
    """Every limit that a run was held against; by default, the last run that came so far."""
    from include.orchestration.verdicts import find_verdict

    runs = [run_id] if run_id else [item.run_id for item in open_repository(load_project()).runs(connector, 200)]
    for found in runs:
        verdict = find_verdict(run_folder(storage_url(), connector, found))
        if verdict is not None:
            _print_limits(f"limits of {found}", verdict.lines)
            return
    fail(f"{connector}: {f'run {run_id} did not come' if run_id else 'no run came yet'} to its limits")


def print_changes(connector: str, run_id: str | None, limit: int) -> None:
    """What a run changes in the repository."""
    from include.snapshot.show import list_changes

    run_id, folder = _folder_of(connector, run_id, "synchronize")
    entity_types = find_connector(load_project(), connector).entity_types
    names = {item.identifier: item.display_name_property.identifier for item in entity_types}
    found = list_changes(folder, limit, names)
    rows = [(item.table, item.command, item.key, item.name, item.difference) for item in found]
    print_table(f"changes of {run_id}", ("table", "command", "key", "name", "old → new"), rows)


def print_rejects(connector: str, run_id: str | None, limit: int) -> None:
    """What a run set aside, and the values that it could not compute."""
    from include.snapshot.show import list_rejects

    run_id, folder = _folder_of(connector, run_id, "synchronize")
    entity_types = find_connector(load_project(), connector).entity_types
    keys = {item.identifier: item.primary_key.source_column for item in entity_types}
    rejects = list_rejects(folder, limit, keys)
    rows = [(item.table, item.line, item.key, item.column, item.value, item.reason) for item in rejects]
    print_table(f"set aside by {run_id}", ("table", "line", "key", "column", "value", "reason"), rows)


def print_waiting(connector: str | None, limit: int) -> None:
    """The links that wait, with their age."""
    configuration = load_project()
    if connector is not None:
        find_connector(configuration, connector)
    columns = ("connector", "association", "value1", "value2", "reason", "since")
    rows = [
        (*(row[column] for column in columns), _age(row["since"]), row["run_id"])
        for row in open_repository(configuration).waiting_links(connector, limit)
    ]
    print_table(
        "links that wait", ("connector", "association", "end 1", "end 2", "reason", "since (UTC)", "age", "run"), rows
    )


def print_missing(connector: str | None, limit: int) -> None:
    """The resources that are missing and kept, with how many runs have lacked them and how many keep them."""
    configuration = load_project()
    if connector is not None:
        find_connector(configuration, connector)
    rows = []
    for row in open_repository(configuration).missing_resources(connector, limit):
        entity_type = configuration.entity_type(row["entity_type"])
        keeps = entity_type.on_missing.keep_runs if entity_type else 0
        shown = (row["connector"], row["entity_type"], row["key"], row["since"], _age(row["since"]), row["run_id"])
        rows.append((*shown, f"{row['runs']} of {keeps}"))
    columns = ("connector", "entity type", "key", "since (UTC)", "age", "missing since run", "runs")
    print_table("resources that are missing", columns, rows)


def _age(since: datetime) -> str:
    """How long ago, in days and hours."""
    hours = int((datetime.now(UTC).replace(tzinfo=None) - since).total_seconds() // 3600)
    return f"{hours // 24} d {hours % 24} h"


def print_orders(connector: str, run_id: str | None, limit: int) -> None:
    """The orders of a connector, newest first."""
    from include.policy.states import ProvisioningState

    found = open_repository(load_project()).orders(connector, run_id, limit)
    rows = [
        (
            item["order_id"][:12],
            item["resource_type"],
            item["change_type"],
            ProvisioningState(item["provisioning_state"]).name.capitalize(),
            item["target_key"],
            item["decided_at"],
            item["changes"],
            item["message"],
        )
        for item in found
    ]
    print_table(
        f"orders of {connector}",
        ("order", "resource type", "change", "state", "key", "decided (UTC)", "changes", "message"),
        rows,
    )


def print_history(entity_type: str, key: str) -> None:
    """Every version of one resource."""
    configuration = load_project()
    versions = open_repository(configuration).history(entity_type, key)
    if not versions:
        fail(f"{entity_type}: no resource '{key}', now or before")
    rows = []
    previous: Mapping[str, Any] = {}
    for version in versions:
        values = version["values"]
        shown = {name: value for name, value in values.items() if previous.get(name) != value}
        what = "; ".join(f"{name}: {value}" for name, value in shown.items() if value is not None or name in previous)
        rows.append(
            (
                version["valid_from"],
                _end(version["valid_to"]),
                what,
                version["run_id"],
                version["mode"],
                version["approver"],
            )
        )
        previous = values
    print_table(
        f"{entity_type} {key}{_called(configuration, entity_type, versions[-1]['values'])}",
        ("from (UTC)", "to (UTC)", "values, then what changed", "run", "mode", "approved by"),
        rows,
    )


def _called(configuration: Configuration, entity_type: str, values: Mapping[str, Any]) -> str:
    """The internal display name of a resource, in parentheses; nothing where it has none."""
    declared = configuration.entity_type(entity_type)
    shown = values.get(declared.display_name_property.identifier) if declared else None
    return f" ({_plain(shown)})" if shown not in (None, "") else ""


def _end(instant: datetime) -> datetime | str:
    return "now" if instant.year == LAST_YEAR else instant


def print_as_of(identifier: str, instant: datetime, limit: int) -> None:
    """An entity type, or the links of an association with the keys of their ends, at an instant."""
    configuration = load_project()
    repository = open_repository(configuration)
    if any(item.identifier == identifier for item in configuration.associations()):
        rows = repository.link_keys_as_of(identifier, instant, limit=limit)
    else:
        rows = repository.as_of(identifier, instant, limit=limit)
    columns = list(rows[0]) if rows else ["key"]
    purged = repository.purged_before(identifier)
    if purged is not None and _aware(instant) < purged:
        console.print(f"[yellow]{identifier}: history that ended before {purged.isoformat()} was purged[/yellow]")
    print_table(
        f"{identifier} as of {instant.isoformat()}", columns, [[row[column] for column in columns] for row in rows]
    )


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def print_audit() -> None:
    """The proof of the audit trail."""
    broken = open_repository(load_project()).verify_audit()
    for line in broken:
        console.print(f"[red]{line}[/red]", highlight=False)
    if broken:
        fail(f"the audit trail is broken in {len(broken)} places")
    console.print("the audit trail is whole: every hash and the chain hold")
