"""From what a database driver raises to the error tree: one line, without the query and without a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

from connectors.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidValue,
    PermissionDenied,
)

LONGEST_DETAIL = 200

# SQLSTATE classes and codes (PostgreSQL appendix A, ODBC appendix A); the longest prefix that fits counts.
STATES: dict[str, type[ConnectorError]] = {
    "22": InvalidValue,
    "25": ConfigurationError,
    "28": AuthenticationFailed,
    "3D": ConfigurationError,
    "3F": ConfigurationError,
    "40": ConnectionFailed,
    "42": ConfigurationError,
    "42501": PermissionDenied,
    "53": ConnectionFailed,
    "55": ConnectionFailed,
    "57": ConnectionFailed,
    "58": ConnectionFailed,
    "HYT": ConnectionFailed,
    "IM": ConfigurationError,
}

# Error numbers of MySQL and MariaDB whose SQLSTATE does not tell.
NUMBERS: dict[int, type[ConnectorError]] = {
    1044: PermissionDenied,
    1045: AuthenticationFailed,
    1049: ConfigurationError,
    1054: ConfigurationError,
    1064: ConfigurationError,
    1142: PermissionDenied,
    1143: PermissionDenied,
    1146: ConfigurationError,
    1227: PermissionDenied,
    1370: PermissionDenied,
    1698: AuthenticationFailed,
    1792: ConfigurationError,
}

# What drivers write where no code tells, in the order in which it is looked for.
MESSAGES: tuple[tuple[str, type[ConnectorError]], ...] = (
    (r"could not decode|cannot decode|too large|out of range", InvalidValue),
    (
        r"password authentication failed|no password supplied|using password:|login failed|logon denied",
        AuthenticationFailed,
    ),
    (r"authentication failed|invalid username|role .* does not exist", AuthenticationFailed),
    (r"permission denied|access denied|command denied|insufficient privilege|not authorized", PermissionDenied),
    (r"no such|syntax error|does not exist|doesn't exist|unknown (database|column|table)", ConfigurationError),
    (r"not a database|malformed|read-?only|can't open lib|data source name not found", ConfigurationError),
    (r"unable to open database", PermissionDenied),
    (r"refused|timed? ?out|closed|reset|lost connection|gone away|could not|can't connect|locked", ConnectionFailed),
)


@contextmanager
def faults(what: str, secrets: Sequence[str], *, connecting: bool = False) -> Iterator[None]:
    """Turn errors of SQLAlchemy and of any DB-API driver into connector errors; others pass.

    Args:
        what: the connection or table that the line begins with.
        secrets: texts that must not show.
        connecting: whether the block only opens the connection.
    """
    import sqlalchemy.exc

    try:
        yield
    except ConnectorError:
        raise
    except sqlalchemy.exc.NoSuchModuleError:
        raise ConfigurationError(f"{what}: SQLAlchemy knows no such 'drivername'") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{what}: the driver needs the Python package '{error.name}', which is not installed"
        ) from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise fault(what, getattr(error, "orig", None) or error, secrets, connecting=connecting) from None
    except Exception as error:
        if connecting and isinstance(error, TypeError):
            raise ConfigurationError(
                f"{what}: the driver refuses an option: {presentable(str(error), secrets)}"
            ) from None
        if not is_driver_error(error):
            raise
        raise fault(what, error, secrets, connecting=connecting) from None


def is_driver_error(error: Exception) -> bool:
    """Whether the error is a DB-API one (PEP 249): every driver has a class ``Error`` of its own."""
    return any(kind.__name__ == "Error" for kind in type(error).__mro__)


def fault(what: str, error: BaseException, secrets: Sequence[str], *, connecting: bool) -> ConnectorError:
    """The connector error for a driver's error."""
    detail = " ".join(str(argument) for argument in error.args if not isinstance(argument, int)) or str(error)
    kind = by_code(error) or by_message(detail) or fallback(error, connecting=connecting)
    return kind(f"{what}: {presentable(detail, secrets)}")


def by_code(error: BaseException) -> type[ConnectorError] | None:
    """The class that SQLSTATE or a MySQL error number tells, if any."""
    first = error.args[0] if error.args else None
    if isinstance(first, int) and first in NUMBERS:
        return NUMBERS[first]
    state = str(getattr(error, "sqlstate", None) or first or "")
    # 42000 says no more than "syntax error or access violation".
    if not re.fullmatch(r"[0-9A-Z]{5}", state) or state == "42000":
        return None
    fitting = [prefix for prefix in STATES if state.startswith(prefix)]
    return STATES[max(fitting, key=len)] if fitting else None


def by_message(detail: str) -> type[ConnectorError] | None:
    """The class that the driver's words tell, if any."""
    return next((kind for pattern, kind in MESSAGES if re.search(pattern, detail, re.IGNORECASE)), None)


def fallback(error: BaseException, *, connecting: bool) -> type[ConnectorError]:
    """The class of an error that neither code nor words tell."""
    name = type(error).__name__
    if name == "DataError":
        return InvalidValue
    if connecting and name != "ProgrammingError":
        return ConnectionFailed
    return ConnectionFailed if name in {"OperationalError", "InterfaceError", "InternalError"} else ConfigurationError


def presentable(detail: str, secrets: Sequence[str]) -> str:
    """The first line of a driver's message, short, and withheld as a whole when it holds a secret."""
    shapes = {shape for secret in secrets if secret for shape in (secret, quote(secret, safe=""), quote_plus(secret))}
    if any(shape in detail for shape in shapes):
        return "the driver's message is withheld, because it holds a secret"
    line = next((line for line in detail.splitlines() if line.strip()), "no message")
    line = re.sub(r"^([0-9A-Z]{5} )?(\[[^\]]*\]\s*)+", "", line)
    line = re.sub(r"\s*\(\d+\) \(SQL\w+\)$", "", line).rstrip(" ;:")
    return line if len(line) <= LONGEST_DETAIL else line[:LONGEST_DETAIL] + "..."
