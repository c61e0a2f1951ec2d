"""Edges at full resolution: the picture decides where, within a low-res cell, a mask ends.

The model's logits have a quarter of its input's resolution (96 x 96 for nano), and bilinear interpolation makes of each
cell a soft ramp that knows nothing of the picture. A guided filter fits, in a window around each pixel, the
mask's probability as a linear function of colour; where the picture has an edge the fit has it too.

Only a band along the mask's outline is touched, so that no hole opens and nothing appears far from the object.

Source: He, Sun, Tang, Guided Image Filtering (2013), equations 14, 15 and 19; own implementation with box filters.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from masklet.checks import check_positive, set_checked
from masklet.masks.operations import mask_box_xyxy
from masklet.records import BoolArray, ByteArray, FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeConfig:
    """Settings of edge refinement. Lengths are in cells: source pixels per low-res logit."""

    radius: float = 2.0
    """Half the side of the window, in cells."""
    epsilon: float = 1e-3
    """Variance of colour, in [0, 1] squared, below which a window counts as flat and the mask is only smoothed."""
    band: float = 1.0
    """Pixels farther than this from the outline stay as they are, in cells."""

    thin: float = 1.0
    """Parts and gaps that a square of twice this side does not fit into stay as they are, in cells: within the window
    of a filter they would drown."""

    def __post_init__(self) -> None:
        set_checked(self, ("radius", "epsilon", "band", "thin"), check_positive)


def refine_edges(
    logits: FloatArray, rgb: ByteArray, low_res_hw: tuple[int, int], config: EdgeConfig | None = None
) -> FloatArray:
    """Let the picture decide where the mask ends.

    Args:
        logits: (H, W) float32, brought to the size of the picture; foreground where > 0.
        rgb: (H, W, 3) uint8.
        low_res_hw: (h, w) that the logits had before.
        config: see `EdgeConfig`.

    Returns:
        (H, W) float32: the logits, other ones within the band along the outline. An empty mask, or one that is not
        larger than its low-res logits, comes back as it was.
    """
    config = config or EdgeConfig()
    cell = max(logits.shape[0] / low_res_hw[0], logits.shape[1] / low_res_hw[1])
    mask = logits > 0
    box = mask_box_xyxy(mask)
    if box is None or cell <= 1:
        return logits
    radius, band = max(1, round(config.radius * cell)), max(1, round(config.band * cell))
    left, top, right, bottom = box.astype(int).tolist()
    margin = 2 * radius + band  # what the filter reads for the outermost pixel of the band
    window = (
        slice(max(0, top - margin), bottom + margin),
        slice(max(0, left - margin), right + margin),
    )
    # Probabilities, since a logit of 30 means no more than one of 5.
    probability: FloatArray = (1 / (1 + np.exp(-logits[window].clip(-20, 20)))).astype(np.float32)
    picture: FloatArray = rgb[window].astype(np.float32) / np.float32(255)
    guided = guided_filter(probability, picture, radius, config.epsilon)
    guided = guided.clip(1e-6, 1 - 1e-6)
    refined = logits.copy()
    touched = outline_band(mask[window], band) & ~near_thin_parts(mask[window], max(1, round(config.thin * cell)), band)
    refined[window] = np.where(touched, np.log(guided / (1 - guided)), logits[window])
    return refined


def guided_filter(values: FloatArray, guide: FloatArray, radius: int, epsilon: float) -> FloatArray:
    """He's guided filter with a guide of three channels: locally, values are a linear function of the guide.

    Args:
        values: (H, W) float32.
        guide: (H, W, 3) float32 in [0, 1].
        radius: half the side of the windows, pixels; the time does not depend on it.
        epsilon: how much variance of the guide counts as none.

    Returns:
        (H, W) float32.
    """
    slope, offset = guided_coefficients(values, guide, radius, epsilon)
    return np.asarray((slope * guide).sum(axis=-1) + offset, np.float32)


def guided_coefficients(
    values: FloatArray, guide: FloatArray, radius: int, epsilon: float
) -> tuple[FloatArray, FloatArray]:
    """Return the linear functions of `guided_filter`. They vary slowly, so a small picture is enough for a large one.

    Returns:
        Slope (H, W, 3) and offset (H, W), float32.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(planes: FloatArray) -> FloatArray:
        return np.asarray(cv2.blur(planes, size, borderType=cv2.BORDER_REFLECT_101), np.float32)

    guide_mean, values_mean = mean(guide), mean(values)
    covariance = mean(guide * values[..., None]) - guide_mean * values_mean[..., None]  # (H, W, 3)
    # The guide's covariance, a symmetric 3 x 3 matrix per pixel, and its inverse by cofactors.
    red, green, blue = (guide[..., channel] for channel in range(3))
    red_mean, green_mean, blue_mean = (guide_mean[..., channel] for channel in range(3))
    rr = mean(red * red) - red_mean * red_mean + epsilon
    rg = mean(red * green) - red_mean * green_mean
    rb = mean(red * blue) - red_mean * blue_mean
    gg = mean(green * green) - green_mean * green_mean + epsilon
    gb = mean(green * blue) - green_mean * blue_mean
    bb = mean(blue * blue) - blue_mean * blue_mean + epsilon
    inverse_rr, inverse_rg, inverse_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    inverse_gg, inverse_gb, inverse_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = inverse_rr * rr + inverse_rg * rg + inverse_rb * rb
    to_red, to_green, to_blue = (covariance[..., channel] / determinant for channel in range(3))
    slope = np.stack(
        [
            inverse_rr * to_red + inverse_rg * to_green + inverse_rb * to_blue,
            inverse_rg * to_red + inverse_gg * to_green + inverse_gb * to_blue,
            inverse_rb * to_red + inverse_gb * to_green + inverse_bb * to_blue,
        ],
        axis=-1,
    )
    offset = values_mean - (slope * guide_mean).sum(axis=-1)
    return mean(slope), mean(offset)


def outline_band(mask: BoolArray, width: int) -> BoolArray:
    """Return the pixels within `width` of the outline, on either side of it."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    band: BoolArray = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, kernel) > 0
    return band


def near_thin_parts(mask: BoolArray, thin: int, width: int) -> BoolArray:
    """Pixels within `width` of a part or a gap that a square of side `2 * thin + 1` does not fit into."""
    kernel = np.ones((2 * thin + 1, 2 * thin + 1), np.uint8)
    plane = mask.astype(np.uint8)
    # the border of the picture is not a gap
    opened = cv2.morphologyEx(plane, cv2.MORPH_OPEN, kernel, borderType=cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(plane, cv2.MORPH_CLOSE, kernel, borderType=cv2.BORDER_REPLICATE)
    near = cv2.dilate(cv2.absdiff(closed, opened), np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    nearby: BoolArray = near > 0
    return nearby
