"""Prompts: what a user says about an object, checked once, and everything that is done with it afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masklet.errors import PromptError
from masklet.records import BoolArray, FloatArray


class PointLabel(IntEnum):
    """What a prompt point means to the prompt encoder. Users give FOREGROUND and BACKGROUND only."""

    PADDING = -1
    BACKGROUND = 0
    FOREGROUND = 1
    BOX_TOP_LEFT = 2
    BOX_BOTTOM_RIGHT = 3


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a user says about one object on one frame. Build it with `Prompt.create`, which checks everything.

    A prompt has points, a box, both, or a mask; `previous_logits` may accompany points and a box.
    """

    points_xy: FloatArray
    """(P, 2) source pixels, x right, y down; (0, 2) when there are none."""
    labels: NDArray[np.int32]
    """(P,) `PointLabel.FOREGROUND` or `BACKGROUND`."""
    box_xyxy: FloatArray | None = None
    """(4,) source pixels: left, top, right, bottom."""
    mask: BoolArray | None = None
    """(H, W) the object itself: it becomes the frame's mask as it is."""
    previous_logits: FloatArray | None = None
    """(h, w) low-res logits of an earlier prediction, to be corrected by the points."""

    @classmethod
    def create(
        cls,
        *,
        points_xy: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box_xyxy: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        previous_logits: ArrayLike | None = None,
        size_hw: tuple[int, int] | None = None,
    ) -> Prompt:
        """Check and normalise what a user gave.

        Args:
            points_xy: (P, 2) source pixels, x right, y down.
            labels: (P,) 1 foreground, 0 background; all foreground when left out.
            box_xyxy: (4,) source pixels, left < right and top < bottom.
            mask: (H, W), bool or numbers (foreground where > 0).
            previous_logits: (h, w) float, from `SegmentResult.low_res_logits`.
            size_hw: the frame's size; when given, points, box and mask are checked against it.

        Raises:
            PromptError: nothing was given, shapes or labels do not fit, a point or box lies outside the frame,
                the box is inside out or empty, the mask has another size or is empty, a mask comes with points.
        """
        points, point_labels = _checked_points(points_xy, labels, size_hw)
        box = None if box_xyxy is None else _checked_box(box_xyxy, size_hw)
        object_mask = None if mask is None else _checked_mask(mask, size_hw)
        if object_mask is not None and (len(points) or box is not None):
            raise PromptError(
                "mask cannot be combined with points or a box in one prompt: give the mask first, then correct it "
                "with points in a second prompt"
            )
        if object_mask is None and box is None and not len(points):
            raise PromptError("the prompt is empty: give at least one point, a box or a mask")
        logits = None
        if previous_logits is not None:
            logits = np.squeeze(_numbers("previous_logits", previous_logits, "numbers of shape (h, w)"))
            if logits.ndim != 2 or not np.isfinite(logits).all():
                raise PromptError(
                    f"previous_logits must be finite and (h, w) as in SegmentResult.low_res_logits[k], "
                    f"got shape {np.shape(previous_logits)}"
                )
        return cls(points, point_labels, box, object_mask, logits)

    @property
    def num_points(self) -> int:
        """Points as the prompt encoder counts them: a box is two."""
        return len(self.points_xy) + (2 if self.box_xyxy is not None else 0)


def _numbers(name: str, given: ArrayLike, form: str) -> FloatArray:
    try:
        return np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{name} must be {form}, got {str(given)[:80]}") from error


def _checked_points(
    points_xy: ArrayLike | None, labels: ArrayLike | None, size_hw: tuple[int, int] | None
) -> tuple[FloatArray, NDArray[np.int32]]:
    points = _numbers("points_xy", () if points_xy is None else points_xy, "numbers of shape (P, 2)")
    given = None if labels is None else _numbers("labels", labels, "1 (foreground) or 0 (background) for each point")
    if points.size == 0:
        if given is not None and given.size:
            raise PromptError(f"labels came without points_xy: got {given.size} labels and no point")
        return np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise PromptError(f"points_xy must be (P, 2) as [(x, y), ...], got shape {points.shape}")
    if not np.isfinite(points).all():
        raise PromptError(f"points_xy must be finite, got {points.tolist()}")
    if given is None:
        point_labels = np.ones(len(points), np.int32)
    else:
        if given.shape != (len(points),):
            raise PromptError(f"labels must be ({len(points)},), got {given.shape}: give one label per point")
        if not np.isin(given, (0, 1)).all():
            raise PromptError(f"labels must be 1 (foreground) or 0 (background), got {given.tolist()}")
        point_labels = given.astype(np.int32)
    if size_hw is not None:
        height, width = size_hw
        outside = (points < 0).any(1) | (points[:, 0] >= width) | (points[:, 1] >= height)
        if outside.any():
            x, y = points[outside][0].tolist()
            raise PromptError(
                f"point ({x:g}, {y:g}) lies outside the frame, which is {width} wide and {height} high: "
                f"x must be in [0, {width}) and y in [0, {height})"
            )
    return points, point_labels


def _checked_box(box_xyxy: ArrayLike, size_hw: tuple[int, int] | None) -> FloatArray:
    box = _numbers("box_xyxy", box_xyxy, "four numbers")
    if box.shape != (4,) or not np.isfinite(box).all():
        raise PromptError(f"box_xyxy must be four finite numbers (left, top, right, bottom), got {box.tolist()}")
    left, top, right, bottom = box.tolist()
    if left >= right or top >= bottom:
        raise PromptError(
            f"box_xyxy must be (left, top, right, bottom) with left < right and top < bottom, "
            f"got ({left:g}, {top:g}, {right:g}, {bottom:g})"
        )
    if size_hw is not None:
        height, width = size_hw
        if left < 0 or top < 0 or right > width or bottom > height:
            raise PromptError(
                f"box ({left:g}, {top:g}, {right:g}, {bottom:g}) lies outside the frame, which is {width} wide and "
                f"{height} high"
            )
    return box


def _checked_mask(mask: ArrayLike, size_hw: tuple[int, int] | None) -> BoolArray:
    array = np.asarray(mask) if isinstance(mask, np.ndarray) else _numbers("mask", mask, "(H, W) of bool or numbers")
    if array.ndim != 2:
        raise PromptError(f"mask must be (H, W), got shape {array.shape}")
    if size_hw is not None and array.shape != tuple(size_hw):
        raise PromptError(
            f"mask must have the size of the frame, {size_hw[1]} x {size_hw[0]} (width x height), "
            f"got {array.shape[1]} x {array.shape[0]}"
        )
    foreground: BoolArray = array > 0
    if not foreground.any():
        raise PromptError("mask is empty: no pixel is foreground")
    return foreground
