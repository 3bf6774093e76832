"""Settings are checked by their package, hold no secret, and never show in a message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.model.configuration import Configuration
from include.model.loader import load_configuration
from include.model.settings import names_secret
from tests.unit.model.conftest import Edit, MistakesIn
from tests.unit.model.packages import settings_model

OF_SECRETS = """
password Password db_passwd PWD smtp_pass secret client_secret clientSecret clientsecret token oauth_token refresh-token
tokens api_key apiKey APIKey apikey private_key access_key passphrase credentials password2 secret_value
"""
OF_OTHERS = """
path primary_key sort_key key keys key_column token_url password_attribute bypass secret_name private_key_path compass
1 value separator public_key
"""
PACKAGES = {
    "an unknown package": (
        "hr.yaml",
        "package: csv",
        "package: cvs",
        ["hr.yaml:11: connections[0].package: unknown package 'cvs'; packages are csv, scim"],
    ),
    "an unknown setting": (
        "hr.yaml",
        "separator:",
        "seperator:",
        [
            (
                "hr.yaml:14: connections[0].settings.seperator: unknown setting 'seperator' of package 'csv'; "
                "did you mean 'separator'?"
            )
        ],
    ),
    "a missing setting": (
        "hr.yaml",
        "      path: people.csv\n",
        "",
        ["hr.yaml:12: connections[0].settings.path: missing setting 'path' of package 'csv'"],
    ),
    "no settings where one is needed": (
        "hr.yaml",
        "    settings:\n      path: organisations.csv\n",
        "",
        ["hr.yaml:15: connections[1].settings.path: missing setting 'path' of package 'csv'"],
    ),
    "a value that the package refuses in its own words": (
        "hr.yaml",
        'separator: ";"',
        "separator: tab stop",
        ["hr.yaml:14: connections[0].settings.separator: '…' is not one character, but … is"],
    ),
    "one of a few values": (
        "hr.yaml",
        'separator: ";"',
        "encoding: utf8",
        ["hr.yaml:14: connections[0].settings.encoding: must be one of utf-8, latin-1; did you mean 'utf-8'?"],
    ),
    "a setting of several shapes": (
        "hr.yaml",
        'separator: ";"',
        "columns: {a: b}",
        ["hr.yaml:14: connections[0].settings.columns: must be a list or must be text"],
    ),
    "an unknown setting inside a setting": (
        "crm.yaml",
        "page_size: 100",
        "paging:\n        sise: 5",
        [
            (
                "crm.yaml:11: connections[0].settings.paging.sise: "
                "unknown setting 'sise' of package 'scim'; did you mean 'size'?"
            )
        ],
    ),
    "a number out of range": (
        "crm.yaml",
        "page_size: 100",
        "page_size: 0",
        ["crm.yaml:10: connections[0].settings.page_size: must be more than 0"],
    ),
    "a secret": (
        "crm.yaml",
        "page_size: 100",
        "client_secret: correct horse",
        [
            (
                "crm.yaml:10: connections[0].settings.client_secret: "
                "a secret must not stand in a file: put it in the Airflow Connection 'crm'"
            )
        ],
    ),
    "a secret of a connection without an Airflow Connection": (
        "hr.yaml",
        'separator: ";"',
        "password: correct horse",
        [
            (
                "hr.yaml:14: connections[0].settings.password: a secret must not stand in a file: "
                "put it in an Airflow Connection, and name that in connection_id"
            )
        ],
    ),
    "a secret deep inside": (
        "crm.yaml",
        "page_size: 100",
        "paging: {size: 1, headers: [{apiKey: correct horse}]}",
        [
            (
                "crm.yaml:10: connections[0].settings.paging.headers: "
                "unknown setting 'headers' of package 'scim'; known: size"
            ),
            (
                "crm.yaml:10: connections[0].settings.paging.headers[0].apiKey: "
                "a secret must not stand in a file: put it in the Airflow Connection 'crm'"
            ),
        ],
    ),
    "a password in an address": (
        "crm.yaml",
        "page_size: 100",
        "token_url: https://rollcall:correct-horse@crm.example/token",
        [
            (
                "crm.yaml:10: connections[0].settings.token_url: "
                "a secret must not stand in a file: put it in the Airflow Connection 'crm'"
            )
        ],
    ),
    "a password in a connection string": (
        "hr.yaml",
        "path: people.csv",
        "path: Server=hr;UID=rollcall;Password=correct-horse",
        [
            (
                "hr.yaml:13: connections[0].settings.path: a secret must not stand in a file: "
                "put it in an Airflow Connection, and name that in connection_id"
            )
        ],
    ),
}


@pytest.mark.parametrize(("file", "before", "after", "expected"), PACKAGES.values(), ids=PACKAGES.keys())
def test_wrong_settings(
    file: str, before: str, after: str, expected: list[str], *, edit: Edit, mistakes_in: MistakesIn
) -> None:
    edit(file, before, after)
    assert sorted(mistakes_in(file)) == sorted(expected)


@pytest.mark.parametrize("line", ["token_url: https://crm.example/token", "use_token: true", "token_url: null"])
def test_settings_about_secrets_that_are_none(line: str, edit: Edit, mistakes_in: MistakesIn) -> None:
    edit("crm.yaml", "page_size: 100", line)
    assert mistakes_in("crm.yaml") == []


@pytest.mark.parametrize("name", OF_SECRETS.split())
def test_a_name_of_a_secret(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", OF_OTHERS.split())
def test_a_name_of_no_secret(name: str) -> None:
    assert not names_secret(name)


def test_secrets_are_refused_even_where_no_package_checks(folder: Path, edit: Edit) -> None:
    edit("crm.yaml", "page_size: 100", "bearer_token: correct horse")
    mistakes = [mistake for item in load_configuration(folder).broken for mistake in item.mistakes]
    assert [(mistake.line, mistake.field) for mistake in mistakes] == [(10, "connections[0].settings.bearer_token")]


def test_a_package_that_cannot_be_loaded_breaks_its_connectors_only(folder: Path) -> None:
    def models(package: str) -> Any:
        if package == "scim":
            raise ImportError("No module named 'scim_library'")
        return settings_model(package)

    configuration = load_configuration(folder, settings_model=models)
    assert [item.identifier for item in configuration.connectors] == ["HR"]
    assert [str(mistake) for mistake in configuration.broken[0].mistakes] == [
        "crm.yaml:7: connections[0].package: No module named 'scim_library'"
    ]


def test_a_settings_model_is_asked_for_once_per_package(folder: Path) -> None:
    asked = []

    def models(package: str) -> Any:
        asked.append(package)
        return settings_model(package)

    load_configuration(folder, settings_model=models)
    assert asked == ["scim", "csv"]


def test_the_repr_of_what_is_wrong_holds_no_secret(edit: Edit, load: Callable[[], Configuration]) -> None:
    edit("crm.yaml", "page_size: 100", "password: correct horse")
    assert "correct horse" not in repr(load())
