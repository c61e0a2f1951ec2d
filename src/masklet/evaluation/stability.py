"""Temporal stability without optical flow: how much a mask flickers, beyond what the object itself does.

J and F look at one frame at a time; a mask whose outline jumps about by two pixels scores as well as one that is two
pixels too wide. Here each mask is compared with the one before. The object's motion is taken out by its own shift: the
way its true mask's centre of gravity moved, in whole pixels. What motion is left (turning, deforming, occlusion) is in
the true masks as well, so their score by the same rule is reported next to the prediction's: it is what a perfect
tracker would have.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import cv2
import numpy as np

from masklet.evaluation.metrics import boundary_map, region_similarity
from masklet.records import BoolArray


@dataclass(frozen=True, slots=True)
class Stability:
    """One object's steadiness over pairs of consecutive judged frames on which it is there."""

    warped_iou: float
    """IoU of each mask with the one before, moved along: 1 is perfectly steady."""
    warped_iou_truth: float
    """The same of the true masks."""
    jitter: float
    """Mean distance between the outlines of the two, in thousandths of the image diagonal: 0 is perfectly steady."""
    jitter_truth: float
    num_pairs: int


class StabilityMeter:
    """Takes an object's masks in order of time."""

    def __init__(self) -> None:
        self._before: tuple[BoolArray, BoolArray] | None = None
        self._ious: list[tuple[float, float]] = []
        self._jitters: list[tuple[float, float]] = []

    def add(self, predicted: BoolArray, truth: BoolArray) -> None:
        """Add the (H, W) masks of the next judged frame. A frame whose truth lacks the object resets the comparison."""
        if not truth.any():
            self._before = None
            return
        if self._before is not None:
            shift = _shift(self._before[1], truth)
            ours, true = _moved_pair(self._before[0], predicted, shift), _moved_pair(self._before[1], truth, shift)
            self._ious.append((region_similarity(*ours), region_similarity(*true)))
            distances = outline_distance(*ours), outline_distance(*true)
            if distances[0] is not None and distances[1] is not None:  # a mask that fills the image has no outline
                scale = 1000 / float(np.hypot(*truth.shape))
                self._jitters.append((distances[0] * scale, distances[1] * scale))
        self._before = predicted, truth

    def result(self) -> Stability | None:
        """Return the means; None without two consecutive frames that show the object."""
        if not self._ious:
            return None
        iou, iou_truth = (fmean(values) for values in zip(*self._ious, strict=True))
        jitter, jitter_truth = (fmean(values) for values in zip(*self._jitters or [(0.0, 0.0)], strict=True))
        return Stability(iou, iou_truth, jitter, jitter_truth, len(self._ious))


def outline_distance(first: BoolArray, second: BoolArray) -> float | None:
    """Return the mean distance between two outlines, in pixels, averaged both ways; None when one is missing."""
    outlines = [boundary_map(first), boundary_map(second)]
    if not outlines[0].any() or not outlines[1].any():
        return None
    to_other = [
        cv2.distanceTransform((~other).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[outline]
        for outline, other in (outlines, outlines[::-1])
    ]
    return float((to_other[0].mean() + to_other[1].mean()) / 2)


def _shift(before: BoolArray, after: BoolArray) -> tuple[int, int]:
    """Return rows and columns by which the centre of gravity moved."""
    centres = [np.argwhere(mask).mean(axis=0) for mask in (before, after)]
    rows, columns = np.rint(centres[1] - centres[0]).astype(int).tolist()
    return rows, columns


def _moved_pair(before: BoolArray, after: BoolArray, shift: tuple[int, int]) -> tuple[BoolArray, BoolArray]:
    """Return the earlier mask moved by the shift, and the later one, cropped to where the image covers both."""
    sources, targets = zip(*(_overlap(size, by) for size, by in zip(before.shape, shift, strict=True)), strict=True)
    return np.ascontiguousarray(before[sources]), np.ascontiguousarray(after[targets])


def _overlap(size: int, by: int) -> tuple[slice, slice]:
    return slice(max(0, -by), size - max(0, by)), slice(max(0, by), size + min(0, by))
