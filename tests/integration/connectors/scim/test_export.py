"""Exports from a real SCIM server: everything, byte for byte, or plainly not everything."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connectors.contract import ColumnRequest, ExportRequest, TableRequest
from connectors.errors import (
    ConfigurationError,
    ConnectionFailed,
    CookieExpired,
    IncompleteExport,
    Throttled,
    TransientError,
)
from tests.contract.raw import Files
from tests.integration.connectors.scim.conftest import ENTERPRISE, USER, Connect, Service, export
from tests.simulators.faulty_proxy import Exchange, FaultyProxy, Reply, drop

HOSTILE = [
    " leading and trailing ",
    'quote " comma , semicolon ;',
    "line\nfeed and\r\nreturn",
    "Zoë Ångström – 漢字 😀",
    "a\u0301 is not á",
    "' OR 1=1; --",
    "=cmd|' /C calc'!A0",
    "NULL",
    "\t",
    "x" * 5_000,
]


def fill(service: Service, count: int) -> list[str]:
    return [service.add_user(f"user{number:03}", externalId=f"E{number:03}") for number in range(count)]


def test_every_user_comes_past_the_page_limit(connect: Connect, service: Service) -> None:
    keys = fill(service, 23)
    got = export(connect(page_size=5))
    assert {row["id"] for row in got.rows("CRM_Users")} == set(keys)
    report = got.table("CRM_Users")
    assert (report.rows, report.expected, report.complete, report.command) == (23, 23, True, False)


def test_values_arrive_byte_for_byte(connect: Connect, service: Service) -> None:
    sent = {service.add_user(f"u{number}", displayName=value): value for number, value in enumerate(HOSTILE)}
    rows = export(connect()).rows("CRM_Users")
    assert {row["id"]: row["displayName"] for row in rows} == sent


def test_missing_is_null_and_booleans_are_words(connect: Connect, service: Service) -> None:
    service.add_user("bare")
    service.add_user("gone", active=False)
    raw = export(connect(tables=(TableRequest("CRM_Users", (ColumnRequest("userName"), ColumnRequest("active"))),)))
    lines = sorted(raw.files["CRM_Users.csv"].decode().splitlines())
    assert lines == ['"bare",', '"gone","false"', '"userName","active"']


def test_paths_reach_parts_lists_and_extensions(connect: Connect, service: Service) -> None:
    service.call(
        "POST",
        "/Users",
        {
            "schemas": [USER, ENTERPRISE],
            "userName": "ada",
            "name": {"givenName": "Ada"},
            "emails": [{"value": "Z@x.org"}, {"value": "b@x.org", "primary": True}, {"value": "a@x.org"}],
            ENTERPRISE: {"department": "Engines", "manager": {"value": "m1"}},
        },
    )
    columns = (
        ColumnRequest("USERNAME"),
        ColumnRequest("name:GivenName"),
        ColumnRequest("emails:value"),
        ColumnRequest(f"{ENTERPRISE}:department"),
        ColumnRequest(f"{ENTERPRISE}:manager:value"),
    )
    [row] = export(connect(tables=(TableRequest("CRM_users", columns),))).rows("CRM_users")
    assert list(row.values()) == ["ada", "Ada", "b@x.org", "Engines", "m1"]
    several = (ColumnRequest("emails:value", multivalued=True),)
    [row] = export(connect(tables=(TableRequest("CRM_Users", several),))).rows("CRM_Users")
    assert row["emails:value"] == "a@x.org\nb@x.org\nZ@x.org"


def test_pages_are_sorted_where_the_server_sorts(connect: Connect, service: Service, proxy: FaultyProxy) -> None:
    fill(service, 3)
    export(connect(proxy.url))
    assert all(asked.query["sortBy"] == "id" for asked in proxy.asked if "/Users?" in asked.path)


def test_a_server_that_only_says_that_it_sorts_is_read_unsorted(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    fill(service, 3)
    proxy.fail("GET", r"sortBy", before=lambda _: Reply.error(400))
    assert export(connect(proxy.url)).table("CRM_Users").rows == 3


def test_groups_and_members_come_from_one_reading(connect: Connect, service: Service, proxy: FaultyProxy) -> None:
    ada, bob = service.add_user("ada"), service.add_user("bob")
    sales, empty = service.add_group("Sales", ada, bob), service.add_group("Empty")
    got = export(connect(proxy.url))
    assert {row["id"] for row in got.rows("CRM_Groups")} == {sales, empty}
    assert {tuple(row.values()) for row in got.rows("CRM_members_Groups")} == {(sales, ada), (sales, bob)}
    assert proxy.count("GET", r"/Groups\?startIndex=1&") == 1


def test_an_empty_server_gives_headers_and_a_complete_report(connect: Connect) -> None:
    got = export(connect())
    assert [(table.rows, table.complete) for table in got.report.tables] == [(0, True)] * 3
    assert got.files["CRM_members_Groups.csv"] == b'"value","MemberId"\n'


def test_the_same_content_gives_the_same_bytes(connect: Connect, service: Service) -> None:
    fill(service, 12)
    assert export(connect(page_size=5)).files == export(connect(page_size=5)).files


def test_a_filter_narrows_one_resource(connect: Connect, service: Service) -> None:
    fill(service, 4)
    got = export(connect(filters={"users": 'userName eq "user002"'}))
    assert [row["userName"] for row in got.rows("CRM_Users")] == ["user002"]


def test_a_server_that_gives_less_than_asked_is_read_to_its_end(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    fill(service, 10)
    proxy.fail("GET", r"/Users\?", before=lambda exchange: exchange.requery(count="3"))
    got = export(connect(proxy.url))
    assert got.table("CRM_Users").complete
    assert len(got.rows("CRM_Users")) == 10


@pytest.mark.parametrize(("lie", "reason"), [(12, "10 objects came, totalResults says 12"), (7, "10 objects came")])
def test_a_total_that_lies_makes_the_export_incomplete(
    connect: Connect, service: Service, proxy: FaultyProxy, lie: int, reason: str
) -> None:
    fill(service, 10)
    proxy.fail("GET", r"/Users\?", after=lambda _, reply: reply.rewrite(totalResults=lie))
    got = export(connect(proxy.url, page_size=4))
    report = got.table("CRM_Users")
    assert (report.complete, report.expected, len(got.rows("CRM_Users"))) == (False, lie, 10)
    assert reason in (report.reason or "")
    assert got.report.cookie is None


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_list_that_changes_while_it_is_read_is_not_complete(
    connect: Connect, service: Service, proxy: FaultyProxy, change: str
) -> None:
    keys = fill(service, 10)

    def meanwhile(_: Exchange) -> None:
        if change == "add":
            service.add_user("newcomer")
        else:
            service.call("DELETE", f"/Users/{keys[0]}")

    proxy.fail("GET", r"/Users\?.*startIndex=5", before=meanwhile, times=1)
    report = export(connect(proxy.url, page_size=4)).table("CRM_Users")
    assert not report.complete
    assert "the list changed while it was read" in (report.reason or "")


def test_overlapping_pages_with_the_right_total_are_not_complete(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    fill(service, 10)
    shown: list[dict[str, object]] = []

    def repeat(_: Exchange, reply: Reply) -> None:
        resources = reply.json()["Resources"]
        if shown and resources:
            reply.rewrite(Resources=[shown[0], *resources[1:]])
        shown.extend(resources)

    proxy.fail("GET", r"/Users\?", after=repeat)
    got = export(connect(proxy.url, page_size=5))
    report = got.table("CRM_Users")
    assert (report.complete, report.rows) == (False, 9)
    assert "1 objects came twice" in (report.reason or "")
    assert len({row["id"] for row in got.rows("CRM_Users")}) == 9


def test_a_server_that_ignores_the_position_does_not_loop_for_ever(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    fill(service, 10)
    proxy.fail("GET", r"/Users\?", before=lambda exchange: exchange.requery(startIndex="1"))
    report = export(connect(proxy.url, page_size=4)).table("CRM_Users")
    assert (report.complete, report.rows, report.expected) == (False, 4, 10)


def test_a_page_that_breaks_off_is_read_again(connect: Connect, service: Service, proxy: FaultyProxy) -> None:
    fill(service, 10)

    def cut(_: Exchange, reply: Reply) -> None:
        reply.cut = 0.5

    proxy.fail("GET", r"startIndex=5", after=cut, times=1)
    got = export(connect(proxy.url, page_size=4))
    assert got.table("CRM_Users").complete
    assert len(got.rows("CRM_Users")) == 10


@pytest.mark.parametrize(("status", "error"), [(500, TransientError), (503, ConnectionFailed)])
def test_a_page_that_fails_for_good_leaves_nothing(
    connect: Connect, service: Service, proxy: FaultyProxy, status: int, error: type[Exception]
) -> None:
    fill(service, 10)
    proxy.fail("GET", r"/Users\?.*startIndex=5", before=lambda _: Reply.error(status, Retry_After="0"))
    files = Files()
    with pytest.raises(error, match=f"CRM: list Users from 5 on: HTTP {status}: on purpose"):
        connect(proxy.url, page_size=4).export(ExportRequest("complete"), files.sink())
    assert dict(files) == {}
    assert proxy.count("GET", r"startIndex=5") == (3 if status == 503 else 1)


def test_a_line_that_drops_for_good_is_a_connection_failure(
    connect: Connect, service: Service, proxy: FaultyProxy
) -> None:
    fill(service, 3)
    proxy.fail("GET", r"/Users\?", before=drop)
    with pytest.raises(ConnectionFailed, match="CRM: list Users: the connection broke"):
        export(connect(proxy.url, max_retries=1))


@pytest.mark.parametrize("wait", ["seconds", "date"])
def test_throttling_is_waited_out(connect: Connect, service: Service, proxy: FaultyProxy, wait: str) -> None:
    fill(service, 3)

    def refuse(_: Exchange) -> Reply:
        ahead = format_datetime(datetime.now(UTC) + timedelta(seconds=2.5), usegmt=True)
        return Reply.error(429, Retry_After="1" if wait == "seconds" else ahead)

    proxy.fail("GET", r"/Users\?", before=refuse, times=1)
    assert export(connect(proxy.url)).table("CRM_Users").complete
    refused, again, *_ = [asked for asked in proxy.asked if "/Users?" in asked.path]
    assert again.at - refused.at >= 0.95


def test_throttling_for_too_long_is_left_to_the_scheduler(connect: Connect, proxy: FaultyProxy) -> None:
    proxy.fail("GET", r"/Users\?", before=lambda _: Reply.error(429, Retry_After="3600"))
    with pytest.raises(Throttled) as caught:
        export(connect(proxy.url))
    assert caught.value.retry_after == 3600
    assert proxy.count("GET", r"/Users\?") == 1


def test_an_unknown_column_is_named_with_the_nearest_one(connect: Connect) -> None:
    tables = (TableRequest("CRM_Users", (ColumnRequest("id"), ColumnRequest("name:famlyName"))),)
    with pytest.raises(ConfigurationError) as caught:
        export(connect(tables=tables))
    assert caught.value.message == (
        "table 'CRM_Users', column 'name:famlyName': the server's schemas know no such attribute; "
        "did you mean 'name:familyName'?"
    )


def test_an_unknown_resource_is_named_with_the_nearest_one(connect: Connect) -> None:
    with pytest.raises(ConfigurationError, match="no resource 'Grops'; did you mean 'Groups'"):
        export(connect(tables=(TableRequest("CRM_Grops", (ColumnRequest("id"),)),)))


def test_an_answer_that_is_no_list_is_refused(connect: Connect, proxy: FaultyProxy) -> None:
    proxy.fail("GET", r"/Users\?", before=lambda _: Reply(200, {"Content-Type": "application/json"}, b"{}"))
    with pytest.raises(IncompleteExport, match="not a SCIM list"):
        export(connect(proxy.url))


def test_a_page_that_is_not_json_points_at_the_address(connect: Connect, proxy: FaultyProxy) -> None:
    proxy.fail("GET", r"/Users\?", before=lambda _: Reply(200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"))
    with pytest.raises(ConfigurationError, match="not JSON; check the address"):
        export(connect(proxy.url))


def test_a_silent_server_is_read_by_the_rfc(connect: Connect, service: Service, proxy: FaultyProxy) -> None:
    service.add_user("ada", emails=[{"value": "a@x.org"}], active=True)
    proxy.fail("GET", r"/(Schemas|ResourceTypes|ServiceProviderConfig)$", before=lambda _: Reply.error(404))
    [row] = export(connect(proxy.url)).rows("CRM_Users")
    assert (row["userName"], row["emails:value"], row["active"]) == ("ada", "a@x.org", "true")


class TestIncremental:
    def since(self, instant: datetime) -> str:
        return json.dumps({"Users": instant.isoformat()})

    def test_only_changed_users_come_as_updates(self, connect: Connect, service: Service) -> None:
        fill(service, 3)
        key = service.add_user("late")
        moment = datetime.fromisoformat(service.user(key)["meta"]["lastModified"]) - timedelta(milliseconds=1)
        got = export(connect(), "incremental", self.since(moment))
        assert [(row["id"], row["command"]) for row in got.rows("CRM_Users")] == [(key, "update")]
        assert got.table("CRM_Users").command
        assert not got.table("CRM_Groups").command

    def test_the_cookie_of_a_complete_run_reaches_back_over_the_overlap(
        self, connect: Connect, service: Service
    ) -> None:
        before = datetime.now(UTC)
        got = export(connect())
        moment = datetime.fromisoformat(got.cookie["Users"])
        assert before - timedelta(minutes=5, seconds=2) <= moment <= datetime.now(UTC) - timedelta(minutes=5)
        key = service.add_user("new")
        later = export(connect(), "incremental", got.report.cookie)
        assert [row["id"] for row in later.rows("CRM_Users")] == [key]

    def test_a_slow_clock_of_the_server_moves_the_cookie_back(self, connect: Connect, proxy: FaultyProxy) -> None:
        behind = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

        def turn_back(_: Exchange, reply: Reply) -> None:
            reply.headers["Date"] = format_datetime(behind, usegmt=True)

        proxy.fail("GET", r"/Users\?", after=turn_back)
        got = export(connect(proxy.url))
        assert datetime.fromisoformat(got.cookie["Users"]) == behind - timedelta(minutes=5)

    def test_a_refused_filter_gives_the_whole_table(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        keys = fill(service, 4)
        proxy.fail("GET", r"/Users\?.*lastModified", before=lambda _: Reply.error(400))
        got = export(connect(proxy.url), "incremental", self.since(datetime.now(UTC)))
        report = got.table("CRM_Users")
        assert (report.command, report.complete, report.rows) == (False, True, len(keys))
        assert "command" not in got.rows("CRM_Users")[0]
        assert got.cookie

    def test_a_filter_of_the_settings_still_holds(self, connect: Connect, service: Service) -> None:
        fill(service, 4)
        connector = connect(filters={"Users": 'userName eq "user001" or userName eq "user002"'})
        got = export(connector, "incremental", self.since(datetime.now(UTC) - timedelta(hours=1)))
        assert sorted(row["userName"] for row in got.rows("CRM_Users")) == ["user001", "user002"]
        assert got.table("CRM_Users").command

    def test_the_cookie_stays_when_the_list_does_not_add_up(
        self, connect: Connect, service: Service, proxy: FaultyProxy
    ) -> None:
        fill(service, 4)
        proxy.fail("GET", r"/Users\?", after=lambda _, reply: reply.rewrite(totalResults=9))
        got = export(connect(proxy.url), "incremental", '{"Users": "2020-01-01T00:00:00.000Z"}')
        assert got.cookie == {"Users": "2020-01-01T00:00:00.000Z"}
        assert not got.table("CRM_Users").complete

    @pytest.mark.parametrize("cookie", ["", "not json", "[]", '{"Users": 5}', '{"Users": "yesterday"}'])
    def test_an_unreadable_cookie_asks_for_a_complete_run(self, connect: Connect, cookie: str) -> None:
        with pytest.raises(CookieExpired):
            export(connect(), "incremental", cookie)

    def test_a_first_run_without_cookie_is_complete(self, connect: Connect, service: Service) -> None:
        fill(service, 2)
        assert not export(connect(), "incremental").table("CRM_Users").command
