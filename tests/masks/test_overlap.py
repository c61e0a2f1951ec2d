"""Overlaps of many masks at once."""

from __future__ import annotations

import numpy as np

from masklet.masks.overlap import MaskSetOverlap


def test_iou_within_a_list() -> None:
    columns = np.arange(8)
    masks = [np.tile(columns < width, (2, 1)) for width in (4, 8, 0)]
    assert MaskSetOverlap(masks).iou.tolist() == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert MaskSetOverlap([]).iou.shape == (0, 0)
    assert MaskSetOverlap(masks, masks[:1]).iou.tolist() == [[1.0], [0.5], [0.0]]
