"""The detections of single images in a file for many: those of the whole file, found without comparing all names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from masklet.discovery.files import DetectionFile, DetectionTable, ImageIndex, read_detections
from masklet.foreign import file_names

SIZE_HW = (48, 64)


def table_of(path: Path, names: list[str], **fields: Any) -> DetectionTable:
    """A file with two detections per image, the second ones last."""
    images = [{"id": 100 + number, "file_name": name} for number, name in enumerate(names)]
    annotations = [
        {
            "id": 1 + turn * len(names) + number,
            "image_id": 100 + number,
            "bbox": [number % 20, turn, 9, 9],
            "score": 0.5,
        }
        for turn in (1, 2)
        for number in range(len(names))
    ]
    path.write_text(json.dumps({"images": images, "annotations": annotations} | fields))
    return read_detections(path)


NAMES = ["cats/a.jpg", "dogs/a.jpg", "B_jpg.rf.0123456789abcdef.jpg", "deadbeef-c.png", "cats/d.png", "cats/d.jpg"]


@pytest.mark.parametrize(
    "name",
    ["/home/cats/a.jpg", "/x/dogs/a.png", "/x/b.jpg", "/x/c.png", "/x/cats/d.jpg", "/x/000000000103.jpg", "/x/103.png"],
)
def test_an_image_has_the_detections_that_the_whole_file_has_for_it(name: str, tmp_path: Path) -> None:
    table = table_of(tmp_path / "boxes.json", NAMES)
    part = ImageIndex(table).table_of(name)
    assert part is not None
    assert len(part) < len(table)
    of_part, of_whole = (DetectionFile(each, size_hw=SIZE_HW, num_frames=1, file_name=name) for each in (part, table))
    assert len(of_part.at(0)) == 2
    assert of_part.at(0) == of_whole.at(0)


def test_an_image_that_the_file_does_not_name_has_no_table(tmp_path: Path) -> None:
    index = ImageIndex(table_of(tmp_path / "boxes.json", NAMES))
    assert index.table_of("/x/e.jpg") is None
    assert index.table_of("/x/99.jpg") is None
    assert index.table_of("") is None


def test_masks_of_an_image_stay_with_their_boxes(tmp_path: Path) -> None:
    annotations = [
        {"id": 1, "image_id": 2, "bbox": [1, 1, 5, 5]},
        {"id": 2, "image_id": 1, "segmentation": [[2, 2, 20, 2, 20, 20, 2, 20]], "bbox": [2, 2, 18, 18]},
    ]
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    index = ImageIndex(table_of(tmp_path / "boxes.json", [], images=images, annotations=annotations))
    part = index.table_of("/x/a.png")
    assert part is not None
    (detection,) = DetectionFile(part, size_hw=SIZE_HW, num_frames=1, file_name="/x/a.png").at(0)
    assert detection.rle is not None


def test_names_are_not_all_compared_with_each_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"photo_{number}.jpg" for number in range(40)]
    table = table_of(tmp_path / "boxes.json", names)
    compared = 0
    shared_end = file_names.shared_end

    def counting(*arguments: Any) -> tuple[int, bool]:
        nonlocal compared
        compared += 1
        return shared_end(*arguments)

    monkeypatch.setattr(file_names, "shared_end", counting)
    index = ImageIndex(table)
    for name in names:
        part = index.table_of(f"/x/{name}")
        assert part is not None
        DetectionFile(part, size_hw=SIZE_HW, num_frames=1, file_name=f"/x/{name}")
    assert compared <= 4 * len(names)
