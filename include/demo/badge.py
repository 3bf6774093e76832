"""The badge system: a SQLite database with one table of cards."""

from __future__ import annotations

from contextlib import closing
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from random import Random

from include.demo.story import FIRST, SEED, Day, story

BADGE_FILE = "badge.db"
ISSUED_AT = "2024-01-08T08:{minute:02d}:00"
MINUTES = 60
ZONES = 5
WITHOUT_CARD = 7
"""One person in so many has no card."""
UNKNOWN_HOLDERS = ("900001", "900002", "900003", "900004", "900005")
VISITOR_CARDS = 4
EMPTY_NOTES = 30
LOST = 2
"""Leavers whose card is no longer there on the second day; the other leavers' cards are revoked."""

TABLE = """
CREATE TABLE card (
    card_number TEXT PRIMARY KEY,
    employee_no TEXT,
    issued_at TEXT NOT NULL,
    state TEXT NOT NULL,
    zone INTEGER NOT NULL,
    note TEXT
) WITHOUT ROWID
"""
INSERT = "INSERT INTO card VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Card:
    """One card. A visitor card has no holder; an empty note is not the same as no note."""

    card_number: str
    employee_no: str | None
    issued_at: str
    state: str
    zone: int
    note: str | None


def cards(day: Day) -> dict[str, Card]:
    """The cards of a day, by number."""
    cast = story().cast
    issued = _first_cards()
    if day == FIRST:
        return issued
    number_of = {card.employee_no: number for number, card in issued.items() if card.employee_no}
    leavers = [number_of[key] for key in cast.leavers]
    for number in leavers[:LOST]:
        del issued[number]
    for number in leavers[LOST:]:
        issued[number] = replace(issued[number], state="revoked")
    for key in cast.joiners:
        issued[f"C{key}"] = Card(f"C{key}", key, ISSUED_AT.format(minute=0), "issued", 1, None)
    return issued


def _first_cards() -> dict[str, Card]:
    """Cards of most people, of visitors, and of holders that HR does not know."""
    told, random = story(), Random(f"{SEED} cards")
    cast = told.cast
    # Whoever HR cannot tell clearly, or is about to forget, has no card: each story by itself.
    without = {*cast.removed, *cast.bad_date, *cast.conflicting}
    people = [key for key in sorted(told.first) if key not in without]
    always = {*cast.leavers, *cast.spoiled}
    holders = [key for place, key in enumerate(people) if place % WITHOUT_CARD or key in always]
    every = [*holders, *UNKNOWN_HOLDERS, *[None] * VISITOR_CARDS]
    found = {}
    for number, holder in enumerate(every, start=1):
        note = "" if number <= EMPTY_NOTES else ("visitor" if holder is None else None)
        issued_at = ISSUED_AT.format(minute=random.randrange(MINUTES))
        card = Card(f"B{number:05d}", holder, issued_at, "issued", random.randint(1, ZONES), note)
        found[card.card_number] = card
    return found


def write_badge(folder: Path, day: Day) -> None:
    """Write the database of a day anew; it appears whole or not at all."""
    import sqlite3

    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f"{BADGE_FILE}.part"
    beside.unlink(missing_ok=True)
    with closing(sqlite3.connect(beside)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany(INSERT, [astuple(card) for card in cards(day).values()])
    beside.replace(folder / BADGE_FILE)
