"""The video with its objects drawn in, and its sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from masklet.drawing import draw_overlay
from masklet.errors import OutputError
from masklet.output import atomic_path, check_writable
from masklet.records import Frame, FrameMasks, Prompt
from masklet.video.base import VideoInfo
from masklet.video.sink_base import BaseSink

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv")

_COPIED_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"})
"""Codecs that MP4 holds as they are; others become AAC."""


class OverlaySink(BaseSink):
    """The video with its objects drawn in: H.264, 8-bit 4:2:0, as every player and browser shows it.

    a) Frames keep their time stamps, so uneven ones stay uneven; the first frame written is time 0.
    b) They are written upright: no rotation is left for the player.
    c) The source's audio is copied over the same stretch of time (as AAC when MP4 cannot hold its codec).
    d) 4:2:0 needs even sides: an odd one gets its last row or column twice, so the video is one pixel larger.
    """

    def __init__(
        self,
        path: str | Path,
        info: VideoInfo,
        *,
        prompts: Mapping[int, Mapping[int, Prompt]] | None = None,
        quality: int = 18,
    ) -> None:
        """Prepare; the file is opened with the first frame.

        Args:
            path: .mp4, .mov or .mkv; an existing file is replaced in the end.
            info: of the source, for its rate and its audio.
            prompts: by frame index and object id: drawn on their frames.
            quality: x264's constant rate factor: 18 looks like the source, larger is smaller.

        Raises:
            OutputError: another suffix, or a place that cannot be written.
        """
        if Path(path).suffix.lower() not in VIDEO_SUFFIXES:
            raise OutputError(f"an overlay must end in {', '.join(VIDEO_SUFFIXES)}, got {path}")
        super().__init__(check_writable(path))
        self._info = info
        self._prompts = prompts or {}
        self._quality = quality
        rate = Fraction(info.fps).limit_denominator(1001)
        self._rate = rate if rate > 0 else Fraction(24)
        # Live frames come at any time; stills are exactly on the beat; a file has its own clock.
        self._time_base = info.time_base or (Fraction(1, 90_000) if info.is_live else 1 / self._rate)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._audio: _AudioCopy | None = None
        self._temporary: Path | None = None
        self._first_s = 0.0
        self._last_index = -1
        self._last_pts = -1
        self._num_frames = 0

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        if frame.index <= self._last_index:
            raise OutputError(
                f"an overlay needs its frames in order, got {frame.index} after {self._last_index}: "
                "wrap the sink in InOrder"
            )
        # The frames that the encoder holds back, which together take no more than one raw frame, and the index: some
        # 40 bytes a frame, twice since it is moved to the front, and the packets of the audio.
        self.check_space(to_finish=frame.rgb.nbytes + 256 * self._num_frames)
        picture = draw_overlay(
            frame.rgb, masks.masks, masks.object_ids, masks.iou_predictions, prompts=self._prompts.get(frame.index)
        )
        height, width = frame.size_hw
        if height % 2 or width % 2:
            picture = np.asarray(
                cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8
            )
        try:
            if self._container is None:
                self._open(frame, picture.shape[0], picture.shape[1])
            assert self._container is not None
            assert self._stream is not None
            # Of two frames within one tick the second moves to the next, for time stamps must rise.
            pts = max(self._last_pts + 1, round((frame.time_s - self._first_s) / self._time_base))
            encoded = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            encoded.pts, encoded.time_base = pts, self._time_base
            self._container.mux(self._stream.encode(encoded))
            if self._audio is not None:
                self._audio.copy_until(float(pts * self._time_base))
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from error
        self._last_index, self._last_pts = frame.index, pts
        self._num_frames += 1

    def _open(self, frame: Frame, height: int, width: int) -> None:
        self._temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=True))
        # the index goes to the front, so that browsers start at once
        options = {} if self.path.suffix.lower() == ".mkv" else {"movflags": "+faststart"}
        self._container = av.open(f"file:{self._temporary}", "w", options=options)
        self._stack.callback(self._finish)
        stream = self._container.add_stream(_h264_encoder(), rate=self._rate)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.height, context.width, context.pix_fmt = height, width, "yuv420p"
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._info.pixel_aspect
        # BT.709, said aloud, so that players show the colours that were drawn
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        stream.options = {"crf": str(self._quality), "preset": "veryfast"}
        self._stream = stream
        self._first_s = frame.time_s
        if self._info.has_audio and self._info.path is not None:
            self._audio = _AudioCopy.start(self._container, self._info.path, self._info.start_s + frame.time_s)

    def _finish(self) -> None:
        assert self._container is not None
        assert self._stream is not None
        assert self._temporary is not None
        try:
            self._container.mux(self._stream.encode())
            if self._audio is not None:
                self._audio.copy_until(float(self._last_pts * self._time_base + 1 / self._rate))
                self._audio.close()
            self._container.close()
        except (av.FFmpegError, OSError) as error:  # as when the disk is full
            with suppress(av.FFmpegError, OSError):
                self._container.close()
            self._temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot finish {self.path}: {getattr(error, 'strerror', None) or error}") from error


def _h264_encoder() -> str:
    """x264 where FFmpeg has it; else what comes closest, as in builds without GPL parts."""
    return next((name for name in ("libx264", "libopenh264", "mpeg4") if name in av.codecs_available), "mpeg4")


class _AudioCopy:
    """Carries the audio of a file along with its video, packet by packet."""

    def __init__(self, output: OutputContainer, source: InputContainer, stream: AudioStream, start_s: float) -> None:
        self._output = output
        self._source = source
        self._stream = stream
        self._start_s = start_s
        # a decoder's name may carry a suffix, as "mp3float"
        self._copies = stream.codec_context.name.removesuffix("float") in _COPIED_AUDIO
        self._resampler: av.AudioResampler | None = None
        if self._copies:
            self._target = output.add_stream_from_template(stream)
        else:
            # A rate and layouts that every AAC encoder takes: raw audio may declare neither.
            layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._target = output.add_stream("aac", rate=48_000, layout=layout)
            self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=48_000, frame_size=1024)
        self._packets = self._from_start()
        self._pending: tuple[float, Packet[AudioStream]] | None = None
        self._next_sample: int | None = None
        """Of the encoded audio, counted from the start; negative for what is playing when the video begins."""

    @classmethod
    def start(cls, output: OutputContainer, path: str, start_s: float) -> _AudioCopy | None:
        """Begin at `start_s` on the file's own clock; None when the audio cannot be had: it is not worth the video."""
        try:
            source = av.open(path, mode="r")
        except av.FFmpegError:
            return None
        try:
            return cls(output, source, source.streams.audio[0], start_s)
        except (av.FFmpegError, ValueError, IndexError):
            source.close()
            return None

    def copy_until(self, end_s: float) -> None:
        """Copy what is heard before `end_s`, seconds from the start."""
        while True:
            try:
                self._pending = self._pending or next(self._packets, None)
            except av.FFmpegError:  # the file breaks off
                self._packets = iter(())
                return
            if self._pending is None or self._pending[0] >= end_s:
                return
            packet, self._pending = self._pending[1], None
            if self._copies:
                assert packet.time_base is not None
                shift = round(self._start_s / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - shift
                packet.dts = None if packet.dts is None else packet.dts - shift
                packet.stream = self._target
                self._output.mux(packet)
            else:
                self._encode(packet)

    def close(self) -> None:
        if self._resampler is not None and self._next_sample is not None:
            self._mux(self._resampler.resample(None))
            self._output.mux(self._target.encode())
        self._source.close()

    def _from_start(self) -> Iterator[tuple[float, Packet[AudioStream]]]:
        """(time from the start, packet), from the packet that is playing at the start."""
        if self._start_s > 1:
            self._source.seek(int((self._start_s - 0.5) * av.time_base))
        for packet in self._source.demux(self._stream):
            if packet.pts is None or packet.size == 0:
                continue
            time_s = float(packet.pts * packet.time_base) - self._start_s
            # A codec's first packets lie before 0 and only warm it up: they belong to the start too.
            if time_s > -0.05:
                yield time_s, packet

    def _encode(self, packet: Packet[AudioStream]) -> None:
        assert self._resampler is not None
        with suppress(av.error.InvalidDataError):
            for frame in packet.decode():
                if self._next_sample is None:
                    self._next_sample = round(((frame.time or 0.0) - self._start_s) * 48_000)
                frame.pts = None  # counted below, as the resampler cuts frames to the encoder's size
                self._mux(self._resampler.resample(frame))

    def _mux(self, frames: Iterable[av.AudioFrame]) -> None:
        for frame in frames:
            assert self._next_sample is not None
            frame.pts, frame.time_base = self._next_sample, Fraction(1, frame.sample_rate)
            self._next_sample += frame.samples
            self._output.mux(self._target.encode(frame))
