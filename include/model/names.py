"""What an unknown name probably means."""

from __future__ import annotations

import difflib
from collections.abc import Collection

LISTED_NAMES = 12


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that a misspelt one most likely means, whatever the case."""
    folded = {item.casefold(): item for item in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[near[0]] if near else None


def suggestion(name: str, known: Collection[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all when they are few."""
    near = nearest(name, known)
    if near is not None:
        return f"; did you mean '{near}'?"
    return f"; known: {', '.join(known)}" if 0 < len(known) <= LISTED_NAMES else ""
