"""Proposals: masks that a grid of clicks finds on a frame. A user makes objects of those that are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from masklet.engine.calibration import confidence_of
from masklet.engine.protocol import Engine
from masklet.masks.rle import CocoRle, decode_rle, rle_ious, rle_within
from masklet.records import BoolArray, ByteArray
from masklet.segmentation.automatic import (
    AutomaticConfig,
    AutomaticCounts,
    AutomaticMask,
    free_clicks,
    segment_everything,
)
from masklet.server import job_schemas, schemas

LEAST_IOU_PREDICTION = 0.3
"""Proposals below the model's own threshold are kept too, down to this one: the page's slider shows them on request."""

MAX_PROPOSALS = 300

SAME_IOU = 0.5
"""A proposal that overlaps an object of the frame by this IoU repeats it."""

INSIDE_SHARE = 0.9
"""Share of a proposal's pixels that lie in a larger one, for it to be a part of that."""

PROPOSALS_FILE = "proposals.json"


def find_proposals(
    engine: Engine[object],
    rgb: ByteArray,
    objects: Sequence[CocoRle],
    *,
    on_progress: Callable[[int, int], None],
) -> tuple[list[job_schemas.Proposal], float]:
    """Find masks on a frame where no object is yet.

    Args:
        engine: runs the model.
        rgb: (H, W, 3) uint8.
        objects: masks of the objects on the frame, of its size.
        on_progress: called with the clicks done, and their number.

    Returns:
        The proposals, the surest first; and the confidence from which on the model's own settings keep a mask.
    """
    usual = AutomaticConfig.for_engine(engine.info)
    grid = usual.grid(0)
    points = grid[free_clicks(grid, _covered(objects, (rgb.shape[0], rgb.shape[1])))]
    usual_confidence = confidence_of(usual.min_iou, engine.info, "click")
    if not len(points):
        return [], usual_confidence
    config = AutomaticConfig.for_engine(
        engine.info, point_grids=[points], min_iou=min(LEAST_IOU_PREDICTION, usual.min_iou), order="iou"
    )

    def report(counts: AutomaticCounts) -> None:
        on_progress(counts.points_done, counts.points_total)

    masks = _without_repeats(segment_everything(engine, rgb, config, on_progress=report), objects)[:MAX_PROPOSALS]
    containers = _containers([mask.rle for mask in masks], [mask.area for mask in masks])
    return [
        job_schemas.Proposal(
            number=number,
            rle=schemas.Rle(size=mask.rle["size"], counts=mask.rle["counts"]),
            box=list(mask.box_xyxy),
            area=mask.area,
            iou_prediction=round(mask.iou_prediction, 4),
            confidence=round(confidence_of(mask.iou_prediction, engine.info, "click"), 4),
            inside=containers[number],
        )
        for number, mask in enumerate(masks)
    ], usual_confidence


def _covered(objects: Sequence[CocoRle], size_hw: tuple[int, int]) -> BoolArray:
    """Return the (H, W) pixels of all objects."""
    covered: BoolArray = np.zeros(size_hw, np.bool_)
    for rle in objects:
        covered |= decode_rle(rle, size_hw)
    return covered


def _without_repeats(masks: Sequence[AutomaticMask], objects: Sequence[CocoRle]) -> list[AutomaticMask]:
    if not masks or not objects:
        return list(masks)
    overlaps = rle_ious([mask.rle for mask in masks], objects)
    return [mask for mask, ious in zip(masks, overlaps, strict=True) if max(ious) < SAME_IOU]


def _containers(rles: Sequence[CocoRle], areas: Sequence[int]) -> list[list[int]]:
    """Return, for each mask, the numbers of the larger masks in which it lies."""
    return [
        [other for other, share in enumerate(row) if areas[other] > areas[number] and share >= INSIDE_SHARE]
        for number, row in enumerate(rle_within(rles, rles))
    ]
