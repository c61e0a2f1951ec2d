"""Clicks on a mask drawn by hand: they add or remove only the part that the model segments there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from masklet.records import BoolArray


def touched_up(
    drawn: BoolArray,
    point_xy: tuple[float, float],
    label: int,
    predicted: BoolArray,
    candidates_at_click: Callable[[], Sequence[BoolArray]],
) -> BoolArray:
    """Return the drawn mask, changed in the part at a click.

    If the model agrees with the click, this is the connected part in which its mask and the drawn one differ; if not,
    it is the smallest candidate for the click alone.

    Args:
        drawn: (H, W).
        point_xy: the click, source pixels.
        label: 1 adds, 0 removes.
        predicted: (H, W) the model's mask for the drawn mask and the click.
        candidates_at_click: returns the candidates for a single click there, (H, W) each; called only if needed.

    Returns:
        (H, W); the same array if nothing changes.
    """
    height, width = drawn.shape
    x, y = min(int(point_xy[0]), width - 1), min(int(point_xy[1]), height - 1)
    if drawn[y, x] == bool(label):
        return drawn
    changed = predicted & ~drawn if label else drawn & ~predicted
    if not changed[y, x]:
        under_click = [candidate for candidate in candidates_at_click() if candidate[y, x]]
        if not under_click:
            return drawn
        smallest = min(under_click, key=np.count_nonzero)
        changed = smallest & ~drawn if label else smallest & drawn
    _, parts = cv2.connectedComponents(changed.astype(np.uint8), connectivity=4)
    part: BoolArray = parts == parts[y, x]
    return drawn | part if label else drawn & ~part
