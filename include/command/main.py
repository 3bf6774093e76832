"""The verbs of ``rollcall``."""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from include.command import tables
from include.command.console import DEBUG, console, fail, stop_on_error

application = typer.Typer(
    help="Rollcall: synchronize managed systems into the identity repository, and provision them back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
show = typer.Typer(help="Look at runs and at what they did.", no_args_is_help=True)
application.add_typer(show, name="show")


class RunMode(StrEnum):
    """Modes of a synchronization."""

    complete = "complete"
    incremental = "incremental"
    initial = "initial"


class EvaluationMode(StrEnum):
    """Modes of a provisioning run: those whom changes concern, or everybody."""

    incremental = "incremental"
    complete = "complete"


ConnectorArgument = Annotated[str, typer.Argument(metavar="CONNECTOR", help="identifier of the connector")]
RunOption = Annotated[str | None, typer.Option("--run", help="run id; the last run of the connector by default")]
Approve = Annotated[bool, typer.Option("--approve", help="apply a run that is above its thresholds")]
KeepDeletions = Annotated[bool, typer.Option("--no-deletions", help="with --approve: apply all but deletions")]
Reject = Annotated[bool, typer.Option("--reject", help="reject a run that is above its thresholds")]
Reason = Annotated[str, typer.Option("--reason", help="why, for the record")]


@application.command()
@stop_on_error
def check() -> None:
    """Check every file of the configuration; each mistake is one line."""
    from include.orchestration.project import load_project

    configuration = load_project()
    tables.print_configuration(configuration)
    if configuration.broken:
        raise typer.Exit(1)


@application.command("check-connection")
@stop_on_error
def check_connection(
    connector: ConnectorArgument,
    connection: Annotated[str | None, typer.Argument(help="one connection; all of the connector by default")] = None,
) -> None:
    """Check that the connector's connections work."""
    from include.orchestration.check import check_connections

    if not tables.print_checks(check_connections(connector, connection)):
        raise typer.Exit(1)


@application.command()
@stop_on_error
def synchronize(
    connector: ConnectorArgument,
    *,
    mode: Annotated[RunMode, typer.Option(help="what to read")] = RunMode.complete,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="walk the whole path, write nothing")] = False,
    approve: Approve = False,
    no_deletions: KeepDeletions = False,
    reject: Reject = False,
    reason: Reason = "",
) -> None:
    """Synchronize a connector into the repository, in this process."""
    from include.command.runs import run_synchronization

    answer = _answer(approve, no_deletions, reject)
    if dry_run and answer:
        fail("--dry-run writes nothing, so there is nothing to approve or reject")
    tables.print_synchronization(run_synchronization(connector, mode.value, answer, reason, dry_run=dry_run))


@application.command()
@stop_on_error
def provision(
    connector: ConnectorArgument,
    *,
    mode: Annotated[EvaluationMode, typer.Option(help="whom to evaluate")] = EvaluationMode.incremental,
    approve: Approve = False,
    reject: Reject = False,
    reason: Reason = "",
) -> None:
    """Provision a connector from the repository, in this process."""
    from include.command.runs import run_provisioning

    tables.print_provisioning(run_provisioning(connector, _answer(approve, False, reject), reason, mode.value))


@show.command("runs")
@stop_on_error
def show_runs(
    connector: Annotated[str | None, typer.Argument()] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """The last runs, newest first."""
    tables.print_runs(connector, limit)


@show.command("changes")
@stop_on_error
def show_changes(
    connector: ConnectorArgument, run: RunOption = None, limit: Annotated[int, typer.Option(min=1)] = 50
) -> None:
    """What a run would change, or changed, in the repository."""
    tables.print_changes(connector, run, limit)


@show.command("limits")
@stop_on_error
def show_limits(connector: ConnectorArgument, run: RunOption = None) -> None:
    """Every limit that a run was held against, with its value and what was found; what blocks first."""
    tables.print_limits(connector, run)


@show.command("rejects")
@stop_on_error
def show_rejects(
    connector: ConnectorArgument, run: RunOption = None, limit: Annotated[int, typer.Option(min=1)] = 50
) -> None:
    """The rows that a run set aside, with the reason."""
    tables.print_rejects(connector, run, limit)


@show.command("waiting")
@stop_on_error
def show_waiting(
    connector: Annotated[str | None, typer.Argument()] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """The links that wait for an end that is not there yet, the oldest first."""
    tables.print_waiting(connector, limit)


@show.command("missing")
@stop_on_error
def show_missing(
    connector: Annotated[str | None, typer.Argument()] = None,
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """The resources that extracts lack and that are kept for now, the oldest first."""
    tables.print_missing(connector, limit)


@show.command("holds")
@stop_on_error
def show_holds(connector: Annotated[str | None, typer.Argument()] = None) -> None:
    """Every legal hold that was ever placed."""
    from include.command.keeping import print_holds

    print_holds(connector)


@show.command("orders")
@stop_on_error
def show_orders(
    connector: ConnectorArgument, run: RunOption = None, limit: Annotated[int, typer.Option(min=1)] = 50
) -> None:
    """The provisioning orders of a connector, newest first."""
    tables.print_orders(connector, run, limit)


@application.command()
@stop_on_error
def history(entity_type: Annotated[str, typer.Argument(metavar="ENTITY")], key: str) -> None:
    """Every version of one resource, with the run that wrote it."""
    tables.print_history(entity_type, key)


@application.command("as-of")
@stop_on_error
def as_of(
    time: Annotated[str, typer.Argument(metavar="TIME", help="ISO 8601; UTC where no offset is given")],
    identifier: Annotated[str, typer.Argument(metavar="NAME", help="an entity type or an association")],
    limit: Annotated[int, typer.Option(min=1)] = 50,
) -> None:
    """An entity type, or the links of an association, as they were at an instant."""
    tables.print_as_of(identifier, _instant(time), limit)


@application.command()
@stop_on_error
def explain(
    entity_type: Annotated[str, typer.Argument(metavar="ENTITY")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="primary key")],
    subject: Annotated[
        str | None, typer.Argument(metavar="PROPERTY", help="a property or navigation; all by default")
    ] = None,
    *,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="ISO 8601; UTC where no offset is given; now by default")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Why a resource has, or should have, a value: its origin, rules with their inputs, orders and decisions."""
    from include.command.explanation import print_explanation

    print_explanation(entity_type, key, subject, _instant(at) if at else None, as_json=as_json)


@application.command()
@stop_on_error
def close(run: Annotated[str, typer.Argument(metavar="RUN", help="run id")], reason: Reason = "") -> None:
    """Close a run whose machine died, so that its connector can run again; whatever it wrote stays."""
    from include.orchestration.run import abandon

    abandon(run, reason)
    console.print(f"{run}: closed as failed")


@application.command()
@stop_on_error
def audit() -> None:
    """Prove the audit trail: every record's hash, and the chain."""
    tables.print_audit()


@application.command()
@stop_on_error
def diff(
    connector: ConnectorArgument,
    identifier: Annotated[
        str | None, typer.Argument(metavar="NAME", help="one entity type or association; all by default")
    ] = None,
    *,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="a run id or an instant (ISO 8601)")],
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="the same; the newest snapshot by default")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="changed rows to show")] = 50,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="write every changed value")] = None,
) -> None:
    """What lies between two snapshots of a connector: those published last by two instants."""
    from include.command.differences import print_difference

    print_difference(connector, start, end, identifier, limit=limit, csv=csv)


