"""The people of the demo organisation: who they are, and who manages whom."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from include.demo.words import (
    DIRECTOR_TITLE,
    DOMAIN,
    HEAD_TITLE,
    HEADQUARTERS,
    LEAD_TITLE,
    ORGANISATIONS,
    SCRIPTS,
    Organisation,
    Word,
)

PEOPLE = 1000
TEAM = 10
"""People for each team lead."""
HIGHEST_NUMBER = 100_000
"""Employee numbers of the first day lie below, those of later joiners from here on."""
FIRST_START = date(2009, 1, 1)
DAYS_OF_HIRING = 5900


@dataclass(frozen=True, slots=True)
class Person:
    """One person as HR knows them. ``None`` is a value that HR does not have."""

    employee_id: str
    last_name: str
    first_name: str
    mail: str
    title: str | None
    org_code: str
    manager_id: str | None
    start_date: str
    end_date: str | None = None
    status: str = "active"


@dataclass(slots=True)
class Registry:
    """Hands out names with mail addresses that nobody has yet."""

    random: Random
    taken: set[str] = field(default_factory=set)

    def name(self) -> tuple[Word, Word]:
        """A given and a family name of one script."""
        script = self.random.choices(SCRIPTS, [item.weight for item in SCRIPTS])[0]
        return self.random.choice(script.given), self.random.choice(script.family)

    def mail(self, given: Word, family: Word) -> str:
        """The mail address of a name: numbered from the second person of that name on."""
        for number in itertools.count(1):
            address = f"{given.latin}.{family.latin}{number if number > 1 else ''}@{DOMAIN}"
            if address not in self.taken:
                self.taken.add(address)
                return address
        raise AssertionError

    def person(self, employee_id: str, title: str, org_code: str, manager_id: str | None, start: date) -> Person:
        """A new person."""
        given, family = self.name()
        return Person(
            employee_id=employee_id,
            last_name=family.text,
            first_name=given.text,
            mail=self.mail(given, family),
            title=title,
            org_code=org_code,
            manager_id=manager_id,
            start_date=start.isoformat(),
        )


def hire(registry: Registry) -> list[Person]:
    """Everybody of the first day: a director, a head for each organisation, team leads, and their staff."""
    numbers = registry.random.sample(range(1, HIGHEST_NUMBER), PEOPLE)
    # Leading zeros on purpose: an employee number is a text.
    identifiers = iter([f"{number:06d}" for number in numbers])
    director = registry.person(next(identifiers), DIRECTOR_TITLE, HEADQUARTERS, None, FIRST_START)
    people = [director]
    shares = sum(item.weight for item in ORGANISATIONS)
    for organisation in ORGANISATIONS:
        size = PEOPLE * organisation.weight // shares - (organisation.code == HEADQUARTERS)
        people += _department(registry, organisation, size, director.employee_id, identifiers)
    return people


def _department(
    registry: Registry, organisation: Organisation, size: int, director: str, identifiers: Iterator[str]
) -> list[Person]:
    """One organisation of ``size`` people: its head reports to the director, leads to the head, staff to a lead."""

    def member(title: str, manager: str) -> Person:
        start = FIRST_START + timedelta(days=registry.random.randrange(DAYS_OF_HIRING))
        return registry.person(next(identifiers), title, organisation.code, manager, start)

    head = member(HEAD_TITLE, director)
    leads = [member(LEAD_TITLE, head.employee_id) for _ in range((size - 1) // TEAM)]
    managers = itertools.cycle(lead.employee_id for lead in leads or [head])
    staff = [member(registry.random.choice(organisation.titles), next(managers)) for _ in range(size - 1 - len(leads))]
    return [head, *leads, *staff]
