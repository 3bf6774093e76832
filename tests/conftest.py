"""Servers that tests ask for by fixture name; each starts once per session, at its first use."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.servers import mariadb as mariadb_module
from tests.servers import postgresql as postgresql_module
from tests.servers import scim as scim_module


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgresql_module.PostgreSQL]:
    """A PostgreSQL server."""
    with postgresql_module.postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_url(postgresql: postgresql_module.PostgreSQL) -> str:
    """SQLAlchemy URL of one PostgreSQL database that all tests of the session share."""
    return postgresql.create_database("shared")


@pytest.fixture
def fresh_postgresql_url(postgresql: postgresql_module.PostgreSQL) -> Iterator[str]:
    """SQLAlchemy URL of a PostgreSQL database made for one test."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgresql.create_database(name)
    postgresql.drop_database(name)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[mariadb_module.MariaDB]:
    """A MariaDB server."""
    with mariadb_module.mariadb_server() as server:
        yield server


@pytest.fixture(scope="session")
def scim_server() -> Iterator[scim_module.ScimServer]:
    """A SCIM server."""
    with scim_module.scim_server() as server:
        yield server
