from __future__ import annotations

import io
import struct
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, TiffImagePlugin

from masklet.errors import ImageError, OutputError
from masklet.media.base import made_smaller
from masklet.media.images import FORMATS, image_header, read_image, write_image, write_label_map
from masklet.media.source import open_source
from tests.conftest import LimitFiles

RAMP_16 = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
RAMP_8 = np.rint(RAMP_16 / 257).astype(np.uint8)
RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_held_sideways_comes_upright(orientation: int, mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(RGB if mode == "RGB" else RGB[:, :, 0].astype(np.uint16) * 257)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
    expected = upright if mode == "RGB" else np.dstack([upright // 257] * 3)
    assert (read_image(tmp_path / "photo.png") == expected).all()
    assert read_image(tmp_path / "photo.png", upright=False).shape[:2] == RGB.shape[:2]


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff"])
def test_formats_without_loss(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ein Bild ü.{suffix}"
    Image.fromarray(RGB).save(path, **({"lossless": True} if suffix == "webp" else {}))
    rgb = read_image(str(path))
    assert (rgb == RGB).all()
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    assert rgb.flags.writeable


def test_transparent_pixels_become_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0], rgba[0, :, 3] = 255, (255, 128, 0)
    expected = [[255, 0, 0], [255, 127, 127], [255, 255, 255]]
    for source in (png(Image.fromarray(rgba)), rgba, Image.fromarray(rgba)):
        assert read_image(source)[0].tolist() == expected
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert read_image(png(palette))[0, 0].tolist() == [9, 9, 9]
    assert read_image(png(palette, transparency=1))[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "rgb.png", "rgb.tif"])
def test_16_bits_are_scaled(tmp_path: Path, name: str) -> None:
    cv2.imwrite(str(tmp_path / name), np.dstack([RAMP_16] * 3) if "rgb" in name else RAMP_16)
    rgb = read_image(tmp_path / name)
    assert rgb.shape == (8, 8, 3)
    assert np.abs(rgb.astype(int) - RAMP_8[:, :, None]).max() <= 1


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (2, 2), 7), (7, 7, 7)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        (Image.new("CMYK", (2, 2), (255, 0, 0, 0)), (0, 255, 255)),
        (Image.new("F", (2, 2), 0.5), (128, 128, 128)),
        (Image.fromarray(np.array([[-5.0, 20.0]], np.float32)), (0, 0, 0)),
        (Image.fromarray(np.array([[np.nan, 1.0]], np.float32)), (0, 0, 0)),
        (Image.fromarray(np.array([[100_000, 0]], np.int32)), (255, 255, 255)),
    ],
)
def test_other_modes(image: Image.Image, expected: tuple[int, int, int]) -> None:
    assert tuple(read_image(image)[0, 0]) == expected


def several(path: Path, frames: Sequence[Image.Image] | None = None) -> Path:
    """Write pictures into one file: red, lime and blue, at uneven times."""
    frames = frames or [Image.new("RGB", (16, 12), color) for color in ("red", "lime", "blue")]
    options = {"lossless": True} if path.suffix == ".webp" else {"quality": 100} if path.suffix == ".avif" else {}
    timing = {} if path.suffix in (".tif", ".mpo") else {"duration": [100, 200, 300]}
    frames[0].save(path, save_all=True, append_images=frames[1:], **timing, **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.apng", "a.avif", "a.tif"])
def test_a_file_of_several_pictures_is_a_video_not_an_image(name: str, tmp_path: Path) -> None:
    path = several(tmp_path / name)
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match=r"holds several pictures .* as a video"):
            read_image(source)
    with Image.open(path) as image:  # a caller of Pillow has chosen one
        image.seek(2)
        assert np.abs(read_image(image)[0, 0].astype(int) - (0, 0, 255)).max() <= 3
    header = image_header(path)
    assert header is not None
    assert header.has_several


def test_the_further_views_of_a_phone_and_previews_are_not_pictures_of_their_own(tmp_path: Path) -> None:
    red, grey = Image.new("RGB", (16, 12), "red"), Image.new("RGB", (8, 6), "grey")
    assert read_image(several(tmp_path / "phone.mpo", [red, grey]))[0, 0, 0] > 250
    preview = TiffImagePlugin.ImageFileDirectory_v2()
    preview[254] = 1
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "scan.tif", True) as file:
        red.save(file, "TIFF")
        file.newFrame()
        grey.save(file, "TIFF", tiffinfo=preview)
    assert read_image(tmp_path / "scan.tif")[0, 0].tolist() == [255, 0, 0]
    with open_source(tmp_path / "scan.tif") as source:
        assert source.info.num_frames == 1


