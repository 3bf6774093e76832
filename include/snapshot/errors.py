"""What stops a snapshot: one line each, without the data that it is about."""

from __future__ import annotations


class SnapshotError(ValueError):
    """A snapshot cannot be made: one line (what, where, what to do)."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class PreparationError(SnapshotError):
    """The raw files are not what the configuration maps, or cannot be read."""
