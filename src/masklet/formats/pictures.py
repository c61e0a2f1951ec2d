"""What is rendered rather than written down: an animated overlay, and the cut-out of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from masklet.errors import DataError
from masklet.formats.base import Cancelled, Format, Job
from masklet.masks.operations import mask_box_xyxy
from masklet.media.gif import GifOptions
from masklet.media.images import write_image
from masklet.render import Composition, render_frame, render_video
from masklet.render.composition import Highlight, Outline, TransparentBackground
from masklet.schema import Options, number_field, switch_field


@dataclass(frozen=True, kw_only=True, slots=True)
class OverlayGifOptions(GifOptions):
    outline: bool = switch_field(True, "With outlines")


@dataclass(frozen=True, kw_only=True, slots=True)
class CutoutOptions(Options):
    label = "cutout"
    crop: bool = switch_field(False, "Only as large as the objects")
    feather: float = number_field(0, 0, 40, "Softness of the edge")


def _write_gif(job: Job[OverlayGifOptions]) -> None:
    medium, options = job.media[0], job.options
    progress = job.progress
    span = medium.masklets.span()
    effects = (Highlight(), *([Outline()] if options.outline else []))
    done = render_video(
        medium,
        Composition(objects={"*": effects}),
        job.out,
        container="gif",
        start=span.start,
        stop=span.stop,
        gif=GifOptions(width=options.width, fps=options.fps),
        progress=None if progress is None else lambda frames, total: progress(frames, total or frames),
        cancelled=job.cancelled,
    )
    if not done.is_complete:
        job.out.unlink(missing_ok=True)
        raise Cancelled
    job.num_frames = done.num_frames
    job.num_masks = sum(bool(row.mask.any()) for index in span for row in medium.masklets.at(index))


def _write_cutout(job: Job[CutoutOptions]) -> None:
    medium = job.media[0]
    masks = {object_id: mask for object_id, mask in medium.masklets.masks_at(0).items() if mask.any()}
    if not masks:
        raise DataError(f"{medium.name} has nothing to cut out: every mask is empty")
    edges = Composition.from_dict({"edges": {"feather": job.options.feather}}).edges
    composition = Composition(TransparentBackground(), edges=edges)
    picture = render_frame(medium.source.frame(0).rgb, masks, composition)
    if job.options.crop:
        box = mask_box_xyxy(picture[:, :, 3] > 0)
        assert box is not None
        left, top, right, bottom = box.astype(int).tolist()
        picture = np.ascontiguousarray(picture[top:bottom, left:right])
    write_image(job.out, picture)
    job.num_frames, job.num_masks = 1, len(masks)


GIF = Format(
    "gif",
    "Animated GIF",
    "The video with its objects tinted and outlined, small, for documents and chats. A picture, no masks.",
    ("video",),
    ".gif",
    OverlayGifOptions,
    _write_gif,
    many_media=False,
)

CUTOUT = Format(
    "cutout",
    "Cut-out PNG",
    "The objects of an image on nothing, with soft edges. For videos see render.",
    ("image",),
    ".png",
    CutoutOptions,
    _write_cutout,
    many_media=False,
)
