"""Counts live streams, each of which keeps a tracker in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from masklet.server.errors import ApiError
from masklet.server.settings import Limits


class LiveSlots:
    """The live streams that run: few, and of one user only a part of them. Used by the event loop alone.

    Args:
        limits: the numbers of streams.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: Counter[str] = Counter()

    @contextmanager
    def slot(self, user_id: str) -> Iterator[None]:
        """Count a stream of a user during the block.

        Raises:
            ApiError: there are too many.
        """
        if self._running[user_id] >= self._limits.live_streams_per_user:
            raise ApiError(429, "too_many_streams", "too many live streams of yours: close one first")
        if self._running.total() >= self._limits.live_streams:
            raise ApiError(503, "busy", "too many live streams: try again later")
        self._running[user_id] += 1
        try:
            yield
        finally:
            self._running[user_id] -= 1
