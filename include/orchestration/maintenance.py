"""The steps of maintenance: files of runs that have had their time, old history, and the proof of what is there.

One connector's trouble never keeps another one's maintenance: every error is told at the end. Legal holds are
read before each connector; a snapshot is asked about once more in the transaction that puts its removal on record.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from include.model.configuration import Configuration
from include.orchestration.project import load_project, open_repository
from include.orchestration.retention import Removal, remove_expired
from include.orchestration.run import StepFailed
from include.orchestration.verification import Verification, verify
from include.repository.errors import RepositoryError
from include.repository.repository import Repository
from include.repository.runs import PIPELINE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trim:
    """History that went: how it was asked for, of which connectors, and the versions removed by table.

    ``removed`` is None in a dry run.
    """

    how: str
    connectors: tuple[str, ...]
    removed: dict[str, int] | None


def remove_snapshots(*, by: str = PIPELINE, at: datetime | None = None, dry_run: bool = False) -> list[Removal]:
    """Remove the files of runs that have had their time at an instant (now), connector by connector.

    See ``retention.remove_expired``.

    Raises:
        StepFailed: something could not be removed; what could be is.
    """
    configuration = load_project()
    repository, moment = open_repository(configuration), at or datetime.now(UTC)
    removals, faults = list[Removal](), list[str]()
    for connector in configuration.connectors:
        try:
            removals += remove_expired(repository, connector, at=moment, by=by, dry_run=dry_run)
        except (OSError, RepositoryError) as error:
            faults.append(f"{connector.identifier}: {error}")
    for item in removals:
        logger.info("%s: %s: %s files, %s bytes: %s", item.connector, item.subject, item.files, item.bytes, item.reason)
    _fail(faults)
    return removals


def thin_history(*, by: str = PIPELINE, dry_run: bool = False) -> list[Trim]:
    """Purge and thin history as the connectors ask for it.

    A table goes by its own connector's settings, and by those of every connector that needs it to read its own
    past: the longest wins. A connector with any hold, also one on a single snapshot, is left alone.

    Raises:
        StepFailed: some of it could not be done; what could be is.
    """
    configuration = load_project()
    repository = open_repository(configuration)
    trims, faults = list[Trim](), list[str]()
    for work in (*_purges(configuration), *_thinnings(configuration)):
        held = {hold.connector for hold in repository.holds(active=True)}
        wanted = tuple(sorted(set(work.connectors) - held))
        if not wanted:
            continue
        spared = held | {item.identifier for item in configuration.connectors if item.identifier not in wanted}
        try:
            removed = None if dry_run else work.run(repository, by, sorted(spared))
        except RepositoryError as error:
            faults.append(f"{work.how}: {error}")
            continue
        trims.append(Trim(work.how, wanted, removed))
        logger.info("%s of %s: %s", work.how, ", ".join(wanted), removed)
    _fail(faults)
    return trims


def verify_snapshots(sample: int | None = None) -> Verification:
    """Prove what was published (``verification.verify``).

    Raises:
        StepFailed: something is not what was published or recorded; one line each.
    """
    found = verify(sample=sample)
    for item in found.connectors:
        counted = (len(item.proved), len(item.removed), item.left_out)
        logger.info("%s: %s snapshots proved, %s removed, %s left out", item.connector, *counted)
    _fail(found.lines)
    return found


@dataclass(frozen=True, slots=True)
class _Work:
    """One call over the history: of these connectors; ``run`` takes the repository, the actor and who is spared."""

    how: str
    connectors: tuple[str, ...]
    run: Callable[[Repository, str, list[str]], dict[str, int]]


def _purges(configuration: Configuration) -> Iterator[_Work]:
    """One purge per number of days, the longest first: of the connectors that keep so many days or fewer."""
    days = {item.identifier: item.retention.history.purge_after_days for item in configuration.connectors}
    for limit in sorted({count for count in days.values() if count}, reverse=True):
        cut_off = datetime.now(UTC) - timedelta(days=limit)
        yield _Work(
            f"purge what ended more than {limit} days ago",
            tuple(name for name, count in days.items() if 0 < count <= limit),
            partial(_purge, cut_off),
        )


def _thinnings(configuration: Configuration) -> Iterator[_Work]:
    """One thinning per ranges: of the connectors that ask for them."""
    ranges = {item.identifier: item.retention.history.thin for item in configuration.connectors}
    for text in sorted({text for text in ranges.values() if text}):
        yield _Work(
            f"thin to {text}",
            tuple(name for name, wanted in ranges.items() if wanted == text),
            partial(_thin, text),
        )


def _purge(instant: datetime, repository: Repository, by: str, held: list[str]) -> dict[str, int]:
    return repository.purge_before(instant, by=by, held=held)


def _thin(ranges: str, repository: Repository, by: str, held: list[str]) -> dict[str, int]:
    return repository.thin(ranges, by=by, held=held)


def _fail(faults: Iterable[str]) -> None:
    lines = list(faults)
    for line in lines:
        logger.error("%s", line)
    if lines:
        more = f" (and {len(lines) - 1} more, see the log)" if len(lines) > 1 else ""
        raise StepFailed(f"{lines[0]}{more}")
