"""Laws that hold whatever stands in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from include.model.configuration import ConfigurationMistake
from include.model.loader import load_configuration
from include.model.mending import PLACEHOLDER
from tests.unit.model.packages import settings_model
from tests.unit.model.samples import FOLDER, copy_samples

SAMPLE = (FOLDER / "crm.yaml").read_text().splitlines()
FRAGMENTS = st.one_of(
    st.sampled_from(
        ["{}", "[]", "null", "yes", "0", "-1", "''", "- ", "&a", "*a", "<<: *a", "!x", "? ", ": ", "  ", "|"]
    ),
    st.sampled_from([line.strip() for line in SAMPLE]),
    st.text(max_size=5),
)
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(SAMPLE) - 1),
        st.sampled_from(["drop", "insert", "value", "name", "indent"]),
        FRAGMENTS,
    ),
    min_size=1,
    max_size=4,
)
# A text long enough that it cannot stand in a message by chance.
LETTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
SECRETS = st.text(LETTERS, min_size=8).map(lambda text: f"§{text}§")
SETTINGS = st.sampled_from(["password", "separator", "encoding", "columns", "pasword", "path"])
FIELDS = st.sampled_from(["identifier", "package", "connection_id", "setings", "severity", "type", "column"])
VALUES = st.one_of(st.text(max_size=8), st.integers(), st.booleans(), st.none(), st.dates(), st.lists(st.text()))
EACH_IN_ITS_OWN_FILE = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def mistakes(folder: Path) -> list[ConfigurationMistake]:
    broken = load_configuration(folder, settings_model=settings_model).broken
    return [mistake for item in broken for mistake in item.mistakes]


def changed(lines: list[str], number: int, kind: str, fragment: str) -> list[str]:
    line = lines[number % len(lines)] if lines else ""
    indent = line[: len(line) - len(line.lstrip())]
    name, colon, value = line.partition(":")
    replacement = {
        "drop": [],
        "insert": [indent + fragment, line],
        "value": [f"{name}{colon} {fragment}"],
        "name": [f"{indent}{fragment}{colon}{value}"],
        "indent": [f"  {line}"],
    }[kind]
    return [*lines[: number % max(len(lines), 1)], *replacement, *lines[number % max(len(lines), 1) + 1 :]]


@EACH_IN_ITS_OWN_FILE
@given(edits=EDITS)
@example(edits=[(16, "drop", ""), (17, "drop", "")])
def test_whatever_a_file_says_the_answer_is_lines_within_it(edits: list[tuple[int, str, str]], tmp_path: Path) -> None:
    copy_samples(tmp_path)
    lines = SAMPLE
    for edit in edits:
        lines = changed(lines, *edit)
    (tmp_path / "crm.yaml").write_bytes("\n".join(lines).encode("utf-8", "replace"))
    for mistake in mistakes(tmp_path):
        assert str(mistake).splitlines() == [str(mistake)]
        assert mistake.message.strip()
        assert mistake.field.strip()
        assert PLACEHOLDER not in str(mistake)
        # A control character such as NEL also ends a line of YAML.
        assert 1 <= mistake.line <= len("\n".join(lines).splitlines()) + 1


@EACH_IN_ITS_OWN_FILE
@given(content=st.binary(max_size=60))
def test_any_bytes_are_answered(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "hr.yaml").write_bytes(content)
    assert len(mistakes(tmp_path)) >= 1


@EACH_IN_ITS_OWN_FILE
@given(secret=SECRETS, where=SETTINGS, fields=st.dictionaries(FIELDS, VALUES))
@example(secret="§a\u2028b'c\"d§", where="separator", fields={})
def test_no_message_holds_a_line_end_or_the_value_of_a_setting(
    secret: str, where: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    stated = {"path": "a.csv", "password": secret, where: secret}
    connection = {"identifier": "A", "package": "csv", **fields, "settings": stated}
    document = {"identifier": "HR", "connections": [connection], "entity_types": [{"properties": [fields]}]}
    (tmp_path / "hr.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    for mistake in mistakes(tmp_path):
        line = str(mistake)
        assert secret not in line
        assert repr(secret)[1:-1] not in line
        assert line.splitlines() == [line]
        assert "pydantic" not in line
