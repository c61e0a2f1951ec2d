"""Synthetic motion: objects and cameras on smooth random paths, and the painting of one over the other.

Knows nothing of files, tensors or data sets.

Shapes: T frames, S the square frame's side in pixels, J objects.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.records import ByteArray, FloatArray
from masklet.train.augment import Cutout, apply_colour

MAX_BLUR_PX = 21
"""Longest motion blur of a moving object, in pixels; odd."""
NO_COLOUR_CHANGE: FloatArray = np.eye(3, 4, dtype=np.float32)

PULL_SIDE = 3
"""Control points of a deformation, along one side of their square."""
LATTICE_SIDE = 13
"""Points along one side at which a deformation is worked out; between them it is linear."""
MAX_GROWTH = 2.5
"""Largest factor by which an object grows or shrinks within a clip."""
MIN_BEND_PX = 0.5
"""A deformation below this is left out."""


@dataclass(slots=True)
class Scene:
    """A clip in the making: what is painted later covers what was painted before."""

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
                transparency = cv2.bitwise_not(alpha)
                behind = cv2.multiply(frame[part], cv2.cvtColor(transparency, cv2.COLOR_GRAY2RGB), scale=1 / 255)
                frame[part] = cv2.add(behind, colour)
                visible[part] = alpha
                for hidden in [self.voids[time], *(masks[time] for masks in self.objects)]:
                    hidden[part] = cv2.multiply(hidden[part], transparency, scale=1 / 255)
            shown.append(visible)
        if layer.tracked:
            self.objects.append(shown)
            self.num_pasted += 1

    def unite(self, rows: tuple[int, int]) -> None:
        """Let two objects together be one more object that may be tracked, such as a horse with its rider."""
        pairs = zip(*(self.objects[row] for row in rows), strict=True)
        self.objects.insert(0, [cv2.add(mask, other) for mask, other in pairs])

    def touching_pairs(self) -> list[tuple[int, int]]:
        """Return the pairs of objects that touch or overlap on the first frame, as rows of `objects`."""
        grown = [cv2.dilate(masks[0], np.ones((5, 5), np.uint8)) > 127 for masks in self.objects]
        return [
            pair for pair in itertools.combinations(range(len(grown)), 2) if (grown[pair[0]] & grown[pair[1]]).any()
        ]

    def cut_to(self, other: Scene, first: int, last: int) -> None:
        """Show another scene's frames from `first` to before `last`: none of this one's objects is in them."""
        span = slice(first, last)
        self.frames[span], self.voids[span] = other.frames[span], other.voids[span]
        for masks in self.objects:
            masks[span] = [np.zeros_like(mask) for mask in masks[span]]


@dataclass(frozen=True, slots=True)
class Bend:
    """A thin-plate deformation that changes with time, so that an object does not move like a sheet of paper."""

    side_px: float
    """Side of the square, around the object's centre, over which the control points are spread."""
    pulls_xy: FloatArray
    """(T, PULL_SIDE ** 2, 2) where each control point is pulled to, pixels from its position."""

    @property
    def reach_px(self) -> float:
        """Largest shift of a point along x or y, in pixels."""
        return 1.25 * float(np.abs(self.pulls_xy).max(initial=0.0))

    def shift(
        self, time: int, columns: FloatArray, rows: FloatArray, turn: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the shift of each point.

        Args:
            time: frame, 0 to T - 1.
            columns: (w,) x, pixels from the centre, one apart.
            rows: (h,) y.
            turn: (2, 2) by which the moves are multiplied.

        Returns:
            Along x and along y, each (h, w) pixels.
        """
        lattice = (thin_plate() @ (self.pulls_xy[time] @ turn.T)).reshape(LATTICE_SIDE, LATTICE_SIDE, 2)
        step, middle = (LATTICE_SIDE - 1) / self.side_px, (LATTICE_SIDE - 1) / 2
        to_lattice = np.array([[step, 0, step * columns[0] + middle], [0, step, step * rows[0] + middle]])
        size_wh, flags = (len(columns), len(rows)), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        # one channel after the other: OpenCV is twice as fast on one as on two
        along_x, along_y = (
            cv2.warpAffine(
                np.ascontiguousarray(lattice[:, :, axis]), to_lattice, size_wh, None, flags, cv2.BORDER_REPLICATE
            )
            for axis in (0, 1)
        )
        return np.asarray(along_x, np.float32), np.asarray(along_y, np.float32)


@lru_cache(maxsize=1)
def thin_plate() -> FloatArray:
    """Return weights of the control points' pulls in the lattice's shifts: (LATTICE_SIDE ** 2, PULL_SIDE ** 2).

    Source: F. L. Bookstein, Principal Warps, PAMI 1989.
    """

    def grid(side: int) -> NDArray[np.float64]:
        line = np.linspace(-1, 1, side)
        return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)

    def plate(places: NDArray[np.float64]) -> NDArray[np.float64]:
        squared = ((places[:, None] - points[None]) ** 2).sum(-1)
        return np.hstack([squared * np.log(np.maximum(squared, 1e-12)), np.ones((len(places), 1)), places])

    points = grid(PULL_SIDE)
    rows = plate(points)
    system = np.zeros((len(points) + 3, len(points) + 3))
    system[: len(points)] = rows
    system[len(points) :, : len(points)] = rows[:, len(points) :].T
    return np.asarray(plate(grid(LATTICE_SIDE)) @ np.linalg.inv(system)[:, : len(points)], np.float32)


@dataclass(frozen=True, slots=True)
class Motion:
    """Position, size and shape of an object or a camera, frame by frame."""

    centres_xy: NDArray[np.float64]
    """(T, 2) frame pixels."""
    scales: NDArray[np.float64]
    """(T,) 1 is the size on the first frame."""
    angles: NDArray[np.float64]
    """(T,) radians."""
    aspects: NDArray[np.float64]
    """(T,) width is multiplied and height divided by it."""
    bend: Bend | None = None

    def maps(
        self, time: int, columns: FloatArray, rows: FloatArray, source_xy: tuple[float, float], zoom: float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the source position of each of the frame's pixels, for `cv2.remap`.

        Args:
            time: frame, 0 to T - 1.
            columns: (w,) frame x.
            rows: (h,) frame y.
            source_xy: the source's centre, its pixels.
            zoom: source pixels per frame pixel, at scale 1.

        Returns:
            Source x and y, each (h, w).
        """
        x = columns - np.float32(self.centres_xy[time, 0])
        y = (rows - np.float32(self.centres_xy[time, 1]))[:, None]
        cosine, sine = np.cos(self.angles[time]), np.sin(self.angles[time])
        across = float(zoom / (self.scales[time] * self.aspects[time]))
        down = float(zoom * self.aspects[time] / self.scales[time])
        turn = np.array([[across * cosine, across * sine], [-down * sine, down * cosine]], np.float32)
        source_x = turn[0, 0] * x + (turn[0, 1] * y + np.float32(source_xy[0]))
        source_y = turn[1, 0] * x + (turn[1, 1] * y + np.float32(source_xy[1]))
        if self.bend is not None:
            shift_x, shift_y = self.bend.shift(time, x, y[:, 0], turn)
            source_x += shift_x
            source_y += shift_y
        return source_x, source_y

    def step_xy(self, time: int) -> NDArray[np.float64]:
        """Return the motion (2,) since the frame before, in pixels; for the first frame, until the next."""
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
    colours: FloatArray
    """(T, 3, 4) light and colour, frame by frame."""
    shutter: float
    """Fraction of the time between frames over which moving objects blur, 0 for none."""
    tracked: bool

    def render(self, time: int, size: int) -> tuple[tuple[slice, slice], ByteArray, ByteArray] | None:
        """Paint one frame.

        Returns:
            The part of the frame, its colour multiplied by alpha (h, w, 3), and its alpha (h, w), both uint8; None when
            the object is outside.
        """
        cut_height, cut_width = self.cutout.alpha.shape
        motion = self.motion
        smear_xy = self.shutter * motion.step_xy(time)
        diagonal = self.size_px * np.hypot(cut_height, cut_width) / max(cut_height, cut_width)
        largest = motion.scales[time] * max(motion.aspects[time], 1 / motion.aspects[time])
        reach = 0.5 * (diagonal * largest + MAX_BLUR_PX) + (0.0 if motion.bend is None else motion.bend.reach_px)
        low = np.clip(np.floor(motion.centres_xy[time] - reach), 0, size).astype(int)
        high = np.clip(np.ceil(motion.centres_xy[time] + reach), 0, size).astype(int)
        if (high - low < 2).any():
            return None
        source_x, source_y = motion.maps(
            time,
            np.arange(low[0], high[0], dtype=np.float32),
            np.arange(low[1], high[1], dtype=np.float32),
            ((cut_width + 1) / 2, (cut_height + 1) / 2),  # the rim shifts it by one pixel
            max(cut_height, cut_width) / self.size_px,
        )
        # One pass for all four channels, which is also faster than three. A rim continues the colour, not the alpha.
        rim = (1, 1, 1, 1)
        framed = cv2.copyMakeBorder(np.ascontiguousarray(self.cutout.rgb), *rim, cv2.BORDER_REPLICATE)
        opaque = cv2.copyMakeBorder(np.ascontiguousarray(self.cutout.alpha), *rim, cv2.BORDER_CONSTANT, value=0)
        rgba = cv2.remap(cv2.merge([framed, opaque]), source_x, source_y, cv2.INTER_LINEAR)
        alpha: ByteArray = np.ascontiguousarray(rgba[:, :, 3], np.uint8)
        if not alpha.any():
            return None
        lit = apply_colour(np.asarray(rgba[:, :, :3], np.uint8), self.colours[time])
        colour = np.asarray(cv2.multiply(lit, cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB), scale=1 / 255), np.uint8)
        steps = smear_steps(smear_xy)
        colour, alpha = smear(colour, steps, cv2.BORDER_CONSTANT), smear(alpha, steps, cv2.BORDER_CONSTANT)
        return (slice(low[1], high[1]), slice(low[0], high[0])), colour, alpha