def test_the_preview_of_a_raw_file_is_not_the_photo(tmp_path: Path) -> None:
    for number, tag in enumerate((254, 50706)):
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[tag] = 1 if tag == 254 else b"\1\4\0\0"
        if tag == 50706:
            tags.tagtype[tag] = 1
        path = tmp_path / f"{number}.tif"
        Image.new("RGB", (16, 12)).save(path, tiffinfo=tags)
        with pytest.raises(ImageError, match=r"a camera's raw file, .* develop it"):
            read_image(path)


def test_arrays() -> None:
    assert (read_image(RGB) == RGB).all()
    assert read_image(RGB) is not RGB
    assert (read_image(RGB[:, :, 0]) == RGB[:, :, :1]).all()
    assert (read_image(RGB[:, :, :1]) == RGB[:, :, :1]).all()
    assert (read_image(RAMP_16) == RAMP_8[:, :, None]).all()
    assert (read_image(RGB / 255) == RGB).all()
    assert read_image(RGB[:, :, 0] > 100).max() == 255


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"got \(4, 4, 2\)"),
        (np.zeros((0, 4, 3), np.uint8), "not empty"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"must be \(H, W\)"),
        (np.zeros((4, 4), np.int64), "got int64"),
        (np.full((4, 4), 17.0), r"\[0, 1\]"),
        (np.full((4, 4), np.nan), r"\[0, 1\]"),
        (42, "got int"),
        (b"", "0 bytes"),
        (b"no image", "not an image"),
    ],
)
def test_invalid_images_are_explained(array: Any, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read_image(array)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    with pytest.raises(ImageError, match=r"no such image: .*photo\.jpg"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"photo\.jpg is empty"):
        read_image(path)
    path.write_text("a letter")
    with pytest.raises(ImageError, match=r"photo\.jpg is not an image"):
        read_image(path)
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "gif"])
def test_a_truncated_file_is_an_error_not_half_a_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(RGB.repeat(8, 0).repeat(8, 1)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"photo\.\w+ is (truncated|damaged)"):
        read_image(path)


