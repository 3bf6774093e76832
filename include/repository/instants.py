"""Instants: aware and in UTC for callers, without a zone and in microseconds where they are stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

OPEN_END = datetime(9999, 12, 31, tzinfo=UTC)
OPEN_END_TEXT = "'9999-12-31 00:00:00.000000'"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


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


class VersionInstant(Instant):
    """An instant of a version; on SQLite microseconds since 1970, a third of the bytes of its text."""

    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """An integer on SQLite, a timestamp elsewhere."""
        return dialect.type_descriptor(sa.BigInteger() if dialect.name == "sqlite" else sa.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        """An instant as it is stored."""
        if value is None or dialect.name != "sqlite":
            return super().process_bind_param(value, dialect)
        return microseconds(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        """What is stored as an instant."""
        if value is None or dialect.name != "sqlite":
            return super().process_result_value(value, dialect)
        return EPOCH + int(value) * MICROSECOND


class OpenEnd(sa.ColumnElement[datetime]):
    """The open end of a version, in the SQL as it is stored and not bound, so that partial indexes are used."""

    inherit_cache = True
    type = VersionInstant()


@compiles(OpenEnd)
def _open_end(element: OpenEnd, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001
    return str(microseconds(OPEN_END)) if compiler.dialect.name == "sqlite" else OPEN_END_TEXT


def microseconds(instant: datetime) -> int:
    """Microseconds from 1970 to an instant; one without a zone is taken as UTC."""
    return (naive(instant) - naive(EPOCH)) // MICROSECOND


def naive(instant: datetime) -> datetime:
    """An instant in UTC without its zone; one that has none is taken as UTC."""
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)
