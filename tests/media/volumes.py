"""Small stacks of slices in the formats that users have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import FileDataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402

SLICES, HEIGHT, WIDTH = 5, 12, 16


def values() -> NDArray[np.int16]:
    """(5, 12, 16): 100 times the slice, plus the row, and 50 in the left half."""
    stack = 100 * np.arange(SLICES)[:, None, None] + np.arange(HEIGHT)[None, :, None] + np.zeros((1, 1, WIDTH), int)
    stack[:, :, : WIDTH // 2] += 50
    return stack.astype(np.int16)


def write_dicom(folder: Path, order: list[int] | None = None, **changes: Any) -> Path:
    """Write one file per slice, 2.5 mm apart, pixels of 0.5 mm by 0.8 mm; numbered by `order`, with arbitrary names."""
    folder.mkdir(parents=True, exist_ok=True)
    series = changes.pop("SeriesInstanceUID", generate_uid(entropy_srcs=[str(folder)]))
    for place, slice_ in enumerate(values()):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, generate_uid()
        dataset.SeriesInstanceUID, dataset.Modality = series, "CT"
        dataset.InstanceNumber = place + 1
        dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.8]
        dataset.ImagePositionPatient = [-10, -20, 30 + 2.5 * place]
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = HEIGHT, WIDTH, 1
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 1
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1000
        dataset.WindowCenter, dataset.WindowWidth = [-500, 40], [1001, 400]
        dataset.PixelData = slice_.tobytes()
        for name, value in changes.items():
            setattr(dataset, name, value)
        dataset.save_as(folder / f"IM{(order or list(range(SLICES)))[place]}")
    return folder


def shown(low: float, high: float, scale: float = 1.0, offset: float = 0.0) -> NDArray[np.uint8]:
    wide = values() * scale + offset
    return np.rint((wide - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def nifti(path: Path, affine: NDArray[np.float64], stack: NDArray[Any]) -> Path:
    """`stack` is (slices, rows, columns) as the file's third, second and first axis."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(stack.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def write_tiff(path: Path, stack: NDArray[Any], notes: str = "", density: float = 0.0) -> Path:
    tags = ImageFileDirectory_v2()
    if notes:
        tags[270] = notes
    if density:
        tags[282] = tags[283] = density
    pages = [Image.fromarray(page) for page in stack]
    pages[0].save(path, save_all=True, append_images=pages[1:], tiffinfo=tags, compression="tiff_deflate")
    return path
