"""Sightings made of boxes on a small grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from masklet.memory.policies import Sighting

GRID = 20


def sighting(
    frame_index: int,
    boxes: Sequence[tuple[int, int, int, int]],
    ious: Sequence[float] | None = None,
    *,
    chosen: int = 0,
    object_score: float = 8.0,
    direction: int = 1,
    prompted: bool = False,
) -> Sighting:
    """Candidates that fill boxes (left, top, right, bottom) on a grid of 20 x 20."""
    masks = np.zeros((len(boxes), GRID, GRID), np.bool_)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return Sighting(frame_index, direction, object_score, ious or (0.9,) * len(boxes), masks, chosen, prompted=prompted)
