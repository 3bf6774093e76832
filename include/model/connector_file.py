"""One configuration file on its way to a connector, with everything found wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from include.model.base import IDENTIFIER
from include.model.configuration import ConfigurationMistake, Connector
from include.model.mending import PLACEHOLDER, mend
from include.model.messages import mistakes_of
from include.model.positions import Document, FieldPath, Misreading, UnreadableDocument, dotted, read_document

Finding = tuple[FieldPath, str]
"""A mistake before its place in a file is known: the path of the field, and what to do about it."""

IDENTIFIER_LENGTH = 63
MESSAGE_LENGTH = 500
WHOLE_FILE = "file"
"""What a mistake names as its field when the whole file is meant."""


@dataclass(slots=True)
class ConnectorFile:
    """What a file says, and what is wrong with it.

    ``connector`` is None when too little of the file is readable; while there are mistakes it is only
    good for finding more of them.
    """

    name: str
    identifier: str
    document: Document | None = None
    connector: Connector | None = None
    mistakes: list[ConfigurationMistake] = field(default_factory=list)
    _wrong: set[FieldPath] = field(default_factory=set)

    @classmethod
    def of(cls, name: str, content: bytes | OSError) -> ConnectorFile:
        """The file of that name, read as far as it can be read; an error in place of its bytes is a mistake."""
        file = cls(one_line(name), identifier_from(name))
        if isinstance(content, OSError):
            file._note((), f"cannot be read: {content.strerror}", 1)
        else:
            file._read(content)
        return file

    def place(self, path: FieldPath, seen_from: ConnectorFile) -> str:
        """Where a field stands, for a message about another file or another line of this one."""
        line = self._line(path)
        return f"line {line}" if self is seen_from else f"{self.name}:{line}"

    def report(self, findings: Iterable[Finding]) -> None:
        """Note mistakes, except those that only follow from a field that is wrong already."""
        for path, message in findings:
            follows = any(path[:length] in self._wrong for length in range(1, len(path) + 1))
            if not follows and PLACEHOLDER not in message:
                self._note(path, message, self._line(path))

    def _report_wrong_fields(self, findings: Iterable[Finding]) -> None:
        found = list(findings)
        self.report(found)
        self._wrong.update(path for path, _ in found)

    def _report_misreadings(self, misreadings: Iterable[Misreading]) -> None:
        for misreading in misreadings:
            self._note(misreading.path, misreading.message, misreading.line)
            if misreading.value_lost:
                self._wrong.add(misreading.path)

    def _line(self, path: FieldPath) -> int:
        return self.document.line(path) if self.document else 1

    def _note(self, path: FieldPath, message: str, line: int) -> None:
        name = dotted(path) or WHOLE_FILE
        self.mistakes.append(
            ConfigurationMistake(file=self.name, line=line, field=one_line(name), message=one_line(message))
        )

    def _read(self, content: bytes) -> None:
        """Read the file as far as it can be read; never raises for what stands in it."""
        try:
            self.document = read_document(content)
        except UnreadableDocument as error:
            self._note((), error.message, error.line)
            return
        self._report_misreadings(self.document.misreadings)
        data = self.document.data
        if not isinstance(data, dict):
            what = "the file is empty" if data is None else "the file must be a mapping of fields"
            self._note((), f"{what}; it begins with the identifier of a connector", 1)
            return
        try:
            self.connector = Connector.model_validate(data)
        except ValidationError as error:
            self._report_wrong_fields(mistakes_of(error, Connector, data))
            self.connector = mend(data, Connector)
        self.identifier = self._stated_identifier(data) or self.identifier

    def _stated_identifier(self, data: dict[str, Any]) -> str | None:
        if self.connector:
            return self.connector.identifier if self.connector.identifier != PLACEHOLDER else None
        stated = data.get("identifier")
        valid = isinstance(stated, str) and re.fullmatch(IDENTIFIER, stated) and len(stated) <= IDENTIFIER_LENGTH
        return stated if valid else None


def one_line(text: str) -> str:
    """The text without line ends and control characters, cut at a length that a log line bears."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= MESSAGE_LENGTH else f"{line[:MESSAGE_LENGTH]}…"


def identifier_from(file_name: str) -> str:
    """A connector identifier made of a file's name."""
    stem = re.sub(r"[^A-Za-z0-9_]", "_", file_name.rpartition(".")[0])
    return (stem if re.match(IDENTIFIER, stem) else f"Connector_{stem}")[:IDENTIFIER_LENGTH]
