"""How the repository's database is reached: short transactions through SQLAlchemy, loads through ADBC."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from include.repository.bulk import Bulk, open_bulk
from include.repository.errors import RepositoryError, RepositoryLocked
from include.repository.session import CoreSession
from include.repository.sqlite_guard import Library, exclusive_library

LOCK_TIMEOUT = 120.0
WRITES = "rollcall_writes"
PAUSE = 0.05
PAGE_BYTES = 8192


class Database:
    """One SQLite file or PostgreSQL database. Every connection is short-lived; none is pooled."""

    def __init__(self, url: str, lock_timeout: float = LOCK_TIMEOUT) -> None:
        self.url = _parse(url)
        self.lock_timeout = lock_timeout
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.dialect: sa.Dialect = (
            sqlite.dialect(paramstyle="qmark") if self.is_sqlite else postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
        )
        self._engine = sa.create_engine(self.url, poolclass=sa.NullPool, hide_parameters=True)
        if self.is_sqlite:
            sa.event.listen(self._engine, "connect", self._on_connect)
            sa.event.listen(self._engine, "begin", _on_begin)

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)!r})"

    @property
    def path(self) -> str:
        """The absolute path of the SQLite file."""
        return str(Path(str(self.url.database)).resolve())

    @contextmanager
    def read(self) -> Iterator[CoreSession]:
        """A transaction that only reads."""
        with self.errors(), self._only("sqlite3"), self._engine.begin() as connection:
            yield CoreSession(connection)

    @contextmanager
    def write(self) -> Iterator[CoreSession]:
        """A transaction that writes: it waits for other writers at its start (SQLite) or at its first lock."""
        with (
            self.errors(),
            self._only("sqlite3"),
            self._engine.connect().execution_options(**{WRITES: True}) as connection,
            connection.begin(),
        ):
            if not self.is_sqlite:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {self._milliseconds}")
            yield CoreSession(connection)

    @contextmanager
    def bulk(self, *, writes: bool) -> Iterator[Bulk]:
        """One ADBC connection with one transaction, committed at the end of the block.

        A reading one sees a single state of the whole database from its first query on.
        """
        with (
            self.errors(),
            self._only("ADBC"),
            open_bulk(self._uri, self.dialect, milliseconds=self._milliseconds, writes=writes) as bulk,
        ):
            yield bulk

    def prepare(self) -> None:
        """Create the SQLite file and put it in WAL mode, so that readers never wait for a load."""
        if not self.is_sqlite:
            return
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.lock_timeout
        while True:
            try:
                with self.errors(), self._only("sqlite3"), self._engine.connect() as connection:
                    # Of a new file only: fewer pages for as many rows than SQLite's own 4 KiB.
                    connection.connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                    connection.connection.execute("PRAGMA journal_mode = WAL")
            except RepositoryLocked:
                # The change of mode takes the whole file and, unlike a transaction, does not wait for it.
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)
            else:
                return

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the libraries' errors into one line without a password or a bound value."""
        import adbc_driver_manager

        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self._translated(str(error.orig)) from None
        except (adbc_driver_manager.Error, sqlite3.Error) as error:
            # sqlite3's own: what goes past SQLAlchemy, such as the change of mode in ``prepare``.
            raise self._translated(str(error)) from None

    def _translated(self, message: str) -> RepositoryError:
        for secret in self._secrets:
            message = message.replace(secret, "***")
        where = self.url.render_as_string(hide_password=True)
        if any(sign in message for sign in ("database is locked", "lock timeout", "55P03")):
            return RepositoryLocked(
                f"{where}: another writer has held the repository for {self.lock_timeout:g} s; try again later"
            )
        if "no such table" in message or ("relation" in message and "does not exist" in message):
            return RepositoryError(f"{where}: a table is missing ({message}): migrate the repository first")
        return RepositoryError(f"{where}: {message}")

    @property
    def _uri(self) -> str:
        """As ADBC wants it: a path, or a URI of libpq (which takes no space, unlike SQLAlchemy)."""
        if self.is_sqlite:
            return self.path
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False).replace(" ", "%20")

    @property
    def _secrets(self) -> list[str]:
        """The password, as it is and as URLs write it."""
        password = str(self.url.password or "")
        forms = {password, quote(password), quote(password, safe=" +"), quote_plus(password)}
        return sorted(forms - {""}, key=len, reverse=True)

    @property
    def _milliseconds(self) -> int:
        return int(self.lock_timeout * 1000)

    def _only(self, library: Library) -> AbstractContextManager[None]:
        return exclusive_library(self.path, library, self.lock_timeout) if self.is_sqlite else nullcontext()

    def _on_connect(self, connection: Any, _record: Any) -> None:
        # Python's sqlite3 would begin transactions by itself, and too late for a writer.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {self._milliseconds}").close()


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _parse(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise RepositoryError(
            "the repository's URL cannot be read: write sqlite:////folder/file.db or postgresql://user@host/database"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite")
    raise RepositoryError(
        f"{parsed.render_as_string(hide_password=True)}: the repository lives in a SQLite file "
        "(sqlite:////folder/file.db) or in PostgreSQL (postgresql://user@host/database)"
    )
