"""The accounts of the CRM: those that are there before Rollcall, and those that the rules ask for.

The rules stand in ``configuration/crm.yaml``; this is the same arithmetic done by hand, so that a
demo or a test has something to compare with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from include.demo.people import Person
from include.demo.story import story
from include.demo.words import GROUPS

OUTDATED_TITLE = "Trainee"
STILL_ENABLED = 2
"""People who left before the first day, and whose account nobody has disabled."""


@dataclass(frozen=True, slots=True)
class Account:
    """One CRM account; an account that belongs to a person has their employee number."""

    user_name: str
    display_name: str
    employee_id: str | None = None
    family_name: str | None = None
    given_name: str | None = None
    title: str | None = None
    mail: str | None = None
    active: bool = True
    group: str | None = None


SERVICE_ACCOUNTS = (
    Account("svc.backup", "Backup (service account)"),
    Account("svc.telephony", "Telephone integration (service account)"),
    Account("import.2019", "Old import, owner unknown"),
)
"""Accounts that belong to nobody; Rollcall shows them and leaves them alone."""


def account(person: Person) -> Account:
    """The account that a person should have."""
    works_here = person.status == "active"
    return Account(
        user_name=person.mail.partition("@")[0],
        display_name=f"{person.first_name} {person.last_name}",
        employee_id=person.employee_id,
        family_name=person.last_name,
        given_name=person.first_name,
        title=person.title,
        mail=person.mail,
        active=works_here,
        group=GROUPS.get(person.org_code) if works_here else None,
    )


def existing_accounts() -> dict[str, Account]:
    """The personal accounts that are in the CRM before Rollcall, by employee number."""
    told = story()
    cast, people = told.cast, told.first
    found = {key: account(people[key]) for key in (*cast.outdated, *cast.ungrouped, *cast.matching, *cast.left_earlier)}
    for key in cast.outdated:
        found[key] = replace(found[key], title=OUTDATED_TITLE)
    for key in cast.ungrouped:
        found[key] = replace(found[key], group=None)
    for key in cast.left_earlier[:STILL_ENABLED]:
        found[key] = replace(found[key], active=True)
    return found
