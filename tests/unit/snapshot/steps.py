"""Draws what happens to a source between two runs, within the law of ``test_agreement``."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.unit.snapshot.source import TWICE, UNREADABLE, Line, Source, mail, with_line

PEOPLE, ORGANIZATIONS = "ab", "AB"
TEXTS = [mail(person, version) for person in PEOPLE for version in (0, 1)]


class Step:
    """What happens to the source between two runs; each person changes once at most."""

    def __init__(self, data: st.DataObject, source: Source) -> None:
        self.data, self.source = data, source
        self.free = list(PEOPLE)

    def happen(self) -> None:
        for _ in range(self.data.draw(st.integers(1, 3))):
            self.data.draw(st.sampled_from([self.organization, self.person, self.member]))()

    def organization(self) -> None:
        code = self.data.draw(st.sampled_from(ORGANIZATIONS))
        if code in self.source.organizations and self.data.draw(st.booleans()):
            del self.source.organizations[code]
            if self.data.draw(st.booleans()):
                self.source.members = {
                    number: line
                    for number, line in self.source.members.items()
                    if line[0] != code or self.is_set_aside(line[1])
                }
        else:
            self.source.organizations[code] = self.data.draw(st.sampled_from(["one", "two"]))

    def is_set_aside(self, who: str) -> bool:
        return who in self.source.people and self.source.people[who].is_set_aside

    def person(self) -> None:
        if not self.free:
            return
        key = self.free.pop(self.data.draw(st.integers(0, len(self.free) - 1)))
        line = self.source.people.get(key)
        if line is not None and self.data.draw(st.integers(0, 3)) == 0:
            self.source.remove_person(key, named_still=self.data.draw(st.booleans()))
            return
        changed = with_line(
            line or Line(version=self.data.draw(st.integers(0, 1))),
            age=self.data.draw(st.sampled_from([None, "1", "2", UNREADABLE, TWICE])),
            org=self.data.draw(st.sampled_from([None, *ORGANIZATIONS, "Z"])),
            manager=self.data.draw(st.sampled_from([None, *PEOPLE, "z"])),
        )
        if not changed.is_set_aside and not (line and line.is_set_aside) and self.data.draw(st.booleans()):
            changed = with_line(changed, version=1 - changed.version)
        self.source.put_person(key, changed)

    def member(self) -> None:
        lines = [number for number, (_, who) in self.source.members.items() if number and not self.is_set_aside(who)]
        if lines and self.data.draw(st.booleans()):
            del self.source.members[self.data.draw(st.sampled_from(lines))]
        else:
            code, who = self.data.draw(st.sampled_from(ORGANIZATIONS)), self.data.draw(st.sampled_from(TEXTS))
            self.source.add_member(code, who)
