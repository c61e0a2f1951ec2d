"""The video with its objects drawn in, and its sound."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from masklet.errors import OutputError
from masklet.formats.sink_base import BaseSink
from masklet.masks.drawing import draw_overlay
from masklet.media.base import VideoInfo
from masklet.media.writer import VideoWriter, h264
from masklet.prompts import Prompt
from masklet.records import Frame, FrameMasks

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")


class OverlaySink(BaseSink):
    """The video with its objects drawn in, as H.264; see `VideoWriter`."""

    def __init__(
        self,
        path: str | Path,
        info: VideoInfo,
        *,
        prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
        quality: int = 18,
    ) -> None:
        """Prepare; the file is opened with the first frame.

        Args:
            path: .mp4, .mov or .mkv; an existing file is replaced in the end.
            info: of the source, for its rate and its audio.
            prompts: by frame index and object id: drawn on their frames.
            quality: x264's constant rate factor: 18 looks like the source, larger is smaller.

        Raises:
            OutputError: another suffix, or a place that cannot be written.
        """
        if Path(path).suffix.lower() not in VIDEO_SUFFIXES:
            raise OutputError(f"an overlay must end in {', '.join(VIDEO_SUFFIXES)}, got {path}")
        self._writer = VideoWriter(path, info, h264(quality))
        super().__init__(self._writer.path)
        self._stack.push(self._writer)
        self._prompts = prompts or {}
        self._last_index = -1

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        if frame.index <= self._last_index:
            raise OutputError(
                f"an overlay needs its frames in order, got {frame.index} after {self._last_index}: "
                "wrap the sink in InOrder"
            )
        # The frames that the encoder holds back take together no more than one raw frame.
        self.check_space(to_finish=frame.rgb.nbytes + self._writer.to_finish())
        picture = draw_overlay(
            frame.rgb, masks.masks, masks.object_ids, masks.iou_predictions, prompts=self._prompts.get(frame.index)
        )
        self._writer.write(picture, frame.time_s)
        self._last_index = frame.index
