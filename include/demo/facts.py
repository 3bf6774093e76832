"""What to expect of each day: figures counted from the generator's own lists.

They assume that the days are synchronized in order, HR before badges before CRM, that all orders of a
day are carried out before the next, and that nobody approves what the third day proposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from include.demo.accounts import SERVICE_ACCOUNTS, Account, account, existing_accounts
from include.demo.badge import Card, cards
from include.demo.hr import Fault, Line, organisation_rows, people_lines
from include.demo.people import Person
from include.demo.story import CUT, FIRST, SECOND, Day
from include.demo.words import GROUPS

Item = TypeVar("Item")
Links = set[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of one entity type, as the comparison with the repository counts them."""

    inserted: int
    updated: int
    deleted: int


@dataclass(frozen=True, slots=True)
class LinkChanges:
    """Changes of one association."""

    inserted: int
    deleted: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """Lines and references that cannot be used, by reason.

    ``conflicting_lines`` share ``conflicting_keys`` keys and contradict each other; of
    ``repeated_lines`` the first copy is used. The last three count references that do not resolve, of
    lines that are fine otherwise.
    """

    empty_keys: int
    conflicting_keys: int
    conflicting_lines: int
    repeated_lines: int
    bad_dates: int
    unknown_organisations: int
    unknown_managers: int
    unknown_holders: int


@dataclass(frozen=True, slots=True)
class ExpectedOrders:
    """Orders for the CRM. Memberships are those in created and changed accounts."""

    created: int
    changed: int
    deleted: int
    membership_adds: int
    membership_removes: int


@dataclass(frozen=True, slots=True)
class CrmFigures:
    """What is in the CRM."""

    users: int
    active_users: int
    groups: int
    members: int


@dataclass(frozen=True, slots=True)
class DayFacts:
    """Expected figures of one day. Rows are records of a file without its header."""

    day: Day
    people_rows: int
    organisation_rows: int
    card_rows: int
    set_aside: SetAside
    people: Changes
    organisations: Changes
    cards: Changes
    organisation_links: LinkChanges
    manager_links: LinkChanges
    holder_links: LinkChanges
    stored_people: int
    """In the repository after the day."""
    identities: int
    """In the directory after the day: who is gone from HR stays."""
    identity_orders: Changes
    """Orders for the directory: nobody is deleted, and a link goes with the values of its identity."""
    stored_cards: int
    orders: ExpectedOrders
    crm: CrmFigures
    """In the CRM after the day's orders."""
    blocked: bool
    """Whether the HR synchronization waits for a person."""


def day_facts(day: Day) -> DayFacts:
    """The figures of a day."""
    lines, stored = people_lines(day), _stored(day)
    before = {} if day == FIRST else _stored(_previous(day))
    # What the comparison shows of a cut file, though nobody lets it through.
    shown = stored if day != CUT else _present(before, lines)
    cards_before: dict[str, Card] = {} if day == FIRST else cards(_previous(day))
    holders_before = _holder_links(cards_before, before)
    names_before = {} if day == FIRST else organisation_rows(_previous(day))
    accounts_before = existing_accounts() if day == FIRST else _accounts(before)
    return DayFacts(
        day=day,
        people_rows=len(lines),
        organisation_rows=len(organisation_rows(day)),
        card_rows=len(cards(day)),
        set_aside=_set_aside(lines, cards(day), stored),
        people=_changes(_scalars(before), _scalars(shown)),
        organisations=_changes(names_before, organisation_rows(day)),
        cards=_changes(cards_before, cards(day)),
        organisation_links=_link_changes(_organisation_links(before), _organisation_links(shown)),
        manager_links=_link_changes(_manager_links(before), _manager_links(shown)),
        holder_links=_link_changes(holders_before, _holder_links(cards(day), stored)),
        stored_people=len(stored),
        identities=len(stored if day == FIRST else stored | _stored(FIRST)),
        identity_orders=replace(_changes(_identities(before), _identities(stored)), deleted=0),
        stored_cards=len(cards(day)),
        orders=_orders(accounts_before, _accounts(stored)),
        crm=_crm(_accounts(stored)),
        blocked=day == CUT,
    )


def _previous(day: Day) -> Day:
    return FIRST if day == SECOND else SECOND


