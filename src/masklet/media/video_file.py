"""Video files through FFmpeg: any container and codec, upright, exact frame numbers, in bounded memory.

Frame i is the i-th in order of presentation. Passes from the start only count frames. Everything else (random access,
running backwards, counting after a damaged packet) looks up time stamps in a timeline of the packets, which is made on
first use by one pass over the file, without decoding.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from masklet.errors import VideoError
from masklet.media.base import BaseSource, VideoInfo
from masklet.media.stream_probe import StreamProbe, decode, video_stream, whole_packets
from masklet.records import ByteArray, Frame

CHUNK_BYTES = 192 * 2**20
"""Frames decoded at once when running backwards: at least 4, at most 32."""

SLACK_FRAMES = 2
"""Frames that may be missing at the end without an error: some encoders and editors leave such files."""


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Time stamps of all frames, in units of the stream's time base."""

    pts: NDArray[np.int64]
    """(F,) time stamps, ascending."""
    key_pts: NDArray[np.int64]
    """(G,) time stamps of key frames, ascending: decoding can start there."""

    def index_of(self, pts: int) -> int | None:
        """Return the number of the frame with this time stamp, or None."""
        index = int(np.searchsorted(self.pts, pts))
        return index if index < len(self.pts) and self.pts[index] == pts else None

    def keys_before(self, index: int) -> list[int]:
        """Return the time stamps of the key frames at or before a frame, nearest first."""
        count = int(np.searchsorted(self.key_pts, self.pts[index], side="right"))
        return [int(pts) for pts in self.key_pts[:count][::-1]]


