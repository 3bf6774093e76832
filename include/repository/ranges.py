"""The ranges of thinning as text: ``minutes:count`` pairs such as ``1440:7 43920:6 525960:2`` (engine.md 2.11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from include.model.configuration import Connector
from include.repository.errors import RepositoryError

MAXIMUM_WINDOWS = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` successive windows of ``minutes`` each, of which each keeps one version."""

    minutes: int
    count: int


def parse_ranges(text: str) -> tuple[Span, ...]:
    """The spans of ``minutes:count`` pairs such as ``1440:7 43920:6 525960:2``.

    Raises:
        RepositoryError: a pair is none, or they reach further back than time does; one line.
    """
    spans = []
    for pair in text.split():
        minutes, separator, count = pair.partition(":")
        if not (separator and _is_number(minutes) and _is_number(count)):
            raise RepositoryError(f"range '{pair}': write minutes:count with whole numbers above 0, such as 1440:7")
        spans.append(Span(int(minutes), int(count)))
    if not spans:
        raise RepositoryError("no range is given: write minutes:count pairs, such as 1440:7 43920:6 525960:2")
    if sum(span.count for span in spans) > MAXIMUM_WINDOWS:
        raise RepositoryError(f"ranges '{text}': more than {MAXIMUM_WINDOWS} windows; use longer ones")
    return tuple(spans)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) > 0


def range_mistakes(connector: Connector) -> Iterator[tuple[str, str]]:
    """Ranges of a connector that cannot be read: (path of the field, message)."""
    ranges = connector.retention.history.thin
    if ranges is not None:
        try:
            parse_ranges(ranges)
        except RepositoryError as error:
            yield "retention.history.thin", error.message
