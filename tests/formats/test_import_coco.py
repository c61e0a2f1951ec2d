"""COCO files of other tools, as an import and as a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masklet.datasets import open_dataset
from masklet.datasets.check import check_dataset
from masklet.errors import DataError
from masklet.formats import import_masks
from masklet.formats.importing import Imported
from masklet.masks.rle import encode_rle, run_lengths
from tests.formats.coco_tools import FIRST, POLYGON, SECOND, SIZE, TOOLS, cvat, pycocotools, square
from tests.formats.material import read_back


def imported(document: dict[str, Any], file_name: str = "pets/a.jpg", num_frames: int = 1) -> Imported:
    files = {"x.json": json.dumps(document).encode()}
    return import_masks(files, size_hw=SIZE, num_frames=num_frames, file_name=file_name)


def save_image(path: Path, size_hw: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size_hw, 3), 90, np.uint8)).save(path)


@pytest.mark.parametrize("tool", TOOLS)
def test_files_of_every_tool_are_imported(tool: str) -> None:
    found = imported(TOOLS[tool]())
    masks = read_back(found.masklets)
    assert masks.keys() == {(0, 1), (0, 2)}
    assert (masks[0, 1] == FIRST).all()
    assert (masks[0, 2] == SECOND).all()
    assert [info.class_name for info in found.masklets.objects] == ["cat", "dog"]
    assert not found.skipped
    assert any("iscrowd" in note for note in found.notes) == (tool in ("cvat", "coco_annotator", "supervisely",
                                                                       "brush_only"))  # fmt: skip


@pytest.mark.parametrize("tool", TOOLS)
def test_files_of_every_tool_are_data_sets(tool: str, tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "a.jpg")
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(TOOLS[tool]()))
    for root in (tmp_path, path):
        (example,) = open_dataset(root, "coco").images
        labels = example.read()[1]
        assert labels.areas() == {1: 100, 2: 100}
        assert labels.void is None
        report = check_dataset(open_dataset(root, "coco", verify=False))
        assert not report.has_errors
        assert sum(counts.objects for counts in report.sources.values()) == 2


def test_the_colours_and_names_of_coco_annotator() -> None:
    found = imported(TOOLS["coco_annotator"]())
    assert found.classes == {"cat": (224, 64, 160), "dog": (0, 255, 0)}
    assert found.masklets.objects[0].name == "Tom"


@pytest.mark.parametrize("info", [{}, {"description": "COCO 2017 Dataset", "url": "http://cocodataset.org"}])
def test_crowds_of_coco_stay_crowds(info: dict[str, str], tmp_path: Path) -> None:
    document = pycocotools() | {"info": info}
    document["annotations"][1] |= {"iscrowd": 1, "segmentation": {"size": list(SIZE), "counts": run_lengths(SECOND)}}
    found = imported(document)
    assert read_back(found.masklets).keys() == {(0, 1)}
    assert "annotation 2: a crowd is not an object" in found.skipped[0]
    save_image(tmp_path / "a.jpg")
    (tmp_path / "x.json").write_text(json.dumps(document))
    labels = open_dataset(tmp_path, "coco").images[0].read_labels()
    assert labels.areas() == {1: 100}
    assert labels.void is not None
    assert (labels.void == SECOND).all()


def test_a_file_of_crowds_of_coco_alone_has_no_objects() -> None:
    document = TOOLS["brush_only"]() | {"info": {"url": "https://cocodataset.org"}}
    with pytest.raises(DataError, match=r"no mask fits this medium: .* a crowd is not an object"):
        imported(document)


def of_two_images(*names: str, **fields: Any) -> dict[str, Any]:
    """Return a file with the first mask on the first image, and the second on the second."""
    return {
        "images": [{"id": row, "file_name": name, **fields} for row, name in enumerate(names)],
        "annotations": [
            {"id": row, "image_id": row, "category_id": 1, "segmentation": encode_rle(mask)}
            for row, mask in enumerate((FIRST, SECOND)[: len(names)])
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }


@pytest.mark.parametrize(
    ("names", "file_name"),
    [
        (("cam1/000001.jpg", "cam2/000001.jpg"), "/data/cam2/000001.jpg"),
        (("cam2/000001.jpg", "cam1/000001.jpg"), "/data/cam1/000001.png"),
        (("C:\\set\\cam1\\1.jpg", "C:\\set\\cam2\\1.jpg"), "cam2/1.jpg"),
        (("1.png", "1.jpg"), "1.jpg"),
        (("11.jpg", "1.jpg"), "1.jpg"),
    ],
)
def test_the_image_with_the_longest_equal_path_is_read(names: tuple[str, str], file_name: str) -> None:
    assert (read_back(imported(of_two_images(*names), file_name).masklets)[0, 1] == SECOND).all()


def test_images_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 images that may be '1\.jpg': cam1/1\.jpg, cam2/1\.jpg"):
        imported(of_two_images("cam1/1.jpg", "cam2/1.jpg"), "1.jpg")
    with pytest.raises(DataError, match="2 images that may be"):
        imported(of_two_images("a.jpg", "a.jpg"))
    with pytest.raises(DataError, match=r"none is called 'z\.jpg'"):
        imported(of_two_images("a.jpg", "b.jpg"), "z.jpg")


def test_an_image_of_another_name_is_taken_only_alone_and_said() -> None:
    found = imported(of_two_images("other.jpg"), "z.jpg")
    assert "other.jpg: taken for z.jpg" in found.notes[0]


def test_one_stem_in_two_folders_of_a_data_set(tmp_path: Path) -> None:
    document = of_two_images("/home/me/cam1/000001.jpg", "/home/me/cam2/000001.jpg", height=SIZE[0], width=SIZE[1])
    for folder in ("cam1", "cam2"):
        save_image(tmp_path / "pictures" / folder / "000001.jpg")
    (tmp_path / "x.json").write_text(json.dumps(document))
    first, second = open_dataset(tmp_path, "coco").images
    assert (first.read_labels().mask(1) == FIRST).all()
    assert (second.read_labels().mask(1) == SECOND).all()
    assert [image.image_path.parent.name for image in (first, second)] == ["cam1", "cam2"]  # type: ignore[attr-defined]
    (tmp_path / "pictures/cam1/000001.jpg").unlink()
    with pytest.raises(DataError, match=r"cam2/000001\.jpg and .*cam1/000001\.jpg both lead to|both lead to"):
        open_dataset(tmp_path, "coco")


def test_an_image_that_may_be_one_of_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(of_two_images("1.jpg")))
    for folder in ("b/cam1", "b/cam2"):
        save_image(tmp_path / folder / "1.jpg")
    with pytest.raises(DataError, match=r"1\.jpg may be .*cam1/1\.jpg, .*cam2/1\.jpg"):
        open_dataset(tmp_path, "coco")


def of_video(names: list[str], fields: list[dict[str, Any]], **image: Any) -> dict[str, Any]:
    """Return a file with one annotation on each image, at another place each."""
    return {
        "images": [{"id": row, "file_name": name, **image} for row, name in enumerate(names)],
        "annotations": [
            {"id": row, "image_id": row, "category_id": 1, "segmentation": encode_rle(square(row, row)), **more}
            for row, more in enumerate(fields)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }


FRAMES = [f"frame_{number:06d}.PNG" for number in range(4)]


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ([{"attributes": {"track_id": 0, "keyframe": True}}] * 4, [1, 1, 1, 1]),
        ([{"attributes": {"track_id": number}} for number in (7, 3, 7, 3)], [7, 3, 7, 3]),
        ([{"track_id": "dog-9"}, {"track_id": "cat"}] * 2, [1, 2, 1, 2]),
        ([{"instance_id": 2.0}, {"instance_id": "2"}] * 2, [2, 2, 2, 2]),
        ([{"object_id": 5, "track_id": 1}] * 4, [5, 5, 5, 5]),
        ([{"track_id": 10**15}] * 4, [1, 1, 1, 1]),
        ([{"attributes": {"track_id": 4}}, {}, {"attributes": {"track_id": 4}}, {}], [4, 5, 4, 6]),
        ([{"track_id": -1}] * 4, [1, 1, 1, 1]),  # no ids; one class
    ],
)
def test_objects_of_a_video_keep_their_tracks(fields: list[dict[str, Any]], ids: list[int]) -> None:
    found = imported(of_video(FRAMES, fields), "clip.mp4", 4)
    assert [(frame, object_id) for frame, object_id in sorted(read_back(found.masklets))] == list(enumerate(ids))
    assert found.has_ids == ("track_id" not in fields[0] or fields[0]["track_id"] != -1)


def test_identity_by_order_is_said() -> None:
    document = of_video(FRAMES[:2], [{}, {}])
    found = imported(document, "clip.mp4", 4)
    assert "no frame has two objects of one category" in found.notes[0]
    document["annotations"].append(document["annotations"][0] | {"id": 9, "segmentation": encode_rle(square(30, 20))})
    found = imported(document, "clip.mp4", 4)
    assert not found.has_ids
    assert "numbered in the file's order" in found.notes[0]


@pytest.mark.parametrize(
    ("names", "image"),
    [
        (["cam1/1.jpg", "cam1/2.jpg", "cam2/1.jpg", "cam2/2.jpg"], {}),
        (["cam1_000001.jpg", "cam1_000002.jpg", "cam2_000001.jpg", "cam2_000002.jpg"], {}),
        (["set/cam1/images/1.jpg", "set/cam1/images/2.jpg", "set/cam2/images/1.jpg", "set/cam2/images/2.jpg"], {}),
    ],
)
def test_a_video_is_found_among_several(names: list[str], image: dict[str, Any]) -> None:
    document = of_video(names, [{"track_id": 1}] * 4, **image)
    for name, rows in (("cam1.mp4", (0, 1)), ("/data/cam2", (2, 3))):
        masks = read_back(imported(document, name, 3).masklets)
        expected = {(frame, 1): square(row, row) for frame, row in zip((1, 2), rows, strict=True)}
        assert masks.keys() == expected.keys()
        assert all((masks[key] == expected[key]).all() for key in masks)
    with pytest.raises(DataError, match=r"images of 2 videos \(.*cam1.*, .*cam2.*\), and which one is 'other\.mp4'"):
        imported(document, "other.mp4", 3)


def test_videos_that_are_listed_are_told_apart() -> None:
    document = of_video(FRAMES, [{"instance_id": 3}] * 4)
    document["videos"] = [{"id": 1, "name": "cam1"}, {"id": 2, "name": "cam2"}]
    for row, image in enumerate(document["images"]):
        image |= {"video_id": 1 + row // 2, "frame_id": row % 2}
    masks = read_back(imported(document, "cam2.mp4", 2).masklets)
    assert masks.keys() == {(0, 3), (1, 3)}
    assert (masks[1, 3] == square(3, 3)).all()


def test_frames_without_numbers() -> None:
    document = of_video(["b.jpg", "a.jpg"], [{"track_id": 1}] * 2)
    found = imported(document, "clip.mp4", 2)
    assert "matched in order" in found.notes[0]
    with pytest.raises(DataError, match="does not say which frames its 2 images are, and the medium has 5"):
        imported(document, "clip.mp4", 5)


def test_parts_of_one_object_are_joined() -> None:
    document = pycocotools()
    for annotation in document["annotations"]:
        annotation["track_id"] = 4
    document["images"].append({"id": 2, "file_name": "frame_1.jpg"})
    document["images"][0]["file_name"] = "frame_0.jpg"
    masks = read_back(imported(document, "clip.mp4", 2).masklets)
    assert (masks[0, 4] == FIRST | SECOND).all()


def test_scores_and_accepted_masks_are_kept() -> None:
    document = pycocotools()
    document["annotations"][0] |= {"score": 0.75, "confidence": 0.5, "accepted": True}
    document["annotations"][1] |= {"score": 98, "attributes": {"accepted": True}}
    first, second = imported(document).masklets.at(0)
    assert (first.iou_prediction, first.confidence, first.accepted) == (0.75, 0.5, True)
    assert (second.iou_prediction, second.accepted) == (1.0, True)


def test_holes_parts_and_what_has_no_mask() -> None:
    document = pycocotools()
    parts = [POLYGON, [30, 25, 40, 25, 40, 35, 30, 35]]
    document["annotations"] = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": parts},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [], "bbox": [40, 2, 5, 5]},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [40, 2, 5, 5]},
        {"id": 4, "image_id": 1, "category_id": 1, "segmentation": None},
        {"id": 5, "image_id": 1, "category_id": 99, "segmentation": [[1, 2, 3]]},
    ]
    found = imported(document)
    assert (read_back(found.masklets)[0, 1] == FIRST | square(30, 25)).all()
    assert [("it has no mask" in line) for line in found.skipped] == [True, True, True, False]
    assert "annotation 5: a polygon needs" in found.skipped[3]


def test_a_box_without_a_mask_is_void_in_a_data_set(tmp_path: Path) -> None:
    document = pycocotools()
    document["annotations"][1] = {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [], "bbox": [40, 2, 5, 6]}
    save_image(tmp_path / "a.jpg")
    (tmp_path / "x.json").write_text(json.dumps(document))
    void = open_dataset(tmp_path, "coco").images[0].read_labels().void
    assert void is not None
    assert void.sum() == 30


def test_the_orientation_that_a_tool_has_ignored_is_named(tmp_path: Path) -> None:
    document = cvat()
    document["images"][0] |= {"width": SIZE[0], "height": SIZE[1]}
    with pytest.raises(DataError, match="ignored the orientation in its EXIF data"):
        imported(document)
    save_image(tmp_path / "a.jpg")
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="ignored the orientation"):
        open_dataset(tmp_path, "coco")


@pytest.mark.parametrize("size", [{}, {"width": 0, "height": 0}, {"width": None, "height": None}])
def test_images_without_a_size_have_that_of_their_file(size: dict[str, Any], tmp_path: Path) -> None:
    document = cvat()
    del document["images"][0]["width"], document["images"][0]["height"]
    document["images"][0] |= size
    assert imported(document).num_masks == 2
    save_image(tmp_path / "a.jpg")
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert open_dataset(tmp_path, "coco", verify=False).images[0].read_labels().size_hw == SIZE


DAMAGE: list[tuple[Any, str]] = [
    (lambda d: d | {"categories": 5}, r"x\.json: categories must be a list, got 5"),
    (lambda d: d | {"categories": {"a": 1}}, r"categories must be a list, got an object"),
    (lambda d: d | {"images": {}}, "images must be a list, got an object"),
    (lambda d: d | {"images": [5]}, r"images\[0\] must be an object, got 5"),
    (lambda d: d | {"annotations": "x"}, "annotations must be a list, got 'x'"),
    (lambda d: d | {"annotations": [[]]}, r"annotations\[0\] must be an object, got a list"),
    (lambda d: d["images"][0].update(id=[1]), r"images\[0\]\.id must be an id: a whole number or a text, got a list"),
    (lambda d: d["images"][0].update(id=None), r"images\[0\] has no field 'id'"),
    (lambda d: d["images"][0].update(file_name=5), r"images\[0\]\.file_name must be a text, got 5"),
    (lambda d: d["images"][0].update(width=float("nan")), r"images\[0\]\.width must be a whole number"),
    (lambda d: d["images"][0].update(width=2**70), r"images\[0\]\.width must be a whole number from 1 to 1000000"),
    (lambda d: d["images"].append(d["images"][0]), r"images\[1\]: the id 1 is that of a\.jpg already"),
    (lambda d: d["annotations"][0].update(image_id={"a": 1}), r"annotations\[0\]\.image_id must be an id"),
    (lambda d: d["annotations"][0].update(image_id=float("inf")), r"annotations\[0\]\.image_id must be an id"),
    (lambda d: d["annotations"][0].update(image_id=2**64), r"image_id must be an id"),
    (lambda d: d["annotations"][0].update(image_id=99), r"x\.json: it has annotations of image 99, which it does not"),
    (lambda d: d["annotations"][0].update(category_id=[]), r"annotations\[0\]\.category_id must be an id"),
    (lambda d: d["annotations"][0].update(iscrowd=[1]), r"annotations\[0\]\.iscrowd must be 0 or 1, got a list"),
    (lambda d: d["annotations"][0].update(bbox=[1, 2]), r"bbox must be four numbers"),
    (lambda d: d["annotations"][0].update(track_id=[1]), r"track_id must be an id"),
    (lambda d: d["categories"][0].update(id=[1]), r"categories\[0\]\.id must be an id"),
    (lambda d: [d], r"x\.json must be an object, got a list"),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGE)
def test_damage_is_one_line_with_file_and_place(damage: Any, problem: str, tmp_path: Path) -> None:
    document: Any = cvat()
    changed = damage(document)
    document = changed if isinstance(changed, dict | list) else document
    with pytest.raises(DataError, match=problem) as caught:
        imported(document)
    assert "\n" not in str(caught.value)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    save_image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=problem):
        open_dataset(path, "coco")


def test_texts_that_no_file_can_hold_are_mended() -> None:
    document = cvat()
    document["categories"][0]["name"] = "\ud800cat"
    document["annotations"][1]["name"] = "\udfff"
    found = imported(document)
    assert found.masklets.objects[0].class_name == "\ufffdcat"
    assert found.masklets.objects[1].name == "\ufffd"
