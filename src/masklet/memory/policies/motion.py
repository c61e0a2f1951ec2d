"""A motion model beside the model's own judgement: of several candidates, the one where the object should be by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from masklet.memory.policies.base import Box, Policy, Sighting, Write, box_iou

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

MOTION_WEIGHT = 0.25
"""Of the overlap with the expected box against the IoU prediction (0.15 for the largest of the official models)."""
STABLE_FRAMES = 15
"""Seen in succession before the motion model has a say."""
MIN_IOU_TO_FOLLOW = 0.3
"""IoU prediction at or below which a box teaches nothing about motion."""
MIN_IOU_TO_REMEMBER = 0.5
"""IoU prediction at or below which a frame is not read again."""
MAX_COAST = 10
"""Frames without a sight after which the expectation is given up."""

POSITION_NOISE = 1 / 20
VELOCITY_NOISE = 1 / 160
"""Standard deviations a frame, in heights of the box."""
ASPECT_NOISE = 1e-2
ASPECT_VELOCITY_NOISE = 1e-5
ASPECT_MEASURED_NOISE = 1e-1
"""Of width / height, which has no unit."""


@dataclass(slots=True)
class KalmanState:
    """One number that moves evenly, as a Kalman filter knows it."""

    value: float
    velocity: float
    """A frame."""
    var_value: float
    covariance: float
    var_velocity: float

    @classmethod
    def seen_first(cls, value: float, noise: float, velocity_noise: float) -> KalmanState:
        return cls(value, 0.0, noise**2, 0.0, velocity_noise**2)

    def predict(self, noise: float, velocity_noise: float) -> None:
        """One frame later."""
        self.value += self.velocity
        self.var_value += 2 * self.covariance + self.var_velocity + noise**2
        self.covariance += self.var_velocity
        self.var_velocity += velocity_noise**2

    def update(self, measured: float, noise: float) -> None:
        """Seen."""
        spread = self.var_value + noise**2
        gain, velocity_gain = self.var_value / spread, self.covariance / spread
        surprise = measured - self.value
        self.value += gain * surprise
        self.velocity += velocity_gain * surprise
        self.var_velocity -= velocity_gain * self.covariance
        self.var_value *= 1 - gain
        self.covariance *= 1 - gain


class BoxFilter:
    """Where a box is going: its centre, width / height and height each move evenly.

    The four do not depend on one another, so that four filters of two numbers are the whole.

    Args:
        box: where it was seen first.
    """

    def __init__(self, box: Box) -> None:
        x, y, aspect, height = _measured(box)
        self.parts = [
            KalmanState.seen_first(x, 2 * POSITION_NOISE * height, 10 * VELOCITY_NOISE * height),
            KalmanState.seen_first(y, 2 * POSITION_NOISE * height, 10 * VELOCITY_NOISE * height),
            KalmanState.seen_first(aspect, ASPECT_NOISE, ASPECT_VELOCITY_NOISE),
            KalmanState.seen_first(height, 2 * POSITION_NOISE * height, 10 * VELOCITY_NOISE * height),
        ]

    @property
    def box(self) -> Box:
        """Where it is expected."""
        x, y, aspect, height = (part.value for part in self.parts)
        width, height = max(aspect, 1e-3) * max(height, 1e-3), max(height, 1e-3)
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def predict(self) -> None:
        """One frame later."""
        height = max(self.parts[3].value, 1e-3)
        for part, by_height in zip(self.parts, (True, True, False, True), strict=True):
            part.predict(
                POSITION_NOISE * height if by_height else ASPECT_NOISE,
                VELOCITY_NOISE * height if by_height else ASPECT_VELOCITY_NOISE,
            )

    def update(self, box: Box) -> None:
        """Seen."""
        noise = POSITION_NOISE * max(self.parts[3].value, 1e-3)
        noises = (noise, noise, ASPECT_MEASURED_NOISE, noise)
        for part, measured, one in zip(self.parts, _measured(box), noises, strict=True):
            part.update(measured, one)


def _measured(box: Box) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    width, height = max(right - left, 1e-3), max(bottom - top, 1e-3)
    return (left + right) / 2, (top + bottom) / 2, width / height, height


class MotionPolicy(Policy):
    """Choose the candidate that is where the object should be, and remember frames on which it was.

    a) A Kalman filter follows the box of the chosen mask. A box with an IoU prediction above 0.3 teaches it.
    b) Once it has been taught on 15 frames in succession, a candidate's rating is 0.25 x overlap with the expected
       box + 0.75 x IoU prediction. Until then the highest IoU prediction is chosen.
    c) A poor sight (IoU prediction up to 0.3) starts the count anew. While the object is absent the box is carried on
       for 10 frames; after that it may come back anywhere.
    d) Read are frames with the object present, an IoU prediction above 0.5, and a mask that touched the expected box,
       as `reliable` reads them: the previous frame in any case.

    It knows time by the order of frames, so it works backward too; each object has its own.

    Source: SAMURAI, arXiv 2411.11922 (forward only, one object, and forgets at once when the object is hidden).
    """

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__(config)
        self.reset()

    def reset(self) -> None:
        self._filter: BoxFilter | None = None
        self._num_stable = 0
        self._last_index = 0
        """The frame that the filter stands at."""
        self._last_seen = 0

    def rate(self, sighting: Sighting) -> Sequence[float] | None:
        self._advance(sighting)
        if self._filter is None or self._num_stable < STABLE_FRAMES:
            return None
        expected = self._filter.box
        return [
            MOTION_WEIGHT * box_iou(expected, box) + (1 - MOTION_WEIGHT) * iou
            for box, iou in zip(sighting.boxes, sighting.iou_predictions, strict=True)
        ]

    def write(self, sighting: Sighting) -> Write:
        self._advance(sighting)
        box = sighting.box
        if box is None or not sighting.is_present:
            return Write(reliability=0.0)
        if sighting.prompted:
            self._start(sighting, box)
            return Write()
        was_expected = self._filter is None or self._num_stable < STABLE_FRAMES or box_iou(self._filter.box, box) > 0
        if sighting.iou_prediction <= MIN_IOU_TO_FOLLOW:
            self._num_stable = 0
        elif self._filter is None or self._num_stable == 0:
            self._start(sighting, box)
        else:
            self._filter.update(box)
            self._num_stable += 1
            self._last_seen = sighting.frame_index
        good = was_expected and sighting.iou_prediction > MIN_IOU_TO_REMEMBER
        return Write(reliability=None if good else 0.0)

    def state(self) -> dict[str, Any]:
        if self._filter is None:
            return {}
        return {
            "parts": [
                [part.value, part.velocity, part.var_value, part.covariance, part.var_velocity]
                for part in self._filter.parts
            ],
            "num_stable": self._num_stable,
            "last_index": self._last_index,
            "last_seen": self._last_seen,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.reset()
        if state:
            self._filter = BoxFilter((0.0, 0.0, 1.0, 1.0))
            self._filter.parts = [KalmanState(*part) for part in state["parts"]]
            self._num_stable, self._last_index, self._last_seen = (
                state[name] for name in ("num_stable", "last_index", "last_seen")
            )

    def _start(self, sighting: Sighting, box: Box) -> None:
        self._filter, self._num_stable = BoxFilter(box), 1
        self._last_index = self._last_seen = sighting.frame_index

    def _advance(self, sighting: Sighting) -> None:
        """Bring the filter to this frame, once; give it up when the object has not been seen for long."""
        if self._filter is None:
            return
        if abs(sighting.frame_index - self._last_seen) > MAX_COAST:
            self.reset()
            return
        for _ in range(abs(sighting.frame_index - self._last_index)):
            self._filter.predict()
        self._last_index = sighting.frame_index
