"""The identity repository as a managed system of its own: orders are carried out where the resources stand.

Nothing is exported, and there is no door to open: Rollcall's server turns the orders of such a connection
into changes of the repository (``include.provisioning.inbound``). What stands here is its name and its settings.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.contract import CheckResult, ConnectionContext, ConnectorSettings


class IdentityRepositorySettings(ConnectorSettings):
    """There is nothing to set: address and credentials of the repository are those of the server."""


class IdentityRepository:
    """A connection whose resources stand in the repository alone."""

    Settings = IdentityRepositorySettings

    def __init__(self, context: ConnectionContext) -> None:
        self.context = context

    def check(self) -> Sequence[CheckResult]:
        """What there is to say: whoever asks has the repository open already."""
        return [CheckResult("connection", True, "the identity repository itself: nothing to connect to")]
