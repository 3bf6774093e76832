"""What can be wrong with an expression."""

from __future__ import annotations


class ExpressionMistake(ValueError):
    """An expression that cannot be used: one line that says why, and what to write instead."""


def near_miss(word: str, known: list[str]) -> str:
    """`` (did you mean 'x'?)`` for a word that is nearly a known one, else nothing."""
    from difflib import get_close_matches

    by_lower = {item.lower(): item for item in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1)
    return f" (did you mean '{by_lower[close[0]]}'?)" if close else ""


def first_line(error: Exception) -> str:
    """The first line of a DuckDB error without its class: ``Binder Error: No function ...``."""
    line = str(error).strip().splitlines()[0]
    _, separator, message = line.partition(" Error: ")
    return message if separator else line
