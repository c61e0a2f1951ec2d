"""Overlaps of many masks or boxes at once, of masks at a reduced size if speed matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from masklet.records import BoolArray, FloatArray

SIDE = 256
"""Longest side of the reduced masks, pixels."""


def reduced(mask: BoolArray) -> BoolArray:
    """Return an (H, W) mask with every n-th row and column, so that no side is longer than `SIDE`."""
    step = max(1, math.ceil(max(mask.shape) / SIDE))
    kept: BoolArray = mask[step // 2 :: step, step // 2 :: step]
    return kept


class MaskSetOverlap:
    """Areas and overlaps between two lists of masks, or of the masks of one list.

    Args:
        first: N masks of one size.
        second: M masks of the same size; those of `first` when left out.
    """

    def __init__(self, first: Sequence[BoolArray], second: Sequence[BoolArray] | None = None) -> None:
        a = _flat(first)
        b = a if second is None else _flat(second)
        self.first_areas: FloatArray = a.sum(axis=1)
        """(N,) pixels."""
        self.second_areas: FloatArray = b.sum(axis=1)
        """(M,) pixels."""
        shared = a @ b.T if len(a) and len(b) else np.zeros((len(a), len(b)), np.float32)
        self.shared: FloatArray = shared
        """(N, M) pixels that both masks have."""

    @cached_property
    def iou(self) -> FloatArray:
        """(N, M) intersection over union; 0 where both are empty."""
        union = self.first_areas[:, None] + self.second_areas[None] - self.shared
        return np.asarray(self.shared / np.maximum(union, 1), np.float32)

    @cached_property
    def first_within(self) -> FloatArray:
        """(N, M) fraction of each first mask that lies within each second one."""
        return np.asarray(self.shared / np.maximum(self.first_areas[:, None], 1), np.float32)


def box_iou(first_xyxy: FloatArray, second_xyxy: FloatArray) -> FloatArray:
    """Return the (N, M) IoUs of boxes, (N, 4) and (M, 4)."""
    shared, first, second = _box_overlap(first_xyxy, second_xyxy)
    return np.asarray(shared / np.maximum(first + second - shared, 1e-9), np.float32)


def pair_iou(first_xyxy: Sequence[float] | FloatArray, second_xyxy: Sequence[float] | FloatArray) -> float:
    """Return the intersection over union of two boxes."""
    return float(box_iou(np.array([first_xyxy]), np.array([second_xyxy]))[0, 0])


def box_within_smaller(first_xyxy: FloatArray, second_xyxy: FloatArray) -> FloatArray:
    """Return the (N, M) fractions of the smaller of two boxes that lie within the larger one, (N, 4) and (M, 4)."""
    shared, first, second = _box_overlap(first_xyxy, second_xyxy)
    return np.asarray(shared / np.maximum(np.minimum(first, second), 1e-9), np.float32)


def _box_overlap(first_xyxy: FloatArray, second_xyxy: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the shared areas of boxes, (N, M), and their own, (N, 1) and (1, M)."""
    low = np.maximum(first_xyxy[:, None, :2], second_xyxy[None, :, :2])
    high = np.minimum(first_xyxy[:, None, 2:], second_xyxy[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    first, second = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first_xyxy, second_xyxy))
    return shared, first[:, None], second[None]


def best_pairs(scores: FloatArray, least: float) -> list[tuple[int, int]]:
    """Return pairs (row, column) of at least this score, each row and column once, the best pairs first.

    Masks that overlap by more than half pair in one way only; for lower limits this choice is greedy.
    """
    pairs: list[tuple[int, int]] = []
    remaining = np.array(scores, np.float32)
    while remaining.size and (best := float(remaining.max())) >= max(least, 1e-6):
        row, column = np.unravel_index(int(remaining.argmax()), remaining.shape)
        pairs.append((int(row), int(column)))
        remaining[row, :] = remaining[:, column] = -1
        assert best > 0
    return pairs


def _flat(masks: Sequence[BoolArray]) -> FloatArray:
    if not masks:
        return np.zeros((0, 0), np.float32)
    return np.stack([mask.ravel() for mask in masks]).astype(np.float32)
