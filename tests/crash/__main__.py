"""``python -m tests.crash --area provisioning --kills 200 --database both --seed 7``: see the package's docstring."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.crash.play import Kill, landed, worlds
from tests.crash.trial import Database, Difference, Trial, run_trial
from tests.servers.postgresql import PostgreSQL, postgresql_server
from tests.servers.scim import ScimServer, scim_server

console = Console()


def main() -> int:
    """Run the trials asked for; 1 when a world ended otherwise than the undisturbed one."""
    asked = _arguments()
    databases: list[Database] = ["sqlite", "postgresql"] if asked.database == "both" else [asked.database]
    console.print(f"seed {asked.seed}")
    with ExitStack() as stack:
        folder = stack.enter_context(worlds())
        scim = stack.enter_context(scim_server(predictable=True)) if asked.area == "provisioning" else None
        for database in databases:
            begun = time.monotonic()
            try:
                with _server(database) as server:
                    trial = _with_bar(database, folder / database, asked, server, scim)
            except Difference as difference:
                console.print(f"{database}, seed {asked.seed}: {difference}", markup=False, highlight=False)
                return 1
            _print(trial, time.monotonic() - begun)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills that must land, per database")
    parser.add_argument("--area", choices=["synchronization", "provisioning"], default="synchronization")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="draws the steps and instants")
    return parser.parse_args()


@contextmanager
def _server(database: Database) -> Iterator[PostgreSQL | None]:
    if database == "sqlite":
        yield None
        return
    with postgresql_server() as server:
        yield server


def _with_bar(
    database: Database, folder: Path, asked: argparse.Namespace, server: PostgreSQL | None, scim: ScimServer | None
) -> Trial:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(database, total=asked.kills)

        def on_step(day: str, step: str) -> None:
            progress.update(task, description=f"{database}: {day}/{step}")

        def on_kill(kill: Kill) -> None:
            progress.advance(task, int(kill.landed))

        return run_trial(
            database,
            folder,
            kills=asked.kills,
            seed=asked.seed,
            server=server,
            scim=scim,
            on_kill=on_kill,
            on_step=on_step,
        )


def _print(trial: Trial, seconds: float) -> None:
    table = Table("step", "kills that landed", title=f"{trial.database}: every world ended like the undisturbed one")
    for step, count in sorted(landed(trial.kills).items(), key=lambda item: -item[1]):
        table.add_row(step, str(count))
    console.print(table)
    console.print(
        f"{trial.landed} of {len(trial.kills)} kills landed in {trial.worlds} worlds, {trial.cleared} times an earlier "
        f"step was cleared, {seconds:.0f} s, seed {trial.seed}"
    )


if __name__ == "__main__":
    sys.exit(main())
