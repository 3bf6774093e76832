"""The table of limits: every limit of a verdict, as rows that each reader renders the same way.

The approval of a blocked run, the log, the run's page and the command show the same rows in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from include.difference.thresholds import LimitLine, figure

COLUMNS = ("state", "limit", "of", "value", "found", "note")
FIGURES = frozenset({"value", "found"})
"""The columns that are read from the right."""
URGENCY = ("exceeded", "lifted", "noted", "respected")


@dataclass(frozen=True, slots=True)
class LimitRow:
    """One limit as text, in the order of ``COLUMNS``."""

    state: str
    limit: str
    of: str
    value: str
    found: str
    note: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts in the order of ``COLUMNS``."""
        return astuple(self)


def limit_rows(lines: Iterable[LimitLine]) -> list[LimitRow]:
    """The rows of the table, what blocks first; else in the order in which the limits were looked at."""
    return [_row(line) for line in sorted(lines, key=lambda line: URGENCY.index(line.state))]


def text_table(lines: Iterable[LimitLine]) -> list[str]:
    """The table as aligned lines of text for a log, one per limit after the header."""
    table = [COLUMNS, *(row.cells for row in limit_rows(lines))]
    widths = [max(len(row[position]) for row in table) for position in range(len(COLUMNS))]
    return [_aligned(row, widths).rstrip() for row in table]


def markdown_table(lines: Iterable[LimitLine]) -> str:
    """The table as Markdown; what blocks stands in bold."""
    rules = ("---:" if column in FIGURES else "---" for column in COLUMNS)
    rows = [
        [f"**{cell}**" if cell == "exceeded" else _escaped(cell) for cell in row.cells] for row in limit_rows(lines)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (COLUMNS, rules, *rows))


def _row(line: LimitLine) -> LimitRow:
    unit = f" {line.unit}" if line.unit else ""
    value = f"{figure(line.value)}{unit}" if line.value else ""
    note = " ".join(line.note.split())
    return LimitRow(line.state, line.limit, f"{line.level} {line.name}", value, f"{figure(line.found)}{unit}", note)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.rjust(width) if column in FIGURES else cell.ljust(width)
        for column, cell, width in zip(COLUMNS, cells, widths, strict=True)
    )


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: a source names its own columns. Inside a word, _ means nothing."""
    return re.sub(r"([\\`*{}\[\]<>|#~]|(?<!\w)_|_(?!\w))", r"\\\1", text)
