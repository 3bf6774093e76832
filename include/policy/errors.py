"""What can go wrong when the policy is evaluated."""

from __future__ import annotations


class PolicyError(RuntimeError):
    """An evaluation that cannot go on: one line, what and where."""
