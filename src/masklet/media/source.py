"""Sources of frames: `open_source` accepts a file, a folder, a camera, an address, arrays or an iterator.

Every source yields upright RGB frames with their number and time, and knows nothing of models or masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from numpy.typing import NDArray

from masklet.errors import ImageError, VideoError
from masklet.media.base import DEFAULT_FPS, BaseSource, FrameSource, StillSource, VideoInfo, VolumeInfo
from masklet.media.dicom import DICOM_SUFFIXES, DicomSource, holds_dicom, is_dicom
from masklet.media.images import IMAGE_SUFFIXES, read_image
from masklet.media.live import CameraSource, IteratorSource, StreamSource
from masklet.media.nifti import NIFTI_SUFFIXES, NiftiSource
from masklet.media.tiff import TIFF_SUFFIXES, TiffStackSource
from masklet.media.video_file import VideoFileSource
from masklet.media.volume import Window
from masklet.records import ByteArray

__all__ = [
    "DEFAULT_FPS",
    "ArraySource",
    "CameraSource",
    "DicomSource",
    "FolderSource",
    "FrameSource",
    "IteratorSource",
    "NiftiSource",
    "StreamSource",
    "TiffStackSource",
    "VideoFileSource",
    "VideoInfo",
    "VideoSource",
    "VolumeInfo",
    "open_source",
]

VideoSource = str | Path | int | NDArray[np.generic] | Iterable[Any] | FrameSource


def open_source(source: VideoSource, *, fps: float = DEFAULT_FPS, window: Window | None = None) -> FrameSource:
    """Open any source of frames.

    a) a folder: its images in natural order of their names, or without images the DICOM series in it; b) a stack of
    slices: a TIFF, a DICOM file, a NIfTI volume; c) any other file that FFmpeg reads; d) an http(s) address of a
    file; e) an address of a live stream (rtsp, rtmp, srt, udp, HLS); f) an int, or its digits when no file has that
    name: a camera; g) a (T, H, W, 3) array or a list of images; h) any other iterable of images, forward once; i) a
    source, returned as it is.

    Args:
        source: see above. Images are anything that `read_image` takes.
        fps: frames per second of folders, stacks, arrays and iterators.
        window: (center, width) of the values to show of a stack of more than 8 bits; see
            `masklet.media.volume`. Ignored for other sources.

    Raises:
        VideoError: the source is missing, empty, not a video, or of another type.
        EngineError: pydicom or nibabel is needed but not installed.
    """
    if isinstance(source, BaseSource) or (hasattr(source, "frames") and hasattr(source, "info")):
        return source  # type: ignore[return-value]
    if isinstance(source, str | Path):
        text = str(source)
        if "://" in text:
            return _open_address(text, fps, window)
        if text.isdigit() and not Path(source).exists():
            return CameraSource(int(text))
        return _open_path(Path(source), fps, window)
    if isinstance(source, int) and not isinstance(source, bool):
        return CameraSource(source)
    if isinstance(source, np.ndarray | list | tuple):
        return ArraySource(source, fps=fps)
    if isinstance(source, Iterable):
        return IteratorSource(source, fps=fps)
    raise VideoError(
        f"a video must be a path, a folder, a camera number, an address or images, got {type(source).__name__}"
    )


def _open_path(path: Path, fps: float, window: Window | None) -> FrameSource:
    if path.is_dir():
        if not image_files(path) and holds_dicom(path):
            return DicomSource(path, fps=fps, window=window)
        return FolderSource(path, fps=fps)
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return NiftiSource(path, fps=fps, window=window)
    if name.endswith(TIFF_SUFFIXES):
        return TiffStackSource(path, fps=fps, window=window)
    if name.endswith(DICOM_SUFFIXES) or is_dicom(path):
        return DicomSource(path, fps=fps, window=window)
    return VideoFileSource(path)


def _open_address(url: str, fps: float, window: Window | None) -> FrameSource:
    if url.startswith("file://"):
        return _open_path(Path(url2pathname(urlsplit(url).path)), fps, window)
    if not url.startswith(("http://", "https://")):
        return StreamSource(url)
    source = VideoFileSource(url)
    if source.info.duration_s is None:  # no end: a camera over HTTP, or live HLS
        source.close()
        return StreamSource(url)
    return source


class FolderSource(StillSource):
    """A folder of images, one per frame, in natural order: 2.jpg before 10.jpg."""

    def __init__(self, folder: str | Path, *, fps: float = DEFAULT_FPS) -> None:
        """List the folder and read the first image.

        Raises:
            VideoError: the folder is missing, or has no images.
        """
        folder = Path(folder)
        self.files = image_files(folder)
        """(F,) paths of the images."""
        if not self.files:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            count = sum(1 for _ in folder.iterdir())
            raise VideoError(f"{folder} holds no images ({kinds}) among its {count} entries")
        super().__init__(str(folder), len(self.files), fps)

    def _image(self, index: int) -> ByteArray:
        return self._small_image(index, None)

    def _small_image(self, index: int, size_hw: tuple[int, int] | None) -> ByteArray:
        try:
            return read_image(self.files[index], at_least_hw=size_hw)
        except ImageError as error:
            raise VideoError(str(error), frame_index=index) from error

    def _label(self, index: int) -> str:
        return str(self.files[index])


class ArraySource(StillSource):
    """Images in memory: a (T, H, W, 3) array, or a sequence of anything that `read_image` takes."""

    def __init__(
        self, images: NDArray[np.generic] | Sequence[Any], *, fps: float = DEFAULT_FPS, name: str = "the array"
    ) -> None:
        """Read the first image.

        Raises:
            VideoError: there are no images, or the first is not an image.
        """
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise VideoError(f"a video array must be (T, H, W, 3), got {images.shape}: for one image use a Segmenter")
        if len(images) == 0:
            raise VideoError(f"{name} is empty: it has no frame")
        self._images = images
        super().__init__(name, len(images), fps)

    def _image(self, index: int) -> ByteArray:
        return self._small_image(index, None)

    def _small_image(self, index: int, size_hw: tuple[int, int] | None) -> ByteArray:
        try:
            return read_image(self._images[index], at_least_hw=size_hw)
        except ImageError as error:
            raise VideoError(f"{self._label(index)}: {error}", frame_index=index) from error

    def _label(self, index: int) -> str:
        return f"frame {index}"


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder by the suffix of their names, in natural order.

    Raises:
        VideoError: the folder cannot be read.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise VideoError(f"cannot read the folder {folder}: {error.strerror or error}") from error
    names = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")]
    return sorted(names, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> tuple[tuple[str, int, str], ...]:
    """Return a sort key by which digits compare as numbers; ties, such as 1.jpg and 01.jpg, are broken by the text."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(("", int(part), part) if part.isdigit() else (part, -1, part) for part in parts)
