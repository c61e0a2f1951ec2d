"""The background behind a removed object: taken from other frames, or guessed from its surroundings.

A few frames are kept, each with its homography to the current one, which is tracked from frame to frame by points of
the background. A hole is filled from the frames that show it, warped and corrected in brightness; a frame that does
not match the surroundings of the hole is skipped. Pixels that are visible in no frame are filled from their
surroundings at a small size.

Masks miss parts of their objects (an ear, a tail), and such a part must not be taken for background. So nothing is
taken from near an object's mask, and a pixel that several frames show is the median of the nearest in time.
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

_MAX_FRAMES, _MAX_BYTES = 10, 128 * 2**20
"""Smallest and largest number of frames kept on either side of the current one."""
_STRIDE = 8
"""Distance between kept frames, in frames."""
_SIDE = 480
"""Longer side of the images on which motion is estimated, pixels."""
_VOTES = 5
"""Frames of which a pixel is the median, where so many show it."""
_MARGIN, _MARGIN_OF_SIZE = 6, 0.25
"""Distance from a mask within which nothing is taken for background: units, and the fraction of the square root of the
mask's area, the larger of both."""
_LARGEST_DIFFERENCE = 22.0
"""Mean difference around the hole, out of 255, above which a frame is not used."""
_GUESS_SIDE = 96
"""Longer side of the images on which surroundings are extended, pixels."""


@dataclass(slots=True, eq=False)
class _KeptFrame:
    """A kept frame, earlier or later than the current one."""

    rgb: ByteArray
    covered: BoolArray
    """(H, W) pixels of objects, with a margin."""
    to_current: NDArray[np.float64]
    """(3, 3) homography from its pixels to those of the current frame."""
    age: int
    """Number of frames from it to the current one; negative for a later frame."""