def colour_course(rng: np.random.Generator, last: FloatArray, num_frames: int) -> FloatArray:
    """Draw how light and colour change over a clip: evenly, back and forth, or, one time in ten, all at once.

    Args:
        rng: generator of the draw.
        last: (3, 4) the change when it is complete.
        num_frames: T.

    Returns:
        (T, 3, 4), of which the first changes nothing.
    """
    progress = np.linspace(0, 1, num_frames)
    kind = rng.random()
    if kind < 0.1:
        course = (progress > rng.uniform(0, 1)).astype(float) if num_frames > 1 else progress
    elif kind < 0.4:
        course = np.sin(np.pi * progress * rng.uniform(0.7, 2.0))
    else:
        course = progress
    return NO_COLOUR_CHANGE + (last - NO_COLOUR_CHANGE) * course[:, None, None].astype(np.float32)


def compose(colour: FloatArray, later: FloatArray) -> FloatArray:
    """Return one (3, 4) colour matrix equal to both in turn, except for the clipping in between."""
    mixed = later[:, :3] @ colour
    mixed[:, 3] += later[:, 3]
    return np.asarray(mixed, np.float32)


@dataclass(frozen=True, slots=True)
class Shade:
    """Light that falls unevenly on a scene and wanders, as under trees or next to a window."""

    gains: FloatArray
    """(T, 4, 4, 3) factors over the frame."""

    def apply(self, rgb: ByteArray, time: int) -> ByteArray:
        """Return one frame in that light."""
        gain = cv2.resize(self.gains[time], (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(rgb, gain, dtype=cv2.CV_8U), np.uint8)


def random_shade(rng: np.random.Generator, num_frames: int) -> Shade:
    """Draw a slowly moving pattern of light and shadow, of factors 0.45 to 1.55 at most, a little coloured."""
    phases = rng.uniform(0, 2 * np.pi, (4, 4, 1)) + rng.normal(0, 0.15, (4, 4, 3))
    pace = rng.uniform(0.5, 3.0) * np.linspace(0, 1, num_frames)[:, None, None, None]
    return Shade((1 + rng.uniform(0.2, 0.55) * np.sin(phases + pace)).astype(np.float32))


def smear_steps(smear_xy: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the whole pixels, x and y, on a line along a motion: the positions while the shutter was open.

    Returns:
        Each once and `MAX_BLUR_PX` apart at most; only (0, 0) when the line is shorter than a pixel and a half.
    """
    length = float(np.hypot(*smear_xy))
    if length < 1.5:
        return [(0, 0)]
    half_xy = smear_xy / 2 * min(1.0, (MAX_BLUR_PX - 2) / length)
    places = np.rint(np.linspace(-1, 1, MAX_BLUR_PX)[:, None] * half_xy).astype(int)
    return [(int(x), int(y)) for x, y in dict.fromkeys(map(tuple, places.tolist()))]


def smear(pixels: ByteArray, steps: list[tuple[int, int]], border: int) -> ByteArray:
    """Return the mean of a picture moved by each of the steps.

    Args:
        pixels: (h, w) or (h, w, 3).
        steps: from `smear_steps`.
        border: what lies beyond, one of OpenCV's.
    """
    if len(steps) == 1:
        return pixels
    height, width = pixels.shape[:2]
    reach_x, reach_y = np.abs(steps).max(0).tolist()
    wide = cv2.copyMakeBorder(pixels, reach_y, reach_y, reach_x, reach_x, border)
    total = np.zeros(pixels.shape, np.float32)
    for x, y in steps:
        cv2.accumulate(wide[reach_y + y : reach_y + y + height, reach_x + x : reach_x + x + width], total)
    return np.asarray(cv2.convertScaleAbs(total, alpha=1 / len(steps)), np.uint8)


def smooth_curve(rng: np.random.Generator, num_frames: int, drift: float, swing: float) -> NDArray[np.float64]:
    """Draw a smooth random course (T,) that starts at 0: a drift of about `drift` and a swing of about `swing`."""
    progress = np.linspace(0, 1, num_frames)
    phase, frequency = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5) * np.pi
    swung = np.sin(phase + frequency * progress) - np.sin(phase)
    return np.asarray(rng.uniform(-drift, drift) * progress + rng.uniform(-swing, swing) * swung)


def random_bend(rng: np.random.Generator, num_frames: int, size_px: float, strength: float) -> Bend | None:
    """Draw a deformation by up to `strength` of the object's size; None when it would hardly be seen."""
    amplitude = rng.uniform(0, strength) * size_px
    phases, paces = rng.uniform(0, 2 * np.pi, (PULL_SIDE**2, 2)), rng.uniform(0, np.pi, (PULL_SIDE**2, 2))
    if amplitude < MIN_BEND_PX:
        return None
    progress = np.linspace(0, 1, num_frames)[:, None, None]
    return Bend(size_px, (amplitude * np.sin(phases + paces * progress)).astype(np.float32))


def camera_motion(rng: np.random.Generator, num_frames: int, size: int) -> Motion:
    """Draw the background's motion: none in a quarter of clips, a fast pan in some, else a hand-held drift and zoom."""
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
        bend=random_bend(rng, num_frames, size, 0.03),
    )


def object_motion(rng: np.random.Generator, num_frames: int, size: int, size_px: float, others: list[Motion]) -> Motion:
    """Draw a path of one of four kinds: drifting, fast, leaving and returning, crossing another object's path.

    One object in five comes near or goes far: its scale changes by up to a factor of 2.5 instead of 1.6.
    """
    start = _start_xy(rng, [other.centres_xy[0] / size for other in others])
    progress = np.linspace(0, 1, num_frames)[:, None]
    kind = rng.choice(["drift", "fast", "leave", "cross"], p=[0.4, 0.2, 0.2, 0.2])
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
    growth, limit = (1.0, MAX_GROWTH) if rng.random() < 0.2 else (0.5, 1.6)
    return Motion(
        centres_xy=(path + rng.normal(0, 0.003, (num_frames, 2))) * size,
        scales=np.exp(np.clip(smooth_curve(rng, num_frames, growth, 0.15), -np.log(limit), np.log(limit))),
        angles=smooth_curve(rng, num_frames, 2.5 if rolls else 0.4, 0.15) + rng.normal(0, 0.1),
        aspects=np.exp(smooth_curve(rng, num_frames, 0.2, 0.08)),
        bend=random_bend(rng, num_frames, size_px, 0.12 if rng.random() < 0.3 else 0.06),
    )


def passing_motion(
    rng: np.random.Generator, num_frames: int, size: int, size_px: float, others: list[Motion]
) -> Motion:
    """Draw a motion across the whole frame, at its middle in front of another object."""
    angle = rng.uniform(0, 2 * np.pi)
    heading = np.array([np.cos(angle), np.sin(angle)])
    middle = num_frames // 2
    target = others[int(rng.integers(len(others)))].centres_xy[middle] if others else rng.uniform(0.25, 0.75, 2) * size
    times = np.linspace(-1, 1, num_frames)
    times -= times[middle]
    ones = np.ones(num_frames)
    path = np.clip(target, 0, size) + heading * times[:, None] * (0.75 * size + size_px) * rng.uniform(0.6, 1.0)
    return Motion(path, ones, rng.normal(0, 0.15) + smooth_curve(rng, num_frames, 0.2, 0.05), ones)


def _start_xy(rng: np.random.Generator, taken_xy: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return (2,) in [0, 1]: of a few random positions, the one farthest from those taken."""
    places = rng.uniform(0.12, 0.88, (4, 2))
    if not taken_xy:
        return np.asarray(places[0])
    distances = np.linalg.norm(places[:, None] - np.stack(taken_xy)[None], axis=2).min(1)
    return np.asarray(places[int(distances.argmax())])
