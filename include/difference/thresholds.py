"""Limits over counts of changes: the rules of engine.md 2.6, for synchronization and for orders alike.

A limit is data: which change it counts, as an absolute figure or as a percentage of what is stored. Its
value is read from any thresholds model whose fields follow the product's names
(``maximum_deleted_lines``, ``max_link_percentage_inserted_lines``, ``maximum_delete_percent`` ...).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal

from pydantic import BaseModel

Level = Literal["connector", "entity_type", "association", "resource_type", "table", "column"]
Change = Literal["inserted", "updated", "deleted"]
State = Literal["exceeded", "lifted", "noted", "respected"]
HUNDRED = 100
COMPLETE_EXPORT = "complete export"
"""The limit that an incomplete or empty export exceeds; nothing lifts it."""
FLOOR = "percentage_floor"
"""The field of a thresholds model that holds the floor of its percentages."""

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
    """One limit and what was found; ``exceeded`` blocks. ``note`` says in words what no figure says.

    ``unit`` is that of both figures (empty, ``%`` or ``points``). ``lifted`` says that it would block in another mode.
    """

    level: Level
    name: str
    limit: str
    value: float
    found: float
    exceeded: bool
    note: str = ""
    unit: str = ""
    lifted: bool = False

    @property
    def state(self) -> State:
        """What became of the limit; a line without a limit is a note."""
        if self.exceeded or self.lifted:
            return "exceeded" if self.exceeded else "lifted"
        return "respected" if self.value else "noted"

    def lift(self) -> LimitLine:
        """The same line in a mode that lifts limits: reported, and blocking nothing."""
        return replace(self, exceeded=False, lifted=self.exceeded or self.lifted)

    def __str__(self) -> str:
        """The line that an operator reads."""
        if self.limit == COMPLETE_EXPORT:
            return f"{self.level} {self.name}: the export is not complete ({self.note})"
        figures = self.note or f"found {figure(self.found)}, limit {figure(self.value)}"
        return f"{self.level} {self.name}: {self.limit} {self.state} ({figures})"


def figure(value: float) -> str:
    """A number as it is read: never in powers of ten, two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


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

    Strictly greater exceeds. A percentage is taken of the stored rows, and blocks only when the count is also
    greater than the floor, so that a few changes of a small table pass (engine.md 7 item 2). 0 switches a limit,
    or the floor, off; ``lifted`` reports the figures and blocks nothing.
    """
    lines = [line for subject in subjects for line in _lines(subject)]
    if lifted:
        lines = [line.lift() for line in lines]
    return Verdict(any(line.exceeded for line in lines), tuple(lines))


def _lines(subject: Subject) -> Iterator[LimitLine]:
    values: dict[str, float] = subject.thresholds.model_dump()
    stored, floor = subject.tally.stored, int(values.get(FLOOR, 0))
    for limit, (change, percentage) in LIMITS.items():
        value = values.get(limit, 0)
        if not value or subject.links not in (None, "_link_" in limit):
            continue
        count: int = getattr(subject.tally, change)
        # Exact: 5 % of 1200 is 60, and 60 does not exceed it, whatever binary fractions say.
        allowed, note = Fraction(str(value)), f"{count} {change} of {stored} stored, limit {figure(value)}"
        if percentage:
            allowed, note = allowed * stored / HUNDRED, f"{note} %"
            if floor > allowed:
                allowed, note = Fraction(floor), f"{note}, floor {floor}"
        found = _percentage(count, stored) if percentage else count
        unit = "%" if percentage else ""
        yield LimitLine(subject.level, subject.name, limit, value, found, count > allowed, note, unit)


def _percentage(count: int, stored: int) -> float:
    """A count as a percentage of what is stored, with two decimals; of nothing, everything is 100 %."""
    if not stored:
        return float(HUNDRED) if count else 0.0
    return round(count * HUNDRED / stored, 2)
