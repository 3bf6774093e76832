"""From the fields of a delimited file to the columns of its table, column by column in Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.contract import COMMAND_COLUMN
from connectors.sink import text_array

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Layout:
    """Which fields become columns, and how their values are cleaned.

    ``positions`` are the fields that have a header; ``command`` is the place of the command column
    among ``columns``, whose name is then ``COMMAND_COLUMN``.
    """

    positions: tuple[int, ...]
    columns: tuple[str, ...]
    trim: tuple[str, ...]
    command: int | None

    def batch(self, rows: Sequence[Sequence[str]], table: str, first_row: int) -> pyarrow.RecordBatch:
        """Rows as a record batch: trimmed, empty as NULL, commands in the words of the contract."""
        import pyarrow

        fields = list(zip(*rows, strict=True))
        arrays = [
            self._clean(text_array(fields[position], table=table, column=column, first_row=first_row))
            for position, column in zip(self.positions, self.columns, strict=True)
        ]
        if self.command is not None:
            arrays[self.command] = commands(arrays[self.command])
        return pyarrow.RecordBatch.from_arrays(arrays, names=list(self.columns))

    def _clean(self, values: pyarrow.Array) -> pyarrow.Array:
        import pyarrow
        from pyarrow import compute

        for character in self.trim:
            values = compute.utf8_trim(values, character)
        return compute.if_else(compute.equal(values, ""), pyarrow.scalar(None, pyarrow.string()), values)


def arrange(header: Sequence[str], trim: Sequence[str], command_column: str | None) -> Layout:
    """The layout of a header: fields without a name are dropped, the command column gets its name.

    ``command_column`` is looked for in any letter case; ``None`` looks for none.
    """
    names = [trimmed(name, trim) for name in header]
    positions = tuple(position for position, name in enumerate(names) if name)
    columns = [names[position] for position in positions]
    wanted = command_column.casefold() if command_column else None
    command = next((place for place, name in enumerate(columns) if name.casefold() == wanted), None)
    if command is not None:
        columns[command] = COMMAND_COLUMN
    return Layout(positions, tuple(columns), tuple(trim), command)


def trimmed(text: str, trim: Sequence[str]) -> str:
    """Text without the characters at both ends, one pass for each character."""
    for character in trim:
        text = text.strip(character)
    return text


def commands(values: pyarrow.Array) -> pyarrow.Array:
    """Commands in lower case, with ``add`` for what the contract calls ``insert``; others stay as they are."""
    from pyarrow import compute

    lower = compute.utf8_lower(compute.utf8_trim_whitespace(values))
    return compute.if_else(compute.equal(lower, "add"), "insert", lower)
