"""One video stream of a file: its packets and frames, as from FFmpeg, and the facts known after decoding one frame.

Knows nothing of frame numbers and of seeking; see `masklet.media.video_file`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from masklet.errors import VideoError
from masklet.media.base import VideoInfo
from masklet.records import ByteArray


@dataclass(frozen=True, slots=True)
class Orientation:
    """The steps that make stored frames upright: transpose, then flip."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False
    rotation_degrees: int = 0

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read FFmpeg's display matrix: x' = a x + c y, y' = b x + d y, y down; rounded to the nearest axis."""
        side_data = frame.side_data.get("DISPLAYMATRIX")
        if side_data is None:
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(cast(Buffer, side_data)), dtype=np.int32)[:5].tolist()
        sign = -1 if a * d < b * c else 1  # mirroring is applied after the rotation
        degrees = round(math.degrees(math.atan2(b, sign * a)) / 90) * 90 % 360
        if abs(b) > abs(a):
            return cls(True, c < 0, b < 0, degrees)
        return cls(False, a < 0, d < 0, degrees)

    def apply(self, rgb: ByteArray) -> ByteArray:
        """Return the upright frame."""
        if self.transpose:
            rgb = np.asarray(cv2.transpose(rgb), np.uint8)
        if self.flip_x or self.flip_y:
            code = -1 if self.flip_x and self.flip_y else (1 if self.flip_x else 0)
            rgb = np.asarray(cv2.flip(rgb, code), np.uint8)
        return rgb


@dataclass(frozen=True, slots=True)
class StreamProbe:
    """Facts about a video stream that are known after decoding one frame."""

    orientation: Orientation
    stored_hw: tuple[int, int]
    """Size before the frames are made upright."""
    untagged_matrix: str
    """Colour matrix, used if the stream declares none."""
    has_stamps: bool
    """False if time stamps do not follow the order of presentation."""
    first_pts: int | None
    time_base: Fraction
    fps: float
    codec: str
    duration_s: float | None
    has_audio: bool
    pixel_aspect: Fraction
    """Width / height of one upright pixel."""

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream, name: str) -> StreamProbe:
        """Decode the first frame.

        Raises:
            VideoError: no frame can be decoded.
        """
        first = None
        with suppress(av.FFmpegError):
            first = next(decode(container, stream), None)
        if first is None:
            raise VideoError(f"{name}: no frame of its {codec_name(stream)} video can be decoded", frame_index=0)
        orientation = Orientation.of(first)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return cls(
            orientation=orientation,
            stored_hw=(first.height, first.width),
            # Players assume BT.709 from 720 lines on.
            untagged_matrix="ITU709" if first.height >= 720 else "ITU601",
            # AVI counts packets in decoding order, which is not the order of presentation when there are B frames.
            has_stamps=not (container.format.name == "avi" and stream.codec_context.has_b_frames),
            first_pts=first.pts,
            time_base=stream.time_base or Fraction(1, 1000),
            fps=float(stream.average_rate or stream.guessed_rate or Fraction(25)),
            codec=codec_name(stream),
            duration_s=_duration_s(container, stream),
            has_audio=bool(container.streams.audio),
            pixel_aspect=1 / aspect if orientation.transpose else aspect,
        )

    def info(self, name: str, path: str, num_frames: int | None, *, is_cut: bool) -> VideoInfo:
        """Return the facts about the video.

        Args:
            name: for messages.
            path: for FFmpeg.
            num_frames: number of existing frames.
            is_cut: the file announces more frames; its duration is then not the file's own.
        """
        return VideoInfo(
            name=name,
            size_hw=self.stored_hw[::-1] if self.orientation.transpose else self.stored_hw,
            fps=self.fps,
            num_frames=num_frames,
            duration_s=num_frames / self.fps if num_frames and is_cut else self.duration_s,
            codec=self.codec,
            has_audio=self.has_audio,
            rotation_degrees=self.orientation.rotation_degrees,
            path=path,
            start_s=float((self.first_pts or 0) * self.time_base),
            time_base=self.time_base,
            pixel_aspect=self.pixel_aspect,
        )


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the first video stream of a file.

    Raises:
        VideoError: it has none.
    """
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:  # a song's cover is not a video
            return stream
    kinds = sorted({stream.type for stream in container.streams})
    raise VideoError(f"{name} has no video stream: it holds {', '.join(kinds) or 'nothing'}")


def decode(
    container: InputContainer, stream: VideoStream, on_damage: Callable[[], object] = lambda: None
) -> Iterator[VideoFrame]:
    """Yield all frames from the container's position; damaged packets are skipped, after a call of `on_damage`."""
    for packet in whole_packets(container, stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            on_damage()
            continue
        yield from frames


def whole_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield all packets except a truncated last one.

    That packet would cost frames before it, too: PyAV drops the frames that a decoder still holds if draining fails.
    """
    held: Packet[VideoStream] | None = None
    for packet in container.demux(stream):
        if held is not None and not (held.is_corrupt and packet.size == 0):
            yield held
        held = packet
    if held is not None:
        yield held


def codec_name(stream: VideoStream) -> str:
    """Return the name of the codec, such as "h264"."""
    return stream.codec_context.name if stream.codec_context is not None else "unknown"


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = stream.metadata.get("DURATION", "")  # Matroska: "00:00:04.004000000"
    if tag.count(":") == 2:
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return container.duration / av.time_base if container.duration else None
