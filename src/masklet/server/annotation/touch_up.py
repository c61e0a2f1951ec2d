"""Clicks on a mask that was drawn by hand: they add or remove what the model sees there, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from masklet.records import BoolArray


def touched_up(
    drawn: BoolArray,
    point_xy: tuple[float, float],
    label: int,
    seen: BoolArray,
    things_here: Callable[[], Sequence[BoolArray]],
) -> BoolArray:
    """Return the drawn mask with the part changed that a click is on.

    Where the model agrees with the click, that is the connected part in which its mask and the drawn one differ; where
    it does not, it is the smallest thing that it sees at the click alone.

    Args:
        drawn: (H, W).
        point_xy: the click, source pixels.
        label: 1 adds, 0 takes away.
        seen: (H, W) the model's mask, given the drawn one and the click.
        things_here: (H, W) each, the candidates for a single click at this place; asked for only where they are needed.

    Returns:
        (H, W); the same array when there is nothing to do.
    """
    height, width = drawn.shape
    x, y = min(int(point_xy[0]), width - 1), min(int(point_xy[1]), height - 1)
    if drawn[y, x] == bool(label):
        return drawn
    differs = seen & ~drawn if label else drawn & ~seen
    if not differs[y, x]:
        under_click = [thing for thing in things_here() if thing[y, x]]
        if not under_click:
            return drawn
        smallest = min(under_click, key=np.count_nonzero)
        differs = smallest & ~drawn if label else smallest & drawn
    _, parts = cv2.connectedComponents(differs.astype(np.uint8), connectivity=4)
    part: BoolArray = parts == parts[y, x]
    return drawn | part if label else drawn & ~part
