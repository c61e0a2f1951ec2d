"""Writes pictures to video files: H.264, VP9 or ProRes, with or without alpha, with uneven time stamps and sound."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from masklet.errors import OutputError
from masklet.media.base import VideoInfo
from masklet.media.containers import open_address, open_file
from masklet.output import atomic_path, check_writable
from masklet.records import ByteArray


@dataclass(frozen=True, slots=True)
class VideoCodec:
    """Encoder settings for pictures and sound."""

    names: tuple[str, ...]
    """FFmpeg's encoders; the first that exists is used."""
    pixel_format: str
    options: Mapping[str, str]
    copied_audio: frozenset[str]
    """Audio codecs that the container can hold; other audio is encoded as `audio`."""
    audio: str = "aac"
    needs_even_sides: bool = False
    has_alpha: bool = False


def h264(quality: int = 18) -> VideoCodec:
    """Return H.264, 8-bit 4:2:0, which every player and browser shows, for MP4, MOV or MKV.

    Args:
        quality: x264's constant rate factor: 18 looks like the source, larger is smaller.
    """
    # x264 if FFmpeg has it; builds without GPL parts use the most similar encoder.
    return VideoCodec(
        ("libx264", "libopenh264", "mpeg4"),
        "yuv420p",
        {"crf": str(quality), "preset": "veryfast"},
        frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "flac"}),
        needs_even_sides=True,
    )


def vp9(*, alpha: bool, quality: int = 24) -> VideoCodec:
    """Return VP9 for WebM, with alpha for browsers.

    Args:
        alpha: True if pictures have alpha.
        quality: libvpx's constant quality: 24 looks good, larger is smaller.
    """
    return VideoCodec(
        ("libvpx-vp9",),
        "yuva420p" if alpha else "yuv420p",
        # No hidden reference frames, which libvpx does not support with alpha.
        {
            "crf": str(quality),
            "b": "0",
            "deadline": "good",
            "cpu-used": "5",
            "row-mt": "1",
            "auto-alt-ref": "0",
            "lag-in-frames": "4",  # instead of 25, which take gigabytes at 4K
        },
        frozenset({"opus", "vorbis"}),
        audio="libopus",
        has_alpha=alpha,
    )


def prores() -> VideoCodec:
    """Return ProRes 4444 for MOV: 10 bits and alpha, for editing."""
    return VideoCodec(
        ("prores_ks",),
        "yuva444p10le",
        {"profile": "4444", "vendor": "apl0", "alpha_bits": "16"},
        frozenset({"aac", "mp3", "alac", "pcm_s16le", "pcm_s24le"}),
        has_alpha=True,
    )


class VideoWriter:
    """Writes a video file frame by frame; a context manager, which finishes the file in every case.

    a) Frames keep their time stamps, so uneven ones stay uneven; the first frame written is time 0.
    b) They are written upright: no rotation is left for the player.
    c) The source's audio is copied for the same time span, and encoded again if the container cannot hold it.
    d) 4:2:0 in H.264 needs even sides: for odd ones the last row or column is repeated, so the video is a pixel larger.
    """

    def __init__(self, path: str | Path, info: VideoInfo, codec: VideoCodec, *, keep_partial: bool = True) -> None:
        """Prepare; the file is opened with the first picture.

        Args:
            path: its suffix decides the container; an existing file is replaced at the end.
            info: of the source, for its rate and its audio.
            codec: see above.
            keep_partial: if the block fails, keep the frames written so far.

        Raises:
            OutputError: the place cannot be written, or FFmpeg lacks the encoder.
        """
        self.path = check_writable(path)
        self._encoder = next((name for name in codec.names if name in av.codecs_available), "")
        if not self._encoder:
            raise OutputError(f"cannot write {path}: this FFmpeg has no encoder {' or '.join(codec.names)}")
        self._info = info
        self._codec = codec
        self._keep_partial = keep_partial
        rate = Fraction(info.fps).limit_denominator(1001)
        self._rate = rate if rate > 0 else Fraction(24)
        # Live frames arrive at any time; stills have exact multiples of 1 / rate; a file has its own clock.
        self._time_base = info.time_base or (Fraction(1, 90_000) if info.is_live else 1 / self._rate)
        self._stack = ExitStack()
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._audio: _AudioCopy | None = None
        self._temporary: Path | None = None
        self._first_s = 0.0
        self._last_pts = -1
        self.num_frames = 0

    def to_finish(self) -> int:
        """Return the bytes needed for finishing, apart from the frames that the encoder still holds.

        These are the index, about 40 bytes per frame, twice because it is moved to the front, and audio packets.
        """
        return 256 * self.num_frames

    def write(self, picture: ByteArray, time_s: float) -> None:
        """Add a picture.

        Args:
            picture: (H, W, 3), or (H, W, 4) with straight alpha for a codec that has it.
            time_s: on the source's clock, later than that of the previous picture.

        Raises:
            OutputError: it cannot be written.
        """
        height, width = picture.shape[:2]
        if self._codec.needs_even_sides and (height % 2 or width % 2):
            picture = np.asarray(
                cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8
            )
        try:
            if self._container is None:
                self._open(time_s, picture.shape[0], picture.shape[1])
            assert self._container is not None
            assert self._stream is not None
            # Time stamps must increase: of two frames within one tick, the second gets the next tick.
            pts = max(self._last_pts + 1, round((time_s - self._first_s) / self._time_base))
            kind = "rgba" if picture.shape[2] == 4 else "rgb24"
            encoded = av.VideoFrame.from_ndarray(picture, format=kind).reformat(
                format=self._codec.pixel_format, dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            encoded.pts, encoded.time_base = pts, self._time_base
            self._container.mux(self._stream.encode(encoded))
            if self._audio is not None:
                self._audio.copy_until(float(pts * self._time_base))
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}") from error
        self._last_pts = pts
        self.num_frames += 1

    def _open(self, first_s: float, height: int, width: int) -> None:
        self._temporary = self._stack.enter_context(atomic_path(self.path, keep_partial=self._keep_partial))
        # The index is moved to the front, so that browsers start playing immediately.
        options = {"movflags": "+faststart"} if self.path.suffix.lower() in (".mp4", ".mov") else {}
        self._container = av.open(f"file:{self._temporary}", "w", options=options)
        self._stack.callback(self._finish)
        stream = self._container.add_stream(self._encoder, rate=self._rate)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.height, context.width, context.pix_fmt = height, width, self._codec.pixel_format
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._info.pixel_aspect
        # Declare BT.709, so that players show the colours as drawn.
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        stream.options = dict(self._codec.options)
        if self._codec.has_alpha and self.path.suffix.lower() == ".webm":
            stream.metadata["alpha_mode"] = "1"
        self._stream = stream
        self._first_s = first_s
        if self._info.has_audio and self._info.path is not None:
            start_s = self._info.start_s + first_s
            self._audio = _AudioCopy.start(self._container, self._info.path, start_s, self._codec)

    def _finish(self) -> None:
        assert self._container is not None
        assert self._stream is not None
        assert self._temporary is not None
        try:
            self._container.mux(self._stream.encode())
            if self._audio is not None:
                self._audio.copy_until(float(self._last_pts * self._time_base + 1 / self._rate))
                self._audio.finish()
            self._container.close()
        except (av.FFmpegError, OSError) as error:  # such as a full disk
            with suppress(av.FFmpegError, OSError):
                self._container.close()
            self._temporary.unlink(missing_ok=True)
            raise OutputError(f"cannot finish {self.path}: {getattr(error, 'strerror', None) or error}") from error
        finally:
            if self._audio is not None:
                self._audio.close()
            self._container = self._stream = self._audio = None  # the encoder's threads end when nothing holds it

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)


