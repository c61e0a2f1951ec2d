"""Painting: the pixel operations of the effects. Knows nothing of compositions and videos."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np

from masklet.masks.drawing import Color
from masklet.records import ByteArray, FloatArray
from masklet.render.matte import Matte, Window, blend, blurred


class Canvas:
    """A picture that is being painted, with or without alpha.

    With alpha the colours are premultiplied, so that painting over half-covered pixels is exact; `finished` divides.
    """

    def __init__(self, rgb: ByteArray, alpha: FloatArray | None = None) -> None:
        """
        Args:
            rgb: (H, W, 3), modified in place.
            alpha: (H, W) in [0, 1]; None for a picture without alpha.
        """
        self.rgb = np.ascontiguousarray(rgb)
        self.alpha: ByteArray | None = None
        if alpha is not None:
            self.alpha = np.rint(alpha * 255).astype(np.uint8)
            self.rgb = _scaled(self.rgb, alpha)

    def paint(self, window: Window, color: Color, opacity: FloatArray) -> None:
        """Cover a window with a colour; `opacity` is (h, w) in [0, 1]."""
        region = self.rgb[window]
        region[...] = blend(region, np.full_like(region, color), opacity)
        if self.alpha is not None:
            covered = self.alpha[window]
            covered[...] = np.rint(covered * (1 - opacity) + 255 * opacity).astype(np.uint8)

    def dim(self, light: FloatArray) -> None:
        """Multiply the colours by `light`, (H, W) in [0, 1]."""
        self.rgb = _scaled(self.rgb, light)

    def finished(self) -> ByteArray:
        """Return (H, W, 3), or (H, W, 4) with straight alpha; fully transparent pixels are black."""
        if self.alpha is None:
            return self.rgb
        scale = np.float32(255) / np.maximum(self.alpha, 1).astype(np.float32)
        straight = cv2.multiply(self.rgb, cv2.merge([scale] * 3), dtype=cv2.CV_8U)
        return np.dstack([straight, self.alpha])


def _scaled(rgb: ByteArray, factor: FloatArray) -> ByteArray:
    return blend(np.zeros_like(rgb), rgb, factor)


def gray(rgb: ByteArray, amount: float) -> ByteArray:
    """Remove colour, by Rec. 601 luma; `amount` runs from 0 (unchanged) to 1."""
    plain = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(plain if amount >= 1 else cv2.addWeighted(plain, amount, rgb, 1 - amount, 0), np.uint8)


def blur(rgb: ByteArray, sigma: float, weights: FloatArray | None = None) -> ByteArray:
    """Apply a Gaussian blur.

    Args:
        rgb: (h, w, 3).
        sigma: pixels; below 0.3 the image is unchanged.
        weights: (h, w) in [0, 1]: pixels of weight 0 do not bleed into others.
    """
    if sigma < 0.3:
        return rgb
    height, width = rgb.shape[:2]
    step = max(1, int(sigma / 3))
    size = (math.ceil(width / step), math.ceil(height / step))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    if weights is None:
        smooth = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    share = _pure(np.asarray(cv2.resize(weights, size, interpolation=cv2.INTER_AREA), np.float32))
    filled = _weighted(small, share, lambda plane: blurred(plane, sigma / step))
    return np.asarray(cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def pixelate(rgb: ByteArray, block: float, origin_xy: tuple[int, int] = (0, 0)) -> ByteArray:
    """Turn the image into squares of one colour each.

    Args:
        rgb: (h, w, 3).
        block: side of a square, pixels.
        origin_xy: position of the window in its frame, so that squares stand still while objects move.
    """
    side = max(2, round(block))
    height, width = rgb.shape[:2]
    left, top = origin_xy[0] % side, origin_xy[1] % side
    right, bottom = -(left + width) % side, -(top + height) % side
    padded = cv2.copyMakeBorder(rgb, top, bottom, left, right, cv2.BORDER_REPLICATE)
    small = cv2.resize(padded, (padded.shape[1] // side, padded.shape[0] // side), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (padded.shape[1], padded.shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(large[top : top + height, left : left + width], np.uint8)


def line_along(matte: Matte, width: float) -> FloatArray:
    """Return the opacity of a line along the edge of an object, (h, w) in the matte's window, half on either side.

    A blurred edge is a function of the distance to it; the border of the frame is not an edge.
    """
    sigma = max(0.8, 0.6 * width)
    nearness = blurred(matte.alpha, sigma)
    distance = _distance_table(sigma)[np.rint(nearness * 1000).astype(np.int32).clip(0, 1000)]
    opacity: FloatArray = (np.float32(width / 2 + 0.5) - np.abs(distance)).clip(0, 1)
    return opacity


@lru_cache(maxsize=32)
def _distance_table(sigma: float) -> FloatArray:
    """Return the distance to a straight edge for each level of its blur with that sigma, in thousandths."""
    levels = [min(max(step / 1000, 1e-4), 1 - 1e-4) for step in range(1001)]
    return np.array([NormalDist().inv_cdf(level) * sigma for level in levels], np.float32)


def draw_trail(size_hw: tuple[int, int], points_xy: FloatArray, width: float) -> tuple[Window, FloatArray] | None:
    """Draw a line through points that becomes fainter and thinner towards the first.

    Args:
        size_hw: of the frame.
        points_xy: (P, 2) pixels, the newest last.
        width: at the newest point, pixels.

    Returns:
        A window and the opacity there; None when the trail is outside the frame or has only one point.
    """
    if len(points_xy) < 2:
        return None
    pad = math.ceil(width) + 2
    low, high = np.floor(points_xy.min(axis=0)) - pad, np.ceil(points_xy.max(axis=0)) + pad
    left, top = (int(value) for value in np.maximum(low, 0))
    right, bottom = min(size_hw[1], int(high[0])), min(size_hw[0], int(high[1]))
    if right <= left or bottom <= top:
        return None
    fine = 2  # lines are drawn at twice the size: OpenCV's antialiased lines have integer widths
    plane = np.zeros(((bottom - top) * fine, (right - left) * fine), np.uint8)
    bits = 4
    fixed = np.rint((points_xy - [left, top]) * fine * 2**bits).astype(int)  # fixed-point numbers for OpenCV
    count = len(fixed) - 1
    for row in range(count):  # newer parts on top
        age = (row + 1) / count
        thickness = max(1, round(width * fine * (0.35 + 0.65 * age)))
        cv2.line(plane, fixed[row].tolist(), fixed[row + 1].tolist(), round(255 * age), thickness, cv2.LINE_AA, bits)
    opacity = cv2.resize(plane, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (slice(top, bottom), slice(left, right)), opacity / np.float32(255)


def _pure(share: FloatArray) -> FloatArray:
    """Return weights of 0 for cells that another object touches."""
    pure: FloatArray = ((share - np.float32(0.9)) * np.float32(10)).clip(0, 1)
    return pure


def _weighted(rgb: ByteArray, weights: FloatArray, smooth: Callable[[FloatArray], FloatArray]) -> ByteArray:
    """Smooth with a weight per pixel; where all weights are near 0, smooth more widely."""
    total = smooth(weights)
    mean = smooth(rgb.astype(np.float32) * weights[..., None])
    if float(total.min()) < 0.02:
        sigma = 8.0 * max(1.0, math.sqrt(rgb.shape[0] * rgb.shape[1]) / 64)
        share = ((np.float32(0.1) - total) * np.float32(10)).clip(0, 1)
        backup_total = blurred(weights, sigma) + np.float32(1e-4)
        backup = blurred(rgb.astype(np.float32) * weights[..., None], sigma) + rgb.mean(axis=(0, 1)) * np.float32(1e-4)
        mean = mean / np.maximum(total, 1e-4)[..., None] * (1 - share)[..., None]
        mean = mean + backup / backup_total[..., None] * share[..., None]
    else:
        mean = mean / total[..., None]
    return np.asarray(mean.clip(0, 255), np.uint8)
