"""The parts that people play, and the orders that follow from them."""

from __future__ import annotations

from dataclasses import asdict

from include.demo.accounts import SERVICE_ACCOUNTS, existing_accounts
from include.demo.facts import ExpectedOrders, day_facts
from include.demo.story import story
from include.demo.words import GROUPS


def test_nobody_plays_two_parts_and_nobody_with_a_part_manages_anyone() -> None:
    told = story()
    parts = asdict(told.cast)
    promoted = parts.pop("promoted")
    assert set(promoted) <= set(parts["movers"])
    players = [key for keys in parts.values() for key in keys]
    assert len(set(players)) == len(players)
    managers = {person.manager_id for people in (told.first, told.second) for person in people.values()}
    assert not managers & set(players)


def test_the_second_day_differs_from_the_first_by_its_parts_only() -> None:
    told = story()
    cast, first, second = told.cast, told.first, told.second
    assert set(second) - set(first) == set(cast.joiners)
    assert set(first) - set(second) == set(cast.removed)
    changed = {key for key in first.keys() & second.keys() if first[key] != second[key]}
    assert changed == {*cast.movers, *cast.leavers, *cast.renamed}
    for key in cast.movers:
        assert first[key].org_code != second[key].org_code
        assert first[key].manager_id != second[key].manager_id
        assert second[second[key].manager_id or ""].org_code == second[key].org_code


def test_whoever_is_removed_is_in_no_group_that_would_go_on_naming_them() -> None:
    told = story()
    assert all(told.first[key].org_code not in GROUPS for key in told.cast.removed)


def test_the_first_orders_follow_from_who_has_an_account_already() -> None:
    cast, facts = story().cast, day_facts(1)
    enabled = [key for key in cast.left_earlier if existing_accounts()[key].active]
    assert facts.orders == ExpectedOrders(
        created=facts.stored_people - 40,
        changed=len(cast.outdated) + len(cast.ungrouped) + len(enabled),
        deleted=0,
        membership_adds=facts.crm.members - len([one for one in existing_accounts().values() if one.group]),
        membership_removes=0,
    )
    assert len(existing_accounts()) == 40
    assert facts.crm.users == facts.stored_people + len(SERVICE_ACCOUNTS)


def test_the_second_orders_follow_from_the_parts() -> None:
    told = story()
    cast, orders = told.cast, day_facts(2).orders

    def group(key: str, *, second: bool) -> str | None:
        person = (told.second if second else told.first)[key]
        return GROUPS.get(person.org_code) if person.status == "active" else None

    kept = [*cast.movers, *cast.leavers, *cast.renamed]
    moved = [key for key in cast.movers if group(key, second=False) != group(key, second=True)]
    assert orders.created == len(cast.joiners) + len(cast.bad_date)
    assert orders.deleted == len(cast.removed)
    assert orders.changed == len({*moved, *cast.promoted, *cast.leavers, *cast.renamed})
    assert orders.membership_removes == sum(
        group(key, second=False) not in {None, group(key, second=True)} for key in kept
    )
    assert orders.membership_adds == sum(
        group(key, second=True) is not None
        and (key not in told.first or group(key, second=True) != group(key, second=False))
        for key in [*kept, *cast.joiners]
    ) + sum(group(key, second=True) is not None for key in cast.bad_date)


def test_nothing_is_ordered_while_the_third_day_waits_for_a_person() -> None:
    facts = day_facts(3)
    assert facts.blocked
    assert facts.orders == ExpectedOrders(0, 0, 0, 0, 0)
    assert facts.crm == day_facts(2).crm