def test_a_file_that_ends_in_the_header_of_its_second_picture_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    pictures = [Image.fromarray(RGB[row : row + 8, :8]) for row in (0, 8)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\x21\xf9\x04") + 8 + 5])  # a comma, and four of nine bytes
    for read in (image_header, read_image):
        with pytest.raises(ImageError, match=r"clip\.gif is truncated or damaged"):
            read(path)


def png_head(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds no pixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")))
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("form", ["EPS", "ICO", "JPEG2000", "PCX", "PDF", "TGA", "SGI", "DIB", "XBM", "MSP", "DDS"])
def test_a_format_outside_the_list_is_never_opened(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(RGB).convert("1" if form in ("XBM", "MSP") else "RGB").save(path, format=form)
    monkeypatch.setattr(subprocess, "Popen", None)  # with which Pillow starts Ghostscript
    monkeypatch.setattr(subprocess, "check_call", None)
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match=r"^(.*photo\.jpg|the image) is .*not an image in a format that is read"):
            read_image(source)


def test_every_listed_format_is_one_that_pillow_opens() -> None:
    Image.init()
    assert set(FORMATS) - {"MPO", "HEIF"} <= set(Image.OPEN)  # the reader of JPEG calls that of MPO; HEIC is an extra


@pytest.mark.parametrize("size", [(70_000, 8), (8, 70_000)])
def test_sides_that_no_jpeg_can_have_are_refused(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    Image.new("L", size).save(path)
    for source in (path, path.read_bytes(), Image.new("L", size), np.zeros(size, np.uint8)):
        with pytest.raises(ImageError, match="the limit of a side is 65500 pixels"):
            read_image(source)


def test_enormous_images_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(ImageError, match=r"too large: .*200000000 pixels.* exceeds limit of 178956970 pixels"):
        read_image(png_head(10_000, 20_000))
    with pytest.raises(ImageError, match="10000 x 9000 = 90 million pixels, the limit is 50 million"):
        read_image(png_head(10_000, 9_000), max_pixels=50_000_000)
    with pytest.raises(ImageError, match="the image array is too large"):
        read_image(RGB, max_pixels=1999)
    assert read_image(RGB, max_pixels=2000).shape == RGB.shape


@pytest.mark.parametrize("name", ["a.png", "b.webp", "new/folder/c.bmp"])
def test_write_and_read_again(tmp_path: Path, name: str) -> None:
    smooth = np.repeat(RAMP_8[:, :, None], 3, axis=2).repeat(8, 0).repeat(8, 1)
    path = write_image(tmp_path / name, smooth)
    assert np.abs(read_image(path).astype(int) - smooth).mean() < 4
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []


def test_write_masks_and_alpha(tmp_path: Path) -> None:
    mask = RGB[:, :, 0] > 100
    assert (read_image(write_image(tmp_path / "mask.png", mask))[:, :, 0] == mask * 255).all()
    rgba = np.dstack([RGB, RGB[:, :, 0]])
    with Image.open(write_image(tmp_path / "cutout.png", rgba)) as image:
        assert (np.asarray(image) == rgba).all()
    with pytest.raises(OutputError, match="cannot write mode RGBA as JPEG"):
        write_image(tmp_path / "cutout.jpg", rgba)
    with pytest.raises(OutputError, match="is not an image format"):
        write_image(tmp_path / "cutout.mp4", RGB)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cutout.png", "mask.png"]


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp", "photo.tiff"])
def test_a_full_disk_leaves_no_half_image(tmp_path: Path, limit_files: LimitFiles, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    with pytest.raises(OutputError, match=f"cannot write .*{name}: "), limit_files(4096):
        write_image(tmp_path / name, noise)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("largest", "mode"), [(0, "P"), (255, "P"), (256, "I;16"), (65535, "I;16")])
def test_label_maps_keep_their_numbers(largest: int, mode: str, tmp_path: Path) -> None:
    labels = np.array([[0, largest], [largest // 2, 1 if largest else 0]], np.int32)
    path = write_label_map(tmp_path / "labels.png", labels, [(9, 8, 7)] * largest)
    with Image.open(path) as image:
        assert image.mode == mode
        assert np.asarray(image).tolist() == labels.tolist()
        if mode == "P":
            assert image.convert("RGB").getpixel((0, 0)) == (0, 0, 0)
            assert image.convert("RGB").getpixel((1, 0)) == ((9, 8, 7) if largest else (0, 0, 0))


@pytest.mark.parametrize("number", [-1, 65536])
def test_label_maps_refuse_what_does_not_fit(number: int, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="numbers from 0 to 65535"):
        write_label_map(tmp_path / "labels.png", np.array([[0, number]], np.int32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_is_decoded_no_larger_than_needed(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    smooth = np.linspace(0, 255, 200 * 304 * 3).reshape(200, 304, 3).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, "JPEG", quality=95, exif=exif)
    whole = read_image(buffer.getvalue())
    loaded = []
    convert = Image.Image.convert
    monkeypatch.setattr(Image.Image, "convert", lambda image, mode: loaded.append(image.size) or convert(image, mode))
    for part, wanted in ((1, 0.51), (2, 0.5), (4, 0.2), (8, 0.01)):
        height, width = whole.shape[:2]
        small = read_image(buffer.getvalue(), at_least_hw=(round(height * wanted), round(width * wanted)))
        assert small.shape[:2] == (-(-height // part), -(-width // part))
        assert sorted(loaded[-1]) == sorted(small.shape[:2])
        assert np.abs(small.astype(int) - made_smaller(whole, small.shape[:2])).mean() < 3


@pytest.mark.parametrize(
    ("suffix", "name", "most"),
    [(".webp", "WEBP", 16_383), (".jpg", "JPEG", 65_500), (".gif", "GIF", 65_535)],
)
def test_a_side_that_a_format_cannot_hold_is_refused_in_one_line(
    tmp_path: Path, suffix: str, name: str, most: int
) -> None:
    write_image(tmp_path / f"a{suffix}", np.zeros((2, most), np.uint8))
    for shape in ((2, most + 1), (most + 1, 2)):
        with pytest.raises(OutputError, match=f"{name} holds at most {most:,} pixels per side") as caught:
            write_image(tmp_path / f"b{suffix}", np.zeros(shape, np.uint8))
        assert len(str(caught.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}"]
