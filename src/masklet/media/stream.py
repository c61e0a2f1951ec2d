"""Live video from the network (rtsp, rtmp, srt, HLS, MJPEG, ...): the newest frame; broken connections are replaced.

A stream that is silent for `SILENCE_SECONDS` has broken off, as has one whose connection ends with an error, and an
RTSP stream that ends: its server may be starting again. For `RECONNECT_SECONDS`, new connections are tried. Frames
keep the size of the first one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from statistics import median

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from masklet.errors import VideoError
from masklet.media.address import why_not_open, without_secrets
from masklet.media.base import VideoInfo
from masklet.media.containers import bound_pixels, open_address, refused_size
from masklet.media.live import LiveSource
from masklet.media.stream_probe import FrameFormat, codec_name, decode, video_stream
from masklet.records import ByteArray

SILENCE_SECONDS = 10.0
RECONNECT_SECONDS = 15.0
RETRY_SECONDS = 0.5

MAX_LIVE_FPS = 240.0
"""Declared rates above are units of time, such as 1000 for WebM."""

RATE_FRAMES = 8
RATE_SECONDS = 1.0
"""Frames, and time, after which the rate of a stream that declares none is measured."""

WITHOUT_CLOCK = frozenset({"mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc"})
"""FFmpeg's formats whose time stamps are made up."""


def open_stream(address: str) -> InputContainer:
    """Connect.

    Raises:
        VideoError: there is no answer, or what comes is not a video.
    """
    # By default, FFmpeg waits for twenty frames to guess their rate, and these are old when they are shown.
    options = {"fpsprobesize": "3"}
    if address.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    try:
        return open_address(address, options=options, timeout_s=SILENCE_SECONDS)
    except (av.FFmpegError, ValueError) as error:
        reason = why_not_open(error, address, SILENCE_SECONDS)
    # Not within the handler: the error's own text shows the password.
    raise VideoError(f"cannot open the stream {without_secrets(address)}: {reason}")


def has_end(container: InputContainer) -> bool:
    """Return True for a file on a server, which can be read at any speed and opened again."""
    if container.duration is not None and container.duration > 0:
        return True
    return container.format.name != "hls" and container.size > 0


class StreamSource(LiveSource[VideoFrame]):
    """A live stream from the network."""

    def __init__(self, address: str, container: InputContainer | None = None) -> None:
        """Connect and take the first frame.

        Args:
            address: of the stream.
            container: a connection to it that is already open.

        Raises:
            VideoError: there is no answer within 10 seconds, or no video in the stream.
        """
        super().__init__()
        self._address = address
        self._name = without_secrets(address)
        self._container = open_stream(address) if container is None else container
        try:
            self._frames = self._decoded(self._container)
            first, fps = self._first_frame()
        except BaseException:
            self._release()
            raise
        self._format = FrameFormat.of(first)
        self._info = VideoInfo(
            name=self._name,
            size_hw=self._format.upright_hw,
            fps=fps,
            num_frames=None,
            codec=self._codec,
            is_live=True,
        )
        self._first: VideoFrame | None = first
        self._start()

    @property
    def info(self) -> VideoInfo:
        return self._info

    def _first_frame(self) -> tuple[VideoFrame, float]:
        """Return the newest of the first frames, and their rate."""
        stream = video_stream(self._container, self._name)
        self._codec = codec_name(stream)
        declared = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
        rates = [rate for rate in declared if 0 < rate <= MAX_LIVE_FPS]
        has_clock = self._container.format.name not in WITHOUT_CLOCK
        first, times = None, []
        begin_s = time.monotonic()
        try:
            for frame in self._frames:
                first, now_s = frame, time.monotonic()
                times.append(frame.time if has_clock and frame.time is not None else now_s)
                if (rates and has_clock) or len(times) > RATE_FRAMES or now_s - begin_s > RATE_SECONDS:
                    break
        except av.FFmpegError as error:
            if first is None:
                reason = why_not_open(error, self._address, SILENCE_SECONDS)
                raise VideoError(f"{self._name} gives no picture: {reason}", frame_index=0) from None
        if first is None:
            raise VideoError(f"{self._name} gives no picture: it ended before its first frame", frame_index=0)
        # What came at once had been waiting in a buffer.
        steps = [after - before for before, after in pairwise(times) if after - before > 1e-3]
        if (rates and has_clock) or len(steps) < 2:
            return first, (rates or [25.0])[0]
        return first, 1 / median(steps)

    def _grab(self) -> Iterator[VideoFrame]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        while True:
            reason = "the stream ended"
            try:
                yield from self._frames
                if self._stopped.is_set() or not self._address.startswith("rtsp"):
                    return
            except av.FFmpegError as error:
                reason = why_not_open(error, self._address, SILENCE_SECONDS)
            self._release()
            if not self._connect_again():
                if self._stopped.is_set():
                    return
                raise VideoError(
                    f"{self._name} broke off: {reason}; no new connection within {RECONNECT_SECONDS:.0f} seconds",
                    frame_index=self._next_index,
                )

    def _connect_again(self) -> bool:
        until_s = time.monotonic() + RECONNECT_SECONDS
        while time.monotonic() < until_s and not self._stopped.wait(RETRY_SECONDS):
            with suppress(VideoError):
                self._container = open_stream(self._address)
                self._frames = self._decoded(self._container)
                return True
        return False

    def _decoded(self, container: InputContainer) -> Iterator[VideoFrame]:
        stream: VideoStream = video_stream(container, self._name)
        most_pixels = bound_pixels(stream)

        def check_size() -> None:
            reason = refused_size(stream, most_pixels)
            if reason is not None:
                raise VideoError(f"{self._name} is too large: {reason}", frame_index=self._next_index)

        return decode(container.demux(stream), check_size)

    def _picture(self, item: VideoFrame) -> ByteArray:
        return self._format.picture(item, self._info.size_hw)

    def _release(self) -> None:
        self._frames = iter(())
        self._container.close()
