"""One database: the undisturbed world once, then worlds full of kills until enough have landed."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unittest import mock

from include.orchestration.project import load_project, open_repository
from include.orchestration.verification import verify
from include.repository.repository import Repository
from tests.crash import provisioning_scenario, scenario
from tests.crash.export import differences
from tests.crash.play import Kill, Killer, World
from tests.crash.provisioning import ProvisioningWorld, managed_system
from tests.servers.postgresql import PostgreSQL
from tests.servers.scim import ScimServer

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
    scim: ScimServer | None = None,
    on_kill: Callable[[Kill], object] = lambda _kill: None,
    on_step: Callable[[str, str], object] = lambda _day, _step: None,
) -> Trial:
    """Kill until ``kills`` have landed, comparing after every world; ``days`` names those to go through.

    With a SCIM server (one whose ids are predictable) it is provisioning that is killed.

    Raises:
        Difference: a world ended otherwise than the undisturbed one, or a step of it with an error.
    """
    trial = Trial(database, seed)
    nobody = Killer(random.Random(seed), {})
    with _world(folder / "undisturbed", server, days, scim) as calm:
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
        with _world(folder / name, server, days, scim) as world:
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
def _world(
    folder: Path, server: PostgreSQL | None, days: Collection[str] | None, scim: ScimServer | None
) -> Iterator[World]:
    """A world of provisioning, with a tenant of its own, where there is a SCIM server; else one of synchronization."""
    name = f"crash_{folder.name.replace('-', '_')}"
    url = server.create_database(name) if server else f"sqlite:///{folder}/repository.db"
    with ExitStack() as stack:
        if scim is None:
            world = World(folder, url, [day for day in scenario.days() if days is None or day.name in days])
        else:
            managed = stack.enter_context(managed_system(scim, name))
            chosen = [day for day in provisioning_scenario.days() if days is None or day.name in days]
            world = ProvisioningWorld(folder, url, chosen, system=managed)
        world.make()
        stack.enter_context(mock.patch.dict(os.environ, world.environment))
        yield world
    if server:
        server.drop_database(name)


def _end(world: World) -> list[str]:
    """Export what must be the same to ``export/``; and one line for everything that is wrong in itself."""
    world.export(world.folder / "export")
    repository = open_repository(load_project())
    return list(_runs(world, repository))


def _runs(world: World, repository: Repository) -> Iterator[str]:
    """Runs in a state that they should not end in."""
    for run_id, expected in world.expected().items():
        record = repository.run(run_id)
        if record is None or record.state != expected:
            yield f"run {run_id} is {record.state if record else 'unknown'} and should be {expected}"
    for connector in world.connectors:
        yield from verify(connector).lines
        if repository.running(connector) is not None:
            yield f"run {repository.running(connector)} is still open"
