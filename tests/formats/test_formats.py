"""What is written can be read again, to the pixel where the format can hold it."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from masklet.datasets.jsonfile import segmentation_mask
from masklet.errors import ConfigError, DataError, OutputError
from masklet.formats import FORMATS, Cancelled, export_masks, import_masks
from masklet.masks.operations import decode_rle
from masklet.media.images import read_image
from masklet.media.source import ArraySource
from masklet.records import BoolArray
from masklet.tracking.masklets import LabelledMedium, Masklets, ObjectInfo

SIZE = (37, 51)
OBJECTS = (ObjectInfo(1, "Anna", "person", (255, 0, 0)), ObjectInfo(7, "", "dog"))


def blob(seed: int) -> BoolArray:
    """Pieces, holes, and pixels at the border."""
    mask: BoolArray = np.random.default_rng(seed).random((SIZE[0] // 3 + 1, SIZE[1] // 3 + 1)) > 0.6
    return np.ascontiguousarray(np.kron(mask, np.ones((3, 3), np.bool_))[: SIZE[0], : SIZE[1]])


def clip_masks(*, overlap: bool) -> dict[int, dict[int, BoolArray]]:
    """Five frames; object 7 is absent on frame 3, and of frame 4 nothing is known."""
    masks = {}
    for index in (0, 1, 2, 3, 5):
        first, second = blob(index), blob(index + 50)
        if index == 3:
            second = np.zeros(SIZE, np.bool_)
        masks[index] = {1: first, 7: second if overlap else second & ~first}
    return masks


def medium_of(masks: dict[int, dict[int, BoolArray]], *, is_image: bool = False, name: str = "clip") -> LabelledMedium:
    frames = np.random.default_rng(0).integers(0, 255, (1 if is_image else 6, *SIZE, 3), dtype=np.uint8)
    return LabelledMedium(name, ArraySource(frames, fps=10), Masklets.of_masks(masks, OBJECTS), is_image, f"{name}.jpg")


def present(masks: dict[int, dict[int, BoolArray]]) -> dict[tuple[int, int], BoolArray]:
    return {
        (index, object_id): mask for index, known in masks.items() for object_id, mask in known.items() if mask.any()
    }


def read_back(masklets: Masklets) -> dict[tuple[int, int], BoolArray]:
    return {(row.frame_index, row.object_id): row.mask for index in masklets.span() for row in masklets.at(index)}


def assert_same(found: dict[tuple[int, int], BoolArray], expected: dict[tuple[int, int], BoolArray]) -> None:
    assert found.keys() == expected.keys()
    for key, mask in expected.items():
        assert np.array_equal(found[key], mask), key


@pytest.mark.parametrize(
    ("format_id", "out", "options", "overlap"),
    [
        ("coco", "a.json", {}, True),
        ("coco", "a.json", {"segmentation": "polygons"}, True),
        ("png", "masks", {"layout": "objects"}, True),
        ("png", "masks.zip", {"layout": "indexed"}, False),
        ("png", "masks.zip", {"layout": "both"}, False),
        ("davis", "davis", {}, False),
        ("davis", "davis.zip", {"frames": False}, False),
        ("sa-v", "clip_manual.json", {"step": 1}, True),
    ],
)
def test_what_is_written_comes_back_to_the_pixel(
    tmp_path: Path, format_id: str, out: str, options: dict[str, object], overlap: bool
) -> None:
    masks = clip_masks(overlap=overlap)
    written = export_masks(format_id, [medium_of(masks)], tmp_path / out, options)
    assert written.num_masks == len(present(masks))
    found = import_masks(tmp_path / out, size_hw=SIZE, num_frames=6)
    assert found.skipped == ()
    assert_same(read_back(found.masklets), present(masks))
    named = {one.object_id: (one.name, one.class_name) for one in found.masklets.objects}
    assert named == {1: ("Anna", "person"), 7: ("", "dog")}


@pytest.mark.parametrize(
    ("format_id", "out", "options"),
    [("coco", "a.json", {}), ("png", "masks.zip", {"layout": "objects"}), ("png", "masks", {})],
)
def test_an_image_comes_back_too(tmp_path: Path, format_id: str, out: str, options: dict[str, object]) -> None:
    masks = {0: {1: blob(1), 7: blob(2) & ~blob(1)}}
    export_masks(format_id, [medium_of(masks, is_image=True, name="photo")], tmp_path / out, options)
    found = import_masks(tmp_path / out, size_hw=SIZE, file_name="photo.jpg")
    assert_same(read_back(found.masklets), present(masks))


def test_an_indexed_png_says_that_it_cannot_hold_overlap_and_the_smaller_object_wins(tmp_path: Path) -> None:
    large, small = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    large[2:30, 2:40], small[10:20, 10:20] = True, True
    written = export_masks("png", [medium_of({0: {1: small, 7: large}})], tmp_path / "masks")
    assert "the smaller one is on top" in written.notes[0]
    ids = np.asarray(Image.open(tmp_path / "masks" / "00000.png"))
    assert (ids[small] == 1).all()
    assert (ids[large & ~small] == 7).all()


def test_sav_has_every_fourth_frame_and_says_which_nobody_tracked(tmp_path: Path) -> None:
    written = export_masks("sa-v", [medium_of(clip_masks(overlap=True))], tmp_path / "clip_manual.json")
    document = json.loads((tmp_path / "clip_manual.json").read_text())
    assert len(document["masklet"]) == 2  # frames 0 and 4
    assert "not tracked" in written.notes[0]
    assert document["masklet_id"] == [0, 6]


def test_coco_is_what_pycocotools_reads(tmp_path: Path) -> None:
    masks = clip_masks(overlap=True)
    export_masks("coco", [medium_of(masks)], tmp_path / "a.json", classes=["cat", "dog"])
    document = json.loads((tmp_path / "a.json").read_text())
    assert [one["name"] for one in document["categories"]] == ["cat", "dog", "person"]
    assert [one["frame_index"] for one in document["images"]] == [0, 1, 2, 3, 5]
    for one in document["annotations"]:
        mask = masks[one["frame_index"]][one["track_id"]]
        assert np.array_equal(decode_rle(one["segmentation"]), mask)
        assert one["area"] == np.count_nonzero(mask)
        left, top, width, height = (int(side) for side in one["bbox"])
        assert mask[top : top + height, left : left + width].sum() == one["area"]
        assert one["category_id"] == {1: 3, 7: 2}[one["track_id"]]


def test_several_media_go_into_one_file(tmp_path: Path) -> None:
    media = [medium_of(clip_masks(overlap=True)), medium_of({0: {1: blob(9)}}, is_image=True, name="photo")]
    export_masks("coco", media, tmp_path / "all.json")
    images = json.loads((tmp_path / "all.json").read_text())["images"]
    assert len({one["id"] for one in images}) == 6
    assert images[-1]["file_name"] == "photo.jpg"
    with pytest.raises(DataError, match="different names"):
        export_masks("coco", [media[0], media[0]], tmp_path / "twice.json")


def rasterised(line: str) -> BoolArray:
    """A polygon of YOLO, filled by COCO's tools."""
    numbers = np.array(line.split()[1:], np.float64).reshape(-1, 2) * [SIZE[1], SIZE[0]]
    (rle,) = coco_mask.frPyObjects([numbers.ravel().tolist()], *SIZE)
    filled: BoolArray = decode_rle(rle)
    return filled


