"""Instants: aware and in UTC for callers, without a zone and in microseconds where they are stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

OPEN_END = datetime(9999, 12, 31, tzinfo=UTC)
OPEN_END_TEXT = "'9999-12-31 00:00:00.000000'"


class Instant(sa.types.TypeDecorator[datetime]):
    """A column of instants; on SQLite text whose order is that of time."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        """An instant as it is stored."""
        return None if value is None else naive(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """What is stored as an instant."""
        return None if value is None else value.replace(tzinfo=UTC)


def naive(instant: datetime) -> datetime:
    """An instant in UTC without its zone; one that has none is taken as UTC."""
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)
