"""Stacks of slices as frames: NIfTI."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from masklet.errors import VideoError
from masklet.media.source import open_source

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from tests.media.volumes import nifti, shown, values  # noqa: E402


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


def test_a_series_of_volumes_is_refused_but_a_film_of_one_slice_is_read(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6, 7), np.int16), np.eye(4)), tmp_path / "4d.nii")
    with pytest.raises(VideoError, match=r"must be one volume, got the shape \(4, 5, 6, 7\)"):
        open_source(tmp_path / "4d.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 1, 7), np.int16), np.eye(4)), tmp_path / "cine.nii")
    with open_source(tmp_path / "cine.nii") as source:
        assert (source.info.num_frames, source.info.size_hw) == (7, (5, 4))


def test_a_truncated_nifti_is_reported(tmp_path: Path) -> None:
    path = nifti(tmp_path / "cut.nii.gz", np.eye(4), values())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(VideoError, match=r"cut\.nii\.gz cannot be read as a volume"):
        open_source(path)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((400, 400, 300, 60), "must be one volume"),
        ((2000, 2000, 1000), r"unpacks to 7\.5 GB, the limit is 2 GB: unpack it with gunzip"),
        ((20_000, 20_000, 1), "each slice of .* too large"),
        ((32_000, 0, 3), "must be one volume"),
    ],
)
def test_a_volume_is_measured_before_it_is_unpacked(
    shape: tuple[int, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)))
    monkeypatch.setattr(nibabel.arrayproxy.ArrayProxy, "get_unscaled", None)
    with pytest.raises(VideoError, match=reason):
        open_source(path)