class _AudioCopy:
    """Copies the audio of a file along with the video, packet by packet."""

    def __init__(
        self, output: OutputContainer, source: InputContainer, stream: AudioStream, start_s: float, codec: VideoCodec
    ) -> None:
        self._output = output
        self._source = source
        self._stream = stream
        self._start_s = start_s
        # A decoder's name may have a suffix, such as "mp3float".
        self._copies = stream.codec_context.name.removesuffix("float") in codec.copied_audio
        self._resampler: av.AudioResampler | None = None
        if self._copies:
            self._target = output.add_stream_from_template(stream)
        else:
            # A rate and layouts that all encoders support: raw audio may declare neither.
            layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._target = cast(AudioStream, output.add_stream(codec.audio, rate=48_000, layout=layout))
            kind, size = ("flt", 960) if codec.audio == "libopus" else ("fltp", 1024)
            self._resampler = av.AudioResampler(format=kind, layout=layout, rate=48_000, frame_size=size)
        self._packets = self._from_start()
        self._pending: tuple[float, Packet[AudioStream]] | None = None
        self._next_sample: int | None = None
        """Position of the encoded audio, in samples from the start; negative for audio that began before the video."""

    @classmethod
    def start(cls, output: OutputContainer, path: str, start_s: float, codec: VideoCodec) -> _AudioCopy | None:
        """Start at `start_s` on the file's own clock; None if the audio cannot be read and is left out."""
        try:
            source = open_address(path) if "://" in path else open_file(path)
        except av.FFmpegError:
            return None
        try:
            return cls(output, source, source.streams.audio[0], start_s, codec)
        except (av.FFmpegError, ValueError, IndexError):
            source.close()
            return None

    def copy_until(self, end_s: float) -> None:
        """Copy the audio before `end_s`, seconds from the start."""
        while True:
            try:
                self._pending = self._pending or next(self._packets, None)
            except av.FFmpegError:  # the file breaks off
                self._packets.close()
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

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._resampler is not None and self._next_sample is not None:
            self._mux(self._resampler.resample(None))
            self._output.mux(self._target.encode())

    def close(self) -> None:
        self._packets.close()
        self._source.close()

    def _from_start(self) -> Generator[tuple[float, Packet[AudioStream]], None, None]:
        """Yield (time from the start, packet), from the packet that is playing at the start."""
        if self._start_s > 1:
            self._source.seek(int((self._start_s - 0.5) * av.time_base))
        for packet in self._source.demux(self._stream):
            if packet.pts is None or packet.size == 0:
                continue
            time_s = float(packet.pts * packet.time_base) - self._start_s
            # The first packets of a codec have times before 0 and prime the decoder: they are also needed at the start.
            if time_s > -0.05:
                yield time_s, packet

    def _encode(self, packet: Packet[AudioStream]) -> None:
        assert self._resampler is not None
        with suppress(av.error.InvalidDataError):
            for frame in packet.decode():
                if self._next_sample is None:
                    self._next_sample = round(((frame.time or 0.0) - self._start_s) * 48_000)
                frame.pts = None  # set below: the resampler splits frames to the encoder's size
                self._mux(self._resampler.resample(frame))

    def _mux(self, frames: Iterable[av.AudioFrame]) -> None:
        for frame in frames:
            assert self._next_sample is not None
            frame.pts, frame.time_base = self._next_sample, Fraction(1, frame.sample_rate)
            self._next_sample += frame.samples
            self._output.mux(self._target.encode(frame))
