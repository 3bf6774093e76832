"""A PostgreSQL server with password authentication, and databases made on demand."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.servers.process import data_folder, free_port, program, run, serving, unprivileged

LOGIN = "rollcall"
PASSWORD = "p@ss/word:with%hard#characters"


@dataclass(frozen=True, slots=True)
class PostgreSQL:
    """A running server; ``LOGIN`` is its superuser."""

    port: int
    host: str = "127.0.0.1"
    login: str = LOGIN
    password: str = PASSWORD

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        import sqlalchemy

        url = sqlalchemy.URL.create("postgresql+psycopg", self.login, self.password, self.host, self.port, database)
        return url.render_as_string(hide_password=False)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements outside a transaction."""
        with self.connect(database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def connect(self, database: str) -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.login,
            password=self.password,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def create_database(self, name: str) -> str:
        """Make an empty database; its SQLAlchemy URL."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the connections to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def postgresql_server() -> Iterator[PostgreSQL]:
    """Run a PostgreSQL server; durability is off, the data goes away with it."""
    account = unprivileged("postgres")
    binaries = Path(program("/usr/lib/postgresql/*/bin/initdb", "initdb")).parent
    with data_folder("postgresql", account) as folder:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        server = PostgreSQL(free_port())
        run(
            [
                f"{binaries}/initdb",
                f"--pgdata={folder}/data",
                f"--username={LOGIN}",
                f"--pwfile={secret}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            folder,
            account,
        )
        command = [f"{binaries}/postgres", "-D", f"{folder}/data", "-p", str(server.port)]
        for option in (
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={folder}",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ):
            command += ["-c", option]
        # SIGINT is PostgreSQL's fast shutdown: SIGTERM waits for clients to leave.
        with serving(
            command,
            folder=folder,
            account=account,
            ready=lambda: server.connect("postgres").close(),
            stop_signal=signal.SIGINT,
        ):
            yield server
