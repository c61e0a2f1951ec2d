"""Finds cuts: frames that do not continue the one before.

Two measures on thumbnails, since each alone is fooled: colours may stay while everything moves (a fast pan), and
everything may change its brightness while nothing moves (a flash).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

import cv2
import numpy as np

from masklet.records import ByteArray, FloatArray

SIDE = 32
"""Of the thumbnails, pixels."""
BINS = 8
"""Of the histogram, a channel."""
THRESHOLD = 0.35
"""Of the smaller of the two measures, 0 to 1. In 34 real clips without cuts (1,438 pairs of frames) the largest is
0.32; of the last frame of one clip and the first of another, 92 % of the pairs are above."""
TIMES_USUAL = 3.0
"""A cut stands out from what the last frames did, however restless they are."""
WINDOW = 8
"""Frames on which "usual" is taken."""


class CutDetector:
    """Compares each frame with the one before it."""

    def __init__(self) -> None:
        self._last: tuple[FloatArray, FloatArray] | None = None
        self._recent: deque[float] = deque(maxlen=WINDOW)

    def is_cut(self, rgb: ByteArray) -> bool:
        """Whether the frame, (H, W, 3) uint8, begins a new shot; the first one does not.

        To be asked for every frame, in the order of tracking.
        """
        seen = _summary(rgb)
        last, self._last = self._last, seen
        if last is None:
            return False
        difference = _difference(last, seen)
        usual = median(self._recent) if self._recent else 0.0
        self._recent.append(difference)
        return difference > THRESHOLD and difference > TIMES_USUAL * usual

    def reset(self) -> None:
        """The next frame does not follow the last one."""
        self._last = None
        self._recent.clear()

    def state(self) -> dict[str, Any]:
        """As JSON can hold it."""
        last = None if self._last is None else [part.tolist() for part in self._last]
        return {"last": last, "recent": list(self._recent)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave."""
        last = state["last"]
        self._last = None if last is None else (np.array(last[0], np.float32), np.array(last[1], np.float32))
        self._recent = deque(state["recent"], maxlen=WINDOW)


def _summary(rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
    """A thumbnail (SIDE, SIDE, 3) in 0..1 and its colour histogram (BINS ** 3,), which sums to 1."""
    # Skipping pixels first: averaging all of a 4K frame takes longer than is needed to know its colours.
    step = max(1, min(rgb.shape[:2]) // (SIDE * 8))
    thumbnail = cv2.resize(rgb[::step, ::step], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    bins = (thumbnail.astype(np.int32) * BINS) >> 8
    index = (bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2]
    histogram = np.bincount(index.ravel(), minlength=BINS**3).astype(np.float32) / index.size
    return np.asarray(thumbnail, np.float32) / np.float32(255), np.asarray(histogram, np.float32)


def _difference(first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray]) -> float:
    """0 for equal frames; the smaller of how much colours and how much places have changed."""
    colours = 0.5 * float(np.abs(first[1] - second[1]).sum())
    # Of brightness only what is uneven counts: a flash lifts all of it.
    a, b = (part[0].mean(axis=2) - part[0].mean() for part in (first, second))
    spread = float(np.sqrt((a**2).mean() * (b**2).mean()))
    places = 1.0 if spread < 1e-6 else 1 - float((a * b).mean()) / spread
    return min(colours, places)
