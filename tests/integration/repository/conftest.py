"""Every test here runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from include.repository.repository import Repository
from tests.integration.repository.organisation import ORGANISATION, Store


@pytest.fixture(params=["sqlite", "postgresql"])
def repository_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty repository: a file, or a PostgreSQL schema of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/repository.db"
        return
    schema = f"repository_{uuid.uuid4().hex}"
    url = sa.make_url(request.getfixturevalue("postgresql_url"))
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        placed = url.update_query_dict({"options": f"-csearch_path={schema}"})
        yield placed.render_as_string(hide_password=False)
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture
def repository(repository_url: str) -> Repository:
    """A migrated repository of the organisation."""
    repository = Repository(repository_url, ORGANISATION, lock_timeout=5)
    repository.migrate()
    return repository


@pytest.fixture
def store(repository: Repository, tmp_path: Path) -> Store:
    """The repository with a hand to fill it."""
    return Store(repository, tmp_path)
