"""Where each object was, frame by frame: what is counted, made of masks or boxes and free of both."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from masklet.counting.boxes import object_box
from masklet.errors import DataError
from masklet.masks.rle import rle_size
from masklet.records import FloatArray
from masklet.tracking.masklets import Masklets

Anchor = Literal["center", "bottom"]
"""The point of a box that crosses lines: its center, or the middle of its lower edge, where feet and wheels are."""


_CONFIDENCES = (0.0, 0.36, 0.45, 0.55, 0.65, 0.76, 0.84, 0.92)
_SHOWN = (0.0, 0.70, 0.78, 0.88, 0.93, 0.97, 0.995, 1.0)
"""Share of masks that overlap their object with an IoU of at least 0.25, by confidence: measured with nano on 15,051
tracked masks of 46 validation clips. Nothing was measured below 0.33."""


def shown_probability(confidence: float) -> float:
    """Return the probability that a mask shows its object, whatever its outline, from its expected IoU.

    A rough mask with an expected IoU of 0.6 still shows that its object is there.
    """
    return float(np.interp(confidence, _CONFIDENCES, _SHOWN))


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One object on the T frames on which it is visible."""

    object_id: int
    label: str
    """Class of the object, as "car"; may be empty."""
    frames: NDArray[np.int64]
    """(T,) frame indices, ascending."""
    boxes_xyxy: NDArray[np.float64]
    """(T, 4) source pixels."""
    confidences: NDArray[np.float64]
    """(T,) in [0, 1]: the expected IoU of a mask, the score of a detector's box."""
    probabilities: NDArray[np.float64]
    """(T,) in [0, 1]: that there is an object at the box; see `shown_probability`."""

    def anchors(self, anchor: Anchor) -> NDArray[np.float64]:
        """Return (T, 2) the point of each box that crosses lines, source pixels."""
        left, top, right, bottom = self.boxes_xyxy.T
        return np.stack([(left + right) / 2, (top + bottom) / 2 if anchor == "center" else bottom], axis=1)

    def sizes(self) -> NDArray[np.float64]:
        """Return (T,) the side of a square as large as each box, source pixels."""
        left, top, right, bottom = self.boxes_xyxy.T
        sides: NDArray[np.float64] = np.sqrt(np.maximum(0, right - left) * np.maximum(0, bottom - top))
        return sides

    def position_errors(self) -> NDArray[np.float64]:
        """Return (T,) by how many pixels each box is typically displaced.

        A square of side s that is displaced by d along one side overlaps its true place with an IoU of
        (s - d) / (s + d). Solved for d with the confidence as the expected IoU.
        """
        errors: NDArray[np.float64] = self.sizes() * (1 - self.confidences) / (1 + self.confidences)
        return errors


@dataclass(frozen=True, slots=True)
class Trajectories:
    """All objects of a video or a live run."""

    objects: tuple[Trajectory, ...]
    """By ascending object id; each is visible on at least one frame."""
    frames: range
    """Frames that were looked at: from the first to the last, in the step in which they lie."""
    fps: float | None = None
    """Frames per second; None where nobody knows."""
    times: dict[int, float] = field(default_factory=dict, repr=False)
    """Seconds by frame, where they are not even."""
    size_hw: tuple[int, int] | None = None
    """Height and width of the frames, source pixels; None where nobody knows."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes of the objects, sorted; "" for objects without one."""
        return tuple(sorted({trajectory.label for trajectory in self.objects}))

    def time_s(self, frame_index: int) -> float | None:
        """Return the time of a frame in seconds; None where nobody knows."""
        if frame_index in self.times:
            return self.times[frame_index]
        return None if self.fps is None else frame_index / self.fps

    @classmethod
    def of_masklets(cls, masklets: Masklets, *, fps: float | None = None) -> Trajectories:
        """Return where the objects of a tracker, a session or an import were; see `object_box` for stray pieces.

        Args:
            masklets: the masks; empty ones are absent objects.
            fps: frames per second, for rows without a time.

        Raises:
            DataError: there are no masks.
        """
        builder = TrajectoryBuilder({info.object_id: info.class_name for info in masklets.objects})
        times: dict[int, float] = {}
        boxes: dict[int, FloatArray] = {}
        size_hw: tuple[int, int] | None = None
        for frame_index in masklets.span():
            for row in masklets.at(frame_index):
                builder.note_frame(frame_index)
                size_hw = rle_size(row.rle)
                if row.time_s > 0 or frame_index == 0:  # given masks have no time, which is 0 everywhere
                    times[frame_index] = row.time_s
                box = object_box(row.rle, boxes.get(row.object_id))
                if box is not None:
                    boxes[row.object_id] = box
                    builder.add(frame_index, row.object_id, box.tolist(), row.confidence)
        return builder.built(fps=_rate(times) if fps is None else fps, times=times, size_hw=size_hw)


