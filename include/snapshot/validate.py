"""What Great Expectations says of the clean tables of a run: a verdict, results and pages.

Only this module and ``expectations`` know that library; it judges, and never changes or drops a row.
"""

from __future__ import annotations

import html
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from include.model.configuration import Connector
from include.snapshot.errors import SnapshotError
from include.snapshot.expectations import Check, CheckedTable, checked_tables, checks_version, run_checks
from include.snapshot.previous import PublishedSnapshot
from include.snapshot.raw import csv_relation
from include.snapshot.reuse import take_over_validation
from include.snapshot.work import REJECT_COLUMNS
from include.storage.engine import literal, name
from include.storage.folder import Folder

RESULTS = "results.json"
DOCS = "data_docs"


@dataclass(frozen=True, slots=True)
class Validation:
    """The verdict on a run's clean tables.

    ``critical`` holds a line per critical expectation that failed and per check that could not be carried
    out (neither passed nor failed); ``warnings`` a line per other one that failed. ``results_path`` and
    ``data_docs_path`` are files of the run.
    """

    success: bool
    critical: tuple[str, ...]
    warnings: tuple[str, ...]
    checked: int
    results_path: str = f"validation/{RESULTS}"
    data_docs_path: str = f"validation/{DOCS}/index.html"


def validate(connector: Connector, run: Folder, previous: PublishedSnapshot | None = None) -> Validation:
    """Check the clean tables of a run; ``validation/results.json`` is written last.

    Checked are the model (primary keys, unique keys, allowed values, rejected lines) and the expectations
    that the integrator wrote, each with its severity.

    Args:
        connector: whose run it is.
        run: the folder of the run.
        previous: a snapshot of ``reuse.same_origin``, whose results hold where its clean tables are the same.

    Raises:
        SnapshotError: the run is not prepared.
    """
    folder, clean = run.child("validation"), run.child("clean")
    if not clean.exists("preparation.json"):
        raise SnapshotError("clean/preparation.json is missing: prepare the run before validating it")
    folder.remove(RESULTS)
    if previous is not None and take_over_validation(connector, run, previous):
        return _read(folder)
    tables = checked_tables(connector)
    with tempfile.TemporaryDirectory(prefix="rollcall-validation-") as temporary:
        place = Path(temporary)
        with _database(clean, tables, place) as database:
            checks, pages = run_checks(database, tables)
    _write_docs(folder, connector, checks, pages)
    validation = _verdict(checks)
    folder.write_json(
        RESULTS,
        {
            "success": validation.success,
            "critical": list(validation.critical),
            "warnings": list(validation.warnings),
            "checked": validation.checked,
            "checks_version": checks_version(connector),
            "results": [asdict(check) for check in checks],
        },
    )
    return validation


@contextmanager
def _database(clean: Folder, tables: Sequence[CheckedTable], place: Path) -> Iterator[Path]:
    """A DuckDB file with a view over each clean table; files that are not local are copied first."""
    import duckdb

    database = place / "clean.duckdb"
    with duckdb.connect(str(database)) as connection:
        for table in tables:
            file = clean.file(table.file)
            if not clean.is_local:
                file = str(place / table.file)
                with clean.open(table.file) as source, Path(file).open("wb") as target:
                    shutil.copyfileobj(source, target)
            connection.execute(f"CREATE VIEW {name(table.name)} AS SELECT * FROM {_relation(table, file)}")
    yield database


def _relation(table: CheckedTable, file: str) -> str:
    if table.file.endswith(".csv"):
        return csv_relation(file, REJECT_COLUMNS)
    return f"read_parquet({literal(file)})"


def _read(folder: Folder) -> Validation:
    found = folder.read_json(RESULTS)
    return Validation(found["success"], tuple(found["critical"]), tuple(found["warnings"]), found["checked"])


def _verdict(checks: Sequence[Check]) -> Validation:
    critical = tuple(str(check) for check in checks if check.blocks)
    warnings = tuple(str(check) for check in checks if check.success is False and not check.blocks)
    return Validation(not critical, critical, warnings, len(checks))


def _write_docs(folder: Folder, connector: Connector, checks: Sequence[Check], pages: dict[str, str]) -> None:
    docs = folder.child(DOCS)
    for page, content in pages.items():
        docs.write_text(f"{page}.html", content)
    docs.write_text("index.html", _index(connector, checks, pages))


def _index(connector: Connector, checks: Sequence[Check], pages: dict[str, str]) -> str:
    """The page that leads to the others."""
    rows = []
    for page in pages:
        of_page = [check for check in checks if check.table == page]
        failed = [str(check) for check in of_page if not check.success]
        verdict = "<br>".join(html.escape(line) for line in failed) or "all passed"
        rows.append(
            f'<tr><td><a href="{html.escape(page)}.html">{html.escape(page)}</a></td>'
            f"<td>{len(of_page) - len(failed)} of {len(of_page)}</td><td>{verdict}</td></tr>"
        )
    title = f"Expectations of {html.escape(connector.identifier)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<table><thead><tr><th>Table</th><th>Passed</th><th>Verdict</th></tr></thead>\n"
        f"<tbody>\n{chr(10).join(rows)}\n</tbody></table></body></html>\n"
    )
