"""Label volumes: a TIFF stack and a NIfTI volume whose values are object ids."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

from masklet.errors import OutputError
from masklet.formats.base import ExportJob, Format, is_seen
from masklet.formats.labels import label_map
from masklet.formats.stream import BaseStream, FrameRows
from masklet.media.volume import needed
from masklet.output import atomic_path, check_writable, naming_errors
from masklet.schema import Options

LARGEST_ID = 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeOptions(Options):
    """Label volumes have no options."""

    label = "volume"


class PagedTiffWriter(AppendingTiffWriter):
    """Pillow's TIFF writer, made safe to close twice: otherwise Python 3.13 reports an error at garbage collection."""

    def close(self) -> None:
        if not self.f.closed:
            super().close()


class TiffStream(BaseStream):
    """Writes a TIFF with one page per frame.

    Page k is frame k: frames that were not tracked have empty pages. The spacing of the source is stored as by
    ImageJ.
    """

    def __init__(self, job: ExportJob[VolumeOptions]) -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(check_writable(job.path))
        self._job = job
        self._info = job.media[0].source.info
        self._writer: PagedTiffWriter | None = None
        self._next_index = 0

    def write(self, frame: FrameRows) -> None:
        if frame.frame_index < self._next_index:
            raise OutputError(f"a TIFF needs its frames in order, got {frame.frame_index} after {self._next_index - 1}")
        labels = label_map(frame, largest=LARGEST_ID, holder="a TIFF", note=self._job.note)
        self.check_space(keeps_frames=self._job.is_live)
        with naming_errors(self.path):
            if self._writer is None:
                temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=self._job.is_live))
                self._writer = self._stack.enter_context(PagedTiffWriter(temporary, new=True))
                self._stack.callback(self._finish)
            while self._next_index < frame.frame_index:
                self._add(np.zeros_like(labels))
            self._add(labels)
        self._job.num_masks += sum(is_seen(row) for row in frame.rows)

    def _finish(self) -> None:
        height, width = self._info.size_hw
        while self._next_index < (self._info.num_frames or 0) and self._info.volume is not None:
            self._add(np.zeros((height, width), np.uint16))

    def _add(self, labels: NDArray[np.uint16]) -> None:
        assert self._writer is not None
        Image.fromarray(labels).save(self._writer, format="TIFF", compression="tiff_deflate", tiffinfo=self._tags())
        self._writer.newFrame()
        self._next_index += 1

    def _tags(self) -> ImageFileDirectory_v2:
        """Return the tags of the next page: on the first one the spacing, in ImageJ's format."""
        tags = ImageFileDirectory_v2()
        volume, count = self._info.volume, self._info.num_frames
        if volume is not None and self._next_index == 0:
            slice_mm, row_mm, column_mm = volume.spacing_mm
            tags[270] = f"ImageJ=1.11a\nimages={count}\nslices={count}\nunit=mm\nspacing={slice_mm:.9g}\n"
            tags[282], tags[283] = 1 / column_mm, 1 / row_mm
        return tags


class NiftiStream(BaseStream):
    """Writes a label volume on the grid of the volume that was tracked, with the same shape and the same affine.

    Voxels of two objects belong to the smaller one. Slices that were not tracked are empty.
    """

    def __init__(self, job: ExportJob[VolumeOptions]) -> None:
        """Prepare; the volume is held in memory and written at the end, while tracking also after an error.

        Raises:
            DataError: the source is not a volume.
            OutputError: the place cannot be written.
            EngineError: nibabel is not installed.
        """
        NIFTI.check_medium(job.media[0])
        self._nibabel = needed("nibabel", "nifti")
        super().__init__(check_writable(job.path))
        self._job = job
        volume = job.media[0].source.info.volume
        assert volume is not None
        self._volume = volume
        self._labels: NDArray[np.uint16] | None = None

    def write(self, frame: FrameRows) -> None:
        labels = label_map(frame, largest=LARGEST_ID, holder="a label volume", note=self._job.note)
        if self._labels is None:
            self._labels = np.zeros(self._volume.shape, np.uint16)
            self._stack.push(self._finish)
        self.check_space(to_finish=self._labels.nbytes // 100, keeps_frames=self._job.is_live)
        self._volume.as_frames(self._labels)[frame.frame_index][...] = labels
        self._job.num_masks += sum(is_seen(row) for row in frame.rows)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._labels is not None
        if kind is not None and not self._job.is_live:
            return
        labels = self._labels if self._labels.max() > 255 else self._labels.astype(np.uint8)
        header = None
        if self._volume.header_path is not None:
            header = self._nibabel.load(self._volume.header_path).header
            header["cal_min"], header["cal_max"] = 0, 0
            header.set_slope_inter(1, 0)
        image = self._nibabel.Nifti1Image(labels, self._volume.affine, header, dtype=labels.dtype)
        if header is None:
            image.header.set_xyzt_units("mm")
        with naming_errors(self.path), atomic_path(self.path) as temporary, temporary.open("wb") as file:
            if self.path.suffix.lower() != ".gz":
                image.to_stream(file)
                return
            # No time in gzip's header, so that equal volumes are equal files.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=file, mtime=0) as packed:
                image.to_stream(packed)


TIFF = Format(
    id="tiff",
    name="TIFF stack",
    description="A stack with one page per frame whose pixel values are object numbers, with the spacing of the "
    "source. Where objects overlap the smaller one is on top.",
    kinds=("image", "video", "volume"),
    suffixes=(".tif", ".tiff"),
    options=VolumeOptions,
    open_stream=TiffStream,
    many_media=False,
    file_name="masks.tif",
)

NIFTI = Format(
    id="nifti",
    name="NIfTI volume",
    description="A label volume on the grid of a volume (NIfTI, DICOM or TIFF), whose values are object numbers. Where "
    "objects overlap the smaller one is on top.",
    kinds=("volume",),
    suffixes=(".nii.gz", ".nii"),
    options=VolumeOptions,
    open_stream=NiftiStream,
    many_media=False,
    file_name="masks.nii.gz",
    any_order=True,
)
