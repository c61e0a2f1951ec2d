"""COCO instances: an image a frame, an annotation for every object seen in it, overlaps kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pycocotools import mask as coco_mask

from masklet.formats.base import Format, Job, frame_name, frame_time
from masklet.formats.coco_file import CocoFile, coco_annotation
from masklet.masks.operations import mask_polygons
from masklet.schema import Options, choice_field, number_field
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoOptions(Options):
    label = "coco"
    segmentation: str = choice_field("rle", ("rle", "polygons"), "Masks as")
    tolerance: float = number_field(0, 0, 20, "How far polygons may stray to be simpler, pixels")


def _write(job: Job[CocoOptions]) -> None:
    names = ", ".join(medium.name for medium in job.media[:3]) + (", ..." if len(job.media) > 3 else "")
    about: dict[str, Any] = {"description": f"masklets of {names}"}
    if len(job.media) == 1 and not job.media[0].is_image:
        info = job.media[0].source.info
        about |= {"fps": info.fps, "num_frames": info.num_frames}
    with CocoFile(job.out, about, job.classes, keep_partial=False) as file:
        for medium, frame_index, rows in job.frames():
            height, width = medium.source.info.size_hw
            image: dict[str, Any] = {
                "id": file.num_images + 1,
                "file_name": medium.file_name
                if medium.is_image and medium.file_name
                else f"{frame_name(medium, frame_index)}.jpg",
                "width": width,
                "height": height,
            }
            if not medium.is_image:
                time_s = round(frame_time(medium, rows[0]), 6)
                image |= {"video": medium.name, "frame_index": frame_index, "time_s": time_s}
            annotations = [_annotation(job, medium, row) for row in rows if int(coco_mask.area(row.rle))]
            job.num_masks += len(annotations)
            file.add(image, annotations)


def _annotation(job: Job[CocoOptions], medium: LabelledMedium, row: MaskRow) -> dict[str, Any]:
    """As `CocoSink` writes it, with the object's name and what users have said of the mask."""
    segmentation: Any = row.rle
    if job.options.segmentation == "polygons":
        polygons = mask_polygons(row.mask, job.options.tolerance)
        segmentation = [polygon.ravel().tolist() for polygon in polygons]
        if not segmentation:  # thinner than the tolerance
            segmentation = [polygon.ravel().tolist() for polygon in mask_polygons(row.mask)]
    in_video = {"track_id": row.object_id, "frame_index": row.frame_index, "status": row.status}
    return coco_annotation(
        row.rle,
        category_id=job.class_number(medium, row.object_id) + 1,
        segmentation=segmentation,
        object_id=row.object_id,
        name=medium.masklets.info(row.object_id).name,
        score=round(row.iou_prediction, 4),
        object_score=round(row.object_score, 4),
        prompted=row.prompted,
        accepted=row.accepted,
        **({} if medium.is_image else in_video),
    )


COCO = Format(
    "coco",
    "COCO",
    "One JSON with a mask, box, class and track number for every object on every frame. Overlaps are kept.",
    ("image", "video"),
    ".json",
    CocoOptions,
    _write,
)
