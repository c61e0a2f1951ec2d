"""Files of other tools."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masklet.errors import DataError
from masklet.formats import import_masks
from masklet.formats.unpacking import DEFAULT_LIMITS, unpacked
from masklet.masks.convert import segmentation_mask
from tests.formats.material import SIZE, blob, read_back


def coco_of(images: list[dict[str, object]], annotations: list[dict[str, object]]) -> bytes:
    return json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "cup"}]}).encode()


SQUARE = {"segmentation": [[10, 10, 20, 10, 20, 20, 10, 20]], "category_id": 3}


def test_frames_are_found_by_the_numbers_in_their_names() -> None:
    images: list[dict[str, object]] = [{"id": f"i{n}", "file_name": f"some/shot-{n:04}.png"} for n in (5, 3)]
    data = coco_of(images, [{"id": 1, "image_id": "i5", **SQUARE}, {"id": 2, "image_id": "i3", **SQUARE}])
    found = import_masks({"a.json": data}, size_hw=SIZE, num_frames=6)
    assert sorted(read_back(found.masklets)) == [(3, 1), (5, 1)]
    assert found.masklets.objects[0].class_name == "cup"


def test_the_image_of_that_name_is_read_among_many() -> None:
    images: list[dict[str, object]] = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    data = coco_of(images, [{"id": 1, "image_id": 1, **SQUARE}, {"id": 2, "image_id": 2, **SQUARE}])
    found = import_masks({"x.json": data}, size_hw=SIZE, file_name="B.png")
    assert found.num_masks == 1
    with pytest.raises(DataError, match="none is called"):
        import_masks({"x.json": data}, size_hw=SIZE, file_name="c.png")


def test_masks_that_do_not_fit_are_skipped_and_listed() -> None:
    images: list[dict[str, object]] = [{"id": n, "file_name": f"{n}.jpg", "frame_index": n} for n in (0, 99)]
    annotations = [
        {"id": 1, "image_id": 0, **SQUARE},
        {"id": 2, "image_id": 99, **SQUARE},
        {"id": 3, "image_id": 0, **SQUARE, "segmentation": {"size": [4, 4], "counts": [16]}},
        {"id": 4, "image_id": 0, **SQUARE, "segmentation": {"size": list(SIZE), "counts": "zzzzzz~"}},
        {"id": 5, "image_id": 0, **SQUARE, "iscrowd": 1},
    ]
    found = import_masks({"x.json": coco_of(images, annotations)}, size_hw=SIZE, num_frames=6)
    assert found.num_masks == 1
    assert len(found.skipped) == 4


def damaged_zip() -> bytes:
    """Return a .zip whose compressed data are invalid."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("00001.png", b"a" * 4000)
    content = bytearray(buffer.getvalue())
    begin = content.index(b"00001.png") + len(b"00001.png")
    content[begin : begin + 4] = b"\xff" * 4
    return bytes(content)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no file was given"),
        ({"a.txt": b"hello"}, "nothing to import was found"),
        ({"a.zip": b"hello"}, "is not a .zip"),
        ({"a.zip": damaged_zip()}, "a.zip is not a .zip, or is damaged"),
        ({"a.json": b"{"}, "is not JSON"),
        ({"a.json": b"{}"}, "has no field 'images'"),
        ({"a.json": b"{}", "b.json": b"{}"}, "expected one .json"),
        ({"1.png": b"\x89PNG"}, "no mask fits this medium"),
    ],
)
def test_files_that_cannot_be_imported_are_refused(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        import_masks(files, size_hw=SIZE, num_frames=6)


def test_other_files_next_to_the_masks_are_ignored() -> None:
    png = io.BytesIO()
    Image.fromarray(blob(1).astype(np.uint8)).save(png, "PNG")
    found = import_masks({"00002.png": png.getvalue(), "objects.json": b"[1, 2]"}, size_hw=SIZE, num_frames=6)
    assert list(read_back(found.masklets)) == [(2, 1)]
    images: list[dict[str, object]] = [{"id": 0, "file_name": "0.jpg", "frame_index": 0}]
    document = json.loads(coco_of(images, [{"id": 1, "image_id": 0, **SQUARE}]))
    document["categories"] = ["cup", *document["categories"]]
    found = import_masks({"x.json": json.dumps(document).encode()}, size_hw=SIZE, num_frames=6)
    assert found.masklets.objects[0].class_name == "cup"


def test_a_mask_of_another_size_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masklet.masks.rle.np.repeat", lambda values, runs: pytest.fail("decoded"))
    with pytest.raises(DataError, match="the mask is 90000 x 80000"):
        segmentation_mask({"size": [80000, 90000], "counts": [80000 * 90000]}, SIZE)


def test_names_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        png = io.BytesIO()
        Image.fromarray(blob(1).astype(np.uint8)).save(png, "PNG")
        archive.writestr("../../../../../../tmp/masklet-evil/00002.png", png.getvalue())
    found = import_masks({"a.zip": buffer.getvalue()}, size_hw=SIZE, num_frames=6)
    assert list(read_back(found.masklets)) == [(2, 1)]
    assert not Path("/tmp/masklet-evil").exists()


def label_image(format: str, index: int = 1) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(blob(index).astype(np.uint8) * 255).save(buffer, format, lossless=True)  # WebP reads this
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("format", "suffix"),
    [
        *(("PNG", "png"), ("TIFF", "tif"), ("TIFF", "TIFF"), ("JPEG", "jpg"), ("JPEG", "jpeg"), ("BMP", "bmp")),
        *(("WEBP", "webp"), ("GIF", "gif")),
    ],
)
def test_a_zip_is_read_like_the_folder(tmp_path: Path, format: str, suffix: str) -> None:
    files = {f"masks/00002.{suffix}": label_image(format), "masks/00003." + suffix: label_image(format, 2)}
    (tmp_path / "masks").mkdir()
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    of_folder = import_masks(tmp_path, size_hw=SIZE, num_frames=6)
    of_zip = import_masks({"a.zip": zipped(files)}, size_hw=SIZE, num_frames=6)
    assert set(read_back(of_zip.masklets)) == {(2, 1), (3, 1)}
    for key, mask in read_back(of_folder.masklets).items():
        np.testing.assert_array_equal(read_back(of_zip.masklets)[key], mask)


