"""What one load carries from step to step, and the mark it leaves on every version it opens or closes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from include.repository.bulk import Bulk
from include.repository.columns import INSTANT_FORMAT
from include.repository.instants import OPEN_END, microseconds
from include.repository.tables import Schema, is_current

if TYPE_CHECKING:
    import duckdb

CLOSING = sa.table("rollcall_closing", sa.column("resource_id", sa.BigInteger), sa.column("deleted", sa.Integer))
"""Staged while an entity type is loaded: the resources whose current version ends."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A load's number and its one instant (UTC), from which its versions hold."""

    load_id: int
    instant: datetime

    def close(self, table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.Update:
        """End the current versions that meet a condition."""
        return (
            sa.update(table)
            .where(is_current(table), condition)
            .values(valid_to=self.instant, closed_by_load_id=self.load_id)
        )

    def version(self) -> dict[str, Any]:
        """The version columns of a new row."""
        return {"valid_from": self.instant, "valid_to": OPEN_END, "load_id": self.load_id, "closed_by_load_id": None}

    @property
    def text(self) -> str:
        """The instant as the SQL of both databases and of DuckDB writes it."""
        return self.instant.strftime(INSTANT_FORMAT)

    def duckdb_columns(self, *, is_sqlite: bool) -> list[str]:
        """The version columns of new rows, as DuckDB expressions of their stored form."""
        begin, end = (
            f"CAST({microseconds(at)} AS BIGINT)" if is_sqlite else f"TIMESTAMP '{at.strftime(INSTANT_FORMAT)}'"
            for at in (self.instant, OPEN_END)
        )
        return [
            f"{begin} AS valid_from",
            f"{end} AS valid_to",
            f"CAST({self.load_id} AS BIGINT) AS load_id",
            "CAST(NULL AS BIGINT) AS closed_by_load_id",
        ]


@dataclass(frozen=True, slots=True)
class Loading:
    """One load under way: the transaction it writes in, the DuckDB that reads its changes, and its stamp."""

    bulk: Bulk
    duck: duckdb.DuckDBPyConnection
    schema: Schema
    stamp: Stamp
    skip_deletions: bool