class TrajectoryBuilder:
    """Collects boxes in any order.

    Args:
        labels: classes by object id, where they are known beforehand.
    """

    def __init__(self, labels: dict[int, str] | None = None) -> None:
        self.num_repeated = 0
        """Boxes that `built` left out because their object had a surer one on the same frame."""
        self._labels = dict(labels or {})
        self._values: dict[int, array[float]] = {}
        self._frames: set[int] = set()

    def note_frame(self, frame_index: int) -> None:
        """Note that a frame was looked at, whether it shows an object or not."""
        self._frames.add(frame_index)

    def add(
        self,
        frame_index: int,
        object_id: int,
        box_xyxy: Iterable[float],
        confidence: float,
        *,
        probability: float | None = None,
        label: str = "",
    ) -> None:
        """Add a box; of two boxes of one object on one frame the surer counts.

        Args:
            frame_index: the frame.
            object_id: the object.
            box_xyxy: source pixels.
            confidence: expected IoU of the box or its mask, in [0, 1].
            probability: that it shows an object, in [0, 1]; None takes `shown_probability`.
            label: class of the object; the first one that is not empty counts.
        """
        self.note_frame(frame_index)
        if label:
            self._labels.setdefault(object_id, label)
        clipped = _unit(confidence)
        shown = shown_probability(clipped) if probability is None else _unit(probability)
        self._values.setdefault(object_id, array("d")).extend((frame_index, *box_xyxy, clipped, shown))

    def built(
        self,
        *,
        fps: float | None = None,
        times: dict[int, float] | None = None,
        size_hw: tuple[int, int] | None = None,
    ) -> Trajectories:
        """Return the trajectories; for the arguments see `Trajectories`.

        Raises:
            DataError: no frame was looked at.
        """
        if not self._frames:
            raise DataError("there is nothing to count: no frame has been tracked")
        objects = tuple(self._trajectory(object_id) for object_id in sorted(self._values))
        return Trajectories(objects, _stepped(sorted(self._frames)), fps, times or {}, size_hw)

    @property
    def num_boxes(self) -> int:
        """Number of boxes so far."""
        return sum(len(values) for values in self._values.values()) // 7

    def _trajectory(self, object_id: int) -> Trajectory:
        rows = np.array(self._values[object_id]).reshape(-1, 7)
        rows = rows[np.lexsort((-rows[:, 5], rows[:, 0]))]  # of one frame, the surest first
        is_first = np.diff(rows[:, 0], prepend=rows[0, 0] - 1) > 0
        self.num_repeated += len(rows) - int(is_first.sum())
        rows = rows[is_first]
        label = self._labels.get(object_id, "")
        return Trajectory(object_id, label, rows[:, 0].astype(np.int64), rows[:, 1:5], rows[:, 5], rows[:, 6])


def _rate(times: dict[int, float]) -> float | None:
    """Return the mean frames per second of frames with times; None if there are fewer than two."""
    first, last = min(times, default=0), max(times, default=0)
    return None if first == last or times[last] <= times[first] else (last - first) / (times[last] - times[first])


def _unit(value: float) -> float:
    return 0.0 if math.isnan(value) else min(1.0, max(0.0, value))


def _stepped(frames: list[int]) -> range:
    """Return the range that holds the frames: labels on every sixth frame have a step of 6."""
    step = math.gcd(*(frame - frames[0] for frame in frames)) or 1
    return range(frames[0], frames[-1] + 1, step)
