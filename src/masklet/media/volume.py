"""Pictures of one source that share a range of values: slices of a TIFF, DICOM or NIfTI, images of a folder or a list.

Pictures of 8 bits stay as they are. All other values are mapped to 8 bits by one range for the whole source, chosen by
the rule of `masklet.media.values` from sixteen pictures spread over it. NIfTI does not state what was measured: for CT
pass a window.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.errors import EngineError, VideoError
from masklet.media.base import StillSource, VolumeInfo
from masklet.media.images import grey_to_rgb
from masklet.media.values import Range, Window, samples_of, shown_range, to_8_bits
from masklet.records import ByteArray


class VolumeSource(StillSource):
    """Maps values to 8 bits; a subclass reads them and sees that no picture is too large."""

    _is_inverted = False
    """True if the lowest value is white, as on X-ray film."""

    def __init__(
        self, name: str, count: int, fps: float, window: Window | None, codec: str, volume: VolumeInfo | None
    ) -> None:
        self._range: Range | None = None
        first = self._values(0)
        if first.dtype != np.uint8:
            self._range = _checked_window(window) if window else (self._own_range() or self._sampled_range(count))
        elif window is not None:
            raise VideoError(
                f"{name} has 8 bits per value: a window (--window) is for slices and images of more; leave it out"
            )
        if volume is not None:
            volume = replace(volume, value_range=self._range)
        super().__init__(name, count, fps, codec=codec, volume=volume)

    @abstractmethod
    def _values(self, index: int) -> NDArray[Any]:
        """Return a slice, (H, W) of any type, or (H, W, 3) uint8.

        Raises:
            VideoError: the slice cannot be read.
        """

    def _own_range(self) -> Range | None:
        """Return the values that the file declares as black and white, or None."""
        return None

    def _sampled_range(self, count: int) -> Range:
        samples, dtype = [], np.dtype(np.uint8)
        for index in sorted({round(part) for part in np.linspace(0, count - 1, min(16, count))}):
            with suppress(VideoError):  # damaged pictures are reported when they are shown
                values = self._values(index)
                if values.dtype != np.uint8:
                    samples.append(samples_of(values))
                    dtype = values.dtype
        return shown_range(samples, dtype)

    def _image(self, index: int) -> ByteArray:
        values = self._values(index)
        if (values.dtype == np.uint8) != (self._range is None):
            bits = 8 * values.dtype.itemsize
            raise VideoError(
                f"{self._label(index)} has {bits} bits per value, the first picture {'8' if bits > 8 else 'more'}: "
                "all must have one depth",
                frame_index=index,
            )
        if self._range is not None:
            values = to_8_bits(values, self._range)
            values = 255 - values if self._is_inverted else values
        if values.ndim == 2:
            return grey_to_rgb(values)
        return np.ascontiguousarray(values)


def needed(module: str, extra: str) -> Any:
    """Import a module of an optional extra.

    Raises:
        EngineError: the module is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise EngineError(f'this source needs {module}: pip install "masklet[{extra}]"') from error


def _checked_window(window: Window) -> tuple[float, float]:
    center, width = window
    if not (np.isfinite(center) and np.isfinite(width) and width > 0):
        raise VideoError(f"window must be (center, width) with a width above 0, got {window}")
    return center - width / 2, center + width / 2
