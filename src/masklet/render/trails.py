"""Trails of objects: the recent centres of their masks."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from masklet.records import BoolArray, FloatArray
from masklet.render.composition import Composition, Trail
from masklet.tracking.masklets import Masklets


class Trails:
    """Computes the path of each object that has a trail, for frames in any order; consecutive frames are fastest."""

    def __init__(self, masklets: Masklets, composition: Composition, fps: float) -> None:
        self._masklets = masklets
        self._lengths: dict[int, int] = {}
        for info in masklets.objects:
            if (effect := composition.effect_of(info.object_id, Trail)) is not None:
                self._lengths[info.object_id] = max(1, round(effect.seconds * fps))
        self._centers: dict[int, dict[int, tuple[float, float] | None]] = {}

    def at(self, frame_index: int, masks: Mapping[int, BoolArray], scale: float = 1.0) -> dict[int, FloatArray]:
        """Return the paths up to a frame, (P, 2) pixels by object id, the newest last; absent objects have none.

        Args:
            frame_index: the frame.
            masks: its masks at full size, by object id.
            scale: factor for the coordinates.
        """
        if not self._lengths:
            return {}
        self._centers[frame_index] = {key: _center(masks[key]) for key in self._lengths if key in masks}
        first = max(0, frame_index - max(self._lengths.values()))
        for index in [index for index in self._centers if index < first]:
            del self._centers[index]
        paths: dict[int, FloatArray] = {}
        for object_id, length in self._lengths.items():
            if self._centers[frame_index].get(object_id) is None:
                continue
            points = [
                self._center_of(index, object_id) for index in range(max(0, frame_index - length), frame_index + 1)
            ]
            path = np.array([point for point in points if point is not None], np.float32).reshape(-1, 2)
            paths[object_id] = _smoothed(path) * np.float32(scale)
        return paths

    def _center_of(self, frame_index: int, object_id: int) -> tuple[float, float] | None:
        if frame_index not in self._centers:
            rows = self._masklets.at(frame_index)
            self._centers[frame_index] = {
                row.object_id: _center(row.mask) for row in rows if row.object_id in self._lengths
            }
        return self._centers[frame_index].get(object_id)


def _center(mask: BoolArray) -> tuple[float, float] | None:
    moments = cv2.moments(np.ascontiguousarray(mask).view(np.uint8), binaryImage=True)
    if not moments["m00"]:
        return None
    return moments["m10"] / moments["m00"] + 0.5, moments["m01"] / moments["m00"] + 0.5


def _smoothed(points_xy: FloatArray) -> FloatArray:
    """Average each point with its neighbours: masks flicker, objects do not."""
    if len(points_xy) < 5:
        return points_xy
    padded = np.pad(points_xy, ((2, 2), (0, 0)), mode="reflect", reflect_type="odd")
    kernel = np.array([1, 2, 3, 2, 1], np.float32) / np.float32(9)
    columns = [np.convolve(padded[:, axis], kernel, mode="valid") for axis in (0, 1)]
    return np.stack(columns, axis=1).astype(np.float32)
