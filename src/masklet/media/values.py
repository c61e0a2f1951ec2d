"""Grey values of more than 8 bits, mapped to 8 bits by one rule for a single picture, a folder and a stack of slices.

The range of values that is shown is, in this order: a) the window of the caller; b) that of the file (DICOM, NIfTI);
c) the full range of the type, 0 to 65535 or 0.0 to 1.0, if the values reach its upper half; d) from the 0.5th to the
99.5th percentile of the values. So a photo of 16 bits keeps its brightness, and the 12 bits of a microscope in a file
of 16 do not come out black. Frames of one source share one range: brightness never jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.records import ByteArray

Window = tuple[float, float]
"""(center, width) in the units of the values, such as Hounsfield units for CT."""

Range = tuple[float, float]
"""The values that are shown as black and white."""

_SAMPLES = 200_000
"""Values of one picture from which percentiles are taken."""
_BLOCK = 2**20
"""Values that are converted at a time, to bound memory."""


def samples_of(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return finite values of a picture, evenly spread over it."""
    some = values.reshape(-1)[:: max(1, values.size // _SAMPLES)].astype(np.float64)
    return some[np.isfinite(some)]


def shown_range(samples: Sequence[NDArray[np.float64]], dtype: np.dtype[Any]) -> Range:
    """Choose the range of values to show, by rules c) and d).

    Args:
        samples: of the pictures that share the range; see `samples_of`.
        dtype: type of the pictures' values.
    """
    values = np.concatenate(samples) if samples else np.empty(0)
    full = 65535.0 if np.issubdtype(dtype, np.integer) else 1.0
    if not values.size:
        return 0.0, full
    lowest, highest = float(values.min()), float(values.max())
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    if lowest >= 0 and highest <= full and (high >= full / 2 or highest == lowest):
        return 0.0, full
    return (low, high) if high > low else (lowest, highest)


def to_8_bits(values: NDArray[Any], shown: Range) -> ByteArray:
    """Map values to 0 to 255, those outside the range to its ends, NaN to 0; (H, W, ...) as the values are."""
    low, high = shown
    factor = np.float32(255 / ((high - low) or 1.0))
    result: ByteArray = np.empty(values.shape, np.uint8)
    rows = max(1, _BLOCK // max(1, values[0].size))
    for top in range(0, len(values), rows):
        scaled = (values[top : top + rows].astype(np.float32) - np.float32(low)) * factor
        result[top : top + rows] = np.rint(np.nan_to_num(scaled, nan=0.0)).clip(0, 255)
    return result
