"""Masks as pictures and volumes whose values are the objects' ids: indexed PNGs, a TIFF stack, a NIfTI volume."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

from masklet.errors import OutputError
from masklet.formats.sink_base import BaseSink
from masklet.masks.indexed_png import binary_png, indexed_png
from masklet.media.base import VideoInfo
from masklet.media.volume import needed
from masklet.output import atomic_path, check_writable, make_folder
from masklet.records import Frame, FrameMasks


class MaskPngSink(BaseSink):
    """One indexed PNG a frame, as DAVIS has them: the pixel's value is the object's id, 0 is background.

    Where objects overlap, the smaller one is on top; with `per_object` each object also has a folder of its own
    (`7/00042.png`, 0 and 255), in which nothing is hidden.
    """

    def __init__(self, folder: str | Path, *, per_object: bool = False) -> None:
        """Create the folder. Masks that an earlier run left in it are removed; other files stay.

        Raises:
            OutputError: it cannot be created.
        """
        super().__init__(make_folder(folder))
        self._per_object = per_object
        for path in (*self.path.glob("*.png"), *self.path.glob("*/*.png")):
            if re.fullmatch(r"(\d+/)?\d{5,}\.png", path.relative_to(self.path).as_posix()):
                path.unlink()

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        _check_ids(masks, 254, "an indexed PNG", " (255 means void)")
        self.check_space()
        indexed = np.zeros(frame.size_hw, np.uint8)
        _paint(indexed, masks)
        self._save(indexed_png(indexed), self.path / f"{frame.index:05d}.png")
        if self._per_object:
            for object_id, mask in zip(masks.object_ids, masks.masks, strict=True):
                folder = make_folder(self.path / str(object_id))
                self._save(binary_png(mask), folder / f"{frame.index:05d}.png")

    def _save(self, png: bytes, path: Path) -> None:
        with atomic_path(path) as temporary:
            try:
                temporary.write_bytes(png)
            except OSError as error:
                raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


class TiffSink(BaseSink):
    """A TIFF with a page a frame: the pixel's value is the object's id, the smaller of two objects on top.

    Page k is frame k: frames that were not tracked have empty pages. The spacing of the source goes along, as ImageJ
    keeps it.
    """

    def __init__(self, path: str | Path, info: VideoInfo) -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(check_writable(path))
        self._info = info
        self._writer: AppendingTiffWriter | None = None
        self._next_index = 0

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        if frame.index < self._next_index:
            raise OutputError(
                f"a TIFF needs its frames in order, got {frame.index} after {self._next_index - 1}: wrap the sink in "
                "InOrder"
            )
        _check_ids(masks, 65535, "a TIFF")
        self.check_space()
        try:
            if self._writer is None:
                temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=True))
                self._writer = self._stack.enter_context(AppendingTiffWriter(temporary, new=True))
                self._stack.callback(self._finish)
            labels = np.zeros(frame.size_hw, np.uint16)
            while self._next_index < frame.index:
                self._add(labels)
            _paint(labels, masks)
            self._add(labels)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def _finish(self) -> None:
        height, width = self._info.size_hw
        while self._next_index < (self._info.num_frames or 0) and self._info.volume is not None:
            self._add(np.zeros((height, width), np.uint16))

    def _add(self, labels: NDArray[np.uint16]) -> None:
        assert self._writer is not None
        Image.fromarray(labels).save(self._writer, format="TIFF", compression="tiff_deflate", tiffinfo=self._notes())
        self._writer.newFrame()
        self._next_index += 1

    def _notes(self) -> ImageFileDirectory_v2:
        tags = ImageFileDirectory_v2()
        volume, count = self._info.volume, self._info.num_frames
        if volume is not None and self._next_index == 0:
            slice_mm, row_mm, column_mm = volume.spacing_mm
            tags[270] = f"ImageJ=1.11a\nimages={count}\nslices={count}\nunit=mm\nspacing={slice_mm:.9g}\n"
            tags[282], tags[283] = 1 / column_mm, 1 / row_mm
        return tags


class NiftiSink(BaseSink):
    """A label volume on the grid of the volume that was tracked: same shape, same affine, the value is the object's id.

    Voxels that two objects claim belong to the smaller one. Slices that were not tracked are empty.
    """

    def __init__(self, path: str | Path, info: VideoInfo) -> None:
        """Prepare; the volume is held in memory and written in the end, also after an error.

        Raises:
            OutputError: the source is no volume, or the place cannot be written.
            EngineError: nibabel is not installed.
        """
        if info.volume is None:
            raise OutputError(
                f"{info.name} is no volume, so its masks cannot be one: choose another format, tiff for a stack"
            )
        self._nibabel = needed("nibabel", "nifti")
        super().__init__(check_writable(path))
        self._volume = info.volume
        self._labels: NDArray[np.uint16] | None = None

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        _check_ids(masks, 65535, "a label volume")
        if self._labels is None:
            self._labels = np.zeros(self._volume.shape, np.uint16)
            self._stack.callback(self._finish)
        self.check_space(to_finish=self._labels.nbytes // 100)
        labels = self._volume.as_frames(self._labels)[frame.index]
        labels[...] = 0  # of two masks for one frame the later counts
        _paint(labels, masks)

    def _finish(self) -> None:
        assert self._labels is not None
        labels = self._labels if self._labels.max() > 255 else self._labels.astype(np.uint8)
        header = None
        if self._volume.header_path is not None:
            header = self._nibabel.load(self._volume.header_path).header
            header["cal_min"], header["cal_max"] = 0, 0
            header.set_slope_inter(1, 0)
        image = self._nibabel.Nifti1Image(labels, self._volume.affine, header, dtype=labels.dtype)
        if header is None:
            image.header.set_xyzt_units("mm")
        compressed = self.path.suffix.lower() == ".gz"
        with atomic_path(self.path) as temporary:
            try:
                with gzip.open(temporary, "wb", compresslevel=4) if compressed else temporary.open("wb") as file:
                    image.to_stream(file)
            except OSError as error:
                raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error


def _paint(labels: NDArray[np.uint8] | NDArray[np.uint16], masks: FrameMasks) -> None:
    """Write the objects' ids where they are, the smaller of two that overlap on top."""
    areas = masks.masks.sum(axis=(1, 2))
    for row in np.argsort(-areas, kind="stable"):
        labels[masks.masks[row]] = masks.object_ids[row]


def _check_ids(masks: FrameMasks, largest: int, holder: str, hint: str = "") -> None:
    outside = [object_id for object_id in masks.object_ids if not 1 <= object_id <= largest]
    if outside:
        raise OutputError(
            f"object id {outside[0]} does not fit {holder}, which has 1 to {largest}{hint}: choose smaller ids, or "
            "the coco format"
        )
