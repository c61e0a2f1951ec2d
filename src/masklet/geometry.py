"""From source pixels to the model's square and back. The model sees every image squashed to a square, as SAM 2 does."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from masklet.records import ByteArray, FloatArray


def to_square_area(rgb: ByteArray, size: int) -> ByteArray:
    """(H, W, 3) to (size, size, 3): averaged when it shrinks, bilinear when it grows. What nano is trained on."""
    interpolation = cv2.INTER_AREA if rgb.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(rgb), (size, size), interpolation=interpolation), np.uint8)


def to_square_antialias(rgb: ByteArray, size: int) -> ByteArray:
    """(H, W, 3) to (size, size, 3) by the antialiased bilinear filter that the official models expect.

    Source: sam2 2b90b9f, utils/transforms.py (torchvision's Resize, whose filter is PIL's).
    """
    if rgb.shape[:2] == (size, size):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((size, size), Image.Resampling.BILINEAR))


def points_to_square(points_xy: FloatArray, size_hw: tuple[int, int], size: int) -> FloatArray:
    """(P, 2) source pixels to pixels of the square, shifted by half a pixel so that a pixel's centre is at .5.

    Source: sam2 2b90b9f, sam/prompt_encoder.py `_embed_points` (the shift comes after the scaling there too).
    """
    height, width = size_hw
    scale = np.array([size / width, size / height], np.float32)
    return points_xy * scale + np.float32(0.5)
