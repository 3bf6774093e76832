"""Keeps the two copies of the SQLite library in one process away from the same file at the same time.

Python's ``sqlite3`` and the ADBC driver each bring their own SQLite. POSIX drops all of a process's
locks on a file when any of its descriptors on that file is closed, and each copy knows only its own
descriptors, so one closing would silently unlock the other (https://www.sqlite.org/howtocorrupt.html,
section 2.2.1).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from include.repository.errors import ConcurrentUse, RepositoryLocked

Library = Literal["sqlite3", "ADBC"]

_changed = threading.Condition()
_open: Counter[tuple[str, Library, int]] = Counter()


@contextmanager
def exclusive_library(path: str, library: Library, timeout: float) -> Iterator[None]:
    """Hold the file for one library; any number of connections of that library may share it.

    Raises:
        ConcurrentUse: this thread holds the file through the other library (waiting could not end).
        RepositoryLocked: another thread held it through the other library for ``timeout`` seconds.
    """
    thread = threading.get_ident()
    deadline = time.monotonic() + timeout
    with _changed:
        while others := [key for key in _open if key[0] == path and key[1] != library]:
            if any(key[2] == thread for key in others):
                raise ConcurrentUse(f"{path}: already open here through {others[0][1]}; close that connection first")
            if not _changed.wait(max(0.0, deadline - time.monotonic())):
                raise RepositoryLocked(f"{path}: another thread of this process held it for {timeout:g} s; try again")
        _open[path, library, thread] += 1
    try:
        yield
    finally:
        with _changed:
            _open[path, library, thread] -= 1
            if not _open[path, library, thread]:
                del _open[path, library, thread]
            _changed.notify_all()