@application.command()
@stop_on_error
def plan(
    connector: ConnectorArgument,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FOLDER", help="compare this configuration with the one in use")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="write every change as CSV")] = None,
    samples: Annotated[int, typer.Option(min=0, help="changes to show of each rule")] = 3,
) -> None:
    """Which orders today's data would give, and by which rule; nothing is written or sent.

    With --config: which orders that configuration would create, update or remove against the one in use. Exit code 0
    where nothing would change, 3 where something would.
    """
    from include.command.planning import print_plan

    if code := print_plan(connector, config, output=output, samples=samples):
        raise typer.Exit(code)


@application.command()
@stop_on_error
def hold(
    connector: ConnectorArgument,
    run: Annotated[str | None, typer.Option("--run", help="only the snapshot of this run")] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="why, for the record")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="a day (to its end, UTC) or an instant (ISO 8601)")
    ] = None,
) -> None:
    """Place a legal hold: nothing of the connector, or of one snapshot, is removed until it is released."""
    from include.command.keeping import place_hold

    place_hold(connector, run, reason, until)


@application.command()
@stop_on_error
def release(
    hold: Annotated[int, typer.Argument(metavar="HOLD", help="number of the hold (rollcall show holds)")],
    reason: Annotated[str, typer.Option("--reason", help="why, for the record")],
) -> None:
    """Release a legal hold; it stays on record."""
    from include.command.keeping import release_hold

    release_hold(hold, reason)


@application.command()
@stop_on_error
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, do nothing")] = False,
) -> None:
    """Remove files of runs that have had their time, then purge and thin history, as the connectors ask for it."""
    from include.command.keeping import run_maintenance

    run_maintenance(dry_run=dry_run)


@application.command()
@stop_on_error
def verify(
    connector: Annotated[str | None, typer.Argument(metavar="CONNECTOR", help="all connectors by default")] = None,
    run: Annotated[str | None, typer.Option("--run", help="only the snapshot of this run")] = None,
) -> None:
    """Prove every published snapshot, file by file, and the audit trail."""
    from include.command.proofs import print_verification, run_verification

    print_verification(run_verification(connector, run))


@application.command()
@stop_on_error
def schema(output: Annotated[Path | None, typer.Option(help="write to a file")] = None) -> None:
    """The JSON Schema of a connector file, for editors."""
    import json

    from include.model.schema import json_schema

    text = json.dumps(json_schema(), indent=2) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text)


@application.command()
@stop_on_error
def up(port: Annotated[int, typer.Option(help="port of Airflow")] = 8080) -> None:
    """Start a local Airflow with this project's DAGs, until Ctrl-C."""
    from include.command.up import up as start

    start(port)


def _instant(time: str) -> datetime:
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        fail(f"'{time}' is not an ISO 8601 instant such as 2026-11-23T08:00:00+01:00")


def _answer(approve: bool, no_deletions: bool, reject: bool) -> str | None:
    from include.orchestration.decisions import APPLY_ALL, APPLY_WITHOUT_DELETIONS, REJECT

    if approve and reject:
        fail("--approve and --reject exclude each other")
    if no_deletions and not approve:
        fail("--no-deletions goes with --approve")
    if reject:
        return REJECT
    if approve:
        return APPLY_WITHOUT_DELETIONS if no_deletions else APPLY_ALL
    return None


def main() -> None:
    """The entry point: a place for Airflow's files, connections from ``airflow_settings.yaml``, one-line errors."""
    from include.local.settings import connection_environment, settings_file
    from include.model.environment import project_root

    os.environ.setdefault("AIRFLOW_HOME", str(project_root() / ".airflow"))
    if not os.environ.get(DEBUG):
        # Airflow logs to standard output as soon as it is imported, over the tables.
        os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if settings_file().exists():
        os.environ.update(connection_environment(settings_file()))
    application()


__all__ = ["application", "console", "main"]
