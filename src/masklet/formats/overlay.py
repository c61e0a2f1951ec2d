"""Overlays: frames with their objects drawn in, as a video with sound, or as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from masklet.errors import OutputError
from masklet.formats.base import ExportJob, Format, is_seen
from masklet.formats.stream import BaseStream, FrameRows
from masklet.masks.drawing import draw_overlay
from masklet.media.images import write_image
from masklet.media.writer import VideoWriter, h264
from masklet.records import ByteArray
from masklet.schema import Options, integer_field, switch_field

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")
_WORDS = ("occluded", "lost")
"""Statuses that are shown in place of the confidence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OverlayOptions(Options):
    label = "overlay"
    quality: int = integer_field(
        18,
        0,
        51,
        "Compression (x264's CRF)",
        hint="Larger numbers make smaller files that look worse",
        only_for="video",
    )
    labels: bool = switch_field(True, "Draw object numbers, names or classes, confidence, and where one is lost")
    prompts: bool = switch_field(True, "Draw clicks and boxes")


class OverlayStream(BaseStream):
    """Writes the video with its objects drawn in, as H.264 (see `VideoWriter`); for an image a picture."""

    def __init__(self, job: ExportJob[OverlayOptions]) -> None:
        """Prepare; the file is opened with the first frame.

        Raises:
            OutputError: the suffix is not allowed, or the path cannot be written.
        """
        super().__init__(job.path)
        self._job = job
        medium = job.media[0]
        allowed = PICTURE_SUFFIXES if medium.is_image else VIDEO_SUFFIXES
        if job.path.suffix.lower() not in allowed:
            raise OutputError(f"an overlay must end in {', '.join(allowed)}, got {job.path}")
        self._writer: VideoWriter | None = None
        if not medium.is_image:
            codec = h264(job.options.quality)
            self._writer = VideoWriter(job.path, medium.source.info, codec, keep_partial=job.is_live)
            self._stack.push(self._writer)
        self._last_index = -1

    def write(self, frame: FrameRows) -> None:
        assert frame.rgb is not None
        if frame.frame_index <= self._last_index:
            raise OutputError(f"an overlay needs its frames in order, got {frame.frame_index} after {self._last_index}")
        picture = self._drawn(frame)
        if self._writer is None:
            write_image(self.path, picture)
        else:
            # The frames that the encoder still holds take no more space than one raw frame.
            self.check_space(frame.rgb.nbytes + self._writer.to_finish(), keeps_frames=self._job.is_live)
            self._writer.write(picture, frame.time_s)
        self._last_index = frame.frame_index
        self._job.num_masks += sum(is_seen(row) for row in frame.rows)

    def _drawn(self, frame: FrameRows) -> ByteArray:
        assert frame.rgb is not None
        options = self._job.options
        masklets = frame.medium.masklets
        masks = [row.mask for row in frame.rows]
        return draw_overlay(
            frame.rgb,
            np.stack(masks) if masks else np.zeros((0, *frame.rgb.shape[:2]), np.bool_),
            [row.object_id for row in frame.rows],
            [row.confidence for row in frame.rows],
            prompts=frame.medium.prompts.get(frame.frame_index) if options.prompts else None,
            statuses={row.object_id: row.status for row in frame.rows if row.status in _WORDS},
            labels=options.labels,
            colors={row.object_id: masklets.info(row.object_id).shown_color for row in frame.rows},
            names={info.object_id: info.name or info.class_name for info in masklets.objects},
        )


OVERLAY = Format(
    id="overlay",
    name="Overlay",
    description="The video (H.264, with its sound) or the image with its objects drawn in: tint, outline, number, "
    "name or class, confidence, and a word where an object is occluded or lost. A picture, no masks.",
    kinds=("image", "video"),
    suffixes=VIDEO_SUFFIXES,
    image_suffixes=PICTURE_SUFFIXES,
    options=OverlayOptions,
    open_stream=OverlayStream,
    many_media=False,
    shows_frames=True,
)