def test_yolo_polygons_cover_what_they_should(tmp_path: Path) -> None:
    masks = clip_masks(overlap=True)
    export_masks("yolo-segment", [medium_of(masks)], tmp_path / "y.zip", {"tolerance": 0}, classes=["dog", "person"])
    with zipfile.ZipFile(tmp_path / "y.zip") as archive:
        lines = archive.read("labels/all/clip_000000.txt").decode().splitlines()
        assert read_image(archive.read("images/all/clip_000005.jpg")).shape == (*SIZE, 3)
        assert "labels/all/clip_000004.txt" not in archive.namelist()  # of which nothing is known
        assert '0: "dog"\n  1: "person"' in archive.read("data.yaml").decode()
    assert [line.split()[0] for line in lines] == ["1", "0"]
    for line, object_id in zip(lines, (1, 7), strict=True):
        wrong = rasterised(line) ^ masks[0][object_id]
        assert wrong.mean() < 0.02  # six digits, and seams between pieces


def test_yolo_boxes_are_tight(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, np.bool_)
    mask[10:20, 5:31] = True
    export_masks("yolo-boxes", [medium_of({0: {1: mask}}, is_image=True)], tmp_path / "y", {"images": False})
    numbers = np.array((tmp_path / "y/labels/all/clip.txt").read_text().split()[1:], float)
    assert numbers * [51, 37, 51, 37] == pytest.approx([18, 15, 26, 10], abs=1e-3)


