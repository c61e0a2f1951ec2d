"""Where frames come from: `open_source` takes a file, a folder, a camera, an address, arrays or an iterator.

Every source delivers upright RGB frames with their number and time, and knows nothing of models or masks.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from numpy.typing import NDArray

from masklet.errors import ImageError, VideoError
from masklet.images import IMAGE_SUFFIXES, read_image
from masklet.records import ByteArray, Frame
from masklet.video.base import BaseSource, FrameSource, VideoInfo
from masklet.video.file import VideoFileSource
from masklet.video.live import CameraSource, IteratorSource, StreamSource

__all__ = [
    "ArraySource",
    "CameraSource",
    "FolderSource",
    "FrameSource",
    "IteratorSource",
    "StreamSource",
    "VideoFileSource",
    "VideoInfo",
    "VideoSource",
    "open_source",
]

DEFAULT_FPS = 24.0
"""For folders and arrays, which have no clock."""

VideoSource = str | Path | int | NDArray[np.generic] | Iterable[Any] | FrameSource


def open_source(source: VideoSource, *, fps: float = DEFAULT_FPS) -> FrameSource:
    """Open anything that frames can come from.

    a) a folder: its images in natural order of their names; b) a file: whatever FFmpeg reads; c) an http(s)
    address of a file; d) an address of a live stream (rtsp, rtmp, srt, udp, HLS); e) an int, or its digits when no
    file has that name: a camera; f) a (T, H, W, 3) array or a list of images; g) any other iterable of images,
    forward once; h) a source, returned as it is.

    Args:
        source: see above. Images are whatever `read_image` takes.
        fps: frames per second of folders, arrays and iterators.

    Raises:
        VideoError: the source is missing, empty, not a video, or of another type.
    """
    if isinstance(source, BaseSource) or (hasattr(source, "frames") and hasattr(source, "info")):
        return source  # type: ignore[return-value]
    if isinstance(source, str | Path):
        text = str(source)
        if "://" in text:
            return _open_address(text, fps)
        path = Path(source)
        if path.is_dir():
            return FolderSource(path, fps=fps)
        if text.isdigit() and not path.exists():
            return CameraSource(int(text))
        return VideoFileSource(path)
    if isinstance(source, int) and not isinstance(source, bool):
        return CameraSource(source)
    if isinstance(source, np.ndarray | list | tuple):
        return ArraySource(source, fps=fps)
    if isinstance(source, Iterable):
        return IteratorSource(source, fps=fps)
    raise VideoError(
        f"a video must be a path, a folder, a camera number, an address or images, got {type(source).__name__}"
    )


def _open_address(url: str, fps: float) -> FrameSource:
    if url.startswith("file://"):
        return open_source(Path(url2pathname(urlsplit(url).path)), fps=fps)
    if not url.startswith(("http://", "https://")):
        return StreamSource(url)
    source = VideoFileSource(url)
    if source.info.duration_s is None:  # it has no end: a camera that speaks HTTP, or live HLS
        source.close()
        return StreamSource(url)
    return source


class _StillSource(BaseSource):
    """Images that can be read in any order."""

    def __init__(self, name: str, count: int, fps: float) -> None:
        if not fps > 0:
            raise VideoError(f"fps must be above 0, got {fps}")
        rgb = self._image(0)
        self._info = VideoInfo(
            name=name, size_hw=(rgb.shape[0], rgb.shape[1]), fps=fps, num_frames=count, duration_s=count / fps
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    def _image(self, index: int) -> ByteArray:
        raise NotImplementedError

    def _label(self, index: int) -> str:
        raise NotImplementedError

    def frame(self, index: int) -> Frame:
        self._check_index(index)
        rgb = self._image(index)
        if rgb.shape[:2] != self._info.size_hw:
            height, width = self._info.size_hw
            raise VideoError(
                f"{self._label(index)} is {rgb.shape[1]} x {rgb.shape[0]}, the first frame is {width} x {height} "
                "(width x height): all frames must have one size",
                frame_index=index,
            )
        return Frame(index, rgb, index / self._info.fps)

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        count = self._info.num_frames or 0
        for index in range(start, count if stop is None else min(stop, count), step):
            yield self.frame(index)


class FolderSource(_StillSource):
    """A folder of images, one a frame, in natural order: 2.jpg before 10.jpg."""

    def __init__(self, folder: str | Path, *, fps: float = DEFAULT_FPS) -> None:
        """List the folder and read the first image.

        Raises:
            VideoError: the folder is missing, or no image is in it.
        """
        folder = Path(folder)
        try:
            entries = list(folder.iterdir())
        except OSError as error:
            raise VideoError(f"cannot read the folder {folder}: {error.strerror or error}") from error
        names = [p for p in entries if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
        self.files = sorted(names, key=lambda path: _natural_key(path.name))
        """(F,) the images' paths."""
        if not self.files:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise VideoError(f"{folder} holds no images ({kinds}) among its {len(entries)} entries")
        super().__init__(str(folder), len(self.files), fps)

    def _image(self, index: int) -> ByteArray:
        try:
            return read_image(self.files[index])
        except ImageError as error:
            raise VideoError(str(error), frame_index=index) from error

    def _label(self, index: int) -> str:
        return str(self.files[index])


class ArraySource(_StillSource):
    """Images in memory: a (T, H, W, 3) array, or a sequence of whatever `read_image` takes."""

    def __init__(
        self, images: NDArray[np.generic] | Sequence[Any], *, fps: float = DEFAULT_FPS, name: str = "the array"
    ) -> None:
        """Look at the first image.

        Raises:
            VideoError: there is none, or it is not an image.
        """
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise VideoError(f"a video array must be (T, H, W, 3), got {images.shape}: for one image use a Segmenter")
        if len(images) == 0:
            raise VideoError(f"{name} is empty: it has no frame")
        self._images = images
        super().__init__(name, len(images), fps)

    def _image(self, index: int) -> ByteArray:
        try:
            return read_image(self._images[index])
        except ImageError as error:
            raise VideoError(f"{self._label(index)}: {error}", frame_index=index) from error

    def _label(self, index: int) -> str:
        return f"frame {index}"


def _natural_key(name: str) -> tuple[tuple[str, int, str], ...]:
    """Digits compare as numbers; the text itself breaks ties, so that 1.jpg and 01.jpg keep an order."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(("", int(part), part) if part.isdigit() else (part, -1, part) for part in parts)
