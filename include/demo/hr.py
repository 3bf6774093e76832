"""The files of the HR system: one line a person, dirty on purpose, and one line an organisation."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from enum import Enum
from itertools import chain

from include.demo.people import Person
from include.demo.story import CUT, FIRST, Cast, Day, story
from include.demo.words import ORGANISATIONS, RENAMED_ORGANISATION
from include.storage.folder import Folder

PEOPLE_FILE = "people.csv"
PEOPLE_ENCODING = "utf-8"
PEOPLE_SEPARATOR = ";"
ORGANISATIONS_FILE = "organisations.csv"
ORGANISATIONS_ENCODING = "windows-1252"
ORGANISATIONS_SEPARATOR = ","
PEOPLE_COLUMNS = tuple(item.name for item in fields(Person))
ORGANISATION_COLUMNS = ("code", "name")
KEPT_OF_A_CUT_FILE = 0.4
UNREADABLE_DATE = "2021-02-30"
EMPTY_KEYS = 3


class Fault(Enum):
    """What is wrong with a line."""

    EMPTY_KEY = "empty key"
    CONFLICTING = "one key, different lines"
    REPEATED = "the same line again"
    BAD_DATE = "a day that no calendar has"


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the people file, and what is wrong with it."""

    person: Person
    fault: Fault | None = None


def people_lines(day: Day) -> list[Line]:
    """The records of the people file, by organisation and employee number, as that HR system exports."""
    told = story()
    people = sorted(told.people(day).values(), key=lambda person: (person.org_code, person.employee_id))
    lines = list(chain.from_iterable(_lines(person, told.cast, day) for person in people))
    # A line without a key now and then, spread over the file.
    step = len(lines) // (EMPTY_KEYS + 1)
    for place in range(EMPTY_KEYS * step, 0, -step):
        nobody = replace(lines[place].person, employee_id="", mail=f"nobody.{place}@meridian.example")
        lines.insert(place, Line(nobody, Fault.EMPTY_KEY))
    return lines[: int(len(lines) * KEPT_OF_A_CUT_FILE)] if day == CUT else lines


def _lines(person: Person, cast: Cast, day: Day) -> list[Line]:
    """The lines of one person: one, unless their part is another."""
    key = person.employee_id
    if key in (cast.bad_date if day == FIRST else cast.spoiled):
        return [Line(replace(person, start_date=UNREADABLE_DATE), Fault.BAD_DATE)]
    if key in cast.conflicting:
        other = replace(person, title="Consultant", last_name=person.last_name.upper() + " (2)")
        return [Line(person, Fault.CONFLICTING), Line(other, Fault.CONFLICTING)]
    if key in cast.repeated:
        return [Line(person), Line(person, Fault.REPEATED)]
    return [Line(person)]


def organisation_rows(day: Day) -> dict[str, str]:
    """Names by code."""
    names = {item.code: item.name for item in ORGANISATIONS}
    return names if day == FIRST else names | dict([RENAMED_ORGANISATION])


def write_hr(folder: Folder, day: Day) -> None:
    """Write both files of a day."""
    people = (astuple(line.person) for line in people_lines(day))
    text = _csv(PEOPLE_COLUMNS, people, PEOPLE_SEPARATOR)
    with folder.write(PEOPLE_FILE) as stream:
        stream.write(text.encode(PEOPLE_ENCODING))
    text = _csv(ORGANISATION_COLUMNS, organisation_rows(day).items(), ORGANISATIONS_SEPARATOR)
    with folder.write(ORGANISATIONS_FILE) as stream:
        stream.write(text.encode(ORGANISATIONS_ENCODING))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str | None]], separator: str) -> str:
    """CSV with quotes only where they are needed; a missing value is nothing at all."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator)
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()
