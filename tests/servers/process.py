"""Starts a server process, waits until it answers, and ends it with everything it started."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOG_LINES = 20
LOG = "server.log"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(*patterns: str) -> str:
    """The newest program that matches one of the names (looked up in PATH) or glob patterns."""
    for pattern in patterns:
        found = shutil.which(pattern) if "/" not in pattern else None
        matches = sorted(str(path) for path in Path("/").glob(pattern.lstrip("/"))) if found is None else [found]
        if matches:
            return matches[-1]
    pytest.fail(f"no program for this test server: looked for {', '.join(patterns)}", pytrace=False)


def unprivileged(account: str) -> str | None:
    """The account that a server runs as: its own when we are root (it refuses root), else ours."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(account)
    except KeyError:
        pytest.fail(f"the account '{account}' that this test server runs as does not exist", pytrace=False)
    return account


@contextmanager
def data_folder(name: str, account: str | None) -> Iterator[Path]:
    """A temporary folder that belongs to the account; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix=f"rollcall-{name}-"))
    try:
        if account is not None:
            shutil.chown(folder, account, pwd.getpwnam(account).pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def identity(account: str | None) -> dict[str, Any]:
    """The arguments of ``subprocess`` that run a program as the account."""
    if account is None:
        return {}
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


def run(command: Sequence[str], folder: Path, account: str | None) -> None:
    """Run a preparing command to its end; fail with its output."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **identity(account),
    )
    if done.returncode != 0:
        pytest.fail(f"{Path(command[0]).name} ended with {done.returncode}:\n{tail(done.stdout)}", pytrace=False)


@contextmanager
def serving(
    command: Sequence[str],
    *,
    folder: Path,
    ready: Callable[[], object],
    account: str | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends. ``ready`` raises for as long as the server does not answer."""
    log = folder / LOG
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **identity(account),
        )
    try:
        wait(process, ready, log)
        yield process
    finally:
        stop(process, stop_signal)


def wait(process: subprocess.Popen[bytes], ready: Callable[[], object], log: Path) -> None:
    """Wait until the server answers; fail with the end of its log when it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    reason: Exception | None = None
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ready()
        except Exception as error:  # noqa: BLE001  every client library has errors of its own
            reason = error
            time.sleep(0.05)
        else:
            return
    state = f"ended with {process.returncode}" if process.poll() is not None else "does not answer"
    lines = tail(log.read_text(errors="replace"))
    pytest.fail(f"{Path(process.args[0]).name} {state} ({reason}):\n{lines}", pytrace=False)


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    """End the server and every process of its session."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tail(text: str) -> str:
    """The last lines of a log."""
    return "\n".join(text.splitlines()[-LOG_LINES:])