class VideoFileSource(BaseSource):
    """A video file, or an http(s) address of one.

    Every pass of `frames` opens the file again, so several can run at once, each in its own thread; `frame` keeps one
    reader and the frames around the last one requested, and must be used by one thread.

    A file that breaks off (its index or its duration promise more frames than there are) delivers its frames, and then
    raises `VideoError`. A single damaged packet in the middle costs its frame; all others keep their numbers.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file, find its video stream and decode one frame.

        Raises:
            VideoError: the file is missing, empty, not a video, has no video stream, or no frame can be decoded.
        """
        self._name = str(path)
        self._is_url = "://" in self._name
        if not self._is_url:
            _check_file(Path(path))
        self._timeline: _Timeline | None = None
        self._is_scanned = False
        self._num_packets = 0
        self._cursor: _Cursor | None = None
        self._key_frames: _KeyFrames | None = None
        self._recent: OrderedDict[int, VideoFrame] = OrderedDict()
        self._last: Frame | None = None
        self._promised_frames: int | None = None
        """Number of frames that the file announces; more than `info.num_frames` if it breaks off."""

        with self._open() as container:
            stream = video_stream(container, self._name)
            self._probe = StreamProbe.of(container, stream, self._name)
            num_frames = self._count(container, stream)
        self._info = self._probe.info(self._name, self._address, num_frames, is_cut=self._is_cut)

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
        self._check_index(index)
        timeline = self._get_timeline()
        if timeline is None or index in self._recent or index >= len(timeline.pts):
            return self.picture(index, size_hw)
        if self._key_frames is None:
            self._key_frames = _KeyFrames(self)
        decoded = self._key_frames.read(int(timeline.pts[index]))
        return self.picture(index, size_hw) if decoded is None else self._to_rgb(decoded, size_hw)

    def _decoded(self, index: int) -> VideoFrame:
        """Return the decoder's frame, which can be converted to any size. The last ones are cached."""
        self._check_index(index)
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
        if self._is_cut or missing > SLACK_FRAMES:
            at = max(last + 1, cursor.next_index)
            promised = f" of about {self._promised_frames}" if self._is_cut else f" of {count}"
            raise VideoError(
                f"{self._name} breaks off after {at}{promised} frames ({at / self._probe.fps:.1f} s): the file is "
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
        self._check_index(index)
        return self._key_index(index)

    def _key_index(self, index: int) -> int:
        timeline = self._get_timeline()
        if timeline is None or index >= len(timeline.pts):
            return 0
        keys = timeline.keys_before(index)
        return (timeline.index_of(keys[0]) or 0) if keys else 0

    @property
    def _chunk_frames(self) -> int:
        height, width = self._probe.stored_hw
        return max(4, min(32, CHUNK_BYTES // (3 * height * width)))

    @property
    def _is_cut(self) -> bool:
        return self._promised_frames is not None

    @property
    def _address(self) -> str:
        # With "file:", FFmpeg does not mistake a name with a colon for an address.
        return self._name if self._is_url else f"file:{self._name}"

    def _open(self) -> InputContainer:
        try:
            # A local playlist must not make FFmpeg fetch addresses from the network.
            options = {} if self._is_url else {"protocol_whitelist": "file"}
            return av.open(self._address, mode="r", options=options, timeout=(20, 20) if self._is_url else None)
        except (av.FFmpegError, UnicodeError) as error:
            hint = ""
            if not self._is_url and b"ftyp" in _head(self._name):
                hint = "; it begins like an MP4: its index at the end is missing, so it was probably cut off"
            reason = getattr(error, "strerror", None) or str(error)
            raise VideoError(f"cannot open {self._name} as a video: {reason}{hint}", frame_index=None) from error

    def _count(self, container: InputContainer, stream: VideoStream) -> int | None:
        """Count the frames; set `_promised_frames` if the file announces clearly more."""
        if "mov" in container.format.name and stream.frames:
            entries = list(getattr(stream, "index_entries", ()))  # the sample table: no packet has to be read
            if entries:
                end = math.inf if self._is_url else Path(self._name).stat().st_size
                shown = [entry for entry in entries if not entry.is_discard]
                complete = sum(1 for entry in shown if entry.pos + entry.size <= end)
                if complete < len(shown):
                    self._promised_frames = len(shown)
                return complete
            return stream.frames
        if self._is_url:
            return stream.frames or None
        timeline = self._get_timeline()
        num_frames = len(timeline.pts) if timeline else self._num_packets
        promised = stream.frames or round((self._probe.duration_s or 0) * self._probe.fps)
        # A duration is a rounded number and may be the audio's: clearly more means over half a second and 3 %.
        if promised > num_frames + max(0.5 * self._probe.fps, 0.03 * promised, SLACK_FRAMES):
            self._promised_frames = promised
        return num_frames

    def _get_timeline(self) -> _Timeline | None:
        """Return the timeline, made once; None if time stamps are missing or repeated: then frames are counted."""
        if not self._is_scanned:
            self._is_scanned = True
            self._timeline = self._scan()
        return self._timeline

    def _scan(self) -> _Timeline | None:
        """Read all packets without decoding them; also sets `_num_packets`."""
        stamps: list[int | None] = []
        keys: list[int | None] = []
        with self._open() as container:
            stream = video_stream(container, self._name)
            # An error here occurs again when frames are decoded, and is reported there.
            with suppress(av.FFmpegError):
                for packet in whole_packets(container, stream):
                    if packet.size == 0 or packet.is_discard:
                        continue
                    stamps.append(packet.pts)
                    if packet.is_keyframe:
                        keys.append(packet.pts)
        self._num_packets = len(stamps)
        stamped = [pts for pts in stamps if pts is not None]
        stamped_keys = [pts for pts in keys if pts is not None]
        if not self._probe.has_stamps or not stamped_keys or len(set(stamped)) < len(stamps):
            return None
        pts = np.unique(np.array(stamped, dtype=np.int64))
        # Frames before the first key frame can never be decoded.
        return _Timeline(pts[pts >= stamped_keys[0]], np.unique(np.array(stamped_keys, dtype=np.int64)))

    def _to_frame(self, decoded: VideoFrame, index: int) -> Frame:
        time_s = index / self._probe.fps
        if self._probe.has_stamps and decoded.pts is not None and self._probe.first_pts is not None:
            time_s = float((decoded.pts - self._probe.first_pts) * self._probe.time_base)
        return Frame(index, self._to_rgb(decoded, self._info.size_hw), time_s)

    def _to_rgb(self, decoded: VideoFrame, size_hw: tuple[int, int]) -> ByteArray:
        """Return an upright (h, w, 3) image; a stream that changes its size keeps the first one."""
        height, width = size_hw[::-1] if self._probe.orientation.transpose else size_hw
        matrix = self._probe.untagged_matrix if decoded.colorspace == 2 else None  # 2: unspecified
        is_smaller = (height, width) != self._probe.stored_hw
        rgb = decoded.to_ndarray(
            format="rgb24",
            width=width,
            height=height,
            src_colorspace=matrix,
            interpolation=Interpolation.AREA if is_smaller else None,
        )
        return self._probe.orientation.apply(np.asarray(rgb, np.uint8))


class _Cursor:
    """One open decoder: reads ranges, and continues from its position if that is nearer than a key frame."""

    def __init__(self, source: VideoFileSource) -> None:
        self._source = source
        self._container: InputContainer | None = None
        self._decoded: Iterator[tuple[int, VideoFrame]] = iter(())
        self.next_index = 0
        """Number of the frame after the last one decoded."""

    def close(self) -> None:
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
                item = pending or next(self._decoded, None)
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
        # Without a timeline, the position after a seek is unknown: count from here, or from the start to go back.
        if timeline is None or index >= len(timeline.pts):
            if self._container is None or self.next_index > index:
                self._restart()
            return None
        # Decoding forward from here costs less than seeking, unless a key frame lies between here and the frame.
        keys = timeline.keys_before(index)
        nearest = timeline.index_of(keys[0]) if keys else None
        if self._container is not None and nearest is not None and nearest <= self.next_index <= index:
            return None
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
        stream.thread_type = "AUTO"  # also decode frames in parallel; FFmpeg's default is slices only
        self._decoded = self._counted(decode(self._container, stream, self._source._get_timeline))
        self.next_index = 0

    def _counted(self, frames: Iterator[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        count = 0
        for frame in frames:
            timeline = self._source._timeline
            index = timeline.index_of(frame.pts) if timeline is not None and frame.pts is not None else count
            if index is not None:
                yield index, frame
                count = index + 1

    def _seek(self, pts: int) -> tuple[int, VideoFrame] | None:
        if self._container is None:
            self._restart()
        assert self._container is not None
        stream = video_stream(self._container, self._source._name)
        try:
            self._container.seek(pts, stream=stream, backward=True)
            self._decoded = self._counted(decode(self._container, stream, self._source._get_timeline))
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
