"""Every test here runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.repository.repository import Repository
from tests.integration.repository.organisation import ORGANISATION, Store


@pytest.fixture(params=["sqlite", "postgresql"])
def repository_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty repository."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/repository.db"
    return str(request.getfixturevalue("fresh_postgresql_url"))


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
