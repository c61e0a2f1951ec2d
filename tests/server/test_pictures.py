"""A picture has the same pixels at every door: Python, the command line, the original's calls, the API and studio."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from masklet.api import Model
from masklet.cli import main
from masklet.errors import ImageError
from masklet.media.images import read_image
from masklet.records import ByteArray, ImageFeatures
from masklet.server.frames import PictureCache
from tests.fake_engine import FakeEngine
from tests.server.conftest import Open, Page

WIDTH, HEIGHT = 32, 24
COLORS = np.array([[(200, 40, 30), (60, 180, 40)], [(30, 50, 190), (220, 220, 220)]], np.uint8)
"""Colours of the quarters of the picture."""
RGB: ByteArray = COLORS.repeat(HEIGHT // 2, 0).repeat(WIDTH // 2, 1)
GREYS = COLORS[:, :, :1] // 2
GREY: ByteArray = RGB[:, :, 0] // 2
WHITE = 255

Write = Callable[[Path], Any]


class WatchedEngine(FakeEngine):
    """Keeps the pictures that it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[ByteArray] = []

    def encode_image(self, rgb: ByteArray, *, in_video: bool = False) -> ImageFeatures[int]:
        self.pictures.append(rgb.copy())
        return super().encode_image(rgb, in_video=in_video)


