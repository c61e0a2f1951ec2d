"""Synthetic motion: objects and cameras on smooth random paths, and the painting of one over the other.

Knows nothing of files, tensors or data sets.

Shapes: T frames, S the square frame's side in pixels, J objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.records import ByteArray, FloatArray
from masklet.train.augment import Cutout, apply_colour

MAX_BLUR_PX = 21
"""Longest smear of a moving object, and the size of its filter; odd."""
NO_COLOUR_CHANGE: FloatArray = np.eye(3, 4, dtype=np.float32)


@dataclass(slots=True)
class Scene:
    """A clip in the making: what is painted later hides what was there."""

    frames: list[ByteArray]
    """T of (S, S, 3)."""
    voids: list[ByteArray]
    """T of (S, S) uint8, 255 where void."""
    objects: list[list[ByteArray]]
    """J objects that may be tracked, T of (S, S) uint8: how much of each pixel shows the object."""
    num_pasted: int = 0
    """The last so many objects were pasted; the others belong to the background."""

    def paint(self, layer: Layer) -> None:
        """Put a moving object in front of everything."""
        size = self.frames[0].shape[0]
        shown: list[ByteArray] = []
        for time, frame in enumerate(self.frames):
            visible = np.zeros((size, size), np.uint8)
            rendered = layer.render(time, size)
            if rendered is not None:
                part, colour, alpha = rendered
                frame[part] = (frame[part] * (1 - alpha) + colour + np.float32(0.5)).astype(np.uint8)
                visible[part] = np.rint(alpha[:, :, 0] * 255)
                transparency = np.uint8(255) - visible[part]
                for hidden in [self.voids[time], *(masks[time] for masks in self.objects)]:
                    hidden[part] = cv2.multiply(hidden[part], transparency, scale=1 / 255)
            shown.append(visible)
        if layer.tracked:
            self.objects.append(shown)
            self.num_pasted += 1


@dataclass(frozen=True, slots=True)
class Wobble:
    """A wave through an object or a scene, so that it does not move like a sheet of paper."""

    amplitude_px: float
    wavelength_px: float
    phases: NDArray[np.float64]
    """(T, 2) radians, of the waves along y (which shift x) and along x."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where something is, frame by frame."""

    centres_xy: NDArray[np.float64]
    """(T, 2) frame pixels."""
    scales: NDArray[np.float64]
    """(T,) 1 is the size on the first frame."""
    angles: NDArray[np.float64]
    """(T,) radians."""
    aspects: NDArray[np.float64]
    """(T,) width is multiplied and height divided by it."""
    wobble: Wobble

    def maps(
        self, time: int, columns: FloatArray, rows: FloatArray, source_xy: tuple[float, float], zoom: float
    ) -> tuple[FloatArray, FloatArray]:
        """Where the frame's pixels come from, for `cv2.remap`.

        Args:
            time: frame, 0 to T - 1.
            columns: (w,) frame x.
            rows: (h,) frame y.
            source_xy: the source's centre, its pixels.
            zoom: source pixels a frame pixel, at scale 1.

        Returns:
            Source x and y, each (h, w).
        """
        x = columns - np.float32(self.centres_xy[time, 0])
        y = (rows - np.float32(self.centres_xy[time, 1]))[:, None]
        cosine, sine = np.cos(self.angles[time]), np.sin(self.angles[time])
        across = np.float32(zoom / (self.scales[time] * self.aspects[time]))
        down = np.float32(zoom * self.aspects[time] / self.scales[time])
        turns = np.float32(2 * np.pi / self.wobble.wavelength_px)
        amplitude = np.float32(self.wobble.amplitude_px)
        phase_x, phase_y = self.wobble.phases[time].astype(np.float32)
        bent_x = x + amplitude * np.sin(y * turns + phase_x)
        bent_y = y + amplitude * np.sin(x * turns + phase_y)
        source_x = across * (np.float32(cosine) * bent_x + np.float32(sine) * bent_y) + np.float32(source_xy[0])
        source_y = down * (np.float32(cosine) * bent_y - np.float32(sine) * bent_x) + np.float32(source_xy[1])
        return source_x, source_y

    def step_xy(self, time: int) -> NDArray[np.float64]:
        """(2,) pixels moved since the frame before; for the first, until the next."""
        if len(self.centres_xy) == 1:
            return np.zeros(2)
        later = max(time, 1)
        return np.asarray(self.centres_xy[later] - self.centres_xy[later - 1])


