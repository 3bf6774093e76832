"""From an order to the workflow that it starts: which DAG, under which run id, with which parameters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Order
from connectors.errors import ConfigurationError
from connectors.order_files import order_json, safe_name
from connectors.workflow.placeholders import ADD, REMOVE, filled
from connectors.workflow.settings import InternalWorkflowSettings, WorkflowConfiguration

WORKFLOW_ARGUMENT = "WorkflowIdentifier"
COPY_ARGUMENT = "ResourceIdToCopy"
RUN_PREFIX = "rollcall__"


@dataclass(frozen=True, slots=True)
class Launch:
    """A DAG run to start: ``parameters`` are its ``conf``, ``note`` is what people see beside it."""

    workflow: str
    run_id: str
    parameters: dict[str, Any]
    note: str


def run_id_of(order: Order) -> str:
    """The id of the DAG run that stands for an order, in whichever DAG.

    Raises:
        InvalidValue: the order's id is no name.
    """
    return RUN_PREFIX + safe_name("the OrderId", order.order_id)


def launch(order: Order, settings: InternalWorkflowSettings, now: datetime) -> Launch:
    """What an order starts (engine.md 4.2).

    The parameters are the order itself, as in an order file, and a section ``Workflow`` with the
    settings' texts and the properties by kind.

    Raises:
        ConfigurationError: nothing is configured for its change type, no DAG is named, or a placeholder
            names no property.
        InvalidValue: the order's id is no name.
    """
    configuration = settings.configuration(order.change_type)
    if configuration is None:
        raise ConfigurationError(
            f"no workflow is configured for orders of change type {order.change_type}; "
            "add it to fulfill_internal_workflow_configurations"
        )
    model = configuration.model
    workflow = order.arguments.get(WORKFLOW_ARGUMENT, "").strip() or model.workflow_identifier
    if not workflow:
        raise ConfigurationError(
            f"no workflow is named for orders of change type {order.change_type}; "
            f"set workflow_identifier, or the argument {WORKFLOW_ARGUMENT} of the resource type"
        )
    message = filled(model.message, order)
    section = {
        "SourceEntityIdentifier": settings.source_entity_identifier,
        "TargetEntityTypeIdentifier": settings.target_entity_type_identifier,
        "NavigationToTargetEntity": settings.navigation_to_target_entity,
        "NavigationTargetToSource": settings.navigation_target_to_source,
        "TransitionIdentifier": model.transition_identifier,
        "Message": message,
        "Body": filled(model.body, order),
        "ScalarProperties": _changed(order, configuration.scalar_properties),
        "NavigationProperties": _changed(order, _link_keys(configuration.navigation_properties)),
        "DateProperties": _dates(order, configuration, now),
        "ResourceIdToCopy": order.arguments.get(COPY_ARGUMENT) or None,
    }
    section = {key: value for key, value in section.items() if value is not None}
    return Launch(workflow, run_id_of(order), order_json(order) | {"Workflow": section}, message)


def _changed(order: Order, names: Iterable[str]) -> dict[str, Any]:
    return {name: order.changes[name] for name in names if name in order.changes}


def _link_keys(names: Iterable[str]) -> list[str]:
    return [f"{name}{suffix}" for name in names for suffix in ("", ADD, REMOVE)]


def _dates(order: Order, configuration: WorkflowConfiguration, now: datetime) -> dict[str, Any]:
    """Dates that the order sets; of a deletion, the instant of the execution where it sets none."""
    dates = _changed(order, configuration.date_properties)
    if order.change_type == "Deleted":
        executed = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        dates = {name: dates.get(name) or executed for name in configuration.date_properties}
    return dates
