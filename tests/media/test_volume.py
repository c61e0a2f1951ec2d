"""Stacks of slices: what they are shown as."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.errors import EngineError, VideoError
from masklet.media.dicom import DicomSource
from masklet.media.source import open_source
from masklet.media.tiff import TiffStackSource

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from tests.media.volumes import HEIGHT, SLICES, WIDTH, nifti, shown, values, write_dicom, write_tiff  # noqa: E402


def test_dicom_slices_come_in_their_order_in_space_with_their_window(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "ct", order=[3, 0, 4, 1, 2])
    (folder / "README").write_text("not DICOM")
    with open_source(folder) as source:
        assert isinstance(source, DicomSource)
        info = source.info
        assert (info.num_frames, info.size_hw, info.codec) == (SLICES, (HEIGHT, WIDTH), "dicom")
        frames = np.stack([frame.rgb for frame in source.frames()])
        np.testing.assert_array_equal(frames[..., 0], shown(-1000.5 + 0.0, -0.5, 2, -1000))
        volume = info.volume
        assert volume is not None
        assert volume.spacing_mm == (2.5, 0.5, 0.8)
        assert volume.value_range == (-1000.5, -0.5)
        # the patient's left and back are positive in DICOM, negative in NIfTI
        np.testing.assert_allclose(volume.affine @ [2, 4, 1, 1], [10 - 2 * 0.8, 20 - 4 * 0.5, 32.5, 1])
    with open_source(folder, window=(-400, 400)) as source:
        np.testing.assert_array_equal(source.frame(2).rgb[..., 0], shown(-600, -200, 2, -1000)[2])


def test_one_dicom_file_stands_for_its_series(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "study" / "a")
    write_dicom(tmp_path / "study" / "b", SeriesDescription="arterial")
    for file in (tmp_path / "study" / "b").iterdir():
        file.rename(folder / f"{file.name}.dcm")
    with pytest.raises(VideoError, match=r"holds 2 series: pass one file of .* \(arterial, 5 slices\)"):
        open_source(tmp_path / "study")
    with open_source(folder / "IM3") as source:
        assert source.info.num_frames == SLICES


def test_several_volumes_in_one_dicom_series_are_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "4d", SeriesInstanceUID="1.2.3")
    write_dicom(tmp_path / "4d" / "later", SeriesInstanceUID="1.2.3")
    with pytest.raises(VideoError, match="10 slices at 5 positions"):
        open_source(tmp_path / "4d")


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, lambda rgb: rgb[0, 0, 0] < rgb[0, -1, 0]),
        ({"WindowCenter": None, "WindowWidth": None}, lambda rgb: rgb.max() - rgb.min() > 20),
        ({"ImagePositionPatient": None}, lambda rgb: True),
    ],
)
def test_dicom_with_other_tags(tmp_path: Path, changes: dict[str, Any], check: Any) -> None:
    with open_source(write_dicom(tmp_path / "ct", **changes)) as source:
        assert check(source.frame(2).rgb)
        assert (source.info.volume is None) == ("ImagePositionPatient" in changes)


def test_a_damaged_slice_is_named_after_those_before_it(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "ct")
    (folder / "IM3").write_bytes((folder / "IM3").read_bytes()[:-50])
    delivered = []
    with open_source(folder) as source, pytest.raises(VideoError, match="IM3 cannot be read") as caught:
        delivered.extend(frame.index for frame in source.frames())
    assert delivered == [0, 1, 2]
    assert caught.value.frame_index == 3


@pytest.mark.parametrize("name", ["brain.nii", "brain.nii.gz"])
@pytest.mark.parametrize(
    ("columns", "rows"),
    [("R", "A"), ("L", "A"), ("R", "P"), ("L", "P")],
)
def test_axial_nifti_is_shown_front_up_and_right_on_the_left(
    tmp_path: Path, name: str, columns: str, rows: str
) -> None:
    """`columns`, `rows`: where the file's axes run to."""
    affine = np.diag([2.0 if columns == "R" else -2.0, 3.0 if rows == "A" else -3.0, 4.0, 1.0])
    with open_source(nifti(tmp_path / name, affine, values())) as source:
        assert source.info.volume is not None
        assert source.info.volume.spacing_mm == (4, 3, 2)
        low, high = source.info.volume.value_range or (0, 0)
        expected = shown(low, high)
        if columns == "R":
            expected = expected[:, :, ::-1]
        if rows == "A":
            expected = expected[:, ::-1]
        np.testing.assert_array_equal([frame.rgb[..., 1] for frame in source.frames()], expected)


