"""Masks as pictures: one indexed PNG a frame, or one PNG an object; DAVIS folders are these with the frames beside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from masklet.datasets.records import MAX_OBJECT_ID, MaskLabels
from masklet.errors import DataError
from masklet.formats.base import Format, Job
from masklet.masks.indexed_png import binary_png, indexed_png
from masklet.media.images import encode_jpeg
from masklet.output import OutputFolder
from masklet.records import BoolArray, ByteArray
from masklet.schema import Options, choice_field, switch_field
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium, color_text

JPEG_QUALITY = 95
OBJECTS_NAME = "objects.json"
"""Beside the masks: the objects' names and classes."""

_WHO_WINS = "frames in which objects overlap: an indexed PNG has one object a pixel, the smaller one is on top"


@dataclass(frozen=True, kw_only=True, slots=True)
class PngOptions(Options):
    label = "png"
    layout: str = choice_field("indexed", ("indexed", "objects", "both"), "Pictures")


@dataclass(frozen=True, kw_only=True, slots=True)
class DavisOptions(Options):
    label = "davis"
    frames: bool = switch_field(True, "With the frames as JPEG")


def _write_png(job: Job[PngOptions]) -> None:
    with OutputFolder(job.out) as tree:
        for medium, frame_index, rows in job.frames():
            folder = "" if len(job.media) == 1 else f"{medium.name}/"
            stem = medium.name if medium.is_image else f"{frame_index:05d}"
            job.num_masks += sum(bool(row.mask.any()) for row in rows)
            if job.options.layout != "objects":
                tree.write(f"{folder}{stem}.png", indexed_png(_flat(job, medium, rows)))
            if job.options.layout != "indexed":
                for row in rows:
                    tree.write(f"{folder}{row.object_id}/{stem}.png", binary_png(row.mask))
        for medium in job.media:
            folder = "" if len(job.media) == 1 else f"{medium.name}/"
            tree.write(f"{folder}{OBJECTS_NAME}", objects_document(medium))


def _write_davis(job: Job[DavisOptions]) -> None:
    with OutputFolder(job.out) as tree:
        for medium, frame_index, rows in job.frames():
            job.num_masks += sum(bool(row.mask.any()) for row in rows)
            tree.write(f"Annotations/{medium.name}/{frame_index:05d}.png", indexed_png(_flat(job, medium, rows)))
        for medium in job.media:
            if job.options.frames:
                for frame in medium.source.frames():
                    job.check_cancelled()
                    data = encode_jpeg(frame.rgb, JPEG_QUALITY)
                    tree.write(f"JPEGImages/{medium.name}/{frame.index:05d}.jpg", data)
            tree.write(f"Annotations/{medium.name}/{OBJECTS_NAME}", objects_document(medium))
        tree.write("ImageSets/2017/all.txt", "".join(f"{medium.name}\n" for medium in job.media).encode())


def _flat(job: Job[PngOptions] | Job[DavisOptions], medium: LabelledMedium, rows: Sequence[MaskRow]) -> ByteArray:
    """One id a pixel."""
    masks: dict[int, BoolArray] = {row.object_id: row.mask for row in rows if row.mask.any()}
    large = [object_id for object_id in masks if not 1 <= object_id <= MAX_OBJECT_ID]
    if large:
        raise DataError(
            f"object id {large[0]} does not fit an indexed PNG, which has 1 to {MAX_OBJECT_ID} (255 means void): "
            "choose one PNG an object, or COCO"
        )
    if _overlap(masks):
        job.note(_WHO_WINS)
    return MaskLabels(medium.source.info.size_hw, masks, where=medium.name).flat()


def _overlap(masks: Mapping[int, BoolArray]) -> bool:
    taken: BoolArray | None = None
    for mask in masks.values():
        if taken is not None and (taken & mask).any():
            return True
        taken = mask if taken is None else taken | mask
    return False


def objects_document(medium: LabelledMedium) -> bytes:
    """JSON of the objects: what PNGs and SA-V have no room for."""
    objects = [
        {
            "id": one.object_id,
            "name": one.name,
            "class_name": one.class_name,
            "color": color_text(one.shown_color),
        }
        for one in medium.masklets.objects
    ]
    return json.dumps({"objects": objects}, indent=2).encode()


PNG = Format(
    "png",
    "PNG masks",
    "A PNG a frame whose pixel values are object numbers (1 to 254; where objects overlap the smaller is on top), or a "
    "black and white PNG for each object (overlaps kept), or both; names and classes in objects.json.",
    ("image", "video"),
    "",
    PngOptions,
    _write_png,
)

DAVIS = Format(
    "davis",
    "DAVIS",
    "JPEGImages and Annotations as in DAVIS 2017: indexed PNGs of 1 to 254 objects; where they overlap the smaller is "
    "on top.",
    ("video",),
    "",
    DavisOptions,
    _write_davis,
)
