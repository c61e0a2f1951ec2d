"""Soft edges: estimates the fraction of each pixel that belongs to the object, from a binary mask and its image.

A guided filter makes the mask a linear function of colour in a narrow band along its outline (`masklet.masks.edges`),
so that the edge follows hair, leaves and blurred contours without stair steps. Only the object's box is processed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from masklet.masks.edges import guided_coefficients, near_thin_parts, outline_band
from masklet.records import BoolArray, ByteArray, FloatArray
from masklet.render.composition import Edges

_BAND = 3.0
"""Half the width of the band in which the image's colours decide, units."""
_RADIUS = 5.0
"""Half the side of the guided filter's windows, units."""
_EPSILON = 1e-3
_GAIN = 1.8
"""Slope of the edge: in flat parts of the image, the filter's own ramp is as wide as its window."""
_COARSE = 3.0
"""Side of the cells on which the filter's coefficients are computed, units."""
_SMOOTH = 0.8
"""Sigma of the blur that smooths the steps of a mask's outline, pixels."""

Window = tuple[slice, slice]
"""Rows and columns of a frame."""


def unit_of(size_hw: tuple[int, int]) -> float:
    """Return the pixels per unit of length: 1 at 854 x 480."""
    return max(0.5, math.sqrt(size_hw[0] * size_hw[1]) / 640)