def test_sagittal_nifti_is_shown_head_up_and_front_left(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 3.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # axes run to A, S and R
    with open_source(nifti(tmp_path / "t1.nii", affine, values())) as source:
        volume = source.info.volume
        assert volume is not None
        assert (volume.axes, volume.flips) == ((2, 1, 0), (False, True, True))
        assert volume.spacing_mm == (3, 1, 1)


def test_nifti_scale_and_calibration_decide_on_brightness(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(values().transpose(2, 1, 0), np.diag([-1.0, -1, 1, 1]))
    image.header["cal_min"], image.header["cal_max"] = 100, 300
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "scaled.nii.gz")
    reloaded = np.asarray(nibabel.load(tmp_path / "scaled.nii.gz").dataobj).transpose(2, 1, 0)
    with open_source(tmp_path / "scaled.nii.gz") as source:
        expected = np.rint((reloaded[3] - 100) / 200 * 255).clip(0, 255)
        assert np.abs(source.frame(3).rgb[..., 0] - expected).max() <= 1


def test_a_series_of_volumes_is_refused_and_a_film_of_one_slice_is_not(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6, 7), np.int16), np.eye(4)), tmp_path / "4d.nii")
    with pytest.raises(VideoError, match=r"must be one volume, got the shape \(4, 5, 6, 7\)"):
        open_source(tmp_path / "4d.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 1, 7), np.int16), np.eye(4)), tmp_path / "cine.nii")
    with open_source(tmp_path / "cine.nii") as source:
        assert (source.info.num_frames, source.info.size_hw) == (7, (5, 4))


def test_a_cut_nifti_says_so(tmp_path: Path) -> None:
    path = nifti(tmp_path / "cut.nii.gz", np.eye(4), values())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(VideoError, match=r"cut\.nii\.gz cannot be read as a volume"):
        open_source(path)


@pytest.mark.parametrize(("module", "extra", "name"), [("nibabel", "nifti", "a.nii"), ("pydicom", "dicom", "a.dcm")])
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=rf'needs {module}: pip install "masklet\[{extra}\]"'):
        open_source(tmp_path / name)


def test_a_16_bit_tiff_stack_keeps_one_brightness(tmp_path: Path) -> None:
    notes = "ImageJ=1.53\nimages=5\nslices=5\nunit=micron\nspacing=2.0\n"
    path = write_tiff(tmp_path / "cells.tif", values().astype(np.uint16), notes, density=4.0)
    with open_source(path) as source:
        assert isinstance(source, TiffStackSource)
        assert source.info.num_frames == SLICES
        volume = source.info.volume
        assert volume is not None
        assert volume.value_range is not None
        assert volume.spacing_mm == pytest.approx((0.002, 0.00025, 0.00025))
        low, high = volume.value_range
        assert 0 <= low < 20
        assert 440 < high < 462
        for order in (range(SLICES), range(SLICES - 1, -1, -1)):
            frames = [source.frame(index).rgb[..., 0] for index in order]
            np.testing.assert_array_equal(frames, shown(low, high)[list(order)])
    with open_source(path, window=(32768, 65536)) as source:
        assert source.frame(4).rgb.max() == 2


def test_an_8_bit_tiff_stack_stays_as_it_is(tmp_path: Path) -> None:
    stack = np.stack([np.full((6, 8, 3), 40 * index, np.uint8) for index in range(4)])
    with open_source(write_tiff(tmp_path / "rgb.tiff", stack)) as source:
        assert [int(frame.rgb[0, 0, 0]) for frame in source.frames()] == [0, 40, 80, 120]


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ("ImageJ=1.53\nimages=10\nchannels=2\nslices=5\n", "has 2 channels as pages of their own"),
        ("ImageJ=1.53\nimages=900\nslices=900\n", "wrote 900 images as one page"),
    ],
)
def test_tiff_that_is_no_plain_stack(tmp_path: Path, notes: str, reason: str) -> None:
    with pytest.raises(VideoError, match=reason):
        open_source(write_tiff(tmp_path / "odd.tif", values()[:1].astype(np.uint8), notes))


def test_a_cut_tiff_delivers_what_is_there(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "cut.tif", np.random.default_rng(0).integers(0, 255, (6, 40, 50), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    delivered = []
    with open_source(path) as source, pytest.raises(VideoError, match=r"cut\.tif") as caught:
        delivered.extend(frame.index for frame in source.frames())
    assert delivered == list(range(len(delivered)))
    assert 2 <= len(delivered) < 6
    assert caught.value.frame_index == len(delivered)


@pytest.mark.parametrize("content", [b"", b"II*\0 and nothing more", b"no TIFF at all"])
def test_what_is_no_tiff(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.tif"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"bad\.tif"):
        open_source(path)