def transparent(mode: str) -> Image.Image:
    """The picture, transparent in its last quarter, where a colour lies behind."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[HEIGHT // 2 :, WIDTH // 2 :] = 0
    rgba = Image.fromarray(np.dstack([RGB if mode == "RGBA" else np.dstack([GREY] * 3), alpha]))
    return rgba if mode == "RGBA" else rgba.convert("LA")


def indexed() -> Image.Image:
    return Image.fromarray(RGB).quantize(4, dither=Image.Dither.NONE)


def lab() -> Image.Image:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    image = ImageCms.applyTransform(Image.fromarray(RGB), to_lab)
    assert image is not None
    return image


def turned(path: Path, orientation: int) -> None:
    """Write the picture so that it is upright after its orientation has been applied."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the members of Image.Transpose
    image = Image.fromarray(RGB)
    image = image.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else image
    image.save(path, exif=exif, **({"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {}))


SHADED = np.where([[[True], [True]], [[True], [False]]], GREYS, WHITE)
COLORED = np.where([[[True], [True]], [[True], [False]]], COLORS, WHITE)

FILES: dict[str, tuple[Write, Any, int]] = {
    # name: how to write it, the colours of the quarters, tolerance
    "bilevel.png": (lambda path: Image.fromarray(GREY > 40).save(path), (GREYS > 40) * WHITE, 0),
    "grey.png": (lambda path: Image.fromarray(GREY).save(path), GREYS, 0),
    "grey-alpha.png": (lambda path: transparent("LA").save(path), SHADED, 0),
    "indexed.png": (lambda path: indexed().save(path), COLORS, 1),
    "rgb.png": (lambda path: Image.fromarray(RGB).save(path), COLORS, 0),
    "rgba.png": (lambda path: transparent("RGBA").save(path), COLORED, 0),
    "grey-key.png": (lambda path: Image.fromarray(GREY).save(path, transparency=110), SHADED, 0),
    "rgb-key.png": (lambda path: Image.fromarray(RGB).save(path, transparency=(220, 220, 220)), COLORED, 0),
    "grey-16.png": (lambda path: cv2.imwrite(str(path), RGB[:, :, 0].astype(np.uint16) * 257), COLORS[:, :, :1], 0),
    "rgb-16.png": (lambda path: cv2.imwrite(str(path), RGB[:, :, ::-1].astype(np.uint16) * 257), COLORS, 0),
    "grey-16.tif": (lambda path: cv2.imwrite(str(path), RGB[:, :, 0].astype(np.uint16) * 257), COLORS[:, :, :1], 0),
    "rgb-16.tif": (lambda path: cv2.imwrite(str(path), RGB[:, :, ::-1].astype(np.uint16) * 257), COLORS, 0),
    "grey-16-big-endian.tif": (
        lambda path: Image.frombytes("I;16B", (WIDTH, HEIGHT), (RGB[:, :, 0].astype(">u2") * 257).tobytes()).save(path),
        COLORS[:, :, :1],
        0,
    ),
    # Values 800 to 890: the whole range is shown, as in a stack of such slices.
    "microscope.tif": (
        lambda path: Image.fromarray(800 + (RGB[:, :, 0].astype(np.uint16) - 30) * 9 // 19).save(path),
        (COLORS[:, :, :1].astype(int) - 30) * 255 // 190,
        2,
    ),
    "integers.tif": (lambda path: Image.fromarray(RGB[:, :, 0].astype(np.int32) * 1000).save(path), None, 0),
    "floats.tif": (lambda path: Image.fromarray(RGB[:, :, 0] / np.float32(255)).save(path), COLORS[:, :, :1], 0),
    "cmyk.tif": (lambda path: Image.fromarray(RGB).convert("CMYK").save(path), COLORS, 1),
    "lab.tif": (lambda path: lab().save(path), COLORS, 4),
    "ycbcr.tif": (lambda path: Image.fromarray(RGB).convert("YCbCr").save(path), COLORS, 3),
    "cmyk.jpg": (lambda path: Image.fromarray(RGB).convert("CMYK").save(path, quality=98), COLORS, 12),
    "grey.jpg": (lambda path: Image.fromarray(GREY).save(path, quality=98), GREYS, 4),
    "photo.jpeg": (lambda path: Image.fromarray(RGB).save(path, quality=95, subsampling=0), COLORS, 6),
    "photo.JPG": (lambda path: Image.fromarray(RGB).save(path, "JPEG", quality=95, subsampling=0), COLORS, 6),
    "named-wrongly.png": (lambda path: Image.fromarray(RGB).save(path, "BMP"), COLORS, 0),
    "lossless.webp": (lambda path: Image.fromarray(RGB).save(path, lossless=True), COLORS, 0),
    "rgba.webp": (lambda path: transparent("RGBA").save(path, lossless=True), COLORED, 0),
    "rgb.bmp": (lambda path: Image.fromarray(RGB).save(path), COLORS, 0),
    "one.gif": (lambda path: indexed().save(path), COLORS, 1),
    "rgb.avif": (lambda path: Image.fromarray(RGB).save(path, quality=100), COLORS, 12),
    "rgb.ppm": (lambda path: Image.fromarray(RGB).save(path), COLORS, 0),
    "deep.pgm": (lambda path: Image.fromarray(RGB[:, :, 0].astype(np.uint16) * 257).save(path), COLORS[:, :, :1], 1),
    "two-views.mpo": (
        lambda path: Image.fromarray(RGB).save(
            path, save_all=True, append_images=[Image.new("RGB", (8, 6))], quality=95, subsampling=0
        ),
        COLORS,
        6,
    ),
    **{
        f"turned-{number}.{suffix}": (lambda path, number=number: turned(path, number), COLORS, tolerance)
        for number in range(1, 9)
        for suffix, tolerance in (("jpg", 6), ("png", 0), ("webp", 40))
        if number in (6, 7) or suffix == "jpg"
    },
}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> WatchedEngine:
    """The engine that every door loads."""
    engine = WatchedEngine()
    monkeypatch.setattr("masklet.api.load", lambda name, **options: Model(engine))
    return engine


def upload(page: Page, path: Path) -> dict[str, Any]:
    """Upload a file, and return what the server tells of it."""
    answer = page.post(
        f"/api/v1/projects/{page.new_project()}/media", files=[("files", (path.name, path.read_bytes()))]
    ).json()
    return dict(answer)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def doors(path: Path, engine: WatchedEngine, out: Path) -> Iterator[tuple[str, ByteArray]]:
    """Send a file through each door, and yield the picture that the model sees."""

    def seen() -> ByteArray:
        picture = engine.pictures.pop()
        engine.pictures.clear()
        return picture

    masks = {}
    masks["Python"] = Model(engine).segmenter().set_image(path).predict(points_xy=[(1, 1)]).mask
    yield "Python", seen()
    if path.suffix != ".heic":
        with Image.open(path) as image:
            Model(engine).segmenter().set_image(image)
        yield "Python, a PIL image", seen()
    yield "bytes, as the live socket reads them", read_image(path.read_bytes())
    assert run("segment", path, "--point", "1,1", "--out", out / "image", "--format", "masks") == 0
    masks["segment"] = read_image(out / f"image/{path.stem}.mask.png")[:, :, 0] > 0
    yield "segment", seen()
    (out / "frames").mkdir()
    (out / "frames" / path.name).write_bytes(path.read_bytes())
    assert run("track", out / "frames", "--point", "1,1", "--out", out / "o", "--format", "masks") == 0
    masks["track"] = read_image(out / "o/masks/00000.png")[:, :, 0] > 0
    yield "track", seen()
    assert all((mask == masks["Python"]).all() for mask in masks.values())


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_the_same_at_every_door(
    name: str, tmp_path: Path, engine: WatchedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    write, colors, tolerance = FILES[name]
    path = tmp_path / name
    write(path)
    expected: ByteArray | None = None
    for door, picture in doors(path, engine, tmp_path / "out"):
        expected = picture if expected is None else expected
        assert (picture.shape, picture.dtype) == ((HEIGHT, WIDTH, 3), np.uint8), door
        assert (picture == expected).all(), door
    assert expected is not None
    quarters = expected[HEIGHT // 4 :: HEIGHT // 2, WIDTH // 4 :: WIDTH // 2].astype(int)
    if colors is not None:
        assert np.abs(quarters - colors).max() <= tolerance
    assert len(np.unique(quarters[:, :, 0])) > 1


def test_pictures_are_the_same_in_the_studio(tmp_path: Path, engine: WatchedEngine, open_studio: Open) -> None:
    page = open_studio(engine=engine)
    for name, (write, _, _) in FILES.items():
        write(tmp_path / name)
        (medium,) = upload(page, tmp_path / name)["media"]
        assert (medium["kind"], medium["width"], medium["height"]) == ("image", WIDTH, HEIGHT), name
        page.click(medium["id"], page.new_object(medium["id"]))
        # The server encodes equal pictures once.
        assert any((picture == read_image(tmp_path / name)).all() for picture in engine.pictures), name


@pytest.mark.parametrize("name", ["rgba.png", "grey-16.png", "microscope.tif", "cmyk.jpg", "lab.tif", "turned-3.jpg"])
def test_the_calls_of_the_original_see_the_same_picture(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="masklet.compat.sam2 needs PyTorch")
    from masklet.compat.sam2.utils.transforms import as_rgb  # by which `set_image` reads

    path = tmp_path / name
    FILES[name][0](path)
    assert (as_rgb(path) == read_image(path)).all()
    with Image.open(path) as image:  # the original takes the pixels of a PIL image as they lie
        assert (as_rgb(image) == read_image(path, upright=False)).all()


def several(path: Path) -> None:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("red", "lime", "blue")]
    timing = {} if path.suffix == ".tif" else {"duration": 100}
    frames[0].save(path, save_all=True, append_images=frames[1:], **timing)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.avif", "a.tif"])
def test_several_pictures_are_a_video_at_every_door(
    name: str, tmp_path: Path, engine: WatchedEngine, open_studio: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    several(path)
    with pytest.raises(ImageError, match=rf"{name} holds several pictures"):
        Model(engine).segmenter().set_image(path)
    assert run("segment", path, "--point", "1,1", "--out", tmp_path / "o") == 2
    assert f"{name} holds several pictures" in capsys.readouterr().err
    assert run("track", path, "--point", "1,1", "--out", tmp_path / "o", "--format", "masks") == 0
    assert len(list((tmp_path / "o/masks").glob("0*.png"))) == 3
    page = open_studio(engine=engine)
    (medium,) = upload(page, path)["media"]
    assert (medium["kind"], medium["num_frames"]) == ("video", 3)


def svg(path: Path) -> None:
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("photo.jpg", lambda path: Image.fromarray(RGB).save(path, "EPS"), "PostScript"),
        ("photo.png", lambda path: Image.fromarray(RGB).save(path, "PDF"), "PDF"),
        ("photo.png", svg, "SVG"),
        ("photo.jxl", lambda path: path.write_bytes(b"\xff\x0a" + bytes(200)), "JPEG XL"),
        ("photo.jp2", lambda path: Image.fromarray(RGB).save(path), "JPEG 2000"),
        ("photo.tif", lambda path: path.write_bytes(b"II*\0\x10\0\0\0CR\x02\0" + bytes(200)), "raw file"),
        ("photo.psd", lambda path: path.write_bytes(b"8BPS" + bytes(200)), "Photoshop"),
        ("photo.tga", lambda path: Image.fromarray(RGB).save(path), "TGA"),
        ("photo.exr", lambda path: path.write_bytes(b"v/1\x01" + bytes(200)), "OpenEXR"),
        ("wide.png", lambda path: Image.new("L", (70_000, 8)).save(path), "the limit of a side is 65500"),
    ],
)
def test_what_is_not_read_is_refused_with_a_reason_at_every_door(
    name: str,
    write: Write,
    reason: str,
    tmp_path: Path,
    engine: WatchedEngine,
    open_studio: Open,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir()
    write(path)
    with pytest.raises(ImageError, match=reason):
        Model(engine).segmenter().set_image(path)
    for command, source in (("segment", path), ("segment", path.parent), ("track", path), ("track", path.parent)):
        assert run(command, source, "--point", "1,1", "--out", tmp_path / "o") == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1, line
        assert reason in line
    assert reason in str(upload(open_studio(engine=engine), path)["error"])
    assert not engine.pictures


def heic(path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs the extra heic")
    pillow_heif.from_pillow(Image.fromarray(RGB)).save(path, quality=-1, chroma=444)


def test_heic_is_the_same_at_every_door(
    tmp_path: Path, engine: WatchedEngine, open_studio: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "IMG_1.heic"
    heic(path)
    pictures = [picture for _, picture in doors(path, engine, tmp_path / "out")]
    page = open_studio(engine=engine)
    (medium,) = upload(page, path)["media"]
    page.click(medium["id"], page.new_object(medium["id"]))
    pictures.append(engine.pictures.pop())
    assert all((picture == pictures[0]).all() for picture in pictures)
    assert np.abs(pictures[0].astype(int) - RGB).max() <= 12


def test_heic_without_the_extra_says_what_to_install(
    tmp_path: Path,
    engine: WatchedEngine,
    open_studio: Open,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    path = tmp_path / "in" / "IMG_1.heic"
    path.parent.mkdir()
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    hint = 'pip install "masklet[heic]", or save it as JPEG'
    for command, source in (("segment", path), ("segment", path.parent), ("track", path), ("track", path.parent)):
        assert run(command, source, "--point", "1,1", "--out", tmp_path / "o") == 2
        assert hint in capsys.readouterr().err
    assert hint in upload(open_studio(engine=engine), path)["error"]["message"]
    with pytest.raises(ImageError, match="is HEIC"):
        read_image(io.BytesIO(path.read_bytes()).getvalue())


def test_what_a_killed_server_left_in_the_cache_is_removed_at_the_start(tmp_path: Path) -> None:
    child = "import sys; from pathlib import Path; from masklet.output import unfinished_path as new; "
    child += "new(Path(sys.argv[1])).touch()"
    (tmp_path / "medium").mkdir()
    subprocess.run([sys.executable, "-c", child, str(tmp_path / "medium" / "0.jpg")], check=True)
    assert len(list((tmp_path / "medium").iterdir())) == 1
    PictureCache(tmp_path, max_bytes=1000, is_gone=lambda _: False)
    assert list((tmp_path / "medium").iterdir()) == []
