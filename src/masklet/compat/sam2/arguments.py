"""Arguments of the official interface, converted to what masklet takes. Messages have the caller's own names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_numbers, check_whole, plain
from masklet.errors import PromptError, TrackingError
from masklet.masks.foreground import logits_of, mask_array
from masklet.prompts import PointLabel, Prompt, coordinates_text
from masklet.records import FloatArray

PAGE = "docs/guides/migrating-from-sam2.md"
"""Explains what differs, and what to use instead."""

LABELS = (PointLabel.PADDING, PointLabel.BACKGROUND, PointLabel.FOREGROUND)


def to_array(values: Any, name: str) -> NDArray[np.float64]:
    """Return finite numbers on the host, from arrays, lists, tensors and columns of pandas.

    Raises:
        PromptError: they are not finite numbers.
    """
    numbers = check_numbers(name, values, "numbers", error=PromptError)
    if not np.isfinite(numbers).all():
        raise PromptError(f"{name} must be finite, got {numbers.tolist()!s:.80}")
    return numbers


def to_labels(values: Any, name: str) -> NDArray[np.int32]:
    """Return labels of points: 1 on the object, 0 not on it, -1 for padding.

    Raises:
        PromptError: there are others.
    """
    labels = check_numbers(name, values, "1 or 0 for each point", with_flags=True, error=PromptError)
    if not np.isin(labels, LABELS).all():
        hint = ": give boxes as box=..." if np.isin(labels, (*LABELS, 2, 3)).all() else ""
        raise PromptError(
            f"{name} must be 1 (foreground) or 0 (background), or -1 for padding, got {labels.tolist()!s:.80}{hint}"
        )
    return labels.astype(np.int32)


def to_pixels(
    coordinates: NDArray[Any], size_hw: tuple[int, int], *, normalize: bool, are_corners: bool = False
) -> FloatArray:
    """Return (..., 2) x and y in pixels, inside the image.

    Coordinates outside are moved to the edge: detectors give boxes that reach over it by a pixel, and the official code
    takes them as they are.

    Args:
        coordinates: in pixels where `normalize`, else in fractions of the width and height.
        size_hw: size of the image.
        normalize: the official argument of that name (`normalize_coords`).
        are_corners: corners of boxes, which end at the edge, where a point is in the last pixel at most.
    """
    sides = np.array(size_hw[::-1], np.float32)
    pixels = coordinates if normalize else coordinates * sides
    return np.asarray(np.clip(pixels, 0, sides if are_corners else np.nextafter(sides, np.float32(0))), np.float32)


def to_boxes(values: Any, size_hw: tuple[int, int], *, normalize: bool) -> FloatArray:
    """Return (B, 4) boxes in pixels, inside the image; B is 0 for an empty array.

    Raises:
        PromptError: they are not boxes, or one is empty, inside out or outside the image.
    """
    boxes = to_array(values, "box")
    if boxes.size % 4 or (boxes.size and boxes.shape[-1] not in (2, 4)):
        raise PromptError(f"box must be (4,) or (B, 4), got {boxes.shape}")
    boxes = boxes.reshape(-1, 4)
    corners = to_pixels(boxes.reshape(-1, 2, 2), size_hw, normalize=normalize, are_corners=True).reshape(-1, 4)
    for row, (box, inside) in enumerate(zip(boxes, corners, strict=True)):
        left, top, right, bottom = inside
        if left >= right or top >= bottom:
            which = "box" if len(boxes) == 1 else f"box {row} of {len(boxes)}"
            reason = "be left, top, right, bottom with left < right and top < bottom"
            if box[0] < box[2] and box[1] < box[3]:
                reason = f"lie in the image, which is {size_hw[1]} wide and {size_hw[0]} high"
            raise PromptError(f"{which} must {reason}, got {coordinates_text(box.astype(np.float32))}")
    return corners


def to_logits(values: Any, name: str) -> FloatArray:
    """Return low-res logits; a mask that was given in their place (bool, 0 to 255, probabilities) becomes logits.

    Raises:
        PromptError: they are not finite numbers.
    """
    return np.asarray(logits_of(mask_array(name, values)), np.float32)


def to_frame(value: Any, name: str = "frame_idx") -> int:
    """Return the index of a frame, given as a whole number of any library.

    Raises:
        TrackingError: it is none.
    """
    return check_whole(name, value, error=TrackingError)


def to_object_id(value: Any) -> Any:
    """Return an object's id as a key: scalars of numpy and torch as Python's, so that equal ones are one object.

    Raises:
        PromptError: it is True, False or None, or cannot be a key, as a list.
    """
    key = plain(value)
    if hasattr(key, "shape"):
        raise PromptError(f"obj_id must be one id, got an array of shape {tuple(key.shape)}: call once for each object")
    try:
        hash(key)
    except TypeError as error:
        raise PromptError(f"obj_id must be a number or a name, got {key!r:.80}") from error
    if key is None or isinstance(key, bool) or key != key:
        raise PromptError(f"obj_id must be a number or a name, got {key!r}")
    return key


def make_prompt(
    points_xy: FloatArray | None,
    labels: NDArray[np.int32] | None,
    box_xyxy: FloatArray | None,
    previous_logits: FloatArray | None,
) -> Prompt:
    """Return a prompt of checked values; padding stays in it, since the official models see it."""
    values: dict[str, Any] = {"box_xyxy": box_xyxy, "previous_logits": previous_logits}
    if points_xy is not None:
        values |= {"points_xy": points_xy, "labels": labels}
    return Prompt(**values)
