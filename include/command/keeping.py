"""``rollcall maintain``, ``hold``, ``release`` and ``show holds``."""

from __future__ import annotations

import getpass
from datetime import UTC, date, datetime, time, timedelta

from rich.filesize import decimal

from include.command.console import console, fail
from include.command.tables import print_table
from include.orchestration.maintenance import remove_snapshots, thin_history
from include.orchestration.project import find_connector, load_project, open_repository
from include.repository.holds import Hold


def run_maintenance(*, dry_run: bool) -> None:
    """Carry out retention, then purge and thinning, and print what was done."""
    by, done = getpass.getuser(), "would go" if dry_run else "removed"
    removals = remove_snapshots(by=by, dry_run=dry_run)
    print_table(
        f"files of runs: {done}",
        ("connector", "run", "files", "size", "why"),
        [(item.connector, item.subject, item.files, decimal(item.bytes), item.reason) for item in removals],
    )
    trims = thin_history(by=by, dry_run=dry_run)
    rows = [
        (trim.how, ", ".join(trim.connectors), table, count)
        for trim in trims
        for table, count in ((trim.removed or {}).items() if trim.removed else [("", None)])
        if count != 0
    ]
    print_table(f"history: {done}", ("what", "connectors", "table", "versions"), rows)
    for hold in open_repository(load_project()).holds(active=True):
        console.print(f"on legal hold, left alone: {_scope(hold)} ({hold.reason})", highlight=False, soft_wrap=True)


def place_hold(connector: str, run_id: str | None, reason: str, until: str | None) -> None:
    """Place a hold in the name of the user of this process."""
    configuration = load_project()
    repository = open_repository(configuration)
    if not repository.snapshot_runs(connector):
        find_connector(configuration, connector)
    hold = repository.place_hold(connector, run_id, reason=reason, until=_end(until), by=getpass.getuser())
    console.print(f"hold {hold.hold_id}: nothing of {_scope(hold)} is removed{_until(hold)}", highlight=False)


def release_hold(hold_id: int, reason: str) -> None:
    """Release a hold in the name of the user of this process."""
    hold = open_repository(load_project()).release_hold(hold_id, reason=reason, by=getpass.getuser())
    console.print(f"hold {hold_id} on {_scope(hold)}: released", highlight=False)


def print_holds(connector: str | None) -> None:
    """Every hold, the active ones first."""
    at = datetime.now(UTC)
    holds = open_repository(load_project()).holds(connector)
    rows = [
        (
            hold.hold_id,
            hold.connector,
            hold.run_id or "all",
            _state(hold, at),
            hold.placed_at,
            hold.placed_by,
            hold.reason,
            hold.until,
        )
        for hold in sorted(holds, key=lambda hold: (not hold.is_active(at), hold.hold_id))
    ]
    columns = ("hold", "connector", "run", "state", "placed (UTC)", "by", "reason", "until (UTC)")
    print_table("legal holds", columns, rows)


def _state(hold: Hold, at: datetime) -> str:
    if hold.released_at is not None:
        return f"released {hold.released_at:%Y-%m-%d} by {hold.released_by}: {hold.release_reason}"
    return "active" if hold.is_active(at) else "over"


def _scope(hold: Hold) -> str:
    return f"snapshot {hold.run_id} of {hold.connector}" if hold.run_id else hold.connector


def _until(hold: Hold) -> str:
    return "" if hold.until is None else f" until {hold.until:%Y-%m-%d %H:%M} UTC"


def _end(until: str | None) -> datetime | None:
    """The instant at which a hold ends; a day counts to its end."""
    if until is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(until) + timedelta(days=1), time(), UTC)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(until)
    except ValueError:
        fail(f"'{until}' is neither a day such as 2027-01-31 nor an ISO 8601 instant")
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
