"""Rendered pictures: an animated overlay, and the cut-out of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from masklet.errors import Cancelled, DataError
from masklet.formats.base import ExportJob, Format, is_seen
from masklet.masks.operations import mask_box_xyxy
from masklet.media.gif import GifOptions
from masklet.media.images import write_image
from masklet.records import BoolArray, ByteArray
from masklet.render import Composition, render_frame, render_video
from masklet.render.composition import Highlight, Outline, TransparentBackground
from masklet.schema import Options, number_field, switch_field


@dataclass(frozen=True, kw_only=True, slots=True)
class OverlayGifOptions(GifOptions):
    outline: bool = switch_field(True, "Draw outlines")


@dataclass(frozen=True, kw_only=True, slots=True)
class CutoutOptions(Options):
    label = "cutout"
    crop: bool = switch_field(False, "Crop to the objects")
    feather: float = number_field(0, 0, 40, "Softness of the edge")


def _write_gif(job: ExportJob[OverlayGifOptions]) -> None:
    medium, options = job.media[0], job.options
    span = medium.masklets.span()
    effects = (Highlight(), *([Outline()] if options.outline else []))
    rendered = render_video(
        medium,
        Composition(objects={"*": effects}),
        job.path,
        container="gif",
        start=span.start,
        stop=span.stop,
        gif=GifOptions(width=options.width, fps=options.fps),
        progress=job.progress,
        cancelled=job.cancelled,
    )
    if not rendered.is_complete:
        job.path.unlink(missing_ok=True)
        raise Cancelled
    job.num_frames = rendered.num_frames
    job.num_masks = sum(is_seen(row) for index in span for row in medium.masklets.at(index))


def cut_out(rgb: ByteArray, masks: Mapping[int, BoolArray], options: CutoutOptions | None = None) -> ByteArray:
    """Return the objects without their background.

    Args:
        rgb: (H, W, 3).
        masks: (H, W) by object id; at least one has a pixel if `options.crop` is set.
        options: size and edges.

    Returns:
        (h, w, 4) with straight alpha.
    """
    options = options or CutoutOptions()
    edges = Composition.from_dict({"edges": {"feather": options.feather}}).edges
    picture = render_frame(rgb, masks, Composition(TransparentBackground(), edges=edges))
    if options.crop:
        box = mask_box_xyxy(picture[:, :, 3] > 0)
        assert box is not None
        left, top, right, bottom = box.astype(int).tolist()
        picture = np.ascontiguousarray(picture[top:bottom, left:right])
    return picture


def _write_cutout(job: ExportJob[CutoutOptions]) -> None:
    medium = job.media[0]
    masks = {object_id: mask for object_id, mask in medium.masklets.masks_at(0).items() if mask.any()}
    if not masks:
        raise DataError(f"{medium.name} has nothing to cut out: every mask is empty")
    write_image(job.path, cut_out(medium.source.frame(0).rgb, masks, job.options))
    job.num_frames, job.num_masks = 1, len(masks)


GIF = Format(
    id="gif",
    name="Animated GIF",
    description="The video with its objects tinted and outlined, small, for documents and chats. A picture, no masks.",
    kinds=("video",),
    suffixes=(".gif",),
    options=OverlayGifOptions,
    write=_write_gif,
    many_media=False,
)

CUTOUT = Format(
    id="cutout",
    name="Cut-out PNG",
    description="The objects of an image without their background, with soft edges. For videos see render.",
    kinds=("image",),
    suffixes=(".png",),
    options=CutoutOptions,
    write=_write_cutout,
    many_media=False,
)
