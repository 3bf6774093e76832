"""One database: the undisturbed world once, then worlds full of kills until enough have landed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unittest import mock

from include.orchestration.project import load_project, open_repository
from include.orchestration.verification import verify
from include.repository.repository import Repository
from tests.crash import scenario
from tests.crash.export import differences, export_repository
from tests.crash.play import Kill, Killer, World
from tests.servers.postgresql import PostgreSQL

Database = Literal["sqlite", "postgresql"]


class Difference(Exception):
    """A world that was killed again and again does not end like the undisturbed one; the lines say where."""

    def __init__(self, world: str, killer: Killer, lines: list[str]) -> None:
        kills = [str(kill) for kill in killer.kills] + [f"cleared {line}" for line in killer.cleared]
        super().__init__("\n".join([f"{world} ended otherwise than the undisturbed one", *lines, "", *kills]))


@dataclass
class Trial:
    """What was done so far."""

    database: Database
    seed: int
    kills: list[Kill] = field(default_factory=list)
    cleared: int = 0
    worlds: int = 0

    @property
    def landed(self) -> int:
        """How many kills hit a step at work."""
        return sum(kill.landed for kill in self.kills)


def run_trial(
    database: Database,
    folder: Path,
    *,
    kills: int,
    seed: int,
    server: PostgreSQL | None = None,
    days: Collection[str] | None = None,
    on_kill: Callable[[Kill], object] = lambda _kill: None,
    on_step: Callable[[str, str], object] = lambda _day, _step: None,
) -> Trial:
    """Kill until ``kills`` have landed, comparing after every world; ``days`` names those to go through.

    Raises:
        Difference: a world ended otherwise than the undisturbed one, or a step of it with an error.
    """
    trial = Trial(database, seed)
    nobody = Killer(random.Random(seed), {})
    with _world(folder / "undisturbed", server, days) as calm:
        calm.on_step = on_step
        try:
            calm.play()
        except Exception as error:
            raise Difference("the undisturbed world", nobody, [str(error)]) from error
        wrong = _end(calm)
    if wrong:
        raise Difference("the undisturbed world", nobody, wrong)
    while trial.landed < kills:
        trial.worlds += 1
        name = f"{database}-world-{trial.worlds}"
        killer = Killer(random.Random(f"{seed} {name}"), calm.durations, on_kill=on_kill)
        with _world(folder / name, server, days) as world:
            world.on_step = on_step
            try:
                world.play(killer)
            except Exception as error:
                raise Difference(name, killer, [f"{type(error).__name__}: {error}"]) from error
            lines = _end(world) or differences(calm.folder / "export", world.folder / "export")
        if lines:
            raise Difference(name, killer, lines)
        trial.kills += killer.kills
        trial.cleared += len(killer.cleared)
        shutil.rmtree(world.folder)
    return trial


@contextmanager
def _world(folder: Path, server: PostgreSQL | None, days: Collection[str] | None) -> Iterator[World]:
    name = f"crash_{folder.name.replace('-', '_')}"
    url = server.create_database(name) if server else f"sqlite:///{folder}/repository.db"
    chosen = [day for day in scenario.days() if days is None or day.name in days]
    world = World(folder, url, chosen)
    world.make()
    with mock.patch.dict(os.environ, world.environment):
        yield world
    if server:
        server.drop_database(name)


def _end(world: World) -> list[str]:
    """Export the repository to ``export/``; and one line for everything that is wrong in itself."""
    export_repository(world.repository, world.folder / "export")
    repository = open_repository(load_project())
    return list(_runs(world, repository))


def _runs(world: World, repository: Repository) -> Iterator[str]:
    """Runs in a state that they should not end in."""
    for day in world.days:
        record = repository.run(day.name)
        if record is None or record.state != day.expected:
            yield f"run {day.name} is {record.state if record else 'unknown'} and should be {day.expected}"
    yield from verify(scenario.CONNECTOR).lines
    if repository.running(scenario.CONNECTOR) is not None:
        yield f"run {repository.running(scenario.CONNECTOR)} is still open"
