"""What lies behind an object that is removed: seen on other frames, or guessed from what surrounds it.

A few frames are kept, with where they lie relative to the current one: a homography, followed from frame to frame on
points of the background. A hole is filled from those that show it, the nearest in time first, moved to fit and
corrected in brightness; one that does not agree with the surroundings of the hole is passed over. What no frame shows
is painted from its surroundings on a small picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.records import BoolArray, ByteArray, FloatArray, Frame
from masklet.render.matte import Window, blend, blurred, unit_of, window_around

_MOST, _MOST_BYTES = 10, 128 * 2**20
"""Frames kept of those to come, and as many of those that have been: the memory that removing takes."""
_STRIDE = 8
"""Frames from one that is kept to the next."""
_SIDE = 480
"""Longer side of the pictures on which motion is followed."""
_LARGEST_DIFFERENCE = 22.0
"""Mean difference around the hole, of 255, beyond which a frame does not fit."""
_GUESS_SIDE = 96
"""Longer side of the pictures on which surroundings are spread."""


@dataclass(slots=True, eq=False)
class _Kept:
    """A frame that has been or will be."""

    rgb: ByteArray
    covered: BoolArray
    """Where objects are."""
    to_current: NDArray[np.float64]
    """(3, 3) from its pixels to those of the current frame."""
    age: int
    """Frames from it to the current one; negative for one that is to come."""


class CleanPlate:
    """The background behind objects, put together from other frames while a video runs by."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._unit = unit_of(size_hw)
        self._most = max(3, min(_MOST, _MOST_BYTES // (3 * size_hw[0] * size_hw[1])))
        self._kept: list[_Kept] = []
        self._last: tuple[ByteArray, BoolArray] | None = None
        self._count = 0

    def look_ahead(self, frames: Iterable[tuple[Frame, Mapping[int, BoolArray]]], stride: int) -> None:
        """See what is to come, or what has been, before the first frame is advanced to.

        Args:
            frames: from the first one on, with their masks, every `stride`-th.
            stride: see above; negative for frames that have been.
        """
        back = np.eye(3)  # from the frame at hand to the first one
        last: tuple[ByteArray, BoolArray] | None = None
        seen: list[_Kept] = []
        for place, (frame, masks) in enumerate(frames):
            now = self._small(frame.rgb), self._small_mask(_union(masks, self._size_hw))
            if last is not None:
                motion = self._motion(now, last)
                if motion is None:
                    break  # another shot
                back = back @ motion
            last = now
            seen.append(_Kept(frame.rgb, self._covered(masks), back.copy(), -place * stride))
            if len(seen) > self._most:  # every other one: evenly spread over what has been seen, in bounded memory
                seen = seen[::2]
        self._kept += seen[1:]

    def advance(self, rgb: ByteArray, masks: Mapping[int, BoolArray]) -> None:
        """The next frame is current."""
        now = self._small(rgb), self._small_mask(_union(masks, self._size_hw))
        if self._last is not None:
            motion = self._motion(self._last, now)
            if motion is None:
                self._kept.clear()
            for kept in self._kept:
                kept.age += 1
                if motion is not None:
                    kept.to_current = motion @ kept.to_current
        self._last = now
        if self._count % _STRIDE == 0:
            self._kept.append(_Kept(rgb, self._covered(masks), np.eye(3), 0))
            if len(self._kept) > 2 * self._most:
                oldest = max(self._kept, key=lambda kept: kept.age)
                self._kept = [kept for kept in self._kept if kept is not oldest]
        self._count += 1

    def fill(self, rgb: ByteArray, hole: BoolArray, others: BoolArray) -> ByteArray:
        """The current frame without what is in the hole.

        Args:
            rgb: (H, W, 3) the frame that was advanced to last.
            hole: (H, W).
            others: (H, W) objects that stay: nothing is taken from them.

        Returns:
            (H, W, 3).
        """
        ring = max(3, round(10 * self._unit))
        window = window_around(hole, ring)
        if window is None:
            return rgb
        region, inside, blocked = rgb[window], hole[window], others[window]
        around = (_dilated(inside, ring) & ~_dilated(inside, 2)) & ~blocked
        filled = region.copy()
        missing = inside.copy()
        for kept in sorted(self._kept, key=lambda kept: abs(kept.age)):
            if kept.age == 0 or not missing.any():
                continue
            self._take(kept, window, region, filled, missing, around)
        if missing.any():
            filled = fill_from_surroundings(filled, missing, blocked & ~inside)
        soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(0.8, 1.2 * self._unit))
        result = rgb.copy()
        result[window] = blend(region, filled, np.asarray(np.maximum(soft, inside), np.float32))
        return result

    def _take(
        self, kept: _Kept, window: Window, region: ByteArray, filled: ByteArray, missing: BoolArray, around: BoolArray
    ) -> None:
        """Fill what another frame shows, if it agrees with what surrounds the hole."""
        shift = np.array([[1, 0, -window[1].start], [0, 1, -window[0].start], [0, 0, 1]], np.float64)
        to_window = shift @ kept.to_current
        size = (region.shape[1], region.shape[0])
        warped = cv2.warpPerspective(kept.rgb, to_window, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        clear = cv2.warpPerspective((~kept.covered).astype(np.uint8), to_window, size, flags=cv2.INTER_NEAREST) > 0
        shared = around & clear
        if np.count_nonzero(shared) < 0.25 * np.count_nonzero(around):
            return
        offset = region[shared].mean(axis=0) - warped[shared].mean(axis=0)  # exposure
        shown = (warped.astype(np.float32) + offset.astype(np.float32)).clip(0, 255)
        if float(np.abs(shown[shared] - region[shared]).mean()) > _LARGEST_DIFFERENCE:
            return
        taken = missing & clear
        filled[taken] = shown[taken].astype(np.uint8)
        missing &= ~taken

    def _covered(self, masks: Mapping[int, BoolArray]) -> BoolArray:
        return _dilated(_union(masks, self._size_hw), max(2, round(6 * self._unit)))

    def _small(self, rgb: ByteArray) -> ByteArray:
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, _SIDE / max(self._size_hw))
        return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)

    def _small_mask(self, mask: BoolArray) -> BoolArray:
        scale = min(1.0, _SIDE / max(self._size_hw))
        small = cv2.resize(mask.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        found: BoolArray = small > 0
        return found

    def _motion(
        self, before: tuple[ByteArray, BoolArray], after: tuple[ByteArray, BoolArray]
    ) -> NDArray[np.float64] | None:
        """(3, 3) from the pixels of one frame to those of another, by the background; None where it cannot be told."""
        free = (~_dilated(before[1], 6)).astype(np.uint8)
        corners = cv2.goodFeaturesToTrack(before[0], 240, 0.005, 7, mask=free)
        if corners is None or len(corners) < 8:  # nothing to hold on to: a plain wall moves nowhere
            difference = cv2.absdiff(before[0], after[0])[free > 0]
            return np.eye(3) if not difference.size or difference.mean() < 10 else None
        moved, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]  # OpenCV's stubs know no None here
            before[0], after[0], corners, None, winSize=(21, 21), maxLevel=3
        )
        good = found[:, 0] > 0
        if np.count_nonzero(good) < 8:
            return None
        first, second = corners[good][:, 0], moved[good][:, 0]
        matrix, inliers = cv2.findHomography(first, second, cv2.RANSAC, 1.5)
        if matrix is None or np.count_nonzero(inliers) < max(8, 0.3 * len(first)):
            return None
        height, width = before[0].shape
        edges = np.array([[[0, 0]], [[width, 0]], [[0, height]], [[width, height]]], np.float64)
        way = np.abs(cv2.perspectiveTransform(edges, matrix) - edges).max()
        if way < 0.2:  # the camera stands still: no drift, no blur
            return np.eye(3)
        scale = min(1.0, _SIDE / max(self._size_hw))
        larger = np.diag([1 / scale, 1 / scale, 1.0])
        motion: NDArray[np.float64] = larger @ matrix @ np.linalg.inv(larger)
        return motion


