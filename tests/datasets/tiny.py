"""Tiny data sets on disk, in every layout."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from masklet.masks.rle import encode_rle
from masklet.records import BoolArray, ByteArray

SIZE_HW = (40, 60)
Box = tuple[int, int, int, int]


def mask(box_xyxy: Box, size_hw: tuple[int, int] = SIZE_HW) -> BoolArray:
    found = np.zeros(size_hw, np.bool_)
    left, top, right, bottom = box_xyxy
    found[top:bottom, left:right] = True
    return found


def ids(boxes: Mapping[int, Box], size_hw: tuple[int, int] = SIZE_HW) -> ByteArray:
    """Later ones are on top."""
    found = np.zeros(size_hw, np.uint8)
    for object_id, box in boxes.items():
        found[mask(box, size_hw)] = object_id
    return found


def rgb(seed: int = 0, size_hw: tuple[int, int] = SIZE_HW) -> ByteArray:
    small = np.random.default_rng(seed).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(size_hw[::-1], Image.Resampling.BILINEAR))


def save(path: Path, pixels: ByteArray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if pixels.ndim == 2:
        image.putpalette([(7 * value) % 256 for value in range(768)])
    image.save(path)
    return path


def encoded(pixels: ByteArray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_images(root: Path, names: Sequence[str] = ("a", "b"), boxes: Mapping[int, Box] | None = None) -> Path:
    for seed, name in enumerate(names):
        save(root / "images" / f"{name}.jpg", rgb(seed))
        save(root / "masks" / f"{name}.png", ids(boxes or {1: (5, 5, 25, 25), 7: (30, 10, 50, 30)}))
    return root


def moving(index: int) -> dict[int, Box]:
    return {1: (5 + index, 5, 25 + index, 25), 3: (30, 10 + index, 50, 30)}


def write_clip(frames: Path, masks: Path, count: int = 9, labelled: Sequence[int] | None = None) -> None:
    for index in range(count):
        save(frames / f"{index:05d}.jpg", rgb(0))
        if labelled is None or index in labelled:
            save(masks / f"{index:05d}.png", ids(moving(index)))


def sa1b_document(masks: Sequence[BoolArray]) -> dict[str, Any]:
    return {
        "image": {"image_id": 1, "width": SIZE_HW[1], "height": SIZE_HW[0], "file_name": "sa_1.jpg"},
        "annotations": [
            {"id": 90 + row, "segmentation": encode_rle(found), "area": int(found.sum())}
            for row, found in enumerate(masks)
        ],
    }


def write_sa1b(root: Path, names: Sequence[str] = ("sa_1", "sa_2")) -> Path:
    for seed, name in enumerate(names):
        save(root / f"{name}.jpg", rgb(seed))
        document = sa1b_document([mask((5, 5, 45, 35)), mask((10, 10, 20, 20)), mask((50, 5, 58, 12))])
        (root / f"{name}.json").write_text(json.dumps(document))
    return root


def coco_document() -> dict[str, Any]:
    uncompressed = {"size": list(SIZE_HW), "counts": [0, 40 * 4, 40 * 56]}
    return {
        "images": [{"id": 8, "file_name": "x.jpg", "height": SIZE_HW[0], "width": SIZE_HW[1]}],
        "annotations": [
            {"id": 1, "image_id": 8, "category_id": 2, "segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]]},
            {"id": 2, "image_id": 8, "category_id": 2, "segmentation": uncompressed, "iscrowd": 1},
            {"id": 3, "image_id": 8, "category_id": 5, "segmentation": encode_rle(mask((40, 5, 55, 20)))},
        ],
        "categories": [{"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}],
    }


def write_coco(root: Path, document: dict[str, Any] | None = None) -> Path:
    save(root / "val2017" / "x.jpg", rgb())
    path = root / "annotations" / "instances_val2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document or coco_document()))
    return root


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def image_sample(key: str, seed: int = 0) -> dict[str, bytes]:
    picture = encoded(rgb(seed), "JPEG")
    return {f"{key}.jpg": picture, f"{key}.png": encoded(ids({1: (5, 5, 25, 25), 2: (30, 5, 50, 25)}))}
