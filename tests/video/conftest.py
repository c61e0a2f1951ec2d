"""Tiny clips whose frames carry their own number, in the containers and conditions that users have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

BITS = 8
MakeClip = Callable[..., Path]


def numbered_frame(index: int, size_hw: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """Red left half over blue right half; below, the number as eight black or white blocks, lowest bit first."""
    height, width = size_hw
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2, 0] = 255
    rgb[: height // 2, width // 2 :, 2] = 255
    for bit in range(BITS):
        rgb[height // 2 :, bit * width // BITS : (bit + 1) * width // BITS] = 255 * (index >> bit & 1)
    return rgb


def number_of(rgb: NDArray[np.uint8]) -> int:
    height, width = rgb.shape[:2]
    y = height * 3 // 4
    return sum(int(rgb[y, (2 * bit + 1) * width // (2 * BITS)].mean() > 127) << bit for bit in range(BITS))


def is_upright(rgb: NDArray[np.uint8]) -> bool:
    height, width = rgb.shape[:2]
    left, right = rgb[height // 4, width // 4].astype(int), rgb[height // 4, width * 3 // 4].astype(int)
    return bool(left[0] > left[2] + 100 and right[2] > right[0] + 100)


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    def make(
        name: str = "clip.mp4",
        count: int = 12,
        *,
        size_hw: tuple[int, int] = (48, 64),
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        fps: int | Fraction = 25,
        gop: int = 5,
        b_frames: int = 2,
        turn: int = 0,
        mirrored: bool = False,
        pts: Sequence[int] | None = None,
        audio: str | None = None,
        muxer_options: dict[str, str] | None = None,
    ) -> Path:
        """`turn`: clockwise degrees that the file asks for; its stored frames are turned the other way. `pts`: in
        milliseconds. `audio`: a codec; the tone lasts as long as the video."""
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=muxer_options or {}) as container:
            stream = container.add_stream(codec, rate=fps)
            stored = np.rot90(numbered_frame(0, size_hw), k=turn // 90)
            stream.height, stream.width = stored.shape[:2]
            stream.pix_fmt = pixel_format
            stream.codec_context.gop_size = gop
            stream.codec_context.max_b_frames = b_frames
            if codec == "libx264":
                stream.options = {"preset": "ultrafast", "crf": "12", "bf": str(b_frames), "sc_threshold": "0"}
            if pts is not None:
                stream.codec_context.time_base = Fraction(1, 1000)
            if turn or mirrored:
                stream.set_display_rotation(-turn, hflip=mirrored)
            tone = container.add_stream(audio, rate=48000) if audio else None
            for index in range(count):
                upright = numbered_frame(index, size_hw)
                if mirrored:
                    upright = upright[:, ::-1]
                stored = np.ascontiguousarray(np.rot90(upright, k=turn // 90))
                frame = av.VideoFrame.from_ndarray(stored, format="rgb24")
                frame.pts = index if pts is None else pts[index]
                frame.time_base = Fraction(1, 1000) if pts is not None else 1 / Fraction(fps)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if tone is not None:
                seconds = count / fps if pts is None else (pts[-1] + 1000 // 25) / 1000
                _write_tone(container, tone, float(seconds))
        return path

    return make


def _write_tone(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="stereo", rate=48000, frame_size=1024)
    samples = np.arange(round(seconds * 48000))
    # The pitch rises, so that a test can tell a shifted copy from the original.
    wave = 0.5 * np.sin(2 * np.pi * (300 + 200 * samples / 48000) * samples / 48000)
    frame = av.AudioFrame.from_ndarray(np.tile(wave, (2, 1)).astype(np.float32), format="fltp", layout="stereo")
    frame.rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(part))
    container.mux(stream.encode())
