"""YOLO data sets for Ultralytics: images, a text file of polygons or boxes for each, and data.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from masklet.formats.base import ExportJob, Format, frame_name, is_seen
from masklet.masks.operations import mask_box_xyxy, mask_polygons
from masklet.media.base import closing_frames
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
    images: bool = switch_field(True, "Add the pictures (JPEG)")
    step: int = integer_field(1, 1, 1000, "Every n-th frame of a video", only_for="video")


@dataclass(frozen=True, kw_only=True, slots=True)
class YoloSegmentOptions(YoloOptions):
    label = "yolo-segment"
    tolerance: float = number_field(
        0.5, 0, 20, "Simplify polygons, pixels", hint="How far a simplified outline may be from the mask"
    )


def _write_segments(job: ExportJob[YoloSegmentOptions]) -> None:
    _write(job, job.options.tolerance)


def _write_boxes(job: ExportJob[YoloOptions]) -> None:
    _write(job, None)


def _write(job: ExportJob[YoloSegmentOptions] | ExportJob[YoloOptions], tolerance: float | None) -> None:
    with OutputFolder(job.path) as folder:
        labelled: dict[str, set[int]] = {}
        for frame in job.frames():
            if frame.frame_index % job.options.step:
                continue
            lines = [_line(job, frame.medium, row, tolerance) for row in frame.rows if is_seen(row)]
            job.num_masks += len(lines)
            folder.write(f"labels/all/{frame_name(frame.medium, frame.frame_index)}.txt", "".join(lines).encode())
            labelled.setdefault(frame.medium.name, set()).add(frame.frame_index)
        if job.options.images:
            for medium in job.media:
                for frame_index, data in _images(job, medium, labelled.get(medium.name, set())):
                    folder.write(f"images/all/{frame_name(medium, frame_index)}.jpg", data)
        names = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(job.classes))
        folder.write("data.yaml", f"path: .\ntrain: images/all\nval: images/all\nnames:\n{names}".encode())


def _images(
    job: ExportJob[YoloSegmentOptions] | ExportJob[YoloOptions], medium: LabelledMedium, frame_indices: set[int]
) -> Iterator[tuple[int, bytes]]:
    """Yield the frames of these indices as JPEG files."""
    if not frame_indices:
        return
    with closing_frames(medium.source.frames(min(frame_indices), max(frame_indices) + 1)) as frames:
        for frame in frames:
            job.check_cancelled()
            if frame.index in frame_indices:
                yield frame.index, encode_jpeg(frame.rgb, JPEG_QUALITY)


def _line(
    job: ExportJob[YoloSegmentOptions] | ExportJob[YoloOptions],
    medium: LabelledMedium,
    row: MaskRow,
    tolerance: float | None,
) -> str:
    """Return the line of one object: its class, and coordinates as fractions of width and height."""
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
        numbers = (_joined_polygon(row.mask, tolerance) / np.array([width, height])).ravel().tolist()
    return " ".join([str(job.class_number(medium, row.object_id)), *(f"{number:.6f}" for number in numbers)]) + "\n"


def _joined_polygon(mask: BoolArray, tolerance: float) -> FloatArray:
    """Join all pieces of a mask into one polygon, (P, 2), by seams of zero width: a line of YOLO is one object."""
    pieces = mask_polygons(mask, tolerance) or mask_polygons(mask)
    whole = pieces[0]
    for piece in pieces[1:]:
        distance = ((whole[:, None] - piece[None]) ** 2).sum(axis=-1)
        row, piece_row = np.unravel_index(int(distance.argmin()), distance.shape)
        turned = np.roll(piece, -int(piece_row), axis=0)
        whole = np.concatenate([whole[: row + 1], turned, turned[:1], whole[row:]])
    return whole


YOLO_SEGMENT = Format(
    id="yolo-segment",
    name="YOLO segmentation",
    description="Images, a polygon for each object, data.yaml. Pieces of an object and its holes are joined by seams; "
    "object numbers and names are lost, classes stay.",
    kinds=("image", "video"),
    options=YoloSegmentOptions,
    write=_write_segments,
)

YOLO_BOXES = Format(
    id="yolo-boxes",
    name="YOLO boxes",
    description="Images, a box for each object, data.yaml. No masks, object numbers or names; classes stay.",
    kinds=("image", "video"),
    options=YoloOptions,
    write=_write_boxes,
)