@dataclass(frozen=True, slots=True)
class Layer:
    """An object on its way through a clip."""

    cutout: Cutout
    size_px: float
    """Longest side on the first frame."""
    motion: Motion
    colour: FloatArray
    """(3, 4) light and colour on the last frame; it changes evenly from none on the first."""
    shutter: float
    """Fraction of the time between frames over which moving things smear, 0 for none."""
    tracked: bool

    def render(self, time: int, size: int) -> tuple[tuple[slice, slice], FloatArray, FloatArray] | None:
        """Paint one frame.

        Returns:
            The part of the frame, its premultiplied colour (h, w, 3), and its alpha (h, w, 1) in [0, 1]; None when the
            object is outside.
        """
        cut_height, cut_width = self.cutout.alpha.shape
        motion = self.motion
        smear_xy = self.shutter * motion.step_xy(time)
        diagonal = self.size_px * np.hypot(cut_height, cut_width) / max(cut_height, cut_width)
        largest = motion.scales[time] * max(motion.aspects[time], 1 / motion.aspects[time])
        reach = 0.5 * (diagonal * largest + MAX_BLUR_PX) + motion.wobble.amplitude_px
        low = np.clip(np.floor(motion.centres_xy[time] - reach), 0, size).astype(int)
        high = np.clip(np.ceil(motion.centres_xy[time] + reach), 0, size).astype(int)
        if (high - low < 2).any():
            return None
        source_x, source_y = motion.maps(
            time,
            np.arange(low[0], high[0], dtype=np.float32),
            np.arange(low[1], high[1], dtype=np.float32),
            ((cut_width - 1) / 2, (cut_height - 1) / 2),
            max(cut_height, cut_width) / self.size_px,
        )
        alpha = cv2.remap(self.cutout.alpha, source_x, source_y, cv2.INTER_LINEAR)
        if not alpha.any():
            return None
        rgb = cv2.remap(self.cutout.rgb, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        rgb = apply_colour(np.asarray(rgb, np.uint8), between(self.colour, time, len(motion.scales)))
        alpha_1 = alpha[:, :, None].astype(np.float32) * np.float32(1 / 255)
        colour = rgb * alpha_1
        kernel = smear_kernel(smear_xy)
        if kernel is not None:
            colour, alpha_1 = _smear(colour, kernel), _smear(alpha_1, kernel)[:, :, None]
        return (slice(low[1], high[1]), slice(low[0], high[0])), colour, alpha_1


def _smear(pixels: FloatArray, kernel: FloatArray) -> FloatArray:
    return np.asarray(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_CONSTANT), np.float32)


def between(colour: FloatArray, time: int, num_frames: int) -> FloatArray:
    """The colour matrix on the way from no change on the first frame to `colour` on the last."""
    progress = np.float32(time / max(1, num_frames - 1))
    return NO_COLOUR_CHANGE + (colour - NO_COLOUR_CHANGE) * progress


def smear_kernel(smear_xy: NDArray[np.float64]) -> FloatArray | None:
    """A line along the motion, as a filter that sums to one; None when it is shorter than a pixel and a half."""
    length = float(np.hypot(*smear_xy))
    if length < 1.5:
        return None
    half_xy = smear_xy / 2 * min(1.0, (MAX_BLUR_PX - 2) / length)
    kernel = np.zeros((MAX_BLUR_PX, MAX_BLUR_PX), np.float32)
    middle = MAX_BLUR_PX // 2
    steps = np.linspace(-1, 1, 2 * MAX_BLUR_PX)
    columns = np.rint(middle + steps * half_xy[0]).astype(int)
    rows = np.rint(middle + steps * half_xy[1]).astype(int)
    np.add.at(kernel, (rows, columns), 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


def smooth_curve(rng: np.random.Generator, num_frames: int, drift: float, swing: float) -> NDArray[np.float64]:
    """(T,) a smooth random course that starts at 0: a drift of about `drift` and a swing of about `swing`."""
    progress = np.linspace(0, 1, num_frames)
    phase, frequency = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5) * np.pi
    swung = np.sin(phase + frequency * progress) - np.sin(phase)
    return np.asarray(rng.uniform(-drift, drift) * progress + rng.uniform(-swing, swing) * swung)


