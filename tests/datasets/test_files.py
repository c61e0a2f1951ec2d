"""Files of images and masks: their headers say what their pixels turn out to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from masklet.datasets.files import IndexedMask, check_sizes, decode_rgb, header_size_hw
from masklet.media.images import read_image

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description tiff:Orientation="{}" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/></rdf:RDF></x:xmpmeta>'
)


def in_exif(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def in_xmp(orientation: int) -> dict[str, Any]:
    return {"xmp": XMP.format(orientation).encode()}


def in_text(orientation: int) -> dict[str, Any]:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.format(orientation))
    return {"pnginfo": text}


def in_tag(orientation: int) -> dict[str, Any]:
    return {"tiffinfo": {0x0112: orientation}}


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("jpg", in_exif),
        ("jpg", in_xmp),
        ("png", in_exif),
        ("png", in_text),
        ("webp", in_exif),
        ("webp", in_xmp),
        ("tif", in_tag),
    ],
)
def test_header_sizes_respect_every_kind_of_orientation_tag(
    suffix: str, options: Callable[[int], dict[str, Any]], orientation: int, tmp_path: Path
) -> None:
    path = tmp_path / f"photo.{suffix}"
    stored = np.zeros((8, 16, 3), np.uint8)
    stored[:, :8] = 255
    Image.fromarray(stored).save(path, **options(orientation))
    upright = {1: stored, 3: stored[::-1, ::-1], 6: np.rot90(stored, -1)}[orientation]
    assert header_size_hw(path) == upright.shape[:2]
    for rgb in (read_image(path), decode_rgb(path.read_bytes(), str(path))):
        assert rgb.shape == upright.shape
        assert np.abs(rgb.astype(int) - upright).max() < 40  # a JPEG is not exact


def test_a_png_is_not_decoded_for_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (16, 8)).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    assert header_size_hw(tmp_path / "photo.png") == (8, 16)


def test_a_mask_is_compared_as_it_is_read(tmp_path: Path) -> None:
    """Masks are numbers by place in the file: an orientation in one would be another picture's, left behind."""
    Image.new("RGB", (16, 8)).save(tmp_path / "photo.png")
    Image.new("L", (16, 8), 1).save(tmp_path / "mask.png", **in_exif(6))
    mask = IndexedMask(tmp_path / "mask.png")
    check_sizes(tmp_path / "photo.png", mask)
    assert mask.read().size_hw == (8, 16)
