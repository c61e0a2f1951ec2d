"""One door to all formats that masks can be written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from masklet.errors import ConfigError, DataError, OutputError
from masklet.formats.base import Exported, Format, Job, Progress
from masklet.formats.coco import COCO
from masklet.formats.pictures import CUTOUT, GIF
from masklet.formats.png import DAVIS, PNG
from masklet.formats.sav import SAV
from masklet.formats.table import CSV
from masklet.formats.yolo import YOLO_BOXES, YOLO_SEGMENT
from masklet.tracking.masklets import LabelledMedium

FORMATS: dict[str, Format[Any]] = {
    one.id: one for one in (COCO, PNG, YOLO_SEGMENT, YOLO_BOXES, DAVIS, SAV, CSV, GIF, CUTOUT)
}
"""By id."""


def find_format(format_id: str) -> Format[Any]:
    """The format of this name.

    Raises:
        ConfigError: there is none; the message lists those that are.
    """
    if format_id not in FORMATS:
        raise ConfigError(f"there is no format {format_id!r}: choose from {', '.join(FORMATS)}")
    return FORMATS[format_id]


def export_masks(
    format_id: str,
    media: Sequence[LabelledMedium],
    out: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    classes: Sequence[str] = (),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Exported:
    """Write the masks of some media.

    Args:
        format_id: one of `FORMATS`.
        media: with names that differ.
        out: a file with the format's suffix; for formats of many files a .zip, or a folder that is empty or does not
            exist. It appears when it is complete.
        options: see the format's schema.
        classes: the classes that come first, in this order, also those that no object has; others follow as they come.
        progress: called with (frames done, frames in all).
        cancelled: asked before each frame; once it says True nothing is left behind.

    Raises:
        ConfigError: the format or an option is unknown.
        DataError: there are no masks, the format is not for such media, or it cannot hold a mask.
        OutputError: the place is taken or cannot be written.
        Cancelled: `cancelled` said so.
    """
    chosen, out = find_format(format_id), Path(out)
    settings = chosen.options.of(options)
    if not media:
        raise DataError("there is nothing to export: no medium was given")
    if len(media) > 1 and not chosen.many_media:
        raise DataError(f"{chosen.name} is written for one medium at a time, got {len(media)}")
    for medium in media:
        kind = "image" if medium.is_image else "video"
        if kind not in chosen.kinds:
            raise DataError(
                f"{medium.name} is {'an' if medium.is_image else 'a'} {kind}, and {chosen.name} is not for those"
            )
    if len({medium.name for medium in media}) < len(media):
        raise DataError("media that are exported together need different names")
    if chosen.suffix and out.suffix.lower() != chosen.suffix:
        raise OutputError(f"{chosen.name} is written to a {chosen.suffix} file, got {out}")
    if not chosen.suffix and out.suffix and out.suffix.lower() != ".zip":
        raise OutputError(f"{chosen.name} is many files: give a folder or a .zip, got {out}")
    if not any(medium.masklets.at(frame) for medium in media for frame in medium.masklets.span()):
        accepted = " that was accepted" if media[0].masklets.only_accepted else ""
        raise DataError(f"there is nothing to export: no object has a mask{accepted}")
    found = [one.category for medium in media for one in medium.masklets.objects]
    job = Job(media, out, settings, tuple(dict.fromkeys([*classes, *found])), progress, cancelled)
    chosen.write(job)
    notes = tuple(f"{text} ({times})" if times > 1 else text for text, times in job.notes.items())
    return Exported(out, len(media), job.num_frames, job.num_masks, notes)
