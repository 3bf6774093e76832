"""The states of an assignment, with the numbers of the re-implemented product (engine.md 3.4, 3.5)."""

from __future__ import annotations

from enum import IntEnum


class ProvisioningState(IntEnum):
    """How far a value has come on its way into the managed system (engine.md 3.4)."""

    NONE = 0
    PENDING = 1
    TRANSMITTED = 2
    ERRORED = 3
    VERIFIED = 4
    AWAITING_APPROVAL = 5
    INACTIVE = 6
    ERROR = 7
    EXECUTED = 8


class WorkflowState(IntEnum):
    """Why an assignment exists; the part of engine.md 3.5 that applies without roles."""

    NONE = 0
    FOUND = 1
    HISTORIC = 3
    APPROVED = 16
    DECLINED = 17
    CALCULATED = 18
    INACTIVE = 19
    CANCELLATION = 20
    SUGGESTED = 21
    AUTOMATIC_WITH_VALIDATION = 23
