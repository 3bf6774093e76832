"""What is done to a raw table of a file export before it is prepared (engine.md 1.3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from include.model.base import ConnectionTable, Model, Text


class ConcatColumns(Model):
    """Joins up to five columns of a raw table into one, e.g. into a key (engine.md 1.3)."""

    type: Literal["ConcatColumns"]
    table: ConnectionTable
    """<connection>, or <connection>_<suffix>; the case counts."""
    column: Text
    """What it becomes: a new column, or one that is there already."""
    input_column: Text
    input_column2: Text | None = None
    input_column3: Text | None = None
    input_column4: Text | None = None
    input_column5: Text | None = None
    concat_separator: str = ""
    """What stands between the values."""
    remove_empty: bool = False
    """Leave empty values out. Where all of them are empty, so is the result."""
    remove_duplicates: bool = False
    """Of equal values that follow each other, keep one."""
    sort_values: bool = False
    """Sort the values at last, without regard to case."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that are read, in order."""
        more = (self.input_column2, self.input_column3, self.input_column4, self.input_column5)
        return (self.input_column, *(column for column in more if column is not None))


class TransformDate(Model):
    """Adds days to the dates of a column of a raw table that lie in some years (engine.md 1.3)."""

    type: Literal["TransformDate"]
    table: ConnectionTable
    """<connection>, or <connection>_<suffix>; the case counts."""
    column: Text
    """What it becomes: a new column, or one that is there already."""
    input_column: Text | None = None
    """The dates; the column itself when left out."""
    added_days: Annotated[float, Field(strict=True, ge=-3_652_059, le=3_652_059)]
    """May be negative, or a fraction."""
    min_year: Annotated[int, Field(ge=1, le=9999, strict=True)] = 1
    """Earlier dates stay as they are."""
    max_year: Annotated[int, Field(ge=1, le=9999, strict=True)] = 9999
    """Later dates stay as they are."""
    date_pattern: Text
    """A strptime pattern such as %d/%m/%Y, in which the dates are read and written."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The column that is read."""
        return (self.input_column or self.column,)


class WhereValue(Model):
    """Keeps the rows of a raw table whose value is as asked; the others count as absent (engine.md 1.3)."""

    type: Literal["WhereValue"]
    table: ConnectionTable
    """<connection>, or <connection>_<suffix>; the case counts."""
    column: Text
    where_operator: Literal["Equals", "NotEquals", "Contains", "NotContains", "StartsWith", "EndsWith", "Regex"]
    """A missing value is compared as the empty text. Regex finds its pattern anywhere in the value."""
    where_value: str
    """The case counts."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The column that is read."""
        return (self.column,)


Transformation = Annotated[ConcatColumns | TransformDate | WhereValue, Field(discriminator="type")]
