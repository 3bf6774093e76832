"""Package ``internal_workflow``: every order starts a workflow, which is an Airflow DAG run. Fulfil only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from connectors.contract import (
    CheckResult,
    ConnectionContext,
    ConnectorSettings,
    FileResult,
    Order,
    OrderResult,
)
from connectors.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidValue,
    PermissionDenied,
    Throttled,
    TransientError,
)
from connectors.order_files import OrderFolder, folder_verdict, order_folder, read_order_file, resource_type_of
from connectors.workflow.client import WorkflowClient
from connectors.workflow.launch import launch, run_id_of
from connectors.workflow.settings import InternalWorkflowSettings

REACHED = "Airflow reachable"
ACCEPTED = "Credentials accepted"

logger = logging.getLogger(__name__)


class InternalWorkflowConnector:
    """Starts one DAG run per order, with the order as its parameters. An order is executed at the launch.

    The run's id is made of the order's: an order that is sent again finds its run, and starts none.
    """

    Settings: type[ConnectorSettings] = InternalWorkflowSettings

    def __init__(self, context: ConnectionContext, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        settings = context.settings
        if not isinstance(settings, InternalWorkflowSettings):
            raise ConfigurationError(
                f"connection '{context.identifier}' has no settings of package 'internal_workflow'"
            )
        self._context = context
        self._settings = settings
        self._now = now

    def fulfil(self, orders: Iterable[Order]) -> Iterator[OrderResult]:
        """Start the workflow of each order; one result per order, in order.

        Raises:
            AuthenticationFailed: the credentials are refused.
            ConnectionFailed: Airflow is down; an order that merely upsets it is errored instead.
            Throttled: Airflow asks to wait.
        """
        with self._session() as client:
            for order in orders:
                yield self._result(client, order)

    def fulfil_files(self) -> Iterator[FileResult]:
        """Start the workflows of the order files in ``path``; see ``FileFulfiller``.

        Raises:
            ConfigurationError: the settings name no folder.
            ConnectionFailed, PermissionDenied: of the folder, or as in ``fulfil``.
        """
        if self._settings.source != "folder":
            raise ConfigurationError(f"connection '{self._context.identifier}' reads no files: set 'source: folder'")
        folder = order_folder(self._context, self._settings.path)
        with self._session() as client:
            for name in folder.waiting():
                result = self._file(client, folder, name)
                if result is not None:
                    yield result

    def check(self) -> Sequence[CheckResult]:
        """Whether Airflow answers and lets us in, has each workflow ready to run, and the folder is there."""
        return tuple(self._verdicts())

    def _session(self) -> WorkflowClient:
        return WorkflowClient(self._context, self._settings)

    def _result(self, client: WorkflowClient, order: Order) -> OrderResult:
        started = time.monotonic()
        try:
            self._start(client, order)
        except (AuthenticationFailed, Throttled):
            raise
        except ConnectorError as error:
            if isinstance(error, ConnectionFailed) and not client.reachable():
                raise
            logger.warning("order %s (%s): %s", order.order_id, order.change_type, error.message)
            return OrderResult(
                order.order_id,
                "errored",
                error_class=error.error_class,
                message=error.message,
                transient=isinstance(error, TransientError),
                seconds=time.monotonic() - started,
            )
        return OrderResult(order.order_id, "executed", seconds=time.monotonic() - started)

    def _start(self, client: WorkflowClient, order: Order) -> None:
        if order.sent_before:
            # The workflow may be configured otherwise by now: a run of any DAG stands for the order.
            run_id = run_id_of(order)
            found = client.workflow_of(run_id)
            if found is not None:
                logger.info("order %s: workflow '%s' had been started as run '%s'", order.order_id, found, run_id)
                return
        wanted = launch(order, self._settings, self._now())
        fresh = client.start(wanted)
        logger.info(
            "order %s (%s): workflow '%s' %s as run '%s'",
            order.order_id,
            order.change_type,
            wanted.workflow,
            "started" if fresh else "had been started",
            wanted.run_id,
        )

    def _file(self, client: WorkflowClient, folder: OrderFolder, name: str) -> FileResult | None:
        """Carry out one file; ``None`` for one that holds other resource types' orders only."""
        try:
            orders = self._chosen(name, read_order_file(name, folder.read(name)))
        except InvalidValue as error:
            logger.warning("%s", error.message)
            return FileResult(name, waits=error.message)
        if orders is None:
            return None
        # Nobody wrote down how far an earlier reader came: each order may have been started.
        again = (order.model_copy(update={"sent_before": True}) for order in orders)
        results = tuple(self._result(client, order) for order in again)
        failed = [result for result in results if result.transient]
        if failed:
            reason = f"{name}: {len(failed)} orders may succeed later, the first of them with {failed[0].message}"
            return FileResult(name, results, waits=reason, transient=True)
        folder.consume(name, [asdict(result) for result in results])
        return FileResult(name, results)

    def _chosen(self, name: str, orders: Sequence[Order]) -> Sequence[Order] | None:
        wanted = self._settings.resource_types
        others = sorted({resource_type_of(order) for order in orders} - set(wanted)) if wanted else []
        ours = [order for order in orders if not wanted or resource_type_of(order) in wanted]
        if ours and others:
            raise InvalidValue(
                f"{name}: holds orders of {', '.join(others)} too, which resource_types leaves out; split the file"
            )
        return ours if ours or not others else None

    def _verdicts(self) -> Iterator[CheckResult]:
        try:
            with self._session() as client:
                client.enter()
                yield CheckResult(REACHED, passed=True)
                yield CheckResult(ACCEPTED, passed=True)
                for item in self._settings.fulfill_internal_workflow_configurations:
                    yield _workflow_verdict(client, item.change_type, item.model.workflow_identifier)
        except (AuthenticationFailed, PermissionDenied) as error:
            yield CheckResult(ACCEPTED, passed=False, detail=error.message)
        except ConnectorError as error:
            yield CheckResult(REACHED, passed=False, detail=error.message)
        if self._settings.source == "folder":
            yield folder_verdict(self._context, self._settings.path)


def _workflow_verdict(client: WorkflowClient, change_type: str, identifier: str | None) -> CheckResult:
    title = f"Workflow of {change_type}"
    if identifier is None:
        return CheckResult(title, passed=True, detail="every order names its own (argument WorkflowIdentifier)")
    try:
        found = client.workflow(identifier)
    except ConnectorError as error:
        return CheckResult(title, passed=False, detail=error.message)
    if found is None:
        return CheckResult(title, passed=False, detail=f"Airflow has no DAG '{identifier}'")
    if found.get("has_import_errors"):
        return CheckResult(title, passed=False, detail=f"DAG '{identifier}' cannot be imported")
    if found.get("is_paused"):
        return CheckResult(title, passed=False, detail=f"DAG '{identifier}' is paused: its runs would wait")
    return CheckResult(title, passed=True, detail=f"DAG '{identifier}'")
