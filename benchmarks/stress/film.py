"""Synthetic scenes: flat objects on paths, a camera over them, and the owner of each pixel.

Positions are world pixels: the frame's pixels as seen by a camera at rest. Time is the frame index and may lie between
frames, for what moves while the shutter is open.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.records import BoolArray, ByteArray, FloatArray

SIZE_HW = (270, 480)
NOISE = 2.0
"""Standard deviation of the sensor's noise, of 255."""
SHADOW = 0.28
"""How dark the shadow is that an object throws."""

Homography = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pose:
    """Position, size and rotation of an object."""

    x: float
    y: float
    """Of its centre, world pixels."""
    height: float
    """Pixels, unturned."""
    angle: float = 0.0
    """In the image plane, radians."""
    yaw: float = 0.0
    pitch: float = 0.0
    """In depth, radians: at 90 degrees it is seen edge on."""
    mirrored: bool = False
    light: float = 1.0
    """Brightness is multiplied by it."""
    here: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """Position and zoom of the camera."""

    x: float = 0.0
    y: float = 0.0
    """How far it has been moved, world pixels."""
    zoom: float = 1.0


@dataclass(frozen=True)
class Actor:
    """A thing and its part."""

    rgba: ByteArray
    pose: Callable[[float], Pose]
    object_id: int = 0
    """0 for what has no mask: it only hides."""
    throws_shadow: bool = True
    _levels: list[FloatArray] = field(default_factory=list, compare=False)

    def level(self, scale: float) -> tuple[FloatArray, float]:
        """Premultiplied picture at the resolution that suits a scale, and the part of the scale that remains."""
        if not self._levels:
            picture = self.rgba.astype(np.float32)
            picture[:, :, 3] /= 255
            picture[:, :, :3] *= picture[:, :, 3:]
            self._levels.append(picture)
        number = 0
        while scale < 0.6 and min(self._levels[number].shape[:2]) > 16:
            number, scale = number + 1, scale * 2
            if number == len(self._levels):
                last = self._levels[-1]
                size = (max(last.shape[1] // 2, 1), max(last.shape[0] // 2, 1))
                self._levels.append(np.asarray(cv2.resize(last, size, interpolation=cv2.INTER_AREA), np.float32))
        return self._levels[number], scale


@dataclass(frozen=True)
class Film:
    """A clip that is painted frame by frame when it is asked for, the same each time."""

    num_frames: int
    actors: tuple[Actor, ...]
    """From the back to the front."""
    background: Callable[[float], ByteArray]
    camera: Callable[[float], View] = lambda time: View()
    shutter: float = 0.0
    """Part of the time between two frames for which the shutter is open."""
    seed: int = 0

    def frame(self, index: int) -> tuple[ByteArray, ByteArray]:
        """Return one frame (H, W, 3) and the owner of each pixel (H, W): an object id, or 0."""
        instants = 1 if self.shutter == 0 else 9
        picture = np.zeros((*SIZE_HW, 3), np.float32)
        shares: dict[int, FloatArray] = {}
        for step in range(instants):
            part, visible = self._instant(index + self.shutter * step / instants)
            picture += part / np.float32(instants)
            for object_id, alpha in visible.items():
                shares[object_id] = shares.get(object_id, np.float32(0)) + alpha / np.float32(instants)
        owners: ByteArray = np.zeros(SIZE_HW, np.uint8)
        for object_id, share in shares.items():
            owners[share > 0.5] = object_id
        noise = np.random.default_rng((self.seed, index)).standard_normal(picture.shape, np.float32)
        picture += np.float32(NOISE) * noise
        return np.rint(picture.clip(0, 255)).astype(np.uint8), owners

    def _instant(self, time: float) -> tuple[FloatArray, dict[int, FloatArray]]:
        """The picture, and how much of each pixel shows each object."""
        view = self.camera(time)
        picture = _scenery(self.background(time), view)
        visible: dict[int, FloatArray] = {}
        for actor in self.actors:
            pose = actor.pose(time)
            if not pose.here:
                continue
            if actor.throws_shadow:
                offset = 0.07 * pose.height
                shadow = _painted(actor, replace(pose, x=pose.x + offset, y=pose.y + offset), view)
                if shadow is not None:
                    part, layer = shadow
                    picture[part] *= 1 - SHADOW * cv2.blur(layer[:, :, 3], (9, 9))[:, :, None]
            painted = _painted(actor, pose, view)
            if painted is None:
                continue
            part, layer = painted
            alpha = layer[:, :, 3]
            picture[part] *= 1 - alpha[:, :, None]
            picture[part] += layer[:, :, :3] * np.float32(pose.light)
            for other in visible.values():
                other[part] *= 1 - alpha
            if actor.object_id:
                visible[actor.object_id] = np.zeros(SIZE_HW, np.float32)
                visible[actor.object_id][part] = alpha
        return picture, visible


def _scenery(background: ByteArray, view: View) -> FloatArray:
    """The background fills the frame with a margin to move the camera in."""
    height, width = SIZE_HW
    scale = 1.35 * max(height / background.shape[0], width / background.shape[1])
    if scale < 0.75:  # one area average, so that fine texture does not flicker
        smaller = cv2.resize(background, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        background, scale = np.asarray(smaller, np.uint8), 1.0
    centre_x, centre_y = background.shape[1] / 2, background.shape[0] / 2
    matrix = _seen(view) @ _moved(width / 2, height / 2) @ np.diag([scale, scale, 1]) @ _moved(-centre_x, -centre_y)
    warped = cv2.warpAffine(
        background, matrix[:2], (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(warped, np.float32)


def _painted(actor: Actor, pose: Pose, view: View) -> tuple[tuple[slice, slice], FloatArray] | None:
    """The part of the frame where the actor is, and it alone there (h, w, 4), premultiplied; None when out of sight."""
    picture, scale = actor.level(pose.height * view.zoom / actor.rgba.shape[0])
    height, width = picture.shape[:2]
    model = _moved(pose.x, pose.y) @ _turned(pose, scale / view.zoom) @ _moved(-width / 2, -height / 2)
    matrix = _seen(view) @ model
    outline = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    corners = cv2.perspectiveTransform(outline, matrix)[0]
    left, top = np.clip(np.floor(corners.min(axis=0)) - 5, 0, SIZE_HW[::-1]).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 6, 0, SIZE_HW[::-1]).astype(int).tolist()
    if left >= right or top >= bottom:
        return None
    layer = cv2.warpPerspective(picture, _moved(-left, -top) @ matrix, (right - left, bottom - top))
    return (slice(top, bottom), slice(left, right)), np.asarray(layer, np.float32)


def _turned(pose: Pose, scale: float) -> Homography:
    """Turned in the image plane and in depth, seen from four heights away."""
    distance = 4 * pose.height
    cos_yaw, sin_yaw = math.cos(pose.yaw), math.sin(pose.yaw)
    cos_pitch, sin_pitch = math.cos(pose.pitch), math.sin(pose.pitch)
    cos, sin = math.cos(pose.angle), math.sin(pose.angle)
    in_plane = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    mirror = np.diag([-1.0 if pose.mirrored else 1.0, 1, 1])
    in_depth = np.array(
        [
            [cos_yaw, 0, 0],
            [sin_yaw * sin_pitch, cos_pitch, 0],
            [-sin_yaw * cos_pitch / distance, sin_pitch / distance, 1],
        ]
    )
    turned: Homography = in_plane @ in_depth @ mirror @ np.diag([scale, scale, 1])
    return turned


def _seen(view: View) -> Homography:
    """From world to frame: zoom is about the centre of the frame."""
    x, y = SIZE_HW[1] / 2, SIZE_HW[0] / 2
    seen: Homography = _moved(x, y) @ np.diag([view.zoom, view.zoom, 1]) @ _moved(-x - view.x, -y - view.y)
    return seen


def _moved(x: float, y: float) -> Homography:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def masks_of(owners: ByteArray, object_ids: tuple[int, ...]) -> dict[int, BoolArray]:
    """Return the (H, W) mask of each object; all False where it is not visible."""
    return {object_id: owners == object_id for object_id in object_ids}
