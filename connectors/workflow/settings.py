"""What an integrator sets for a connection that starts workflows (engine.md 4.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from connectors.contract import ChangeType, ConnectorSettings
from connectors.workflow.placeholders import checked_template

Template = Annotated[str, AfterValidator(checked_template)]
"""Text with placeholders ``$Changes:<property>$`` and ``$Resource:<property>$``."""
Name = Annotated[str, Field(min_length=1, max_length=250)]


class WorkflowModel(ConnectorSettings):
    """Which workflow starts, and what it is told."""

    workflow_identifier: Name | None = None
    """The DAG; the order's argument ``WorkflowIdentifier`` wins over it."""
    transition_identifier: Name | None = None
    """The transition that the workflow is to execute, handed to it as it is."""
    message: Template = ""
    body: Template = ""


class WorkflowConfiguration(ConnectorSettings):
    """What orders of one change type start, and which of their properties the workflow is handed by kind."""

    change_type: ChangeType
    model: WorkflowModel = WorkflowModel()
    scalar_properties: tuple[Name, ...] = ()
    navigation_properties: tuple[Name, ...] = ()
    date_properties: tuple[Name, ...] = ()
    """One that an order of change type ``Deleted`` does not hold gets the instant of the execution."""


class InternalWorkflowSettings(ConnectorSettings):
    """Where orders come from, and which workflow each change type starts.

    The Airflow Connection holds the address of Airflow's API server (``host``, without ``/api/v2``), and
    login and password, or a token (password without login, or ``extra.token``). ``source`` ``batch``
    fulfils the orders of the resource types that name this connection; ``folder`` also reads the order files in
    ``path``, below ``extra.path`` (a folder) or ``extra.url`` (an fsspec URL) of the Airflow Connection.
    ``resource_types`` limits which of these files are read; without it, all are. Timeouts are in seconds.
    """

    source: Literal["batch", "folder"] = "batch"
    path: str = "."
    resource_types: tuple[Name, ...] = ()
    source_entity_identifier: Name
    target_entity_type_identifier: Name
    navigation_to_target_entity: Name | None = None
    """From the source to the target entity type; with records only, together with the way back."""
    navigation_target_to_source: Name | None = None
    fulfill_internal_workflow_configurations: Annotated[tuple[WorkflowConfiguration, ...], Field(min_length=1)]
    verify_tls: bool = True
    ca_bundle_path: Path | None = None
    connect_timeout: Annotated[float, Field(gt=0)] = 10.0
    read_timeout: Annotated[float, Field(gt=0)] = 60.0
    max_retries: Annotated[int, Field(ge=0, le=20)] = 3

    @model_validator(mode="after")
    def _consistent(self) -> InternalWorkflowSettings:
        configured = [item.change_type for item in self.fulfill_internal_workflow_configurations]
        if twice := sorted({item for item in configured if configured.count(item) > 1}):
            raise ValueError(f"fulfill_internal_workflow_configurations: {', '.join(twice)} comes twice")
        if (self.navigation_to_target_entity is None) != (self.navigation_target_to_source is None):
            raise ValueError("give both navigation_to_target_entity and navigation_target_to_source, or neither")
        if self.source == "batch" and (self.path != "." or self.resource_types):
            raise ValueError("path and resource_types belong to files: set 'source: folder', or leave them out")
        return self

    def configuration(self, change_type: str) -> WorkflowConfiguration | None:
        """What orders of a change type start; ``None`` where nothing is configured."""
        found = self.fulfill_internal_workflow_configurations
        return next((item for item in found if item.change_type == change_type), None)
