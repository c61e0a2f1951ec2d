"""The model itself as a detector: a grid of clicks, asked where nothing is tracked yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from masklet.discovery.detections import Detection
from masklet.engine.calibration import confidence_of
from masklet.masks.operations import interior_point, without_stray_pieces
from masklet.records import BoolArray, FloatArray, Frame
from masklet.segmentation.automatic import AutomaticConfig, AutomaticMask, masks_at_points
from masklet.tracking.frame_engine import FrameEngine

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
    in turn, and a click inside each track that is in doubt.

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
        """Return the masks at the clicks; see `Detector`.

        Args:
            frame: the frame.
            covered: (H, W) where not to click.
            doubtful: (H, W) masks in each of which to click once.
            turn: number of the key frame, which chooses the quarter of the grid.
        """
        self._view.set_frame(frame)
        points = [self._grid_points(covered, turn)]
        inside = [interior_point(mask) for mask in doubtful if mask.any()]
        points += [np.array(inside, np.float32).reshape(-1, 2) + 0.5]
        masks = masks_at_points(
            self._view.engine, self._view.features, frame.size_hw, np.concatenate(points), self._config
        )
        detections = [self._detection(mask) for mask in masks]
        return [detection for detection in detections if detection is not None]

    def _grid_points(self, covered: BoolArray, turn: int) -> FloatArray:
        """Return the (P, 2) clicks of a turn outside the covered pixels, source pixels."""
        height, width = covered.shape
        grid = self._config.grid(0)
        points = np.minimum(grid * np.array([width, height], np.float32), np.array([width, height]) - 0.5)
        if covered.mean() >= MOSTLY_COVERED:
            columns = np.round(grid[:, 0] * self._config.points_per_side - 0.5).astype(int)
            rows = np.round(grid[:, 1] * self._config.points_per_side - 0.5).astype(int)
            x, y = TURNS[turn % len(TURNS)]
            points = points[(columns % 2 == x) & (rows % 2 == y)]
        free = ~covered[points[:, 1].astype(int), points[:, 0].astype(int)]
        return np.asarray(points[free], np.float32)

    def _detection(self, mask: AutomaticMask) -> Detection | None:
        score = confidence_of(mask.iou_prediction, self._view.engine.info, "click")
        return Detection.of_mask(without_stray_pieces(mask.mask, STRAY), score=score)
