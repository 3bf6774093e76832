"""What can go wrong at a managed system, as the pipeline needs to know it.

::

    ConnectorError
    ├── TerminalError                 a retry cannot help
    │   ├── ConfigurationError        a setting is wrong, or the source is not what the settings say
    │   ├── AuthenticationFailed      the credentials are refused
    │   ├── PermissionDenied          the account may not do this
    │   ├── CookieExpired             the incremental position is no longer known: run a complete export
    │   ├── IncompleteExport          the source ended before its end: nothing may be deleted from it
    │   ├── ObjectExists              an order would create what is there already
    │   ├── ObjectMissing             an order would change what is not there
    │   ├── Conflict                  the object has changed since the order was decided
    │   └── InvalidValue              the managed system refuses a value
    └── TransientError                the same call may succeed later
        ├── ConnectionFailed          the system cannot be reached, or went away
        └── Throttled                 the system asks to wait (``retry_after`` seconds)

Every error is one line, picklable (Airflow crosses processes), and holds no secret.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationFailed",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "ConnectorError",
    "CookieExpired",
    "IncompleteExport",
    "InvalidValue",
    "ObjectExists",
    "ObjectMissing",
    "PermissionDenied",
    "TerminalError",
    "Throttled",
    "TransientError",
]


class ConnectorError(Exception):
    """Base: ``message`` is the one line an operator reads (what, where, what to do)."""

    def __init__(self, message: str) -> None:
        self.message = " ".join(message.split())
        super().__init__(self.message)

    @property
    def error_class(self) -> str:
        """The name that order results and run reports carry."""
        return type(self).__name__


class TerminalError(ConnectorError):
    """A retry cannot help."""


class TransientError(ConnectorError):
    """The same call may succeed later."""


class ConfigurationError(TerminalError):
    """A setting is wrong, or the source is not what the settings say."""


class AuthenticationFailed(TerminalError):
    """The credentials are refused."""


class PermissionDenied(TerminalError):
    """The account may not do this."""


class CookieExpired(TerminalError):
    """The incremental position is no longer known to the source."""


class IncompleteExport(TerminalError):
    """The source ended before its end."""


class ObjectExists(TerminalError):
    """An order would create what is there already."""


class ObjectMissing(TerminalError):
    """An order would change what is not there."""


class Conflict(TerminalError):
    """The object has changed since the order was decided."""


class InvalidValue(TerminalError):
    """The managed system refuses a value."""


class ConnectionFailed(TransientError):
    """The system cannot be reached, or went away."""


class Throttled(TransientError):
    """The system asks to wait."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[Throttled], tuple[str, float | None]]:
        return (type(self), (self.message, self.retry_after))
