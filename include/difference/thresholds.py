"""Limits over counts of changes: the rules of engine.md 2.6, for synchronization and for orders alike.

A limit is data: which change it counts, as an absolute figure or as a percentage of what is stored. Its
value is read from any thresholds model whose fields follow the product's names
(``maximum_deleted_lines``, ``max_link_percentage_inserted_lines``, ``maximum_delete_percent`` ...).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel

Level = Literal["connector", "entity_type", "association", "resource_type", "table"]
Change = Literal["inserted", "updated", "deleted"]
HUNDRED = 100

LIMITS: dict[str, tuple[Change, bool]] = {
    "maximum_deleted_lines": ("deleted", False),
    "maximum_inserted_lines": ("inserted", False),
    "maximum_updated_lines": ("updated", False),
    "max_percentage_deleted_lines": ("deleted", True),
    "max_percentage_inserted_lines": ("inserted", True),
    "max_percentage_updated_lines": ("updated", True),
    "maximum_link_deleted_lines": ("deleted", False),
    "maximum_link_inserted_lines": ("inserted", False),
    "max_link_percentage_deleted_lines": ("deleted", True),
    "max_link_percentage_inserted_lines": ("inserted", True),
    "maximum_insert": ("inserted", False),
    "maximum_update": ("updated", False),
    "maximum_delete": ("deleted", False),
    "maximum_insert_percent": ("inserted", True),
    "maximum_update_percent": ("updated", True),
    "maximum_delete_percent": ("deleted", True),
}
"""Name of a limit: the change that it counts, and whether it is a percentage of the stored rows."""


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit and what was found; ``exceeded`` blocks. ``note`` says in words what no figure says."""

    level: Level
    name: str
    limit: str
    value: float
    found: float
    exceeded: bool
    note: str = ""

    def __str__(self) -> str:
        """The line that an operator reads."""
        if self.level == "table":
            return f"table {self.name}: the export is not complete ({self.note})"
        figures = self.note or f"found {self.found:g}, limit {self.value:g}"
        verdict = "exceeded" if self.exceeded else "respected"
        return f"{self.level} {self.name}: {self.limit} {verdict} ({figures})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether to go on, and every limit that was looked at."""

    blocked: bool
    lines: tuple[LimitLine, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {"blocked": self.blocked, "lines": [asdict(line) for line in self.lines]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Verdict:
        """The verdict that ``to_json`` wrote."""
        return cls(bool(value["blocked"]), tuple(LimitLine(**line) for line in value["lines"]))


@dataclass(frozen=True, slots=True)
class Tally:
    """What is stored and what changes, as limits see it."""

    stored: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.stored + other.stored,
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.deleted + other.deleted,
        )

    @classmethod
    def of(cls, counters: Mapping[str, Any]) -> Tally:
        """The tally of a counters object of ``changes.json``; other counters are no change."""
        return cls(
            stored=int(counters["stored"]),
            inserted=int(counters.get("inserted", 0)),
            updated=int(counters.get("updated", 0)),
            deleted=int(counters.get("deleted", 0)),
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """What limits are checked on. ``links`` picks the link limits of a model that holds both kinds."""

    level: Level
    name: str
    tally: Tally
    thresholds: BaseModel
    links: bool | None = None


def check(subjects: Iterable[Subject], *, lifted: bool = False) -> Verdict:
    """Check every active limit of every subject; one that is exceeded blocks (engine.md 2.6).

    Strictly greater exceeds; a percentage is taken of the stored rows, so that any change of an empty
    table exceeds it; 0 switches a limit off; ``lifted`` reports the figures and blocks nothing.
    """
    lines = tuple(line for subject in subjects for line in _lines(subject, lifted=lifted))
    return Verdict(any(line.exceeded for line in lines), lines)


def _lines(subject: Subject, *, lifted: bool) -> Iterable[LimitLine]:
    values: dict[str, float] = subject.thresholds.model_dump()
    for limit, (change, percentage) in LIMITS.items():
        value = values.get(limit, 0)
        if not value or subject.links not in (None, "_link_" in limit):
            continue
        count = getattr(subject.tally, change)
        # Exact: 5 % of 1200 is 60, and 60 does not exceed it, whatever binary fractions say.
        allowed = Fraction(str(value)) * subject.tally.stored / HUNDRED if percentage else Fraction(str(value))
        found = _percentage(count, subject.tally.stored) if percentage else count
        note = f"{count} {change} of {subject.tally.stored} stored, limit {value:g}{' %' if percentage else ''}"
        yield LimitLine(subject.level, subject.name, limit, value, found, count > allowed and not lifted, note)


def _percentage(count: int, stored: int) -> float:
    """A count as a percentage of what is stored, with two decimals; of nothing, everything is 100 %."""
    if not stored:
        return float(HUNDRED) if count else 0.0
    return round(count * HUNDRED / stored, 2)
