"""One model for all users: a lock that prefers clicks to jobs, and a cache of recent image features."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from masklet.engine.protocol import Engine
from masklet.errors import MaskletError
from masklet.prompts import Prompt
from masklet.records import ByteArray, Conditioned, Decoded, EngineInfo, FloatArray, FrameMemory, ImageFeatures, Recall

FEATURE_BYTES = 256 * 2**20
"""Approximate size of the cache of image features."""

BYTES_AT_1024 = 24 * 2**20
"""Features of one image, for a model whose square has 1024 pixels a side; they grow with its area."""

_turn = threading.local()


@contextmanager
def in_background() -> Iterator[None]:
    """Let other threads go first while the block runs: it is a job, and no user waits for its next step."""
    _turn.is_background = True
    try:
        yield
    finally:
        _turn.is_background = False


def is_background() -> bool:
    return getattr(_turn, "is_background", False)


class TurnLock:
    """A reentrant lock that clicks acquire before jobs do.

    A plain lock would mostly be acquired again by the job that has just released it.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._owner: int | None = None
        self._depth = 0
        self._in_hurry = 0

    def __enter__(self) -> None:
        thread_id = threading.get_ident()
        with self._condition:
            if self._owner == thread_id:
                self._depth += 1
                return
            in_hurry = not is_background()
            self._in_hurry += in_hurry
            try:
                self._condition.wait_for(lambda: self._owner is None and (in_hurry or not self._in_hurry))
            finally:
                self._in_hurry -= in_hurry
            self._owner, self._depth = thread_id, 1

    def __exit__(self, *exception: object) -> None:
        with self._condition:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._condition.notify_all()


class SharedEngine:
    """An `Engine` for many threads: one call at a time, clicks before jobs.

    A frame that a user clicks on is encoded once for all requests: the page's own decoder, this click, and the next.
    """

    def __init__(self, engine: Engine[Any]) -> None:
        self.engine = engine
        self.lock = TurnLock()
        self._features: OrderedDict[bytes, ImageFeatures[Any]] = OrderedDict()
        size = BYTES_AT_1024 * (engine.info.image_size / 1024) ** 2
        self._num_features = max(2, int(FEATURE_BYTES // size))
        self.is_failing = False
        """True if the last call failed, other than by what it was asked."""

    @property
    def info(self) -> EngineInfo:
        return self.engine.info

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until no other thread uses the engine, and note whether it works."""
        with self.lock:
            try:
                yield
            except MaskletError:
                raise
            except Exception:
                self.is_failing = True
                raise
            self.is_failing = False

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[Any]:
        if is_background():  # jobs use each frame once
            with self._turn():
                return self.engine.encode_image(rgb, in_video=in_video)
        shape = f"{rgb.shape[0]}x{rgb.shape[1]}{in_video:d}"[:16].encode()
        key = hashlib.blake2b(np.ascontiguousarray(rgb).data, person=shape).digest()
        with self._turn():
            features = self._features.get(key)
            if features is None:
                features = self._features[key] = self.engine.encode_image(rgb, in_video=in_video)
                while len(self._features) > self._num_features:
                    self._features.popitem(last=False)
            self._features.move_to_end(key)
            return features

    def attend(self, features: ImageFeatures[Any], recalls: Sequence[Recall[Any]]) -> Conditioned[Any]:
        with self._turn():
            return self.engine.attend(features, recalls)

    def decode(
        self, conditioned: Conditioned[Any], prompts: Sequence[Prompt | None], *, multimask: bool | None = None
    ) -> list[Decoded[Any]]:
        with self._turn():
            return self.engine.decode(conditioned, prompts, multimask=multimask)

    def encode_memory(
        self, features: ImageFeatures[Any], decoded: Sequence[Decoded[Any]], prompted: Sequence[bool]
    ) -> list[FrameMemory[Any]]:
        with self._turn():
            return self.engine.encode_memory(features, decoded, prompted)

    def to_numpy(self, array: Any) -> FloatArray:
        return self.engine.to_numpy(array)

    def from_numpy(self, array: FloatArray) -> Any:
        return self.engine.from_numpy(array)
