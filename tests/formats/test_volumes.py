"""Masks are written to the voxels that they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.errors import DataError
from masklet.formats import open_streams
from masklet.media.source import open_source
from masklet.records import Frame, FrameMasks

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from tests.media.volumes import SLICES, nifti, values, write_dicom, write_tiff  # noqa: E402


def labels_for(frame: Frame) -> FrameMasks:
    """Object 1 in the top left quarter, smaller object 300 within it: only in slices 1 to 3 of 5."""
    height, width = frame.size_hw
    masks = np.zeros((2, height, width), np.bool_)
    masks[0, : height // 2, : width // 2] = True
    masks[1, 1:3, 2:5] = True
    ones = np.ones(2, np.float32)
    return FrameMasks(frame.index, frame.time_s, (1, 300), masks, ones, ones, np.zeros(2, np.bool_))


@pytest.mark.parametrize("name", ["brain.nii", "brain.nii.gz"])
@pytest.mark.parametrize("turned", [False, True])
def test_masks_of_a_nifti_use_its_grid(tmp_path: Path, name: str, turned: bool) -> None:
    affine = np.diag([2.0, 3, 4, 1])
    if turned:
        affine = np.array([[0, 0, 3.0, 7], [1, 0, 0, 8], [0, 1, 0, 9], [0, 0, 0, 1]])
    path = nifti(tmp_path / name, affine, values())
    with (
        open_source(path, window=(155, 200)) as source,
        open_streams(tmp_path / "out.nii.gz", [], source, in_order=False) as streams,
    ):
        for frame in (source.frame(index) for index in (3, 1, 2)):
            picture = frame.rgb[..., 0] > 127
            masks = labels_for(frame)
            masks.masks[0] = picture
            streams.write(frame, masks)
    image, labels = nibabel.load(path), nibabel.load(tmp_path / "out.nii.gz")
    assert labels.shape == image.shape
    np.testing.assert_array_equal(labels.affine, image.affine)
    stored, written = np.asarray(image.dataobj), np.asarray(labels.dataobj)
    # Object 1 is where the values are high, in the file's own order of voxels, but where the smaller one lies on it.
    on_top = written == 300
    assert on_top.sum() == 3 * 6
    np.testing.assert_array_equal(written[..., 1:4][~on_top[..., 1:4]], (stored >= 155)[..., 1:4][~on_top[..., 1:4]])
    assert not written[..., [0, 4]].any()


def test_masks_of_a_dicom_series_become_a_nifti_in_patient_space(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "ct")
    with open_source(folder) as source, open_streams(tmp_path / "out", ["nifti"], source) as streams:
        volume = source.info.volume
        assert volume is not None
        streams.write(source.frame(2), labels_for(source.frame(2)))
    labels = nibabel.load(tmp_path / "out" / "masks.nii.gz")
    np.testing.assert_allclose(labels.affine, volume.affine, atol=1e-5)
    assert labels.header.get_zooms() == pytest.approx((0.8, 0.5, 2.5))
    column, row, slice_ = np.argwhere(np.asarray(labels.dataobj) == 300).min(axis=0)
    assert (column, row, slice_) == (2, 1, 2)


def test_a_film_has_no_label_volume(tmp_path: Path) -> None:
    with (
        open_source(np.zeros((2, 8, 8, 3), np.uint8)) as source,
        pytest.raises(DataError, match="is not a volume, so its masks cannot be one"),
    ):
        open_streams(tmp_path / "out.nii", [], source)


@pytest.mark.parametrize("backward", [False, True])
def test_masks_of_a_tiff_are_a_stack_of_the_same_pages_and_spacing(tmp_path: Path, backward: bool) -> None:
    notes = "ImageJ=1.53\nimages=5\nslices=5\nunit=micron\nspacing=2.0\n"
    path = write_tiff(tmp_path / "cells.tif", values().astype(np.uint16), notes, density=4.0)
    with (
        open_source(path) as source,
        open_streams(tmp_path / "out.tif", ["tiff"], source, in_order=not backward) as streams,
    ):
        for index in (3, 2, 1) if backward else (1, 2, 3):
            streams.write(source.frame(index), labels_for(source.frame(index)))
    with Image.open(tmp_path / "out.tif") as stack:
        assert stack.n_frames == SLICES  # type: ignore[attr-defined]
        pages = []
        for index in range(SLICES):
            stack.seek(index)
            pages.append(np.array(stack))
    assert [int(page.max()) for page in pages] == [0, 300, 300, 300, 0]
    assert (pages[2] == 1).sum() == 6 * 8 - 6
    with open_source(tmp_path / "out.tif") as written:
        assert written.info.volume is not None
        assert written.info.volume.spacing_mm == pytest.approx((0.002, 0.00025, 0.00025))
