"""Fixtures shared by all rooms: a clip maker, and the FFmpeg program, which makes files as other people's tools do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from tests.media.clips import MakeClip, numbered_frame, write_tone


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """Return the path of an FFmpeg program, with x264, x265, VP9 and AV1; of PyPI, so it is there on every machine."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


LimitFiles = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def limit_files() -> LimitFiles:
    """Limit the size of files within a block: as on a full disk, a write beyond it is cut off, and the next fails."""
    resource = pytest.importorskip("resource", reason="the system has no limit of file sizes")

    @contextmanager
    def limit(num_bytes: int) -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limit


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
                write_tone(container, tone, float(seconds))
        return path

    return make
