"""Masks as PNGs: one indexed PNG per frame, or one PNG per object; DAVIS folders also have the frames."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from masklet.datasets.records import MAX_OBJECT_ID
from masklet.formats.base import ExportJob, Format, is_seen
from masklet.formats.labels import label_map
from masklet.formats.stream import BaseStream, FrameRows
from masklet.masks.indexed_png import binary_png, indexed_png
from masklet.media.base import closing_frames
from masklet.media.images import encode_jpeg
from masklet.output import OutputFolder
from masklet.schema import Options, choice_field, switch_field
from masklet.tracking.masklets import LabelledMedium, color_text

JPEG_QUALITY = 95
OBJECTS_NAME = "objects.json"
"""File next to the masks with the objects' names and classes."""

_HOLDER = "an indexed PNG"
_HINT = " (255 means void)"


@dataclass(frozen=True, kw_only=True, slots=True)
class PngOptions(Options):
    label = "masks"
    layout: str = choice_field(
        "indexed",
        {"indexed": "One picture, with object numbers", "objects": "One picture for each object", "both": "Both"},
        "Pictures",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DavisOptions(Options):
    label = "davis"
    frames: bool = switch_field(True, "Add the frames (JPEG)")


class PngStream(BaseStream):
    """Writes indexed PNGs as in DAVIS: a pixel's value is the object's id, 0 is background.

    Where objects overlap, the smaller one is on top. In the layouts "objects" and "both" every object has a folder of
    black and white PNGs (`7/00042.png`), in which overlaps are kept.
    """

    def __init__(self, job: ExportJob[PngOptions]) -> None:
        """Open the output. While tracking, masks of an earlier run in the folder are removed; other files stay.

        Raises:
            OutputError: the path exists or cannot be written.
        """
        super().__init__(job.path)
        self._job = job
        self._folder = OutputFolder(job.path, is_live=job.is_live)
        self._stack.push(self._folder)
        self._media: dict[str, LabelledMedium] = {medium.name: medium for medium in job.media}
        self._object_ids: dict[str, set[int]] = {}
        self._stack.push(self._finish)
        if job.is_live:
            for path in (*job.path.glob("*.png"), *job.path.glob("*/*.png")):
                if re.fullmatch(r"(\d+/)?\d{5,}\.png", path.relative_to(job.path).as_posix()):
                    path.unlink()

    def write(self, frame: FrameRows) -> None:
        job, medium = self._job, frame.medium
        layout = job.options.layout
        stem = medium.name if medium.is_image else f"{frame.frame_index:05d}"
        if job.is_live:
            self.check_space(keeps_frames=True)
        if layout != "objects":
            ids = label_map(frame, largest=MAX_OBJECT_ID, holder=_HOLDER, hint=_HINT, note=job.note)
            self._folder.write(f"{job.folder_of(medium)}{stem}.png", indexed_png(ids))
        if layout != "indexed":
            for row in frame.rows:
                self._folder.write(f"{job.folder_of(medium)}{row.object_id}/{stem}.png", binary_png(row.mask))
        self._object_ids.setdefault(medium.name, set()).update(row.object_id for row in frame.rows)
        job.num_masks += sum(is_seen(row) for row in frame.rows)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the document of objects, including those that appeared while tracking."""
        if kind is not None and not self._job.is_live:
            return
        for name, medium in self._media.items():
            if name in self._object_ids or not self._job.is_live:
                document = objects_document(medium, self._object_ids.get(name, ()))
                self._folder.write(f"{self._job.folder_of(medium)}{OBJECTS_NAME}", document)


def _write_davis(job: ExportJob[DavisOptions]) -> None:
    with OutputFolder(job.path) as folder:
        for frame in job.frames():
            ids = label_map(frame, largest=MAX_OBJECT_ID, holder=_HOLDER, hint=_HINT, note=job.note)
            folder.write(f"Annotations/{frame.medium.name}/{frame.frame_index:05d}.png", indexed_png(ids))
            job.num_masks += sum(is_seen(row) for row in frame.rows)
        for medium in job.media:
            if job.options.frames:
                with closing_frames(medium.source.frames()) as pictures:
                    for picture in pictures:
                        job.check_cancelled()
                        data = encode_jpeg(picture.rgb, JPEG_QUALITY)
                        folder.write(f"JPEGImages/{medium.name}/{picture.index:05d}.jpg", data)
            folder.write(f"Annotations/{medium.name}/{OBJECTS_NAME}", objects_document(medium))
        folder.write("ImageSets/2017/all.txt", "".join(f"{medium.name}\n" for medium in job.media).encode())


def objects_document(medium: LabelledMedium, more_ids: Iterable[int] = ()) -> bytes:
    """Return JSON with the objects' names, classes and colours, which PNGs cannot hold.

    Args:
        medium: the medium with its objects.
        more_ids: ids of further objects.
    """
    object_ids = {info.object_id for info in medium.masklets.objects} | set(more_ids)
    infos = [medium.masklets.info(object_id) for object_id in sorted(object_ids)]
    objects = [
        {
            "id": info.object_id,
            "name": info.name,
            "class_name": info.class_name,
            "color": color_text(info.shown_color),
        }
        for info in infos
    ]
    return json.dumps({"objects": objects}, indent=2).encode()


MASKS = Format(
    id="masks",
    name="PNG masks",
    description="One PNG per frame whose pixel values are object numbers (1 to 254; where objects overlap the smaller "
    "one is on top), or a black and white PNG for each object (overlaps kept), or both; names and classes in "
    "objects.json.",
    kinds=("image", "video"),
    options=PngOptions,
    open_stream=PngStream,
    any_order=True,
)

DAVIS = Format(
    id="davis",
    name="DAVIS",
    description="JPEGImages and Annotations as in DAVIS 2017: indexed PNGs of 1 to 254 objects; where they overlap the "
    "smaller one is on top.",
    kinds=("video",),
    options=DavisOptions,
    write=_write_davis,
)
