"""COCO instances: one image per frame, one annotation per visible object, with overlaps.

The file grows with the frames: annotations are written at once, images are collected in a temporary file and appended
at the end. So memory does not grow with the video, and a run that is stopped leaves valid JSON.

Beyond COCO's fields an annotation has `object_id`, `name`, `score` (the IoU prediction), `confidence` (the expected
IoU), `object_score` (a logit), `prompted` and `accepted`; in a video also `track_id`, `frame_index`, `status` and
`review`. An image of a video has `video`, `frame_index` and `time_s`.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from typing import IO, Any

from masklet.formats.base import ExportJob, Format, frame_name, is_seen
from masklet.formats.stream import BaseStream, FrameRows
from masklet.masks.convert import coco_annotation
from masklet.masks.operations import mask_polygons
from masklet.output import atomic_path, check_writable, naming_errors
from masklet.schema import Options, choice_field, number_field
from masklet.tracking.mask_rows import MaskRow
from masklet.tracking.masklets import LabelledMedium


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoOptions(Options):
    label = "coco"
    segmentation: str = choice_field("rle", {"rle": "Exact pixels (RLE)", "polygons": "Polygons"}, "Masks as")
    tolerance: float = number_field(
        0,
        0,
        20,
        "Simplify polygons, pixels",
        hint="How far a simplified outline may be from the mask; 0 keeps every corner",
        only_if={"segmentation": ["polygons"]},
    )


class CocoStream(BaseStream):
    """Writes one COCO JSON."""

    def __init__(self, job: ExportJob[CocoOptions]) -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the place cannot be written.
        """
        super().__init__(check_writable(job.path))
        self._job = job
        self._num_images = self._num_annotations = 0
        self._files: tuple[IO[str], IO[str]] | None = None
        """Numbers of annotations and images."""

    def write(self, frame: FrameRows) -> None:
        extras = frame.extras or [{}] * len(frame.rows)
        visible = [(row, extra) for row, extra in zip(frame.rows, extras, strict=True) if is_seen(row)]
        lines = []
        with naming_errors(self.path):
            self.check_space(0 if self._files is None else self._files[1].tell(), keeps_frames=self._job.is_live)
            annotations, images = self._files or self._open()
            image = {"id": self._num_images + 1, **_image(frame)}
            for number, (row, extra) in enumerate(visible, start=self._num_annotations + 1):
                fields = {"id": number, "image_id": image["id"], **self._annotation(frame.medium, row), **extra}
                annotation = {name: value for name, value in fields.items() if value is not None}
                lines.append(("," if number > 1 else "") + "\n" + json.dumps(annotation))
            # Whole frames in one call each, so that an interrupt cannot leave half a record.
            images.write(("," if self._num_images else "") + "\n" + json.dumps(image))
            self._num_images += 1
            self._num_annotations += len(visible)
            annotations.write("".join(lines))
        self._job.num_masks += len(visible)

    def _annotation(self, medium: LabelledMedium, row: MaskRow) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "segmentation": row.rle if self._job.options.segmentation == "rle" else self._polygons(row),
            "object_id": row.object_id,
            "name": medium.masklets.info(row.object_id).name,
            "score": round(row.iou_prediction, 4),
            "confidence": round(row.confidence, 4),
            "object_score": round(row.object_score, 4),
            "prompted": row.prompted,
            "accepted": row.accepted,
        }
        if not medium.is_image:
            fields |= {
                "track_id": row.object_id,
                "frame_index": row.frame_index,
                "status": row.status,
                "review": row.review,
            }
        category_id = self._job.class_number(medium, row.object_id) + 1
        return coco_annotation(row.rle, category_id=category_id, **fields)

    def _polygons(self, row: MaskRow) -> list[list[float]]:
        polygons = mask_polygons(row.mask, self._job.options.tolerance)
        if not polygons:  # the mask is smaller than the tolerance
            polygons = mask_polygons(row.mask)
        return [polygon.ravel().tolist() for polygon in polygons]

    def _open(self) -> tuple[IO[str], IO[str]]:
        temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=self._job.is_live))
        annotations = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
        images = self._stack.enter_context(  # next to the file: the system's folder may be small
            tempfile.TemporaryFile("w+", encoding="utf-8", dir=self.path.parent)  # noqa: SIM115
        )
        annotations.write(f'{{"info": {json.dumps(self._about())},\n"annotations": [')
        self._files = annotations, images
        self._stack.callback(self._finish)
        return self._files

    def _about(self) -> dict[str, Any]:
        media = self._job.media
        names = ", ".join(medium.name for medium in media[:3]) + (", ..." if len(media) > 3 else "")
        about: dict[str, Any] = {"description": f"masklets of {names}" if names else "masklets"}
        if len(media) == 1 and not media[0].is_image:
            info = media[0].source.info
            about |= {"fps": info.fps, "num_frames": info.num_frames}
        return about

    def _finish(self) -> None:
        assert self._files is not None
        annotations, images = self._files
        annotations.write('\n],\n"images": [')
        images.seek(0)
        while block := images.read(1 << 20):
            annotations.write(block)
        # Classes come last: while tracking, objects of new classes may appear until the end.
        colors = self._job.class_colors
        categories = [
            {"id": number, "name": name} | ({"color": colors[name]} if name in colors else {})
            for number, name in enumerate(self._job.classes, start=1)
        ]
        annotations.write(f'\n],\n"categories": {json.dumps(categories)}}}\n')


def _image(frame: FrameRows) -> dict[str, Any]:
    medium = frame.medium
    height, width = medium.source.info.size_hw
    has_name = medium.is_image and medium.file_name
    image: dict[str, Any] = {
        "file_name": medium.file_name if has_name else f"{frame_name(medium, frame.frame_index)}.jpg",
        "width": width,
        "height": height,
    }
    if not medium.is_image:
        image |= {"video": medium.name, "frame_index": frame.frame_index, "time_s": round(frame.time_s, 6)}
    return image


COCO = Format(
    id="coco",
    name="COCO",
    description="One JSON with a mask, box, class and track number for every object on every frame. Overlaps are kept.",
    kinds=("image", "video"),
    suffixes=(".json",),
    options=CocoOptions,
    open_stream=CocoStream,
)
