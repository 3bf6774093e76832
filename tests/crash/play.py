"""Go through the days in one world, each step a process of its own, killed where the draw says so."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from include.orchestration.decisions import APPLY_ALL, REJECT, Decision
from tests.crash import scenario
from tests.crash.export import export_repository
from tests.crash.scenario import Day

STEP_SECONDS = 120.0
KILL_CHANCE = 0.7
AGAIN_CHANCE = 0.4
CLEAR_CHANCE = 0.25
STEPS = "tests.crash.steps"
ROOT = Path(__file__).resolve().parents[2]
# A decision is an input of the run: it was taken once, at one instant, however often the load is tried.
DECIDED_AT = "2026-01-02T03:04:05+00:00"


class StepBroke(Exception):
    """A step ended with an error, or not at all, although nobody killed it."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL: in which step, how long after its beginning (seconds), and whether the process was still at it."""

    day: str
    step: str
    after: float
    landed: bool

    def __str__(self) -> str:
        return f"{self.day}/{self.step} after {self.after * 1000:.0f} ms ({'landed' if self.landed else 'had ended'})"


@dataclass
class Killer:
    """Draws when to kill, from one seed."""

    draw: random.Random
    durations: Mapping[tuple[str, str], float]
    kills: list[Kill] = field(default_factory=list)
    cleared: list[str] = field(default_factory=list)
    on_kill: Callable[[Kill], object] = lambda _kill: None

    def delay(self, day: str, step: str, attempt: int) -> float | None:
        """Seconds after which this attempt is killed; None lets it end."""
        if self.draw.random() > (KILL_CHANCE if attempt == 0 else AGAIN_CHANCE):
            return None
        return self.draw.uniform(0, self.durations[day, step])

    def clears_back(self, done: list[str], first: int = 0) -> int | None:
        """The position of an earlier step, from ``first`` on, that an operator clears with all after it."""
        if len(done) < 2 or first >= len(done) or self.draw.random() > CLEAR_CHANCE:
            return None
        return self.draw.randrange(first, len(done))

    def record(self, kill: Kill) -> None:
        """Keep a kill."""
        self.kills.append(kill)
        self.on_kill(kill)


@dataclass
class World:
    """One installation: its folders, its repository, the days it goes through, and how long each step took."""

    folder: Path
    repository: str
    days: Sequence[Any]
    durations: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    on_step: Callable[[str, str], object] = lambda _day, _step: None

    @property
    def environment(self) -> dict[str, str]:
        """What the steps find in their environment."""
        return {
            "ROLLCALL_CONFIG": f"{self.folder}/configuration",
            "ROLLCALL_STORAGE": f"file://{self.folder}/storage",
            "ROLLCALL_REPOSITORY": self.repository,
            "AIRFLOW_CONN_CREW_FILES": json.dumps({"conn_type": "fs", "extra": {"path": f"{self.folder}/files"}}),
            "TMPDIR": f"{self.folder}/temporary",
        }

    def make(self) -> None:
        """Make the folders and the configuration."""
        for name in ("configuration", "files", "temporary"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "configuration" / "crew.yaml").write_text(scenario.CONFIGURATION)

    def play(self, killer: Killer | None = None) -> None:
        """Go through the days."""
        for day in self.days:
            for name, text in day.files.items():
                (self.folder / "files" / name).write_text(text)
            self._synchronize(day, killer)

    @property
    def connectors(self) -> tuple[str, ...]:
        """Whose runs there are."""
        return (scenario.CONNECTOR,)

    def expected(self) -> dict[str, str]:
        """The state in which each run ends."""
        return {day.name: day.expected for day in self.days}

    def export(self, folder: Path) -> None:
        """Write all that must be the same in the end, whoever was killed."""
        export_repository(self.repository, folder)

    def _synchronize(self, day: Day, killer: Killer | None) -> None:
        opening = {"connector": scenario.CONNECTOR, "run_id": day.name, "mode": day.mode, "answered": False}
        arguments: dict[str, Any] = {"run": None, "decision": None, "shown": None}
        steps = ["open_run", *(f"export {name}" for name in scenario.CONNECTIONS)]
        steps += ["prepare", "validate", "compare", "guard", "load", "close_run"]

        def after(step: str, result: Any) -> bool:
            if step == "open_run":
                arguments["run"] = result
            elif step == "guard":
                decision = decision_of(day.answer) if result["blocked"] else None
                arguments.update(shown=result["sha256"], decision=decision)
                return not result["blocked"] or day.answer is not None
            return True

        def first(step: str) -> int:
            # Who clears what comes before the load of a rejected run asks anew: the audit trail says so, rightly.
            return steps.index("load") if day.answer == REJECT and step in ("load", "close_run") else 0

        def given(step: str) -> dict[str, Any]:
            return opening if step == "open_run" else arguments

        self.walk(day.name, steps, given, after, killer=killer, first=first)

    def walk(
        self,
        day: str,
        steps: list[str],
        arguments: Callable[[str], Mapping[str, Any]],
        after: Callable[[str, Any], bool],
        *,
        killer: Killer | None = None,
        first: Callable[[str], int] = lambda _step: 0,
    ) -> None:
        """Go through the steps; what died runs again, or an earlier one and all after it.

        Args:
            day: the day, for messages and clocks.
            steps: their names; ``after`` may change those to come.
            arguments: what a step is given.
            after: takes a step's result; False ends the way.
            killer: who kills; nobody when None.
            first: the position of the earliest step that may be cleared once a step has died.
        """
        done: list[str] = []
        position, attempt = 0, 0
        while position < len(steps):
            step = steps[position]
            self.on_step(day, step)
            died, result = self._step(day, step, arguments(step), killer, attempt)
            if died:
                attempt += 1
                back = killer.clears_back(done, first(step)) if killer else None
                if back is not None and killer is not None:
                    killer.cleared.append(f"{day}: {steps[back]} and all after it, when {step} had died")
                    position, done = back, done[:back]
                continue
            if not after(step, result):
                return
            position, attempt, done = position + 1, 0, [*done, step]

    def clock(self, day: str, step: str) -> str:  # noqa: ARG002  a step may have a clock of its own
        """The instant at which the clock stands still during a step."""
        number = [item.name for item in self.days].index(day)
        return f"2026-01-{number + 1:02d}T00:00:00+00:00"

    def _step(
        self, day: str, step: str, arguments: Mapping[str, Any], killer: Killer | None, attempt: int
    ) -> tuple[bool, Any]:
        """Run one step in a process; whether it died, and its result."""
        delay = killer.delay(day, step, attempt) if killer else None
        clock = {"CRASH_CLOCK": self.clock(day, step)}
        with _process(self.environment | clock, step, arguments) as (process, connection):
            begun = time.monotonic()
            if killer is None or delay is None:
                result = _answer(process, connection, f"{day}/{step}")
                self.durations[day, step] = max(self.durations[day, step], time.monotonic() - begun)
                return False, result
            process.join(delay)
            process.kill()
            process.join()
            message = _message(connection)
            if message is not None and message[0] == "failed":
                raise StepBroke(f"{day}/{step}: {message[1]}")
            killer.record(Kill(day, step, delay, landed=message is None))
            return message is None, message[1] if message else None


