"""Exports complete masks at once, in any format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from masklet.errors import DataError, OutputError
from masklet.formats.base import Exported, ExportJob, Format
from masklet.formats.registry import find_format
from masklet.records import Progress
from masklet.tracking.masklets import LabelledMedium


def export_masks(
    format_id: str,
    media: Sequence[LabelledMedium],
    out: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    classes: Sequence[str] = (),
    class_colors: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Exported:
    """Write the masks of one or several media.

    Args:
        format_id: one of `FORMATS`.
        media: with different names.
        out: a file with the format's suffix; for formats of many files a .zip, or a folder that is empty or does not
            exist. It appears when complete.
        options: see the format's schema.
        classes: the first classes, in this order, even if no object has them; others follow in order of appearance.
        class_colors: colours of classes as "#rrggbb", by name, for formats that have a place for them.
        progress: called after each frame; the name is that of its medium.
        cancelled: called before each frame; if it returns True, the export stops and nothing is left behind.

    Raises:
        ConfigError: the format or an option is unknown.
        DataError: there are no masks, the format does not support such media, or it cannot hold a mask.
        OutputError: the path exists or cannot be written.
        Cancelled: `cancelled` returned True.
    """
    format_, out = find_format(format_id), Path(out)
    settings = format_.options.of(options)
    _check_media(format_, media)
    _check_path(format_, media[0], out)
    if not any(medium.masklets.at(frame) for medium in media for frame in medium.masklets.span()):
        accepted = " that was accepted" if media[0].masklets.only_accepted else ""
        raise DataError(f"there is nothing to export: no object has a mask{accepted}")
    categories = [info.category for medium in media for info in medium.masklets.objects]
    job = ExportJob(
        media,
        out,
        settings,
        list(dict.fromkeys([*classes, *categories])),
        class_colors or {},
        progress=progress,
        cancelled=cancelled,
    )
    format_.run(job)
    return Exported(out, len(media), job.num_frames, job.num_masks, job.noted())


def _check_media(format_: Format[Any], media: Sequence[LabelledMedium]) -> None:
    if not media:
        raise DataError("there is nothing to export: no medium was given")
    if len(media) > 1 and not format_.many_media:
        raise DataError(f"{format_.name} is written for one medium at a time, got {len(media)}")
    for medium in media:
        format_.check_medium(medium)
    if len({medium.name for medium in media}) < len(media):
        raise DataError("media that are exported together need different names")


def _check_path(format_: Format[Any], medium: LabelledMedium, out: Path) -> None:
    suffixes = format_.suffixes_for(is_image=medium.is_image)
    if suffixes and not out.name.lower().endswith(suffixes):
        raise OutputError(f"{format_.name} is written to a {' or '.join(suffixes)} file, got {out}")
    if not suffixes and out.suffix and out.suffix.lower() != ".zip":
        raise OutputError(f"{format_.name} is many files: give a folder or a .zip, got {out}")
