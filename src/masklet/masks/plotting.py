"""Results as pictures for notebooks: overlays, PNG bytes and matplotlib axes.

Knows nothing of models and videos. matplotlib is imported when a plot is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from masklet.errors import ConfigError
from masklet.masks.drawing import draw_overlay
from masklet.records import BoolArray, ByteArray, FloatArray, Frame

Picture = ByteArray | Image.Image | Frame
"""(H, W, 3) uint8 RGB, a PIL image or a frame of a video."""

BACKGROUND = 34
"""Grey level behind masks that are drawn without their picture."""

MAX_PNG_SIDE = 1024
"""Larger pictures are reduced to this many pixels for a notebook, which keeps them in its file."""


def overlay(
    masks: BoolArray,
    object_ids: Sequence[int],
    rgb: Picture | None = None,
    *,
    scores: FloatArray | None = None,
    words: Mapping[int, str] | None = None,
) -> Image.Image:
    """Draw masks over their picture, or over a plain dark background without one.

    Args:
        masks: (N, H, W).
        object_ids: (N,) each decides a colour.
        rgb: the picture, of the masks' size; a plain dark background when left out.
        scores: (N,) shown next to the ids.
        words: shown in place of a score, by object id.

    Raises:
        ConfigError: the picture has another form or size than the masks.
    """
    size_hw = masks.shape[1], masks.shape[2]
    return Image.fromarray(draw_overlay(_pixels(rgb, size_hw), masks, object_ids, scores, statuses=words))


def _pixels(rgb: Picture | None, size_hw: tuple[int, int]) -> ByteArray:
    if rgb is None:
        return np.full((*size_hw, 3), BACKGROUND, np.uint8)
    pixels = (
        rgb.rgb if isinstance(rgb, Frame) else np.asarray(rgb.convert("RGB") if isinstance(rgb, Image.Image) else rgb)
    )
    if pixels.dtype != np.uint8 or pixels.shape != (*size_hw, 3):
        raise ConfigError(
            f"rgb must be the masks' own picture, ({size_hw[0]}, {size_hw[1]}, 3) uint8, "
            f"got {pixels.shape} {pixels.dtype}"
        )
    return pixels


def as_image(rgb: ByteArray) -> Image.Image:
    """Return (H, W, 3) uint8 RGB as a PIL image."""
    return Image.fromarray(rgb)


def as_png(image: Image.Image) -> bytes:
    """Return an image as PNG for a notebook, reduced to `MAX_PNG_SIDE` where it is larger."""
    small = image.copy()
    small.thumbnail((MAX_PNG_SIDE, MAX_PNG_SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "png")
    return buffer.getvalue()


def plot(image: Image.Image, title: str, ax: Any = None) -> Any:
    """Show an image in matplotlib axes, with its pixel coordinates.

    Args:
        image: drawn as it is.
        title: above it.
        ax: `matplotlib.axes.Axes` to draw into; a new figure's when left out.

    Returns:
        The axes.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if ax is None:
        try:
            from matplotlib import pyplot
        except ModuleNotFoundError as error:
            raise ConfigError('plots need matplotlib: pip install "masklet[plot]"') from error
        _, ax = pyplot.subplots()
    ax.imshow(np.asarray(image))
    ax.set_title(title)
    return ax
