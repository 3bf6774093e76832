"""What happens to the demo organisation: the parts that people play, and everybody on each of its days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from random import Random
from typing import Final, Literal

from include.demo.people import HIGHEST_NUMBER, Person, Registry, hire
from include.demo.words import GROUPS, ORGANISATIONS, UNKNOWN_ORGANISATIONS, Word

Day = Literal[1, 2, 3]
FIRST: Final = 1
SECOND: Final = 2
CUT: Final = 3
"""The day of the broken transfer."""
SEED = "Rollcall"
LEFT_EARLIER = "2026-08-31"
SECOND_DAY = date(2026, 9, 2)
NEW_FAMILY_NAME = Word("Ólafsdóttir-Ruiz", "olafsdottir-ruiz")


@dataclass(frozen=True, slots=True)
class Cast:
    """Employee numbers by part. Nobody plays two parts, and none of them manages anybody."""

    joiners: tuple[str, ...]
    movers: tuple[str, ...]
    promoted: tuple[str, ...]
    """Those of the movers who get another title too."""
    leavers: tuple[str, ...]
    removed: tuple[str, ...]
    """Not in the file of the second day any more."""
    renamed: tuple[str, ...]
    left_earlier: tuple[str, ...]
    """In the file of every day, as people who have left."""
    bad_date: tuple[str, ...]
    """Start date unreadable on the first day, corrected on the second."""
    spoiled: tuple[str, ...]
    """Start date unreadable from the second day on."""
    conflicting: tuple[str, ...]
    """Two different lines each, every day."""
    repeated: tuple[str, ...]
    """The same line twice, every day."""
    unknown_organisation: tuple[str, ...]
    untitled: tuple[str, ...]
    spaced: tuple[str, ...]
    """Names that begin with spaces."""
    quoted: tuple[str, ...]
    """A name with double quotes and a line feed."""
    outdated: tuple[str, ...]
    """Their CRM account is there before Rollcall, with an old title."""
    ungrouped: tuple[str, ...]
    """Their CRM account is there before Rollcall, outside its group."""
    matching: tuple[str, ...]
    """Their CRM account is there before Rollcall, and right."""


@dataclass(frozen=True, slots=True)
class Story:
    """Everybody by employee number, as they truly are on the first and on the second day."""

    cast: Cast
    first: Mapping[str, Person]
    second: Mapping[str, Person]

    def people(self, day: Day) -> Mapping[str, Person]:
        """Everybody of a day; the third day's file is cut, but its people are those of the second."""
        return self.first if day == FIRST else self.second


@cache
def story() -> Story:
    """The one story, always the same."""
    registry = Registry(Random(SEED))
    hired = hire(registry)
    cast = _casting(registry.random, hired)
    first = {person.employee_id: person for person in hired}
    _dress(first, cast, registry)
    second = dict(first)
    _overnight(second, cast, registry)
    return Story(cast, first, second)


def _casting(random: Random, people: list[Person]) -> Cast:
    """Give every part to different people of the staff."""
    managers = {person.manager_id for person in people}
    free = [person for person in people if person.employee_id not in managers]
    random.shuffle(free)

    def take(number: int, fits: Callable[[Person], bool] = lambda _: True) -> tuple[str, ...]:
        chosen = [person for person in free if fits(person)][:number]
        for person in chosen:
            free.remove(person)
        return tuple(person.employee_id for person in chosen)

    movers = take(15)
    return Cast(
        joiners=tuple(str(HIGHEST_NUMBER + number) for number in range(20)),
        movers=movers,
        promoted=movers[:6],
        leavers=take(10),
        # In no group: this CRM's groups go on naming an account that was deleted, and a group with a
        # reference that does not resolve keeps its stored links.
        removed=take(3, lambda person: person.org_code not in GROUPS),
        renamed=take(1),
        left_earlier=take(4),
        bad_date=take(1),
        spoiled=take(1),
        conflicting=take(2),
        repeated=take(1),
        unknown_organisation=take(4),
        untitled=take(9),
        spaced=take(5),
        quoted=take(1),
        outdated=take(7),
        ungrouped=take(2, lambda person: person.org_code in GROUPS),
        matching=take(27),
    )


def _dress(people: dict[str, Person], cast: Cast, registry: Registry) -> None:
    """Change the people of the first day as their part asks."""
    for number, key in enumerate(cast.unknown_organisation):
        code = UNKNOWN_ORGANISATIONS[number % len(UNKNOWN_ORGANISATIONS)]
        people[key] = replace(people[key], org_code=code)
    for key in cast.left_earlier:
        people[key] = replace(people[key], status="left", end_date=LEFT_EARLIER)
    for key in cast.untitled:
        people[key] = replace(people[key], title=None)
    for number, key in enumerate(cast.spaced, start=1):
        people[key] = replace(people[key], last_name=" " * number + people[key].last_name)
    for key in cast.quoted:
        nickname = registry.name()[0].text
        people[key] = replace(people[key], first_name=f'{people[key].first_name} "{nickname}"\nMaria')


def _overnight(people: dict[str, Person], cast: Cast, registry: Registry) -> None:
    """Turn the people of the first day into those of the second."""
    random = registry.random
    managers = {person.manager_id for person in people.values()}
    heads = {
        item.code: [key for key, person in people.items() if key in managers and person.org_code == item.code]
        for item in ORGANISATIONS
    }
    for key in cast.movers:
        elsewhere = random.choice([code for code in heads if code != people[key].org_code])
        people[key] = replace(people[key], org_code=elsewhere, manager_id=random.choice(heads[elsewhere]))
    for key in cast.promoted:
        people[key] = replace(people[key], title=f"Senior {people[key].title}")
    for key in cast.leavers:
        people[key] = replace(people[key], status="left", end_date=SECOND_DAY.isoformat())
    for key in cast.renamed:
        given = Word(people[key].first_name, people[key].mail.partition(".")[0])
        mail = registry.mail(given, NEW_FAMILY_NAME)
        people[key] = replace(people[key], last_name=NEW_FAMILY_NAME.text, mail=mail)
    for key in cast.joiners:
        organisation = random.choice(ORGANISATIONS)
        manager = random.choice(heads[organisation.code])
        title = random.choice(organisation.titles)
        people[key] = registry.person(key, title, organisation.code, manager, SECOND_DAY)
    for key in cast.removed:
        del people[key]
