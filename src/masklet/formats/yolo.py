"""YOLO data sets as Ultralytics reads them: images, a text file of polygons or boxes for each, and data.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from masklet.formats.base import Format, Job, frame_name
from masklet.masks.operations import mask_box_xyxy, mask_polygons
from masklet.media.images import encode_jpeg
from masklet.output import OutputFolder
from masklet.records import BoolArray, FloatArray
from masklet.schema import Options, integer_field, number_field, switch_field
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium

JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True, slots=True)
class YoloOptions(Options):
    label = "yolo"
    images: bool = switch_field(True, "With the images as JPEG")
    step: int = integer_field(1, 1, 1000, "Of a video, every n-th frame")


@dataclass(frozen=True, kw_only=True, slots=True)
class YoloSegmentOptions(YoloOptions):
    label = "yolo-segment"
    tolerance: float = number_field(0.5, 0, 20, "How far polygons may stray to be simpler, pixels")


def _write_segments(job: Job[YoloSegmentOptions]) -> None:
    _write(job, job.options.tolerance)


def _write_boxes(job: Job[YoloOptions]) -> None:
    _write(job, None)


def _write(job: Job[YoloSegmentOptions] | Job[YoloOptions], tolerance: float | None) -> None:
    with OutputFolder(job.out) as tree:
        wanted: dict[str, set[int]] = {}
        for medium, frame_index, rows in job.frames():
            if frame_index % job.options.step:
                continue
            lines = [_line(job, medium, row, tolerance) for row in rows if row.mask.any()]
            job.num_masks += len(lines)
            tree.write(f"labels/all/{frame_name(medium, frame_index)}.txt", "".join(lines).encode())
            wanted.setdefault(medium.name, set()).add(frame_index)
        if job.options.images:
            for medium in job.media:
                for frame_index, data in _images(job, medium, wanted.get(medium.name, set())):
                    tree.write(f"images/all/{frame_name(medium, frame_index)}.jpg", data)
        names = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(job.classes))
        tree.write("data.yaml", f"path: .\ntrain: images/all\nval: images/all\nnames:\n{names}".encode())


def _images(
    job: Job[YoloSegmentOptions] | Job[YoloOptions], medium: LabelledMedium, wanted: set[int]
) -> Iterator[tuple[int, bytes]]:
    if not wanted:
        return
    with closing(medium.source.frames(min(wanted), max(wanted) + 1)) as frames:  # type: ignore[type-var]
        for frame in frames:
            job.check_cancelled()
            if frame.index in wanted:
                yield frame.index, encode_jpeg(frame.rgb, JPEG_QUALITY)


def _line(
    job: Job[YoloSegmentOptions] | Job[YoloOptions], medium: LabelledMedium, row: MaskRow, tolerance: float | None
) -> str:
    """Class and coordinates as parts of width and height."""
    height, width = row.rle["size"]
    if tolerance is None:
        box = mask_box_xyxy(row.mask)
        assert box is not None
        left, top, right, bottom = box.tolist()
        numbers = [
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        ]
    else:
        numbers = (_one_polygon(row.mask, tolerance) / np.array([width, height])).ravel().tolist()
    return " ".join([str(job.class_number(medium, row.object_id)), *(f"{number:.6f}" for number in numbers)]) + "\n"


def _one_polygon(mask: BoolArray, tolerance: float) -> FloatArray:
    """All pieces of a mask as one polygon, (P, 2), joined by seams of no width: a line of YOLO is one object."""
    pieces = mask_polygons(mask, tolerance) or mask_polygons(mask)
    whole = pieces[0]
    for piece in pieces[1:]:
        distance = ((whole[:, None] - piece[None]) ** 2).sum(axis=-1)
        here, there = np.unravel_index(int(distance.argmin()), distance.shape)
        turned = np.roll(piece, -int(there), axis=0)
        whole = np.concatenate([whole[: here + 1], turned, turned[:1], whole[here:]])
    return whole


YOLO_SEGMENT = Format(
    "yolo-segment",
    "YOLO segmentation",
    "Images, a polygon for each object, data.yaml. Pieces of an object and its holes are joined by seams; object "
    "numbers and names are lost, classes stay.",
    ("image", "video"),
    "",
    YoloSegmentOptions,
    _write_segments,
)

YOLO_BOXES = Format(
    "yolo-boxes",
    "YOLO boxes",
    "Images, a box for each object, data.yaml. No masks, object numbers or names; classes stay.",
    ("image", "video"),
    "",
    YoloOptions,
    _write_boxes,
)
