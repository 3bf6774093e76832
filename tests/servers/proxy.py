"""A TCP proxy that cuts its connections in the middle of the answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 1 << 12


@contextmanager
def cutting_proxy(port: int, answer_bytes: int) -> Iterator[int]:
    """Pass connections on to a local port; cut each after so many bytes of answer. Gives the proxy's port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener, port, answer_bytes), daemon=True)
        accepting.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def accept(listener: socket.socket, port: int, answer_bytes: int) -> None:
    """Serve connections until the listener is closed."""
    pumps: list[threading.Thread] = []
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            break
        server = socket.create_connection(("127.0.0.1", port))
        pumps += [
            threading.Thread(target=pump, args=(client, server, None), daemon=True),
            threading.Thread(target=pump, args=(server, client, answer_bytes), daemon=True),
        ]
        for thread in pumps[-2:]:
            thread.start()
    for thread in pumps:
        thread.join()


def pump(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    """Copy bytes until the source ends or the limit is reached; then end both connections."""
    copied = 0
    with suppress(OSError):
        while (limit is None or copied < limit) and (data := source.recv(CHUNK)):
            target.sendall(data)
            copied += len(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
