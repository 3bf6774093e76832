"""Answers of a server as errors, waits and verdicts on lists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import IncompleteExport, TransientError
from connectors.scim.answers import Answer, Page, Tally, detail_of, page_of
from connectors.web import seconds_to_wait

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (301, "", "ConfigurationError"),
        (400, "invalidValue", "InvalidValue"),
        (401, "", "AuthenticationFailed"),
        (403, "", "PermissionDenied"),
        (404, "", "ObjectMissing"),
        (409, "uniqueness", "ObjectExists"),
        (409, "", "Conflict"),
        (412, "", "Conflict"),
        (413, "tooMany", "InvalidValue"),
        (429, "", "Throttled"),
        (500, "", "TransientError"),
        (501, "", "InvalidValue"),
        (502, "", "ConnectionFailed"),
        (503, "", "ConnectionFailed"),
        (504, "", "ConnectionFailed"),
    ],
)
def test_each_status_is_the_error_that_the_pipeline_acts_on(status: int, kind: str, error: str) -> None:
    failure = Answer("CRM: change Users '1'", status, {"scimType": kind}, detail="what it says").failure()
    assert failure.error_class == error
    words = f"CRM: change Users '1': HTTP {status}{' ' if kind else ''}{kind}: what it says"
    assert failure.message.startswith(words)
    assert isinstance(failure, TransientError) == (status in {429, 500, 502, 503, 504})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Mon, 06 May 2024 07:08:39 GMT", 30.0),
        ("Mon, 06 May 2024 07:00:00 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, NOW) == seconds


def test_a_body_is_never_in_the_text_of_an_answer() -> None:
    assert "private" not in repr(Answer("read", 200, {"userName": "private"}))


@given(st.text(), st.text("abc0123456789", min_size=8))
def test_a_detail_is_one_short_line_without_secrets(text: str, secret: str) -> None:
    shown = detail_of({"detail": f"{text}{secret} {text}"}, [secret])
    assert secret not in shown
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 203


class TestPage:
    @pytest.mark.parametrize("body", [{}, {"Resources": "x", "totalResults": 1}, {"Resources": ["x"]}, {"id": "1"}])
    def test_what_is_no_list_proves_nothing(self, body: dict[str, Any]) -> None:
        with pytest.raises(IncompleteExport, match="not a SCIM list"):
            page_of(Answer("list Users", 200, body))

    def test_nothing_found_may_leave_the_resources_out(self) -> None:
        assert page_of(Answer("list Users", 200, {"totalResults": 0})) == Page([], 0)


class TestTally:
    def told(self, pages: list[tuple[list[str | None], int | None]]) -> tuple[int, str | None]:
        tally = Tally()
        for keys, total in pages:
            tally.take(Page([{"id": key} for key in keys], total))
        return tally.rows, tally.shortfall()

    @given(st.sets(st.text(min_size=1)), st.integers(1, 5))
    def test_distinct_objects_up_to_a_steady_total_are_everything(self, keys: set[str], size: int) -> None:
        names = sorted(keys)
        pages = [(names[start : start + size], len(names)) for start in range(0, len(names), size)]
        assert self.told([*pages, ([], len(names))]) == (len(names), None)

    @pytest.mark.parametrize(
        ("pages", "reason"),
        [
            ([(["a", "b"], 3), ([], 3)], "2 objects came, totalResults says 3"),
            ([(["a", "b"], 1), ([], 1)], "2 objects came, totalResults says 1"),
            ([(["a", "b"], 2), ([], 3)], "the list changed while it was read: totalResults went from 2 to 3"),
            ([(["a", "b"], 3), (["b"], 3)], "1 objects came twice"),
            ([(["a", None], 2)], "1 objects have no id"),
            ([(["a", ""], 2)], "1 objects have no id"),
            ([(["a"], None)], "the server states no totalResults"),
            ([(["a"], 1), ([], None)], "the server states no totalResults"),
        ],
    )
    def test_whatever_does_not_add_up_is_not_everything(
        self, pages: list[tuple[list[str | None], int | None]], reason: str
    ) -> None:
        assert reason in (self.told(pages)[1] or "")
