"""What every exporter owes. A test module gives the fixture ``source``: a real system to read from."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from connectors.contract import (
    Checker,
    ColumnRequest,
    ConnectionContext,
    Exporter,
    ExportReport,
    ExportRequest,
    TableRequest,
)
from connectors.errors import ConfigurationError, ConnectorError, TerminalError, TransientError
from connectors.registry import build, connector_class, settings_model
from tests.contract.hostile import NAMES
from tests.contract.limits import Limited
from tests.contract.raw import Files, Row

COLUMNS = ("id", "name", "note")


@dataclass(frozen=True, slots=True)
class Broken:
    """A connection that cannot work, and the error that its export must raise."""

    title: str
    context: ConnectionContext
    error: type[ConnectorError]


class ExportSource(ABC):
    """A real managed system that holds one table of ``COLUMNS``, all text, ``id`` being its key."""

    package: ClassVar[str]
    page: ClassVar[int]
    """How many rows the connector reads at a time."""
    table: str = "Source_people"
    """Name of the exported table."""
    identifier: str = "Source"
    secrets: tuple[str, ...] = ()
    """Texts that no output may hold."""

    @abstractmethod
    def fill(self, rows: Iterable[Row]) -> None:
        """Make these the rows of the table."""

    @abstractmethod
    def context(self, tables: tuple[TableRequest, ...]) -> ConnectionContext:
        """A connection that works, on which these tables are mapped."""

    @abstractmethod
    def broken(self) -> Sequence[Broken]:
        """Connections that cannot work: unreachable, wrong credentials, and whatever else the system knows."""

    @abstractmethod
    def truncated(self) -> AbstractContextManager[ConnectionContext]:
        """A connection whose next export ends before its end, though the table holds more than two pages."""

    def mapped(self, *columns: str) -> ConnectionContext:
        """A connection on which the columns of the table are mapped."""
        requests = tuple(ColumnRequest(column) for column in columns or COLUMNS)
        return self.context((TableRequest(self.table, requests),))


def exported(context: ConnectionContext, package: str) -> tuple[Files, ExportReport]:
    """The raw files of a complete export, and its report."""
    files = Files()
    report = build(package, context).export(ExportRequest("complete"), files.sink())
    return files, report


def refusal(context: ConnectionContext, package: str) -> ConnectorError:
    """The error of an export that must not succeed; nothing became visible."""
    files = Files()
    with pytest.raises(ConnectorError) as raised:
        build(package, context).export(ExportRequest("complete"), files.sink())
    assert files == {}, "a table became visible though its export failed"
    return raised.value


def assert_presentable(error: ConnectorError, secrets: Iterable[str]) -> None:
    """An error is one line, terminal or transient, crosses processes, and holds no secret."""
    assert error.message.strip()
    assert "\n" not in error.message
    assert isinstance(error, TerminalError) != isinstance(error, TransientError)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message) == (type(error), error.message)
    # A log shows the chain of causes too.
    chain: BaseException | None = error
    while chain is not None:
        assert_secretless(secrets, chain, *chain.args)
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)


def assert_secretless(secrets: Iterable[str], *outputs: Any) -> None:
    """No output holds a secret, printed or represented."""
    for secret in secrets:
        for output in outputs:
            text = output.decode(errors="replace") if isinstance(output, bytes) else f"{output} {output!r}"
            assert secret not in text, "a secret shows"


class ExporterContract(Limited):
    """Subclass it, name it ``Test...``, and override ``source``."""

    capabilities = frozenset({"null", "hostile values", "truncation", "broken connections"})

    @pytest.fixture
    def source(self) -> ExportSource:
        raise NotImplementedError("give the fixture 'source'")

    def test_it_is_an_exporter_and_a_checker_of_a_registered_package(self, source: ExportSource) -> None:
        made = build(source.package, source.mapped())
        assert isinstance(made, connector_class(source.package))
        assert isinstance(made, Exporter)
        assert isinstance(made, Checker)
        assert source.table in made.tables()

    def test_settings_refuse_unknown_fields(self, source: ExportSource) -> None:
        settings = source.mapped().settings.model_dump() | {"no_such_setting": 1}
        with pytest.raises(ValidationError, match="no_such_setting"):
            settings_model(source.package)(**settings)

    def test_every_mapped_column_is_exported_with_its_header(self, source: ExportSource) -> None:
        source.fill([("1", "Anne", "x")])
        files, report = exported(source.mapped(), source.package)
        assert set(COLUMNS) <= set(files.header(source.table))
        (table,) = [table for table in report.tables if table.table == source.table]
        assert (table.rows, table.complete, table.reason) == (1, True, None)

    def test_what_goes_in_comes_out(self, source: ExportSource) -> None:
        with self.capability("hostile values"):
            source.fill((title, value, "x") for title, value in NAMES.items())
            files, report = exported(source.mapped(), source.package)
            assert report.tables[0].rows == len(NAMES)
            assert self.named(files, source) == NAMES

    def test_null_is_told_from_the_empty_string(self, source: ExportSource) -> None:
        with self.capability("null"):
            source.fill([("empty", "", "x"), ("null", None, "x")])
            files, _ = exported(source.mapped(), source.package)
            assert self.named(files, source) == {"empty": "", "null": None}

    def test_an_empty_table_is_a_complete_export_with_a_header(self, source: ExportSource) -> None:
        source.fill([])
        files, report = exported(source.mapped(), source.package)
        assert set(COLUMNS) <= set(files.header(source.table))
        assert files.rows(source.table) == []
        assert (report.tables[0].rows, report.tables[0].complete) == (0, True)

    @pytest.mark.parametrize("extra", [0, 1])
    def test_more_rows_than_a_page_arrive_once_each(self, source: ExportSource, extra: int) -> None:
        identifiers = [f"{number:07}" for number in range(2 * source.page + extra)]
        source.fill((identifier, "Anne", None) for identifier in identifiers)
        files, report = exported(source.mapped(), source.package)
        position = files.header(source.table).index("id")
        assert sorted(str(row[position]) for row in files.rows(source.table)) == identifiers
        assert report.tables[0].rows == len(identifiers)

    def test_the_same_source_gives_the_same_bytes(self, source: ExportSource) -> None:
        source.fill([("2", "Bert", None), ("1", "Anne", "x"), ("3", None, "")])
        assert exported(source.mapped(), source.package)[0] == exported(source.mapped(), source.package)[0]

    def test_a_truncated_answer_is_never_a_complete_table(self, source: ExportSource) -> None:
        with self.capability("truncation"), source.truncated() as context:
            assert_presentable(refusal(context, source.package), source.secrets)

    def test_a_mapped_column_that_is_missing_comes_with_the_nearest_name(self, source: ExportSource) -> None:
        source.fill([("1", "Anne", "x")])
        error = refusal(source.mapped("id", "nam"), source.package)
        assert isinstance(error, ConfigurationError)
        assert "'nam'" in error.message
        assert "'name'" in error.message
        assert_presentable(error, source.secrets)

    def test_a_mapped_table_that_is_missing_is_a_configuration_error(self, source: ExportSource) -> None:
        source.fill([])
        request = TableRequest(f"{source.identifier}_nosuchtable", (ColumnRequest("id"),))
        error = refusal(source.context((request,)), source.package)
        assert isinstance(error, ConfigurationError)
        assert "nosuchtable" in error.message
        assert_presentable(error, source.secrets)

    def test_a_broken_connection_is_one_clear_error(self, source: ExportSource) -> None:
        with self.capability("broken connections"):
            source.fill([("1", "Anne", "x")])
            cases = source.broken()
            assert cases
            for broken in cases:
                error = refusal(broken.context, source.package)
                assert type(error) is broken.error, f"{broken.title}: {error!r}"
                assert_presentable(error, source.secrets)

    def test_a_check_tells_what_works_and_what_does_not(self, source: ExportSource) -> None:
        source.fill([("1", "Anne", "x")])
        verdicts = build(source.package, source.mapped()).check()
        assert verdicts
        assert all(verdict.passed for verdict in verdicts), verdicts
        for broken in () if "broken connections" in self.limits else source.broken():
            failed = [verdict for verdict in build(source.package, broken.context).check() if not verdict.passed]
            assert failed, broken.title
            assert all(verdict.detail.strip() for verdict in failed)
            assert_secretless(source.secrets, *failed)

    def test_no_secret_shows_in_any_output(self, source: ExportSource) -> None:
        source.fill([("1", "Anne", "x")])
        context = source.mapped()
        made = build(source.package, context)
        files, report = exported(context, source.package)
        assert_secretless(source.secrets, made, context, context.settings, report, made.check(), *files.values())

    def named(self, files: Files, source: ExportSource) -> dict[str | None, str | None]:
        """The names of the exported table by id."""
        header = files.header(source.table)
        key, name = header.index("id"), header.index("name")
        return {row[key]: row[name] for row in files.rows(source.table)}
