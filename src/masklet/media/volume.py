"""Stacks of slices as videos, one frame per slice: the common part of TIFF, DICOM and NIfTI.

Slices of 8 bits stay as they are. All other values are mapped to 8 bits by one range, the same for the whole stack, so
that brightness never jumps from slice to slice: a) the caller's window; b) that of the file (DICOM: Window
Center and Width of the middle slice; NIfTI: `cal_min`, `cal_max`); c) from the 0.5th to the 99.5th percentile of
sixteen slices spread over the stack. So 12 bits in a 16-bit file have the right brightness; for the full range of 16
bits pass the window (32768, 65536). NIfTI does not state what was measured: for CT pass a window.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklet.errors import EngineError, ImageError, VideoError
from masklet.media.base import StillSource, VolumeInfo
from masklet.media.images import read_image
from masklet.records import ByteArray

Window = tuple[float, float]
"""(center, width) in the units of the stack, such as Hounsfield units for CT."""


class VolumeSource(StillSource):
    """Maps values to 8 bits; a subclass reads them."""

    _is_inverted = False
    """True if the lowest value is white, as on X-ray film."""

    def __init__(
        self, name: str, count: int, fps: float, window: Window | None, codec: str, volume: VolumeInfo | None
    ) -> None:
        self._range: tuple[float, float] | None = None
        first = self._values(0)
        if first.dtype != np.uint8:
            self._range = _checked_window(window) if window else (self._own_range() or self._percentiles(count))
        if volume is not None:
            volume = replace(volume, value_range=self._range)
        super().__init__(name, count, fps, codec=codec, volume=volume)

    @abstractmethod
    def _values(self, index: int) -> NDArray[Any]:
        """Return a slice, (H, W) of any type, or (H, W, 3) uint8.

        Raises:
            VideoError: the slice cannot be read.
        """

    def _own_range(self) -> tuple[float, float] | None:
        """Return the values that the file declares as black and white, or None."""
        return None

    def _percentiles(self, count: int) -> tuple[float, float]:
        indices = sorted({round(part) for part in np.linspace(0, count - 1, min(16, count))})
        samples = []
        for index in indices:
            with suppress(VideoError):  # damaged slices are reported when they are shown
                values = self._values(index).ravel()[::7]
                samples.append(values[np.isfinite(values)])
        values = np.concatenate(samples).astype(np.float64)
        if not values.size:
            return 0.0, 1.0
        low, high = np.percentile(values, (0.5, 99.5)).tolist()
        return (low, high) if high > low else (float(values.min()), float(values.max()))

    def _image(self, index: int) -> ByteArray:
        values = self._values(index)
        if values.dtype != np.uint8:
            assert self._range is not None
            low, high = self._range
            scaled = (values.astype(np.float32) - low) * (255 / ((high - low) or 1.0))
            values = np.rint(np.nan_to_num(scaled, nan=0.0)).clip(0, 255).astype(np.uint8)
            values = 255 - values if self._is_inverted else values
        try:
            return read_image(values)
        except ImageError as error:
            raise VideoError(f"{self._label(index)}: {error}", frame_index=index) from error


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