@dataclass(frozen=True, slots=True, eq=False)
class Matte:
    """The fraction of each pixel that belongs to an object, within a window; 0 outside."""

    window: Window
    alpha: FloatArray
    """(h, w) opacity in [0, 1]."""

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the window in its frame."""
        rows, columns = self.window
        return columns.start, rows.start, columns.stop, rows.stop


def window_around(mask: BoolArray, margin: float) -> Window | None:
    """Return the box of a mask with a margin around it, within the frame; None for an empty mask."""
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
    if not width:
        return None
    pad = math.ceil(margin)
    return (
        slice(max(0, top - pad), min(mask.shape[0], top + height + pad)),
        slice(max(0, left - pad), min(mask.shape[1], left + width + pad)),
    )


def soft_matte(mask: BoolArray, rgb: ByteArray, edges: Edges, *, margin: float = 0.0) -> Matte | None:
    """Return the soft version of a mask.

    Args:
        mask: (H, W).
        rgb: (H, W, 3), the image that the mask belongs to.
        edges: refinement and softness.
        margin: of the window, beyond the needs of the edges, pixels.

    Returns:
        None for an empty mask.
    """
    unit = unit_of((mask.shape[0], mask.shape[1]))
    window = window_around(mask, margin + (_BAND + 2 * _RADIUS + 3 * edges.feather) * unit + 3)
    if window is None:
        return None
    inside = np.ascontiguousarray(mask[window])
    alpha = _smooth(inside)
    if edges.refine:
        alpha = _refined(inside, alpha, rgb[window], unit)
    if edges.shrink > 0:
        alpha = _shrunk(alpha, edges.shrink * unit)
    if edges.feather > 0:
        alpha = blurred(alpha, edges.feather * unit)
    return Matte(window, alpha)


def _shrunk(alpha: FloatArray, distance: float) -> FloatArray:
    """Move the edge inwards by a distance in pixels. Parts thinner than twice the distance disappear."""
    depth = cv2.distanceTransform((alpha >= 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    moved = (np.asarray(depth, np.float32) - np.float32(distance)).clip(0, 1)
    return np.asarray(np.minimum(alpha, moved), np.float32)


def _smooth(mask: BoolArray) -> FloatArray:
    """Smooth the steps of the outline without widening it."""
    plane = mask.astype(np.uint8) * np.uint8(255)
    smooth = cv2.GaussianBlur(plane, (0, 0), _SMOOTH, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.float32) / np.float32(255)


def _refined(mask: BoolArray, smooth: FloatArray, rgb: ByteArray, unit: float) -> FloatArray:
    band = max(1, round(_BAND * unit))
    touched = outline_band(mask, band) & ~near_thin_parts(mask, max(1, round(1.5 * unit)), band)
    if not touched.any():
        return smooth
    height, width = mask.shape
    step = max(1, round(_COARSE * unit / 2))
    small = (math.ceil(width / step), math.ceil(height / step))
    picture = np.asarray(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA), np.float32) / np.float32(255)
    values = np.asarray(cv2.resize(mask.astype(np.float32), small, interpolation=cv2.INTER_AREA), np.float32)
    radius = max(1, round(_RADIUS * unit / step))
    slope, offset = guided_coefficients(values, picture, radius, _EPSILON)
    slope, offset = (
        np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        for plane in (slope, offset)
    )
    rows, columns = np.nonzero(touched)
    colors = rgb[rows, columns].astype(np.float32) / np.float32(255)
    guided = (slope[rows, columns] * colors).sum(axis=1) + offset[rows, columns]
    alpha = smooth.copy()
    alpha[rows, columns] = ((guided - np.float32(0.5)) * np.float32(_GAIN) + np.float32(0.5)).clip(0, 1)
    # Texture on either side leaves noise, which is not part of the edge.
    levels = np.rint(alpha * 255).astype(np.uint8)
    alpha[rows, columns] = cv2.GaussianBlur(levels, (0, 0), 0.7)[rows, columns].astype(np.float32) / np.float32(255)
    return alpha


def blurred(plane: FloatArray, sigma: float) -> FloatArray:
    """Apply a Gaussian blur to floats, computed at a smaller size where it is wide."""
    step = max(1, int(sigma / 3))
    if step == 1:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
    height, width = plane.shape[:2]
    small_size = (math.ceil(width / step), math.ceil(height / step))
    small = cv2.resize(plane, small_size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def union(mattes: list[Matte], size_hw: tuple[int, int]) -> FloatArray:
    """Return the fraction of each pixel that belongs to any of the objects, (H, W)."""
    whole = np.zeros(size_hw, np.float32)
    for matte in mattes:
        region = whole[matte.window]
        np.maximum(region, matte.alpha, out=region)
    return whole


def own_colors(rgb: ByteArray, matte: Matte, alpha: FloatArray) -> ByteArray:
    """Replace the colours of partly covered pixels by those of the nearest pixels wholly inside the object.

    Args:
        rgb: (H, W, 3) the picture.
        matte: of the object.
        alpha: (H, W) of all that stands before the background.

    Returns:
        (h, w, 3) the matte's window of the picture.
    """
    region = rgb[matte.window]
    covered = alpha[matte.window]
    partly = (covered > 0.004) & (covered < 0.98)
    if not partly.any():
        return region
    # Colours vary slowly along an edge, so a small image is enough.
    unit = unit_of((rgb.shape[0], rgb.shape[1]))
    step = max(1, round(2 * unit))
    height, width = covered.shape
    size = (math.ceil(width / step), math.ceil(height / step))
    weights = cv2.resize((covered >= 0.98).astype(np.float32), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    weights[weights < 0.99] = 0
    small = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.float32)
    total = blurred(weights, 2.5 * unit / step)
    inner = blurred(small * weights[..., None], 2.5 * unit / step) / np.maximum(total, 1e-4)[..., None]
    spread = np.dstack([inner, (total > 0.02).astype(np.float32)])
    large = np.asarray(cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    rows, columns = np.nonzero(partly)
    # Pixels nearly inside keep most of their texture; pixels far from the inside have no colour to take.
    share = ((np.float32(0.98) - covered[rows, columns]) * np.float32(1.6)).clip(0, 1)
    share *= large[rows, columns, 3] > 0.99
    mixed = region[rows, columns] * (1 - share)[:, None] + large[rows, columns, :3] * share[:, None]
    colors = region.copy()
    colors[rows, columns] = mixed.clip(0, 255).astype(np.uint8)
    return colors


def blend(below: ByteArray, above: ByteArray, alpha: FloatArray) -> ByteArray:
    """Mix two images, (h, w, 3): `above` where alpha is 1, `below` where it is 0."""
    mixed = cv2.blendLinear(
        np.ascontiguousarray(above), np.ascontiguousarray(below), np.ascontiguousarray(alpha), 1 - alpha
    )
    return np.asarray(mixed, np.uint8)
