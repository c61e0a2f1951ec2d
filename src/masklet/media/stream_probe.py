"""One video stream of a file: its packets and frames, as from FFmpeg, and the facts known after decoding its start.

Knows nothing of frame numbers and of seeking; see `masklet.media.video_file`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, cast

import av
import cv2
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from masklet.errors import VideoError
from masklet.media.color import ColorConversion
from masklet.media.containers import bound_pixels, refused_size
from masklet.records import ByteArray

MAX_FPS = 1000
"""Rates above this are units of time, not of frames."""


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
class FrameFormat:
    """How the frames of a stream are stored, told by its first one, and how they become pictures."""

    orientation: Orientation
    colors: ColorConversion
    stored_hw: tuple[int, int]

    @classmethod
    def of(cls, frame: VideoFrame) -> FrameFormat:
        return cls(Orientation.of(frame), ColorConversion.of(frame), (frame.height, frame.width))

    @property
    def upright_hw(self) -> tuple[int, int]:
        return self.stored_hw[::-1] if self.orientation.transpose else self.stored_hw

    def picture(self, frame: VideoFrame, size_hw: tuple[int, int]) -> ByteArray:
        """Return a frame upright, (h, w, 3); one of another size is scaled."""
        return self.orientation.apply(
            self.colors.to_rgb(frame, size_hw[::-1] if self.orientation.transpose else size_hw)
        )


@dataclass(frozen=True, slots=True)
class StreamProbe:
    """Facts about a video stream that are known after decoding its first frames."""

    format: FrameFormat
    is_one_to_one: bool
    """True if each of the first packets is one frame."""
    is_ordered: bool
    """True if the first frames leave the decoder in the order of their packets' time stamps."""
    is_even: bool
    """True if the first frames take equally long, to one tick."""
    num_undecodable: int
    """Packets at the start whose frames cannot be decoded: they refer to frames that were cut off."""
    num_unstamped: int
    """Packets without a time stamp among those."""
    first_pts: int | None
    time_base: Fraction
    rates: tuple[float, ...]
    """Frames per second as the file and its packets tell them, the most trusted first; never empty."""
    codec: str
    duration_s: float | None
    """Duration as the file tells it, from the first frame on."""
    has_audio: bool
    pixel_aspect: Fraction
    """Width / height of one upright pixel."""

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream, name: str) -> StreamProbe:
        """Decode the first frames.

        Raises:
            VideoError: no frame can be decoded.
        """
        most_pixels = bound_pixels(stream)
        start = _Start.read(container, stream)
        first = start.first
        if first is None and (reason := refused_size(stream, most_pixels)) is not None:
            raise VideoError(f"{name} is too large: {reason}", frame_index=0)
        if first is None:
            raise VideoError(f"{name}: no frame of its {codec_name(stream)} video can be decoded", frame_index=0)
        frame_format = FrameFormat.of(first)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        time_base = stream.time_base or Fraction(1, 1000)
        num_unstamped = start.stamps.count(None)
        undecodable = [pts for pts in start.stamps if pts is None or (first.pts is not None and pts < first.pts)]
        decodable = [pts for pts in start.stamps if pts is not None and (first.pts is None or pts >= first.pts)]
        is_ordered = first.pts is not None and start.outputs == start.expected(decodable, codec_name(stream))
        steps = np.diff(sorted(decodable))
        is_counted = len(start.outputs) == len(start.stamps)
        return cls(
            format=frame_format,
            is_one_to_one=is_counted or start.is_damaged,
            # A palette comes once, before the first frame, so decoding cannot start elsewhere.
            is_ordered=is_ordered and first.format.name != "pal8",
            is_even=is_ordered and (len(steps) == 0 or int(np.ptp(steps)) <= 1),
            num_undecodable=len(undecodable) if is_ordered else 0,
            num_unstamped=num_unstamped if is_ordered else 0,
            first_pts=first.pts,
            time_base=time_base,
            rates=_rates(stream, has_stamps=first.pts is not None),
            codec=codec_name(stream),
            duration_s=_duration_s(container, stream),
            has_audio=bool(container.streams.audio),
            pixel_aspect=1 / aspect if frame_format.orientation.transpose else aspect,
        )

    @property
    def tick_s(self) -> float:
        """Precision of the file's time stamps, seconds."""
        return float(self.time_base)

    def fps(self, num_frames: int | None, span_s: float | None) -> float:
        """Return the average frame rate: a declared one if the frames agree with it, otherwise the measured one.

        Args:
            num_frames: number of frames.
            span_s: time from the first to the last frame; None if unknown.
        """
        if num_frames is None or span_s is None or num_frames < 2 or span_s <= 0:
            return self.rates[0]
        tolerance_s = 0.002 * span_s + self.tick_s
        for rate in self.rates:
            if abs((num_frames - 1) / rate - span_s) <= tolerance_s:
                return rate
        return (num_frames - 1) / span_s


