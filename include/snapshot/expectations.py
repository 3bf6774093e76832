"""The adapter to Great Expectations on DuckDB: which checks a table gets, and what came of each.

DuckDB works through SQLAlchemy only with the engine options below: the library closes the connection
before it fetches, so one connection must be held open, without reset or rollback.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from include.model.base import Severity
from include.model.configuration import Association, Connector, EntityType, Expectation
from include.snapshot.expectation_names import COLUMN_ARGUMENTS, mistakes
from include.storage.engine import DEFAULT_MEMORY_LIMIT, MEMORY_LIMIT

SAMPLES = 5
"""Unexpected values that a page shows."""
REJECTS = "__rejects"
LIBRARY = "great_expectations"


@dataclass(frozen=True, slots=True)
class CheckedTable:
    """One table to check: its name, its file in ``clean/``, its entity type or association, the expectations."""

    name: str
    file: str
    entity_type: str
    expectations: tuple[Expectation, ...]
    broken: tuple[tuple[Expectation, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation and its outcome; ``success`` is None where it could not be carried out (``error``)."""

    table: str
    entity_type: str
    expectation: str
    column: str | None
    severity: Severity
    success: bool | None
    observed: Any = None
    unexpected_count: int | None = None
    error: str | None = None

    @property
    def blocks(self) -> bool:
        """Whether it stops the run: a critical failure, or a check that says nothing."""
        return self.success is None or (self.success is False and self.severity == "critical")

    def __str__(self) -> str:
        """The line that an operator reads."""
        subject = f"{self.table}: {self.expectation}" + (f" of {self.column}" if self.column else "")
        if self.success is None:
            return f"{subject} could not be checked: {self.error}"
        if self.success:
            return f"{subject} passed"
        found = f"{self.unexpected_count} unexpected" if self.unexpected_count is not None else f"found {self.observed}"
        return f"{subject} failed: {found}"


def checked_tables(connector: Connector) -> list[CheckedTable]:
    """What is checked of a connector: its clean tables, and the lines that were set aside."""
    tables = []
    for entity_type in connector.entity_types:
        written = [(expectation, _first_mistake(entity_type, expectation)) for expectation in entity_type.expectations]
        tables.append(
            CheckedTable(
                entity_type.identifier,
                f"{entity_type.identifier}.parquet",
                entity_type.identifier,
                (*_of_the_model(entity_type), *(expectation for expectation, mistake in written if mistake is None)),
                tuple((expectation, mistake) for expectation, mistake in written if mistake is not None),
            )
        )
    items: tuple[EntityType | Association, ...] = (*connector.entity_types, *connector.associations)
    for item in items:
        no_line = Expectation(
            expectation="unexpected_rows_expectation",
            arguments={"unexpected_rows_query": "SELECT * FROM {batch}"},
            severity="warning",
        )
        identifier = item.identifier
        tables.append(CheckedTable(f"{identifier}{REJECTS}", f"{identifier}.rejects.csv", identifier, (no_line,)))
    return tables


