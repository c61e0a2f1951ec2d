"""Video files through FFmpeg: any container and codec, upright, exact frame numbers, in bounded memory.

Frame i is the i-th that a pass from the start delivers. An MP4 with an even rate is counted by its index, so such a
pass needs no other. Everything else (other files, random access, running backwards, counting after a damaged packet)
looks up time stamps in a `FrameTimeline`, made by one pass over the packets, without decoding if they can be trusted.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.index import IndexEntry
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from masklet.errors import VideoError
from masklet.media.address import why_not_open, without_secrets
from masklet.media.base import BaseSource, VideoInfo
from masklet.media.containers import decode_in_parallel, names_others, open_address, open_file
from masklet.media.stream_probe import StreamProbe, decode, video_stream, whole_packets
from masklet.media.timeline import FrameTimeline, read_timeline
from masklet.media.truncation import has_fragments, is_cut_off, matroska_frames_end
from masklet.records import ByteArray, Frame

CHUNK_BYTES = 192 * 2**20
"""Frames decoded at once when running backwards: at least 4, at most 32."""

TIMEOUT_SECONDS = 20.0
"""Of a server's answers."""

UNREAD_BYTES = 64
"""Bytes that may follow the last packet of a Matroska file, such as the duration of its frame."""

SLACK_FRAMES = 2
"""Frames that may be missing at the end without an error: some encoders and editors leave such files."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """How many frames a file has, and over which time."""

    num_frames: int | None
    span_s: float | None
    """From the first to the last frame; None if unknown."""
    duration_s: float | None
    start_s: float
    is_cut: bool = False
    """True if the file ends before its last frame."""
    num_announced: int | None = None
    """Number of frames before it was cut, if known."""


class VideoFileSource(BaseSource):
    """A video file, or an http(s) address of one.

    Every pass of `frames` opens the file again, so several can run at once, each in its own thread; `frame` keeps one
    reader and the frames around the last one requested, and must be used by one thread.

    A file that was cut off (its index or its chunks continue after its end) delivers its frames, and then raises
    `VideoError`. A single damaged packet in the middle costs its frame; all others keep their numbers.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, find its video stream and decode one frame.

        Raises:
            VideoError: the file is missing, empty, not a video, has no video stream, or no frame can be decoded.
        """
        self._is_url = "://" in str(path)
        self._name = without_secrets(str(path)) if self._is_url else str(path)
        self._address = str(path)
        if not self._is_url:
            _check_file(Path(path))
        self._timeline: FrameTimeline | None = None
        self._cursor: _Cursor | None = None
        self._key_frames: _KeyFrames | None = None
        self._recent: OrderedDict[int, VideoFrame] = OrderedDict()
        self._last: Frame | None = None

        try:
            with self._open() as container:
                stream = video_stream(container, self._name)
                self._probe = StreamProbe.of(container, stream, self._name)
                self._extent = self._measure(container, stream)
        except (ValueError, ArithmeticError) as error:  # what a damaged header says is not a number, a rate, a text
            raise VideoError(f"cannot read {self._name} as a video: {error}") from error
        self._info = self._describe()

    @property
    def info(self) -> VideoInfo:
        return self._info

    def frame(self, index: int) -> Frame:
        if self._last is None or self._last.index != index:
            self._last = self._to_frame(self._decoded(index), index)
        return self._last

    def picture(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        return self._to_rgb(self._decoded(index), size_hw)

    def key_picture(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        """Return a key frame as `picture` does. Only this frame is decoded, so a playback keeps its position."""
        index = self._check_index(index)
        timeline = self._get_timeline()
        if not timeline.can_seek or index in self._recent or index >= len(timeline):
            return self.picture(index, size_hw)
        if self._key_frames is None:
            self._key_frames = _KeyFrames(self)
        decoded = self._key_frames.read(int(timeline.stamps[index]))
        return self.picture(index, size_hw) if decoded is None else self._to_rgb(decoded, size_hw)

    def _decoded(self, index: int) -> VideoFrame:
        """Return the decoder's frame, which can be converted to any size. The last ones are cached."""
        index = self._check_index(index)
        if index in self._recent:
            self._recent.move_to_end(index)
            return self._recent[index]
        if self._cursor is None:
            self._cursor = _Cursor(self)
        # A caller that steps back by one frame will do so again: begin earlier. Keep all frames decoded on the way:
        # if several threads request consecutive frames, any of them can come first.
        first = max(0, index - self._chunk_frames // 2)
        if self._cursor.next_index == index:
            first = index
        elif self._cursor.next_index < index:
            first = max(first, self._cursor.next_index, self._key_index(index))
        for number, decoded in self._cursor.decoded(first, index + 1):
            self._recent[number] = decoded
            while len(self._recent) > self._chunk_frames:
                self._recent.popitem(last=False)
        if index not in self._recent:
            raise VideoError(f"{self._name}: frame {index} cannot be decoded", frame_index=index)
        self._recent.move_to_end(index)
        return self._recent[index]

    def close(self) -> None:
        self._recent.clear()
        self._last = None
        for reader in (self._cursor, self._key_frames):
            if reader is not None:
                reader.close()
        self._cursor = self._key_frames = None

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        cursor = _Cursor(self)
        try:
            if step > 0:
                yield from self._forwards(cursor, start, stop, step)
            else:
                yield from self._backwards(cursor, start, -1 if stop is None else stop, step)
        finally:
            cursor.close()

    def _forwards(self, cursor: _Cursor, start: int, stop: int | None, step: int) -> Iterator[Frame]:
        last = start - 1
        for frame in cursor.read(start, stop, step):
            last = frame.index
            yield frame
        count = self._info.num_frames
        if count is None or (stop is not None and stop < count):
            return
        missing = count - cursor.next_index
        if self._extent.is_cut or missing > SLACK_FRAMES:
            at = max(last + 1, cursor.next_index)
            announced = self._extent.num_announced
            total = f" of {count}" if not self._extent.is_cut else f" of about {announced}" if announced else ""
            raise VideoError(
                f"{self._name} breaks off after {at}{total} frames ({at / self._info.fps:.1f} s): the file is "
                "truncated or damaged",
                frame_index=at,
            )

    def _backwards(self, cursor: _Cursor, start: int, stop: int, step: int) -> Iterator[Frame]:
        indices = range(start, stop, step)
        position = 0
        while position < len(indices):
            highest = indices[position]
            lowest = max(highest - self._chunk_frames * -step + 1, self._key_index(highest), stop + 1)
            end = position + len(range(highest, lowest - 1, step))
            lowest = indices[end - 1]
            chunk = list(cursor.read(lowest, highest + 1, -step))
            if not chunk:
                raise VideoError(f"{self._name}: frame {highest} cannot be decoded", frame_index=highest)
            yield from reversed(chunk)
            position = end

    def key_frame(self, index: int) -> int:
        """Return the number of the key frame at or before a frame; it can be decoded alone."""
        index = self._check_index(index)
        return self._key_index(index)

    def _key_index(self, index: int) -> int:
        timeline = self._get_timeline()
        return timeline.key_index(index) if index < len(timeline) else 0

    @property
    def _chunk_frames(self) -> int:
        height, width = self._probe.format.stored_hw
        return max(4, min(32, CHUNK_BYTES // (3 * height * width)))

    def _open(self) -> InputContainer:
        try:
            if self._is_url:
                return open_address(self._address, timeout_s=TIMEOUT_SECONDS)
            return open_file(self._address)
        except (av.FFmpegError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            head = b"" if self._is_url else _head(self._name)
            if self._is_url:
                reason = why_not_open(error, self._address, TIMEOUT_SECONDS)
            elif names_others(head):
                reason += "; it is a playlist, which names other files: open one of these"
            elif b"ftyp" in head:
                reason += "; it begins like an MP4: its index at the end is missing, so it was probably cut off"
        # Not within the handler: the error's own text shows a password in the address.
        raise VideoError(f"cannot open {self._name} as a video: {reason}")

    def _measure(self, container: InputContainer, stream: VideoStream) -> _Extent:
        """Count the frames, by the index of an MP4 or by the packets of any other file."""
        probe = self._probe
        start_s = float((probe.first_pts or 0) * probe.time_base)
        if "mov" in container.format.name and stream.frames and probe.is_ordered:
            entries = list(getattr(stream, "index_entries", ()))  # the sample table: no packet has to be read
            if self._is_url:
                count = sum(not entry.is_discard for entry in entries) or stream.frames
                return _Extent(count - probe.num_undecodable, None, probe.duration_s, start_s)
            if probe.is_even and _is_even(entries) and not has_fragments(Path(self._name)):
                size = Path(self._name).stat().st_size
                complete = sum(entry.pos + entry.size <= size for entry in entries)
                count = max(1, complete - probe.num_undecodable)
                span_s = float((entries[count - 1].timestamp - entries[0].timestamp) * probe.time_base)
                is_cut = complete < len(entries)
                duration_s = self._duration_s(count, span_s, None if is_cut else probe.duration_s)
                return _Extent(count, span_s, duration_s, start_s, is_cut, len(entries))
        if self._is_url:
            return _Extent(stream.frames or None, None, probe.duration_s, start_s)
        timeline = self._timeline = read_timeline(self._open, probe, self._name)
        count, span_s = len(timeline), timeline.time_s(-1) if len(timeline) else 0.0
        end = int(timeline.stamps[-1] - timeline.stamps[0]) + timeline.last_duration if count else 0
        duration_s = self._duration_s(count, span_s, float(end * probe.time_base))
        start_s = float(int(timeline.stamps[0]) * probe.time_base) if count else start_s
        announced = stream.frames or round((probe.duration_s or 0) * probe.rates[0])
        is_cut = is_cut_off(Path(self._name)) or self._is_unread(container, timeline)
        return _Extent(count, span_s, duration_s, start_s, is_cut, announced if announced > count else None)

    def _is_unread(self, container: InputContainer, timeline: FrameTimeline) -> bool:
        """Return True if damage ended the reading: a Matroska file has more frames, and its duration says so, too."""
        end = matroska_frames_end(Path(self._name))
        if end is None or not container.duration or end <= timeline.read_bytes + UNREAD_BYTES:
            return False
        return container.duration / av.time_base > timeline.read_s + max(0.1, 0.03 * timeline.read_s)

    def _duration_s(self, num_frames: int, span_s: float, declared_s: float | None) -> float:
        """Return the duration: as declared, if this leaves time for the last frame."""
        if declared_s is not None and declared_s > span_s:
            return declared_s
        return span_s + 1 / self._probe.fps(num_frames, span_s)

    def _describe(self) -> VideoInfo:
        probe, extent = self._probe, self._extent
        return VideoInfo(
            name=self._name,
            size_hw=probe.format.upright_hw,
            fps=probe.fps(extent.num_frames, extent.span_s),
            num_frames=extent.num_frames,
            duration_s=extent.duration_s,
            codec=probe.codec,
            has_audio=probe.has_audio,
            rotation_degrees=probe.format.orientation.rotation_degrees,
            path=self._address,
            start_s=extent.start_s,
            time_base=probe.time_base,
            pixel_aspect=probe.pixel_aspect,
        )

    def _get_timeline(self) -> FrameTimeline:
        """Return the timeline, made once."""
        if self._timeline is None:
            self._timeline = read_timeline(self._open, self._probe, self._name)
        return self._timeline

    def _time_s(self, decoded: VideoFrame, index: int) -> float:
        if self._timeline is not None and index < len(self._timeline):
            return self._timeline.time_s(index)
        if decoded.pts is None or self._probe.first_pts is None:
            return index / self._info.fps
        return float((decoded.pts - self._probe.first_pts) * self._probe.time_base)

    def _to_frame(self, decoded: VideoFrame, index: int) -> Frame:
        return Frame(index, self._to_rgb(decoded, self._info.size_hw), self._time_s(decoded, index))

    def _to_rgb(self, decoded: VideoFrame, size_hw: tuple[int, int]) -> ByteArray:
        """Return an upright (h, w, 3) image; a stream that changes its size keeps the first one."""
        return self._probe.format.picture(decoded, size_hw)


class _Cursor:
    """One open decoder: reads ranges, and continues from its position if that is nearer than a key frame."""

    def __init__(self, source: VideoFileSource) -> None:
        self._source = source
        self._container: InputContainer | None = None
        self._decoded: Generator[tuple[int, VideoFrame], None, None] | None = None
        self.next_index = 0
        """Number of the frame after the last one decoded."""

    def close(self) -> None:
        # The generators hold the decoder, whose threads end when nothing holds it.
        if self._decoded is not None:
            self._decoded.close()
            self._decoded = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def read(self, start: int, stop: int | None, step: int = 1) -> Iterator[Frame]:
        """Yield the frames `range(start, stop, step)`, `step` > 0, as far as they exist."""
        for index, decoded in self.decoded(start, stop, step):
            yield self._source._to_frame(decoded, index)

    def decoded(self, start: int, stop: int | None, step: int = 1) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the same frames in the decoder's format, with their numbers."""
        if stop is not None and start >= stop:
            return
        pending = self._go_to(start)
        while True:
            try:
                item = pending or (next(self._decoded, None) if self._decoded is not None else None)
            except av.FFmpegError as error:
                raise VideoError(
                    f"{self._source._name}: reading failed after frame {self.next_index - 1}: "
                    f"{error.strerror or error}",
                    frame_index=self.next_index,
                ) from error
            pending = None
            if item is None:
                return
            index, decoded = item
            self.next_index = index + 1
            if index >= start and (index - start) % step == 0:
                yield index, decoded
            if stop is not None and index + 1 >= stop:
                return

    def _go_to(self, index: int) -> tuple[int, VideoFrame] | None:
        """Seek so that the next frame is at or before `index`; return that frame if seeking had to decode it."""
        if self._container is not None and self.next_index == index:
            return None
        if index == 0:
            self._restart()
            return None
        timeline = self._source._get_timeline()
        is_behind = self._container is not None and self.next_index <= index
        if not timeline.can_seek or index >= len(timeline):
            # The position after a seek would be unknown: count from here, or from the start to go back.
            if not is_behind:
                self._restart()
            return None
        # Decoding forward from here costs less than seeking, unless a key frame lies between here and the frame.
        if is_behind and timeline.key_index(index) <= self.next_index:
            return None
        keys = timeline.keys_before(index)
        # A container may seek by decoding time, which is not the order of presentation, or only roughly. So decode one
        # frame and look up its number: if it is after `index`, try the key frame before. The first key frame is left
        # out: seeking there is the same as a restart.
        for pts in keys[:-1]:
            landed = self._seek(pts)
            if landed is not None and landed[0] <= index:
                return landed
        self._restart()
        return None

    def _restart(self) -> None:
        self.close()
        self._container = self._source._open()
        stream = video_stream(self._container, self._source._name)
        decode_in_parallel(stream)
        self._decoded = self._counted(decode(whole_packets(self._container, stream), self._source._get_timeline))
        self.next_index = 0

    def _counted(self, frames: Iterator[VideoFrame]) -> Generator[tuple[int, VideoFrame], None, None]:
        """Number frames from a seek or from the start on; drop those that do not belong to the video."""
        source, count = self._source, 0
        last_pts: int | None = None
        for frame in frames:
            timeline = source._timeline
            if timeline is None and not source._is_url and self._is_doubtful(frame.pts, last_pts):
                timeline = source._get_timeline()
            last_pts = frame.pts
            index: int | None = count
            if timeline is not None and timeline.can_seek and frame.pts is not None:
                index = timeline.index_of(frame.pts)
            if index is not None:
                yield index, frame
                count = index + 1

    def _is_doubtful(self, pts: int | None, last_pts: int | None) -> bool:
        """Return True if counting could be wrong here: a frame was lost without an error, or a clock starts again."""
        if pts is None or last_pts is None:
            return pts is None
        step = 1 / (Fraction(self._source._info.fps).limit_denominator(100_000) * self._source._probe.time_base)
        return not last_pts < pts < last_pts + 3 * step / 2

    def _seek(self, pts: int) -> tuple[int, VideoFrame] | None:
        if self._container is None:
            self._restart()
        assert self._container is not None
        stream = video_stream(self._container, self._source._name)
        if self._decoded is not None:
            self._decoded.close()
        try:
            self._container.seek(pts, stream=stream, backward=True)
            self._decoded = self._counted(decode(whole_packets(self._container, stream), self._source._get_timeline))
            return next(self._decoded, None)
        except av.FFmpegError:
            return None


class _KeyFrames:
    """A decoder for single key frames."""

    MAX_PACKETS = 200
    """Largest number of packets read between the position after a seek and the key frame."""

    def __init__(self, source: VideoFileSource) -> None:
        self._container = source._open()
        self._stream = video_stream(self._container, source._name)

    def close(self) -> None:
        self._container.close()
        del self._stream  # its decoder's threads end when nothing holds it

    def read(self, pts: int) -> VideoFrame | None:
        """Return the key frame with this time stamp; None if it cannot be decoded alone."""
        context = self._stream.codec_context
        try:
            self._container.seek(pts, stream=self._stream, backward=True)
            for packet in itertools.islice(self._container.demux(self._stream), self.MAX_PACKETS):
                if packet.pts == pts and packet.is_keyframe:
                    # Draining returns the frame immediately, not after the following ones.
                    frames = [*context.decode(packet), *context.decode(None)]
                    return next((frame for frame in frames if frame.pts == pts), None)
        except av.FFmpegError:
            return None
        finally:
            context.flush_buffers()
        return None


def _is_even(entries: list[IndexEntry]) -> bool:
    """Return True if no editor has cut an MP4, and all its frames take equally long, to one tick."""
    if not entries or any(entry.is_discard for entry in entries):
        return False
    steps = np.diff([entry.timestamp for entry in entries])
    return bool(len(steps) == 0 or (steps.min() > 0 and np.ptp(steps) <= 1))


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise VideoError(f"{path} is a folder, expected a video file")
        if path.stat().st_size == 0:
            raise VideoError(f"{path} is empty: got 0 bytes")
        path.open("rb").close()
    except VideoError:
        raise
    except FileNotFoundError as error:
        raise VideoError(f"no such video: {path}") from error
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror or error}") from error


def _head(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(64)
