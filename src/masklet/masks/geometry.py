"""Coordinates between source pixels and the model's square, crops, and duplicate boxes. Numbers only, no models.

The model sees every image squashed to a square, as SAM 2 does.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from masklet.records import ByteArray, FloatArray


def to_square_area(rgb: ByteArray, size: int) -> ByteArray:
    """Resize (H, W, 3) to (size, size, 3), by area averages when shrinking, else bilinear, as nano is trained."""
    interpolation = cv2.INTER_AREA if rgb.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(rgb), (size, size), interpolation=interpolation), np.uint8)


def to_square_antialias(rgb: ByteArray, size: int) -> FloatArray:
    """Resize (H, W, 3) to (size, size, 3) float32 in 0..255 by an antialiased bilinear filter, without rounding, as the
    official models see images.

    Source: sam2 2b90b9f, utils/transforms.py (torchvision's Resize of a float tensor, whose filter is PIL's).
    """
    if rgb.shape[:2] == (size, size):
        return rgb.astype(np.float32)
    square = np.empty((size, size, 3), np.float32)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(rgb[..., channel])).convert("F")
        square[..., channel] = np.asarray(plane.resize((size, size), Image.Resampling.BILINEAR))
    return square


def to_square_bicubic(rgb: ByteArray, size: int) -> ByteArray:
    """Resize (H, W, 3) to (size, size, 3) by PIL's bicubic filter, as the official models see frames of videos.

    Source: sam2 2b90b9f, utils/misc.py `_load_img_as_tensor` (PIL's default filter).
    """
    if rgb.shape[:2] == (size, size):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((size, size), Image.Resampling.BICUBIC))


def points_to_square(points_xy: FloatArray, size_hw: tuple[int, int], size: int) -> FloatArray:
    """Map (P, 2) source pixels to pixels of the square, shifted by half a pixel so that a pixel's centre is at .5.

    Source: sam2 2b90b9f, sam/prompt_encoder.py `_embed_points` (the shift comes after the scaling there too).
    """
    height, width = size_hw
    scale = np.array([size / width, size / height], np.float32)
    return points_xy * scale + np.float32(0.5)


def crop_boxes(size_hw: tuple[int, int], per_side: int, overlap: float) -> list[tuple[int, int, int, int]]:
    """Cut an image into `per_side` x `per_side` crops of one size, but for those at the right and bottom edges.

    Args:
        size_hw: of the image, pixels.
        per_side: crops along each side.
        overlap: how far neighbours overlap, as a fraction of the image's shorter side.

    Returns:
        left, top, right, bottom of each crop, column by column. Crops of tiny images may be empty.

    Source: sam2 2b90b9f, utils/amg.py `generate_crop_boxes`.
    """
    shared = int(overlap * min(size_hw))
    height, width = (math.ceil((side + shared * (per_side - 1)) / per_side) for side in size_hw)
    return [
        (left, top, min(left + width, size_hw[1]), min(top + height, size_hw[0]))
        for left in range(0, per_side * (width - shared), width - shared)
        for top in range(0, per_side * (height - shared), height - shared)
    ]


def box_nms(boxes_xyxy: FloatArray, scores: FloatArray | NDArray[np.float64], max_iou: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression: the best box stays, what overlaps it by more than `max_iou` goes, and so on.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,) of equal scores the first counts as better.
        max_iou: in [0, 1].

    Returns:
        Rows that stay, the best first.
    """
    boxes = boxes_xyxy.astype(np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    waiting = np.argsort(-scores, kind="stable")
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[waiting, 2:]) - np.maximum(boxes[best, :2], boxes[waiting, :2])
        shared = np.maximum(sides, 0).prod(axis=1)
        iou = shared / np.maximum(areas[best] + areas[waiting] - shared, 1e-9)
        iou[(boxes[waiting] == boxes[best]).all(axis=1)] = 1  # also where they have no area
        waiting = waiting[iou <= max_iou]
    return np.array(kept, np.intp)
