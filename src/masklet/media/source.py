"""Sources of frames: `open_source` accepts a file, a folder, a camera, an address, arrays or an iterator.

Every source yields upright RGB frames with their number and time, and knows nothing of models or masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
from numpy.typing import NDArray

from masklet.checks import host_array, plain
from masklet.errors import ImageError, OutputError, VideoError
from masklet.media.animation import ANIMATIONS, AnimationSource
from masklet.media.base import DEFAULT_FPS, BaseSource, FrameSource, VideoInfo, VolumeInfo
from masklet.media.dicom import DICOM_SUFFIXES, DicomSource, holds_dicom, is_dicom
from masklet.media.images import (
    IMAGE_SUFFIXES,
    ImageHeader,
    address_of,
    image_files,
    image_header,
    read_image,
    read_values,
)
from masklet.media.live import CameraSource, IteratorSource
from masklet.media.nifti import NIFTI_SUFFIXES, NiftiSource
from masklet.media.stream import StreamSource, has_end, open_stream
from masklet.media.tiff import TIFF_SUFFIXES, TiffStackSource
from masklet.media.values import Window
from masklet.media.video_file import VideoFileSource
from masklet.media.volume import VolumeSource
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
    "refuse_source",
]

VideoSource = str | PathLike[str] | int | NDArray[np.generic] | Iterable[Any] | FrameSource


def open_source(source: VideoSource, *, fps: float = DEFAULT_FPS, window: Window | None = None) -> FrameSource:
    """Open any source of frames.

    a) a folder: its images in natural order of their names, or without images the DICOM series in it; b) a stack of
    slices: a TIFF, a DICOM file, a NIfTI volume; c) an animation, or an image as one frame; d) any other file that
    FFmpeg reads; e) an http(s) address of a file; f) an address of a live stream (rtsp, rtmp, udp, HLS); g) an
    int, or its digits when no file has that name: a camera; h) a (T, H, W, 3) array or a list of images; i) any other
    iterable of images, forward once; j) a source, returned as it is.

    Args:
        source: see above. Images are anything that `read_image` takes.
        fps: frames per second of folders, stacks, arrays and iterators.
        window: (center, width) of the values to show of slices or images of more than 8 bits; see
            `masklet.media.values`. Other sources are refused.

    Raises:
        VideoError: the source is missing, empty, not a video, or of another type.
        EngineError: pydicom or nibabel is needed but not installed.
    """
    if isinstance(source, BaseSource) or (hasattr(source, "frames") and hasattr(source, "info")):
        return source  # type: ignore[return-value]
    if isinstance(source, PathLike) and not isinstance(source, Path):
        source = Path(source)
    source = host_array(source) if hasattr(source, "detach") else plain(source)  # a tensor of frames, a camera's number
    if isinstance(source, str | Path):
        text = str(source)
        if isinstance(source, Path) and not source.exists():
            text = address_of(source) or text
        if "://" in text:
            return _open_address(text, fps, window)
        if text.isdigit() and not Path(source).exists():
            _refuse_window(window, f"camera {text}")
            return CameraSource(int(text))
        return _open_path(Path(source), fps, window)
    if isinstance(source, int) and not isinstance(source, bool):
        _refuse_window(window, f"camera {source}")
        return CameraSource(source)
    if isinstance(source, np.ndarray | list | tuple):
        return ArraySource(source, fps=fps, window=window)
    if isinstance(source, Iterable):
        _refuse_window(window, "the iterator")
        return IteratorSource(source, fps=fps)
    raise VideoError(
        f"a video must be a path, a folder, a camera number, an address or images, got {type(source).__name__}"
    )


def _open_path(path: Path, fps: float, window: Window | None) -> FrameSource:
    if path.is_dir():
        if not _images_in(path) and holds_dicom(path):
            return DicomSource(path, fps=fps, window=window)
        return FolderSource(path, fps=fps, window=window)
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return NiftiSource(path, fps=fps, window=window)
    if name.endswith(TIFF_SUFFIXES):
        return TiffStackSource(path, fps=fps, window=window)
    if name.endswith(DICOM_SUFFIXES) or is_dicom(path):
        return DicomSource(path, fps=fps, window=window)
    header = _header_of(path)
    if header is not None and header.format == "TIFF":
        return TiffStackSource(path, fps=fps, window=window)
    if header is not None and not header.has_several:
        return ArraySource([path], fps=fps, window=window, name=str(path))
    _refuse_window(window, str(path))
    if header is not None and header.format in ANIMATIONS:
        return AnimationSource(path)
    return VideoFileSource(path)


def _header_of(path: Path) -> ImageHeader | None:
    """Return the header of an image file, whatever its name; None for a file that FFmpeg should try."""
    if not path.is_file() or not path.stat().st_size:
        return None  # a pattern such as img_%03d.png, or an error that opening reports
    try:
        return image_header(path)
    except ImageError as error:
        raise VideoError(str(error)) from error


def _images_in(folder: Path) -> list[Path]:
    try:
        return image_files(folder)
    except ImageError as error:
        raise VideoError(str(error)) from error


def _refuse_window(window: Window | None, name: str) -> None:
    if window is not None:
        raise VideoError(
            f"{name} has 8 bits per value: a window (--window) is for slices and images of more; leave it out"
        )


def _open_address(url: str, fps: float, window: Window | None) -> FrameSource:
    if url.startswith("file://"):
        return _open_path(Path(url2pathname(urlsplit(url).path)), fps, window)
    _refuse_window(window, "a video of an address")  # its name may hold a password
    if not url.startswith(("http://", "https://")):
        return StreamSource(url)
    container = open_stream(url)
    if not has_end(container):  # a camera over HTTP, or live HLS, whose server may accept one connection only
        return StreamSource(url, container)
    container.close()
    return VideoFileSource(url)


class FolderSource(VolumeSource):
    """A folder of images, one per frame, in natural order: 2.jpg before 10.jpg."""

    def __init__(self, folder: str | Path, *, fps: float = DEFAULT_FPS, window: Window | None = None) -> None:
        """List the folder and read the first image.

        Raises:
            VideoError: the folder is missing, has no images, or has pictures in formats that are not read.
        """
        folder = Path(folder)
        self.files = _images_in(folder)
        """(F,) paths of the images."""
        if not self.files:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            count = sum(1 for _ in folder.iterdir())
            raise VideoError(f"{folder} holds no images ({kinds}) among its {count} entries")
        super().__init__(str(folder), len(self.files), fps, window, "", None)

    def _values(self, index: int) -> NDArray[Any]:
        try:
            return read_values(self.files[index])
        except ImageError as error:
            raise VideoError(str(error), frame_index=index) from error

    def _small_image(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        if self._range is not None:
            return self._image(index)
        try:
            return read_image(self.files[index], at_least_hw=size_hw)
        except ImageError as error:
            raise VideoError(str(error), frame_index=index) from error

    def _label(self, index: int) -> str:
        return str(self.files[index])


class ArraySource(VolumeSource):
    """Images in memory: a (T, H, W, 3) array, or a sequence of anything that `read_image` takes."""

    def __init__(
        self,
        images: NDArray[np.generic] | Sequence[Any],
        *,
        fps: float = DEFAULT_FPS,
        window: Window | None = None,
        name: str = "the array",
    ) -> None:
        """Read the first image.

        Raises:
            VideoError: there are no images, or the first is not an image.
        """
        if isinstance(images, np.ndarray) and images.ndim != 4:
            hint = "for one image use a Segmenter; for grey frames (T, H, W) pass list(array)"
            raise VideoError(f"a video array must be (T, H, W, 3), got {images.shape}: {hint}")
        if len(images) == 0:
            raise VideoError(f"{name} is empty: it has no frame")
        self._images = images
        super().__init__(name, len(images), fps, window, "", None)

    def _values(self, index: int) -> NDArray[Any]:
        try:
            return read_values(self._images[index])
        except ImageError as error:
            raise VideoError(f"{self._label(index)}: {error}", frame_index=index) from error

    def _small_image(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        if self._range is not None:
            return self._image(index)
        try:
            return read_image(self._images[index], at_least_hw=size_hw)
        except ImageError as error:
            raise VideoError(f"{self._label(index)}: {error}", frame_index=index) from error

    def _label(self, index: int) -> str:
        return f"frame {index}"


def refuse_source(target: Path, source: str | Path) -> None:
    """Refuse to write over a file that is read, or an image among the images of a folder that is read.

    Args:
        target: path of the result.
        source: name of a source, as in `VideoInfo.name`; camera numbers and addresses match no path.

    Raises:
        OutputError: the next run would read the result, or there would be no source left.
    """
    source = Path(str(source).removeprefix("file:"))
    if target.resolve() == source.resolve() or (target.exists() and source.exists() and target.samefile(source)):
        raise OutputError(f"{target} is the source itself: choose another name")
    is_among = source.is_dir() and target.resolve().parent == source.resolve()
    if is_among and target.suffix.lower() in IMAGE_SUFFIXES:
        raise OutputError(
            f"{target} would be one of the images of {source}, which the next run reads: choose another place"
        )
