"""Choose between candidates with a motion model: the object should be where it was heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from masklet.checks import check_fraction, check_whole, set_checked
from masklet.memory.policies.base import Box, Policy, PolicyConfig, Sighting, Write, box_iou

if TYPE_CHECKING:
    from masklet.memory.bank import MemoryConfig

POSITION_NOISE = 1 / 20
VELOCITY_NOISE = 1 / 160
"""Standard deviations per frame, in heights of the box."""
ASPECT_NOISE = 1e-2
ASPECT_VELOCITY_NOISE = 1e-5
ASPECT_MEASURED_NOISE = 1e-1
"""Standard deviations of the aspect ratio, width / height, which has no unit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MotionConfig(PolicyConfig):
    """Settings of `MotionPolicy`."""

    weight: float = 0.25
    """Weight of the overlap with the expected box against the IoU prediction (SAMURAI: 0.15 for the largest model)."""
    stable_frames: int = 15
    """Consecutive frames with the object before the motion model rates."""
    min_iou_to_follow: float = 0.3
    """IoU prediction at or below which a box does not update the motion model."""
    min_iou_to_remember: float = 0.5
    """IoU prediction at or below which a frame is not read again."""
    max_coast: int = 10
    """Frames without the object after which the motion model starts again."""

    def __post_init__(self) -> None:
        set_checked(self, ("weight", "min_iou_to_follow", "min_iou_to_remember"), check_fraction, prefix="motion.")
        set_checked(self, ["stable_frames"], check_whole, prefix="motion.", least=1)
        set_checked(self, ["max_coast"], check_whole, prefix="motion.", least=0)


@dataclass(slots=True)
class KalmanState:
    """One number at constant velocity, as a Kalman filter estimates it."""

    value: float
    velocity: float
    """Change per frame."""
    var_value: float
    covariance: float
    """Covariance of value and velocity."""
    var_velocity: float

    @classmethod
    def first(cls, value: float, noise: float, velocity_noise: float) -> KalmanState:
        """Start from a first measurement; the velocity is unknown."""
        return cls(value, 0.0, noise**2, 0.0, velocity_noise**2)

    def predict(self, noise: float, velocity_noise: float) -> None:
        """Advance by one frame."""
        self.value += self.velocity
        self.var_value += 2 * self.covariance + self.var_velocity + noise**2
        self.covariance += self.var_velocity
        self.var_velocity += velocity_noise**2

    def update(self, measured: float, noise: float) -> None:
        """Correct the estimate by a measurement."""
        spread = self.var_value + noise**2
        gain, velocity_gain = self.var_value / spread, self.covariance / spread
        surprise = measured - self.value
        self.value += gain * surprise
        self.velocity += velocity_gain * surprise
        self.var_velocity -= velocity_gain * self.covariance
        self.var_value *= 1 - gain
        self.covariance *= 1 - gain


class BoxFilter:
    """Kalman filter of a box: its centre, aspect ratio and height, each at constant velocity.

    The four are independent of each other, so four filters of two numbers are the whole filter.

    Args:
        box: the first measurement.
    """

    def __init__(self, box: Box) -> None:
        x, y, aspect, height = _measured(box)
        self.parts = [
            KalmanState.first(x, 2 * POSITION_NOISE * height, 10 * VELOCITY_NOISE * height),
            KalmanState.first(y, 2 * POSITION_NOISE * height, 10 * VELOCITY_NOISE * height),
            KalmanState.first(aspect, ASPECT_NOISE, ASPECT_VELOCITY_NOISE),
            KalmanState.first(height, 2 * POSITION_NOISE * height, 10 * VELOCITY_NOISE * height),
        ]

    @property
    def box(self) -> Box:
        """Expected box."""
        x, y, aspect, height = (part.value for part in self.parts)
        width, height = max(aspect, 1e-3) * max(height, 1e-3), max(height, 1e-3)
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2

    def predict(self) -> None:
        """Advance by one frame."""
        height = max(self.parts[3].value, 1e-3)
        for part, by_height in zip(self.parts, (True, True, False, True), strict=True):
            part.predict(
                POSITION_NOISE * height if by_height else ASPECT_NOISE,
                VELOCITY_NOISE * height if by_height else ASPECT_VELOCITY_NOISE,
            )

    def update(self, box: Box) -> None:
        """Correct the expectation by a measured box."""
        noise = POSITION_NOISE * max(self.parts[3].value, 1e-3)
        noises = (noise, noise, ASPECT_MEASURED_NOISE, noise)
        for part, measured, part_noise in zip(self.parts, _measured(box), noises, strict=True):
            part.update(measured, part_noise)


def _measured(box: Box) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    width, height = max(right - left, 1e-3), max(bottom - top, 1e-3)
    return (left + right) / 2, (top + bottom) / 2, width / height, height


class MotionPolicy(Policy):
    """Choose the candidate that is where the object should be, and remember frames on which it was there.

    a) A Kalman filter follows the box of the chosen mask. A box with an IoU prediction above 0.3 updates it.
    b) After 15 consecutive updates, a candidate's rating is 0.25 x overlap with the expected box + 0.75 x IoU
       prediction. Until then the highest IoU prediction is chosen.
    c) A low IoU prediction (up to 0.3) restarts the count. While the object is absent the box is extrapolated for 10
       frames; after that the object may return anywhere.
    d) Frames are read as `reliable` reads them, if the object is present, the IoU prediction is above 0.5 and the mask
       touched the expected box; the previous frame in any case.

    Time is the order of frames, so the policy works backward too; each object has its own filter.

    Source: SAMURAI, arXiv 2411.11922 (forward only, one object, and forgets at once when the object is hidden).
    """

    Config = MotionConfig
    config: MotionConfig

    def __init__(self, memory: MemoryConfig, config: MotionConfig | None = None) -> None:
        super().__init__(memory, config)
        self.reset()

    def reset(self) -> None:
        self._filter: BoxFilter | None = None
        self._num_stable = 0
        self._last_index = 0
        """Frame that the filter's estimate is for."""
        self._last_seen = 0

    def rate(self, sighting: Sighting) -> Sequence[float] | None:
        self._advance(sighting)
        if self._filter is None or self._num_stable < self.config.stable_frames:
            return None
        expected = self._filter.box
        return [
            self.config.weight * box_iou(expected, box) + (1 - self.config.weight) * iou
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
        is_stable = self._filter is not None and self._num_stable >= self.config.stable_frames
        was_expected = not is_stable or (self._filter is not None and box_iou(self._filter.box, box) > 0)
        if sighting.iou_prediction <= self.config.min_iou_to_follow:
            self._num_stable = 0
        elif self._filter is None or self._num_stable == 0:
            self._start(sighting, box)
        else:
            self._filter.update(box)
            self._num_stable += 1
            self._last_seen = sighting.frame_index
        good = was_expected and sighting.iou_prediction > self.config.min_iou_to_remember
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
        """Advance the filter to this frame, once; drop it when the object has been absent for too long."""
        if self._filter is None:
            return
        if abs(sighting.frame_index - self._last_seen) > self.config.max_coast:
            self.reset()
            return
        for _ in range(abs(sighting.frame_index - self._last_index)):
            self._filter.predict()
        self._last_index = sighting.frame_index
