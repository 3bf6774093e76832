"""The files of each day, read by other means than they were written with."""

from __future__ import annotations

import csv
import os
import sqlite3
import subprocess
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from include.demo.facts import Changes, DayFacts, LinkChanges, day_facts
from include.demo.organisation import badge_database, hr_folder, write_day
from include.demo.story import Day, story

Row = dict[str, str]
Links = set[tuple[str, str]]
DAYS: tuple[Day, ...] = (1, 2, 3)
PROPERTIES = ("last_name", "first_name", "mail", "title", "start_date", "end_date", "status")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Day, Path]:
    """One folder a day."""
    folders: dict[Day, Path] = {}
    for day in DAYS:
        folders[day] = tmp_path_factory.mktemp(f"day{day}")
        write_day(folders[day], day)
    return folders


def read_people(folder: Path) -> list[Row]:
    with (hr_folder(folder) / "people.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=";", strict=True))


def read_organisations(folder: Path) -> dict[str, str]:
    with (hr_folder(folder) / "organisations.csv").open(encoding="windows-1252", newline="") as stream:
        return {row["code"]: row["name"] for row in csv.DictReader(stream, strict=True)}


def read_cards(folder: Path) -> dict[str, tuple[str | None, ...]]:
    with closing(sqlite3.connect(badge_database(folder))) as connection:
        rows = connection.execute("SELECT card_number, employee_no, issued_at, state, zone, note FROM card").fetchall()
    return {row[0]: row for row in rows}


def lines_by_key(rows: list[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["employee_id"]:
            found[row["employee_id"]].append(row)
    return found


def is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def usable(rows: list[Row]) -> dict[str, Row]:
    """People whose lines do not contradict each other and whose dates exist."""
    return {
        key: lines[0]
        for key, lines in lines_by_key(rows).items()
        if all(line == lines[0] for line in lines) and is_date(lines[0]["start_date"])
    }


class Repository:
    """What the files mean to a store that starts empty: people, cards and links, day by day."""

    def __init__(self) -> None:
        self.people: dict[str, Row] = {}
        self.organisations: dict[str, str] = {}
        self.cards: dict[str, tuple[str | None, ...]] = {}
        self.links: dict[str, Links] = {"organisation": set(), "manager": set(), "holder": set()}

    def synchronize(self, folder: Path, *, apply: bool) -> dict[str, Changes | LinkChanges]:
        rows, organisations, cards = read_people(folder), read_organisations(folder), read_cards(folder)
        found, named = usable(rows), lines_by_key(rows)
        people = {key: row for key, row in self.people.items() if key in named} | found
        known = people if apply else self.people
        links = {
            "organisation": {(key, row["org_code"]) for key, row in found.items() if row["org_code"] in organisations},
            "manager": {(key, row["manager_id"]) for key, row in found.items() if row["manager_id"] in found},
            "holder": {(key, str(card[1])) for key, card in cards.items() if card[1] in known},
        }
        # Whose link cannot be told today keeps the one of yesterday, if its other end is still there.
        there = {"organisation": organisations.keys(), "manager": people.keys()}
        for kind, field in (("organisation", "org_code"), ("manager", "manager_id")):
            linked = {key for key, _ in links[kind]}
            untold = {key for key in named if key not in linked and (key not in found or found[key][field])}
            links[kind] |= {link for link in self.links[kind] if link[0] in untold and link[1] in there[kind]}
        changes: dict[str, Changes | LinkChanges] = {
            "people": entity_changes(
                {key: tuple(row[name] for name in PROPERTIES) for key, row in self.people.items()},
                {key: tuple(row[name] for name in PROPERTIES) for key, row in people.items()},
            ),
            "organisations": entity_changes(self.organisations, organisations),
            "cards": entity_changes(self.cards, cards),
        }
        for kind, pairs in links.items():
            changes[kind] = LinkChanges(len(pairs - self.links[kind]), len(self.links[kind] - pairs))
        if apply:
            self.people, self.organisations, self.cards, self.links = people, organisations, cards, links
        return changes


def entity_changes(before: Mapping[str, object], after: Mapping[str, object]) -> Changes:
    both = before.keys() & after.keys()
    return Changes(len(after.keys() - both), sum(before[key] != after[key] for key in both), len(before.keys() - both))


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_day_is_the_same_bytes_in_every_process(seed: str, folders: dict[Day, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "include.demo", "generate", str(tmp_path), "--day", "2"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONHASHSEED": seed})
    assert contents(tmp_path) == contents(folders[2])


def test_writing_a_day_again_or_over_another_leaves_nothing_of_before(folders: dict[Day, Path], tmp_path: Path) -> None:
    for day in (2, 3, 1, 1):
        write_day(tmp_path, day)
    assert contents(tmp_path) == contents(folders[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("day", DAYS)
def test_rows_and_faults_are_those_of_the_files(day: Day, folders: dict[Day, Path]) -> None:
    facts, rows, cards = day_facts(day), read_people(folders[day]), read_cards(folders[day])
    organisations, keys, found = read_organisations(folders[day]), lines_by_key(rows), usable(rows)
    conflicting = [lines for lines in keys.values() if any(line != lines[0] for line in lines)]
    repeated = [lines for lines in keys.values() if len(lines) > 1 and lines not in conflicting]
    aside = facts.set_aside
    assert (facts.people_rows, facts.organisation_rows, facts.card_rows) == (len(rows), len(organisations), len(cards))
    assert aside.empty_keys == sum(row["employee_id"] == "" for row in rows)
    assert aside.conflicting_keys == len(conflicting)
    assert aside.conflicting_lines == sum(map(len, conflicting))
    assert aside.repeated_lines == sum(len(lines) - 1 for lines in repeated)
    assert aside.bad_dates == sum(not is_date(row["start_date"]) for row in rows)
    assert aside.unknown_organisations == sum(row["org_code"] not in organisations for row in found.values())
    assert aside.unknown_managers == sum(row["manager_id"] not in {"", *found} for row in found.values())


def test_the_first_day_is_as_dirty_as_it_says() -> None:
    aside = day_facts(1).set_aside
    assert (aside.empty_keys, aside.conflicting_keys, aside.conflicting_lines, aside.repeated_lines) == (3, 2, 4, 1)
    assert (aside.bad_dates, aside.unknown_organisations, aside.unknown_managers, aside.unknown_holders) == (1, 4, 0, 5)


def test_changes_are_what_a_store_sees_that_reads_the_files_day_by_day(folders: dict[Day, Path]) -> None:
    store = Repository()
    for day in DAYS:
        facts = day_facts(day)
        seen = store.synchronize(folders[day], apply=not facts.blocked)
        assert seen["people"] == facts.people
        assert seen["organisations"] == facts.organisations
        assert seen["cards"] == facts.cards
        assert seen["organisation"] == facts.organisation_links
        assert seen["manager"] == facts.manager_links
        assert seen["holder"] == facts.holder_links
        assert (len(store.people), len(store.cards)) == (facts.stored_people, facts.stored_cards)
        unknown = sum(card[1] not in {None, *store.people} for card in store.cards.values())
        assert unknown == facts.set_aside.unknown_holders


def test_on_the_second_day_a_line_is_corrected_and_a_good_one_goes_bad(folders: dict[Day, Path]) -> None:
    first, second = usable(read_people(folders[1])), usable(read_people(folders[2]))
    cast = story().cast
    (corrected,), (spoiled,) = cast.bad_date, cast.spoiled
    assert corrected not in first
    assert corrected in second
    assert spoiled in first
    assert spoiled not in second
    # Stored on the first day, unreadable on the second: not among the three who are gone.
    assert day_facts(2).people.deleted == len(cast.removed) == 3


def test_a_rename_keeps_the_key_and_changes_name_mail_and_user_name(folders: dict[Day, Path]) -> None:
    first, second = usable(read_people(folders[1])), usable(read_people(folders[2]))
    renamed = [
        key
        for key in first.keys() & second.keys()
        if first[key]["mail"] != second[key]["mail"] and first[key]["last_name"] != second[key]["last_name"]
    ]
    assert renamed == list(story().cast.renamed)


def test_names_keep_their_spaces_quotes_and_scripts(folders: dict[Day, Path]) -> None:
    people = usable(read_people(folders[1])).values()
    names = [row["first_name"] + row["last_name"] for row in people]
    scripts = {unicodedata.name(letter).split()[0] for name in names for letter in name if letter.isalpha()}
    assert {"LATIN", "GREEK", "CYRILLIC", "ARABIC", "CJK", "DEVANAGARI"} <= scripts
    assert sum(row["last_name"].startswith(" ") for row in people) == len(story().cast.spaced) == 5
    assert sum('"' in name and "\n" in name for name in names) == 1
    assert any(unicodedata.normalize("NFC", name) != name for name in names)
    assert all(row["employee_id"].isdigit() and len(row["employee_id"]) == 6 for row in people)
    assert any(row["employee_id"].startswith("0") for row in people)


def test_mail_addresses_are_plain_and_belong_to_one_person(folders: dict[Day, Path]) -> None:
    for day in (1, 2):
        mails = [row["mail"] for row in usable(read_people(folders[day])).values()]
        assert len(set(mails)) == len(mails)
        assert all(mail.isascii() and mail == mail.lower() and mail.count("@") == 1 for mail in mails)


def test_an_empty_note_is_not_a_missing_one(folders: dict[Day, Path]) -> None:
    notes = [card[5] for card in read_cards(folders[1]).values()]
    assert notes.count("") == 30
    assert notes.count(None) > 700
    assert {note for note in notes if note} == {"visitor"}


@pytest.mark.parametrize("day", [1, 2])
def test_managers_form_a_tree_under_one_director(day: Day) -> None:
    people = story().people(day)
    tops = [key for key, person in people.items() if person.manager_id is None]
    assert len(tops) == 1
    for key in people:
        above, seen = people[key].manager_id, {key}
        while above is not None:
            assert above not in seen
            seen.add(above)
            above = people[above].manager_id


def test_the_cut_file_is_the_beginning_of_the_whole_one_up_to_a_line_end(folders: dict[Day, Path]) -> None:
    whole = (hr_folder(folders[2]) / "people.csv").read_bytes()
    cut = (hr_folder(folders[3]) / "people.csv").read_bytes()
    assert whole.startswith(cut)
    assert cut.endswith(b"\r\n")
    assert len(read_people(folders[3])) == int(len(read_people(folders[2])) * 0.4)


def test_everything_but_the_people_file_is_whole_on_the_third_day(folders: dict[Day, Path]) -> None:
    second, third = contents(folders[2]), contents(folders[3])
    assert {name for name in second if second[name] != third[name]} == {str(Path("hr", "people.csv"))}


def test_facts_are_frozen(folders: dict[Day, Path]) -> None:
    facts: DayFacts = write_day(folders[1], 1)
    with pytest.raises(AttributeError):
        facts.people_rows = 0  # type: ignore[misc]
