"""Boxes of masks for counting, in which stray pieces do not move an object."""

from __future__ import annotations

import cv2
import numpy as np

from masklet.masks.rle import CocoRle, decode_rle, rle_box_xyxy
from masklet.records import FloatArray

REACH = 0.5
"""How far from an object's former box its pieces may lie, as a share of the box's sides."""
LEAST_NEAR = 0.25
"""Share of a mask that must lie within this reach; with less, the object itself has moved away."""
LEAST_PIECE = 0.5
"""Least area of a piece, as a share of the largest one, where the former box does not decide."""


def object_box(rle: CocoRle, former: FloatArray | None) -> FloatArray | None:
    """Return the box of an object's mask without stray pieces, as a shoe that a tracker has added to a ball.

    A piece is stray if it lies out of reach of where the object was on the frame before. A mask is decoded only if a
    part of it lies out of reach.

    Args:
        rle: the mask.
        former: (4,) what this function returned for the last mask that was not empty; None for the first one.

    Returns:
        (4,) float32 in source pixels, or None for an empty mask.

    Raises:
        DataError: the mask is damaged.
    """
    box = rle_box_xyxy(rle)
    if box is None:
        return None
    reach = None if former is None else former + REACH * np.tile(former[2:] - former[:2], 2) * [-1, -1, 1, 1]
    if reach is not None and (box[:2] >= reach[:2]).all() and (box[2:] <= reach[2:]).all():
        return box
    left, top, right, bottom = box.astype(int)
    pixels = decode_rle(rle)[top:bottom, left:right].astype(np.uint8)
    stats = cv2.connectedComponentsWithStats(pixels, connectivity=8)[2][1:]
    if len(stats) == 1:
        return box
    areas, starts = stats[:, cv2.CC_STAT_AREA], stats[:, :2] + [left, top]
    ends = starts + stats[:, 2:4]
    is_kept = areas >= LEAST_PIECE * areas.max()
    if reach is not None:
        is_near = (ends > reach[:2]).all(axis=1) & (starts < reach[2:]).all(axis=1)
        if areas[is_near].sum() >= LEAST_NEAR * areas.sum():
            is_kept = is_near
    return np.concatenate([starts[is_kept].min(axis=0), ends[is_kept].max(axis=0)]).astype(np.float32)
