"""Animated pictures that FFmpeg does not decode: WebP, and sequences of AVIF."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

from PIL import Image

from masklet.errors import ImageError, VideoError
from masklet.media.base import BaseSource, VideoInfo
from masklet.media.images import decoding, open_image, read_image
from masklet.records import ByteArray, Frame

ANIMATIONS = ("WEBP", "AVIF")
"""Formats of `masklet.media.images.FORMATS`."""

_LEAST_MS = 20
"""Shortest time of one picture; browsers show shorter ones for longer, too."""


class AnimationSource(BaseSource):
    """The pictures of an animation, each at its own time, over white where they are transparent."""

    def __init__(self, path: str | Path) -> None:
        """Decode the file once, for the times.

        Raises:
            VideoError: the file is missing, damaged, or not an animation.
        """
        self._path = Path(path)
        self._lock = threading.Lock()
        try:
            self._image = open_image(self._path, formats=ANIMATIONS)
            durations_ms = []
            with decoding(str(path)):
                for index in range(getattr(self._image, "n_frames", 1)):
                    self._image.seek(index)
                    self._image.load()
                    durations_ms.append(max(_LEAST_MS, float(self._image.info.get("duration") or 100)))
        except ImageError as error:
            raise VideoError(str(error)) from error
        self._times_s = [sum(durations_ms[:index]) / 1000 for index in range(len(durations_ms))]
        duration_s = sum(durations_ms) / 1000
        self._info = VideoInfo(
            name=str(path),
            size_hw=(self._image.height, self._image.width),
            fps=len(durations_ms) / duration_s,
            num_frames=len(durations_ms),
            duration_s=duration_s,
            codec=str(self._image.format).lower(),
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    def frame(self, index: int) -> Frame:
        self._check_index(index)
        with self._lock:  # the file has one position
            return self._frame_of(self._image, index)

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        count = len(self._times_s)
        with open_image(self._path, formats=ANIMATIONS) as image:  # a position of its own
            for index in range(start, count if stop is None else min(stop, count), step):
                yield self._frame_of(image, index)

    def _frame_of(self, image: Image.Image, index: int) -> Frame:
        try:
            with decoding(f"picture {index} of {self._path}"):
                image.seek(index)
            rgb: ByteArray = read_image(image, upright=False)
        except ImageError as error:
            raise VideoError(str(error), frame_index=index) from error
        return Frame(index, rgb, self._times_s[index])

    def close(self) -> None:
        with self._lock:
            self._image.close()
