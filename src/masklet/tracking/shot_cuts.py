"""Detects shot cuts: frames that do not continue the one before.

It takes two measures on thumbnails, since each alone can be misled: colours may stay while everything moves (a fast
pan), and everything may change its brightness while nothing moves (a flash).
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
"""Side of the thumbnails, pixels."""
BINS = 8
"""Bins of the histogram per channel."""
THRESHOLD = 0.35
"""Least difference at a cut: the smaller of the two measures, 0 to 1. In 34 real clips without cuts (1,438 pairs of
frames) the largest is 0.32; for the last frame of one clip and the first of another, 92 % of the pairs are above."""
TIMES_USUAL = 3.0
"""Least ratio of the difference at a cut to the usual difference, however restless the last frames are."""
WINDOW = 8
"""Frames on which "usual" is taken."""


class ShotCutDetector:
    """Compares each frame with the one before it."""

    def __init__(self) -> None:
        self._last: tuple[FloatArray, FloatArray] | None = None
        self._recent: deque[float] = deque(maxlen=WINDOW)

    def is_cut(self, rgb: ByteArray) -> bool:
        """Return True if the frame, (H, W, 3) uint8, begins a new shot; the first frame does not.

        Call it for every frame, in the order of tracking.
        """
        summary = _summary(rgb)
        last, self._last = self._last, summary
        if last is None:
            return False
        difference = _difference(last, summary)
        usual = median(self._recent) if self._recent else 0.0
        self._recent.append(difference)
        return difference > THRESHOLD and difference > TIMES_USUAL * usual

    def reset(self) -> None:
        """Forget the last frames: the next one does not follow them."""
        self._last = None
        self._recent.clear()

    def state(self) -> dict[str, Any]:
        """Return the state as plain JSON values."""
        last = None if self._last is None else [part.tolist() for part in self._last]
        return {"last": last, "recent": list(self._recent)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the state to a result of `state`."""
        last = state["last"]
        self._last = None if last is None else (np.array(last[0], np.float32), np.array(last[1], np.float32))
        self._recent = deque(state["recent"], maxlen=WINDOW)


def _summary(rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
    """Return a thumbnail (SIDE, SIDE, 3) in 0..1 and its colour histogram (BINS ** 3,), which sums to 1."""
    # Skipping pixels first: averaging all of a 4K frame takes longer than is needed to know its colours.
    step = max(1, min(rgb.shape[:2]) // (SIDE * 8))
    thumbnail = cv2.resize(rgb[::step, ::step], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    bins = (thumbnail.astype(np.int32) * BINS) >> 8
    index = (bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2]
    histogram = np.bincount(index.ravel(), minlength=BINS**3).astype(np.float32) / index.size
    return np.asarray(thumbnail, np.float32) / np.float32(255), np.asarray(histogram, np.float32)


def _difference(first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray]) -> float:
    """Return how much two frames differ, 0 to 1: the smaller of the changes in colours and in places."""
    colours = 0.5 * float(np.abs(first[1] - second[1]).sum())
    # The mean brightness is taken out: a flash lifts all of a frame.
    a, b = (part[0].mean(axis=2) - part[0].mean() for part in (first, second))
    spread = float(np.sqrt((a**2).mean() * (b**2).mean()))
    places = 1.0 if spread < 1e-6 else 1 - float((a * b).mean()) / spread
    return min(colours, places)
