"""The model itself as a detector: a grid of clicks, asked where nothing is tracked yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from masklet.discovery.detections import Detection
from masklet.engine.calibration import Stage, confidence_of
from masklet.masks.operations import mask_box_xyxy, upsample_logits, without_stray_pieces
from masklet.prompts import Prompt
from masklet.records import BoolArray, FloatArray, Frame, Recall
from masklet.segmentation.automatic import AutomaticConfig, free_clicks, masks_at_points
from masklet.tracking.frame_engine import DecodeRequest, FrameEngine

A = TypeVar("A")

TURNS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Offsets of the sub-grids, each a quarter of the clicks; all have been asked after four key frames."""
STRAY = 0.25
"""Pieces of less than this fraction of a mask's largest piece lie on other things that look alike, and are left out."""
MOSTLY_COVERED = 0.1
"""While tracks cover less than this fraction of the frame, the whole grid is asked."""


class GridDetector(Generic[A]):
    """Clicks on a grid, without what tracks cover, and keeps the good and distinct masks.

    The first frame, and one on which nothing is left, gets the whole grid. Later key frames get a quarter of it each,
    in turn. Tracks that are to be verified are segmented again, without memory, from the boxes around their masks.

    Args:
        view: the tracker's engine, which has encoded the frame already.
        config: grid and thresholds; those of the model when left out.
    """

    def __init__(self, view: FrameEngine[A], config: AutomaticConfig | None = None) -> None:
        self._view = view
        self._config = config or AutomaticConfig.for_engine(view.engine.info)

    def detect(
        self, frame: Frame, covered: BoolArray, doubtful: Sequence[BoolArray] = (), *, turn: int = 0
    ) -> list[Detection]:
        """Return the masks at the clicks and in the boxes; see `Detector`.

        Args:
            frame: the frame.
            covered: (H, W) where not to click.
            doubtful: (H, W) masks of the tracks to verify.
            turn: number of the key frame, which chooses the quarter of the grid.
        """
        view = self._view
        view.set_frame(frame)
        points = self._grid_points(covered, turn)
        masks = masks_at_points(view.engine, view.features, frame.size_hw, points, self._config)
        detections = [self._detection(mask.mask, mask.iou_prediction, "click") for mask in masks]
        detections += self._in_boxes([box for mask in doubtful if (box := mask_box_xyxy(mask)) is not None], frame)
        return [detection for detection in detections if detection is not None]

    def _grid_points(self, covered: BoolArray, turn: int) -> FloatArray:
        """Return the (P, 2) clicks of a turn outside the covered pixels, source pixels."""
        height, width = covered.shape
        grid = self._config.grid(0)
        if covered.mean() >= MOSTLY_COVERED:
            columns = np.round(grid[:, 0] * self._config.points_per_side - 0.5).astype(int)
            rows = np.round(grid[:, 1] * self._config.points_per_side - 0.5).astype(int)
            x, y = TURNS[turn % len(TURNS)]
            grid = grid[(columns % 2 == x) & (rows % 2 == y)]
        clicks = free_clicks(grid, covered) * np.array([width, height], np.float32)
        return np.asarray(np.minimum(clicks, np.array([width, height]) - 0.5), np.float32)

    def _in_boxes(self, boxes_xyxy: Sequence[FloatArray], frame: Frame) -> list[Detection | None]:
        """Return what the model segments in some boxes, source pixels."""
        prompts = [Prompt.create(box_xyxy=box, size_hw=frame.size_hw) for box in boxes_xyxy]
        results = self._view.decode([DecodeRequest(Recall(), prompt) for prompt in prompts])
        return [
            self._detection(
                upsample_logits(result.chosen_logits, frame.size_hw) > 0, result.decoded.iou_prediction, "box"
            )
            for result in results
        ]

    def _detection(self, mask: BoolArray, iou_prediction: float, stage: Stage) -> Detection | None:
        score = confidence_of(iou_prediction, self._view.engine.info, stage)
        return Detection.of_mask(without_stray_pieces(mask, STRAY), score=score)
