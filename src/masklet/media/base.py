"""Base of all frame sources: the interface, the facts about a video, and decoding ahead in a thread."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from masklet.checks import check_positive, check_whole
from masklet.errors import VideoError
from masklet.records import ByteArray, Frame

T = TypeVar("T")
N = TypeVar("N", bound=np.generic)

DEFAULT_FPS = 24.0
"""Frame rate of folders, stacks of slices and arrays, which have no clock."""

AHEAD_FRAMES = 4
"""Decoded frames that may wait for their reader. A pass holds no other frames in memory, except the current one. They
even out different decoding times; if decoding is slower than the reader, more of them would not help."""
AHEAD_BYTES = 128 * 2**20
"""Limit on the memory of waiting frames; two may wait, however large."""


@dataclass(frozen=True, slots=True, eq=False)
class VolumeInfo:
    """Geometry of a stack of slices, from which its masks are made a volume again."""

    shape: tuple[int, int, int]
    """Voxels along the three axes of the stored array."""
    axes: tuple[int, int, int]
    """The array's axes along which slices, rows and columns are counted."""
    flips: tuple[bool, bool, bool]
    """True if slices, rows or columns run against their axis."""
    affine: NDArray[np.float64]
    """(4, 4) maps indices of the stored array to millimetres to the patient's right, front and top (RAS+, NIfTI)."""
    value_range: tuple[float, float] | None = None
    """Values mapped to 0 and 255; None for slices of 8 bits."""
    header_path: Path | None = None
    """A NIfTI file whose header is copied to label volumes, apart from the affine."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance from one slice, row and column to the next."""
        along = np.linalg.norm(self.affine[:3, :3], axis=0)
        slices, rows, columns = (float(along[axis]) for axis in self.axes)
        return slices, rows, columns

    def as_frames(self, array: NDArray[N]) -> NDArray[N]:
        """Return a view of an array of `shape` as (slice, row, column), in the order of the frames."""
        turned = array.transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a video, known before it is decoded."""

    name: str
    """The path or address as the user wrote it, for messages."""
    size_hw: tuple[int, int]
    """Size of the upright frames."""
    fps: float
    """Average frames per second; the frames of a phone or a screen recording need not be evenly spaced."""
    num_frames: int | None
    """Number of frames; None if unknown, as for a camera."""
    duration_s: float | None = None
    codec: str = ""
    has_audio: bool = False
    rotation_degrees: int = 0
    """Clockwise rotation that the file asks for, 0, 90, 180 or 270; it has already been applied to the frames."""
    is_live: bool = False
    """True for a camera or a stream: frames that no reader waits for are lost."""
    path: str | None = field(default=None, repr=False)
    """Path or address that FFmpeg can open again, for the audio; None if there is no such file. Never shown: an address
    may hold a password."""
    start_s: float = 0.0
    """Time of the first frame on the file's own clock, which the audio shares."""
    time_base: Fraction | None = None
    """Unit of the file's time stamps, seconds."""
    pixel_aspect: Fraction = Fraction(1)
    """Width / height of one upright pixel; not 1 in DV and DVD material."""
    volume: VolumeInfo | None = None
    """Geometry of the slices; None if the source is not a stack of slices."""


class Frames(Protocol):
    """Upright RGB frames in any order: the part of a `FrameSource` that previews need and frame caches implement."""

    @property
    def info(self) -> VideoInfo: ...

    def frame(self, index: int) -> Frame:
        """Return one frame.

        Raises:
            VideoError: it does not exist or cannot be read, or the source has no random access.
        """
        ...


