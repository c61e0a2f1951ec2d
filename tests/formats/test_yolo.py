from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from masklet.formats import (
    export_masks,
)
from masklet.masks.rle import decode_rle
from masklet.media.images import read_image
from masklet.records import BoolArray
from tests.formats.material import SIZE, clip_masks, medium_of


def rasterised(line: str) -> BoolArray:
    """A polygon of YOLO, filled by COCO's tools."""
    numbers = np.array(line.split()[1:], np.float64).reshape(-1, 2) * [SIZE[1], SIZE[0]]
    (rle,) = coco_mask.frPyObjects([numbers.ravel().tolist()], *SIZE)
    filled: BoolArray = decode_rle(rle)
    return filled


def test_yolo_polygons_cover_the_mask(tmp_path: Path) -> None:
    masks = clip_masks(overlap=True)
    export_masks("yolo-segment", [medium_of(masks)], tmp_path / "y.zip", {"tolerance": 0}, classes=["dog", "person"])
    with zipfile.ZipFile(tmp_path / "y.zip") as archive:
        lines = archive.read("labels/all/clip_000000.txt").decode().splitlines()
        assert read_image(archive.read("images/all/clip_000005.jpg")).shape == (*SIZE, 3)
        assert "labels/all/clip_000004.txt" not in archive.namelist()  # a frame without masks
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
