"""Pictures of frames for the page: fast access to any frame of a long video, in bounded memory and disk space."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from masklet.media.base import BaseSource, made_smaller
from masklet.media.source import FrameSource, VideoInfo
from masklet.media.video_file import VideoFileSource
from masklet.output import atomic_path, remove_unfinished
from masklet.records import ByteArray, Frame

logger = logging.getLogger("masklet.server")

WIDTHS = (160, 320, 480, 640, 960, 1280, 1920, 2560)
"""Widths in which frames are served, besides full size; few, for a high hit rate of the cache."""

QUALITY = 88
THUMBNAIL_QUALITY = 75

SPARSE = 24
"""Spacing of film-strip pictures, in frames, from which key frames are shown instead: they are faster to decode."""

SWEEP_EVERY = 400
"""Number of pictures after which the size of the cache is checked."""


class FrameCache:
    """Decoded frames of all media together, bounded in bytes; the least recently used are dropped first.

    Args:
        max_bytes: of all frames; a larger frame is not kept at all.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._frames: OrderedDict[tuple[str, int], Frame] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, media_id: str, index: int) -> Frame | None:
        """Return a frame, which then counts as used; None if it is not kept."""
        with self._lock:
            frame = self._frames.get((media_id, index))
            if frame is not None:
                self._frames.move_to_end((media_id, index))
            return frame

    def keep(self, media_id: str, frame: Frame) -> None:
        with self._lock:
            if frame.rgb.nbytes > self.max_bytes or (media_id, frame.index) in self._frames:
                return
            while self._frames and self.num_bytes + frame.rgb.nbytes > self.max_bytes:
                self._drop(next(iter(self._frames)))
            self._frames[media_id, frame.index] = frame
            self.num_bytes += frame.rgb.nbytes

    def drop(self, media_id: str) -> None:
        """Drop the frames of a medium."""
        with self._lock:
            for key in [key for key in self._frames if key[0] == media_id]:
                self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        self.num_bytes -= self._frames.pop(key).rgb.nbytes


class FrameReader:
    """Reads frames of one medium for many requests.

    Args:
        media_id: the medium.
        open_frames: opens the medium.
        cache: keeps frames of all media.
    """

    def __init__(self, media_id: str, open_frames: Callable[[], FrameSource], cache: FrameCache) -> None:
        self._media_id = media_id
        self._open_frames = open_frames
        self._cache = cache
        self._source: FrameSource | None = None
        self._lock = threading.RLock()
        self.used_at = time.monotonic()
        self.turn = asyncio.Lock()
        """Held while a request makes a picture; a client that disconnects while waiting gets none."""

    def frame(self, index: int) -> Frame:
        """Return one frame.

        Raises:
            VideoError: it does not exist, or cannot be decoded.
        """
        with self._lock:
            self.used_at = time.monotonic()
            frame = self._cache.find(self._media_id, index)
            if frame is None:
                frame = self.source.frame(index)
                self._cache.keep(self._media_id, frame)
            return frame

    def picture(self, index: int, size_hw: tuple[int, int]) -> ByteArray:
        """Return one frame at a smaller size, without decoding it to full size. It is not cached.

        Raises:
            VideoError: as `frame`.
        """
        with self._lock:
            self.used_at = time.monotonic()
            cached = self._cache.find(self._media_id, index)
            return self.source.picture(index, size_hw) if cached is None else made_smaller(cached.rgb, size_hw)

    @property
    def info(self) -> VideoInfo:
        return self.source.info

    @property
    def source(self) -> FrameSource:
        with self._lock:
            if self._source is None:
                self._source = self._open_frames()
            return self._source

    def thumbnails(self, indices: Sequence[int], height: int) -> list[ByteArray]:
        """Return small pictures of frames, all of one size; if they are far apart, of the key frames before them."""
        spacing = min((b - a for a, b in itertools.pairwise(indices)), default=0)
        full_height, full_width = self.info.size_hw
        size_hw = (height, max(1, round(height * full_width / full_height)))
        pictures = {index: self._thumbnail(index, size_hw, spacing) for index in dict.fromkeys(indices)}
        return [pictures[index] for index in indices]

    def _thumbnail(self, index: int, size_hw: tuple[int, int], spacing: int) -> ByteArray:
        with self._lock:
            source = self.source
            if spacing >= SPARSE and isinstance(source, VideoFileSource):
                key = source.key_frame(index)
                if index - key < 2 * spacing:
                    self.used_at = time.monotonic()
                    return source.key_picture(key, size_hw)
            return self.picture(index, size_hw)

    def close(self) -> None:
        """Free memory; the next frame opens the medium again."""
        with self._lock:
            self._cache.drop(self._media_id)
            if self._source is not None:
                self._source.close()
                self._source = None