def random_wobble(rng: np.random.Generator, num_frames: int, size_px: float, strength: float) -> Wobble:
    """A wave of up to `strength` of the thing's size, about as long as the thing."""
    start, drift = rng.uniform(0, 2 * np.pi, 2), rng.uniform(-3, 3, 2)
    phases = start + np.linspace(0, 1, num_frames)[:, None] * drift
    return Wobble(rng.uniform(0, strength) * size_px, rng.uniform(0.8, 2.0) * size_px, phases)


def camera_motion(rng: np.random.Generator, num_frames: int, size: int) -> Motion:
    """How the background moves: still in a quarter of clips, a fast pan in some, else a hand-held drift and zoom."""
    kind = rng.choice(["still", "fast", "drift"], p=[0.25, 0.15, 0.6])
    amount = {"still": 0.0, "fast": 0.5, "drift": 0.12}[kind]
    centres = np.stack([smooth_curve(rng, num_frames, amount, amount / 4) for _ in range(2)], 1)
    shake = rng.normal(0, 0.004, (num_frames, 2)) if kind == "drift" else np.zeros((num_frames, 2))
    turn = 0.0 if kind == "still" else 0.08
    return Motion(
        centres_xy=(0.5 + centres + shake) * size - 0.5,
        scales=np.exp(smooth_curve(rng, num_frames, 2 * turn, turn)),
        angles=smooth_curve(rng, num_frames, turn, turn / 2),
        aspects=np.ones(num_frames),
        wobble=random_wobble(rng, num_frames, size, 0.015),
    )


def object_motion(rng: np.random.Generator, num_frames: int, size: int, size_px: float, others: list[Motion]) -> Motion:
    """A path of one of four kinds: drifting, fast, leaving and returning, crossing another object's path."""
    start = _start_xy(rng, [other.centres_xy[0] / size for other in others])
    progress = np.linspace(0, 1, num_frames)[:, None]
    kind = rng.choice(["drift", "fast", "leave", "cross"], p=[0.45, 0.2, 0.15, 0.2])
    if kind == "cross" and others:
        meeting = others[int(rng.integers(len(others)))].centres_xy[num_frames // 2] / size
        path = start + (meeting - start) * progress * rng.uniform(1.2, 2.0)
    elif kind == "leave":
        side = np.array([(-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)][int(rng.integers(4))])
        distance = np.abs((side > 0) - start)[side != 0][0] + 0.6 * size_px / size
        path = start + side * distance * np.sin(np.pi * progress * rng.uniform(0.7, 1.1))
    else:
        reach = 0.35 if kind == "drift" else 0.9
        path = start + np.stack([smooth_curve(rng, num_frames, reach, reach / 4) for _ in range(2)], 1)
        if kind == "fast":  # it turns back at the edges of the frame
            path = 1 - np.abs(np.mod(path, 2) - 1)
    rolls = rng.random() < 0.1
    return Motion(
        centres_xy=(path + rng.normal(0, 0.003, (num_frames, 2))) * size,
        scales=np.exp(np.clip(smooth_curve(rng, num_frames, 0.5, 0.15), np.log(0.6), np.log(1.6))),
        angles=smooth_curve(rng, num_frames, 2.5 if rolls else 0.4, 0.15) + rng.normal(0, 0.1),
        aspects=np.exp(smooth_curve(rng, num_frames, 0.2, 0.08)),
        wobble=random_wobble(rng, num_frames, size_px, 0.04),
    )


def _start_xy(rng: np.random.Generator, taken_xy: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(2,) in [0, 1]: of a few random places the one farthest from those taken."""
    places = rng.uniform(0.12, 0.88, (4, 2))
    if not taken_xy:
        return np.asarray(places[0])
    distances = np.linalg.norm(places[:, None] - np.stack(taken_xy)[None], axis=2).min(1)
    return np.asarray(places[int(distances.argmax())])