def fill_from_surroundings(rgb: ByteArray, hole: BoolArray, others: BoolArray) -> ByteArray:
    """Paint a hole from the pixels around it; broad, without texture.

    Args:
        rgb: (H, W, 3), not changed.
        hole: (H, W).
        others: (H, W) pixels that nothing is taken from.

    Returns:
        (H, W, 3).
    """
    margin = 24 * unit_of((rgb.shape[0], rgb.shape[1]))
    window = window_around(hole, margin)
    if window is None:
        return rgb
    region, inside = rgb[window], hole[window]
    height, width = inside.shape
    scale = min(1.0, _GUESS_SIDE / max(height, width))
    size = (max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale)))
    unknown = (inside | others[window]).astype(np.float32)
    share = np.asarray(cv2.resize(unknown, size, interpolation=cv2.INTER_AREA), np.float32)
    small = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.float32)
    if float(share.min()) > 0.02:  # nothing is known
        return rgb
    guess = _spread(small, (share <= 0.02).astype(np.float32)).clip(0, 255).astype(np.uint8)
    large = np.asarray(cv2.resize(guess, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    soft = blurred(inside.astype(np.float32), max(0.8, 1.5 * unit_of((rgb.shape[0], rgb.shape[1]))))
    result = rgb.copy()
    alpha: FloatArray = np.maximum(soft * (~others[window] | inside), inside)
    result[window] = blend(region, large, alpha)
    return result


def _spread(picture: FloatArray, known: FloatArray) -> FloatArray:
    """A smooth picture through the known pixels: rough on a small grid first, then relaxed on finer ones.

    Args:
        picture: (h, w, 3).
        known: (h, w) 1 or 0.
    """
    height, width = known.shape
    if known.all() or max(height, width) <= 2:
        weights = known[..., None]
        mean = (picture * weights).sum(axis=(0, 1)) / max(float(known.sum()), 1e-6)
        return np.asarray(picture * weights + mean * (1 - weights), np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = np.asarray(cv2.resize(known, half, interpolation=cv2.INTER_AREA), np.float32)
    total = np.asarray(cv2.resize(picture * known[..., None], half, interpolation=cv2.INTER_AREA), np.float32)
    mean = np.asarray(total / np.maximum(weight, np.float32(1e-6))[..., None], np.float32)
    coarse = _spread(mean, (weight > 0).astype(np.float32))
    rough = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    weights = known[..., None]
    for _ in range(12):
        rough = picture * weights + rough * (1 - weights)
        rough = np.asarray(cv2.blur(rough, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
    return np.asarray(picture * weights + rough * (1 - weights), np.float32)


def _union(masks: Mapping[int, BoolArray], size_hw: tuple[int, int]) -> BoolArray:
    whole = np.zeros(size_hw, np.bool_)
    for mask in masks.values():
        whole |= mask
    return whole


def _dilated(mask: BoolArray, by: int) -> BoolArray:
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    grown: BoolArray = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return grown
