"""Animated GIFs with one palette: colours are counted while frames are added; the palette is applied at the end."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO

import av
import cv2
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.stream import VideoStream

from masklet.errors import OutputError
from masklet.output import atomic_path, check_writable
from masklet.records import ByteArray
from masklet.schema import Options, integer_field, number_field

_TICK = Fraction(1, 100)
"""Ticks per second: a GIF counts hundredths of a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GifOptions(Options):
    """Size and rate of an animated GIF."""

    label = "gif"
    width: int = integer_field(480, 32, 1920, "Maximum width, pixels")
    fps: float = number_field(12.5, 1, 50, "Maximum frames per second")


class GifWriter:
    """An animated GIF; a context manager. Frames wait in a temporary file, so memory does not grow."""

    def __init__(self, path: str | Path, options: GifOptions) -> None:
        """Prepare; the file is written when the block is left.

        Raises:
            OutputError: the place cannot be written.
        """
        self.path = check_writable(path)
        self._options = options
        self._stack = ExitStack()
        self._spool: IO[bytes] | None = None
        self._ticks: list[int] = []
        self._first_s = self._due_s = 0.0
        self._shape: tuple[int, int, int] = (0, 0, 0)
        self._counting: tuple[Graph, FilterContext, FilterContext] | None = None
        self.num_frames = 0

    def to_finish(self) -> int:
        """Return the bytes needed for finishing: at most those of the frames."""
        return self.num_frames * self._shape[0] * self._shape[1]

    def write(self, picture: ByteArray, time_s: float) -> None:
        """Add a picture, (H, W, 3) or (H, W, 4), unless it comes too soon after the last one.

        Raises:
            OutputError: it cannot be stored, as on a full disk.
        """
        self.num_frames += 1
        if self._spool is None:
            self._first_s = self._due_s = time_s
        if time_s < self._due_s - 1e-4:
            return
        step = 1 / self._options.fps
        self._due_s += step * max(1, round((time_s - self._due_s) / step + 0.5))
        height, width = picture.shape[:2]
        if width > self._options.width:
            size = (self._options.width, max(1, round(height * self._options.width / width)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        if picture.shape[2] == 3:
            picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)
        try:
            if self._spool is None:
                self._open(picture)
            assert self._spool is not None
            assert self._counting is not None
            self._spool.write(picture.tobytes())
            self._ticks.append(max(round((time_s - self._first_s) / _TICK), self._ticks[-1] + 2 if self._ticks else 0))
            self._counting[1].push(_frame(picture, self._ticks[-1]))
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from error

    def _open(self, picture: ByteArray) -> None:
        self._temporary = self._stack.enter_context(atomic_path(self.path))
        # Next to the file: the system's folder for temporary files may be small.
        self._spool = self._stack.enter_context(tempfile.TemporaryFile(dir=self.path.parent))  # noqa: SIM115
        self._stack.callback(self._finish)
        height, width = picture.shape[:2]
        self._shape = (height, width, 4)
        graph = Graph()
        source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgba"), time_base=_TICK)
        counter, sink = graph.add("palettegen", "stats_mode=full"), graph.add("buffersink")
        source.link_to(counter)
        counter.link_to(sink)
        graph.configure()
        self._counting = graph, source, sink

    def _finish(self) -> None:
        assert self._counting is not None
        assert self._spool is not None
        height, width, _ = self._shape
        try:
            self._counting[1].push(None)
            palette = self._counting[2].pull()
            assert isinstance(palette, av.VideoFrame)
            graph = Graph()
            pictures = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgba"), time_base=_TICK)
            colors = graph.add_buffer(
                width=palette.width, height=palette.height, format=palette.format, time_base=_TICK
            )
            painter = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle:alpha_threshold=128")
            sink = graph.add("buffersink")
            pictures.link_to(painter, 0, 0)
            colors.link_to(painter, 0, 1)
            painter.link_to(sink)
            graph.configure()
            palette.pts, palette.time_base = 0, _TICK
            colors.push(palette)
            colors.push(None)
            with av.open(str(self._temporary), "w", format="gif") as container:
                stream = container.add_stream("gif", rate=Fraction(100))
                assert isinstance(stream, VideoStream)
                stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
                stream.codec_context.time_base = _TICK
                self._spool.seek(0)
                for tick in self._ticks:
                    data = self._spool.read(height * width * 4)
                    pictures.push(_frame(np.frombuffer(data, np.uint8).reshape(self._shape), tick))
                    _drain(sink, container, stream)
                pictures.push(None)
                _drain(sink, container, stream)
                container.mux(stream.encode())
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from error
        finally:
            self._counting = None  # the filters' threads end when nothing holds them

    def __enter__(self) -> GifWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


def _frame(picture: ByteArray, tick: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(picture, format="rgba")
    frame.pts, frame.time_base = tick, _TICK
    return frame


def _drain(sink: FilterContext, container: av.container.OutputContainer, stream: VideoStream) -> None:
    while True:
        try:
            painted = sink.pull()
        except (BlockingIOError, EOFError):
            return
        assert isinstance(painted, av.VideoFrame)
        container.mux(stream.encode(painted))
