"""Orders that start workflows, against Airflow's API over HTTP with faults on demand."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import (
    Checker,
    ConnectionContext,
    Endpoint,
    Exporter,
    FileFulfiller,
    FileResult,
    Fulfiller,
    Order,
    OrderResult,
)
from connectors.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    Throttled,
)
from connectors.files.json_orders import JsonConnector, JsonSettings
from connectors.order_files import DOWNLOADED, order_file
from connectors.registry import build, settings_model
from connectors.workflow.connector import InternalWorkflowConnector
from tests.servers.process import free_port
from tests.simulators.airflow_api import LOGIN, PASSWORD, AirflowApi, Silence, airflow_api
from tests.unit.connectors.order_samples import again, sample_order

pytestmark = pytest.mark.timeout(60)
ADDED = {"change_type": "Added", "model": {"workflow_identifier": "onboarding"}}
DELETED = {"change_type": "Deleted", "model": {"workflow_identifier": "leaving"}}


@pytest.fixture
def api() -> Iterator[AirflowApi]:
    with airflow_api() as api:
        api.dags |= {"onboarding": {}, "leaving": {}}
        yield api


def connector(
    api: AirflowApi, *, endpoint: Endpoint | None = None, folder: Path = Path("/nowhere"), **settings: Any
) -> InternalWorkflowConnector:
    given = {
        "source_entity_identifier": "Directory_UserRecord",
        "target_entity_type_identifier": "Directory_User",
        "fulfill_internal_workflow_configurations": [ADDED, DELETED],
        "max_retries": 0,
    }
    used = settings_model("internal_workflow").model_validate(given | settings)
    endpoint = endpoint or Endpoint(host=api.url, login=LOGIN, password=PASSWORD)
    made: InternalWorkflowConnector = build(
        "internal_workflow", ConnectionContext("Workflows", used, endpoint, folder=folder)
    )
    return made


def fulfilled(made: InternalWorkflowConnector, *orders: Order) -> list[OrderResult]:
    return list(made.fulfil(iter(orders)))


def started(api: AirflowApi) -> list[tuple[str, str]]:
    return [(run["dag_id"], run["dag_run_id"]) for run in api.runs]


def stopped(made: InternalWorkflowConnector, *orders: Order) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised:
        fulfilled(made, *orders)
    assert "\n" not in raised.value.message
    assert PASSWORD not in raised.value.message
    assert pickle.loads(pickle.dumps(raised.value)).message == raised.value.message
    return raised.value


def test_it_fulfils_orders_and_files_and_checks_and_exports_nothing(api: AirflowApi) -> None:
    made = connector(api)
    assert isinstance(made, Fulfiller)
    assert isinstance(made, FileFulfiller)
    assert isinstance(made, Checker)
    assert not isinstance(made, Exporter)


class TestStart:
    def test_each_order_starts_one_run_with_the_order_as_its_parameters(self, api: AirflowApi) -> None:
        results = fulfilled(connector(api), sample_order(1), sample_order(2, "Deleted"))
        assert [(result.state, result.key) for result in results] == [("executed", None)] * 2
        assert started(api) == [("onboarding", "rollcall__o1"), ("leaving", "rollcall__o2")]
        assert api.runs[0]["conf"]["OrderId"] == "o1"
        assert api.runs[0]["conf"]["Changes"] == {"login": "login1", "name": "Anne"}
        assert api.runs[1]["conf"]["Resource"]["name"] == "Old"
        assert len(api.tokens) == 1

    def test_a_long_message_is_cut_in_the_note_only(self, api: AirflowApi) -> None:
        model = ADDED["model"] | {"message": "x" * 3000}  # type: ignore[operator]
        made = connector(api, fulfill_internal_workflow_configurations=[ADDED | {"model": model}])
        fulfilled(made, sample_order())
        assert len(api.runs[0]["note"]) == 1000
        assert len(api.runs[0]["conf"]["Workflow"]["Message"]) == 3000

    def test_an_order_that_is_sent_again_starts_nothing(self, api: AirflowApi) -> None:
        fulfilled(connector(api), sample_order(1))
        for order in (sample_order(1), *again(sample_order(1))):
            assert fulfilled(connector(api), order)[0].state == "executed"
        assert started(api) == [("onboarding", "rollcall__o1")]

    def test_an_order_whose_workflow_was_exchanged_meanwhile_starts_nothing(self, api: AirflowApi) -> None:
        fulfilled(connector(api), sample_order(1))
        exchanged = connector(
            api,
            fulfill_internal_workflow_configurations=[ADDED | {"model": {"workflow_identifier": "leaving"}}],
        )
        assert fulfilled(exchanged, *again(sample_order(1)))[0].state == "executed"
        assert started(api) == [("onboarding", "rollcall__o1")]

    def test_an_order_whose_id_begins_like_another_ones_has_its_own_run(self, api: AirflowApi) -> None:
        fulfilled(connector(api), sample_order(11))
        fulfilled(connector(api), *again(sample_order(1)))
        assert started(api) == [("onboarding", "rollcall__o11"), ("onboarding", "rollcall__o1")]

    def test_an_answer_that_gets_lost_starts_nothing_twice(self, api: AirflowApi) -> None:
        lost = iter(["once"])

        def lose(method: str, path: str) -> None:
            if method == "POST" and path.endswith("dagRuns") and next(lost, None):
                raise Silence

        api.after = lose
        (result,) = fulfilled(connector(api, max_retries=1), sample_order(1))
        assert result.state == "executed"
        assert started(api) == [("onboarding", "rollcall__o1")]

    def test_a_token_that_has_ended_is_renewed(self, api: AirflowApi) -> None:
        api.on_start = lambda _: api.tokens.clear()
        results = fulfilled(connector(api), sample_order(1), sample_order(2))
        assert [result.state for result in results] == ["executed", "executed"]

    @pytest.mark.parametrize("where", ["password", "extra"])
    def test_a_token_may_take_the_place_of_login_and_password(self, api: AirflowApi, where: str) -> None:
        api.tokens.append("t0ken")
        endpoint = {
            "password": Endpoint(host=api.url, password="t0ken"),
            "extra": Endpoint(host=api.url, extra={"token": "t0ken"}),
        }[where]
        assert fulfilled(connector(api, endpoint=endpoint), sample_order(1))[0].state == "executed"
        assert "POST /auth/token" not in api.asked


class TestErrors:
    def errored(self, made: InternalWorkflowConnector, order: Order) -> OrderResult:
        """The result of an order between two good ones."""
        results = fulfilled(made, sample_order("a"), order, sample_order("b"))
        assert [result.state for result in results] == ["executed", "errored", "executed"]
        assert "\n" not in str(results[1].message)
        return results[1]

    def test_an_unknown_workflow_is_permanent(self, api: AirflowApi) -> None:
        result = self.errored(connector(api), sample_order(Arguments={"WorkflowIdentifier": "nowhere/x"}))
        assert (result.error_class, result.transient) == ("ConfigurationError", False)
        assert "start workflow 'nowhere/x': Airflow has no DAG of that id" in str(result.message)

    @pytest.mark.parametrize(
        ("status", "detail", "kind", "transient"),
        [
            (400, "Dag has import errors and cannot be triggered", "InvalidValue", False),
            (403, "Forbidden", "PermissionDenied", False),
            (409, {"reason": "another one"}, "InvalidValue", False),
            (422, [{"msg": "Field required"}], "InvalidValue", False),
            (500, "Internal Server Error", "TransientError", True),
            (503, "starting", "ConnectionFailed", True),
        ],
    )
    def test_what_airflow_answers_has_a_class_and_its_own_words(
        self, api: AirflowApi, status: int, detail: Any, kind: str, transient: bool
    ) -> None:
        api.dags["odd"] = {}
        api.before = lambda _, path: (
            (status, {"detail": detail}) if "/odd/" in path and "rollcall" not in path else None
        )
        result = self.errored(connector(api), sample_order(Arguments={"WorkflowIdentifier": "odd"}))
        assert (result.error_class, result.transient) == (kind, transient)
        words = detail if isinstance(detail, str) else "another one" if status == 409 else "Field required"
        assert f"HTTP {status}: {words}" in str(result.message)

    def test_refused_credentials_stop_the_batch(self, api: AirflowApi) -> None:
        made = connector(api, endpoint=Endpoint(host=api.url, login=LOGIN, password="wrong"))
        assert isinstance(stopped(made, sample_order()), AuthenticationFailed)
        made = connector(api, endpoint=Endpoint(host=api.url, password="not-the-token"))
        error = stopped(made, sample_order())
        assert isinstance(error, AuthenticationFailed)
        assert "not-the-token" not in error.message
        assert started(api) == []

    def test_an_airflow_that_cannot_be_reached_stops_the_batch(self, api: AirflowApi) -> None:
        endpoint = Endpoint(host=f"http://127.0.0.1:{free_port()}", login=LOGIN, password=PASSWORD)
        error = stopped(connector(api, endpoint=endpoint), sample_order())
        assert isinstance(error, ConnectionFailed)

    def test_an_airflow_that_asks_to_wait_is_obeyed(self, api: AirflowApi) -> None:
        api.before = lambda _, path: (429, {}) if path.endswith("dagRuns") else None
        assert isinstance(stopped(connector(api), sample_order()), Throttled)

    def test_an_address_that_is_no_airflow_is_told(self, api: AirflowApi) -> None:
        api.before = lambda *_: (200, b"<html>")
        (result,) = fulfilled(connector(api), sample_order())
        assert result.error_class == "ConfigurationError"
        assert "not JSON; check the address of Airflow" in str(result.message)

    def test_credentials_are_not_sent_in_the_clear(self, api: AirflowApi) -> None:
        endpoint = Endpoint(host="http://airflow.example.org", login=LOGIN, password=PASSWORD)
        error = stopped(connector(api, endpoint=endpoint), sample_order())
        assert "uses http to 'airflow.example.org': use https" in error.message

    def test_a_secret_in_airflows_own_words_is_blotted_out(self, api: AirflowApi) -> None:
        api.before = lambda _, path: (400, {"detail": f"no {PASSWORD}"}) if path.endswith("dagRuns") else None
        (result,) = fulfilled(connector(api), sample_order())
        assert PASSWORD not in str(result)
        assert "no ***" in str(result.message)


class TestFiles:
    def folder(self, tmp_path: Path, *orders: Order, files: Any = "per_order") -> Path:
        """A folder with files that package ``json`` wrote."""
        made = JsonConnector(ConnectionContext("Files", JsonSettings(files=files), folder=tmp_path))
        assert {result.state for result in made.fulfil(iter(orders))} <= {"executed"}
        return tmp_path

    def consumed(self, api: AirflowApi, folder: Path, **settings: Any) -> list[FileResult]:
        return list(connector(api, folder=folder, source="folder", **settings).fulfil_files())

    @pytest.mark.parametrize("files", ["per_order", "per_batch"])
    def test_each_order_of_the_files_starts_one_run_and_the_files_move(
        self, api: AirflowApi, tmp_path: Path, files: str
    ) -> None:
        folder = self.folder(tmp_path, sample_order(1), sample_order(2, "Deleted"), files=files)
        names = sorted(file.name for file in folder.glob("*.json"))
        results = self.consumed(api, folder)
        assert sorted(result.file for result in results) == names
        assert sorted(started(api)) == [("leaving", "rollcall__o2"), ("onboarding", "rollcall__o1")]
        assert list(folder.glob("*.json")) == []
        moved = sorted(file.name for file in (folder / DOWNLOADED).iterdir())
        assert moved == sorted([*names, *(name.replace(".json", ".results.json") for name in names)])
        assert self.consumed(api, folder) == []

    def test_the_results_lie_beside_the_file(self, api: AirflowApi, tmp_path: Path) -> None:
        bad = sample_order(2, Arguments={"WorkflowIdentifier": "nowhere"})
        self.consumed(api, self.folder(tmp_path, sample_order(1), bad, files="per_batch"))
        (file,) = (tmp_path / DOWNLOADED).glob("*.results.json")
        results = json.loads(file.read_text(encoding="utf-8"))
        assert [(item["order_id"], item["state"], item["error_class"]) for item in results] == [
            ("o1", "executed", None),
            ("o2", "errored", "ConfigurationError"),
        ]

    def test_files_are_taken_in_the_order_in_which_they_were_written(self, api: AirflowApi, tmp_path: Path) -> None:
        for second, number in enumerate((3, 1, 2)):
            self.folder(tmp_path, sample_order(number))
            os.utime(tmp_path / f"CRM_User-o{number}.json", (second, second))
        self.consumed(api, tmp_path)
        assert [run for _, run in started(api)] == ["rollcall__o3", "rollcall__o1", "rollcall__o2"]

    def test_only_the_resource_types_that_are_asked_for_are_read(self, api: AirflowApi, tmp_path: Path) -> None:
        other = sample_order(2, ResourceType={"Identifier": "Badge"})
        folder = self.folder(tmp_path, sample_order(1), other)
        (result,) = self.consumed(api, folder, resource_types=["CRM_User"])
        assert result.file == "CRM_User-o1.json"
        assert [file.name for file in folder.glob("*.json")] == ["Badge-o2.json"]
        assert started(api) == [("onboarding", "rollcall__o1")]

    def test_a_file_of_several_resource_types_is_not_read_in_part(self, api: AirflowApi, tmp_path: Path) -> None:
        other = sample_order(2, ResourceType={"Identifier": "Badge"})
        (tmp_path / "mixed.json").write_bytes(order_file([sample_order(1), other]))
        (result,) = self.consumed(api, tmp_path, resource_types=["CRM_User"])
        assert "holds orders of Badge too" in str(result.waits)
        assert started(api) == []

    def test_a_file_that_is_none_waits_and_does_not_stop_the_others(self, api: AirflowApi, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text("{")
        results = {result.file: result for result in self.consumed(api, self.folder(tmp_path, sample_order(1)))}
        assert (results["a.json"].transient, results["CRM_User-o1.json"].waits) == (False, None)
        assert "a.json, line 1: not a JSON file" in str(results["a.json"].waits)
        assert [file.name for file in tmp_path.glob("*.json")] == ["a.json"]

    def test_a_file_with_an_order_that_may_succeed_later_waits_and_is_completed(
        self, api: AirflowApi, tmp_path: Path
    ) -> None:
        folder = self.folder(tmp_path, sample_order(1), sample_order(2, "Deleted"), files="per_batch")
        api.before = lambda _, path: (500, {}) if "/leaving/" in path else None
        (result,) = self.consumed(api, folder)
        assert (result.transient, [item.state for item in result.results]) == (True, ["executed", "errored"])
        assert "1 orders may succeed later" in str(result.waits)
        api.before = lambda *_: None
        (result,) = self.consumed(api, folder)
        assert [item.state for item in result.results] == ["executed", "executed"]
        assert started(api) == [("onboarding", "rollcall__o1"), ("leaving", "rollcall__o2")]

    @pytest.mark.parametrize("after", range(7))
    def test_a_reader_that_dies_anywhere_starts_nothing_twice(
        self, api: AirflowApi, tmp_path: Path, after: int
    ) -> None:
        folder = self.folder(tmp_path, *(sample_order(number) for number in (1, 2, 3)), files="per_batch")

        def die(_: str, __: str) -> None:
            if len(api.asked) > after:
                raise Silence

        api.after = die
        with pytest.raises(ConnectionFailed):
            self.consumed(api, folder)
        api.after = lambda *_: None
        self.consumed(api, folder)
        assert [run for _, run in started(api)] == ["rollcall__o1", "rollcall__o2", "rollcall__o3"]
        assert list(folder.glob("*.json")) == []

    def test_a_file_that_is_put_back_tries_what_failed_and_nothing_else(self, api: AirflowApi, tmp_path: Path) -> None:
        bad = sample_order(2, Arguments={"WorkflowIdentifier": "late"})
        folder = self.folder(tmp_path, sample_order(1), bad, files="per_batch")
        (first,) = self.consumed(api, folder)
        api.dags["late"] = {}
        (folder / DOWNLOADED / first.file).rename(folder / first.file)
        (second,) = self.consumed(api, folder)
        assert [item.state for item in second.results] == ["executed", "executed"]
        assert started(api) == [("onboarding", "rollcall__o1"), ("late", "rollcall__o2")]

    def test_a_folder_that_is_not_there_is_one_line(self, api: AirflowApi, tmp_path: Path) -> None:
        with pytest.raises(ConnectionFailed, match="there is no folder"):
            self.consumed(api, tmp_path, path="orders")

    def test_a_connection_without_a_folder_reads_none(self, api: AirflowApi) -> None:
        with pytest.raises(ConfigurationError, match="set 'source: folder'"):
            list(connector(api).fulfil_files())


class TestCheck:
    def verdicts(self, made: InternalWorkflowConnector) -> dict[str, tuple[bool, str]]:
        return {verdict.title: (verdict.passed, verdict.detail) for verdict in made.check()}

    def test_a_connection_that_works(self, api: AirflowApi, tmp_path: Path) -> None:
        assert self.verdicts(connector(api, folder=tmp_path, source="folder")) == {
            "Airflow reachable": (True, ""),
            "Credentials accepted": (True, ""),
            "Workflow of Added": (True, "DAG 'onboarding'"),
            "Workflow of Deleted": (True, "DAG 'leaving'"),
            "folder .": (True, f"0 files wait in {tmp_path}"),
        }

    @pytest.mark.parametrize(
        ("dag", "words"),
        [
            ({"is_paused": True}, "is paused: its runs would wait"),
            ({"has_import_errors": True}, "cannot be imported"),
            (None, "Airflow has no DAG 'onboarding'"),
        ],
    )
    def test_a_workflow_that_cannot_run(self, api: AirflowApi, dag: Any, words: str) -> None:
        del api.dags["onboarding"]
        api.dags |= {"onboarding": dag} if dag else {}
        passed, detail = self.verdicts(connector(api))["Workflow of Added"]
        assert not passed
        assert words in detail

    def test_refused_credentials_and_an_address_where_nobody_answers(self, api: AirflowApi, tmp_path: Path) -> None:
        wrong = connector(api, endpoint=Endpoint(host=api.url, login=LOGIN, password="wrong"))
        ((title, (passed, detail)),) = self.verdicts(wrong).items()
        assert (title, passed) == ("Credentials accepted", False)
        assert "login or password is refused" in detail
        nobody = Endpoint(host=f"http://127.0.0.1:{free_port()}", login=LOGIN, password=PASSWORD)
        verdicts = self.verdicts(connector(api, endpoint=nobody, source="folder", folder=tmp_path, path="no"))
        assert [(title, passed) for title, (passed, _) in verdicts.items()] == [
            ("Airflow reachable", False),
            ("folder no", False),
        ]