class FrameSource(Frames, Protocol):
    """Upright RGB frames in order, from a file, a folder, a camera or memory."""

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        """Yield the frames `range(start, stop, step)`, decoded ahead; a negative step runs backwards.

        Args:
            start: first frame.
            stop: the frame after the last one; None runs to the last frame, or down to frame 0.
            step: not 0.

        Raises:
            VideoError: `start` does not exist, the source does not support this, or (while iterating) it broke off; the
                frames before the break have been yielded and `frame_index` is the first one missing.
        """
        ...

    def picture(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        """Return one frame at a smaller size, for display: decoded or converted at that size where the format allows.

        Args:
            index: number of the frame.
            size_hw: at most the size of the frame.

        Returns:
            (h, w, 3), close but not equal to `frame` resized with an area filter.

        Raises:
            VideoError: as `frame`.
        """
        ...

    def close(self) -> None: ...

    def __enter__(self) -> FrameSource: ...

    def __exit__(self, *exception: object) -> None: ...


class BaseSource(ABC):
    """Checks shared by all sources; a subclass makes the frames."""

    @property
    @abstractmethod
    def info(self) -> VideoInfo: ...

    @abstractmethod
    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        """Yield frames as `frames` does, without a thread; `start` exists, `step` is not 0, and `stop` is not None when
        running backwards."""

    @abstractmethod
    def frame(self, index: int) -> Frame: ...

    def picture(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        return made_smaller(self.frame(index).rgb, size_hw)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        step = check_whole("step", step, error=VideoError)
        if step == 0:
            raise ValueError("step must not be 0: 1 runs forwards, -1 backwards")
        start = self._check_index(start)
        stop = None if stop is None else check_whole("stop", stop, error=VideoError)
        if step < 0 and stop is None:
            stop = -1
        height, width = self.info.size_hw
        depth = max(2, min(AHEAD_FRAMES, AHEAD_BYTES // (3 * height * width)))
        return read_ahead(self._read(start, stop, step), depth)

    def close(self) -> None:  # noqa: B027 (most sources hold nothing open)
        """Close files and devices. Iterators of `frames` that are still open keep their own."""

    def _check_index(self, index: int) -> int:
        """Return the index of a frame that exists, as an int."""
        index = check_whole("frame index", index, error=VideoError)
        count = self.info.num_frames
        if index < 0 or (count is not None and index >= count):
            length = "" if count is None else f" and {self.info.name} has {count}"
            raise VideoError(f"frame {index} does not exist: frames count from 0{length}", frame_index=index)
        return index

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def made_smaller(rgb: ByteArray, size_hw: tuple[int, int]) -> ByteArray:
    """Return the image at a smaller size, (h, w, 3), by an area filter."""
    if rgb.shape[:2] == size_hw:
        return rgb
    return np.asarray(cv2.resize(rgb, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


class StillSource(BaseSource):
    """Images that can be read in any order; a subclass reads them by number."""

    def __init__(self, name: str, count: int, fps: float, *, codec: str = "", volume: VolumeInfo | None = None) -> None:
        fps = check_positive("fps", fps, error=VideoError)
        rgb = self._image(0)
        self._info = VideoInfo(
            name=name,
            size_hw=(rgb.shape[0], rgb.shape[1]),
            fps=fps,
            num_frames=count,
            duration_s=count / fps,
            codec=codec,
            volume=volume,
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    @abstractmethod
    def _image(self, index: int) -> ByteArray: ...

    def _small_image(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        """Return the image at any size not below this one; at full size, unless a subclass can decode less."""
        return self._image(index)

    @abstractmethod
    def _label(self, index: int) -> str:
        """Return the name of an image for messages."""

    def frame(self, index: int) -> Frame:
        index = self._check_index(index)
        rgb = self._image(index)
        if rgb.shape[:2] != self._info.size_hw:
            height, width = self._info.size_hw
            raise VideoError(
                f"{self._label(index)} is {rgb.shape[1]} x {rgb.shape[0]}, the first frame is {width} x {height} "
                "(width x height): all frames must have one size",
                frame_index=index,
            )
        return Frame(index, rgb, index / self._info.fps)

    def picture(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        index = self._check_index(index)
        rgb = self._small_image(index, size_hw)
        height, width = self._info.size_hw
        if rgb.shape[:2] not in [(-(-height // part), -(-width // part)) for part in (1, 2, 4, 8)]:
            rgb = self.frame(index).rgb  # raises if its size differs from the first frame's
        return made_smaller(rgb, size_hw)

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        count = self._info.num_frames or 0
        for index in range(start, count if stop is None else min(stop, count), step):
            yield self.frame(index)


class _End:
    """Marks the end of a queue; carries the error, if there was one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(items: Generator[T, None, None], depth: int) -> Iterator[T]:
    """Run a generator in a thread, at most `depth` items ahead of the reader.

    An exception of the generator is raised to the reader, after the items before it. When the reader stops, the
    generator is closed within its own thread before this function returns.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | _End) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        end = _End()
        try:
            for item in items:
                if not put(item):
                    break
        except BaseException as error:
            end = _End(error)
        finally:
            items.close()
            put(end)

    thread = threading.Thread(target=work, name="masklet-read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()  # first: the thread may be waiting for space in the queue
        while not waiting.empty():
            waiting.get_nowait()
        thread.join()


@contextmanager
def closing_frames(frames: Iterator[Frame]) -> Iterator[Iterator[Frame]]:
    """Close an iterator of frames at the end of the block, which ends its thread."""
    try:
        yield frames
    finally:
        if isinstance(frames, Generator):
            frames.close()
