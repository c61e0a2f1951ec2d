"""Masks and logits in the forms that users have: bool, 0 and 1, 0 to 255, probabilities, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from masklet.checks import check_numbers, host_array
from masklet.errors import MaskletError, PromptError
from masklet.masks.operations import MASK_LOGIT
from masklet.records import PREVIOUS_LOGIT_LIMIT, BoolArray


def mask_array(name: str, values: ArrayLike, *, error: type[MaskletError] = PromptError) -> NDArray[Any]:
    """Return a mask, or logits, as a bool array or as an array of finite numbers.

    Raises:
        MaskletError: of the class `error`, when it is neither.
    """
    try:
        array = host_array(values)
    except (TypeError, ValueError, RuntimeError):
        array = np.zeros(0, np.object_)
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf":
        array = check_numbers(name, values, "(H, W) of bool or numbers", error=error)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise error(f"{name} must be finite, got NaN or infinity")
    return array


def foreground_of(values: NDArray[Any]) -> BoolArray:
    """Return the foreground of a mask in any of the usual forms.

    a) bool; b) logits, which have both signs: above 0; c) probabilities, in [0, 1]: above 0.5; d) shades of grey, as
    of a mask that was resized: above half of 255 or 65535; e) other numbers, such as labels: not 0.
    """
    if values.dtype == np.bool_ or values.size == 0:
        return np.asarray(values, np.bool_)
    low, high = values.min(), values.max()
    if low < 0:
        threshold = 0.0
    elif high <= 1:
        threshold = 0.5
    else:
        is_grey = 127 < high <= 255 or 32767 < high <= 65535
        threshold = (127.5 if high <= 255 else 32767.5) if is_grey else 0.0
    return np.asarray(values > threshold, np.bool_)


def logits_of(values: NDArray[Any]) -> NDArray[Any]:
    """Return logits from logits, or from a mask that was given in their place: bool, 0 and 1, 0 to 255, probabilities.

    Logits of a prediction have both signs and lie within `PREVIOUS_LOGIT_LIMIT`; a mask has no negative values.
    """
    if values.size == 0 or (values.dtype != np.bool_ and (values.min() < 0 or not values.any())):
        return values
    high = values.max()
    is_soft = values.dtype.kind == "f" and high <= 1
    if values.dtype.kind == "f" and 1 < high <= PREVIOUS_LOGIT_LIMIT:
        return values
    share = values.astype(np.float32) if is_soft else foreground_of(values).astype(np.float32)
    return (2 * share - 1) * MASK_LOGIT
