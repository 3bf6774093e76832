"""Read the next batches of a stream while the database is busy with the last one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

DEPTH = 2
PAUSE = 0.1


@contextmanager
def prefetched(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatchReader]:
    """The same batches in the same order, ``DEPTH`` of them read ahead by a thread of its own.

    An error of the stream is raised where its batch would have come. Nothing else may use what the stream
    reads from until the block ends; then the thread has ended too, whether or not all was read.
    """
    import pyarrow as pa

    ahead = queue.Queue["pa.RecordBatch | BaseException | None"](DEPTH)
    stopped = threading.Event()
    thread = threading.Thread(target=_read, args=(reader, ahead, stopped), daemon=True)
    thread.start()
    try:
        yield pa.RecordBatchReader.from_batches(reader.schema, _batches(ahead))
    finally:
        stopped.set()
        thread.join()


def _read(
    reader: pa.RecordBatchReader,
    ahead: queue.Queue[pa.RecordBatch | BaseException | None],
    stopped: threading.Event,
) -> None:
    try:
        for batch in reader:
            if not _put(ahead, batch, stopped):
                return
    except BaseException as error:  # noqa: BLE001 - it is raised again where the batches are read
        _put(ahead, error, stopped)
    else:
        _put(ahead, None, stopped)


def _put(
    ahead: queue.Queue[pa.RecordBatch | BaseException | None],
    item: pa.RecordBatch | BaseException | None,
    stopped: threading.Event,
) -> bool:
    """Put an item where there is room; False once nobody reads any more."""
    while not stopped.is_set():
        try:
            ahead.put(item, timeout=PAUSE)
        except queue.Full:
            continue
        return True
    return False


def _batches(ahead: queue.Queue[pa.RecordBatch | BaseException | None]) -> Iterator[pa.RecordBatch]:
    while (item := ahead.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item
