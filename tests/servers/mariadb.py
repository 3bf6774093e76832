"""A MariaDB server with one account, and databases made on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql

from tests.servers.process import data_folder, free_port, program, run, serving, unprivileged

LOGIN = "rollcall"
PASSWORD = "p@ss/word:with%hard#characters"


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A running server; ``LOGIN`` may do everything on it."""

    port: int
    host: str = "127.0.0.1"
    login: str = LOGIN
    password: str = PASSWORD

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        import sqlalchemy

        url = sqlalchemy.URL.create("mysql+pymysql", self.login, self.password, self.host, self.port, database)
        return url.render_as_string(hide_password=False)

    def connect(self, database: str | None = None) -> pymysql.Connection[Any]:
        """A connection that commits each statement."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.login,
            password=self.password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=5,
        )

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run statements, each in a transaction of its own."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def insert(self, statement: str, rows: Sequence[Sequence[Any]], database: str) -> None:
        """Insert rows with a parameterized statement."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.executemany(statement, rows)

    def create_database(self, name: str) -> str:
        """Make an empty UTF-8 database; its SQLAlchemy URL."""
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")


@contextmanager
def mariadb_server() -> Iterator[MariaDB]:
    """Run a MariaDB server; the data goes away with it."""
    account = unprivileged("mysql")
    with data_folder("mariadb", account) as folder:
        server = MariaDB(free_port())
        first_statements = folder / "first.sql"
        first_statements.write_text(
            f"CREATE USER '{LOGIN}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{LOGIN}'@'%' WITH GRANT OPTION;\n"
        )
        first_statements.chmod(0o644)
        run(
            [
                program("mariadb-install-db", "mysql_install_db"),
                "--no-defaults",
                f"--datadir={folder}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
            folder,
            account,
        )
        command = [
            program("mariadbd", "mysqld", "/usr/sbin/mariadbd", "/usr/sbin/mysqld"),
            "--no-defaults",
            f"--datadir={folder}/data",
            f"--port={server.port}",
            "--bind-address=127.0.0.1",
            f"--socket={folder}/socket",
            f"--pid-file={folder}/pid",
            f"--init-file={first_statements}",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        with serving(command, folder=folder, account=account, ready=lambda: server.connect().close()):
            yield server