def checks_version(connector: Connector) -> str:
    """SHA-256 over everything that is checked and the version of the library that checks it."""
    checks = [asdict(table) | {"expectations": _plain(table.expectations)} for table in checked_tables(connector)]
    text = json.dumps([version(LIBRARY), checks], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(expectations: Sequence[Expectation]) -> list[dict[str, Any]]:
    return [item.model_dump(mode="json") for item in expectations]


def _first_mistake(entity_type: EntityType, expectation: Expectation) -> str | None:
    return next((message for _, message in mistakes(entity_type, expectation)), None)


def _of_the_model(entity_type: EntityType) -> Iterator[Expectation]:
    """What the model itself demands of a clean table."""
    key = {"column": entity_type.primary_key.identifier}
    yield Expectation(expectation="expect_column_values_to_not_be_null", arguments=key, severity="critical")
    yield Expectation(expectation="expect_column_values_to_be_unique", arguments=key, severity="critical")
    for item in entity_type.mapped_properties:
        column = {"column": item.identifier}
        if item.unique_key and not item.primary_key:
            yield Expectation(expectation="expect_column_values_to_be_unique", arguments=column, severity=item.severity)
        if item.allowed_values is not None:
            yield Expectation(
                expectation="expect_column_values_to_be_in_set",
                arguments={**column, "value_set": list(item.allowed_values)},
                severity=item.severity,
            )


def run_checks(database: Path, tables: Sequence[CheckedTable]) -> tuple[list[Check], dict[str, str]]:
    """Check the tables of a DuckDB file.

    Returns:
        The checks in order, and an HTML page per table.
    """
    checks: list[Check] = []
    pages: dict[str, str] = {}
    with _quiet():
        source = _data_source(database)
        for table in tables:
            checks += [_broken(table, expectation, mistake) for expectation, mistake in table.broken]
            found, page = _check_table(source, table)
            checks += found
            pages[table.name] = page
        source.get_engine().dispose()
    return checks, pages


@contextmanager
def _quiet() -> Iterator[None]:
    """Great Expectations without its page of log lines, its deprecations and its analytics."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    levels = {LIBRARY: logging.getLogger(LIBRARY).level}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger(LIBRARY).setLevel(logging.CRITICAL)
        importlib.import_module(LIBRARY)
        # Some of its modules set a level of their own when they are imported.
        for known in [item for item in logging.root.manager.loggerDict if item.startswith(f"{LIBRARY}.")]:
            levels[known] = logging.getLogger(known).level
            logging.getLogger(known).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for known, level in levels.items():
                logging.getLogger(known).setLevel(level)


def _data_source(database: Path) -> Any:
    import great_expectations
    from sqlalchemy.pool import StaticPool

    # Any: the options below are public, and missing from the library's type hints.
    context: Any = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    memory = os.environ.get(MEMORY_LIMIT, DEFAULT_MEMORY_LIMIT)
    return context.data_sources.add_sql(
        "clean",
        connection_string=f"duckdb:///{database}",
        kwargs={
            "poolclass": StaticPool,
            "pool_reset_on_return": None,
            "isolation_level": "AUTOCOMMIT",
            "skip_autocommit_rollback": True,
            "connect_args": {"config": {"memory_limit": memory}},
        },
    )


def _check_table(source: Any, table: CheckedTable) -> tuple[list[Check], str]:
    import great_expectations
    from great_expectations.expectations.registry import get_expectation_impl

    batch = (
        source.add_table_asset(table.name, table_name=table.name).add_batch_definition_whole_table("whole").get_batch()
    )
    suite = great_expectations.ExpectationSuite(name=table.name)
    checks: list[Check] = []
    for expectation in table.expectations:
        try:
            known: Any = get_expectation_impl(expectation.expectation)
            suite.add_expectation(known(**expectation.arguments, severity=expectation.severity))
        except (TypeError, ValueError) as error:
            checks.append(_broken(table, expectation, f"its arguments are refused: {_one_line(str(error))}"))
    results = batch.validate(suite, result_format={"result_format": "BASIC", "partial_unexpected_count": SAMPLES})
    checks += [_check(table, result) for result in results.results]
    return checks, _page(results)


def _broken(table: CheckedTable, expectation: Expectation, mistake: str) -> Check:
    return Check(
        table=table.name,
        entity_type=table.entity_type,
        expectation=expectation.expectation,
        column=_column(expectation.arguments),
        severity=expectation.severity,
        success=None,
        error=mistake,
    )


def _check(table: CheckedTable, result: Any) -> Check:
    configuration, values = result.expectation_config, result.result or {}
    error = _exception(result.exception_info)
    unexpected = values.get("unexpected_count")
    observed = values.get("observed_value")
    if configuration.type == "unexpected_rows_expectation":
        unexpected = observed
    return Check(
        table=table.name,
        entity_type=table.entity_type,
        expectation=configuration.type,
        column=_column(configuration.kwargs),
        severity="critical" if configuration.severity.value == "critical" else "warning",
        success=None if error else bool(result.success),
        observed=json.loads(json.dumps(observed, default=str)),
        unexpected_count=int(unexpected) if isinstance(unexpected, int) else None,
        error=error,
    )


def _column(arguments: Mapping[str, Any]) -> str | None:
    named = [str(arguments[argument]) for argument in COLUMN_ARGUMENTS if argument in arguments]
    return ", ".join(named) or None


def _exception(info: Mapping[str, Any] | None) -> str | None:
    """One line for a check that could not be carried out: the library tells of one error, or of one per metric."""
    if not info:
        return None
    told = [info] if "raised_exception" in info else [item for item in info.values() if isinstance(item, Mapping)]
    raised = [str(item.get("exception_message")) for item in told if item.get("raised_exception")]
    return _one_line(raised[0]) if raised else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _page(results: Any) -> str:
    """The Data Docs page of one table, without the stack traces of checks that could not be carried out."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaPageView

    for result in results.results:
        error = _exception(result.exception_info)
        if error:
            result.exception_info = {
                "raised_exception": True,
                "exception_message": error,
                "exception_traceback": error,
            }
    view: Any = DefaultJinjaPageView()
    page: str = view.render(ValidationResultsPageRenderer().render(results))
    return page
