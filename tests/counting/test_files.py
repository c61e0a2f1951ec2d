"""Trajectories from result files, with damaged entries, and from masks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from masklet import DataError, Tracker
from masklet.counting import Trajectories, count_objects, open_trajectories
from masklet.discovery.files import open_detections
from masklet.formats import import_masks
from masklet.tracking.mask_rows import given_row
from masklet.tracking.mask_store import MaskStore
from masklet.tracking.masklets import Masklets, ObjectInfo
from tests.fake_engine import FakeEngine, picture


def _mot(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_mot_text(tmp_path: Path) -> None:
    path = _mot(
        tmp_path / "mot.txt", "1,7,10,20,30,40,0.9,-1,-1,-1", "2,7,11,20,30,40,-1,-1,-1,-1", "4,8,0,0,5,5,1,3,1"
    )
    trajectories, skipped = open_trajectories(path, fps=25)
    assert not skipped
    first, second = trajectories.objects
    assert (first.object_id, first.frames.tolist(), first.boxes_xyxy[0].tolist()) == (7, [0, 1], [10, 20, 40, 60])
    assert first.probabilities.tolist() == [0.9, 1.0]
    assert (second.label, trajectories.frames, trajectories.time_s(3)) == ("class 3", range(4), 0.12)


def test_damaged_lines_of_mot_text_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    lines = [
        "1,1,0,0,5,5,1",
        "",
        "1,1,0,0,5,5,0.5",
        "x,1,0,0,5,5,1",
        "2,1,0,0,5",
        "-1,1,0,0,5,5,1",
        "9000000,1,0,0,5,5,1",
        "2,-1,0,0,5,5,1",
        "2,1,nan,0,5,5,1",
        "2,1,0,0,0,5,1",
        "2,1,1e9,0,5,5,1",
        "2,1,0,0,5,5,0",
    ]
    trajectories, skipped = open_trajectories(_mot(tmp_path / "mot.txt", *lines))
    assert [item.frames.tolist() for item in trajectories.objects] == [[0]]
    text = "\n".join(skipped)
    for expected in (
        "line 4: expected frame,id,left,top,width,height,score as numbers; left out (and 1 more)",
        "line 6: its frame must be from 1 to 2,000,000; left out (and 1 more)",
        "line 8: its id must be a whole number from 0",
        "line 9: its box has an edge that is not a number",
        "line 10: its box is empty",
        "line 11: its box lies far outside",
        "line 12: its score is 0, which marks a box to be ignored",
        "1 boxes are of an object that has a surer box on the same frame",
    ):
        assert expected in text


def test_mot_text_is_read_as_by_a_discovery(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("duck\n")
    path = _mot(tmp_path / "gt.txt", "0,1,0,0,5,5,80,1,1", "1,1,3,0,5,5,60,1,1", "1,2,0,0,5,5,nan,1,1")
    trajectories, skipped = open_trajectories(path)
    (duck,) = trajectories.objects
    assert (duck.label, duck.frames.tolist(), duck.probabilities.tolist()) == ("duck", [0, 1], [0.8, 0.6])
    file = open_detections(path, size_hw=(48, 64), num_frames=2)
    assert (file.labels, file.frame_indices, [item.score for item in file.at(1)]) == (("duck",), (0, 1), [0.6])
    assert skipped[-1] == file.problems[-1]
    assert set(file.notes) < set(skipped)


def _coco(path: Path, annotations: list[dict[str, Any]], **image: Any) -> Path:
    images = [{"id": n, "file_name": f"clip/{n:05d}.jpg", "height": 48, "width": 64, **image} for n in (0, 1, 2)]
    categories = [{"id": 1, "name": "duck"}]
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_coco_with_track_ids_needs_no_video(tmp_path: Path) -> None:
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    path = _coco(
        tmp_path / "tracks.json",
        [
            {"id": 1, "image_id": 0, "category_id": 1, "track_id": 4, "bbox": [1, 2, 3, 4], "score": 0.8},
            {"id": 2, "image_id": 2, "category_id": 1, "track_id": 4, "segmentation": square},
            {"id": 3, "image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"id": 4, "image_id": 1, "category_id": 1, "track_id": 5},
        ],
    )
    trajectories, skipped = open_trajectories(path)
    (duck,) = trajectories.objects
    assert (duck.object_id, duck.label, duck.frames.tolist()) == (4, "duck", [0, 2])
    assert duck.boxes_xyxy.tolist() == [[1, 2, 4, 6], [10, 10, 20, 20]]
    assert count_objects(trajectories).visible[None].values.tolist() == [1, 0, 1]
    assert any("has no track id" in line for line in skipped)
    assert any("neither a mask nor a box" in line for line in skipped)


@pytest.mark.parametrize(("numbers", "frames"), [((0, 1, 2), [0, 1, 2]), ((1, 2, 3), [0, 1, 2]), ((5, 9), [5, 9])])
def test_frames_of_coco_are_numbered_as_with_the_video(
    tmp_path: Path, numbers: tuple[int, ...], frames: list[int]
) -> None:
    path = tmp_path / "masks.json"
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    images = [{"id": n, "file_name": f"frame_{n:06d}.png", "height": 48, "width": 64} for n in numbers]
    annotations = [
        {"id": n + 1, "image_id": n, "category_id": 1, "track_id": 4, "segmentation": square} for n in numbers
    ]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "duck"}]}
    path.write_text(json.dumps(document))
    alone, _ = open_trajectories(path)
    num_frames = len(numbers) if numbers[-1] <= len(numbers) else 12
    imported = import_masks(path, size_hw=(48, 64), num_frames=num_frames, file_name="clip.mp4")
    assert alone.objects[0].frames.tolist() == frames
    assert Trajectories.of_masklets(imported.masklets).objects[0].frames.tolist() == frames


@pytest.mark.parametrize("name", ["job.masklet", "boxes.json", "boxes.txt"])
def test_masks_with_a_file_that_has_its_own_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=f"{name} has its own masks or boxes: leave .*masks.json out, or pass it with"):
        open_trajectories(tmp_path / name, tmp_path / "masks.json")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty.txt", "", "has no box of an object to count"),
        ("detections.txt", "1,-1,0,0,5,5,1", "line 1: its id must be a whole number from 0"),
        ("broken.json", "{", "broken.json"),
        ("none.json", '{"images": [], "annotations": []}', "has no box of an object to count"),
        ("clip.mp4", "", "expected a session"),
        ("missing.txt", None, "cannot read .*missing.txt"),
    ],
)
def test_files_with_nothing_to_count(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        open_trajectories(tmp_path / name)


def test_masks_give_boxes_and_classes() -> None:
    mask = np.zeros((48, 64), np.bool_)
    mask[10:20, 30:50] = True
    masks = {0: {2: mask}, 1: {2: np.zeros_like(mask)}, 2: {2: mask}}
    trajectories = Trajectories.of_masklets(Masklets.of_masks(masks, [ObjectInfo(2, class_name="duck")]), fps=10)
    (duck,) = trajectories.objects
    assert (duck.label, duck.frames.tolist(), duck.boxes_xyxy[0].tolist()) == ("duck", [0, 2], [30, 10, 50, 20])
    assert count_objects(trajectories).visible[None].values.tolist() == [1, 0, 1]


def test_times_of_tracked_masks_count_from_the_first_frame() -> None:
    store = MaskStore()
    mask = np.ones((4, 4), np.bool_)
    store.write([given_row(frame, 1, mask, time_s=time_s) for frame, time_s in ((0, 0.0), (1, 0.1), (4, 0.4))])
    trajectories = Trajectories.of_masklets(Masklets(store, (ObjectInfo(1),)))
    assert [trajectories.time_s(frame) for frame in range(5)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_a_session_is_counted_without_its_video_and_hidden_objects(tmp_path: Path) -> None:
    frames = [picture(number) for number in range(6)]
    tracker = Tracker(FakeEngine(), frames)
    for object_id in (1, 2):
        tracker.prompt(object_id, 0, points_xy=[(1, 1)], labels=[1])
    list(tracker.run())
    tracker.hide(2)
    trajectories, skipped = open_trajectories(tracker.save(tmp_path / "job.masklet"))
    assert not skipped
    assert [item.object_id for item in trajectories.objects] == [1]
    assert trajectories.frames == range(6)