class SharedFrames(BaseSource):
    """Frames of a medium for its tracker: single ones from the reader that all requests share, runs from a decoder.

    So a clicked frame is decoded once for the page and the tracker. It can be read from any thread, also before it is
    the medium's turn to answer a prompt.

    Args:
        reader: returns the medium's reader, which may change.
        open_frames: opens the medium.
    """

    def __init__(self, reader: Callable[[], FrameReader], open_frames: Callable[[], FrameSource]) -> None:
        self._reader = reader
        self._open_frames = open_frames
        self._runs: FrameSource | None = None

    @property
    def info(self) -> VideoInfo:
        return self._reader().info

    def frame(self, index: int) -> Frame:
        return self._reader().frame(index)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        if self._runs is None:
            self._runs = self._open_frames()
        return self._runs.frames(start, stop, step)

    def _read(self, start: int, stop: int | None, step: int) -> Generator[Frame, None, None]:
        yield from self.frames(start, stop, step)

    def close(self) -> None:
        """Close the decoder of runs; the reader belongs to all."""
        if self._runs is not None:
            self._runs.close()
            self._runs = None


def to_jpeg(rgb: ByteArray, *, width: int | None = None, quality: int = QUALITY) -> bytes:
    """Encode a picture as JPEG, reduced if it is wider than `width`."""
    if width is not None and width < rgb.shape[1]:
        rgb = made_smaller(rgb, size_at(width, (rgb.shape[0], rgb.shape[1])))
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def size_at(width: int, size_hw: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a picture that is scaled to this width."""
    return max(1, round(size_hw[0] * width / size_hw[1])), width


def to_png(rgba: ByteArray) -> bytes:
    """Encode a picture with alpha as PNG."""
    _, data = cv2.imencode(".png", cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return data.tobytes()


def strip_of(pictures: Sequence[ByteArray]) -> bytes:
    """Encode pictures side by side as one JPEG."""
    return to_jpeg(np.concatenate(list(pictures), axis=1), quality=THUMBNAIL_QUALITY)


def spread(count: int, start: int, stop: int) -> list[int]:
    """Return `count` frames, each in the middle of one of `count` equal parts of a range."""
    return [start + int((part + 0.5) * (stop - start) / count) for part in range(count)]


class PictureCache:
    """Pictures on disk; the least recently used are removed when they take too many bytes.

    Args:
        folder: of the pictures.
        max_bytes: limit for all pictures together.
        is_gone: returns True for the id of a medium that has been deleted; its pictures are not kept.
    """

    def __init__(self, folder: Path, *, max_bytes: int, is_gone: Callable[[str], bool]) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._made = 0
        self._sweeping = threading.Lock()
        self._is_gone = is_gone
        self._is_failing = False
        for pictures in folder.glob("*"):  # a killed server has left them
            remove_unfinished(pictures)

    def find(self, media_id: str, name: str) -> bytes | None:
        """Return a cached picture, which then counts as used; None if it is not cached, or cannot be read."""
        path = self.folder / media_id / name
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def keep(self, media_id: str, name: str, data: bytes) -> None:
        """Add a picture. If it cannot be written, as on a full disk, it is made again when needed."""
        if self._is_gone(media_id):
            return
        try:
            with atomic_path(self.folder / media_id / name) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            if not self._is_failing:
                logger.warning("pictures of frames are not cached: %s", error)
            self._is_failing = True
            return
        self._is_failing = False
        self._made += 1
        if self._made % SWEEP_EVERY == 0:
            self.sweep()

    def sweep(self) -> None:
        """Remove the least recently used pictures, until the rest takes nine tenths of `max_bytes`."""
        if not self._sweeping.acquire(blocking=False):
            return
        try:
            pictures = []
            for file in self.folder.glob("*/*"):
                with suppress(OSError):
                    about = file.stat()
                    pictures.append((about.st_mtime, about.st_size, file))
            total = sum(size for _, size, _ in pictures)
            if total <= self.max_bytes:
                return
            for _, size, file in sorted(pictures):
                with suppress(OSError):
                    file.unlink()
                    total -= size
                if total <= 0.9 * self.max_bytes:
                    return
        finally:
            self._sweeping.release()
