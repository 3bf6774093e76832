"""Where the command prints, and how it fails: one line on standard error, exit code 1."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

import typer
from rich.console import Console

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

DEBUG = "ROLLCALL_DEBUG"
WIDTH_OF_A_FILE = 180

# Where nobody looks (a file, a pipe), lines are not broken to fit a screen of 80 columns.
console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
errors = Console(stderr=True)


def fail(message: str) -> NoReturn:
    """End the command with one line."""
    errors.print(f"[red]error[/red]: {message}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def stop_on_error(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Every error of a verb ends it with one line; ``ROLLCALL_DEBUG=1`` shows the trace."""

    @functools.wraps(function)
    def wrapped(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except (typer.Exit, typer.Abort, KeyboardInterrupt):
            raise
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            logging.getLogger(__name__).debug("the error in full", exc_info=True)
            fail(" ".join(str(error).split()) or type(error).__name__)

    return wrapped
