"""Operations on masks that need no model: boxes, IoU, resizing, holes, overlap.

Masks are bool (H, W); logits are float32, foreground where > 0. Nothing here knows of engines, files or videos.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from masklet.errors import DataError
from masklet.masks.rle import decode_rle
from masklet.records import BoolArray, FloatArray

_MAX_COORDINATE = 1e6
"""Largest coordinate of a polygon, pixels: it may lie outside the image, but not anywhere."""

MASK_LOGIT = 10.0
"""Logit of a foreground pixel of a mask that is given, not predicted; background has its negative."""


def mask_box_xyxy(mask: BoolArray) -> FloatArray | None:
    """Return the tight box around a mask: left, top, right, bottom, where right and bottom are one past the last pixel.

    Returns:
        (4,) float32 in source pixels, or None for an empty mask.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=np.float32)


def mask_window(mask: BoolArray) -> tuple[slice, slice]:
    """Return the rows and columns of an (H, W) mask's tight box; empty slices for an empty mask."""
    box = mask_box_xyxy(mask)
    if box is None:
        return slice(0, 0), slice(0, 0)
    left, top, right, bottom = (int(edge) for edge in box)
    return slice(top, bottom), slice(left, right)


def mask_iou(first: BoolArray, second: BoolArray) -> float:
    """Return the intersection over union of two (H, W) masks, in [0, 1]; 1 if both are empty."""
    if first.shape != second.shape:
        raise DataError(f"masks to be compared must have one size, got {first.shape} and {second.shape}")
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


def mask_polygons(mask: BoolArray, tolerance: float = 0.0) -> list[FloatArray]:
    """Return the outlines of a mask along the edges of its pixels, one polygon per 8-connected piece.

    A hole is part of the polygon around it: a seam of no width leads to it and back. So the polygons alone, filled by
    COCO's tools, are the mask to the pixel.

    Args:
        mask: (H, W).
        tolerance: how far, in pixels, the outline may stray to have fewer points; 0 keeps every corner.

    Returns:
        (P, 2) float32 each, x and y in source pixels: the pixel at column x spans x to x + 1. Pieces that are thinner
        than the tolerance may be missing.
    """
    box = mask_box_xyxy(mask)
    if box is None:
        return []
    left, top, right, bottom = box.astype(int).tolist()
    window = mask[top:bottom, left:right].astype(np.uint8)
    # OpenCV's outlines run through the centres of pixels. With each pixel tripled, the outermost centres are a third
    # of a pixel from a corner, and rounding moves them onto it.
    tripled = cv2.resize(window, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
    contours, hierarchy = cv2.findContours(tripled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    loops = [_corners(np.asarray(contour, np.float32)[:, 0], tolerance) for contour in contours]
    parents: list[int] = hierarchy[0, :, 3].tolist()  # -1 for outlines that are not holes
    polygons = {row: loop for row, loop in enumerate(loops) if parents[row] < 0 and len(loop) > 2}
    for hole, parent in zip(loops, parents, strict=True):
        if parent in polygons and len(hole) > 2:
            polygons[parent] = _with_hole(polygons[parent], hole)
    return [polygon + np.array([left, top], np.float32) for polygon in polygons.values()]


def polygons_mask(polygons: Any, size_hw: tuple[int, int]) -> BoolArray:
    """Return the (H, W) mask that polygons cover, filled as COCO's tools fill them.

    Args:
        polygons: each a list of numbers x, y, x, y, ... of three points or more, in source pixels.
        size_hw: size of the mask.

    Raises:
        DataError: they are not a list, or one of them is not such a list.
    """
    if not isinstance(polygons, Sequence) or isinstance(polygons, str):
        raise DataError(f"segmentation must be polygons or an RLE, got {type(polygons).__name__}")
    loops = [_checked_polygon(polygon, size_hw) for polygon in polygons]
    if not loops:
        return np.zeros(size_hw, np.bool_)
    return decode_rle(coco_mask.merge(coco_mask.frPyObjects(loops, *size_hw)), size_hw)


def _checked_polygon(points: Any, size_hw: tuple[int, int]) -> list[float]:
    if not isinstance(points, Sequence | np.ndarray) or isinstance(points, str | bytes):
        raise DataError(f"a polygon must be a list of numbers x, y, x, y, ..., got {points!r:.60}")
    try:
        flat = np.array([float(value) for value in points])
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"a polygon must be a list of numbers x, y, x, y, ..., got {points!r:.60}") from error
    if len(flat) < 6 or len(flat) % 2:
        raise DataError(f"a polygon needs x and y of three points or more, got {len(flat)} numbers")
    if not np.isfinite(flat).all() or abs(flat).max() > _MAX_COORDINATE:
        raise DataError(f"a polygon must have finite coordinates in pixels, got {points!r:.60}")
    # pycocotools takes 40 bytes per pixel of outline. An outline that goes around every pixel is this long.
    corners = flat.reshape(-1, 2)
    outline_px = abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum()
    if outline_px > max(4 * size_hw[0] * size_hw[1], _MAX_COORDINATE):
        height, width = size_hw
        raise DataError(f"a polygon's outline has {outline_px:.0f} pixels, too many for an image of {width} x {height}")
    return flat.tolist()  # type: ignore[no-any-return]


def _corners(contour: FloatArray, tolerance: float) -> FloatArray:
    """Round an outline on the tripled mask, (P, 2), to corners of pixels; equal neighbours are merged."""
    corners = np.rint(contour / 3)
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    if tolerance > 0:
        corners = cv2.approxPolyDP(corners[:, None], tolerance, closed=True)[:, 0]
    return np.asarray(corners, np.float32)


def _with_hole(polygon: FloatArray, hole: FloatArray) -> FloatArray:
    """Join two outlines into one polygon, with a seam between the hole's first point and the nearest of the polygon."""
    nearest = int(((polygon - hole[0]) ** 2).sum(axis=1).argmin())
    return np.concatenate([polygon[: nearest + 1], hole, hole[:1], polygon[nearest:]])


def upsample_logits(logits: FloatArray, size_hw: tuple[int, int], out: FloatArray | None = None) -> FloatArray:
    """Resize logits with bilinear interpolation, pixel centres at one half, no antialiasing.

    Equals `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`, which SAM 2 uses to bring
    low-res logits to the source size, in both directions.

    Args:
        logits: (h, w) or (K, h, w) float32.
        size_hw: wanted size.
        out: (H, W) to write into, for (h, w) logits: fresh memory can cost more time than the resizing.

    Returns:
        (H, W) or (K, H, W) float32.
    """
    height, width = size_hw
    if logits.ndim == 2:
        return _resize_bilinear(logits, height, width, out)
    resized = np.empty((len(logits), height, width), np.float32)
    for plane, target in zip(logits, resized, strict=True):
        target[...] = _resize_bilinear(plane, height, width)
    return resized


def _resize_bilinear(plane: FloatArray, height: int, width: int, out: FloatArray | None = None) -> FloatArray:
    if plane.shape == (height, width):
        if out is None:
            return plane.astype(np.float32)
        out[...] = plane
        return out
    resized = cv2.resize(np.ascontiguousarray(plane, np.float32), (width, height), out, interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)


def resize_mask_antialias(mask: BoolArray, size_hw: tuple[int, int]) -> FloatArray:
    """Resize an (H, W) mask with a triangle filter that widens when shrinking, so that thin parts do not vanish.

    Equals `torch.nn.functional.interpolate(mode="bilinear", antialias=True)`, with which SAM 2 brings a mask prompt
    to the model's resolution.

    Returns:
        (h, w) float32 in [0, 1]: how much of each pixel is covered.
    """
    height, width = size_hw
    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)


