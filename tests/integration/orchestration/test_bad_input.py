"""Bad input ends in one clear line that says what and where, and leaves the repository as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.orchestration.conftest import HEADER, Pipeline, person

LINES = [person(number) for number in range(60)]


def content(*lines: str, header: str = HEADER) -> bytes:
    return ("\n".join([header, *lines]) + "\n").encode()


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda file: file.unlink(), r"people\.csv"),
    "empty": (lambda file: file.write_bytes(b""), r"people\.csv.*empty"),
    "cut in the middle of a line": (lambda file: file.write_bytes(content(*LINES)[:-30]), r"people\.csv.*line 61"),
    "cut inside quotes": (
        lambda file: file.write_bytes(content(*LINES[:-1]) + b'P059,"Name'),
        r"people\.csv.*line 61",
    ),
    "in the wrong encoding": (
        lambda file: file.write_bytes(
            content(*LINES[:9], "P009,Gr\xf6\xdfe,x,2026-01-01,T0").decode().encode("latin-1")
        ),
        r"people\.csv.*line 11",
    ),
    "with a changed header": (
        lambda file: file.write_bytes(content(*LINES, header=HEADER.replace("mail", "e_mail"))),
        r"'mail'.*'e_mail'",
    ),
    "with a million-character field": (
        lambda file: file.write_bytes(content(*LINES[:9], f"P009,{'x' * 1_000_000},x,2026-01-01,T0")),
        r"people\.csv.*line 11",
    ),
}


@pytest.mark.parametrize(("spoil", "line"), CASES.values(), ids=CASES)
def test_a_bad_file_is_one_clear_line_and_changes_nothing(
    pipeline: Pipeline, spoil: Callable[[Path], object], line: str
) -> None:
    before = pipeline.state()
    spoil(pipeline.files / "people.csv")
    with pytest.raises(Exception, match=line) as raised:
        pipeline.synchronize()
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500
    assert pipeline.state() == before
    (newest, *_) = pipeline.repository.runs("Staff")
    assert newest.state == "failed"
    assert newest.message == str(raised.value)

    pipeline.people(60)
    pipeline.synchronize()
    assert pipeline.state() == before
