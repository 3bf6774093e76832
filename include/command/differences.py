"""``rollcall diff``: counters, the first changed rows, and all of them as CSV."""

from __future__ import annotations

from pathlib import Path

from include.command.console import console
from include.command.tables import print_table
from include.orchestration.difference import SnapshotDifference, difference


def print_difference(
    connector: str, start: str, end: str | None, identifier: str | None, *, limit: int, csv: Path | None
) -> None:
    """Compare two snapshots and print what lies between them."""
    with console.status("comparing ..."), difference(connector, start, end, identifier) as found:
        written = found.write_csv(csv) if csv else 0
        shown = found.first(limit)
    _print_counts(found)
    if shown:
        rows = [(item.table, item.command, item.key, item.name, item.difference) for item in shown]
        print_table("changes", ("table", "command", "key", "name", "old → new"), rows)
    total = sum(item.inserted + item.updated + item.deleted for item in found.counts.values())
    if total > len(shown):
        console.print(f"{len(shown)} of {total} changed rows are shown; --csv FILE writes all of them")
    if csv:
        console.print(f"{csv}: {written} values", highlight=False, soft_wrap=True)


def _print_counts(found: SnapshotDifference) -> None:
    for label, side in (("from", found.before), ("to", found.after)):
        console.print(
            f"{label} {side.run_id}, published {side.published_at:%Y-%m-%d %H:%M:%S} UTC, read from {side.source}",
            highlight=False,
            soft_wrap=True,
        )
    associations = {item.identifier for item in found.items if not hasattr(item, "properties")}
    print_table(
        f"difference of {found.connector}",
        ("table", "rows before", "inserted", "updated", "deleted"),
        [
            (table, item.stored, item.inserted, None if table in associations else item.updated, item.deleted)
            for table, item in found.counts.items()
        ],
    )
