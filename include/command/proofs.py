"""``rollcall verify``: the proof of every snapshot and of the audit trail, with a progress bar over bytes."""

from __future__ import annotations

from collections.abc import Callable

from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from include.command.console import console, errors, fail
from include.command.tables import print_table
from include.orchestration.verification import ConnectorProof, SnapshotProof, Verification, verify

COLUMNS = ("run", "published (UTC)", "files", "size", "verdict")


def run_verification(connector: str | None, run_id: str | None) -> Verification:
    """Verify with a progress bar on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("the chains", total=None)
        expected = 0

        def watch(run: str, size: int) -> Callable[[int], None]:
            nonlocal expected
            expected += size
            progress.update(task, description=run, total=expected)
            return lambda count: progress.advance(task, count)

        return verify(connector, run_id, watch=watch)


def print_verification(found: Verification) -> None:
    """A table per connector, then one line per fault; ends the command with 1 where there is one."""
    for item in found.connectors:
        _print_connector(item)
    if not found.connectors:
        console.print("no snapshot was published yet")
    for line in found.lines:
        console.print(f"[red]{_escaped(line)}[/red]", highlight=False, soft_wrap=True)
    if found.lines:
        fail(f"{len(found.lines)} faults; what is listed is not what was published or recorded")
    console.print("every snapshot is what was published; the chains and the audit trail hold")


def _print_connector(item: ConnectorProof) -> None:
    rows = sorted((*item.proved, *item.removed), key=lambda proof: proof.published_at)
    print_table(f"snapshots of {item.connector}", COLUMNS, [_row(proof) for proof in rows])
    proved = f"{len(item.proved)} snapshots, {sum(proof.files for proof in item.proved)} files, "
    size = decimal(sum(proof.bytes for proof in item.proved))
    verdict = "BROKEN" if item.lines else "whole"
    removed = f"; {len(item.removed)} removed by retention" if item.removed else ""
    left_out = f"; {item.left_out} not looked at" if item.left_out else ""
    console.print(f"{item.connector}: {proved}{size}: {verdict}{removed}{left_out}", highlight=False)


def _row(proof: SnapshotProof) -> tuple[object, ...]:
    removed = proof.removed
    if removed is not None:
        verdict = f"removed {removed.removed_at:%Y-%m-%d %H:%M} by {removed.actor}: {removed.reason}"
        return (proof.run_id, proof.published_at, None, None, verdict)
    verdict = f"BROKEN ({len(proof.faults)})" if proof.faults else "whole"
    return (proof.run_id, proof.published_at, proof.files, decimal(proof.bytes), verdict)


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")
