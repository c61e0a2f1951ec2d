from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from masklet.formats import (
    FrameRows,
    export_masks,
    image_medium,
    open_image_stream,
    open_streams,
)
from masklet.masks.rle import decode_rle
from masklet.media.source import open_source
from masklet.records import Frame
from masklet.tracking.mask_rows import given_row
from tests.formats.material import SIZE, blob, clip_masks, medium_of
from tests.media.clips import MakeClip, masks_for, numbered_frame


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


def test_the_file_of_a_tracker(make_clip: MakeClip, tmp_path: Path) -> None:
    with open_source(make_clip()) as source, open_streams(tmp_path / "coco.json", [], source) as streams:
        for frame in source.frames(0, 3):
            masks = masks_for(frame, (3, 9))
            masks.masks[1] &= frame.index != 1  # absent from one frame
            statuses = ("present", "present" if frame.index != 1 else "lost")
            streams.write(frame, replace(masks, statuses=statuses, review=np.array([False, frame.index == 2])))
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [image["id"] for image in coco["images"]] == [1, 2, 3]
    assert coco["images"][2] == {
        "id": 3,
        "file_name": "clip_000002.jpg",
        "width": 64,
        "height": 48,
        "video": "clip",
        "frame_index": 2,
        "time_s": 0.08,
    }
    annotations = coco["annotations"]
    assert [(a["id"], a["image_id"], a["object_id"]) for a in annotations] == [
        (1, 1, 3),
        (2, 1, 9),
        (3, 2, 3),
        (4, 3, 3),
        (5, 3, 9),
    ]
    last = annotations[-1]
    assert (last["area"], last["bbox"], last["score"], last["frame_index"]) == (256, [14, 4, 16, 16], 0.8, 2)
    assert (last["status"], last["review"], annotations[-2]["review"]) == ("present", True, False)
    assert (decode_rle(last["segmentation"]) == masks_for(Frame(2, numbered_frame(2), 0.08)).masks[1]).all()
    assert coco["categories"] == [{"id": 1, "name": "object"}]


def test_extra_fields_for_each_mask(tmp_path: Path) -> None:
    medium = image_medium(Path("a/photo.jpg"), np.zeros((*SIZE, 3), np.uint8))
    rows = [given_row(0, 1, blob(1)), given_row(0, 1, blob(2))]
    extras = [{"candidate": 0, "object_score": None}, {"candidate": 1}]
    with open_image_stream("coco", tmp_path / "coco.json") as stream:
        stream.write(FrameRows(medium, 0, 0.0, rows, extras=extras))
    document = json.loads((tmp_path / "coco.json").read_text())
    assert document["images"][0]["file_name"] == "photo.jpg"
    first, second = document["annotations"]
    assert (first["candidate"], second["candidate"]) == (0, 1)
    assert "object_score" not in first
    assert second["object_score"] == 10
    assert "frame_index" not in first
