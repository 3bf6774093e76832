"""The days of the demo organisation: its HR files and its badge database, written to a folder."""

from __future__ import annotations

from pathlib import Path

from include.demo.badge import BADGE_FILE, write_badge
from include.demo.facts import DayFacts, day_facts
from include.demo.hr import write_hr
from include.demo.story import Day
from include.storage.folder import Folder

HR_FOLDER = "hr"
BADGE_FOLDER = "badge"


def hr_folder(folder: Path) -> Path:
    """Where the HR files of the organisation lie."""
    return folder / HR_FOLDER


def badge_database(folder: Path) -> Path:
    """Where the badge database of the organisation lies."""
    return folder / BADGE_FOLDER / BADGE_FILE


def write_day(folder: Path, day: Day) -> DayFacts:
    """Write the managed systems of a day, in place of an earlier one; what to expect of them.

    Day 1 is the first roll call. On day 2 people have joined, moved and left. Day 3 is day 2 with the
    people file cut at a line end, as a broken transfer leaves it.
    """
    write_hr(Folder(str(hr_folder(folder).absolute())), day)
    write_badge(badge_database(folder).parent, day)
    return day_facts(day)
