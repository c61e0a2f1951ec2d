"""Sources that run forward once: cameras, iterators of arrays, and the base of all live sources."""

from __future__ import annotations

import itertools
import threading
import time
from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import cv2
import numpy as np

from masklet.errors import ImageError, VideoError
from masklet.media.base import DEFAULT_FPS, BaseSource, VideoInfo
from masklet.media.images import grey_to_rgb, read_values
from masklet.media.values import Range, samples_of, shown_range, to_8_bits
from masklet.records import ByteArray, Frame

T = TypeVar("T")


class _ForwardSource(BaseSource):
    """A source that yields each frame once. `_next_index` is the number of the next one."""

    _next_index = 0

    def frame(self, index: int) -> Frame:
        raise VideoError(f"{self.info.name} has no random access: its frames come once, in order", frame_index=index)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        # No reading ahead: it would consume frames of the next reader, or make those of a camera older.
        if step == 0:
            raise ValueError("step must not be 0, got 0: this source runs forwards, with 1")
        if step < 0:
            raise VideoError(f"{self.info.name} cannot run backwards: its frames come once, in order")
        if start < self._next_index:
            raise VideoError(
                f"frame {start} of {self.info.name} is gone: its frames come once, and {self._next_index} is the next",
                frame_index=start,
            )
        return self._read(start, stop, step)


class IteratorSource(_ForwardSource):
    """An iterable of images of one size: (H, W, 3) RGB arrays, or anything else that `read_image` takes."""

    def __init__(self, images: Iterable[Any], *, fps: float = DEFAULT_FPS, name: str = "the iterator") -> None:
        """Read the first image, for the size.

        Raises:
            VideoError: there are no images, or the first is not an image.
        """
        iterator = iter(images)
        try:
            first = next(iterator)
        except StopIteration:
            raise VideoError(f"{name} is empty: it has no frame") from None
        self._range: Range | None = None
        rgb = self._image(first, 0, name)
        self._images: Iterator[Any] = itertools.chain([rgb], iterator)
        self._info = VideoInfo(name=name, size_hw=rgb.shape[:2], fps=fps, num_frames=None)

    @property
    def info(self) -> VideoInfo:
        return self._info

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        while stop is None or self._next_index < stop:
            try:
                image = next(self._images)
            except StopIteration:
                return
            index = self._next_index
            self._next_index += 1
            if index < start or (index - start) % step:
                continue
            rgb = self._image(image, index, self._info.name)
            if rgb.shape[:2] != self._info.size_hw:
                raise VideoError(
                    f"frame {index} of {self._info.name} is {rgb.shape[1]} x {rgb.shape[0]}, the frames before are "
                    f"{self._info.size_hw[1]} x {self._info.size_hw[0]} (width x height): give one size",
                    frame_index=index,
                )
            yield Frame(index, rgb, index / self._info.fps)

    def _image(self, image: Any, index: int, name: str) -> ByteArray:
        try:
            values = read_values(image)
        except ImageError as error:
            raise VideoError(f"frame {index} of {name}: {error}", frame_index=index) from error
        if values.ndim == 3:
            return values
        if self._range is None:  # the later frames are not known yet
            self._range = shown_range([samples_of(values)], values.dtype)
        return grey_to_rgb(to_8_bits(values, self._range))


class _NewestFrame(Generic[T]):
    """Hands frames from one thread to another; a frame that nobody has taken is replaced by the next."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: tuple[T, float] | None = None
        self._error: BaseException | None = None
        self._is_ended = False

    def put(self, item: T, time_s: float) -> None:
        with self._changed:
            self._item = (item, time_s)
            self._changed.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more frames come; only the first call counts."""
        with self._changed:
            if not self._is_ended:
                self._is_ended, self._error = True, error
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._item = None

    def take(self) -> tuple[T, float] | None:
        """Wait for the newest frame, and return it with its time; None at the end.

        Raises:
            BaseException: the error with which the frames ended.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._is_ended)
            item, self._item = self._item, None
            if item is None and self._error is not None:
                raise self._error
            return item


class LiveSource(_ForwardSource, Generic[T]):
    """Grabs frames in a thread and yields the newest: a slow reader skips frames instead of falling behind.

    Frames are numbered as yielded; `time_s` is the time since the first one came, so skipped frames appear as gaps.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._newest: _NewestFrame[T] = _NewestFrame()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _grab(self) -> Iterator[T]:
        """Yield frames as they arrive, until the stream ends."""

    @abstractmethod
    def _picture(self, item: T) -> ByteArray:
        """Return the upright picture of a frame; those of skipped frames are not made."""

    @abstractmethod
    def _release(self) -> None:
        """Close the device or the connection."""

    def _start(self) -> None:
        if self._thread is None and not self._stopped.is_set():
            self._thread = threading.Thread(target=self._work, name="masklet-live", daemon=True)
            self._thread.start()

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        self._start()
        while stop is None or self._next_index < stop:
            if self._stopped.is_set():
                return
            try:
                item = self._newest.take()
            except VideoError:
                raise
            except Exception as error:
                raise VideoError(f"{self.info.name} failed: {error}", frame_index=self._next_index) from error
            if item is None:
                return
            index = self._next_index
            self._next_index += 1
            if index >= start and (index - start) % step == 0:
                yield Frame(index, self._picture(item[0]), item[1])

    def _work(self) -> None:
        start_s: float | None = None
        frames = self._grab()
        try:
            for item in frames:
                now_s = time.monotonic()
                start_s = now_s if start_s is None else start_s
                self._newest.put(item, now_s - start_s)
                if self._stopped.is_set():
                    break
            self._newest.end()
        except BaseException as error:
            self._newest.end(error)
        finally:
            self._release()

    def close(self) -> None:
        self._stopped.set()
        self._newest.end()  # wakes a reader that is waiting
        self._newest.clear()
        if self._thread is None:
            self._release()
        else:
            self._thread.join(timeout=5)  # a driver or a network may hang; the thread then closes it when it wakes up


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Silence OpenCV, which reports every failed attempt to open a camera on stderr; one error is enough."""
    log: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # its place in OpenCV 5
    before = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        yield
    finally:
        log.setLogLevel(before)


class CameraSource(LiveSource["np.ndarray[Any, Any]"]):
    """A camera of this machine, by its number."""

    def __init__(self, index: int = 0) -> None:
        """Open the camera and take a first frame.

        Raises:
            VideoError: the camera does not exist, is in use, or gives no picture.
        """
        super().__init__()
        with _quiet_opencv():
            self._capture = cv2.VideoCapture(index)
            is_read, first = self._capture.read() if self._capture.isOpened() else (False, None)
        if not is_read or first is None:
            self._capture.release()
            raise VideoError(f"camera {index} gives no picture: is it attached, free, and allowed for this program?")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._info = VideoInfo(
            name=f"camera {index}",
            size_hw=(first.shape[0], first.shape[1]),
            fps=fps if 1 <= fps <= 1000 else 30.0,
            num_frames=None,
            codec="camera",
            is_live=True,
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    def _grab(self) -> Iterator[np.ndarray[Any, Any]]:
        while not self._stopped.is_set():
            is_read, bgr = self._capture.read()
            if not is_read:
                raise VideoError(f"{self._info.name} stopped giving pictures", frame_index=self._next_index)
            yield bgr

    def _picture(self, item: np.ndarray[Any, Any]) -> ByteArray:
        return np.asarray(cv2.cvtColor(item, cv2.COLOR_BGR2RGB), np.uint8)

    def _release(self) -> None:
        self._capture.release()
