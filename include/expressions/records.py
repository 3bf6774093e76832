"""Several records of one person: which one counts at an instant, and the person's own start and end (engine.md 4.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.expressions.functions import EVALUATED_AT
from include.storage.engine import name

if TYPE_CHECKING:
    from include.expressions.paths import Link

RECORD = "record"
"""The first step of a path that goes on from the person's record: ``record.organization.code``."""
RECORD_START, RECORD_END = "record_start", "record_end"
RECORD_NAMES = (RECORD, RECORD_START, RECORD_END)
NO_START, NO_END = "TIMESTAMP '1900-01-01'", "TIMESTAMP '2079-06-06'"
"""When a record begins and ends that does not say it (engine.md 1.13)."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records that an entity type has over a link, and their properties of start, end and key."""

    link: Link
    start: str
    end: str
    key: str

    def relation(self, relation: Callable[[str], str]) -> str:
        """SQL relation ``from_id``, ``to_id``, ``record_start``, ``record_end``: one row for each that has records.

        ``to_id`` is the record in force at the instant of the run: begun, and not yet ended. Of several in force it
        is the one that began last, then the one of the highest key; of none, the one that begins next, else the one
        that ended last. The other two are the earliest start and the latest end of all records.
        """
        return f"""(
            SELECT from_id, min(begins) AS {RECORD_START}, max(ends) AS {RECORD_END},
                arg_max(to_id, CASE
                    WHEN begins <= now AND now < ends THEN row(2, epoch_us(begins), 0, key)
                    WHEN begins > now THEN row(1, -epoch_us(begins), 0, key)
                    ELSE row(0, epoch_us(ends), epoch_us(begins), key) END) AS to_id
            FROM {self._all(relation)} GROUP BY from_id
        )"""

    def next_change(self, relation: Callable[[str], str]) -> str:
        """SQL query of one value: the next instant at which another record may be the one in force; NULL is never."""
        return f"""
            SELECT min(instant) FROM (SELECT now, unnest([begins, ends]) AS instant FROM {self._all(relation)})
            WHERE instant > now
        """

    def turning(self, relation: Callable[[str], str], before: str, now: str) -> str:
        """SQL query: who has a record that began or ended after the one instant, and not after the other."""
        return f"""
            SELECT from_id FROM (SELECT from_id, unnest([begins, ends]) AS instant FROM {self._all(relation)})
            WHERE instant > {before} AND instant <= {now}
        """

    def _all(self, relation: Callable[[str], str]) -> str:
        """SQL relation: every record of everybody, with its time and the instant of the run."""
        return f"""(
            SELECT pair.{self.link.from_column} AS from_id, record.resource_id AS to_id,
                coalesce(CAST(record.{name(self.start)} AS TIMESTAMP), {NO_START}) AS begins,
                coalesce(CAST(record.{name(self.end)} AS TIMESTAMP), {NO_END}) AS ends,
                record.{name(self.key)} AS key, {EVALUATED_AT}() AS now
            FROM {relation(self.link.association)} AS pair
            JOIN {relation(self.link.entity_type)} AS record ON record.resource_id = pair.{self.link.to_column}
        )"""
