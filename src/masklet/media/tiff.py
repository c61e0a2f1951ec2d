"""Image stacks: TIFF files with one page per frame."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from masklet.errors import ImageError, VideoError
from masklet.media.base import DEFAULT_FPS, VolumeInfo
from masklet.media.images import check_size, decoding, is_preview, open_image, read_values
from masklet.media.values import Window
from masklet.media.volume import VolumeSource
from masklet.records import Frame

TIFF_SUFFIXES = (".tif", ".tiff")


class TiffStackSource(VolumeSource):
    """A TIFF with one page per frame, as microscopes and ImageJ write it.

    The spacing comes from ImageJ's or OME's description.
    """

    def __init__(self, path: str | Path, *, fps: float = DEFAULT_FPS, window: Window | None = None) -> None:
        """Count the pages and read the first.

        Raises:
            VideoError: the file is missing, empty or damaged, is not a TIFF, or its pages are not a plain stack.
        """
        self._path = Path(path)
        self._is_cut = False
        self._size: tuple[int, int] | None = None
        """Width and height of the first page."""
        self._lock = threading.Lock()  # each pass has its own thread, but the file has one position
        try:
            self._file = open_image(self._path, formats=("TIFF",))
        except ImageError as error:
            raise VideoError(str(error)) from error
        try:
            self._pages = self._find_pages()
            count = len(self._pages)
            self._file.seek(0)  # the first page describes the stack
            description = str(self._file.tag_v2.get(270, ""))  # type: ignore[attr-defined]
            self._check_description(description, count)
            width, height = self._file.size
            slice_mm, row_mm, column_mm = _tiff_spacing_mm(self._file, description)
            volume = VolumeInfo(
                shape=(width, height, count),
                axes=(2, 1, 0),
                flips=(False, False, False),
                affine=np.diag([column_mm, row_mm, slice_mm, 1.0]),
            )
            super().__init__(str(path), count, fps, window, "tiff", volume)
        except BaseException:
            self._file.close()
            raise

    def _find_pages(self) -> list[int]:
        """Find the pages that are not previews: each holds the position of the next, wrong in a truncated file."""
        pages, page = [0], 1
        try:
            while True:
                self._file.seek(page)
                if not is_preview(self._file):
                    pages.append(page)
                page += 1
        except EOFError:
            return pages
        except Exception:  # Pillow's readers raise exceptions of all kinds
            self._is_cut = True
            return pages

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        yield from super()._read(start, stop, step)
        count = self.info.num_frames or 0
        if self._is_cut and step > 0 and (stop is None or stop > count):
            raise VideoError(
                f"{self._path} breaks off after {count} pages: the file is truncated or damaged", frame_index=count
            )

    def _check_description(self, description: str, count: int) -> None:
        """Refuse stacks whose pages are channels, and those that ImageJ could not write as pages."""
        channels = re.search(r'\bchannels=(\d+)|SizeC="(\d+)"', description)
        if channels and _number_in(channels) > 1 and len(self._file.getbands()) == 1:
            raise VideoError(
                f"{self._path} has {_number_in(channels):.0f} channels as separate pages: save one of them, or a "
                "colour stack"
            )
        promised = re.search(r"\bimages=(\d+)", description)
        if promised and _number_in(promised) > count == 1:
            raise VideoError(
                f"{self._path}: ImageJ wrote {_number_in(promised):.0f} images as one page, as it does beyond 4 GB: "
                "save it as BigTIFF, or as a folder of images"
            )

    def _values(self, index: int) -> NDArray[Any]:
        with self._lock:
            try:
                with decoding(self._label(index)):
                    self._file.seek(self._pages[index])
                self._check_page(index)
                with decoding(self._label(index)):
                    return read_values(self._file)
            except ImageError as error:
                raise VideoError(str(error), frame_index=index) from error

    def _check_page(self, index: int) -> None:
        """Refuse a page of another size before it is decoded: a few bytes can declare gigabytes."""
        width, height = self._file.size
        check_size(height, width, self._label(index))
        if self._size is None:
            self._size = (width, height)
        elif (width, height) != self._size:
            raise ImageError(
                f"{self._label(index)} is {width} x {height}, the first is {self._size[0]} x {self._size[1]} "
                "(width x height): all pages must have one size"
            )

    def _label(self, index: int) -> str:
        return f"page {index} of {self._path}"

    def close(self) -> None:
        with self._lock:
            self._file.close()


def _number_in(match: re.Match[str]) -> float:
    """Return the number in the group that matched."""
    return next(float(group) for group in match.groups() if group)


_MM = {
    "m": 1e3,
    "cm": 10.0,
    "mm": 1.0,
    "um": 1e-3,
    "µm": 1e-3,
    "\\u00B5m": 1e-3,
    "micron": 1e-3,
    "nm": 1e-6,
    "inch": 25.4,
}


def _tiff_spacing_mm(image: Image.Image, description: str) -> tuple[float, float, float]:
    """Return the distance between slices, rows and columns; 1 if the file does not state it."""
    if ome := [re.search(rf'PhysicalSize{axis}="([\d.eE+-]+)"', description) for axis in "ZYX"]:
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', description)
        in_mm = _MM.get(unit.group(1) if unit else "µm", 1e-3)
        if ome[1] and ome[2]:
            row, column = _number_in(ome[1]) * in_mm, _number_in(ome[2]) * in_mm
            return (_number_in(ome[0]) * in_mm if ome[0] else row), row, column
    if not description.startswith("ImageJ"):
        return 1.0, 1.0, 1.0  # in other TIFFs, the resolution is for printing
    tags = image.tag_v2  # type: ignore[attr-defined]
    unit = re.search(r"^unit=(.+)$", description, re.MULTILINE)
    in_mm = _MM.get(unit.group(1).strip() if unit else "", 1.0)
    per_unit = [float(tags.get(tag, 0) or 0) for tag in (283, 282)]
    row, column = (in_mm / density if density > 0 else 1.0 for density in per_unit)
    spacing = re.search(r"^spacing=([\d.eE+-]+)$", description, re.MULTILINE)
    return (abs(float(spacing.group(1))) * in_mm if spacing else row), row, column