def square_mask(mask: BoolArray, size: int) -> BoolArray:
    """Resize an (H, W) mask to the model's square, (size, size).

    Source: sam2 2b90b9f, sam2_video_predictor.py `add_new_mask`.
    """
    squared: BoolArray = resize_mask_antialias(mask, (size, size)) >= 0.5
    return squared


def mask_logits(mask: BoolArray, side: int) -> FloatArray:
    """Return the low-res logits of a certain prediction of an (H, W) mask, to be remembered or corrected by points.

    Args:
        mask: any size.
        side: of the low-res logits, a quarter of the model's square.

    Returns:
        (side, side) float32 in [-10, 10].

    Source: sam2 2b90b9f, sam2_base.py `_use_mask_as_output`.
    """
    return resize_mask_antialias(square_mask(mask, 4 * side), (side, side)) * (2 * MASK_LOGIT) - MASK_LOGIT


def resolve_overlap(logits: Iterable[FloatArray], size_hw: tuple[int, int]) -> BoolArray:
    """Give each pixel to one object: the one of the highest logit, if that is above 0; the first of equals.

    Args:
        logits: N planes (H, W) float32, read one after the other: they may share their memory.
        size_hw: size of the planes.

    Returns:
        (N, H, W) bool, at most one True a pixel.
    """
    highest, owner, count = np.zeros(size_hw, np.float32), np.full(size_hw, -1, np.int32), 0
    for row, plane in enumerate(logits):
        is_higher = plane > highest
        np.copyto(highest, plane, where=is_higher)
        np.copyto(owner, row, where=is_higher)
        count = row + 1
    owned: BoolArray = owner == np.arange(count, dtype=np.int32)[:, None, None]
    return owned


def fill_holes(mask: BoolArray, max_area: int) -> BoolArray:
    """Fill every 8-connected piece of background of at most `max_area` pixels.

    Source: sam2 2b90b9f, sam2/utils/misc.py `fill_holes_in_mask_scores` (there on logits).
    """
    sides = mask_window(mask)
    shorter_side = min(side.stop - side.start for side in sides)
    if max_area <= 0 or shorter_side == 0:
        return mask | _small_components(~mask, max_area)
    # The margin alone has more than `max_area` pixels on each side: background that reaches its end is not small.
    margin = 1 + max_area // shorter_side
    rows, columns = (slice(max(0, side.start - margin), side.stop + margin) for side in sides)
    window = rows, columns
    filled = mask.copy()
    filled[window] |= _small_components(~mask[window], max_area)
    return filled


