"""The repository's clock, set by hand."""

from __future__ import annotations

from datetime import datetime

import pytest


class Clock:
    """What loads take for the present."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
        self.now = now
        monkeypatch.setattr("include.repository.load.now", self)

    def __call__(self) -> datetime:
        """The present."""
        return self.now
