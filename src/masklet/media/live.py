"""Sources that run forward once: cameras, network streams, and iterators of arrays."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import av
import cv2
import numpy as np

from masklet.errors import ImageError, VideoError
from masklet.media.base import DEFAULT_FPS, BaseSource, VideoInfo
from masklet.media.images import grey_to_rgb, read_values
from masklet.media.values import Range, samples_of, shown_range, to_8_bits
from masklet.records import ByteArray, Frame


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


class _LiveSource(_ForwardSource):
    """Grabs frames in a thread and yields the newest: a slow reader skips frames instead of falling behind.

    Frames are numbered as yielded; `time_s` is wall-clock time, so skipped frames appear as gaps in time.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._newest: queue.Queue[tuple[ByteArray, float] | BaseException | None] = queue.Queue(1)
        self._thread: threading.Thread | None = None

    def _grab(self) -> Iterator[ByteArray]:
        """Yield upright frames as they arrive, until the stream ends."""
        raise NotImplementedError

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="masklet-live", daemon=True)
            self._thread.start()
        while stop is None or self._next_index < stop:
            item = self._newest.get()
            if item is None:
                self._offer(None)  # wake the next reader
                return
            if isinstance(item, BaseException):
                self._offer(item)
                if isinstance(item, VideoError):
                    raise item
                raise VideoError(f"{self.info.name} failed: {item}", frame_index=self._next_index) from item
            index = self._next_index
            self._next_index += 1
            if index >= start and (index - start) % step == 0:
                yield Frame(index, *item)

    def _work(self) -> None:
        start_s: float | None = None
        try:
            for rgb in self._grab():
                now = time.monotonic()
                start_s = now if start_s is None else start_s
                self._offer((rgb, now - start_s))
                if self._stopped.is_set():
                    break
            self._offer(None)
        except BaseException as error:
            self._offer(error)

    def _offer(self, item: tuple[ByteArray, float] | BaseException | None) -> None:
        while True:
            with suppress(queue.Full):
                return self._newest.put_nowait(item)
            with suppress(queue.Empty):
                self._newest.get_nowait()

    def close(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5)  # a driver or a network may hang; the thread is a daemon


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


class CameraSource(_LiveSource):
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

    def _grab(self) -> Iterator[ByteArray]:
        while not self._stopped.is_set():
            is_read, bgr = self._capture.read()
            if not is_read:
                raise VideoError(f"{self._info.name} stopped giving pictures", frame_index=self._next_index)
            yield np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        super().close()
        self._capture.release()


class StreamSource(_LiveSource):
    """A live stream from the network: rtsp, rtmp, srt, udp, HLS."""

    def __init__(self, url: str) -> None:
        """Connect.

        Raises:
            VideoError: there is no answer within 20 seconds, or no video in the stream.
        """
        super().__init__()
        options = {"rtsp_transport": "tcp"} if url.startswith("rtsp") else {}
        try:
            self._container = av.open(url, mode="r", options=options, timeout=(20, 20))
        except av.FFmpegError as error:
            raise VideoError(f"cannot open the stream {url}: {error.strerror or error}") from error
        if not self._container.streams.video:
            self._container.close()
            raise VideoError(f"{url} has no video stream")
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        self._info = VideoInfo(
            name=url,
            size_hw=(context.height, context.width),
            fps=float(self._stream.average_rate or self._stream.guessed_rate or 25),
            num_frames=None,
            codec=context.name,
            is_live=True,
        )

    @property
    def info(self) -> VideoInfo:
        return self._info

    def _grab(self) -> Iterator[ByteArray]:
        height, width = self._info.size_hw
        try:
            for packet in self._container.demux(self._stream):
                if self._stopped.is_set():
                    return
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError:
                    continue  # a lost packet; the next key frame repairs the picture
                for frame in decoded:
                    yield np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height), np.uint8)
        except av.FFmpegError as error:
            raise VideoError(
                f"{self._info.name} broke off: {error.strerror or error}", frame_index=self._next_index
            ) from error

    def close(self) -> None:
        super().close()
        if self._thread is None or not self._thread.is_alive():
            self._container.close()