def remove_small_components(mask: BoolArray, max_area: int) -> BoolArray:
    """Remove every 8-connected piece of foreground of at most `max_area` pixels."""
    window = mask_window(mask)
    kept = mask.copy()
    kept[window] &= ~_small_components(mask[window], max_area)
    return kept


def without_small_parts(
    logits: FloatArray,
    max_hole_area: int,
    max_piece_area: int,
    *,
    threshold: float = 0.0,
    margin: float = 10.0,
    kept_xy: FloatArray | None = None,
) -> FloatArray:
    """Logits whose mask has no small holes and no small pieces.

    Args:
        logits: (h, w).
        max_hole_area: 8-connected background of at most so many pixels becomes `threshold + margin`.
        max_piece_area: 8-connected foreground of at most so many becomes `threshold - margin`.
        threshold: foreground is above it.
        margin: see above.
        kept_xy: (P, 2) in pixels of the logits: a piece under one of these stays.

    Returns:
        (h, w); the same array where there is nothing to do.

    Source: sam2 2b90b9f, utils/transforms.py `postprocess_masks`, and with margin 0.1 for holes utils/misc.py
    `fill_holes_in_mask_scores`.
    """
    foreground = logits > threshold
    holes = _small_components(~foreground, max_hole_area)
    pieces = _small_components(foreground, max_piece_area, kept_xy)
    if not (holes.any() or pieces.any()):
        return logits
    filled = np.where(holes, np.float32(threshold + margin), logits)
    return np.asarray(np.where(pieces, np.float32(threshold - margin), filled), np.float32)


def tidied_logits(
    logits: FloatArray, *, max_hole: float, max_piece: float, kept_xy: FloatArray | None = None
) -> FloatArray:
    """Remove relatively small holes and pieces from logits: for masks that are shown, not for feedback.

    Args:
        logits: (h, w), foreground above 0.
        max_hole: enclosed background up to this fraction of the mask's area is filled.
        max_piece: separate foreground up to this fraction of the mask's area is dropped.
        kept_xy: (P, 2) in pixels of the logits: a piece under one of these stays, since somebody has clicked on it.

    Returns:
        (h, w); the same array where there is nothing to do.
    """
    area = np.count_nonzero(logits > 0)
    return without_small_parts(logits, int(max_hole * area), int(max_piece * area), kept_xy=kept_xy)


def largest_component(mask: BoolArray) -> BoolArray:
    """Return the largest 8-connected piece of a mask; an empty mask stays empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    largest: BoolArray = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return largest


def without_stray_pieces(mask: BoolArray, least: float, reach: float) -> BoolArray:
    """Return a mask without the separate pieces that belong to other things: small or distant ones.

    Args:
        mask: (H, W).
        least: smallest area of a piece, as a fraction of the largest one.
        reach: largest distance of a piece from what is kept of the others, as a fraction of the root of its own area.
    """
    window = mask_window(mask)
    if not mask[window].size:
        return mask
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask[window].astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA]
    largest = 1 + int(areas[1:].argmax())
    pending = {int(piece) for piece in np.flatnonzero(areas >= least * areas[largest])} - {0, largest}
    is_kept = np.arange(count) == largest
    has_grown = True
    while pending and has_grown:
        distances = cv2.distanceTransform((~is_kept[labels]).astype(np.uint8), cv2.DIST_L2, 5)
        near = {piece for piece in pending if distances[labels == piece].min() <= reach * areas[piece] ** 0.5}
        is_kept[list(near)] = True
        pending -= near
        has_grown = bool(near)
    kept = np.zeros_like(mask)
    kept[window] = is_kept[labels]
    return kept


def _small_components(mask: BoolArray, max_area: int, kept_xy: FloatArray | None = None) -> BoolArray:
    """Pieces of up to `max_area` pixels, but for those under one of (P, 2) points."""
    if max_area <= 0 or not mask.size:
        return np.zeros_like(mask)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    is_small = stats[:, cv2.CC_STAT_AREA] <= max_area
    is_small[0] = False  # label 0 is the background
    if kept_xy is not None and len(kept_xy):
        columns, rows = np.clip(kept_xy.astype(int), 0, np.array(mask.shape[::-1]) - 1).T
        is_small[labels[rows, columns]] = False
    if not is_small.any():
        return np.zeros_like(mask)
    small: BoolArray = is_small[labels]
    return small


def outline(mask: BoolArray) -> BoolArray:
    """Return the mask's pixels that share an edge with the outside; beyond the image does not count as outside."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge: BoolArray = mask & ~inner
    return edge


def squared_distance(mask: BoolArray) -> FloatArray:
    """Return the squared distance of each True pixel to the next False one: whole, and exact up to a thousand pixels.

    OpenCV's last bits vary from call to call with the memory's alignment, and would decide between equal distances.
    """
    distance = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squared: FloatArray = np.rint(distance * distance)
    return squared


def interior_point(mask: BoolArray) -> tuple[int, int]:
    """Return (x, y) of the pixel farthest from everything outside a mask, the outside of the array included."""
    distance = squared_distance(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(distance)), distance.shape)
    return int(x), int(y)