def test_what_macos_adds_to_a_zip_is_left_out() -> None:
    files = {"00002.png": label_image("PNG"), "__MACOSX/00003.png": b"\0\5", "._00002.png": b"\0\5"}
    imported = import_masks({"a.zip": zipped(files)}, size_hw=SIZE, num_frames=6)
    assert list(read_back(imported.masklets)) == [(2, 1)]
    assert not imported.skipped


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"a.zip": {"x:1/00002.png": 1, "x?1/00002.png": 2}}, ("x:1/00002.png in a.zip", "x?1/00002.png in a.zip")),
        ({"a.zip": {"00002.png": 1}, "b.zip": {"00002.png": 2}}, ("00002.png in a.zip", "00002.png in b.zip")),
        ({"00002.png": 1, "../00002.png": 2}, ("00002.png", "../00002.png")),
        ({"a.zip": {"1.png": 1, "1.png/00002.png": 2}}, ("1.png in a.zip", "1.png/00002.png in a.zip")),
        ({"a.zip": {"1.png/00002.png": 1, "1.png": 2}}, ("1.png in a.zip",)),
        ({"1.png": 1, "1.png/00002.png": 2}, ("1.png", "1.png/00002.png")),
    ],
)
def test_files_that_come_to_one_name_are_refused(files: dict[str, Any], names: tuple[str, ...]) -> None:
    content = {
        name: zipped({inner: label_image("PNG", index) for inner, index in value.items()})
        if isinstance(value, dict)
        else label_image("PNG", value)
        for name, value in files.items()
    }
    with pytest.raises(DataError) as caught:
        import_masks(content, size_hw=SIZE, num_frames=6)
    assert all(name in str(caught.value) for name in names)
    assert "rename" in str(caught.value)


@pytest.mark.parametrize("prefix", ["a/b/c/d/e/f/g/h/", "\u68ee" * 80 + "/", "x" * 200 + "/"])
def test_deep_and_long_folders_keep_objects_apart(prefix: str) -> None:
    files = {
        f"{prefix}1/i/j/k/l/m/00002.png": label_image("PNG"),
        f"{prefix}2/i/j/k/l/m/00002.png": label_image("PNG", 2),
    }
    with unpacked({"a.zip": zipped(files)}, DEFAULT_LIMITS) as folder:
        assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png")) == sorted(files)
    with pytest.raises(DataError, match="lies 40 folders deep: at most 32 are read"):
        import_masks({"a.zip": zipped({"d/" * 40 + "00002.png": b""})}, size_hw=SIZE)


def test_documents_with_a_capital_suffix_are_read() -> None:
    images: list[dict[str, object]] = [{"id": 0, "file_name": "0.jpg", "frame_index": 0}]
    content = coco_of(images, [{"id": 1, "image_id": 0, **SQUARE}])
    assert import_masks({"a.zip": zipped({"LABELS.JSON": content})}, size_hw=SIZE, num_frames=6).num_masks == 1
