from __future__ import annotations

import signal
import uuid
from pathlib import Path

import httpx
import psycopg
import pytest
import sqlalchemy

from tests.servers.mariadb import MariaDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import data_folder, serving
from tests.servers.scim import ScimServer


def answer(url: str) -> str:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        text = str(connection.execute(sqlalchemy.text("SELECT version()")).scalar())
    engine.dispose()
    return text


def test_postgresql_answers_and_asks_for_a_password(postgresql_url: str, postgresql: PostgreSQL) -> None:
    assert answer(postgresql_url).startswith("PostgreSQL")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=postgresql.host, port=postgresql.port, user="rollcall", password="no", dbname="postgres")


def test_a_fresh_database_is_empty(fresh_postgresql_url: str, postgresql_url: str) -> None:
    assert fresh_postgresql_url != postgresql_url
    engine = sqlalchemy.create_engine(fresh_postgresql_url)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    engine.dispose()


def test_mariadb_answers(mariadb: MariaDB) -> None:
    name = f"test_{uuid.uuid4().hex}"
    assert "MariaDB" in answer(mariadb.create_database(name))
    mariadb.drop_database(name)


def test_every_scim_tenant_is_a_service_of_its_own(scim_server: ScimServer) -> None:
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "amina"}
    one, other = scim_server.tenant("one"), scim_server.tenant("other")
    created = httpx.post(f"{one}/Users", json=user, headers=scim_server.headers)
    assert created.status_code == 201
    assert httpx.get(f"{one}/Users", headers=scim_server.headers).json()["totalResults"] == 1
    assert httpx.get(f"{other}/Users", headers=scim_server.headers).json()["totalResults"] == 0
    assert httpx.get(f"{one}/Users").status_code == 401


def never() -> None:
    raise ConnectionError("nobody there")


def test_a_server_that_ends_early_fails_loudly_with_its_log(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo the disk is full; exit 3"]
    log = r"(?s)ended with 3.*the disk is full"
    with pytest.raises(pytest.fail.Exception, match=log), serving(command, folder=tmp_path, ready=never):
        pass


def test_a_server_is_gone_when_its_block_ends() -> None:
    with data_folder("sleep", None) as folder, serving(["/bin/sleep", "600"], folder=folder, ready=lambda: None) as one:
        assert one.poll() is None
    assert one.returncode == -signal.SIGTERM
    assert not folder.exists()