@dataclass(slots=True)
class _Start:
    """The first packets of a stream, and the frames decoded from them."""

    NUM_PACKETS: ClassVar[int] = 16

    first: VideoFrame | None
    stamps: list[int | None]
    """Of the packets whose frames are shown."""
    outputs: list[int | None]
    """Of the frames, as the decoder delivers them."""
    is_damaged: bool

    @classmethod
    def read(cls, container: InputContainer, stream: VideoStream) -> _Start:
        start = cls(None, [], [], False)
        with suppress(av.FFmpegError):
            for packet in whole_packets(container, stream):
                if is_shown(packet):
                    start.stamps.append(packet.pts)
                start._decode(cast("Packet[VideoStream]", packet).decode)
                if start.first is not None and len(start.stamps) >= cls.NUM_PACKETS:
                    start._decode(lambda: stream.codec_context.decode(None))
                    break
        return start

    def expected(self, stamps: list[int], codec: str) -> list[int]:
        """Return the time stamps that frames of packets with these should have; damage may have taken some away."""
        # The decoders of HEVC and AV1 leave damaged frames out without an error.
        outputs = set(self.outputs) if self.is_damaged or codec in ("hevc", "libdav1d") else set(stamps)
        return sorted(set(stamps) & outputs)

    def _decode(self, decoder: Callable[[], list[VideoFrame]]) -> None:
        try:
            frames = decoder()
        except av.error.MemoryError:
            raise
        except av.FFmpegError:
            self.is_damaged = True
            return
        for frame in frames:
            self.first = self.first or frame
            self.outputs.append(frame.pts)


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the video stream that the file declares as the default one, otherwise its first; its size is bounded.

    Raises:
        VideoError: it has none.
    """
    flags = av.stream.Disposition
    # A song's cover is not a video.
    streams = [stream for stream in container.streams.video if not stream.disposition & flags.attached_pic]
    for stream in streams:
        if stream.disposition & flags.default:
            streams = [stream]
            break
    if streams:
        bound_pixels(streams[0])
        return streams[0]
    kinds = sorted({stream.type for stream in container.streams})
    raise VideoError(f"{name} has no video stream: it holds {', '.join(kinds) or 'nothing'}")


def is_shown(packet: Packet[Stream]) -> bool:
    """Return False for the end of the file, and for a packet that only others need: an editor cut its frame off."""
    return packet.size > 0 and not packet.is_discard


def decode(
    packets: Iterable[Packet[Stream]] | Iterable[Packet[VideoStream]], on_damage: Callable[[], object] = lambda: None
) -> Generator[VideoFrame, None, None]:
    """Yield all frames of packets; damaged packets are skipped, after a call of `on_damage`."""
    for packet in packets:
        try:
            frames = cast("Packet[VideoStream]", packet).decode()
        except av.error.MemoryError:
            raise
        except av.FFmpegError:  # decoders have several for damaged data
            on_damage()
            continue
        yield from frames


def whole_packets(container: InputContainer, *streams: Stream) -> Iterator[Packet[Stream]]:
    """Yield all packets of streams, except a truncated last one of the first stream.

    That packet would cost frames before it, too: PyAV drops the frames that a decoder still holds if draining fails.
    """
    held: Packet[Stream] | None = None
    for packet in container.demux(*streams):
        if packet.stream.index != streams[0].index:  # the last, empty packet has no `stream_index`
            yield packet
            continue
        if held is not None and not (held.is_corrupt and packet.size == 0):
            yield held
        held = packet
    if held is not None:
        yield held


def codec_name(stream: VideoStream) -> str:
    """Return the name of the codec, such as "h264"."""
    return stream.codec_context.name if stream.codec_context is not None else "unknown"


def _rates(stream: VideoStream, *, has_stamps: bool) -> tuple[float, ...]:
    # Without time stamps, FFmpeg's average is a default, while its guess is what the packets themselves tell.
    rates = [stream.average_rate, stream.guessed_rate, stream.base_rate]
    if not has_stamps:
        rates = rates[1:] + rates[:1]
    return tuple(float(rate) for rate in rates if rate and 0 < rate <= MAX_FPS) or (25.0,)


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.duration > 0 and stream.time_base:
        return float(stream.duration * stream.time_base)
    start_s = float((stream.start_time or 0) * (stream.time_base or 0))
    # Matroska's tag, "00:00:04.004000000", is the time of the end.
    tag = re.fullmatch(r"([0-9]{1,6}):([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,12})?)", stream.metadata.get("DURATION", ""))
    if tag is not None:
        hours, minutes, seconds = tag.groups()
        end_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        return end_s - start_s if end_s > start_s else None
    return container.duration / av.time_base if container.duration and container.duration > 0 else None