class CleanPlate:
    """The background behind objects, collected from other frames while a video is rendered."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._unit = unit_of(size_hw)
        self._max_frames = max(3, min(_MAX_FRAMES, _MAX_BYTES // (3 * size_hw[0] * size_hw[1])))
        self._kept: list[_KeptFrame] = []
        self._last: tuple[ByteArray, BoolArray] | None = None
        self._count = 0

    def look_ahead(self, frames: Iterable[tuple[Frame, Mapping[int, BoolArray]]], stride: int) -> None:
        """Collect later or earlier frames, before the first call of `advance`.

        Args:
            frames: every `stride`-th frame with its masks, starting with the first that is rendered.
            stride: distance between the frames; negative for earlier frames.
        """
        back = np.eye(3)  # from the current frame to the first one
        last: tuple[ByteArray, BoolArray] | None = None
        seen: list[_KeptFrame] = []
        for number, (frame, masks) in enumerate(frames):
            now = self._small(frame.rgb), self._small_mask(_union(masks, self._size_hw))
            if last is not None:
                motion = self._motion(now, last)
                if motion is None:
                    break  # another shot
                back = back @ motion
            last = now
            seen.append(_KeptFrame(frame.rgb, self._covered(masks), back.copy(), -number * stride))
            if len(seen) > self._max_frames:  # keep every other one: spread evenly, in bounded memory
                seen = seen[::2]
        self._kept += seen[1:]

    def advance(self, rgb: ByteArray, masks: Mapping[int, BoolArray]) -> None:
        """Make the next frame the current one."""
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
            self._kept.append(_KeptFrame(rgb, self._covered(masks), np.eye(3), 0))
            if len(self._kept) > 2 * self._max_frames:
                oldest = max(self._kept, key=lambda kept: kept.age)
                self._kept = [kept for kept in self._kept if kept is not oldest]
        self._count += 1

    def fill(self, rgb: ByteArray, hole: BoolArray, others: BoolArray) -> ByteArray:
        """Return the current frame with the hole filled.

        Args:
            rgb: (H, W, 3) the current frame.
            hole: (H, W).
            others: (H, W) remaining objects; no background is taken from them.

        Returns:
            (H, W, 3).
        """
        ring = max(3, round(10 * self._unit))
        window = window_around(hole, ring)
        if window is None:
            return rgb
        region, inside, blocked = rgb[window], hole[window], others[window]
        border = (_dilated(inside, ring) & ~_dilated(inside, 2)) & ~blocked
        filled = region.copy()
        missing = inside.copy()
        votes: list[tuple[ByteArray, BoolArray]] = []
        wanted = inside.astype(np.uint8) * np.uint8(_VOTES)  # votes that each pixel can still take
        for kept in sorted(self._kept, key=lambda kept: abs(kept.age)):
            if kept.age == 0 or not wanted.any():
                continue
            seen = self._seen(kept, window, region, border)
            if seen is not None and (usable := seen[1] & (wanted > 0)).any():
                votes.append((seen[0], usable))
                wanted -= usable
        if votes:
            filled, shown = _median_of(votes, filled)
            missing &= ~shown
        if missing.any():
            filled = fill_from_surroundings(filled, missing, blocked & ~inside)
        soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(0.8, 1.2 * self._unit))
        result = rgb.copy()
        result[window] = blend(region, filled, np.asarray(np.maximum(soft, inside), np.float32))
        return result

    def _seen(
        self, kept: _KeptFrame, window: Window, region: ByteArray, border: BoolArray
    ) -> tuple[ByteArray, BoolArray] | None:
        """Return another frame's view of the window and the pixels that show background in it.

        None if it disagrees with the surroundings of the hole.
        """
        shift = np.array([[1, 0, -window[1].start], [0, 1, -window[0].start], [0, 0, 1]], np.float64)
        to_window = shift @ kept.to_current
        size = (region.shape[1], region.shape[0])
        warped = cv2.warpPerspective(kept.rgb, to_window, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        clear = cv2.warpPerspective((~kept.covered).astype(np.uint8), to_window, size, flags=cv2.INTER_NEAREST) > 0
        shared = border & clear
        if np.count_nonzero(shared) < 0.25 * np.count_nonzero(border):
            return None
        offset = region[shared].mean(axis=0) - warped[shared].mean(axis=0)  # difference in exposure
        adjusted = (warped.astype(np.float32) + offset.astype(np.float32)).clip(0, 255)
        if float(np.abs(adjusted[shared] - region[shared]).mean()) > _LARGEST_DIFFERENCE:
            return None
        return adjusted.astype(np.uint8), clear

    def _covered(self, masks: Mapping[int, BoolArray]) -> BoolArray:
        """Return (H, W) the pixels of objects and those near them, which may be parts that the masks miss."""
        covered = np.zeros(self._size_hw, np.bool_)
        for mask in masks.values():
            margin = max(_MARGIN * self._unit, _MARGIN_OF_SIZE * math.sqrt(np.count_nonzero(mask)))
            covered |= _near(mask, margin)
        return covered

    def _small(self, rgb: ByteArray) -> ByteArray:
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        scale = min(1.0, _SIDE / max(self._size_hw))
        return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)

    def _small_mask(self, mask: BoolArray) -> BoolArray:
        scale = min(1.0, _SIDE / max(self._size_hw))
        small = cv2.resize(mask.astype(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        is_object: BoolArray = small > 0
        return is_object

    def _motion(
        self, before: tuple[ByteArray, BoolArray], after: tuple[ByteArray, BoolArray]
    ) -> NDArray[np.float64] | None:
        """Estimate the background's motion: a (3, 3) homography between two frames, or None if it is unclear."""
        free = (~_dilated(before[1], 6)).astype(np.uint8)
        corners = cv2.goodFeaturesToTrack(before[0], 240, 0.005, 7, mask=free)
        if corners is None or len(corners) < 8:  # too few points to track, as on a plain wall: assume no motion
            difference = cv2.absdiff(before[0], after[0])[free > 0]
            return np.eye(3) if not difference.size or difference.mean() < 10 else None
        moved, is_found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]  # OpenCV's stubs do not allow None here
            before[0], after[0], corners, None, winSize=(21, 21), maxLevel=3
        )
        good = is_found[:, 0] > 0
        if np.count_nonzero(good) < 8:
            return None
        first, second = corners[good][:, 0], moved[good][:, 0]
        matrix, inliers = cv2.findHomography(first, second, cv2.RANSAC, 1.5)
        if matrix is None or np.count_nonzero(inliers) < max(8, 0.3 * len(first)):
            return None
        height, width = before[0].shape
        corners_xy = np.array([[[0, 0]], [[width, 0]], [[0, height]], [[width, height]]], np.float64)
        shift = np.abs(cv2.perspectiveTransform(corners_xy, matrix) - corners_xy).max()
        if shift < 0.2:  # the camera is still: avoid drift and blur
            return np.eye(3)
        scale = min(1.0, _SIDE / max(self._size_hw))
        larger = np.diag([1 / scale, 1 / scale, 1.0])
        motion: NDArray[np.float64] = larger @ matrix @ np.linalg.inv(larger)
        return motion


