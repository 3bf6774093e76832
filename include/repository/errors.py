"""What can go wrong at the repository, as the pipeline needs to know it.

::

    RepositoryError
    ├── SchemaMismatch       the configuration asks for what the stored tables cannot become
    ├── StaleBase            the repository has moved on since the run compared: start a new run
    ├── RunOverlap           another run of the same connector and purpose is open
    ├── RunEnded             the run has lost its place to another one, or came to its end
    ├── ConcurrentUse        one thread opened the same SQLite file in two ways at once
    └── RepositoryLocked     another writer holds the repository; the same call may succeed later

Every error is one line, picklable, and holds no password.
"""

from __future__ import annotations

__all__ = [
    "ConcurrentUse",
    "RepositoryError",
    "RepositoryLocked",
    "RunEnded",
    "RunOverlap",
    "SchemaMismatch",
    "StaleBase",
]

MAXIMUM_LENGTH = 600


class RepositoryError(Exception):
    """Base: ``message`` is the one line an operator reads (what, where, what to do)."""

    def __init__(self, message: str) -> None:
        line = " ".join(message.split())
        self.message = line if len(line) <= MAXIMUM_LENGTH else line[:MAXIMUM_LENGTH] + "..."
        super().__init__(self.message)


class SchemaMismatch(RepositoryError):
    """The configuration asks for what the stored tables cannot become without losing data."""


class StaleBase(RepositoryError):
    """The repository has moved on since the run compared."""


class RunOverlap(RepositoryError):
    """Another run of the same connector and purpose is open."""


class RunEnded(RepositoryError):
    """The run has lost its place to another one, or came to its end: nothing of it is written any more."""


class ConcurrentUse(RepositoryError):
    """One thread opened the same SQLite file through both of its libraries at once."""


class RepositoryLocked(RepositoryError):
    """Another writer holds the repository; the same call may succeed later."""
