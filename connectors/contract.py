"""The connector contract: what a managed system's door offers, and the shapes that pass through it.

A connector is a class with a ``Settings`` model and a constructor that takes one
``ConnectionContext``. It implements the protocols below that its system allows; a capability is what
is implemented (``isinstance(connector, Fulfiller)``), nothing declares what it cannot do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pyarrow

Mode = Literal["complete", "incremental", "initial"]
ChangeType = Literal["Added", "Modified", "Deleted"]
COMMAND_COLUMN = "command"
"""Name of the extra column of an incremental table: insert, update, delete or merge."""


class ConnectorSettings(BaseModel):
    """Base of every package's settings: frozen and closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the Airflow Connection holds: address and credentials. Secrets stay out of ``repr``."""

    host: str | None = None
    port: int | None = None
    schema: str | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    connection_type: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnRequest:
    """A column that a mapping reads."""

    name: str
    multivalued: bool = False


@dataclass(frozen=True, slots=True)
class TableRequest:
    """A connection table that a mapping reads, with the columns it needs (engine.md 1.6)."""

    name: str
    columns: tuple[ColumnRequest, ...]


@dataclass(frozen=True, slots=True)
class ConnectionContext:
    """One connection, ready to use: its identifier, typed settings, address, and mapped tables.

    Relative paths in settings resolve under ``folder``.
    """

    identifier: str
    settings: ConnectorSettings
    endpoint: Endpoint = field(default_factory=Endpoint)
    tables: tuple[TableRequest, ...] = ()
    folder: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export: all mapped tables of the connection, from the cookie on where there is one."""

    mode: Mode
    cookie: str | None = None


@dataclass(frozen=True, slots=True)
class TableReport:
    """What was written of one table. ``complete`` false means: no deletion may be read from it.

    ``rows`` counts data rows; ``expected`` is the source's own total where it tells one. ``command``
    says that the table holds changes with a command column, not the whole content.
    """

    table: str
    rows: int
    complete: bool
    expected: int | None = None
    command: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported of one connection, and the cookie from which to go on next time."""

    tables: tuple[TableReport, ...]
    cookie: str | None = None


class TableWriter(Protocol):
    """Writes the rows of one raw CSV file. ``None`` is NULL, distinct from the empty string."""

    rows: int

    def write_rows(self, rows: Iterable[Sequence[str | None]]) -> None:
        """Append rows, in the order of the table's columns."""

    def write_batch(self, batch: pyarrow.RecordBatch) -> None:
        """Append a record batch of string columns, in the order of the table's columns."""


class Sink(Protocol):
    """Where an export goes: RFC 4180 UTF-8 CSV, one file per table, visible only when closed."""

    def table(self, name: str, columns: Sequence[str]) -> AbstractContextManager[TableWriter]:
        """Open one table; the file appears under its name when the block ends without an error."""


def _pascal_case(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


class Prerequisite(BaseModel):
    """An order that another one depends on, and the batch in which it goes out."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, alias_generator=_pascal_case)

    order_id: str
    batch: str


class Order(BaseModel):
    """One provisioning order, in the JSON shape of engine.md 3.6 (names in PascalCase on disk)."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        populate_by_name=True,
        alias_generator=_pascal_case,
    )

    order_id: str
    assigned_resource_type_id: str
    change_type: ChangeType
    owner: dict[str, Any]
    resource_type: dict[str, Any]
    changes: dict[str, Any] = {}
    resource: dict[str, Any] = {}
    arguments: dict[str, str] = {}
    prerequisite: Prerequisite | None = None
    """The order of the same run that must be executed before this one is sent."""
    sent_before: bool = False
    """True when an earlier try may have reached the system: look before you write."""


@dataclass(frozen=True, slots=True)
class OrderResult:
    """The outcome of one order. ``key`` is the primary key of the object written, where known.

    ``transient`` says that the same order may succeed later, ``retry_after`` after how many seconds where the
    managed system tells.
    """

    order_id: str
    state: Literal["executed", "errored"]
    key: str | None = None
    error_class: str | None = None
    message: str | None = None
    transient: bool = False
    seconds: float = 0.0
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class FileResult:
    """What came of one order file: the results of its orders, and the reason why it still waits (one line)."""

    file: str
    results: tuple[OrderResult, ...] = ()
    waits: str | None = None
    transient: bool = False
    """Whether it waits for something that may pass by itself."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One verdict of a connection check."""

    title: str
    passed: bool
    detail: str = ""


@runtime_checkable
class Exporter(Protocol):
    """Reads the managed system."""

    def tables(self) -> Sequence[str]:
        """Names of the tables that this connection can export."""

    def export(self, request: ExportRequest, sink: Sink) -> ExportReport:
        """Write every mapped table to the sink.

        Raises:
            ConnectorError: one line; nothing of a failed table becomes visible.
        """


@runtime_checkable
class Fulfiller(Protocol):
    """Writes the managed system."""

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        """Carry out each order on its own, and yield one result per order in order.

        An order error becomes an errored result, never an exception; ``AuthenticationFailed`` and
        ``ConnectionFailed`` are raised when they stop the whole batch. Idempotent: an addition of an
        object that exists with the same key becomes a change, a deletion of a missing one is executed.
        """


@runtime_checkable
class FileFulfiller(Protocol):
    """Fulfils the order files that another connection (package ``json``) left."""

    def fulfil_files(self) -> Iterator[FileResult]:
        """Carry out each file, the first written first, and move it to ``Downloaded`` with its results.

        A file that cannot be read, or has an order that may succeed later, waits. Idempotent like ``fulfil``.

        Raises:
            ConnectorError: one line; files that were not reached still wait.
        """


@runtime_checkable
class Reader(Protocol):
    """Reads single objects by key, to verify what was written."""

    def read(self, table: str, keys: Sequence[str]) -> Mapping[str, Mapping[str, str | None] | None]:
        """The current columns of each object by primary key, ``None`` for an object that is missing.

        Columns are named as in the exported table.
        """

    def read_links(self, table: str, column: str, keys: Sequence[str]) -> Collection[tuple[str, str]]:
        """The rows of a pair table whose ``column`` holds one of the keys, as they stand now.

        Each is the pair in the order of the table's columns as they are exported.
        """


@runtime_checkable
class Checker(Protocol):
    """Tells whether a connection works ("check connection" of the product)."""

    def check(self) -> Sequence[CheckResult]:
        """One verdict per thing checked; never raises for a failed check."""
