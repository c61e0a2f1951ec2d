"""The numbers of the field: region similarity J, boundary measure F, and the click an annotator would give next.

Everything here is a pure function of boolean masks; nothing knows of engines, files or videos.
Void pixels (unlabelled, 255 in a mask file) count neither for nor against a prediction.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from masklet.errors import DataError
from masklet.masks.operations import interior_point, largest_component, squared_distance
from masklet.records import BoolArray

BOUNDARY_TOLERANCE = 0.008
"""DAVIS's tolerance: how far apart two outlines may lie, as a fraction of the image diagonal."""


class Click(NamedTuple):
    """One simulated click, in source pixels."""

    x: int
    y: int
    label: int
    """1 foreground (the prediction missed this), 0 background (the prediction has too much)."""


def region_similarity(predicted: BoolArray, truth: BoolArray, void: BoolArray | None = None) -> float:
    """Return J, the intersection over union of two masks.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
        void: (H, W) bool, pixels left out of intersection and union.

    Returns:
        In [0, 1]; 1 where both masks are empty.

    Raises:
        DataError: the masks differ in size.

    Source: DAVIS 2017 evaluation, metrics.py `db_eval_iou`.
    """
    _check_sizes(predicted, truth, void)
    intersection = predicted & truth
    union = predicted | truth
    if void is not None:
        intersection &= ~void
        union &= ~void
    union_area = int(np.count_nonzero(union))
    return 1.0 if union_area == 0 else int(np.count_nonzero(intersection)) / union_area


def boundary_measure(
    predicted: BoolArray, truth: BoolArray, void: BoolArray | None = None, tolerance: float = BOUNDARY_TOLERANCE
) -> float:
    """Return F, the harmonic mean of the parts of each outline within the tolerance of the other.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
        void: (H, W) bool, set to background in both masks.
        tolerance: a fraction of the image diagonal (rounded up to whole pixels), or pixels where >= 1.

    Returns:
        In [0, 1]; 1 where both outlines are empty, 0 where only one is.

    Raises:
        DataError: the masks differ in size.

    Source: DAVIS 2017 evaluation, metrics.py `f_measure`.
    """
    _check_sizes(predicted, truth, void)
    radius = tolerance if tolerance >= 1 else math.ceil(tolerance * math.hypot(*predicted.shape))
    if void is not None:
        predicted = predicted & ~void
        truth = truth & ~void
    # Outlines lie inside the joint box, one pixel up and left included, and are only compared with each other:
    # what lies outside the crop cannot change the result.
    crop = _joint_box(predicted | truth, margin=1)
    if crop is None:
        return 1.0
    predicted_outline = boundary_map(predicted[crop])
    truth_outline = boundary_map(truth[crop])
    predicted_length = int(np.count_nonzero(predicted_outline))
    truth_length = int(np.count_nonzero(truth_outline))
    if predicted_length == 0 or truth_length == 0:
        return float(predicted_length == truth_length)
    precision = np.count_nonzero(predicted_outline & _near(truth_outline, radius)) / predicted_length
    recall = np.count_nonzero(truth_outline & _near(predicted_outline, radius)) / truth_length
    if precision + recall == 0:
        return 0.0
    return float(2 * precision * recall / (precision + recall))


def boundary_map(mask: BoolArray) -> BoolArray:
    """Return the (H, W) outline of a mask, one pixel wide: pixels that differ from the next one right, below, or both.

    Beyond the last row and column nothing differs, so a mask that touches the image border has no outline there.

    Source: `seg2bmap` of the Berkeley segmentation benchmark, as DAVIS uses it.
    """
    outline = np.zeros_like(mask)
    outline[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    outline[:-1, :] |= mask[:-1, :] ^ mask[1:, :]
    outline[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return outline


def next_click(predicted: BoolArray, truth: BoolArray, void: BoolArray | None = None) -> Click | None:
    """Return the next click of an annotator: the point of the largest error region that is farthest from its border.

    An error region is an 8-connected component of missed pixels or of pixels too many; the image border counts as a
    border. The first click is the same with an empty prediction. Ties go to missed pixels, then to the region and the
    point that come first in reading order, so the answer never changes between runs.

    Args:
        predicted: (H, W) bool.
        truth: (H, W) bool.
        void: (H, W) bool, pixels that are never errors.

    Returns:
        The click, or None when no pixel is wrong.

    Raises:
        DataError: the masks differ in size.
    """
    _check_sizes(predicted, truth, void)
    wrong = predicted ^ truth
    if void is not None:
        wrong &= ~void
    crop = _joint_box(wrong)
    if crop is None:
        return None
    missed = largest_component(wrong[crop] & truth[crop])
    excess = largest_component(wrong[crop] & predicted[crop])
    label, region = (1, missed) if np.count_nonzero(missed) >= np.count_nonzero(excess) else (0, excess)
    inner_x, inner_y = interior_point(region)
    return Click(crop[1].start + inner_x, crop[0].start + inner_y, label)


def _check_sizes(predicted: BoolArray, truth: BoolArray, void: BoolArray | None) -> None:
    if predicted.ndim != 2 or predicted.shape != truth.shape or (void is not None and void.shape != truth.shape):
        others = "" if void is None else f", void {void.shape}"
        raise DataError(
            f"masks must be (H, W) of one size, got predicted {predicted.shape}, truth {truth.shape}{others}"
        )


def _joint_box(mask: BoolArray, margin: int = 0) -> tuple[slice, slice] | None:
    """Return rows and columns of a mask's tight box, widened by `margin` within the image; None if empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return (
        slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, height)),
        slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, width)),
    )


def _near(outline: BoolArray, radius: float) -> BoolArray:
    """Return the pixels at most `radius` from an outline: dilation by a disk of x² + y² <= radius², at any radius."""
    near: BoolArray = squared_distance(~outline) <= radius**2
    return near
