"""Masks as PNG bytes: indexed with DAVIS's palette, or black and white."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from masklet.records import BoolArray


@lru_cache(maxsize=1)
def davis_palette() -> bytes:
    """256 RGB colours, those of PASCAL VOC that DAVIS uses: the bits of the index, spread over the channels' high
    bits."""
    colors = bytearray()
    for index in range(256):
        channels = [0, 0, 0]
        for bit in range(8):
            channels[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
        colors += bytes(channels)
    return bytes(colors)


def indexed_png(ids: NDArray[np.uint8]) -> bytes:
    """An (H, W) map of object ids as a PNG with DAVIS's palette."""
    image = Image.fromarray(np.ascontiguousarray(ids))
    image.putpalette(davis_palette())
    return _png(image)


def binary_png(mask: BoolArray) -> bytes:
    """An (H, W) mask as a black and white PNG, 0 and 255."""
    return _png(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
