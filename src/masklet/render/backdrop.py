"""The picture behind the objects: an image, or a video that is repeated if it is shorter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from masklet.errors import ConfigError, VideoError
from masklet.masks.drawing import Color
from masklet.media.base import FrameSource
from masklet.media.images import ImageSource, read_image
from masklet.media.source import open_source
from masklet.records import ByteArray, Frame
from masklet.render.composition import Composition, ImageBackground, VideoBackground
from masklet.tracking.masklets import parse_color

Asset = str | Path | ByteArray
"""A file, or an image in memory."""


class Backdrop(Protocol):
    """Source of the background at any time, in the frame's size."""

    def at(self, time_s: float) -> ByteArray:
        """Return the background, (H, W, 3), at a time in seconds from the beginning."""
        ...

    def close(self) -> None: ...


def open_backdrop(composition: Composition, assets: dict[str, Asset], size_hw: tuple[int, int]) -> Backdrop | None:
    """Open the image or video behind the objects of a composition; None if it has neither.

    Args:
        composition: the effects.
        assets: files or images, by the composition's `asset_id`.
        size_hw: of the frames.

    Raises:
        ConfigError: the asset is missing.
        ImageError, VideoError: it cannot be read.
    """
    for asset_id in composition.asset_ids:
        if asset_id not in assets:
            raise ConfigError(f"background: there is no asset {asset_id!r}; choose from {', '.join(assets) or 'none'}")
    effect = composition.background
    if isinstance(effect, ImageBackground):
        return _Still(assets[str(effect.asset_id)], effect, size_hw)
    if isinstance(effect, VideoBackground):
        asset = assets[str(effect.asset_id)]
        if not isinstance(asset, str | Path):
            raise ConfigError("background video: the asset must be a file")
        return _Loop(open_source(asset), effect, size_hw)
    return None


class _Still:
    def __init__(self, asset: ImageSource, effect: ImageBackground, size_hw: tuple[int, int]) -> None:
        self._picture = fitted(read_image(asset), size_hw, effect.fit, parse_color(effect.color))

    def at(self, time_s: float) -> ByteArray:
        return self._picture

    def close(self) -> None:
        pass


class _Loop:
    """A repeated video: each frame is shown until the time of the next."""

    def __init__(self, source: FrameSource, effect: VideoBackground, size_hw: tuple[int, int]) -> None:
        self._source = source
        self._effect = effect
        self._size_hw = size_hw
        info = source.info
        if info.num_frames is None:
            raise VideoError(f"background video: {info.name} has no end; give a file")
        self._length_s = max(info.duration_s or info.num_frames / info.fps, 1 / info.fps)
        self._frames: Iterator[Frame] = iter(())
        self._now: Frame | None = None
        self._next: Frame | None = None
        self._picture: ByteArray | None = None
        self._time_s = -1.0

    def at(self, time_s: float) -> ByteArray:
        loop_time_s = max(0.0, time_s) % self._length_s
        if self._now is None or loop_time_s < self._time_s:
            self._restart()
        self._time_s = loop_time_s
        while self._next is not None and self._next.time_s <= loop_time_s + 1e-6:
            self._now, self._next, self._picture = self._next, next(self._frames, None), None
        assert self._now is not None
        if self._picture is None:
            color = parse_color(self._effect.color)
            self._picture = fitted(self._now.rgb, self._size_hw, self._effect.fit, color)
        return self._picture

    def _restart(self) -> None:
        self._stop()
        self._frames = self._source.frames()
        self._now, self._picture = next(self._frames, None), None
        if self._now is None:
            raise VideoError(f"background video: {self._source.info.name} has no frame")
        self._next = next(self._frames, None)

    def _stop(self) -> None:
        if hasattr(self._frames, "close"):
            self._frames.close()  # ends its thread

    def close(self) -> None:
        self._stop()
        self._source.close()


def fitted(rgb: ByteArray, size_hw: tuple[int, int], fit: str, bars: Color = (0, 0, 0)) -> ByteArray:
    """Return a picture in another size.

    Args:
        rgb: (h, w, 3).
        size_hw: (H, W) of the result.
        fit: cover (fills the frame, cut at its sides), contain (shown whole, between bars) or stretch.
        bars: RGB of the bars.

    Returns:
        (H, W, 3).
    """
    height, width = size_hw
    if fit == "stretch" or rgb.shape[:2] == size_hw:
        return _resized(rgb, height, width)
    ratios = (height / rgb.shape[0], width / rgb.shape[1])
    scale = max(ratios) if fit == "cover" else min(ratios)
    inner_height, inner_width = max(1, round(rgb.shape[0] * scale)), max(1, round(rgb.shape[1] * scale))
    if fit == "cover":
        inner_height, inner_width = max(inner_height, height), max(inner_width, width)
        top, left = (inner_height - height) // 2, (inner_width - width) // 2
        return np.ascontiguousarray(_resized(rgb, inner_height, inner_width)[top : top + height, left : left + width])
    page = np.full((height, width, 3), bars, np.uint8)
    inner_height, inner_width = min(inner_height, height), min(inner_width, width)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    page[top : top + inner_height, left : left + inner_width] = _resized(rgb, inner_height, inner_width)
    return page


def _resized(rgb: ByteArray, height: int, width: int) -> ByteArray:
    if rgb.shape[:2] == (height, width):
        return rgb
    kind = cv2.INTER_AREA if height < rgb.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=kind), np.uint8)
