"""Stacks of slices as frames: DICOM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet.errors import VideoError
from masklet.media.dicom import DicomSource
from masklet.media.source import open_source

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from tests.media.volumes import HEIGHT, SLICES, WIDTH, shown, write_dicom  # noqa: E402


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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Rows": 60_000, "Columns": 60_000}, "a slice of .* too large"),
        ({"NumberOfFrames": 2_000_000_000}, r"declares 2e\+09 frames, the limit is 100,000"),
    ],
)
def test_a_dicom_file_is_measured_before_it_is_decoded(changes: dict[str, int], reason: str, tmp_path: Path) -> None:
    folder = write_dicom(tmp_path / "ct")
    path = next(folder.iterdir())
    dataset = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    for source in (path, folder):
        with pytest.raises(VideoError, match=reason):
            open_source(source)


def test_a_dicom_file_that_is_deflated_as_a_whole_is_not_unpacked(tmp_path: Path) -> None:
    path = next(write_dicom(tmp_path / "ct").iterdir())
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    dataset.save_as(path)
    with pytest.raises(VideoError, match="deflated as a whole"):
        open_source(path)


def test_one_dicom_file_represents_its_series(tmp_path: Path) -> None:
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
