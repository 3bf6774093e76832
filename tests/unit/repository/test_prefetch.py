"""Batches read ahead: the same batches, the same errors, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from include.repository.prefetch import DEPTH, prefetched

SCHEMA = pa.schema([("number", pa.int64())])


def batches(count: int, read: list[int], fails_at: int | None = None) -> pa.RecordBatchReader:
    def generate() -> Iterator[pa.RecordBatch]:
        for number in range(count):
            if number == fails_at:
                raise ValueError("the stream broke")
            read.append(number)
            yield pa.record_batch([pa.array([number])], schema=SCHEMA)

    return pa.RecordBatchReader.from_batches(SCHEMA, generate())


def test_all_batches_arrive_in_their_order() -> None:
    with prefetched(batches(50, [])) as reader:
        assert reader.schema == SCHEMA
        assert reader.read_all()["number"].to_pylist() == list(range(50))


def test_an_error_of_the_stream_is_raised_where_its_batch_would_have_come() -> None:
    with prefetched(batches(5, [], fails_at=3)) as reader:
        assert [reader.read_next_batch()["number"][0].as_py() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="the stream broke"):
            reader.read_next_batch()


def test_who_stops_reading_leaves_no_thread_and_no_more_than_the_batches_ahead() -> None:
    threads, read = threading.active_count(), list[int]()
    with prefetched(batches(1000, read)) as reader:
        reader.read_next_batch()
    assert threading.active_count() == threads
    assert len(read) <= 1 + DEPTH + 1