def test_the_table_has_a_row_for_each_object_and_frame(tmp_path: Path) -> None:
    masks = clip_masks(overlap=True)
    export_masks("csv", [medium_of(masks)], tmp_path / "t.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8-sig"))))
    assert len(rows) == 10
    first, absent = rows[0], rows[7]
    ys, xs = np.nonzero(masks[0][1])
    assert int(first["area_px"]) == len(ys)
    assert float(first["center_x"]) == pytest.approx(xs.mean() + 0.5, abs=0.01)
    assert (int(first["box_right"]), first["class"], first["time_s"]) == (xs.max() + 1, "person", "0.0000")
    assert (absent["object_id"], absent["area_px"], absent["box_left"]) == ("7", "0", "")
    assert rows[-1]["time_s"] == "0.5000"


def test_names_are_no_formulas(tmp_path: Path) -> None:
    masklets = Masklets.of_masks({0: {1: blob(1)}}, [ObjectInfo(1, "=HYPERLINK(1)")])
    medium = LabelledMedium("clip", medium_of({}).source, masklets)
    export_masks("csv", [medium], tmp_path / "t.csv")
    assert "'=HYPERLINK" in (tmp_path / "t.csv").read_text(encoding="utf-8-sig")


def test_an_animated_gif_and_a_cut_out(tmp_path: Path) -> None:
    export_masks("gif", [medium_of(clip_masks(overlap=True))], tmp_path / "a.gif", {"width": 40})
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.size == (40, 29)
        assert getattr(picture, "n_frames", 1) == 6
    mask = np.zeros(SIZE, np.bool_)
    mask[10:30, 10:40] = True
    export_masks("cutout", [medium_of({0: {1: mask}}, is_image=True)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        alpha = np.asarray(picture)[:, :, 3]
    assert (alpha[15:25, 15:35] == 255).all()
    assert not alpha[:5].any()


def test_only_what_was_accepted_or_chosen(tmp_path: Path) -> None:
    medium = medium_of(clip_masks(overlap=True))
    with pytest.raises(DataError, match="object 3 is unknown: known are 1, 7"):
        medium.masklets.only([3])
    some = LabelledMedium("clip", medium.source, medium.masklets.only([7]))
    assert export_masks("coco", [some], tmp_path / "a.json").num_masks == 4
    accepted = LabelledMedium("clip", medium.source, medium.masklets.only(accepted=True))
    with pytest.raises(DataError, match="that was accepted"):
        export_masks("coco", [accepted], tmp_path / "b.json")


@pytest.mark.parametrize(
    ("format_id", "out", "options", "error", "message"),
    [
        ("coca", "a.json", {}, ConfigError, "choose from coco, png"),
        ("coco", "a.txt", {}, OutputError, "written to a .json file"),
        ("coco", "a.json", {"segmentation": "circles"}, ConfigError, "must be rle, polygons"),
        ("coco", "a.json", {"tolerance": True}, ConfigError, "must be from 0 to 20"),
        ("coco", "a.json", {"nothing": 1}, ConfigError, "unknown 'nothing'"),
        ("png", "a.png", {}, OutputError, "give a folder or a .zip"),
        ("cutout", "a.png", {}, DataError, "is a video, and Cut-out PNG is not for those"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, format_id: str, out: str, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        export_masks(format_id, [medium_of(clip_masks(overlap=True))], tmp_path / out, options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("format_id", "out"),
    [("coco", "a.json"), ("png", "p.zip"), ("png", "p"), ("csv", "t.csv"), ("gif", "a.gif"), ("yolo-segment", "y")],
)
def test_who_cancels_finds_nothing(tmp_path: Path, format_id: str, out: str) -> None:
    asked = iter([False, False, True, True, True, True, True])
    with pytest.raises(Cancelled):
        export_masks(format_id, [medium_of(clip_masks(overlap=True))], tmp_path / out, cancelled=lambda: next(asked))
    assert not list(tmp_path.iterdir())


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    masklets = Masklets.of_masks({0: {1: np.ones((4, 4), np.bool_)}})
    with pytest.raises(DataError, match="is 4 x 4, the medium 51 x 37"):
        export_masks("coco", [LabelledMedium("clip", medium_of({}).source, masklets)], tmp_path / "a.json")


def test_every_format_describes_itself() -> None:
    for one in FORMATS.values():
        described = json.loads(json.dumps(one.to_dict()))
        assert set(described["for"]) <= {"image", "video"}
        for option in described["options"]["properties"].values():
            assert {"title", "type", "default"} <= set(option)


# Foreign files


def coco_of(images: list[dict[str, object]], annotations: list[dict[str, object]]) -> bytes:
    return json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "cup"}]}).encode()


SQUARE = {"segmentation": [[10, 10, 20, 10, 20, 20, 10, 20]], "category_id": 3}


def test_frames_are_found_by_the_numbers_in_their_names() -> None:
    images: list[dict[str, object]] = [{"id": f"i{n}", "file_name": f"some/shot-{n:04}.png"} for n in (5, 3)]
    data = coco_of(images, [{"id": 1, "image_id": "i5", **SQUARE}, {"id": 2, "image_id": "i3", **SQUARE}])
    found = import_masks({"a.json": data}, size_hw=SIZE, num_frames=6)
    assert sorted(read_back(found.masklets)) == [(3, 1), (5, 1)]
    assert found.masklets.objects[0].class_name == "cup"


def test_of_many_images_the_one_of_that_name_counts() -> None:
    images: list[dict[str, object]] = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    data = coco_of(images, [{"id": 1, "image_id": 1, **SQUARE}, {"id": 2, "image_id": 2, **SQUARE}])
    found = import_masks({"x.json": data}, size_hw=SIZE, file_name="B.png")
    assert found.num_masks == 1
    with pytest.raises(DataError, match="none is called"):
        import_masks({"x.json": data}, size_hw=SIZE, file_name="c.png")


def test_what_does_not_fit_is_passed_over_and_named() -> None:
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
    """One whose deflated data are not."""
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
        ({"a.zip": b"hello"}, "is no .zip"),
        ({"a.zip": damaged_zip()}, "a.zip is no .zip, or is damaged"),
        ({"a.json": b"{"}, "is not JSON"),
        ({"a.json": b"{}"}, "has no field 'images'"),
        ({"a.json": b"{}", "b.json": b"{}"}, "expected one .json"),
        ({"1.png": b"\x89PNG"}, "no mask fits this medium"),
    ],
)
def test_what_cannot_be_imported(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        import_masks(files, size_hw=SIZE, num_frames=6)


def test_what_else_lies_beside_the_masks_does_no_harm() -> None:
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
    monkeypatch.setattr("masklet.datasets.jsonfile.decode_rle", lambda rle: pytest.fail("decoded"))
    with pytest.raises(DataError, match="here: the mask is 90000 x 80000"):
        segmentation_mask({"size": [80000, 90000], "counts": [80000 * 90000]}, SIZE, "here")


def test_names_in_a_zip_lead_nowhere(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        png = io.BytesIO()
        Image.fromarray(blob(1).astype(np.uint8)).save(png, "PNG")
        archive.writestr("../../../../../../tmp/masklet-evil/00002.png", png.getvalue())
    found = import_masks({"a.zip": buffer.getvalue()}, size_hw=SIZE, num_frames=6)
    assert list(read_back(found.masklets)) == [(2, 1)]
    assert not Path("/tmp/masklet-evil").exists()