def fill_from_surroundings(rgb: ByteArray, hole: BoolArray, others: BoolArray) -> ByteArray:
    """Fill a hole smoothly from the pixels around it, without texture.

    Args:
        rgb: (H, W, 3), not changed.
        hole: (H, W).
        others: (H, W) pixels that are not used.

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
    if float(share.min()) > 0.02:  # no pixel is known
        return rgb
    guess = _spread(small, (share <= 0.02).astype(np.float32)).clip(0, 255).astype(np.uint8)
    large = np.asarray(cv2.resize(guess, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    soft = blurred(inside.astype(np.float32), max(0.8, 1.5 * unit_of((rgb.shape[0], rgb.shape[1]))))
    result = rgb.copy()
    alpha: FloatArray = np.maximum(soft * (~others[window] | inside), inside)
    result[window] = blend(region, large, alpha)
    return result


def _spread(picture: FloatArray, is_known: FloatArray) -> FloatArray:
    """Return a smooth picture through the known pixels: rough on a small grid, then relaxed on finer ones.

    Args:
        picture: (h, w, 3).
        is_known: (h, w) 1 or 0.
    """
    height, width = is_known.shape
    if is_known.all() or max(height, width) <= 2:
        weights = is_known[..., None]
        mean = (picture * weights).sum(axis=(0, 1)) / max(float(is_known.sum()), 1e-6)
        return np.asarray(picture * weights + mean * (1 - weights), np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = np.asarray(cv2.resize(is_known, half, interpolation=cv2.INTER_AREA), np.float32)
    total = np.asarray(cv2.resize(picture * is_known[..., None], half, interpolation=cv2.INTER_AREA), np.float32)
    mean = np.asarray(total / np.maximum(weight, np.float32(1e-6))[..., None], np.float32)
    coarse = _spread(mean, (weight > 0).astype(np.float32))
    rough = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    weights = is_known[..., None]
    for _ in range(12):
        rough = picture * weights + rough * (1 - weights)
        rough = np.asarray(cv2.blur(rough, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
    return np.asarray(picture * weights + rough * (1 - weights), np.float32)


def _union(masks: Mapping[int, BoolArray], size_hw: tuple[int, int]) -> BoolArray:
    whole = np.zeros(size_hw, np.bool_)
    for mask in masks.values():
        whole |= mask
    return whole


def _median_of(votes: list[tuple[ByteArray, BoolArray]], rgb: ByteArray) -> tuple[ByteArray, BoolArray]:
    """Return a picture in which each pixel that has votes is their median, channel by channel, and (h, w) those pixels.

    Args:
        votes: pictures (h, w, 3), the nearest in time first, and (h, w) the pixels for which each has a vote.
        rgb: (h, w, 3) the pixels without votes.
    """
    counts = np.sum([usable for _, usable in votes], axis=0)
    result = rgb.copy()
    for count in range(1, int(counts.max()) + 1):
        pixels = counts == count
        if not pixels.any():
            continue
        # of the pixels with so many votes, each vote in turn: (count, P, 3), filled up row by row
        ballots = np.empty((count, int(np.count_nonzero(pixels)), 3), np.uint8)
        cast = np.zeros(ballots.shape[1], np.intp)
        for picture, usable in votes:
            voters = np.flatnonzero(usable[pixels])
            ballots[cast[voters], voters] = picture[pixels][voters]
            cast[voters] += 1
        # of two votes the nearer in time counts: a mean would show both
        result[pixels] = ballots[0] if count == 2 else np.sort(ballots, axis=0)[(count - 1) // 2]
    shown: BoolArray = counts > 0
    return result, shown


def _near(mask: BoolArray, distance: float) -> BoolArray:
    """Return (H, W) the pixels of a mask and those within a distance of it, in pixels."""
    if not mask.any():
        return mask
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    near: BoolArray = away <= distance
    return near


def _dilated(mask: BoolArray, by: int) -> BoolArray:
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    grown: BoolArray = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return grown
