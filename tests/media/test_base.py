from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from masklet.media.base import read_ahead
from tests.waiting import wait_until


def test_items_come_in_order_and_at_most_depth_ahead() -> None:
    made = 0

    def count() -> Generator[int, None, None]:
        nonlocal made
        for number in range(100):
            made = number
            yield number

    reader = read_ahead(count(), depth=3)
    for number in range(100):
        assert next(reader) == number
        wait_until(lambda: made >= min(99, number + 4), "a thread that reads ahead")  # noqa: B023
        assert made <= number + 4  # three waiting, one being read
    assert list(reader) == []


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def break_off() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise OSError("cable")

    reader = read_ahead(break_off(), depth=8)
    assert [next(reader), next(reader)] == [1, 2]
    with pytest.raises(OSError, match="cable"):
        next(reader)


def test_a_reader_that_goes_away_closes_the_generator_in_its_thread() -> None:
    closed_in: list[str] = []

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 0
        finally:
            closed_in.append(threading.current_thread().name)

    reader = read_ahead(endless(), depth=2)
    next(reader)
    reader.close()  # type: ignore[attr-defined]
    assert closed_in == ["masklet-read-ahead"]