def _readable(lines: list[Line]) -> dict[str, Person]:
    """People whose line can be used."""
    return {line.person.employee_id: line.person for line in lines if line.fault in {None, Fault.REPEATED}}


def _present(stored: Mapping[str, Person], lines: list[Line]) -> dict[str, Person]:
    """Those of the stored people whom the file still names, readable or not."""
    named = {line.person.employee_id for line in lines}
    return {key: person for key, person in stored.items() if key in named}


def _stored(day: Day) -> dict[str, Person]:
    """People in the repository after a day: an unreadable line leaves what was stored before it."""
    if day == CUT:
        return _stored(SECOND)
    lines = people_lines(day)
    kept = _present(_stored(FIRST), lines) if day == SECOND else {}
    return kept | _readable(lines)


def _set_aside(lines: list[Line], issued: Mapping[str, Card], stored: Mapping[str, Person]) -> SetAside:
    def of(fault: Fault) -> list[str]:
        return [line.person.employee_id for line in lines if line.fault is fault]

    readable, organisations = _readable(lines), organisation_rows(FIRST)
    return SetAside(
        empty_keys=len(of(Fault.EMPTY_KEY)),
        conflicting_keys=len(set(of(Fault.CONFLICTING))),
        conflicting_lines=len(of(Fault.CONFLICTING)),
        repeated_lines=len(of(Fault.REPEATED)),
        bad_dates=len(of(Fault.BAD_DATE)),
        unknown_organisations=sum(person.org_code not in organisations for person in readable.values()),
        unknown_managers=sum(person.manager_id not in {None, *readable} for person in readable.values()),
        unknown_holders=sum(card.employee_no not in {None, *stored} for card in issued.values()),
    )


def _scalars(people: Mapping[str, Person]) -> dict[str, tuple[str | None, ...]]:
    """The properties of HR_Person; organisation and manager are links."""
    return {
        key: (
            person.last_name,
            person.first_name,
            person.mail,
            person.title,
            person.start_date,
            person.end_date,
            person.status,
        )
        for key, person in people.items()
    }


def _identities(people: Mapping[str, Person]) -> dict[str, tuple[object, ...]]:
    """What the directory holds of the people: HR's properties, and the link to an organisation that HR has."""
    links = dict(_organisation_links(people))
    return {key: (*values, links.get(key)) for key, values in _scalars(people).items()}


def _organisation_links(people: Mapping[str, Person]) -> Links:
    known = organisation_rows(FIRST)
    return {(key, person.org_code) for key, person in people.items() if person.org_code in known}


def _manager_links(people: Mapping[str, Person]) -> Links:
    """A person who goes takes the links to them along."""
    return {(key, person.manager_id) for key, person in people.items() if person.manager_id in people}


def _holder_links(issued: Mapping[str, Card], people: Mapping[str, Person]) -> Links:
    return {(number, card.employee_no) for number, card in issued.items() if card.employee_no in people}


def _changes(before: Mapping[str, Item], after: Mapping[str, Item]) -> Changes:
    return Changes(
        inserted=len(after.keys() - before.keys()),
        updated=sum(before[key] != after[key] for key in before.keys() & after.keys()),
        deleted=len(before.keys() - after.keys()),
    )


def _link_changes(before: Links, after: Links) -> LinkChanges:
    return LinkChanges(inserted=len(after - before), deleted=len(before - after))


def _accounts(people: Mapping[str, Person]) -> dict[str, Account]:
    return {key: account(person) for key, person in people.items()}


def _memberships(accounts: Mapping[str, Account]) -> Links:
    return {(key, item.group) for key, item in accounts.items() if item.group is not None}


def _orders(before: Mapping[str, Account], after: Mapping[str, Account]) -> ExpectedOrders:
    changes = _changes(before, after)
    return ExpectedOrders(
        created=changes.inserted,
        changed=changes.updated,
        deleted=changes.deleted,
        membership_adds=len(_memberships(after) - _memberships(before)),
        membership_removes=len(_memberships(before) - _memberships(after)),
    )


def _crm(accounts: Mapping[str, Account]) -> CrmFigures:
    everyone = [*accounts.values(), *SERVICE_ACCOUNTS]
    return CrmFigures(
        users=len(everyone),
        active_users=sum(item.active for item in everyone),
        groups=len(GROUPS),
        members=len(_memberships(accounts)),
    )
