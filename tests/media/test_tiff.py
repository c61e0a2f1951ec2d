"""Stacks of slices as frames: TIFF."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masklet.errors import VideoError
from masklet.media.source import open_source
from masklet.media.tiff import TiffStackSource

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")

from tests.media.volumes import SLICES, shown, values, write_tiff  # noqa: E402


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


def test_an_8_bit_tiff_stack_is_unchanged(tmp_path: Path) -> None:
    stack = np.stack([np.full((6, 8, 3), 40 * index, np.uint8) for index in range(4)])
    with open_source(write_tiff(tmp_path / "rgb.tiff", stack)) as source:
        assert [int(frame.rgb[0, 0, 0]) for frame in source.frames()] == [0, 40, 80, 120]


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ("ImageJ=1.53\nimages=10\nchannels=2\nslices=5\n", "has 2 channels as separate pages"),
        ("ImageJ=1.53\nimages=900\nslices=900\n", "wrote 900 images as one page"),
    ],
)
def test_a_tiff_that_is_not_a_plain_stack(tmp_path: Path, notes: str, reason: str) -> None:
    with pytest.raises(VideoError, match=reason):
        open_source(write_tiff(tmp_path / "odd.tif", values()[:1].astype(np.uint8), notes))


def test_a_truncated_tiff_delivers_its_pages(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "cut.tif", np.random.default_rng(0).integers(0, 255, (6, 40, 50), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    delivered = []
    with open_source(path) as source, pytest.raises(VideoError, match=r"cut\.tif") as caught:
        delivered.extend(frame.index for frame in source.frames())
    assert delivered == list(range(len(delivered)))
    assert 2 <= len(delivered) < 6
    assert caught.value.frame_index == len(delivered)


@pytest.mark.parametrize("content", [b"", b"II*\0 and nothing more", b"no TIFF at all"])
def test_files_that_are_not_tiff(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.tif"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"bad\.tif"):
        open_source(path)


def tiff_with_a_page_of(size: tuple[int, int]) -> bytes:
    """A TIFF of two small pages, of which the second declares a size."""
    buffer = io.BytesIO()
    page = Image.new("L", (8, 6), 9)
    page.save(buffer, "TIFF", save_all=True, append_images=[page], compression="tiff_deflate")
    data = bytearray(buffer.getvalue())
    (directory,) = struct.unpack_from("<I", data, 4)
    for _ in range(2):  # the first page's list of tags ends with the place of the second's
        entries, (count,) = directory + 2, struct.unpack_from("<H", data, directory)
        (directory,) = struct.unpack_from("<I", data, entries + 12 * count)
    for place in range(entries, entries + 12 * count, 12):
        tag = struct.unpack_from("<H", data, place)[0]
        if tag in (256, 257, 278):  # width, height, rows in a strip
            struct.pack_into("<HII", data, place + 2, 4, 1, size[0] if tag == 256 else size[1])
    return bytes(data)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((30_000, 30_000), r"(exceeds limit|900 million pixels)"),
        ((70_000, 4), "the limit of a side"),
        ((9000, 9000), "is 9000 x 9000, the first is 8 x 6"),
    ],
)
def test_a_later_page_is_measured_before_it_is_decoded(
    size: tuple[int, int], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pages.tif"
    path.write_bytes(tiff_with_a_page_of(size))
    with open_source(path) as source:
        assert source.info.size_hw == (6, 8)
        monkeypatch.setattr(Image.Image, "load", None)
        with pytest.raises(VideoError, match=reason):
            source.frame(1)
