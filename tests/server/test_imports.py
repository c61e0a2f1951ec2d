"""Imports into a medium that has objects already: names, scores, acceptance, classes, and what happens by number."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from masklet.masks.rle import encode_rle
from tests.server.conftest import Page
from tests.server.test_api import history

H, W = 6, 8


def box(left: int) -> Any:
    mask = np.zeros((H, W), bool)
    mask[1:3, left : left + 2] = True
    return encode_rle(mask)


def annotation(object_id: int, frame: int, left: int, **fields: Any) -> dict[str, Any]:
    return {
        "image_id": frame + 1,
        "object_id": object_id,
        "category_id": 2,
        "name": f"Object {object_id}",
        "segmentation": box(left),
    } | fields


def coco(*annotations: dict[str, Any]) -> bytes:
    return json.dumps(
        {
            "images": [{"id": index + 1, "file_name": f"{index}.jpg", "frame_index": index} for index in range(4)],
            "categories": [
                {"id": 2, "name": "duck", "color": "#123456"},
                {"id": 1, "name": "goose", "color": [1, 2, 3]},
                {"id": 3, "name": "object"},
            ],
            "annotations": [{"id": number} | fields for number, fields in enumerate(annotations, 1)],
        }
    ).encode()


def send(page: Page, clip: str, document: bytes, **query: str) -> Any:
    query_text = "&".join(f"{name}={value}" for name, value in query.items())
    return page.post(f"/api/v1/media/{clip}/import?{query_text}", files={"files": ("masks.json", document)})


def masks(page: Page, clip: str) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the masks of a medium by frame and object."""
    frames = page.get(f"/api/v1/media/{clip}/masks").json()["frames"]
    return {(frame["frame_index"], mask["object_id"]): mask for frame in frames for mask in frame["objects"]}


def lefts(page: Page, clip: str, object_id: int) -> dict[int, int]:
    """Return the left edge of an object's mask by frame."""
    return {frame: int(mask["box"][0]) for (frame, number), mask in masks(page, clip).items() if number == object_id}


def names(page: Page, clip: str) -> dict[int, str]:
    return {info["id"]: info["name"] for info in page.get(f"/api/v1/media/{clip}/objects").json()["objects"]}


def test_scores_and_acceptance_are_kept(page: Page) -> None:
    clip = page.new_clip(4)
    document = coco(
        annotation(1, 0, 0, score=0.79, accepted=True),
        annotation(1, 1, 1, score=0.79, confidence=0.6),
        annotation(1, 2, 2, score=79),  # a percentage is no score
        annotation(1, 3, 3, score=0.5, attributes={"accepted": True}),
    )
    assert send(page, clip, document).status_code == 200
    rows = masks(page, clip)
    assert [rows[frame, 1]["confidence"] for frame in range(4)] == [0.79, 0.6, 1.0, 0.5]
    assert [rows[frame, 1]["iou_prediction"] for frame in range(4)] == [0.79, 0.79, 1.0, 0.5]
    assert [rows[frame, 1]["accepted"] for frame in range(4)] == [True, False, False, True]
    assert page.timeline(clip)["accepted"] == [[0, 1], [3, 4]]


def test_classes_of_the_file_come_in_its_order(page: Page) -> None:
    project = page.new_project()
    clip = page.new_clip(4, project)
    assert send(page, clip, coco(annotation(1, 0, 0))).status_code == 200
    classes = page.get(f"/api/v1/projects/{project}").json()["classes"]
    assert [info["name"] for info in classes] == ["goose", "duck"]  # by their ids; "object" stands for none
    assert classes[1]["color"] == "#123456"


def test_added_objects_get_names_of_their_own(page: Page) -> None:
    clip = page.new_clip(4)
    document = coco(annotation(1, 0, 0), annotation(2, 0, 4))
    for _ in range(2):
        assert send(page, clip, document).status_code == 200
    assert names(page, clip) == {1: "Object 1", 2: "Object 2", 3: "Object 1 (2)", 4: "Object 2 (2)"}


def test_merging_replaces_the_frames_of_the_file(page: Page) -> None:
    clip = page.new_clip(4)
    send(page, clip, coco(*(annotation(1, frame, 0) for frame in range(4))))
    page.patch(f"/api/v1/media/{clip}/objects/1", json={"name": "Ada"})
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 2, "stop": 3})
    document = coco(annotation(1, 1, 5), annotation(1, 2, 5), annotation(7, 0, 3))
    answer = send(page, clip, document, mode="merge")
    assert answer.status_code == 200, answer.text
    assert lefts(page, clip, 1) == {0: 0, 1: 5, 2: 0, 3: 0}  # frame 2 is accepted
    assert "Ada: 1 of its masks are accepted" in answer.json()["skipped"][0]
    assert names(page, clip) == {1: "Ada", 7: "Object 7"}
    assert (lefts(page, clip, 7), history(page, clip)[0]) == ({0: 3}, "Import 2 objects")
    page.post(f"/api/v1/media/{clip}/undo")
    assert (lefts(page, clip, 1), names(page, clip)) == ({0: 0, 1: 0, 2: 0, 3: 0}, {1: "Ada"})


def test_replacing_leaves_nothing_of_the_object_but_what_is_accepted(page: Page) -> None:
    clip = page.new_clip(4)
    send(page, clip, coco(*(annotation(number, frame, 0) for number in (1, 2) for frame in range(4))))
    page.patch(f"/api/v1/media/{clip}/objects/1", json={"name": "Ada"})
    page.post(f"/api/v1/media/{clip}/accept", json={"start": 3, "stop": 4})
    assert send(page, clip, coco(annotation(1, 1, 5)), mode="replace").status_code == 200
    assert lefts(page, clip, 1) == {1: 5, 3: 0}
    assert lefts(page, clip, 2) == {0: 0, 1: 0, 2: 0, 3: 0}  # not in the file
    assert names(page, clip)[1] == "Object 1"


def test_a_locked_object_stays(page: Page) -> None:
    clip = page.new_clip(4)
    send(page, clip, coco(annotation(1, 0, 0)))
    page.patch(f"/api/v1/media/{clip}/objects/1", json={"locked": True})
    answer = send(page, clip, coco(annotation(1, 0, 5), annotation(2, 0, 5)), mode="replace").json()
    assert ([info["id"] for info in answer["objects"]], lefts(page, clip, 1)) == ([2], {0: 0})
    assert "Object 1 is locked" in answer["skipped"][0]


@pytest.mark.parametrize("mode", ["merge", "replace"])
def test_without_numbers_in_the_file_nothing_is_matched(page: Page, mode: str) -> None:
    clip = page.new_clip(4)
    send(page, clip, coco(annotation(1, 0, 0)))
    unnumbered = annotation(1, 0, 5)
    del unnumbered["object_id"]
    answer = send(page, clip, coco(unnumbered), mode=mode)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "no_numbers")
    assert lefts(page, clip, 1) == {0: 0}