def decision_of(answer: str | None) -> dict[str, Any] | None:
    """What a person says of a blocked run, as a step takes it."""
    if answer is None:
        return None
    return asdict(Decision(answer, "Crash test", DECIDED_AT, "seen" if answer == APPLY_ALL else "not all"))


@contextmanager
def _process(environment: Mapping[str, str], step: str, arguments: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """A step's process, from the moment at which it begins."""
    context = _fork_server()
    connection, other = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(other, environment, step, dict(arguments)), daemon=True)
    process.start()
    other.close()
    try:
        if not connection.poll(STEP_SECONDS):
            raise StepBroke(f"{step}: its process did not begin")
        threads, warm = connection.recv()
        if not warm:
            raise StepBroke(f"{step}: the fork server could not import {STEPS}")
        if threads != 1:
            raise StepBroke(f"{step}: the fork server had {threads} threads; something opened what must not be forked")
        yield process, connection
    finally:
        process.kill()
        process.join()
        connection.close()


def _child(connection: Any, *arguments: Any) -> None:
    """The body of a step's process; imported here, so that the heavy libraries stay out of this one."""
    warm = STEPS in sys.modules
    from tests.crash.steps import child

    connection.send((threading.active_count(), warm))
    child(connection, *arguments)


def _answer(process: Any, connection: Any, where: str) -> Any:
    """The result of a step that nobody kills."""
    if not connection.poll(STEP_SECONDS):
        raise StepBroke(f"{where}: no end after {STEP_SECONDS:g} s")
    message = _message(connection)
    process.join(STEP_SECONDS)
    if message is None or message[0] == "failed":
        raise StepBroke(f"{where}: {message[1] if message else 'the process went away'}")
    return message[1]


def _message(connection: Any) -> tuple[str, Any] | None:
    """What the process said at last; None when it did not come to that."""
    try:
        return connection.recv() if connection.poll() else None
    except (EOFError, OSError):
        return None


def _fork_server() -> multiprocessing.context.ForkServerContext:
    """The fork server, warm: it has imported the steps and everything below them, and has opened nothing."""
    context = multiprocessing.get_context("forkserver")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    if str(ROOT) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        # The server takes over the environment, not our sys.path (Python 3.11).
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    context.set_forkserver_preload([STEPS])
    return context


@contextmanager
def worlds(base: Path | None = None) -> Iterator[Path]:
    """A folder for the worlds, with an Airflow home of its own; it goes away at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rollcall-crash-", dir=base))
    before = os.environ.get("AIRFLOW_HOME")
    os.environ["AIRFLOW_HOME"] = f"{folder}/airflow"
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["AIRFLOW_HOME"]
        else:
            os.environ["AIRFLOW_HOME"] = before
        shutil.rmtree(folder, ignore_errors=True)


def landed(kills: list[Kill]) -> Counter[str]:
    """The kills that hit a step at work, by step."""
    return Counter(kill.step for kill in kills if kill.landed)
