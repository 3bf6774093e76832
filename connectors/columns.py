"""What every door checks about the columns of a table before it reads rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from connectors.contract import TableRequest
from connectors.errors import ConfigurationError


def check_header(source: str, columns: Sequence[str]) -> None:
    """Refuse columns that cannot be told apart; letter case alone does not tell columns apart in SQL.

    Raises:
        ConfigurationError: a column that comes twice, with the name of the source.
    """
    seen: dict[str, str] = {}
    for column in columns:
        twin = seen.get(column.casefold())
        if twin is not None:
            other = "" if twin == column else f" (as '{twin}')"
            raise ConfigurationError(f"column '{column}' comes twice in {source}{other}; give each its own name")
        seen[column.casefold()] = column


def require_columns(requests: Iterable[TableRequest], table: str, columns: Sequence[str], source: str) -> None:
    """Refuse a source that lacks a column which a mapping reads.

    ``source`` names the source and its holder of columns ("people.csv; its header").

    Raises:
        ConfigurationError: the first missing column, the source, and the nearest name that it has.
    """
    available = set(columns)
    for request in requests:
        for column in request.columns if request.name == table else ():
            if column.name not in available:
                raise ConfigurationError(
                    f"column '{column.name}' is not in {source} has {nearest(column.name, columns)}"
                )


def require_tables(requests: Iterable[TableRequest], tables: Sequence[str], connection: str) -> None:
    """Refuse a mapping that reads a table which the connection does not export.

    Raises:
        ConfigurationError: the first unknown table, and the nearest one.
    """
    for request in requests:
        if request.name not in tables:
            raise ConfigurationError(
                f"connection '{connection}' exports no table '{request.name}'; it has {nearest(request.name, tables)}"
            )


def nearest(name: str, names: Sequence[str]) -> str:
    """The name that was probably meant, else all of them, in quotes."""
    folded = {item.casefold(): item for item in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    chosen = [folded[near[0]]] if near else list(names)
    return ", ".join(f"'{item}'" for item in chosen) or "none"
