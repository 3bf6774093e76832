"""What a connector cannot do: said with its reason, and held to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

import pytest

from connectors.errors import ConnectorError


class ImpossibleError(Exception):
    """The managed system cannot be brought into the state that a test needs."""


class Limited:
    """Base of the contract classes: ``limits`` maps a capability to the reason why it is missing."""

    limits: ClassVar[Mapping[str, str]] = {}
    capabilities: ClassVar[frozenset[str]] = frozenset()

    @contextmanager
    def capability(self, name: str) -> Iterator[None]:
        """Run a test that needs a capability; with a limit on it, the test must fail."""
        assert name in self.capabilities
        reason = self.limits.get(name)
        if reason is None:
            yield
            return
        try:
            yield
        except (AssertionError, ConnectorError, ImpossibleError):
            pytest.xfail(f"{name}: {reason}")
        pytest.fail(f"{name} works, though it is listed as a limit: {reason}", pytrace=False)

    def test_every_limit_is_a_capability_of_the_contract_and_has_a_reason(self) -> None:
        assert set(self.limits) <= self.capabilities
        assert all(reason.strip() for reason in self.limits.values())
