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


def indexed_png(ids: NDArray[np.uint8] | NDArray[np.uint16], palette: bytes | None = None) -> bytes:
    """Encode an (H, W) map of object ids as a PNG whose pixels are the ids.

    Args:
        ids: uint8; or uint16, for a grey PNG of 16 bits, which has no palette.
        palette: RGB colours of the ids, in order; None means DAVIS's.
    """
    image = Image.fromarray(np.ascontiguousarray(ids))
    if ids.dtype == np.uint8:
        image.putpalette(davis_palette() if palette is None else palette)
    return _png(image)


def binary_png(mask: BoolArray) -> bytes:
    """Encode an (H, W) mask as a black and white PNG, 0 and 255."""
    return _png(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
