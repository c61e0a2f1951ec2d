"""The model itself as a detector: a grid of clicks, asked where nothing is tracked yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.discovery.detections import Detection
from masklet.engine.calibration import Stage, confidence_of
from masklet.masks.operations import mask_box_xyxy, upsample_logits, without_stray_pieces
from masklet.prompts import Prompt
from masklet.records import BoolArray, ByteArray, FloatArray, Frame, Recall
from masklet.segmentation.automatic import AutomaticConfig, free_clicks, masks_at_points
from masklet.tracking.frame_engine import DecodeRequest, FrameEngine

A = TypeVar("A")

QUARTERS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Offsets of the sub-grids, each a quarter of the clicks, in the order in which they are asked."""
CHANGED = 12.0
"""Smallest change of the mean colour of a part of a click's surroundings, 0 to 255, that makes the click due again."""
PARTS = 4
"""Parts of a click's surroundings per side; the surroundings are its cell of the grid."""
STRAY = 0.25
"""Pieces of less than this fraction of a mask's largest piece lie on other things that look alike, and are left out."""
REACH = 0.5
"""Pieces farther from the largest one than this fraction of their own size (the root of their area) do so, too. What
stands in front of an object leaves narrower gaps."""


class GridDetector(Generic[A]):
    """Clicks on a grid, without what tracks cover, and keeps the good and distinct masks.

    A click is asked again only where the picture has changed since, or where a track has been and gone; all are after
    `ask_again`. While nothing is tracked, all clicks are asked at once; else those
    that never were, and of the others at most a quarter of the grid, those first that have waited longest.
    Tracks that are to be verified are segmented again, without memory, from the boxes around their masks.

    Args:
        view: the tracker's engine, which has encoded the frame already.
        config: grid and thresholds; those of the model when left out.
    """

    def __init__(self, view: FrameEngine[A], config: AutomaticConfig | None = None) -> None:
        self._view = view
        self._config = config or AutomaticConfig.for_engine(view.engine.info)
        self._grid = self._config.grid(0)
        self._rank = _quarters(self._grid, self._config.points_per_side)
        self._colours = np.full((len(self._grid), PARTS**2 * 3), np.nan, np.float32)  # when a click was last asked
        self._turn = np.full(len(self._grid), -1)  # the key frame on which that was
        self._num_turns = 0

    def ask_again(self) -> None:
        """Ask all clicks again, since what they have found before may now start a track."""
        self._colours[:] = np.nan

    def detect(
        self, frame: Frame, covered: BoolArray, doubtful: Sequence[BoolArray] = (), *, is_tracking: bool = False
    ) -> list[Detection]:
        """Return the masks at the clicks and in the boxes; see `Detector`.

        Args:
            frame: the frame.
            covered: (H, W) where not to click.
            doubtful: (H, W) masks of the tracks to verify.
            is_tracking: whether any object is tracked, so that a quarter of the grid is enough.
        """
        view = self._view
        view.set_frame(frame)
        points = self._points(frame, covered, asks_all=not is_tracking)
        masks = masks_at_points(view.engine, view.features, frame.size_hw, points, self._config)
        detections = [self._detection(mask.mask, mask.iou_prediction, "click") for mask in masks]
        detections += self._in_boxes([box for mask in doubtful if (box := mask_box_xyxy(mask)) is not None], frame)
        return [detection for detection in detections if detection is not None]

    def _points(self, frame: Frame, covered: BoolArray, *, asks_all: bool) -> FloatArray:
        """Return the (P, 2) clicks to ask on a frame, source pixels, and remember what they show."""
        height, width = covered.shape
        colours = _colours_around(self._grid, frame.rgb, self._config.points_per_side)
        is_free = free_clicks(self._grid, covered)
        self._colours[~is_free] = np.nan  # when the track has gone, the click is due
        changes = np.abs(colours - self._colours).max(axis=1)
        due = np.flatnonzero(is_free & ~(changes < CHANGED))
        if not asks_all:
            longest_waiting = due[np.lexsort((self._rank[due], self._turn[due]))]
            num_new = np.count_nonzero(self._turn[due] < 0)
            due = longest_waiting[: max(num_new, math.ceil(len(self._grid) / len(QUARTERS)))]
        self._colours[due] = colours[due]
        self._turn[due] = self._num_turns
        self._num_turns += 1
        size_xy = np.array([width, height], np.float32)
        return np.asarray(np.minimum(self._grid[np.sort(due)] * size_xy, size_xy - 0.5), np.float32)

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
        return Detection.of_mask(without_stray_pieces(mask, STRAY, REACH), score=score)


def _quarters(grid_01: FloatArray, points_per_side: int) -> NDArray[np.int64]:
    """Return the (P,) numbers in `QUARTERS` of the clicks of a grid, so that neighbours are asked one after another."""
    columns, rows = np.round(grid_01 * points_per_side - 0.5).astype(int).T % 2
    return np.array([QUARTERS.index((x, y)) for x, y in zip(columns.tolist(), rows.tolist(), strict=True)])


def _colours_around(grid_01: FloatArray, rgb: ByteArray, points_per_side: int) -> FloatArray:
    """Return the mean colours of the parts of each click's surroundings, (P, parts * 3), 0 to 255."""
    side = PARTS * points_per_side
    small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    offsets = np.arange(PARTS)[:, None] - PARTS // 2
    columns, rows = (np.round(grid_01 * side).astype(int)[:, None] + offsets).clip(0, side - 1).transpose(2, 0, 1)
    return np.asarray(small[rows[:, :, None], columns[:, None, :]].reshape(len(grid_01), -1), np.float32)
