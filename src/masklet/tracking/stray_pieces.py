"""Finds the pieces of a mask that lie on something else which looks the same."""

from __future__ import annotations

import cv2
import numpy as np

from masklet.records import BoolArray

REACH = 1.0
"""How far an object may get from one frame to the next, as a multiple of its size, the root of its area."""
LEAST_REACH = 3.0
"""The same for the smallest objects, in pixels of the low-res logits."""
LEAST_NEAR = 0.5
"""What is near must have this fraction of the last area: else the object may have moved on, and a rest is near."""


def stray_pieces(mask: BoolArray, last_mask: BoolArray, *, frames: int = 1) -> BoolArray:
    """Return the separate pieces of a mask that are out of reach of where the object has just been.

    A model that cannot tell look-alikes apart puts them all into one mask. The object is the one that is near. If no
    piece is near, or too little, the object has moved quickly, and nothing is returned.

    Args:
        mask: (h, w), low-res.
        last_mask: (h, w), the object's mask some frames before.
        frames: how many.

    Returns:
        (h, w), False everywhere if there is nothing to leave out.
    """
    none = np.zeros_like(mask)
    last_area = np.count_nonzero(last_mask)
    if not last_area:
        return none
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and one piece
        return none
    distance = cv2.distanceTransform((~last_mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    is_near = np.zeros(count, np.bool_)
    is_near[labels[distance <= frames * max(LEAST_REACH, REACH * last_area**0.5)]] = True
    is_near[0] = False
    if stats[is_near, cv2.CC_STAT_AREA].sum() < LEAST_NEAR * last_area:
        return none
    is_stray = ~is_near
    is_stray[0] = False
    strays: BoolArray = is_stray[labels]
    return strays
