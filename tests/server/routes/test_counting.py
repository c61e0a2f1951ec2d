"""Counts through the API: of imported masks, with lines and regions, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from masklet.masks.rle import encode_rle
from tests.server.conftest import Page

GATE = {"name": "gate", "start_xy": [4, 0], "end_xy": [4, 6]}
ROOM = {"name": "room", "points_xy": [[3.5, 0], [8, 0], [8, 6], [3.5, 6]]}


def moving_square(page: Page) -> str:
    """Return a clip of 4 frames of 8 x 6 pixels, in which a duck of 2 x 2 pixels walks from the left to the right."""
    clip = page.new_clip(frames=4)
    annotations = []
    for frame, left in enumerate((0, 2, 4, 6)):
        mask = np.zeros((6, 8), bool)
        mask[2:4, left : left + 2] = True
        fields = {"id": frame, "image_id": frame, "object_id": 1, "category_id": 1, "confidence": 0.9}
        annotations.append(fields | {"segmentation": encode_rle(mask)})
    document = {
        "images": [{"id": frame, "file_name": f"{frame}.jpg", "frame_index": frame} for frame in range(4)],
        "categories": [{"id": 1, "name": "duck"}],
        "annotations": annotations,
    }
    answer = page.post(f"/api/v1/media/{clip}/import", files={"files": ("masks.json", json.dumps(document).encode())})
    assert answer.status_code in (200, 201), answer.text
    return clip


def count(page: Page, clip: str, **body: Any) -> Any:
    answer = page.post(f"/api/v1/media/{clip}/count", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_lines_and_regions(page: Page) -> None:
    clip = moving_square(page)
    answer = count(page, clip, lines=[GATE], regions=[ROOM], margin=0)
    assert answer["objects"]["count"] == 1
    assert answer["objects"]["classes"]["duck"]["count"] == 1
    assert answer["visible"]["count"] == [1, 1, 1, 1]
    (gate,), (room,) = answer["lines"], answer["regions"]
    assert (gate["in"]["count"], gate["out"]["count"]) == (1, 0)
    assert [crossing["frame_index"] for crossing in gate["crossings"]] == [2]
    assert [crossing["frame_index"] for crossing in room["crossings"]] == [2]
    assert room["inside"]["count"] == [0, 0, 1, 1]


def test_changed_and_hidden_objects_are_counted_again(page: Page) -> None:
    clip = moving_square(page)
    assert count(page, clip)["objects"]["count"] == 1
    (entry,) = page.get(f"/api/v1/media/{clip}/objects").json()["objects"]
    assert page.patch(f"/api/v1/media/{clip}/objects/{entry['id']}", json={"class_name": "goose"}).status_code == 200
    assert list(count(page, clip)["objects"]["classes"]) == ["goose"]
    assert page.patch(f"/api/v1/media/{clip}/objects/{entry['id']}", json={"hidden": True}).status_code == 200
    assert page.post(f"/api/v1/media/{clip}/count", json={}).status_code == 422


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"lines": [GATE | {"end_xy": [4, 0]}]}, "its ends must differ"),
        ({"lines": [GATE], "regions": [ROOM | {"name": "gate"}]}, "must have different names"),
        ({"regions": [ROOM | {"points_xy": [[0, 0], [1, 1], [2, 2]]}]}, "must span an area"),
        ({"regions": [ROOM | {"points_xy": [[0, 0], [1, 1]]}]}, "at least 3"),
        ({"lines": [GATE | {"name": ""}]}, "at least 1"),
        ({"margin": -1}, "greater than or equal to 0"),
        ({"anchor": "top"}, "center"),
        ({"lines": [GATE | {"name": str(number)} for number in range(65)]}, "at most 64"),
    ],
)
def test_requests_that_are_refused(page: Page, body: dict[str, Any], message: str) -> None:
    answer = page.post(f"/api/v1/media/{moving_square(page)}/count", json=body)
    assert answer.status_code == 422, answer.text
    assert message in answer.text


def test_a_medium_without_masks_has_nothing_to_count(page: Page) -> None:
    answer = page.post(f"/api/v1/media/{page.new_clip()}/count", json={})
    assert answer.status_code == 422
    assert "nothing to count" in answer.text
